"""Licence texts known by their words: every SPDX licence text as hashed runs of words, found in a file wherever they stand.

Words are compared as the SPDX matching guidelines ask (annex B): case, white space, punctuation, bullets, copyright lines, addresses and
names of holders do not count, and some spellings are one. A text is a set of hashed 5-word runs (`index.arrow`, 0.3 MB, built by
`index.py`); of long texts a sample by hash is kept. A file holds a licence when more than three quarters of its runs are there. The best
one is taken (a missing run costs three that are there, which tells BSD with two, three and four clauses apart), what it covers is set
aside, and the rest is looked at again, so a file of several licences gives them all.
3 ms a file, bounded by its first 256 KB; of the 666 texts themselves 663 are found as just themselves, and of 1,056 ordered
pairs of 33 common ones 1,044 as just the two (the others: Python-2.0 or curl beside what they contain).
Not covered: translations, texts with less than `LEAST_WORDS` words.
"""

import functools
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

INDEX = Path(__file__).with_name("index.arrow")
RUN, MISSING_COSTS = 5, 3  # words, and runs that are there per run that is missing
MAX_CHARS, MAX_LICENSES = 1 << 18, 24  # of a file that are looked at
LEAST_WORDS = 12
APPENDIX = 200  # words behind a licence that repeat phrases of it, and belong to it
COPIES = 1.5  # runs per distinct one, from which on there are several copies
WHOLE = 0.97  # of the runs of the best copy: less is another licence that shares most of them

_NOT_COMPARED = re.compile(
    r"https?://\S+|<[^<>\n]{1,80}>|\[[^\[\]\n]{1,40}\]|&(?:quot|lt|gt|amp|copy|nbsp);|all rights reserved"
    r"|^[^\w\n]*(?:portions )?(?:copyright|\(c\)|©)(?=[^\n]*(?:\d{4}|\(c\)|©|yyyy|\bby\b))[^\n]*",
    re.M,
)
_PARAGRAPH = re.compile(r"\n(?:[^\w\n]*\n)+")
_WORD = re.compile(r"[a-z]{2,}|\d{2,}")
_ONE_SPELLING = (  # what must be there, a pattern, its spelling; on words joined by spaces
    ("licenc", re.compile(r"\blicenc"), "licens"),
    ("sub licens", re.compile(r"\bsub licens"), "sublicens"),
    ("non infringement", re.compile(r"\bnon infringement"), "noninfringement"),
    ("and or", re.compile(r"\band or\b"), "and"),
    ("merchantibility", re.compile(r"\bmerchantibility"), "merchantability"),
    (" be used ", re.compile(r"\b(?:neither )?(?:the )?names? (?:of )?(?:\S+ ){0,30}?(?:may )?(?:not )?be used (to endorse"
                             r"|in advertising)"), r"names be used \1"),
    ("provided by ", re.compile(r"\bprovided by (?:\S+ ){1,12}?as is\b"), "provided by holder as is"),
    ("as is and ", re.compile(r"\bas is and (?:\S+ ){1,10}?disclaims?\b"), "as is and holder disclaims"),
    (" be liable", re.compile(r"\b(shall|will) (?:\S+ ){1,14}?be liable\b"), r"\1 holder be liable"),
)  # fmt: skip
_ODD = np.array([xxhash.xxh3_64_intdigest(bytes([place])) | 1 for place in range(RUN)], np.uint64)


class Match(NamedTuple):
    spdx: str
    containment: float  # share of the licence's runs that the file has
    start: int  # first word of the file that belongs to it


class _Index(NamedTuple):
    names: list[str]
    step_N: np.ndarray  # one run in so many is kept
    runs_N: np.ndarray  # how many are
    run_G: np.ndarray  # uint32, sorted, each once
    first_G: np.ndarray  # the licences of run g: licence_R[first_G[g] : first_G[g + 1]]
    licence_R: np.ndarray
    places_N: list[np.ndarray]  # which g are a licence's


def words(text: str) -> list[str]:
    """The words of a text that count."""
    joined = " ".join(_WORD.findall(_NOT_COMPARED.sub(" ", text.lower())))
    for mark, pattern, spelling in _ONE_SPELLING:
        if mark in joined:
            joined = pattern.sub(spelling, joined)
    return joined.split()


def hashed_runs(words: list[str]) -> np.ndarray:
    """uint32 hash of each run of `RUN` words, in order."""
    if len(words) < RUN:
        return np.empty(0, np.uint32)
    known = {word: xxhash.xxh3_64_intdigest(word.encode()) for word in set(words)}
    hash_W = np.array([known[word] for word in words], np.uint64)
    total = sum(hash_W[place : len(words) - RUN + 1 + place] * odd for place, odd in enumerate(_ODD))
    return ((total ^ (total >> np.uint64(29))) * _ODD[0] >> np.uint64(32)).astype(np.uint32)


def find(text: str) -> tuple[list[Match], str]:
    """(the licences whose texts are in a file, by place; the paragraphs that belong to none)."""
    index = _index()
    paragraphs = _PARAGRAPH.split(text[:MAX_CHARS])
    words_of = [words(paragraph) for paragraph in paragraphs]
    run_P = hashed_runs([word for some in words_of for word in some])
    place_P = np.minimum(np.searchsorted(index.run_G, run_P), len(index.run_G) - 1)
    place_P = np.where(index.run_G[place_P] == run_P, place_P, -1)  # which run of the index stands here
    is_known_W = np.zeros(len(run_P) + RUN, bool)
    found: list[Match] = []
    while len(found) < MAX_LICENSES and (best := _best(index, place_P)) is not None:
        licence, containment = best
        runs = np.flatnonzero(_has(index, licence, place_P))
        pieces = _pieces(index, licence, place_P, runs)
        own = [_without_echoes(piece, place_P) for piece in pieces]
        for piece, (start, end) in zip(pieces, own, strict=True):
            place_P[max(start - RUN + 1, 0) : end] = -1
            is_known_W[start : min(int(piece[-1]) + 1, end + APPENDIX) + RUN - 1] = True
        found.append(Match(index.names[licence], containment, min(own)[0]))
    ends = np.cumsum([len(some) for some in words_of])
    known = np.append(0, np.cumsum(is_known_W))
    beside = [
        paragraph
        for paragraph, some, end in zip(paragraphs, words_of, ends, strict=True)
        if 2 * (known[min(end, len(known) - 1)] - known[min(end - len(some), len(known) - 1)]) < max(len(some), 1)
    ]
    return sorted(found, key=lambda match: match.start), "\n\n".join(beside)


def _best(index: _Index, place_P: np.ndarray) -> tuple[int, float] | None:
    """The licence that explains most of the runs that are left, and the share of its runs among them."""
    here = np.unique(place_P[place_P >= 0])
    lengths = index.first_G[here + 1] - index.first_G[here]
    rows = np.repeat(index.first_G[here] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    there_N = np.bincount(index.licence_R[rows], minlength=len(index.names))
    value_N = index.step_N * (there_N - MISSING_COSTS * (index.runs_N - there_N))
    best = int(np.argmax(value_N))
    return (best, float(there_N[best] / index.runs_N[best])) if value_N[best] > 0 else None


def _has(index: _Index, licence: int, place_P: np.ndarray) -> np.ndarray:
    """Whether the run at each place of the file is one of the licence's."""
    is_its_G = np.zeros(len(index.run_G) + 1, bool)  # the last one is place -1
    is_its_G[index.places_N[licence]] = True
    return is_its_G[place_P]


def _pieces(index: _Index, licence: int, place_P: np.ndarray, runs: np.ndarray) -> list[np.ndarray]:
    """The runs of each copy of a licence: those as whole as the best one, or the pieces that make it when it is scattered."""
    size = int(index.step_N[licence] * index.runs_N[licence])
    gaps = np.flatnonzero(np.diff(runs) > 20 * index.step_N[licence]) + 1
    pieces = [copy for piece in np.split(runs, gaps) for copy in _copies(piece, place_P, size)]
    held = [set(place_P[piece].tolist()) for piece in pieces]
    most = max(map(len, held))
    is_whole = most * (MISSING_COSTS + 1) > index.runs_N[licence] * MISSING_COSTS
    kept, covered = list[np.ndarray](), set[int]()
    for piece, places in sorted(zip(pieces, held, strict=True), key=lambda pair: -len(pair[1])):
        if len(places) >= WHOLE * most if is_whole else not places <= covered:
            kept.append(piece)
            covered |= places
    return kept


def _copies(piece: np.ndarray, place_P: np.ndarray, size: int) -> list[np.ndarray]:
    """The copies of a licence that follow each other closely, where most of its runs are there more than once."""
    places = place_P[piece].tolist()
    if len(places) < COPIES * len(set(places)):
        return [piece]
    last: dict[int, int] = {}
    begins = [0]
    for number, (run, place) in enumerate(zip(piece.tolist(), places, strict=True)):
        before = last.get(place, -1)
        if before >= piece[begins[-1]] and run - before > size // 2:
            begins.append(number)
        last[place] = run
    return np.split(piece, begins[1:])


def _without_echoes(piece: np.ndarray, place_P: np.ndarray) -> tuple[int, int]:
    """Where a piece begins and ends, without the phrases at its ends that it has once more: a neighbour shares them with the licence."""
    places = place_P[piece].tolist()
    counts, start, end = Counter(places), 0, len(piece)
    while counts[places[start]] > 1:
        counts[places[start]] -= 1
        start += 1
    while counts[places[end - 1]] > 1:
        counts[places[end - 1]] -= 1
        end -= 1
    return int(piece[start]), int(piece[end - 1]) + 1


@functools.cache
def _index() -> _Index:
    with pa.ipc.open_file(INDEX) as file:
        table = file.read_all()
    runs = table["runs"].combine_chunks()
    run_R, lengths_N = runs.flatten().to_numpy(), runs.value_lengths().to_numpy()
    licence_R = np.repeat(np.arange(len(table)), lengths_N)
    order = np.lexsort((licence_R, run_R))
    run_G, first_G = np.unique(run_R[order], return_index=True)
    steps = table["step"].to_numpy().astype(np.int64)
    return _Index(
        table["spdx"].to_pylist(),
        steps,
        lengths_N.astype(np.int64),
        run_G,
        np.append(first_G, len(order)),
        licence_R[order],
        np.split(np.searchsorted(run_G, run_R), np.cumsum(lengths_N)[:-1]),
    )
