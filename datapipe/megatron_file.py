"""Megatron's indexed datasets: `<prefix>.bin` holds the tokens back to back, `<prefix>.idx` says where sequences and documents begin.

    .idx, little endian: "MMIDIDX\\0\\0", u64 version 1, u8 dtype code, u64 sequences n, u64 boundaries d = documents + 1,
                         i32[n] tokens per sequence, i64[n] bytes before it in .bin, i64[d] sequences before each document, and n

A document is one sequence or several. The layout is that of megatron-core 0.16.1 (`megatron/core/datasets/indexed_dataset.py`), which is
not imported here. Neither file has a checksum: a flipped bit inside .bin is read as another token, unless that is no token id.

Of what is read everything is checked, the rest of the index is not: opening a file costs its header, whatever its size. Per CPU second,
local files, busy machine: 550 million tokens written, 200 million read (int32; uint16 700 and 900), the lengths of 20 million documents.
Not covered: multimodal indices (a mode per sequence), sequences of 2**31 tokens and more.
"""

import contextlib
import struct
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import numpy as np

from datapipe import store

MAGIC, VERSION = b"MMIDIDX\0\0", 1
HEADER = struct.Struct("<9sQBQQ")
DTYPES = {code: np.dtype(name) for code, name in enumerate(("u1", "i1", "<i2", "<i4", "<i8", "<f8", "<f4", "<u2"), 1)}
LENGTH, OFFSET = np.dtype("<i4"), np.dtype("<i8")
TOKEN_LIMIT = 1 << 24  # ids that a shard can hold lie below
MAX_LENGTH = (1 << 31) - 1  # tokens of a sequence
CHUNK = 1 << 20  # entries of an index handled at once
SPOOL_BYTES = 64 << 20


class MegatronFileError(Exception):
    """A .bin/.idx pair is not whole, not of this format, or holds what is no token. The message names file and document."""


def bin_path(prefix: str) -> str:
    return f"{prefix}.bin"


def idx_path(prefix: str) -> str:
    return f"{prefix}.idx"


def token_dtype(vocab_size: int) -> np.dtype:
    """uint16 where every id fits, else int32: what a GPTDataset that does not read the header takes for granted."""
    return DTYPES[8] if vocab_size <= 1 << 16 else DTYPES[4]


@contextlib.contextmanager
def megatron_output(prefix: str, *, vocab_size: int) -> Iterator["MegatronWriter"]:
    """A pair of files that appears when the block ends without an exception. The .idx comes last: where it is, the pair is whole."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as lengths:
        with store.output_file(bin_path(prefix)) as tokens:
            writer = MegatronWriter(prefix, vocab_size, tokens, lengths)
            yield writer
            store.remove_tree(idx_path(prefix))  # an older one must not describe the new .bin
        with store.output_file(idx_path(prefix)) as index:
            writer.write_index(index)


class MegatronWriter:
    """Documents of one sequence each, one after the other.

    Memory: 64 MiB at most; the lengths of more than 16 million documents go to a temporary file.
    """

    def __init__(self, prefix: str, vocab_size: int, tokens: BinaryIO, lengths: tempfile.SpooledTemporaryFile) -> None:
        self.prefix, self.vocab_size, self.dtype = prefix, vocab_size, token_dtype(vocab_size)
        self.documents = 0
        self._tokens, self._lengths = tokens, lengths

    def add(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        """Append documents: tokens of all, end to end, uint32 (lengths.sum(),), and tokens of each (n,)."""
        outside = (lengths < 1) | (lengths > MAX_LENGTH)
        if outside.any():
            at = int(outside.argmax())
            raise ValueError(
                f"{self._where(at)} has {lengths[at]} tokens; a document has at least 1 and at most {MAX_LENGTH}"
            )
        if tokens.shape != (lengths.sum(),):
            raise ValueError(
                f"{self.prefix}: documents of {lengths.sum()} tokens in all, but tokens of the shape {tokens.shape}"
            )
        if tokens.size and tokens.max() >= self.vocab_size:
            at = int(np.searchsorted(np.cumsum(lengths), tokens.argmax(), side="right"))
            raise ValueError(
                f"{self._where(at)} has the token {tokens.max()}; ids of a vocabulary of {self.vocab_size} end at {self.vocab_size - 1}"
            )
        self._tokens.write(tokens.astype(self.dtype).data)
        self._lengths.write(lengths.astype(LENGTH).data)
        self.documents += lengths.size

    def write_index(self, index: BinaryIO) -> None:
        """The .idx of the documents added."""
        code = next(code for code, dtype in DTYPES.items() if dtype == self.dtype)
        index.write(HEADER.pack(MAGIC, VERSION, code, self.documents, self.documents + 1))
        for lengths in self._length_chunks():
            index.write(lengths.data)
        begin = 0
        for lengths in self._length_chunks():
            ends = begin + np.cumsum(lengths, dtype=OFFSET) * self.dtype.itemsize
            index.write(np.append(begin, ends[:-1]).astype(OFFSET).data)
            begin = int(ends[-1])
        for first in range(0, self.documents + 1, CHUNK):
            index.write(np.arange(first, min(first + CHUNK, self.documents + 1), dtype=OFFSET).data)

    def _length_chunks(self) -> Iterator[np.ndarray]:
        self._lengths.seek(0)
        while chunk := self._lengths.read(CHUNK * LENGTH.itemsize):
            yield np.frombuffer(chunk, LENGTH)

    def _where(self, document: int) -> str:
        return f"{self.prefix}, document {self.documents + document}"


class _Sequences(NamedTuple):
    """The sequences of documents [first, end) of a file, n of them."""

    first: int
    boundaries: np.ndarray  # int64 (end - first + 1,), in sequences of these
    lengths: np.ndarray  # int64 (n,), in tokens
    begins: np.ndarray  # int64 (n,), in bytes of .bin

    def document(self, sequence: int) -> int:
        """The document that sequence `sequence` of these belongs to."""
        return self.first + int(np.searchsorted(self.boundaries, sequence, side="right")) - 1

    @property
    def document_lengths(self) -> np.ndarray:
        return np.diff(np.append(0, np.cumsum(self.lengths))[self.boundaries])


class MegatronFile:
    """Documents of a pair of files, by ranges. Not for several threads at once.

    Raises MegatronFileError for a pair that is damaged or not of this format, StoreError for one that is not there.
    Memory: what was asked for as it lies in the file and as uint32.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        with contextlib.ExitStack() as stack:
            self._idx, self._bin = (
                stack.enter_context(store.open_input(path, read_ahead=False))
                for path in (idx_path(prefix), bin_path(prefix))
            )
            idx_bytes, self.bin_bytes = (stream.seek(0, 2) for stream in (self._idx, self._bin))
            self.dtype, self.sequences, self.documents = self._header(idx_bytes)
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every document: int64 (documents,). Reads, and checks, the whole .idx."""
        lengths = np.empty(self.documents, np.int64)
        for first in range(0, self.documents, CHUNK):
            part = lengths[first : first + CHUNK]
            part[:] = self._sequences(first, first + part.size).document_lengths
        return lengths

    def read(self, first: int, end: int) -> np.ndarray:
        """Tokens of documents [first, end), end to end: uint32. IndexError for documents that are not there."""
        if not 0 <= first <= end <= self.documents:
            raise IndexError(f"{self.prefix} has documents 0 to {self.documents}; [{first}, {end}) are not among them")
        sequences = self._sequences(first, end)
        tokens, position = np.empty(sequences.lengths.sum(), np.uint32), 0
        for low, high in _runs(sequences, self.dtype.itemsize):
            size = int(sequences.lengths[low:high].sum())
            values = self._column(self._bin, bin_path(self.prefix), int(sequences.begins[low]), size, self.dtype)
            if (wrong := _no_token(values)) is not None:
                sequence = low + int(np.searchsorted(np.cumsum(sequences.lengths[low:high]), wrong, side="right"))
                raise MegatronFileError(
                    f"{bin_path(self.prefix)}, document {sequences.document(sequence)}: {values[wrong]} is no token id "
                    f"(a whole number from 0 to {TOKEN_LIMIT - 1}); tokenise the documents again"
                )
            tokens[position : position + size] = values
            position += size
        return tokens

    def _header(self, idx_bytes: int) -> tuple[np.dtype, int, int]:
        """(dtype, sequences, documents). Raises MegatronFileError when the .idx is not of this format, or not of this size."""
        path = idx_path(self.prefix)
        self._idx.seek(0)
        data = self._idx.read(HEADER.size)
        if len(data) < HEADER.size:
            raise MegatronFileError(f"{path}: has {len(data)} bytes, and a header alone {HEADER.size}; write it again")
        if data[: len(MAGIC)] != MAGIC:
            raise MegatronFileError(f"{path}: begins with {data[: len(MAGIC)]!r}, an index of Megatron with {MAGIC!r}")
        _, version, code, sequences, boundaries = HEADER.unpack(data)
        if version != VERSION:
            raise MegatronFileError(f"{path}: has version {version}, only {VERSION} is known")
        if code not in DTYPES:
            raise MegatronFileError(f"{path}: has dtype code {code}, only {min(DTYPES)} to {max(DTYPES)} are known")
        size = HEADER.size + sequences * (LENGTH.itemsize + OFFSET.itemsize) + boundaries * OFFSET.itemsize
        if idx_bytes == size + sequences and sequences:
            raise MegatronFileError(f"{path}: has a mode per sequence, so it is multimodal; only text can be read")
        if idx_bytes != size or not boundaries:
            raise MegatronFileError(
                f"{path}: has {idx_bytes} bytes where {sequences} sequences and {boundaries} document boundaries take {size}; "
                "it was cut short or damaged: write it again"
            )
        return DTYPES[code], sequences, boundaries - 1

    def _sequences(self, first: int, end: int) -> _Sequences:
        """Where documents [first, end) lie, checked."""
        path, offsets_at = idx_path(self.prefix), HEADER.size + self.sequences * LENGTH.itemsize
        boundaries_at = offsets_at + self.sequences * OFFSET.itemsize
        boundaries = self._column(self._idx, path, boundaries_at + first * OFFSET.itemsize, end - first + 1, OFFSET)
        edges = np.concatenate([[0], boundaries, [self.sequences]])
        wrong = (edges[1:] < edges[:-1]) | (edges[1:] > self.sequences)
        wrong[0] |= first == 0 and boundaries[0] > 0
        wrong[-1] |= end == self.documents and boundaries[-1] < self.sequences
        if wrong.any():
            at = min(int(wrong.argmax()), end - first)
            raise MegatronFileError(
                f"{path}: document {first + at} begins with sequence {boundaries[at]}, but documents go through sequences 0 to "
                f"{self.sequences} in order and leave none out; write it again"
            )
        low, high = int(boundaries[0]), int(boundaries[-1])
        lengths = self._column(self._idx, path, HEADER.size + low * LENGTH.itemsize, high - low, LENGTH)
        begins = self._column(self._idx, path, offsets_at + low * OFFSET.itemsize, high - low, OFFSET)
        found = _Sequences(first, boundaries - low, lengths.astype(np.int64), begins)
        outside = (lengths < 0) | (begins < 0) | (begins > self.bin_bytes - found.lengths * self.dtype.itemsize)
        if outside.any():
            at = int(outside.argmax())
            raise MegatronFileError(
                f"{path}, document {found.document(at)}: a sequence of {lengths[at]} {self.dtype.name} tokens at byte {begins[at]} "
                f"does not lie in {bin_path(self.prefix)} of {self.bin_bytes} bytes; one of the two was cut short or belongs to "
                "another pair: write both again"
            )
        return found

    def _column(self, stream: BinaryIO, path: str, offset: int, count: int, dtype: np.dtype) -> np.ndarray:
        """`count` values that begin at byte `offset`."""
        stream.seek(offset)
        data = stream.read(count * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            raise MegatronFileError(f"{path}: ends at byte {offset + len(data)}, was longer when it was opened")
        return np.frombuffer(data, dtype)


def _runs(sequences: _Sequences, itemsize: int) -> Iterator[tuple[int, int]]:
    """Ranges of sequences that lie back to back in the file: one read each. Megatron itself writes a single run."""
    if not sequences.lengths.size:
        return
    ends = sequences.begins + sequences.lengths * itemsize
    cuts = (np.flatnonzero(sequences.begins[1:] != ends[:-1]) + 1).tolist()
    yield from zip([0, *cuts], [*cuts, sequences.lengths.size], strict=True)


def _no_token(values: np.ndarray) -> int | None:
    """Position of the first value that is no token id; None when all are."""
    if not values.size:
        return None
    whole = values.dtype.kind != "f" or bool((np.floor(values) == values).all())
    if whole and values.min() >= 0 and values.max() < TOKEN_LIMIT:
        return None
    numbers = values.astype(np.float64)
    return int((~((numbers >= 0) & (numbers < TOKEN_LIMIT) & (np.floor(numbers) == numbers))).argmax())
