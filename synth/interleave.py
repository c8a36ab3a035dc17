"""Long documents on one subject, interleaved: pieces of several in turn, so that what goes on lies thousands of characters back.

GLM-5 packs similar long texts interleaved for its long-context stages (Zeng et al. 2026, report of GLM-5), after NextLong (Gao et al.
2025) and EntropyLong (2025), which put text between a document and its continuation so that a model must look further back. Here no text
is a mere distraction: every document is whole, in pieces, in one row or in consecutive ones.

Similar are documents of one cell of `cluster.kmeans`, chained by the cosine of their embeddings: the next is the most similar one left.
So the corpora that are read need the steps `embed.words` and `cluster.kmeans`, and must not drop their columns (`dedup.semantic:
{keep_embedding: true}`). Runs of the chain are taken that fit a row together, two to `max_documents`. Each is cut at ends of paragraphs
into as many pieces as the others, so the pieces in between are there up to the last. A line before every piece names its text:

    [Text 2 of 3]  then, further on,  [Text 2 of 3 goes on]

A document that stays alone in its cell, or is empty, is kept as it is. All documents of a cell meet in one receiver: choose `centroids`
so that one fits into memory, a few hundred documents of 500,000 characters. 150 MB per CPU second, and 4 s for the chain of 10,000
documents. Not covered: documents with loss spans (StepError), cells of more than `MAX_MEMBERS`, which are cut into slices by id.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.dedup.embed import COLUMN, matrix_of
from curation.dedup.kmeans import CENTROID
from curation.steps import StepError
from datapipe.schema import DOCUMENT, DROP, LOSS_SPANS
from synth.generators import Generator
from synth.joined import SEPARATOR, joined_row, provenance, text_sha

MADE = pa.schema([*DOCUMENT, (DROP, pa.string())])
MAX_MEMBERS = 10_000


def emit(docs: pa.Table) -> pa.Table:
    """Every document with its embedding and the key of its cell. StepError where a column is missing, or where loss spans would be lost."""
    if CENTROID not in docs.column_names:
        raise StepError(
            f"the documents have no column {CENTROID!r}: put embed.words and cluster.kmeans into the corpus that is read"
        )
    if LOSS_SPANS in docs.column_names and docs[LOSS_SPANS].null_count < docs.num_rows:
        raise StepError("documents with loss spans cannot be cut: read a corpus without")
    matrix_of(docs.slice(0, 0))
    cells = zip(
        docs["corpus"].to_pylist(), docs[CENTROID].to_pylist(), strict=True
    )  # every corpus has cells of its own
    keys = [xxhash.xxh3_64_intdigest(f"{corpus}:{cell}".encode()) for corpus, cell in cells]
    return docs.select([*DOCUMENT.names, COLUMN]).append_column("key", pa.array(keys, pa.uint64()))


def reduce(
    rows: pa.Table,
    *,
    row_tokens: int = 131_072,
    chars_per_token: float = 4.0,
    chunk_chars: int = 8_000,
    max_documents: int = 8,
) -> pa.Table:
    """Rows of interleaved documents, of at most `row_tokens` times `chars_per_token` characters, in pieces of about `chunk_chars`.

    Every document has at least two pieces, so those of short ones are shorter. `meta` says for every piece which document it is of, where
    it begins there and in the row, and how long it is: `[number in sources, start, place, length]`.
    """
    row_chars = int(row_tokens * chars_per_token)
    made: list[dict[str, Any]] = []
    is_empty = pc.equal(pc.utf8_length(rows["text"]), 0)
    made += ({**row, DROP: None} for row in rows.filter(is_empty).select(DOCUMENT.names).to_pylist())
    ordered = rows.filter(pc.invert(is_empty)).sort_by(
        [("key", "ascending"), ("id", "ascending"), ("origin", "ascending")]
    )
    for cell in _cells(ordered):
        documents = cell.select(DOCUMENT.names).to_pylist()
        for run in _runs(chain(matrix_of(cell)[0]), [len(row["text"]) for row in documents], row_chars, max_documents):
            chosen = [documents[index] for index in run]
            made += _interleaved(chosen, row_chars, chunk_chars) if len(chosen) > 1 else [{**chosen[0], DROP: None}]
    return pa.Table.from_pylist(made, schema=MADE).sort_by("id")


def check(
    *, row_tokens: int = 131_072, chars_per_token: float = 4.0, chunk_chars: int = 8_000, max_documents: int = 8
) -> None:
    """Raises ValueError for parameters that make no rows of several documents."""
    if chars_per_token <= 0 or chunk_chars < 1 or row_tokens * chars_per_token < 2 * chunk_chars:
        raise ValueError(
            f"row_tokens {row_tokens} of {chars_per_token:g} characters hold less than two pieces of {chunk_chars}: "
            f"lower chunk_chars to at most {max(1, int(row_tokens * chars_per_token) // 2)}"
        )
    if max_documents < 2:
        raise ValueError(f"max_documents is {max_documents}, but at least two are interleaved: type 8")


def chain(vectors_MN: np.ndarray) -> list[int]:
    """An order in which each document follows the one it is most similar to among those left, of equals the first; the first begins.

    `vectors_MN`: float32 whole numbers (`embed.matrix_of`), whose products are exact, so the order is the same on every machine.
    """
    if not len(vectors_MN):
        return []
    lengths_M = np.sqrt((vectors_MN.astype(np.float64) ** 2).sum(axis=1))
    inverse_M = 1 / np.where(lengths_M > 0, lengths_M, 1)
    order = [0]
    for _ in range(len(vectors_MN) - 1):
        inverse_M[order[-1]] = np.nan
        cosine_M = (vectors_MN @ vectors_MN[order[-1]]) * inverse_M
        order.append(int(np.nanargmax(cosine_M)))
    return order


def pieces(text: str, count: int) -> list[str]:
    """The text in `count` pieces of about the same length, none empty, cut behind the end of a paragraph, else of a line, else of a word.

    ValueError for a text of fewer characters than pieces.
    """
    if len(text) < count:
        raise ValueError(f"{len(text)} characters cannot make {count} pieces")
    found, start = [], 0
    for left in range(count, 1, -1):
        target = start + (len(text) - start) // left
        reach = max(1, (target - start) // 2)
        end = _cut(text, max(start + 1, target - reach), target, min(target + reach, len(text) - left + 1))
        found.append(text[start:end])
        start = end
    return [*found, text[start:]]


def _cells(rows: pa.Table) -> Iterator[pa.Table]:
    keys = rows["key"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]).tolist()
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=False):
        for first in range(start, end, MAX_MEMBERS):
            yield rows.slice(first, min(MAX_MEMBERS, end - first))


def _runs(order: Sequence[int], chars: Sequence[int], row_chars: int, max_documents: int) -> Iterator[list[int]]:
    """Consecutive documents of the chain that fit a row together; at least two, but for a last one that is left over."""
    run: list[int] = []
    size = 0
    for index in order:
        if len(run) >= 2 and (size + chars[index] > row_chars or len(run) == max_documents):
            yield run
            run, size = [], 0
        run.append(index)
        size += chars[index]
    if run:
        yield run


def _interleaved(documents: Sequence[Mapping[str, Any]], row_chars: int, chunk_chars: int) -> Iterator[dict[str, Any]]:
    """One or several rows of all pieces of the documents, in turn."""
    chars = [len(row["text"]) for row in documents]
    count = min(max(2, round(sum(chars) / (len(chars) * chunk_chars))), min(chars))
    cut = [pieces(row["text"], count) for row in documents]
    origin = "interleave/" + documents[0]["id"]
    row = _Row(documents)
    done: list[_Row] = []
    for turn in range(count):
        for number in range(len(documents)):
            if not row.takes(cut[number][turn], row_chars):
                done.append(row)
                row = _Row(documents, row.begun, row.read)
            row.add(number, cut[number][turn])
    done.append(row)
    for part, each in enumerate(done, 1):
        yield each.document(origin if len(done) == 1 else f"{origin}#{part}-of-{len(done)}")


class _Row:
    """A row that grows by pieces."""

    def __init__(
        self, documents: Sequence[Mapping[str, Any]], begun: Sequence[bool] = (), read: Sequence[int] = ()
    ) -> None:
        self.documents = documents
        self.begun = list(begun) or [False] * len(
            documents
        )  # which texts stood before, in this row or the one before it
        self.read = list(read) or [0] * len(documents)  # characters of each that stood before
        self.parts: list[str] = []
        self.size = 0
        self.places: list[tuple[int, int, int, int]] = []

    def takes(self, piece: str, row_chars: int) -> bool:
        return not self.parts or self.size + len(piece) + 60 <= row_chars

    def add(self, number: int, piece: str) -> None:
        goes_on = " goes on" if self.begun[number] else ""
        head = f"[Text {number + 1} of {len(self.documents)}{goes_on}]\n"
        before = SEPARATOR if self.parts else ""
        place = self.size + len(before) + len(head)
        self.places.append((number, self.read[number], place, len(piece)))
        self.parts += [before, head, piece]
        self.size = place + len(piece)
        self.begun[number] = True
        self.read[number] += len(piece)

    def document(self, origin: str) -> dict[str, Any]:
        sources = [row["id"] for row in self.documents]
        used = sorted({number for number, *_ in self.places})
        parents = ([sources[number], text_sha(self.documents[number]["text"])] for number in used)
        meta = {**provenance("interleave", parents), "sources": sources, "pieces": self.places}
        return {**joined_row(origin, [self.documents[each] for each in used], "".join(self.parts), meta), DROP: None}


def _cut(text: str, low: int, target: int, high: int) -> int:
    """The end nearest to `target`, in [low, high], of a paragraph; else of a line, of a word; else `target`."""
    for mark in ("\n\n", "\n", " "):
        before = text.rfind(mark, low - 1, target)
        after = text.find(mark, max(target - len(mark), low), high)
        ends = [place + len(mark) for place in (before, after) if place >= 0 and low <= place + len(mark) <= high]
        if ends:
            return min(ends, key=lambda end: (abs(end - target), end))
    return min(max(target, low), high)


INTERLEAVE = Generator(emit, reduce, check)
