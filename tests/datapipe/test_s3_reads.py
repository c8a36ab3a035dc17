"""Reads from an object store on a bad day."""

import dataclasses

import pytest

from datapipe import s3_reads, store
from datapipe.store import StoreError
from tests.faulty_proxy import Fault, FaultyProxy

SHORT = s3_reads.Patience(attempts=3, read_seconds=5, first_pause_seconds=0.01, longest_pause_seconds=0.02)
CONTENT = bytes(range(256)) * 16


@pytest.fixture
def shard(faulty_s3: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """An object of 4,096 bytes behind the proxy; reads have little patience."""
    monkeypatch.setattr(s3_reads, "PATIENCE", SHORT)
    path = f"{faulty_s3.base}/shard"
    store.write_bytes(path, CONTENT)
    faulty_s3.requests.clear()
    return path


FAULTS = pytest.mark.parametrize("fault", ["slow_down", "internal_error", "hang", "stall", "cut", "short", "reset"])


def patience_for(fault: Fault) -> s3_reads.Patience:
    return dataclasses.replace(SHORT, read_seconds=0.5) if fault in ("hang", "stall") else SHORT


@FAULTS
def test_what_passes_is_asked_again(faulty_s3: FaultyProxy, shard: str, fault: Fault) -> None:
    faulty_s3.fail("shard", fault, times=2)
    assert s3_reads.read_range(shard, 100, 1100, patience=patience_for(fault)) == CONTENT[100:1100]
    assert faulty_s3.gets() == [(100, 1100)] * 3


@FAULTS
def test_what_does_not_pass_is_a_bounded_number_of_requests(faulty_s3: FaultyProxy, shard: str, fault: Fault) -> None:
    faulty_s3.fail("shard", fault, times=100)
    with pytest.raises(StoreError, match="no bytes 100 to 1100 in 3 attempts over") as refusal:
        s3_reads.read_range(shard, 100, 1100, patience=patience_for(fault))
    assert len(faulty_s3.requests) == (6 if fault == "reset" else 3)  # aiohttp asks again by itself
    assert refusal.value.path == shard
    assert faulty_s3.url in refusal.value.answer
    assert ("read_timeout_seconds" in refusal.value.remedy) == (fault in ("hang", "stall"))


def test_a_throttled_read_says_so_and_what_to_do(faulty_s3: FaultyProxy, shard: str) -> None:
    faulty_s3.fail("shard", "slow_down", times=100)
    with pytest.raises(StoreError, match="the last answer: 503 SlowDown not now") as refusal:
        store.read_range(shard, 0, 10)
    assert "fewer readers" in refusal.value.remedy


def test_time_is_bounded_too(faulty_s3: FaultyProxy, shard: str) -> None:
    faulty_s3.fail("shard", "slow_down", times=100)
    hasty = s3_reads.Patience(total_seconds=0.0)
    with pytest.raises(StoreError, match="in 1 attempts"):
        s3_reads.read_range(shard, 0, 10, patience=hasty)


def test_pauses_grow_and_are_not_equal() -> None:
    patience = s3_reads.Patience(first_pause_seconds=1, longest_pause_seconds=4)
    pauses = [[patience.pause_after(attempt) for _ in range(50)] for attempt in (1, 2, 3, 4)]
    for longest, drawn in zip((1, 2, 4, 4), pauses, strict=True):
        assert longest / 2 <= min(drawn) < max(drawn) <= longest


def test_size_and_etag_are_asked_again(faulty_s3: FaultyProxy, shard: str) -> None:
    faulty_s3.fail("shard", "slow_down", times=2, method="HEAD")
    info = store.stat(shard)
    assert (info.size_bytes, len(info.etag)) == (len(CONTENT), 32)
    assert [request.method for request in faulty_s3.requests] == ["HEAD"] * 3


def test_a_stream_outlasts_faults(faulty_s3: FaultyProxy, shard: str) -> None:
    with store.open_input(shard) as stream:
        faulty_s3.fail("shard", "cut", times=2)
        assert stream.read() == CONTENT


def test_a_vanished_object_fails_at_once(faulty_s3: FaultyProxy, shard: str) -> None:
    store.remove_tree(shard)
    faulty_s3.requests.clear()
    for read in (store.stat, lambda path: store.read_range(path, 0, 10)):
        with pytest.raises(StoreError, match="NoSuchKey: no such file"):
            read(shard)
    assert [request.method for request in faulty_s3.requests if "shard" in request.key] == ["HEAD", "GET"]


def test_a_replaced_object_is_not_mixed_with_the_old_one(shard: str) -> None:
    etag = store.stat(shard).etag
    with store.open_input(shard) as stream:
        store.write_bytes(shard, CONTENT[::-1])
        with pytest.raises(StoreError, match="replaced while it was read"):
            stream.read(10)
    with pytest.raises(StoreError, match="PreconditionFailed"):
        s3_reads.read_range(shard, 0, 10, etag=etag)
