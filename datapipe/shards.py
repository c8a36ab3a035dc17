"""Packed rows on disk: `<prefix>.tokens.arrow` holds the tokens, `<prefix>.docs.arrow` the documents they came from.

Both are standard Arrow IPC files that any Arrow reader opens. The tokens lie end to end in zstd record batches of 65,536, as two planes
(token = lo | hi << 16): 0.7 to 0.9 bytes per token of text, 400 M tokens/s decoded per core, 0.2 ms for a row anywhere. Row r is tokens
[r * seq_len, (r + 1) * seq_len). The docs lie in record batches of 2**20 // seq_len rows (at least one), so the pieces of a row are
found by arithmetic. Document boundaries, loss masks and lineage come from them, never from EOS tokens.

Every record batch is checked whenever it is read (`arrow_file`), and read whole. The same rows give the same bytes. Not covered: token
ids from 2**24 up; a seq_len that shares no large power of two with 65,536 is read correctly, but more slowly.
"""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe.arrow_file import ArrowInput, ChecksumError, Meter, ShardError, arrow_output
from datapipe.block_cache import BlockCache
from datapipe.lru import Entries, Slots
from datapipe.ragged import Ranges, by_value, expand

__all__ = [
    "BATCH_TOKENS",
    "BatchCache",
    "ChecksumError",
    "Layout",
    "Meter",
    "Piece",
    "ShardError",
    "ShardInfo",
    "ShardReader",
    "ShardWriter",
    "docs_path",
    "tokens_path",
]

BATCH_TOKENS = 65_536
DOCS_TOKENS = 16 * BATCH_TOKENS  # of the rows of one record batch of docs, which is small and costs mostly the call
LARGE_UNIT = 2048  # tokens that are copied in the time of some steps of the interpreter
MAX_TOKEN = (1 << 24) - 1
CACHE_BYTES = 64 << 20
# Level 9 takes 50 ns per token to write (a tokenizer takes 500), where 3 takes 10; the file is 10 % smaller, and tokens that are beyond
# 65,536 now and then decode 10 % faster. The few and small buffers of docs would take 100 us per batch from zstd, 9 us from lz4, for 1 %
# of the shard's size.
TOKENS_CODEC, DOCS_CODEC = pa.Codec("zstd", compression_level=9), pa.Codec("lz4")

TOKENS = pa.schema([pa.field("lo", pa.uint16(), nullable=False), pa.field("hi", pa.uint8(), nullable=False)])
SPANS = pa.list_(pa.struct([("start", pa.uint32()), ("length", pa.uint32())]))
DOCS = pa.schema(
    [
        pa.field("doc", pa.string(), nullable=False),  # document id
        pa.field("origin", pa.string(), nullable=False),
        pa.field("source", pa.uint16(), nullable=False),  # index into the names noted in the schema
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("start", pa.uint32(), nullable=False),  # in tokens of the row
        pa.field("length", pa.uint32(), nullable=False),
        pa.field("offset", pa.uint32(), nullable=False),  # of the piece, in tokens of the document
        pa.field("loss_spans", SPANS),  # in tokens of the row; null = every token
    ]
)


@dataclass(frozen=True)
class Piece:
    """A stretch of one document in a row. Spans are (start, length) of what may be learned. All in tokens of the row, but for `offset`."""

    doc: str
    start: int
    length: int
    loss_spans: tuple[tuple[int, int], ...] | None = None  # None = every token
    origin: str = ""
    source: int = 0  # index into the sources of the shard
    offset: int = 0  # in tokens of the document


class ShardInfo(NamedTuple):
    """What was written, for the lock."""

    rows: int
    tokens: int  # without padding
    pieces: int
    bytes: int  # of both files
    sha256_tokens: str
    sha256_docs: str


class Layout(NamedTuple):
    """What lies in n rows. `learned` are the positions whose next token is to be learned: a loss span moved left by one token."""

    pieces: Ranges
    learned: Ranges
    source: np.ndarray  # int32, per piece: index into the sources of the shard

    def take(self, rows: np.ndarray) -> "Layout":
        return Layout(self.pieces.take(rows), self.learned.take(rows), self.source[self.pieces.of_rows(rows)])

    def without_spans(self) -> "Layout":
        """The same as if no document had loss spans: every token of every piece is learned."""
        pieces = self.pieces
        return self._replace(learned=Ranges(pieces.counts, pieces.begin, pieces.end - 1))

    @staticmethod
    def concatenate(parts: Sequence["Layout"]) -> "Layout":
        pieces, learned, source = zip(*parts, strict=True)
        return Layout(Ranges.concatenate(pieces), Ranges.concatenate(learned), np.concatenate(source))


class BatchCache:
    """Decoded record batches of any number of readers, the least recently used go first: seven parts of the bytes for tokens, each batch
    in 256 KiB however short it is, and one part for docs."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self.docs = Entries(limit_bytes // 8)
        self.tokens = Slots(limit_bytes - limit_bytes // 8, BATCH_TOKENS)


def tokens_path(prefix: str) -> str:
    return f"{prefix}.tokens.arrow"


def docs_path(prefix: str) -> str:
    return f"{prefix}.docs.arrow"


def rows_per_batch(seq_len: int) -> int:
    """Rows whose pieces stand in one record batch of the docs."""
    return max(1, DOCS_TOKENS // seq_len)


class ShardWriter:
    """Writes packed rows one after the other in bounded memory; the files appear, whole, at `close` (tokens last).

    As a context manager it closes itself, and leaves nothing behind when the block raises. `sources` ("corpus/bucket") are what pieces
    may come from: several when documents of one fill the gaps of another's rows.
    """

    def __init__(self, prefix: str, *, seq_len: int, sources: Sequence[str] = ("",)) -> None:
        if seq_len < 1:
            raise ValueError(f"{prefix}: seq_len is {seq_len}; a row has at least one token")
        self.prefix, self.seq_len, self.sources = prefix, seq_len, tuple(sources)
        self._rows_per_batch = rows_per_batch(seq_len)
        self._rows = self._rows_noted = self._num_pieces = self._num_tokens = 0
        self._pending = np.empty(BATCH_TOKENS, np.uint32)
        self._num_pending = 0
        self._pieces: list[tuple[int, Piece]] = []  # (row, piece) of the docs batch being filled
        self._stack = contextlib.ExitStack()
        files = ((tokens_path(prefix), TOKENS, TOKENS_CODEC), (docs_path(prefix), DOCS, DOCS_CODEC))
        notes = {"seq_len": str(seq_len), "sources": json.dumps(self.sources)}
        self._tokens, self._docs = (self._stack.enter_context(arrow_output(*file, notes)) for file in files)

    def add(self, tokens: np.ndarray, pieces: Sequence[Piece]) -> None:
        """Append a row: tokens uint32 (seq_len,), and the pieces that lie in it back to back from token 0; the rest is padding."""
        if tokens.shape != (self.seq_len,) or tokens.dtype != np.uint32:
            raise ValueError(f"{self._where}: tokens are {tokens.dtype} {tokens.shape}, not uint32 ({self.seq_len},)")
        self._num_tokens += self._checked_end(pieces)
        self._num_pieces += len(pieces)
        self._pieces.extend((self._rows, piece) for piece in pieces)
        self._append(tokens)
        self._rows += 1
        if self._rows - self._rows_noted == self._rows_per_batch:
            self._flush_docs()

    def close(self) -> ShardInfo:
        """Finish both files and make them visible. A second call changes nothing."""
        with self._stack.pop_all():
            if self._num_pending:
                self._flush_tokens()
            if self._rows_noted < self._rows:
                self._flush_docs()
        return self.info

    @property
    def info(self) -> ShardInfo:
        """What was written; bytes and hashes are final after `close`."""
        return ShardInfo(
            rows=self._rows,
            tokens=self._num_tokens,
            pieces=self._num_pieces,
            bytes=self._tokens.stream.size_bytes + self._docs.stream.size_bytes,
            sha256_tokens=self._tokens.stream.sha256.hexdigest(),
            sha256_docs=self._docs.stream.sha256.hexdigest(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._stack.__exit__(kind, error, trace)

    @property
    def _where(self) -> str:
        return f"{self.prefix}, row {self._rows}"

    def _checked_end(self, pieces: Sequence[Piece]) -> int:
        """Tokens of the row that pieces cover. Raises ValueError when they do not lie back to back, or a span outside its piece."""
        end = 0
        for piece in pieces:
            if piece.start != end or piece.length < 1:
                raise ValueError(
                    f"{self._where}: {piece} must start at token {end}, where the one before ends, and not be empty"
                )
            if not 0 <= piece.source < len(self.sources):
                raise ValueError(f"{self._where}: {piece} is of source {piece.source}; there are {len(self.sources)}")
            end += piece.length
            free = piece.start
            for start, length in piece.loss_spans or ():
                if start < free or length < 1 or start + length > end:
                    raise ValueError(
                        f"{self._where}: loss span {(start, length)} must lie in tokens {free} to {end} of the row: "
                        "inside its piece, after the span before, and not empty"
                    )
                free = start + length
        if end > self.seq_len:
            raise ValueError(f"{self._where}: the pieces end at token {end}, the row at {self.seq_len}")
        return end

    def _append(self, tokens: np.ndarray) -> None:
        while tokens.size:
            taken = tokens[: BATCH_TOKENS - self._num_pending]
            self._pending[self._num_pending : self._num_pending + taken.size] = taken
            self._num_pending += taken.size
            tokens = tokens[taken.size :]
            if self._num_pending == BATCH_TOKENS:
                self._flush_tokens()

    def _flush_tokens(self) -> None:
        tokens = self._pending[: self._num_pending]
        if tokens.max() > MAX_TOKEN:
            raise ValueError(f"{self._where}: token {tokens.max()} does not fit 24 bits (at most {MAX_TOKEN})")
        planes = [tokens.astype(np.uint16), (tokens >> 16).astype(np.uint8)]
        self._tokens.write(pa.record_batch(planes, schema=TOKENS))
        self._num_pending = 0

    def _flush_docs(self) -> None:
        self._docs.write(_docs_batch(self._pieces))
        self._pieces.clear()
        self._rows_noted = self._rows


class ShardReader:
    """Random access to the rows of a shard. Not for several threads at once.

    Needed record batches are decoded once, checked, and kept in `cache`; shards in S3 are read through `files`. Readers may share both.
    Raises ShardError for a file that is not whole, ChecksumError for a damaged batch, IndexError for a row the shard does not have,
    StoreError for a file that is not there.
    """

    def __init__(
        self,
        prefix: str,
        *,
        cache: BatchCache | None = None,
        meter: Meter | None = None,
        files: BlockCache | None = None,
    ) -> None:
        self.prefix = prefix
        self.meter = meter or Meter()
        self._cache = cache or BatchCache()
        self._tokens = ArrowInput(tokens_path(prefix), TOKENS, self.meter, files)
        self._docs = ArrowInput(docs_path(prefix), DOCS, self.meter, files)
        lengths = [file.note("seq_len", "[1-9][0-9]*") for file in (self._tokens, self._docs)]
        if lengths[0] != lengths[1]:
            raise ShardError(f"{prefix}: tokens in rows of {lengths[0]}, docs of {lengths[1]}; build it again")
        self.seq_len = int(lengths[0])
        self.sources = self._docs.sources()
        self._rows_per_batch = rows_per_batch(self.seq_len)

    @property
    def rows(self) -> int:
        """Rows of the shard; the first call decodes the last record batch."""
        last = self._tokens.num_batches - 1
        return (last * BATCH_TOKENS + self._token_batch(last).size) // self.seq_len if last >= 0 else 0

    def expect(self, rows: int, seq_len: int) -> None:
        """Raises ShardError unless these are the shard's rows, as a plan has it."""
        if (self.rows, self.seq_len) != (rows, seq_len):
            raise ShardError(
                f"{self.prefix}: {self.rows} rows of {self.seq_len} tokens, where the plan expects {rows} of {seq_len}: "
                "shards and plan.json are of different builds; run `tokenloom build`"
            )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of these rows, in any order: uint32 (n, seq_len)."""
        rows = self._checked(rows)
        tokens = np.empty((rows.size, self.seq_len), np.uint32)
        read_tokens([self], np.zeros_like(rows), rows, tokens)
        return tokens

    def layout(self, rows: np.ndarray) -> Layout:
        """Pieces and learned positions of these rows, in any order."""
        rows = self._checked(rows)
        return read_layout([self], np.zeros_like(rows), rows)

    def pieces(self, row: int) -> list[Piece]:
        """The pieces of one row with their documents, in order."""
        self._checked(np.array([row]))
        docs = self._docs_batch(row // self._rows_per_batch)
        first, end = np.searchsorted(docs.column("row").to_numpy(), [row, row + 1]).tolist()
        return [_piece(values) for values in docs.slice(first, end - first).to_pylist()]

    def byte_ranges(self, rows: np.ndarray) -> Iterator[tuple[str, int, int]]:
        """(file, first byte, end) of every record batch that reading these rows takes."""
        first, end = rows * self.seq_len // BATCH_TOKENS, -(-(rows + 1) * self.seq_len // BATCH_TOKENS)
        for file, batches in ((self._tokens, expand(first, end - first)), (self._docs, rows // self._rows_per_batch)):
            for batch in np.unique(batches).tolist():
                yield file.path, *file.byte_range(batch)

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, np.int64)
        lowest, highest = int(rows.min(initial=0)), int(rows.max(initial=-1))
        if lowest < 0 or (highest >= self._rows_in_full_batches and highest >= self.rows):
            wrong = lowest if lowest < 0 else highest
            raise IndexError(f"{self.prefix} has {self.rows} rows; row {wrong} is not one of them")
        return rows

    @property
    def _rows_in_full_batches(self) -> int:
        """Rows that are there for sure: all record batches but the last are full."""
        return (self._tokens.num_batches - 1) * BATCH_TOKENS // self.seq_len

    def _token_batch(self, index: int) -> np.ndarray:
        """Tokens of a record batch: uint32 (65,536,), fewer in the last. To be used before anything else is read through the cache."""

        def decode(tokens: np.ndarray) -> int:
            low, high = self._tokens.numbers(index)
            started = time.perf_counter()
            if low.size != BATCH_TOKENS and (index < self._tokens.num_batches - 1 or low.size > BATCH_TOKENS):
                raise ShardError(f"{self._tokens.path}: record batch {index} has {low.size} tokens; build it again")
            tokens = tokens[: low.size]
            if high.any():
                np.copyto(tokens, high)
                tokens <<= 16
                tokens |= low
            else:
                np.copyto(tokens, low)
            self.meter.decode += time.perf_counter() - started
            return low.size

        return self._cache.tokens.get((self._tokens.path, index), decode)

    def docs_layout(self, index: int) -> Layout:
        """The layout of all rows of a docs batch."""

        def decode() -> tuple[Layout, int]:
            docs = self._docs.batch(index)
            started = time.perf_counter()
            layout = _layout(docs, index * self._rows_per_batch, self._rows_per_batch)
            if layout.source.max(initial=0) >= len(self.sources):
                raise ShardError(f"{self._docs.path}: record batch {index} has a source without a name; build it again")
            self.meter.decode += time.perf_counter() - started
            return layout, 16 * self._rows_per_batch + 20 * docs.num_rows + 16 * layout.learned.begin.size

        return cast(Layout, self._cache.docs.get((self._docs.path, index, "layout"), decode))

    def _docs_batch(self, index: int) -> pa.RecordBatch:
        """A docs batch with its document ids, which the layout does without."""

        def decode() -> tuple[pa.RecordBatch, int]:
            docs = self._docs.batch(index)
            return docs, docs.nbytes

        return self._cache.docs.get((self._docs.path, index, "docs"), decode)


def read_tokens(readers: Sequence[ShardReader], reader: np.ndarray, rows: np.ndarray, tokens: np.ndarray) -> None:
    """Put the tokens of row rows[k] of readers[reader[k]], all of one seq_len, into tokens[k]: uint32 (n, seq_len).

    Rows are not checked to be there. A row and a record batch are both whole numbers of units of gcd(seq_len, 65,536) tokens: rows
    are gathered unit by unit, large ones in a loop: numpy would gather them twice.
    """
    unit = math.gcd(tokens.shape[1], BATCH_TOKENS)
    per_row, per_batch = tokens.shape[1] // unit, BATCH_TOKENS // unit
    if per_row > 1:
        reader, rows = np.repeat(reader, per_row), (rows[:, None] * per_row + np.arange(per_row)).ravel()
    batches, inside = np.divmod(rows, per_batch)
    to = tokens.reshape(-1, unit)
    for number, batch, where in _by_batch(reader, batches):
        found = readers[number]._token_batch(batch).reshape(-1, unit)
        if unit < LARGE_UNIT:
            to[where] = found[inside[where]]
        else:
            for k, unit_of_batch in zip(where.tolist(), inside[where].tolist(), strict=True):
                to[k] = found[unit_of_batch]


def read_layout(
    readers: Sequence[ShardReader],
    reader: np.ndarray,
    rows: np.ndarray,
    source_ids: Sequence[np.ndarray] | None = None,
) -> Layout:
    """What lies in row rows[k] of readers[reader[k]], all of one seq_len. Rows are not checked to be there.

    source_ids: per reader an int32 array that gives its sources the numbers by which the caller knows them.
    """
    per_batch = rows_per_batch(readers[0].seq_len)
    batches, inside = np.divmod(rows, per_batch)
    parts: list[Layout] = []
    for number, batch, where in _by_batch(reader, batches):
        inside[where] += len(parts) * per_batch
        parts.append(readers[number].docs_layout(batch))
    layout = Layout.concatenate(parts).take(inside)
    if source_ids:
        ids, first = np.concatenate(source_ids), np.cumsum([0, *map(len, source_ids)])[reader]
        layout = layout._replace(source=ids[np.repeat(first, layout.pieces.counts) + layout.source])
    return layout


def _by_batch(reader: np.ndarray, batches: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Each distinct (reader, batch) with the positions that hold it."""
    for key, where in by_value((reader << 40) | batches):
        yield key >> 40, key & ((1 << 40) - 1), where


def _docs_batch(pieces: Sequence[tuple[int, Piece]]) -> pa.RecordBatch:
    """The docs of (row, piece) pairs."""
    columns = [
        pa.array([piece.doc for _, piece in pieces], pa.string()),
        pa.array([piece.origin for _, piece in pieces], pa.string()),
        pa.array([piece.source for _, piece in pieces], pa.uint16()),
        pa.array([row for row, _ in pieces], pa.uint32()),
        pa.array([piece.start for _, piece in pieces], pa.uint32()),
        pa.array([piece.length for _, piece in pieces], pa.uint32()),
        pa.array([piece.offset for _, piece in pieces], pa.uint32()),
        pa.array([_span_structs(piece.loss_spans) for _, piece in pieces], SPANS),
    ]
    return pa.record_batch(columns, schema=DOCS)


def _span_structs(spans: tuple[tuple[int, int], ...] | None) -> list[dict[str, int]] | None:
    return None if spans is None else [{"start": start, "length": length} for start, length in spans]


def _piece(values: dict[str, Any]) -> Piece:
    spans = values["loss_spans"]
    given = None if spans is None else tuple((span["start"], span["length"]) for span in spans)
    columns = ("doc", "start", "length", "origin", "source", "offset")
    return Piece(loss_spans=given, **{name: values[name] for name in columns})


def _layout(docs: pa.RecordBatch, first_row: int, num_rows: int) -> Layout:
    """The layout of rows [first_row, first_row + num_rows), the rows of this docs batch."""
    row, begin, length = (docs.column(name).to_numpy().astype(np.int64) for name in ("row", "start", "length"))
    row, end = row - first_row, begin + length
    source = docs.column("source").to_numpy().astype(np.int32)
    pieces = Ranges(np.bincount(row, minlength=num_rows), begin, end)
    spans = docs.column("loss_spans")
    has_spans = spans.is_valid().to_numpy(zero_copy_only=False)
    if not has_spans.any():
        learned = Ranges(pieces.counts, begin, end - 1)  # the last token of a piece has no next one
        return Layout(pieces, learned, source)
    spans_of_piece = pc.fill_null(pc.list_value_length(spans), 1).to_numpy()  # without spans, a piece is one
    piece = np.repeat(np.arange(row.size), spans_of_piece)
    span_begin, span_end = begin[piece], end[piece]
    given = np.repeat(has_spans, spans_of_piece)
    starts, lengths = (spans.flatten().field(name).to_numpy() for name in ("start", "length"))
    span_begin[given], span_end[given] = starts, starts.astype(np.int64) + lengths
    # Token t + 1 is learned at position t, and the first token of a piece has no position before it.
    learned_begin = np.maximum(span_begin, begin[piece] + 1) - 1
    return Layout(pieces, Ranges(np.bincount(row[piece], minlength=num_rows), learned_begin, span_end - 1), source)
