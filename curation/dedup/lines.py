"""Exact deduplication of lines: what stands on many pages of a crawl (menus, notices, footers) stays on the best of them only.

A line is known by its words, in lower case, without punctuation and white space. Lines of few words are left alone: headings, brackets of
code, table cells, short answers. CCNet (Wenzek et al. 2020, section 3.1) removes every repeated paragraph; `max_documents` spares what a
few pages share, such as a quotation. A whole page goes when too little of it is left.

Costs some 25 bytes of exchange per line. Not covered: passages that begin or end inside a line.
"""

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from curation import words
from curation.dedup import clusters
from curation.reasons import mark
from curation.steps import COUNTS, RoutedStep
from datapipe.schema import with_column

REASON = "dedup.lines"
_LINE_BASE = 0x9E6C63D0676A9A99  # odd
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def emit(docs: pa.Table, *, min_words: int = 8) -> pa.Table:
    """One row per document and distinct line: key (the line's hash), and the document's place in the order: the longest first."""
    keys, rows = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for first_doc, chunk in _numbered_chunks(docs["text"]):
        in_lines, hashes_L, words_L = line_hashes(chunk)
        pairs = np.stack([hashes_L, in_lines.doc_S.astype(np.uint64)])[:, words_L >= min_words]
        distinct = np.unique(pairs, axis=1)
        keys.append(distinct[0])
        rows.append(distinct[1].astype(np.int64) + first_doc)
    row = np.concatenate(rows)
    place = pa.table(clusters.place(docs)).take(pa.array(row))
    return place.add_column(0, "key", pa.array(np.concatenate(keys)))


def judge(rows: pa.Table, *, max_documents: int = 3) -> pa.Table:
    """Which document loses which line: `doc` and `line` (the line's hash). A line of more than `max_documents` pages stays in the best."""
    shared = clusters.shared_keys(rows["key"].to_numpy())
    rows = clusters.in_order(rows.filter(pa.array(shared, pa.bool_())))
    keys = rows["key"].to_numpy()
    starts, counts = clusters.buckets(keys)
    again = np.ones(len(keys), bool)
    again[starts] = False
    again &= np.repeat(counts > max_documents, counts)
    lost = rows.filter(pa.array(again, pa.bool_()))
    return pa.table({"doc": lost["doc"], "line": lost["key"]})


def apply(docs: pa.Table, found: pa.Table, *, min_kept: float = 0.5) -> pa.Table:
    """Takes the lines out of the texts, and drops a document of whose characters less than the share `min_kept` is left.

    Counted, of the documents that stay: `lines_removed`, `chars_removed` (with the line feeds), `documents_changed`.
    """
    lost = np.sort(_paired(found["line"].to_numpy(), found["row"].to_numpy()))
    touched = pa.array(np.unique(found["row"].to_numpy()))  # the others are not looked at
    texts, reasons = docs["text"].to_pylist(), np.full(docs.num_rows, None, object)
    counts = Counter[str](lines_removed=0, chars_removed=0, documents_changed=0)
    for first, chunk in _numbered_chunks(docs["text"].take(touched)):
        in_lines, hashes_L, _ = line_hashes(chunk)
        docs_D = touched.to_numpy()[first : first + len(chunk.starts_D)]
        ours = _paired(hashes_L, docs_D[in_lines.doc_S])
        gone_L = lost[np.minimum(np.searchsorted(lost, ours), len(lost) - 1)] == ours
        gone_L &= in_lines.end_S - chunk.starts_D[in_lines.doc_S] < words.MAX_CHARS  # what is cut off there is no line
        for number, doc in enumerate(docs_D.tolist()):
            gone = np.flatnonzero(gone_L & (in_lines.doc_S == number))
            start = chunk.starts_D[number]
            text = texts[doc]
            kept = _without(text, in_lines.start_S[gone] - start, in_lines.end_S[gone] - start)
            texts[doc] = kept
            if not kept or len(kept) < min_kept * len(text):
                reasons[doc] = REASON
            elif len(gone):
                counts.update(lines_removed=len(gone), chars_removed=len(text) - len(kept), documents_changed=1)
    docs = with_column(docs, "text", pa.array(texts, pa.large_string()))
    return mark(docs, pa.array(reasons, pa.string())).replace_schema_metadata({COUNTS: json.dumps(counts)})


def line_hashes(chunk: words.Chunk) -> tuple[words.Spans, np.ndarray, np.ndarray]:
    """(the lines of a chunk, uint64 hash of the words of each, number of words of each)."""
    in_lines, spans = words.lines(chunk), words.word_runs(chunk)
    hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), spans)
    line_S = np.searchsorted(in_lines.start_S, spans.start_S, side="right") - 1
    words_L = np.bincount(line_S, minlength=len(in_lines.start_S))
    first_L = np.cumsum(words_L) - words_L
    position_S = np.arange(len(line_S)) - np.repeat(first_L, words_L)
    terms_S = hashes_S * _powers(int(words_L.max(initial=0)))[position_S]
    sums_S1 = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms_S, dtype=np.uint64)])
    return in_lines, sums_S1[first_L + words_L] - sums_S1[first_L], words_L


def check(*, min_words: int = 8, max_documents: int = 3, min_kept: float = 0.5) -> None:
    """Raises ValueError for parameters out of range."""
    if min(min_words, max_documents) < 1:
        raise ValueError(f"min_words {min_words} and max_documents {max_documents} must be at least 1")
    if not 0 <= min_kept <= 1:
        raise ValueError(f"min_kept is {min_kept}, but it is a share: type a number from 0 to 1, such as 0.5")


LINES = RoutedStep(emit, judge, apply, check, rewrites=True)


def _numbered_chunks(texts: pa.ChunkedArray) -> Iterator[tuple[int, words.Chunk]]:
    first_doc = 0
    for chunk in words.chunks(texts):
        yield first_doc, chunk
        first_doc += len(chunk.starts_D)


def _paired(lines: np.ndarray, docs: np.ndarray) -> np.ndarray:
    """uint64: a line in a document."""
    return lines ^ (docs.astype(np.uint64) * _GOLDEN)


def _powers(count: int) -> np.ndarray:
    powers = np.full(count + 1, _LINE_BASE, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _without(text: str, starts: np.ndarray, ends: np.ndarray) -> str:
    """`text` without some of its lines, given by their first character and their line feed."""
    pieces, place = [], 0
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        pieces.append(text[place:start])
        place = end + 1
    return "".join([*pieces, text[place:]]).strip("\n")
