"""Chunks of documents for a judge that reads little at a time, and what they say about the whole.

A text is cut into parts of equal length, none longer than asked, and some are drawn by numbers keyed by seed, document and place: the same
chunks whenever and wherever they are asked for, so what labels were given to is what is scored. A chunk is cut anywhere, in the middle of
a word as well: at 4,000 characters that is one word in 700.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation import words

LEAST_CHARS = 100  # shorter ones say too little to be judged
_SIGN = "#"  # between a document's id and the place of a chunk


class Chunks(NamedTuple):
    """Chunks in the order of documents, then places."""

    ids: list[str]  # `<id of the document>#<place>`
    texts: list[str]
    doc_N: np.ndarray  # int64, which of the documents


def chunks_of(ids: pa.ChunkedArray, texts: pa.ChunkedArray, *, chunk_chars: int, chunks: int, seed: int) -> Chunks:
    """At most `chunks` of every text, each of at most `chunk_chars` characters; of an empty text one, which is empty.

    As everywhere, the first 2 Mi characters of a text are looked at (`words.MAX_CHARS`).
    """
    found = Chunks([], [], np.zeros(0, np.int64))
    counts = []
    for identity, text in zip(ids.to_pylist(), texts.to_pylist(), strict=True):
        text = (text or "")[: words.MAX_CHARS]
        num_places = max(1, -(-len(text) // chunk_chars))
        names = [f"{identity}{_SIGN}{place}" for place in range(num_places)]
        drawn = list(range(num_places))
        if num_places > chunks:
            draws = [(xxhash.xxh3_64_intdigest(name.encode(), seed), place) for place, name in enumerate(names)]
            drawn = sorted(place for _, place in sorted(draws)[:chunks])
        counts.append(len(drawn))
        found.ids.extend(names[place] for place in drawn)
        found.texts.extend(
            text[place * len(text) // num_places : (place + 1) * len(text) // num_places] for place in drawn
        )
    return found._replace(doc_N=np.repeat(np.arange(len(counts)), counts))


def in_chunks(sample: pa.Table, *, chunk_chars: int, chunks: int, seed: int) -> pa.Table:
    """A table with `id` and `text`, a row per chunk instead of one per document; other columns are repeated."""
    found = chunks_of(sample["id"], sample["text"], chunk_chars=chunk_chars, chunks=chunks, seed=seed)
    rows = sample.take(pa.array(found.doc_N))
    for name, column in (("id", found.ids), ("text", found.texts)):
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), pa.array(column, rows.schema.field(index).type))
    return rows


def document_ids(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Of each chunk the id of its document; other ids are as they were."""
    return pc.replace_substring_regex(ids, rf"{_SIGN}\d+$", "")


def means(values_N: np.ndarray, doc_N: np.ndarray, chars_N: np.ndarray, num_docs: int) -> np.ndarray:
    """float64 (num_docs,): the means of the chunks' values, weighted by their lengths."""
    weight_N = np.maximum(chars_N, 1).astype(np.float64)
    return np.bincount(doc_N, values_N * weight_N, num_docs) / np.bincount(doc_N, weight_N, num_docs)
