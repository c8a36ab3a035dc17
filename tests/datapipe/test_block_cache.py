"""Objects through a local cache, against a store on a bad day."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapipe import block_cache, store
from datapipe.block_cache import BlockCache
from datapipe.s3_reads import Patience
from datapipe.site import Site
from datapipe.stored import StoreError
from tests.faulty_proxy import FaultyProxy

ROOT = Path(__file__).parents[2]
BLOCK = 64 << 10
CONTENT = random.Random(5).randbytes(9 * BLOCK + 1234)  # ten blocks
SHORT = Patience(attempts=3, read_seconds=5, first_pause_seconds=0.01, longest_pause_seconds=0.02)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockCache]:
    monkeypatch.setattr(block_cache, "REQUEST_BYTES", 4 * BLOCK)
    with contextlib.closing(open_cache(tmp_path)) as opened:
        yield opened


@pytest.fixture
def path(faulty_s3: FaultyProxy) -> str:
    path = f"{faulty_s3.base}/shard.arrow"
    store.write_bytes(path, CONTENT)
    faulty_s3.requests.clear()
    return path


def open_cache(folder: Path, limit_blocks: int = 100) -> BlockCache:
    return BlockCache(str(folder / "cache"), limit_blocks * BLOCK, block_bytes=BLOCK, patience=SHORT)


def blocks_in(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "blocks").iterdir())


def blocks(*ranges: tuple[int, int]) -> list[tuple[int, int]]:
    return [(first * BLOCK, min(stop * BLOCK, len(CONTENT))) for first, stop in ranges]


def test_a_stream_is_the_object(cache: BlockCache, path: str) -> None:
    stream = cache.open(path)
    draw = random.Random(1)
    for _ in range(50):
        start, size = draw.randrange(len(CONTENT)), draw.choice([0, 1, 100, BLOCK, 3 * BLOCK])
        assert stream.seek(start) == start
        assert stream.read(size) == CONTENT[start : start + size]
        assert stream.tell() == min(start + size, len(CONTENT))
    assert stream.seek(-10, os.SEEK_END) == len(CONTENT) - 10
    assert (stream.read(), stream.read(5)) == (CONTENT[-10:], b"")
    buffer = bytearray(20)
    stream.seek(BLOCK - 10)
    assert stream.readinto(buffer) == 20
    assert bytes(buffer) == CONTENT[BLOCK - 10 : BLOCK + 10]


def test_a_cold_read_is_few_requests_and_a_warm_one_none(cache: BlockCache, path: str, faulty_s3: FaultyProxy) -> None:
    assert cache.open(path).read() == CONTENT
    assert faulty_s3.gets() == blocks((0, 4), (4, 8), (8, 10))
    faulty_s3.requests.clear()
    assert cache.open(path).read() == CONTENT
    assert [request.method for request in faulty_s3.requests] == ["HEAD"]


def test_only_what_is_missing_is_fetched(cache: BlockCache, path: str, faulty_s3: FaultyProxy) -> None:
    stream = cache.open(path)
    for index in (1, 5):
        stream.seek(index * BLOCK + 7)
        stream.read(1)
    faulty_s3.requests.clear()
    stream.seek(3)
    assert stream.read(7 * BLOCK) == CONTENT[3 : 7 * BLOCK + 3]
    assert faulty_s3.gets() == blocks((0, 1), (2, 5), (6, 8))


def test_a_local_file_is_itself(cache: BlockCache, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"local")
    with cache.open(str(tmp_path / "x")) as stream:
        assert stream.read() == b"local"
    cache.prefetch(str(tmp_path / "x"), 0, 5)
    assert not cache.forget(str(tmp_path / "x"), 0, 5)
    assert blocks_in(tmp_path) == []


def test_an_object_that_was_replaced_is_another(cache: BlockCache, path: str) -> None:
    old = cache.open(path)
    old.read(1)
    store.write_bytes(path, CONTENT[::-1])
    assert cache.open(path).read() == CONTENT[::-1]
    with pytest.raises(StoreError, match="replaced while it was read"):
        old.read()


def test_faults_pass_and_what_stays_is_told(
    cache: BlockCache, path: str, faulty_s3: FaultyProxy, tmp_path: Path
) -> None:
    stream = cache.open(path)
    faulty_s3.fail("shard", "cut", times=2)
    assert stream.read(10) == CONTENT[:10]
    faulty_s3.fail("shard", "slow_down", times=3)
    stream.seek(2 * BLOCK)
    with pytest.raises(StoreError, match=f"no bytes {2 * BLOCK} to {3 * BLOCK} in 3 attempts"):
        stream.read(10)
    assert len(blocks_in(tmp_path)) == 1
    assert stream.read(10) == CONTENT[2 * BLOCK : 2 * BLOCK + 10]  # the stream stood still, and goes on


def test_blocks_that_vanish_are_fetched_again(cache: BlockCache, path: str, tmp_path: Path) -> None:
    stream = cache.open(path)
    for content in (CONTENT, CONTENT):
        stream.seek(0)
        assert stream.read() == content
        first, *_, last = blocks_in(tmp_path)
        first.unlink()
        last.write_bytes(b"cut short")


def test_forgotten_blocks_are_fetched_again(cache: BlockCache, path: str, faulty_s3: FaultyProxy) -> None:
    stream = cache.open(path)
    stream.read()
    faulty_s3.requests.clear()
    assert cache.forget(path, 3 * BLOCK - 1, 3 * BLOCK + 1)
    stream.seek(0)
    assert stream.read() == CONTENT
    assert faulty_s3.gets() == blocks((2, 4))


def test_prefetched_blocks_are_there(cache: BlockCache, path: str, faulty_s3: FaultyProxy) -> None:
    stream = cache.open(path)
    for start in range(BLOCK, 3 * BLOCK - 1000, 1000):  # as record batches would be asked for
        cache.prefetch(path, start, start + 1000)
    faulty_s3.wait_for_gets(2)
    stream.seek(BLOCK)
    assert stream.read(2 * BLOCK) == CONTENT[BLOCK : 3 * BLOCK]
    assert sorted(faulty_s3.gets()) == blocks((1, 2), (2, 3))


def test_prefetching_never_fails_but_the_read_does(cache: BlockCache, path: str, faulty_s3: FaultyProxy) -> None:
    stream = cache.open(path)
    store.remove_tree(path)
    cache.prefetch(path, 0, len(CONTENT))
    cache.prefetch(f"{path}.never-opened", 0, 10)
    faulty_s3.wait_for_gets(3)
    with pytest.raises(StoreError, match="NoSuchKey"):
        stream.read(1)


def test_prefetching_leaves_out_what_others_fetch(
    cache: BlockCache, path: str, faulty_s3: FaultyProxy, tmp_path: Path
) -> None:
    stream = cache.open(path)
    other = open_cache(tmp_path)
    held = other.open(path)
    faulty_s3.delay_seconds = 0.3
    other.prefetch(path, 2 * BLOCK, 3 * BLOCK)
    faulty_s3.wait_for_gets(1)
    cache.prefetch(path, BLOCK, 4 * BLOCK)
    faulty_s3.wait_for_gets(3)
    stream.seek(BLOCK)
    assert stream.read(3 * BLOCK) == CONTENT[BLOCK : 4 * BLOCK]
    assert sorted(faulty_s3.gets()) == blocks((1, 2), (2, 3), (3, 4))
    held.close()


def test_a_file_is_known_while_it_is_open(cache: BlockCache, path: str, faulty_s3: FaultyProxy) -> None:
    """So that what the cache remembers does not grow with the number of shards."""
    stream = cache.open(path)
    assert cache.forget(path, 0, 1)
    del stream
    assert not cache.forget(path, 0, 1)
    cache.prefetch(path, 0, len(CONTENT))
    assert cache.open(path).read(9) == CONTENT[:9]
    assert faulty_s3.gets() == blocks((0, 1))


def test_prefetching_is_bounded(cache: BlockCache, path: str, faulty_s3: FaultyProxy, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_cache, "QUEUED_REQUESTS", 2)
        narrow = BlockCache(str(tmp_path / "narrow"), 1 << 30, block_bytes=BLOCK, concurrency=1, patience=SHORT)
    stream = narrow.open(path)
    faulty_s3.delay_seconds = 0.2
    for index in range(10):
        narrow.prefetch(path, index * BLOCK, (index + 1) * BLOCK)
    faulty_s3.wait_for_gets(1)
    narrow.close()
    narrow.prefetch(path, 0, len(CONTENT))
    faulty_s3.delay_seconds = 0
    assert stream.read() == CONTENT
    assert len(faulty_s3.gets()) <= 6


def test_a_limit_below_one_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"(?s)does not hold one block of 65536.*\[cache\] size"):
        BlockCache(str(tmp_path), BLOCK - 1, block_bytes=BLOCK)


def test_a_site_says_where_and_how_large(tmp_path: Path, path: str) -> None:
    cache = BlockCache.of_site(Site(str(tmp_path / "cache"), 64 << 20))
    assert cache.open(path).read(9) == CONTENT[:9]
    assert [file.stat().st_size for file in blocks_in(tmp_path)] == [len(CONTENT)]


def test_the_oldest_blocks_go(path: str, tmp_path: Path, faulty_s3: FaultyProxy) -> None:
    stream = open_cache(tmp_path, limit_blocks=4).open(path)

    def read(index: int) -> None:
        stream.seek(index * BLOCK)
        assert stream.read(1) == CONTENT[index * BLOCK : index * BLOCK + 1]

    for index in range(4):
        read(index)
        (newest,) = (file for file in blocks_in(tmp_path) if file.name.endswith(f"-{index}"))
        os.utime(newest, (1000 + index, 1000 + index))
    read(0)
    read(4)
    assert [int(file.name.rpartition("-")[2]) for file in blocks_in(tmp_path)] == [0, 2, 3, 4]


READER = f"""
import random, sys
from datapipe.block_cache import BlockCache
folder, path, limit, seed = sys.argv[1:]
stream = BlockCache(folder, int(limit), block_bytes={BLOCK}).open(path)
order = list(range({len(CONTENT) // BLOCK + 1})) * 3
random.Random(int(seed)).shuffle(order)
print("ready", flush=True)
sys.stdin.readline()
for index in order:
    stream.seek(index * {BLOCK})
    sys.stdout.write(f"{{index}} {{hash(stream.read({BLOCK}))}}\\n")
"""


@contextlib.contextmanager
def readers(folder: Path, path: str, limit_blocks: int, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that stand at the start; a line on their input lets them run."""
    command = [sys.executable, "-c", READER, str(folder / "cache"), path, str(limit_blocks * BLOCK)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, str(seed)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                    env=environment,
                )
            )
            for seed in range(count)
        ]
        for process in started:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        yield started


def test_processes_share_what_each_fetches_once(path: str, tmp_path: Path, faulty_s3: FaultyProxy) -> None:
    with readers(tmp_path, path, limit_blocks=100, count=3) as processes:
        answers = [set(process.communicate()[0].splitlines()) for process in processes]
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 10
    assert sorted(faulty_s3.gets()) == blocks(*((index, index + 1) for index in range(10)))


def test_processes_keep_one_limit(path: str, tmp_path: Path) -> None:
    most = 0
    with readers(tmp_path, path, limit_blocks=4, count=3) as processes:
        while any(process.poll() is None for process in processes):
            most = max(most, size_of_whole_blocks(tmp_path))
        answers = [set(process.communicate()[0].splitlines()) for process in processes]
    assert 3 * BLOCK < most <= 4 * BLOCK
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 10


def size_of_whole_blocks(folder: Path) -> int:
    sizes = []
    for file in blocks_in(folder):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(0 if file.suffix == ".part" else file.stat().st_size)
    return sum(sizes)


def test_a_process_killed_while_it_fetches_leaves_nothing(
    cache: BlockCache, path: str, tmp_path: Path, faulty_s3: FaultyProxy
) -> None:
    faulty_s3.fail("shard", "hang")
    with readers(tmp_path, path, limit_blocks=100, count=1) as (process,):
        faulty_s3.wait_for_gets(1)
        process.send_signal(signal.SIGKILL)
    assert blocks_in(tmp_path) == []
    assert cache.open(path).read() == CONTENT
