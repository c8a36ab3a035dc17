"""What is read without Arrow is what Arrow reads, and damage to what says where things stand is found."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import arrow_message
from datapipe.arrow_file import ArrowInput, ChecksumError, Meter, ShardError, arrow_output

SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in (("a", pa.uint16()), ("b", pa.uint8()))])
ZSTD = pa.Codec("zstd", compression_level=3)


def numbers(rng: np.random.Generator, size: int, *, compressible: bool) -> pa.RecordBatch:
    highest = 3 if compressible else 256
    columns = [
        rng.integers(0, highest * 256**more, size).astype(kind) for more, kind in ((1, np.uint16), (0, np.uint8))
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def write(path: Path, *batches: pa.RecordBatch) -> str:
    with arrow_output(str(path), SCHEMA, ZSTD, {"answer": "42"}) as output:
        for each in batches:
            output.write(each)
    return str(path)


@given(sizes=st.lists(st.integers(0, 3_000), max_size=5), seed=st.integers(0, 9), compressible=st.booleans())
@settings(max_examples=50, deadline=None)
def test_numbers_are_what_arrow_reads(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int, compressible: bool
) -> None:
    rng = np.random.default_rng(seed)
    batches = [numbers(rng, size, compressible=compressible) for size in sizes]
    file = ArrowInput(write(tmp_path_factory.mktemp("a") / "file.arrow", *batches), SCHEMA, Meter())
    for index in reversed(range(len(sizes))):
        columns = file.numbers(index)
        assert [column.dtype for column in columns] == [np.uint16, np.uint8]
        for column, expected in zip(columns, file.batch(index).columns, strict=True):
            np.testing.assert_array_equal(column, expected.to_numpy())


def test_a_message_has_rows_buffers_and_notes(tmp_path: Path) -> None:
    batch = numbers(np.random.default_rng(0), 100, compressible=False)
    path = tmp_path / "file.arrow"
    with pa.ipc.new_file(path, SCHEMA) as writer:
        writer.write_batch(batch, custom_metadata={"k": "v", "long": "x" * 300})
    with path.open("rb") as stream:
        ((offset, metadata, body),) = arrow_message.read_blocks(stream).tolist()
    message = arrow_message.parse(path.read_bytes()[offset : offset + metadata + body], metadata)
    assert (message.rows, message.notes) == (100, {b"k": b"v", b"long": b"x" * 300})
    assert [bytes(buffer) for buffer in message.buffers] == [
        each for column in batch.columns for each in (b"", column.to_numpy().tobytes())
    ]


def test_any_damage_to_the_metadata_is_harmless_or_found(tmp_path: Path) -> None:
    """Every byte of a record batch's metadata, of the sizes before its buffers and of the footer."""
    batches = [numbers(np.random.default_rng(seed), 2_000, compressible=True) for seed in range(3)]
    path = tmp_path / "file.arrow"
    file = ArrowInput(write(path, *batches), SCHEMA, Meter())
    good, (start, _) = path.read_bytes(), file.byte_range(1)
    found = 0
    for place in (*range(start, start + 400), *range(len(good) - 400, len(good))):
        for flipped in (0x01, 0x80, 0xFF):
            path.write_bytes(good[:place] + bytes([good[place] ^ flipped]) + good[place + 1 :])
            try:
                columns = ArrowInput(str(path), SCHEMA, Meter()).numbers(1)
            except ShardError:
                found += 1
            else:
                for column, expected in zip(columns, batches[1].columns, strict=True):
                    np.testing.assert_array_equal(column, expected.to_numpy())
    assert found > 1_000


@pytest.mark.parametrize(
    ("place", "forged", "told"),
    [
        (0, (1 << 50).to_bytes(8, "little"), "a buffer of 4000 bytes says 1125899906842624, its zstd frame 4000"),
        (8, ZSTD.compress(bytes(1 << 20), asbytes=True), "a buffer of 4000 bytes says 4000, its zstd frame 1048576"),
    ],
)
def test_a_buffer_that_claims_to_be_huge_takes_no_memory(tmp_path: Path, place: int, forged: bytes, told: str) -> None:
    path = tmp_path / "file.arrow"
    file = ArrowInput(write(path, numbers(np.random.default_rng(0), 2_000, compressible=True)), SCHEMA, Meter())
    data, (start, stop) = bytearray(path.read_bytes()), file.byte_range(0)
    place += data.index(
        (4_000).to_bytes(8, "little"), start, stop
    )  # what the first buffer says of itself; its frame follows
    data[place : place + len(forged)] = forged
    path.write_bytes(data)
    with pytest.raises(ChecksumError, match=told):
        ArrowInput(str(path), SCHEMA, Meter()).numbers(0)
