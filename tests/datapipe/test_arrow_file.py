"""Checked Arrow files: every value counts, and a failing disk is not taken for damage."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from datapipe.arrow_file import ArrowInput, ChecksumError, Meter, arrow_output, checksum

ITEMS = pa.list_(pa.struct([("start", pa.uint32()), ("length", pa.uint32())]))
SCHEMA = pa.schema([("name", pa.string()), ("number", pa.uint16()), ("items", ITEMS)])
ROW = {"name": "ab", "number": 3, "items": [{"start": 1, "length": 2}]}


def batch(*rows: dict[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


def write(path: Path, *batches: pa.RecordBatch) -> str:
    with arrow_output(str(path), SCHEMA, pa.Codec("lz4"), answer=42) as output:
        for each in batches:
            output.write(each)
    return str(path)


def test_every_value_and_the_place_count() -> None:
    other = [
        batch(ROW, ROW),
        batch({**ROW, "name": "ac"}),
        batch({**ROW, "number": 4}),
        batch({**ROW, "items": [{"start": 1, "length": 3}]}),
        batch({**ROW, "items": []}),
        batch({**ROW, "items": None}),
        batch({**ROW, "name": "a"}, {**ROW, "name": "b"}),
        batch(),
    ]
    sums = [checksum(each, 0) for each in [batch(ROW), *other]] + [checksum(batch(ROW), 1)]
    assert len(set(sums)) == len(sums)
    assert checksum(batch({**ROW, "name": "x"}, ROW, ROW).slice(1, 1), 0) == sums[0]  # however Arrow holds it


def test_batches_and_numbers_come_back(tmp_path: Path) -> None:
    batches = [batch(ROW, {**ROW, "items": None}), batch(), batch({**ROW, "items": []})]
    file = ArrowInput(write(tmp_path / "file.arrow", *batches), SCHEMA, Meter())
    assert (file.num_batches, file.number("answer")) == (3, 42)
    assert [file.batch(index) for index in (2, 0, 1)] == [batches[2], batches[0], batches[1]]


def test_a_batch_in_the_place_of_another_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "file.arrow", batch(ROW), batch({**ROW, "number": 9}))
    with pa.ipc.open_file(path) as file:
        first, second = (file.get_batch_with_custom_metadata(index) for index in range(2))
        schema = file.schema
    with pa.ipc.new_file(path, schema) as swapped:
        for each in (second, first):
            swapped.write_batch(each.batch, custom_metadata=each.custom_metadata)
    with pytest.raises(ChecksumError, match=r"file\.arrow: record batch 0 is damaged"):
        ArrowInput(path, SCHEMA, Meter()).batch(0)


def test_a_failing_disk_is_not_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ArrowInput(write(tmp_path / "file.arrow", batch(ROW)), SCHEMA, Meter())
    failure = OSError(errno.EIO, os.strerror(errno.EIO))

    def read(self: object, size: int = -1) -> bytes:
        raise failure

    monkeypatch.setattr("datapipe.arrow_file._MeteredStream.read", read)
    with pytest.raises(OSError, match="Input/output error") as raised:
        file.batch(0)
    assert raised.value.errno == errno.EIO
