"""A feed from an object store, on good days and bad ones: the same batches as from a folder, or the name of what is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from curriculum.feed import Feed
from curriculum.plan import BatchSegment
from datapipe import store
from datapipe.block_cache import BlockCache
from datapipe.s3_reads import Patience
from datapipe.site import Site
from tests.faulty_proxy import Fault, FaultyProxy
from tests.written_stages import plan_of, same, write_stage


def test_a_feed_from_s3(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows in a bucket and in a folder give the same batches; blocks come from the cache the second time."""
    batch = [BatchSegment(0, 8)]
    stages = [write_stage("short", root, {}, seq_len=64, steps=5, batch=batch) for root in (tmp_path, f"{s3}/feed")]
    assert stages[0] == stages[1]
    monkeypatch.setenv("TOKENLOOM_SITE", str(tmp_path / "site.toml"))
    (tmp_path / "site.toml").write_text(f'[cache]\nfolder = "{tmp_path}/cache"\nsize = "64Mi"\n')
    plan = plan_of(stages[0])
    local, remote = Feed(plan, str(tmp_path)), Feed(plan, f"{s3}/feed/")
    assert all(same(local.batch(0, step), remote.batch(0, step)) for step in (4, 0, 2))
    assert remote.lineage(0, 3) == local.lineage(0, 3)
    remote.close()
    assert list((tmp_path / "cache").rglob("*"))


@pytest.fixture
def remote(
    faulty_s3: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Feed, Feed, FaultyProxy]]:
    """The same rows through a store with faults and a cache of its own, and from a folder."""
    batch = [BatchSegment(0, 8)]
    for root in (tmp_path, faulty_s3.base):
        stage = write_stage("short", root, {}, seq_len=64, steps=20, batch=batch)
    hasty = Patience(attempts=4, read_seconds=0.4, first_pause_seconds=0.01, longest_pause_seconds=0.02)
    monkeypatch.setattr(
        BlockCache, "of_site", lambda site: BlockCache(site.cache_folder, site.cache_bytes, patience=hasty)
    )
    feed = Feed(plan_of(stage), faulty_s3.base, site=Site(cache_folder=str(tmp_path / "cache")))
    yield feed, Feed(plan_of(stage), str(tmp_path)), faulty_s3
    feed.close()


@pytest.mark.parametrize("fault", ["slow_down", "internal_error", "hang", "cut", "short", "reset"])
def test_what_passes_does_not_stop_a_feed(remote: tuple[Feed, Feed, FaultyProxy], fault: Fault) -> None:
    feed, local, store_with_faults = remote
    store_with_faults.fail("tokens.arrow", fault, times=2)
    store_with_faults.fail("docs.arrow", fault, times=1)
    assert all(same(feed.batch(0, step), local.batch(0, step)) for step in range(5))


def test_what_does_not_pass_names_the_shard(remote: tuple[Feed, Feed, FaultyProxy]) -> None:
    feed, _, store_with_faults = remote
    store_with_faults.fail("web/shard-00000.tokens.arrow", "slow_down", times=1000)
    with pytest.raises(store.StoreError, match=r"web/shard-00000\.tokens\.arrow: .* in 4 attempts .*SlowDown"):
        feed.batch(0, 0)


def blocks_in(cache: Path) -> list[Path]:
    blocks = [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    assert blocks
    return blocks


def test_a_vanished_shard_is_told_at_once(remote: tuple[Feed, Feed, FaultyProxy]) -> None:
    feed, _, store_with_faults = remote
    store.remove_tree(f"{store_with_faults.base}/shards/short/code/shard-00000.docs.arrow")
    with pytest.raises(store.StoreError, match=r"code/shard-00000\.docs\.arrow: NoSuchKey"):
        list(feed.stream())


def test_a_damaged_block_of_the_cache_is_fetched_again(remote: tuple[Feed, Feed, FaultyProxy], tmp_path: Path) -> None:
    feed, local, store_with_faults = remote
    assert same(feed.batch(0, 0), local.batch(0, 0))
    for block in blocks_in(tmp_path / "cache"):
        data = bytearray(block.read_bytes())
        data[len(data) // 3] ^= 1
        block.write_bytes(data)
    fresh = Feed(feed.plan, store_with_faults.base, site=Site(cache_folder=str(tmp_path / "cache")))
    assert all(same(fresh.batch(0, step), local.batch(0, step)) for step in range(5))


def test_what_the_next_rows_need_is_fetched_ahead(
    remote: tuple[Feed, Feed, FaultyProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first batch the cache fetches what the rest of the stage needs, and later batches ask the store for nothing."""
    monkeypatch.setattr("curriculum.feed.WINDOW_TOKENS", 1)
    feed, local, store_with_faults = remote
    needed = {row["shard"] for step in range(20) for row in local.lineage(0, step)}
    assert needed > {row["shard"] for row in local.lineage(0, 0)}
    assert same(feed.batch(0, 0), local.batch(0, 0))
    for path in needed:
        store_with_faults.wait_for_gets(1, f"{path}.tokens.arrow")
        store_with_faults.wait_for_gets(1, f"{path}.docs.arrow")
    asked = len(store_with_faults.gets())
    assert all(same(feed.batch(0, step), local.batch(0, step)) for step in range(1, 20))
    assert len(store_with_faults.gets()) == asked


def test_a_rank_has_its_own_rows_fetched_ahead_however_large_a_step_is(
    remote: tuple[Feed, Feed, FaultyProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two ranks needs a shard in the next step that it did not need before."""
    monkeypatch.setattr("curriculum.feed.WINDOW_TOKENS", 1)
    monkeypatch.setattr("curriculum.feed.AHEAD_TOKENS", 1)
    feed, local, store_with_faults = remote
    shards = [[row["shard"] for row in local.lineage(0, step)] for step in range(20)]
    step = next(k for k in range(19) if set(shards[k + 1][4:]) - set(shards[k]))
    assert same(feed.batch(0, step, rank=1, world=2), local.batch(0, step, rank=1, world=2))
    for path in set(shards[step + 1][4:]):
        store_with_faults.wait_for_gets(1, f"{path}.tokens.arrow")
        store_with_faults.wait_for_gets(1, f"{path}.docs.arrow")
    of_others = set(shards[step + 1][:4]) - set(shards[step + 1][4:]) - set(shards[step][4:])
    assert not any(store_with_faults.gets(path) for path in of_others)


def test_a_shard_that_only_later_batches_need_does_not_stop_this_one(
    remote: tuple[Feed, Feed, FaultyProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curriculum.feed.WINDOW_TOKENS", 1)
    feed, local, store_with_faults = remote
    needed = [{row["shard"] for row in local.lineage(0, step)} for step in range(20)]
    step = next(k for k in range(20) if needed[k] - needed[0])
    (missing, *_) = needed[step] - needed[0]
    store.remove_tree(f"{store_with_faults.base}/{missing}.tokens.arrow")
    for number in range(step):
        assert same(feed.batch(0, number), local.batch(0, number))
    with pytest.raises(store.StoreError, match=rf"{missing}\.tokens\.arrow: NoSuchKey"):
        feed.batch(0, step)
