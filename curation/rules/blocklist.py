"""Block lists: addresses whose domain or words are listed, and texts with listed words.

Lists stand in the manifest or come from files named there; there is none by default. The small ones in `manifests/lists` are this project's
and no more than a start: a large crawl wants its own (UT1 has millions of domains by topic). Entries are matched without regard to case.

- A listed domain stands for its subdomains: `example.com` is also `www.example.com`, not `myexample.com`.
- The words of an address are its runs of letters and digits.
- The words of a text are those of MinHash; an entry of several words matches them in a row, with whatever stands between. Every ideograph
  is a word, so an entry in Chinese or Japanese matches anywhere, without spaces.

Some 65,000 addresses per CPU second, and 15,000 texts of 2,200 characters; 9,000 with a list of 100,000 words. Not covered:
domains with letters outside ASCII must be listed as the addresses have them (mostly `xn--...`).
"""

import functools
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from curation import words
from curation.reasons import first_reason
from curation.rules.per_language import per_language
from curation.rules.surface import share

_RUN = re.compile(r"[^\W_]+")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@per_language
def url(
    docs: pa.Table,
    *,
    domains: Sequence[str] = (),
    words: Sequence[str] = (),
    soft_words: Sequence[str] = (),
    max_soft_words: int = 1,
    substrings: Sequence[str] = (),
) -> pa.Array:
    """Drops documents by their address, `origin` where it is one. One reason per row, null = keep.

    `domains`: the host is one of these or below one. `words`: one of them is a word of the address. `soft_words`: more than
    `max_soft_words` different ones are. `substrings`: one of them occurs in the address without everything but letters and digits.
    The parts are those of RefinedWeb's URL filter (Penedo et al. 2023, appendix G.1) and FineWeb's, whose limit of soft words is 1.
    Reasons: `url.domain`, `url.word`, `url.soft_words`, `url.substring`.
    """
    hosts, hard, soft, inner = (_lowered(tuple(entries)) for entries in (domains, words, soft_words, substrings))
    within = re.compile("|".join(map(re.escape, sorted(inner)))) if inner else None
    addresses = [origin if origin and _ADDRESS.match(origin) else "" for origin in docs["origin"].to_pylist()]
    runs = [set(_RUN.findall(address.lower())) for address in addresses]
    failed = {
        "url.domain": [bool(hosts) and not hosts.isdisjoint(_suffixes(_host(address))) for address in addresses],
        "url.word": [not hard.isdisjoint(found) for found in runs],
        "url.soft_words": [len(soft & found) > max_soft_words for found in runs],
        "url.substring": [
            within is not None and bool(within.search("".join(_RUN.findall(address.lower())))) for address in addresses
        ],
    }
    return first_reason(docs.num_rows, [(reason, np.array(flags, bool)) for reason, flags in failed.items()])


@per_language
def blocked_words(docs: pa.Table, *, words: Sequence[str] = (), max_count: int = 0, max_share: float = 0.0) -> pa.Array:
    """Drops texts with listed words. One reason per row, null = keep.

    A text is `words.blocked` if entries of `words` occur more than `max_count` times in it and more than `max_share` times per word. With
    the defaults one occurrence is enough, as in C4 (Raffel et al. 2020, section 2.2).
    """
    reasons = [pa.array([], pa.string())]
    for count_D, words_D in _occurrences(docs["text"], tuple(words)):
        failed_D = (count_D > max_count) & (share(count_D, words_D) > max_share)
        reasons.append(first_reason(len(count_D), [("words.blocked", failed_D)]))
    return pa.concat_arrays(reasons)


def _occurrences(texts: pa.ChunkedArray, entries: tuple[str, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(occurrences of entries, words), int64 (D,) each, per chunk of documents."""
    by_size = _entry_hashes(entries)
    found = []
    for chunk in words.chunks(texts):
        spans = words.word_runs(chunk)
        hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), spans)
        count_D = np.zeros(len(chunk.starts_D), np.int64)
        for size, wanted in by_size.items():
            hashes_G, first_G = (hashes_S, None) if size == 1 else words.ngrams(hashes_S, spans.doc_S, size)
            place = np.minimum(np.searchsorted(wanted, hashes_G), len(wanted) - 1)
            hits = np.flatnonzero(wanted[place] == hashes_G)
            count_D += np.bincount(spans.doc_S[hits if first_G is None else first_G[hits]], minlength=len(count_D))
        found.append((count_D, np.bincount(spans.doc_S, minlength=len(count_D))))
    return found


@functools.lru_cache(maxsize=64)
def _entry_hashes(entries: tuple[str, ...]) -> dict[int, np.ndarray]:
    """Number of words -> uint64, the sorted hashes of the entries of so many words."""
    hashes: dict[int, set[int]] = {}
    for entry in entries:
        chunk = words.chunk_of([entry])
        spans = words.word_runs(chunk)
        parts = words.hash_spans(words.char_sums(chunk, lower=True), spans)
        size = len(parts)
        if size:
            whole = parts if size == 1 else words.ngrams(parts, spans.doc_S, size)[0]
            hashes.setdefault(size, set()).add(int(whole[0]))
    return {size: np.array(sorted(found), np.uint64) for size, found in sorted(hashes.items())}


@functools.lru_cache(maxsize=64)
def _lowered(entries: tuple[str, ...]) -> frozenset[str]:
    return frozenset({entry.strip().lower() for entry in entries} - {""})


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:  # an address of version 6 that does not end
        return ""


def _suffixes(host: str) -> list[str]:
    """The host and the domains above it."""
    parts = host.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]
