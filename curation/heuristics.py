"""Rules on the surface of a text: length, and the Gopher quality and repetition rules (Rae et al. 2021, appendix A.1.1, table A1).

All statistics of a partition are computed at once in numpy over `curation.words`; a document fails the first rule of its list that it
breaks. Where the paper leaves a definition open, ours is:

- A word is what stands between white space (as in Dolma), and every ideograph. Word counts and lengths leave out words of punctuation
  only; the shares per word count all words. Tokenisers that split punctuation off (datatrove's) drop far more documents at the
  80 % rule: every comma counts against a text there.
- Lines and paragraphs that hold only white space do not exist. A paragraph ends at a blank line.
- Stop words count once each: two different ones must occur. The list is English; for another language give its own, or 0.
- The top n-gram is the most frequent one that occurs at least twice (of equally frequent ones the longest), in characters with one
  space between words, times its count. Duplicate n-grams are counted as datatrove does: from left to right, skipping behind a duplicate,
  so that no character counts twice.

Only the first 2 M characters of a document are looked at. Quality rules 30 MB and repetition rules 8 MB of text per CPU second.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import words
from curation.reasons import first_reason
from curation.words import Chunk, Spans

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
TOP_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def length(docs: pa.Table, *, min_chars: int = 1, max_chars: int = 10_000_000) -> pa.Array:
    """Drops texts outside a range of characters: `length.short`, `length.long`."""
    chars = pc.fill_null(pc.utf8_length(docs["text"]), 0).to_numpy()
    return first_reason(len(chars), [("length.short", chars < min_chars), ("length.long", chars > max_chars)])


def gopher_quality(
    docs: pa.Table,
    *,
    min_words: int = 50,
    max_words: int = 100_000,
    min_mean_word_length: float = 3.0,
    max_mean_word_length: float = 10.0,
    max_symbols_per_word: float = 0.1,
    max_bullet_lines: float = 0.9,
    max_ellipsis_lines: float = 0.3,
    min_alpha_ratio: float = 0.8,
    min_stop_words: int = 2,
    stop_words: Sequence[str] = STOP_WORDS,
) -> pa.Array:
    """Gopher quality rules. One reason per row, null = keep.

    `max_symbols_per_word` holds for hash signs and for ellipses (`...` or `…`), each on its own; `max_bullet_lines` and
    `max_ellipsis_lines` are shares of the lines that start with a bullet (`•` or `-`) or end in an ellipsis;
    `min_alpha_ratio` is the least share of words with a letter.
    """
    parts = [_quality_statistics(chunk, stop_words) for chunk in words.chunks(docs["text"])]
    stats = _Quality(*map(np.concatenate, zip(*parts, strict=True))) if parts else _Quality(*[np.empty(0)] * 8)
    failed = [
        ("gopher_quality.few_words", stats.words < min_words),
        ("gopher_quality.many_words", stats.words > max_words),
        ("gopher_quality.short_words", stats.mean_word_length < min_mean_word_length),
        ("gopher_quality.long_words", stats.mean_word_length > max_mean_word_length),
        ("gopher_quality.hash_signs", stats.hash_signs > max_symbols_per_word),
        ("gopher_quality.ellipses", stats.ellipses > max_symbols_per_word),
        ("gopher_quality.bullet_lines", stats.bullet_lines > max_bullet_lines),
        ("gopher_quality.ellipsis_lines", stats.ellipsis_lines > max_ellipsis_lines),
        ("gopher_quality.few_alphabetic_words", stats.alphabetic_words < min_alpha_ratio),
        ("gopher_quality.few_stop_words", stats.stop_words < min_stop_words),
    ]
    return first_reason(docs.num_rows, failed)


def gopher_repetition(
    docs: pa.Table,
    *,
    max_duplicate_lines: float = 0.30,
    max_duplicate_paragraphs: float = 0.30,
    max_duplicate_line_chars: float = 0.20,
    max_duplicate_paragraph_chars: float = 0.20,
    top_ngrams: Mapping[int, float] = TOP_NGRAMS,
    duplicate_ngrams: Mapping[int, float] = DUPLICATE_NGRAMS,
) -> pa.Array:
    """Gopher repetition rules. One reason per row, null = keep. Thresholds are shares of lines, of paragraphs, or of all characters.

    `top_ngrams` and `duplicate_ngrams` give the threshold for each length of n-gram.
    """
    reasons = [pa.array([], pa.string())]
    for chunk in words.chunks(docs["text"]):
        in_lines, sums_C1 = words.lines(chunk), words.char_sums(chunk)
        line_share, line_chars = _duplicated(chunk, sums_C1, in_lines)
        paragraph_share, paragraph_chars = _duplicated(chunk, sums_C1, words.paragraphs(chunk, in_lines))
        failed = [
            ("gopher_repetition.duplicate_paragraphs", paragraph_share > max_duplicate_paragraphs),
            ("gopher_repetition.duplicate_paragraph_chars", paragraph_chars > max_duplicate_paragraph_chars),
            ("gopher_repetition.duplicate_lines", line_share > max_duplicate_lines),
            ("gopher_repetition.duplicate_line_chars", line_chars > max_duplicate_line_chars),
            *_repeated_ngrams(chunk, sums_C1, top_ngrams, duplicate_ngrams),
        ]
        reasons.append(first_reason(len(chunk.starts_D), failed))
    return pa.concat_arrays(reasons)


class _Quality(NamedTuple):
    """Per document. Shares are of its words or lines; a share of nothing is 0."""

    words: np.ndarray
    mean_word_length: np.ndarray
    hash_signs: np.ndarray
    ellipses: np.ndarray
    bullet_lines: np.ndarray
    ellipsis_lines: np.ndarray
    alphabetic_words: np.ndarray
    stop_words: np.ndarray


def _quality_statistics(chunk: Chunk, stop_words: Sequence[str]) -> _Quality:
    num_docs = len(chunk.starts_D)
    spans, in_lines = words.blank_separated(chunk), words.lines(chunk)
    all_words, all_lines = (np.bincount(found.doc_S, minlength=num_docs) for found in (spans, in_lines))
    real_S = words.count_in(spans, (chunk.classes_C & words.SYMBOL) == 0) > 0
    real_words = np.bincount(spans.doc_S[real_S], minlength=num_docs)
    real_chars = words.per_document(spans.chars_S[real_S], spans.doc_S[real_S], num_docs)
    alphabetic_S = words.count_in(spans, (chunk.classes_C & words.LETTER) != 0) > 0
    dots = words.runs(chunk, chunk.codes_C == ord("."))
    ellipses = words.per_document(dots.chars_S // 3, dots.doc_S, num_docs) + chunk.count_flags(
        chunk.codes_C == ord("…")
    )
    bullet_S, ellipsis_S = _line_ends(chunk, in_lines)
    return _Quality(
        words=real_words,
        mean_word_length=_share(real_chars, real_words),
        hash_signs=_share(chunk.count_flags(chunk.codes_C == ord("#")), all_words),
        ellipses=_share(ellipses, all_words),
        bullet_lines=_share(np.bincount(in_lines.doc_S[bullet_S], minlength=num_docs), all_lines),
        ellipsis_lines=_share(np.bincount(in_lines.doc_S[ellipsis_S], minlength=num_docs), all_lines),
        alphabetic_words=_share(np.bincount(spans.doc_S[alphabetic_S], minlength=num_docs), all_words),
        stop_words=_distinct_among(chunk, spans, stop_words),
    )


def _line_ends(chunk: Chunk, in_lines: Spans) -> tuple[np.ndarray, np.ndarray]:
    """bool (S,) twice: the line starts with a bullet; it ends in an ellipsis. White space around it does not count."""
    black = np.flatnonzero((chunk.classes_C & words.SPACE) == 0)
    codes_C = chunk.codes_C
    first_S = black[np.searchsorted(black, in_lines.start_S)]
    last_S = black[np.searchsorted(black, in_lines.end_S) - 1]
    dots_S = np.logical_and.reduce([codes_C[np.maximum(last_S - back, 0)] == ord(".") for back in range(3)])
    return np.isin(codes_C[first_S], [ord("•"), ord("-")]), dots_S | (codes_C[last_S] == ord("…"))


def _distinct_among(chunk: Chunk, spans: Spans, wanted: Sequence[str]) -> np.ndarray:
    """int64 (D,): how many of the `wanted` words (in lower case) each document has."""
    hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), spans)
    found_D = np.zeros(len(chunk.starts_D), np.int64)
    for word in wanted:
        there = spans.doc_S[hashes_S == np.uint64(words.hash_text(word))]
        found_D += np.bincount(there, minlength=len(found_D)) > 0
    return found_D


def _duplicated(chunk: Chunk, sums_C1: np.ndarray, spans: Spans) -> tuple[np.ndarray, np.ndarray]:
    """(share of a document's spans that came before in it, their characters as a share of its characters), float64 (D,)."""
    num_docs = len(chunk.starts_D)
    again_S = words.repeats(words.hash_spans(sums_C1, spans), spans.doc_S)
    docs = spans.doc_S[again_S]
    share_D = _share(np.bincount(docs, minlength=num_docs), np.bincount(spans.doc_S, minlength=num_docs))
    return share_D, _share(words.per_document(spans.chars_S[again_S], docs, num_docs), chunk.chars_D)


def _repeated_ngrams(
    chunk: Chunk, sums_C1: np.ndarray, top: Mapping[int, float], duplicate: Mapping[int, float]
) -> Iterator[tuple[str, np.ndarray]]:
    """The rules on n-grams: (reason, bool (D,) failed), the shortest n-grams first."""
    spans = words.blank_separated(chunk)
    hashes_S = words.hash_spans(sums_C1, spans)
    before_S1 = np.concatenate([[0], np.cumsum(spans.chars_S)])  # characters of all words before a word
    for n, limit in sorted(top.items()):
        chars_D = _top_ngram_chars(hashes_S, spans, before_S1, n, len(chunk.starts_D))
        yield f"gopher_repetition.top_{n}_gram", _share(chars_D, chunk.chars_D) > limit
    if not duplicate:
        return
    suspects = _suspects(chunk, hashes_S, spans, before_S1, min(duplicate), min(duplicate.values()))
    bounds = np.searchsorted(spans.doc_S, np.arange(len(chunk.starts_D) + 1))
    for n, limit in sorted(duplicate.items()):
        failed_D = np.zeros(len(chunk.starts_D), bool)
        for doc in suspects:
            inside = slice(bounds[doc], bounds[doc + 1])
            before = before_S1[bounds[doc] : bounds[doc + 1] + 1]
            failed_D[doc] = _duplicate_chars(hashes_S[inside], before, n) / chunk.chars_D[doc] > limit
        yield f"gopher_repetition.duplicate_{n}_gram", failed_D


def _top_ngram_chars(hashes_S: np.ndarray, spans: Spans, before_S1: np.ndarray, n: int, num_docs: int) -> np.ndarray:
    """int64 (D,): characters in all occurrences of the most frequent n-gram that occurs at least twice."""
    hashes_G, first_G = words.ngrams(hashes_S, spans.doc_S, n)
    order, starts = words.occurrences(hashes_G, spans.doc_S[first_G])
    counts = np.diff(np.append(starts, len(order)))
    often = counts > 1
    place, counts = first_G[order[starts[often]]], counts[often]
    chars = (before_S1[place + n] - before_S1[place] + n - 1) * counts
    ranked = np.lexsort((chars, counts, spans.doc_S[place]))
    top_D = np.zeros(num_docs, np.int64)
    top_D[spans.doc_S[place[ranked]]] = chars[ranked]  # of several values for a document numpy keeps the last
    return top_D


def _suspects(
    chunk: Chunk, hashes_S: np.ndarray, spans: Spans, before_S1: np.ndarray, n: int, limit: float
) -> list[int]:
    """Documents of whose characters repeated n-grams cover more than the share `limit`.

    An upper bound for the duplicates of this and every greater n: a word of a repeated n+1-gram lies in a repeated n-gram.
    """
    hashes_G, first_G = words.ngrams(hashes_S, spans.doc_S, n)
    again = first_G[words.repeats(hashes_G, spans.doc_S[first_G])]
    edge_S = np.zeros(len(hashes_S) + 1, np.int64)
    np.add.at(edge_S, again, 1)
    np.add.at(edge_S, again + n, -1)
    covered_S = np.cumsum(edge_S[:-1]) > 0
    chars_D = words.per_document(np.diff(before_S1)[covered_S], spans.doc_S[covered_S], len(chunk.chars_D))
    return np.flatnonzero(_share(chars_D, chunk.chars_D) > limit).tolist()


def _duplicate_chars(hashes_S: np.ndarray, before_S1: np.ndarray, n: int) -> int:
    """Characters in duplicate n-grams of one document, from left to right, each counted once."""
    one_document = np.zeros(len(hashes_S), np.int64)
    hashes_G, _ = words.ngrams(hashes_S, one_document, n)
    order, starts = words.occurrences(hashes_G, one_document[: len(hashes_G)])
    counts = np.diff(np.append(starts, len(order)))
    repeated = np.sort(order[np.repeat(counts > 1, counts)])  # the others can neither be duplicates nor have any
    seen: set[int] = set()
    chars = place = 0
    for gram, at in zip(hashes_G[repeated].tolist(), repeated.tolist(), strict=True):
        if at < place:
            continue
        if gram in seen:
            chars += int(before_S1[at + n] - before_S1[at])
            place = at + n
        seen.add(gram)
    return chars


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is no whole."""
    return part / np.maximum(whole, 1)
