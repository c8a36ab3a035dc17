"""The shuffle: each mapper writes one Arrow file whose record batches are the receivers' slices, each receiver reads its slice of all.

Nothing is held in memory between the two sides, a killed run keeps every file that was finished, and the order of what a receiver reads
is the order of the mappers: deterministic at any parallelism. Costs one write and one ranged read per row. A mapper with much to send
writes in rounds of `ROUND_BYTES`, a slice per receiver in each, so that its memory is bounded too.
"""

import contextlib
from collections.abc import Iterator, Sequence
from types import TracebackType

import numpy as np
import pyarrow as pa

from datapipe import store

OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")
ROUND_BYTES = 64 << 20
_RECEIVERS = b"receivers"  # in the schema's metadata: record batches of one round


def write_table(path: str, table: pa.Table) -> int:
    """One file without slices; returns its rows."""
    with store.output_file(path) as sink, pa.ipc.new_file(sink, table.schema, options=OPTIONS) as writer:
        writer.write_table(table)
    return table.num_rows


def read_table(path: str) -> pa.Table:
    """A file of `write_table`."""
    with store.open_input(path) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


def receiver_of(keys: np.ndarray, num_receivers: int) -> np.ndarray:
    """Receiver of each uint64 key: equal ranges of the key space, so keys must be hashes."""
    return ((keys >> np.uint64(32)) * np.uint64(num_receivers)) >> np.uint64(32)


def slices(table: pa.Table, receivers: np.ndarray, num_receivers: int) -> Iterator[pa.RecordBatch]:
    """The rows of each receiver, in the order of the table."""
    counts = np.bincount(receivers.astype(np.int64), minlength=num_receivers)
    ends = np.cumsum(counts)
    sorted_rows = table.take(pa.array(np.argsort(receivers, kind="stable"))) if num_receivers > 1 else table
    sorted_rows = sorted_rows.combine_chunks()
    for end, count in zip(ends.tolist(), counts.tolist(), strict=True):
        yield _one_batch(sorted_rows.slice(end - count, count))


def write_slices(path: str, table: pa.Table, receivers: np.ndarray, num_receivers: int) -> list[int]:
    """Write `table` with the rows of receiver r as record batch r; returns the rows per receiver."""
    counts = []
    with store.output_file(path) as sink, pa.ipc.new_file(sink, table.schema, options=OPTIONS) as writer:
        for batch in slices(table, receivers, num_receivers):
            writer.write_batch(batch)
            counts.append(batch.num_rows)
    return counts


class Sender:
    """Writes what a mapper has to send, table by table: `with Sender(path, 8) as sender: sender.send(table, receivers)`.

    All tables have one schema; send at least one. The file is there when the block is left without an error.
    """

    def __init__(self, path: str, num_receivers: int):
        self.path, self.num_receivers = path, num_receivers
        self._waiting: list[tuple[pa.Table, np.ndarray]] = []
        self._waiting_bytes = 0
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> "Sender":
        self._file = store.output_file(self.path)
        self._sink = self._file.__enter__()
        return self

    def send(self, table: pa.Table, receivers: np.ndarray) -> None:
        """`receivers` holds one receiver's number per row."""
        self._waiting.append((table, receivers))
        self._waiting_bytes += table.nbytes
        if self._waiting_bytes >= ROUND_BYTES:
            self._write_round()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._file.__exit__(kind, error, trace)
            return
        with contextlib.ExitStack() as file:
            file.push(self._file)
            if self._waiting:
                self._write_round()
            if self._writer is None:
                raise ValueError(f"nothing was sent to {self.path}: send at least an empty table, for its columns")
            self._writer.close()

    def _write_round(self) -> None:
        table = pa.concat_tables([waiting for waiting, _ in self._waiting])
        receivers = np.concatenate([receivers for _, receivers in self._waiting])
        self._waiting, self._waiting_bytes = [], 0
        if self._writer is None:
            schema = table.schema.with_metadata({_RECEIVERS: str(self.num_receivers)})
            self._writer = pa.ipc.new_file(self._sink, schema, options=OPTIONS)
        for batch in slices(table.replace_schema_metadata(None), receivers, self.num_receivers):
            self._writer.write_batch(batch.replace_schema_metadata({_RECEIVERS: str(self.num_receivers)}))


def read_slice(paths: Sequence[str], receiver: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Everything the mappers `paths` sent to `receiver`, in the order of the paths; only some `columns` if named."""
    return pa.concat_tables([_slice(path, receiver, columns) for path in paths])


def _slice(path: str, receiver: int, columns: Sequence[str] | None) -> pa.Table:
    with store.open_input(path) as source:
        reader = pa.ipc.open_file(source)
        if columns is not None:
            chosen = [reader.schema.get_field_index(name) for name in columns]
            reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=chosen))
        step = int((reader.schema.metadata or {}).get(_RECEIVERS, reader.num_record_batches))
        batches = [reader.get_batch(index) for index in range(receiver, reader.num_record_batches, step)]
        return pa.Table.from_batches(batches, reader.schema).replace_schema_metadata(None)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    raise ValueError(
        f"{table.num_rows} rows of one slice do not fit one record batch: use smaller partitions (split_bytes)"
    )
