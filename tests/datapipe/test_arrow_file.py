"""Checked Arrow files: every value counts, and a failing disk is not taken for damage."""

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from datapipe import store
from datapipe.arrow_file import ArrowInput, ChecksumError, Meter, ShardError, arrow_output, checksum
from datapipe.block_cache import BlockCache
from datapipe.s3_reads import Patience
from datapipe.store import StoreError
from tests.faulty_proxy import FaultyProxy

ITEMS = pa.list_(pa.struct([("start", pa.uint32()), ("length", pa.uint32())]))
SCHEMA = pa.schema([("name", pa.string()), ("number", pa.uint16()), ("items", ITEMS)])
ROW = {"name": "ab", "number": 3, "items": [{"start": 1, "length": 2}]}


def batch(*rows: dict[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


def write(path: Path, *batches: pa.RecordBatch) -> str:
    with arrow_output(str(path), SCHEMA, pa.Codec("lz4"), {"answer": "42"}) as output:
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


def test_batches_and_notes_come_back(tmp_path: Path) -> None:
    batches = [batch(ROW, {**ROW, "items": None}), batch(), batch({**ROW, "items": []})]
    file = ArrowInput(write(tmp_path / "file.arrow", *batches), SCHEMA, Meter())
    assert (file.num_batches, file.note("answer", "[0-9]+")) == (3, "42")
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


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_a_record_batch_lies_where_the_footer_says(tmp_path: Path, count: int) -> None:
    batches = [batch(*[{**ROW, "name": "x" * number}] * number) for number in range(count)]
    path = write(tmp_path / "file.arrow", *batches)
    file = ArrowInput(path, SCHEMA, Meter())
    ranges = [file.byte_range(index) for index in range(file.num_batches)]
    messages = [pa.ipc.read_message(Path(path).read_bytes()[start:stop]) for start, stop in ranges]
    assert [pa.ipc.read_record_batch(message, SCHEMA) for message in messages] == batches
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ranges))
    with pytest.raises(ShardError, match=f"none is number {count}"):
        file.byte_range(count)


# Through the cache, from an object store on a bad day

BLOCK = 4096
SHORT = Patience(attempts=3, read_seconds=5, first_pause_seconds=0.01, longest_pause_seconds=0.02)
BATCHES = [batch({**ROW, "name": os.urandom(BLOCK).hex(), "number": number}) for number in range(8)]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[BlockCache]:
    with contextlib.closing(BlockCache(str(tmp_path), 1 << 24, block_bytes=BLOCK, patience=SHORT)) as cache:
        yield cache


@pytest.fixture
def remote(faulty_s3: FaultyProxy) -> str:
    """A file of eight batches, each of more than a block."""
    path = f"{faulty_s3.base}/shard.tokens.arrow"
    with arrow_output(path, SCHEMA, pa.Codec("lz4"), {}) as output:
        for each in BATCHES:
            output.write(each)
    faulty_s3.requests.clear()
    return path


def damage(path: str, place: int) -> None:
    data = bytearray(store.read_bytes(path))
    data[place] ^= 1
    store.write_bytes(path, bytes(data))


def damage_copy(folder: Path, number: int, place: int) -> None:
    """Flip a bit of the cached block `number`."""
    (block,) = (folder / "blocks").glob(f"*-{number}")
    damage(str(block), place)


def test_opening_costs_two_requests_and_a_batch_one(cache: BlockCache, remote: str, faulty_s3: FaultyProxy) -> None:
    file = ArrowInput(remote, SCHEMA, Meter(), cache)
    first, stop = file.byte_range(3)
    assert [request.method for request in faulty_s3.requests] == ["HEAD", "GET"]
    assert file.batch(3) == BATCHES[3]
    assert faulty_s3.gets()[1:] == [(first // BLOCK * BLOCK, -(-stop // BLOCK) * BLOCK)]
    assert file.batch(3) == BATCHES[3]
    assert ArrowInput(remote, SCHEMA, Meter(), cache).batch(3) == BATCHES[3]
    assert len(faulty_s3.gets()) == 2


def test_a_prefetched_batch_costs_no_request(cache: BlockCache, remote: str, faulty_s3: FaultyProxy) -> None:
    file = ArrowInput(remote, SCHEMA, Meter(), cache)
    cache.prefetch(remote, *file.byte_range(2))
    faulty_s3.wait_for_gets(2)
    assert file.batch(2) == BATCHES[2]
    assert len(faulty_s3.gets()) == 2


@pytest.mark.parametrize("through_cache", [True, False])
def test_an_outage_names_file_and_batch(
    cache: BlockCache, remote: str, faulty_s3: FaultyProxy, monkeypatch: pytest.MonkeyPatch, through_cache: bool
) -> None:
    monkeypatch.setattr("datapipe.s3_reads.PATIENCE", SHORT)
    file = ArrowInput(remote, SCHEMA, Meter(), cache if through_cache else None)
    faulty_s3.fail("shard", "slow_down", times=3)
    with pytest.raises(StoreError, match=r"in 3 attempts.*503 SlowDown") as refusal:
        file.batch(5)
    assert refusal.value.path == f"{remote}: record batch 5"
    assert file.batch(5) == BATCHES[5]


def test_a_full_disk_names_batch_and_folder(
    cache: BlockCache, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ArrowInput(remote, SCHEMA, Meter(), cache)

    def write_bytes(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(StoreError, match=r"record batch 1: .*No space left on device") as refusal:
        file.batch(1)
    assert str(tmp_path) in str(refusal.value)


def test_a_damaged_copy_is_healed(cache: BlockCache, remote: str, faulty_s3: FaultyProxy, tmp_path: Path) -> None:
    file = ArrowInput(remote, SCHEMA, Meter(), cache)
    assert file.batch(4) == BATCHES[4]
    start, stop = file.byte_range(4)
    damage_copy(tmp_path, (start + stop) // 2 // BLOCK, 2000)
    asked = len(faulty_s3.gets())
    assert file.batch(4) == BATCHES[4]
    assert len(faulty_s3.gets()) == asked + 1


def test_a_damaged_copy_of_the_footer_is_healed(cache: BlockCache, remote: str, tmp_path: Path) -> None:
    size = store.stat(remote).size_bytes
    ArrowInput(remote, SCHEMA, Meter(), cache)
    for place in range(size - 1, size - 600, -7):
        damage_copy(tmp_path, place // BLOCK, place % BLOCK)
        file = ArrowInput(remote, SCHEMA, Meter(), cache)
        assert [file.batch(index) for index in (2, 7)] == [BATCHES[2], BATCHES[7]]
        cache.forget(remote, place, place + 1)  # damage that did no harm is not found
        file.batch(7)


def test_a_damaged_object_is_named(cache: BlockCache, remote: str, faulty_s3: FaultyProxy) -> None:
    start, stop = ArrowInput(remote, SCHEMA, Meter()).byte_range(6)
    damage(remote, (start + stop) // 2)
    file = ArrowInput(remote, SCHEMA, Meter(), cache)
    with pytest.raises(ChecksumError, match=r"shard\.tokens\.arrow: record batch 6 is damaged"):
        file.batch(6)
    assert file.batch(5) == BATCHES[5]
    damage(remote, store.stat(remote).size_bytes - 1)
    with pytest.raises(ShardError, match="not a whole Arrow file"):
        ArrowInput(remote, SCHEMA, Meter(), cache)
