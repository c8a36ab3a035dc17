"""The shuffle: each mapper writes one Arrow file whose record batches are the receivers' slices, each receiver reads its slice of all.

Nothing is held in memory between the two sides, a killed run keeps every file that was finished, and the order of what a receiver reads
is the order of the mappers: deterministic at any parallelism. Costs one write and one ranged read per row.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from datapipe import store

OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


def receiver_of(keys: np.ndarray, num_receivers: int) -> np.ndarray:
    """Receiver of each uint64 key: equal ranges of the key space, so keys must be hashes."""
    return ((keys >> np.uint64(32)) * np.uint64(num_receivers)) >> np.uint64(32)


def slices(table: pa.Table, receivers: np.ndarray, num_receivers: int) -> Iterator[pa.RecordBatch]:
    """The rows of each receiver, in the order of the table."""
    counts = np.bincount(receivers.astype(np.int64), minlength=num_receivers)
    ends = np.cumsum(counts)
    sorted_rows = table.take(pa.array(np.argsort(receivers, kind="stable"))).combine_chunks()
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


def read_slice(paths: Sequence[str], receiver: int) -> pa.Table:
    """Everything the mappers `paths` sent to `receiver`, in the order of the paths."""
    batches = list(_batches(paths, receiver))
    return pa.Table.from_batches(batches)


def _batches(paths: Sequence[str], receiver: int) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with store.open_input(path) as source, pa.ipc.open_file(source) as reader:
            yield reader.get_batch(receiver)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    raise ValueError(
        f"{table.num_rows} rows of one slice do not fit one record batch: use smaller partitions (split_bytes)"
    )
