"""Arrow IPC files whose record batches are checked: hashed values beside each batch when written, compared whenever one is read.

Arrow itself checks the structure of a file, never its values. The xxh3-64 of a batch's values (0.1 ns per token) lies in the batch's own
custom metadata, so a damaged batch is named, and the others stay readable. Files appear atomically, and the same batches give the
same bytes.

A read fetches one whole record batch with one call to the store. Files are not memory-mapped: a mapped file that shrinks kills the
process, time spent on page faults cannot be told from decoding, and decompressing copies anyway (no difference was measured). Columns
of plain numbers can be had without Arrow's reader (`numbers`), which is faster.

Through a `BlockCache` a batch that does not match is fetched from the store once more, and then the whole file: a bad block of a local
disk must not stop a run.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, TypeVar, cast

import numpy as np
import pyarrow as pa
import xxhash
import zstandard

from datapipe import arrow_message, store
from datapipe.block_cache import BlockCache

T = TypeVar("T")

CHECKSUM = b"xxh3_64"


class ShardError(Exception):
    """A file cannot be read: cut short, or not of this format."""


class ChecksumError(ShardError):
    """A record batch is damaged. The message names file and batch."""


@dataclass
class Meter:
    """Seconds of wall clock spent on reading bytes and on decoding them; readers add to it."""

    fetch: float = 0.0
    decode: float = 0.0


class HashedStream:
    """A file object for Arrow to write to, which knows the hash and size of what went through."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self._stream = stream

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size_bytes += len(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()


class ArrowOutput:
    """A file that is being written."""

    def __init__(self, stream: HashedStream, writer: pa.RecordBatchFileWriter) -> None:
        self.stream = stream
        self._writer = writer
        self._num_batches = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch, custom_metadata={CHECKSUM: checksum(batch, self._num_batches)})
        self._num_batches += 1


@contextlib.contextmanager
def arrow_output(path: str, schema: pa.Schema, codec: pa.Codec, notes: Mapping[str, str]) -> Iterator[ArrowOutput]:
    """A file that appears when the block ends without an exception; `notes` stand in its schema."""
    options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
    schema = schema.with_metadata(dict(notes))
    with store.output_file(path) as file:
        stream = HashedStream(file)
        with pa.ipc.new_file(stream, schema, options=options) as writer:
            yield ArrowOutput(stream, writer)


class ArrowInput:
    """A file whose record batches are checked as they are read. One in S3 is read through `files`, if given.

    Raises ShardError for a file that is not whole or has not this schema, StoreError for one that cannot be had.
    """

    def __init__(self, path: str, schema: pa.Schema, meter: Meter, files: BlockCache | None = None) -> None:
        self.path = path
        self._meter = meter
        self._files = files
        stream = files.open(path) if files else store.open_input(path, read_ahead=False)
        self._stream = _MeteredStream(stream, meter)
        weakref.finalize(self, self._stream.close)
        self._schema = schema
        try:
            self._open()
        except ShardError:
            if not self._forget(0, self._stream.seek(0, os.SEEK_END)):
                raise
            self._open()
        self._dtypes = [np.dtype(field.type.to_pandas_dtype()) for field in schema if pa.types.is_integer(field.type)]

    def note(self, name: str, pattern: str) -> str:
        """What the writer noted as `name`; ShardError when it does not look like `pattern`."""
        noted = (self._reader.schema.metadata or {}).get(name.encode(), b"").decode(errors="replace")
        if not re.fullmatch(pattern, noted):
            raise ShardError(f"{self.path}: its schema notes {noted!r} as {name}; build it again")
        return noted

    def sources(self) -> tuple[str, ...]:
        """The names that the writer noted as `sources`."""
        with _damage_as(ShardError, f"{self.path}: its schema does not note its sources"):
            return tuple(json.loads(self.note("sources", r"\[.*\]")))

    def batch(self, index: int) -> pa.RecordBatch:
        """Record batch `index`. Raises ChecksumError when it is not what was written, ShardError when it is not there."""
        return self._checked(index, self._read_batch)

    def numbers(self, index: int) -> list[np.ndarray]:
        """The values of each column of record batch `index`, in a file of integers without nulls, compressed with zstd. The arrays are
        read-only. Raises what `batch` does."""
        return self._checked(index, self._read_numbers)

    def byte_range(self, index: int) -> tuple[int, int]:
        """Where record batch `index` lies in the file: its first byte, and the byte after its last. ShardError when it is not there."""
        if index >= self.num_batches:
            raise ShardError(
                f"{self.path}: has {self.num_batches} record batches, and none is number {index}; build it again"
            )
        offset, metadata, body = self._blocks[index].item()
        return offset, offset + metadata + body

    def _open(self) -> None:
        with _damage_as(ShardError, f"{self.path}: not a whole Arrow file"):
            source = pa.PythonFile(self._stream, mode="r")
            self._reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False))
            self._blocks = arrow_message.read_blocks(cast(BinaryIO, self._stream))
            self.num_batches = self._blocks.size
            names, is_right = self._reader.schema.names, self._reader.schema.equals(self._schema)
        if not is_right:
            raise ShardError(f"{self.path}: has columns {names}, not those of a shard; build it again")

    def _forget(self, start: int, stop: int) -> bool:
        """Drop this machine's copy of these bytes, which may be damaged where the object is not. False when there is none."""
        return self._files is not None and self._files.forget(self.path, start, stop)

    def _checked(self, index: int, read: Callable[[int], tuple[T, bytes | None, bytes]]) -> T:
        """The first of what `read` returns, if the others agree: the checksum noted and the one found."""
        place = self.byte_range(index)
        try:
            return self._checked_once(index, read)
        except ChecksumError:
            if not self._forget(*place):
                raise
        try:
            return self._checked_once(index, read)
        except ChecksumError:  # perhaps it is the footer that is damaged, and the batch lies elsewhere
            self._forget(0, self._stream.seek(0, os.SEEK_END))
            self._open()
        return self._checked_once(index, read)

    def _checked_once(self, index: int, read: Callable[[int], tuple[T, bytes | None, bytes]]) -> T:
        started, fetched_before = time.perf_counter(), self._meter.fetch
        where = f"{self.path}: record batch {index}"
        try:
            with _damage_as(ChecksumError, f"{where} is damaged"):
                values, noted, found = read(index)
        except store.StoreError as error:
            answer = error.answer if error.path == self.path else f"{error.path}: {error.answer}"
            raise store.StoreError(where, answer, error.remedy) from error
        if noted != found:
            raise ChecksumError(f"{where} is damaged (its xxh3-64 is {found!r}, was {noted!r}); build it again")
        self._meter.decode += time.perf_counter() - started - (self._meter.fetch - fetched_before)
        return values

    def _read_batch(self, index: int) -> tuple[pa.RecordBatch, bytes | None, bytes]:
        batch, metadata = self._reader.get_batch_with_custom_metadata(index)
        return batch, (metadata or {}).get(CHECKSUM), checksum(batch, index)

    def _read_numbers(self, index: int) -> tuple[list[np.ndarray], bytes | None, bytes]:
        start, stop = self.byte_range(index)
        self._stream.seek(start)
        message = arrow_message.parse(self._stream.read(stop - start), int(self._blocks[index]["metadata"]))
        columns = [
            np.frombuffer(_uncompressed(values, message.rows * dtype.itemsize), dtype)
            for values, dtype in zip(message.buffers[1::2], self._dtypes, strict=True)
        ]
        return columns, message.notes.get(CHECKSUM), _digest(columns, index)


class _Decompressors(threading.local):
    """One for each thread: a decompressor is for one at a time, and making one takes longer than small buffers do."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


_decompressors = _Decompressors()


def _uncompressed(buffer: memoryview, size_bytes: int) -> bytes:
    """The content of a buffer of a record batch, which must have `size_bytes`."""
    if not size_bytes:
        return b""
    (noted,) = arrow_message.UNCOMPRESSED_BYTES.unpack_from(buffer)
    content = buffer[arrow_message.UNCOMPRESSED_BYTES.size :]
    in_frame = zstandard.frame_content_size(content)
    if not size_bytes == noted == in_frame:  # else damage could ask for any memory
        raise ValueError(f"a buffer of {size_bytes} bytes says {noted}, its zstd frame {in_frame}")
    return _decompressors.zstd.decompress(content)


class _MeteredStream:
    """A file object for Arrow to read from; the time its reads take counts as fetching."""

    closed = False

    def __init__(self, stream: BinaryIO, meter: Meter) -> None:
        # Arrow asks for exactly one record batch at a time, anywhere: a read-ahead buffer would only copy what nobody wants.
        self._stream = stream.detach() if isinstance(stream, io.BufferedReader) else stream
        self._meter = meter
        self.seek, self.tell, self.close = self._stream.seek, self._stream.tell, self._stream.close

    def read(self, size: int = -1) -> bytes:
        started = time.perf_counter()
        data = self._stream.read(size)
        self._meter.fetch += time.perf_counter() - started
        return data


@contextlib.contextmanager
def _damage_as(kind: type[ShardError], what: str) -> Iterator[None]:
    """Turn what Arrow cannot make sense of into `kind`; what the disk or the network refuses (it has an errno) passes."""
    try:
        yield
    except (pa.ArrowException, zstandard.ZstdError, OSError, ValueError, IndexError, struct.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise kind(f"{what} ({error}); build it again") from error


def checksum(batch: pa.RecordBatch, index: int) -> bytes:
    """Hex xxh3-64 of the values of a record batch, whatever Arrow pads or leaves out. The index makes no batch pass for another."""
    return _digest((plane for column in batch.columns for plane in _planes(column)), index)


def _digest(planes: Iterable[np.ndarray], index: int) -> bytes:
    digest = xxhash.xxh3_64(seed=index)
    for plane in planes:
        digest.update(plane.data)
    return digest.hexdigest().encode()


def _planes(column: pa.Array) -> Iterator[np.ndarray]:
    """The values of an integer, string or list column as flat arrays."""
    if pa.types.is_integer(column.type):
        yield column.to_numpy()
    elif len(column):
        _, offsets_buffer, *data = column.buffers()
        offsets = np.frombuffer(offsets_buffer, np.int32)[column.offset : column.offset + len(column) + 1]
        yield offsets[1:] - offsets[:-1]
        if column.null_count:
            yield column.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_string(column.type):
            yield np.frombuffer(data[0], np.uint8)[offsets[0] : offsets[-1]]
        elif offsets[0] < offsets[-1]:
            for field in column.values[offsets[0] : offsets[-1]].flatten():
                yield field.to_numpy()
