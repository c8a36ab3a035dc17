"""The order of a stage: every row once per epoch, shares as planned, reads close together."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum import mixture
from curriculum.order import BLOCK_ROWS, Order
from curriculum.permute import WINDOW_GROUPS
from curriculum.plan import BatchSegment, Shard, Source, Stage


def make_stage(
    shards: list[list[int]], *, seq_len: int = 4096, weights: list[int] | None = None, seed: int = 1
) -> Stage:
    """A stage over sources whose shards have these numbers of rows."""
    weights = weights or [1] * len(shards)
    bounds = mixture.bounds([Fraction(weight, sum(weights)) for weight in weights])
    sources = tuple(
        Source(f"s{k}/all", f"s{k}", "all", bound, tuple(Shard(f"s{k}-{n}", rows) for n, rows in enumerate(each)), 0)
        for k, (bound, each) in enumerate(zip(bounds, shards, strict=True))
    )
    return Stage("stage", seq_len, "concat", 1 << 20, (BatchSegment(0, 1 << 20),), sources, 1e4, 0.0, 0.0, seed)


def first_rows(stage: Stage, count: int) -> tuple[np.ndarray, ...]:
    """source, epoch, shard, shard_row, row in the source of rows 0..count-1."""
    order = Order(stage)
    blocks = [order.locate(block) for block in range(-(-count // BLOCK_ROWS))]
    columns = [(*located, order.source_rows(located)) for located in blocks]
    return tuple(np.concatenate(column)[:count] for column in zip(*columns, strict=True))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 90), min_size=1, max_size=5).filter(any), min_size=1, max_size=4),
    st.sampled_from([256, 4096, 20_000, 131_072]),
    st.integers(0, 2**63),
)
def test_every_row_comes_once_per_epoch(shards: list[list[int]], seq_len: int, seed: int) -> None:
    stage = make_stage(shards, seq_len=seq_len, seed=seed)
    source, epoch, shard, shard_row, source_row = first_rows(stage, BLOCK_ROWS + 700)
    names = [(k, n) for k, each in enumerate(shards) for n in range(len(each))]
    for k, each in enumerate(shards):
        mine = source == k
        rows = sum(each)
        whole = int(mine.sum()) // rows
        for number in range(whole + 1):
            seen = np.sort(source_row[mine & (epoch == number)])
            assert np.unique(seen).size == seen.size
            assert number == whole or seen.tolist() == list(range(rows))
        assert (np.diff(epoch[mine]) >= 0).all()
    located = [names[index] for index in shard.tolist()]
    assert [k for k, _ in located] == source.tolist()
    assert all(0 <= row < shards[k][n] for (k, n), row in zip(located, shard_row.tolist(), strict=True))
    before = [sum(shards[k][:n]) for k, n in located]
    assert (np.array(before) + shard_row).tolist() == source_row.tolist()


def test_realised_shares_follow_the_plan_at_every_prefix() -> None:
    stage = make_stage([[50], [400], [30, 30]], weights=[10, 85, 5])
    source = first_rows(stage, 20_000)[0]
    for k, share in enumerate((0.10, 0.85, 0.05)):
        assert np.abs(np.cumsum(source == k) - share * np.arange(1, source.size + 1)).max() < 4


def test_a_block_far_ahead_needs_no_block_before() -> None:
    stage = make_stage([[1000], [77]], weights=[3, 1])
    located = Order(stage).locate(10**6)
    first = 10**6 * BLOCK_ROWS
    before = mixture.rank_before(first, [source.bound for source in stage.sources], mixture.offset(stage.seed))
    assert [int(located.epoch[located.source == k][0]) for k in (0, 1)] == [before[0] // 1000, before[1] // 77]


def test_reads_stay_close_together_and_far_apart_rows_mix() -> None:
    """In one window of the order of a source, 16 record batches are read whole; the next window takes 16 others."""
    group, window = 16, 16 * WINDOW_GROUPS
    stage = make_stage([[group * 333], [1]], weights=[10**6, 1])
    source, _, _, _, row = first_rows(stage, 4000)
    row = row[source == 0]
    windows = [np.unique(row[start : start + window] // group) for start in range(0, 3 * window, window)]
    assert [batches.size for batches in windows] == [WINDOW_GROUPS] * 3
    assert np.unique(np.concatenate(windows)).size == 3 * WINDOW_GROUPS
    assert np.median(np.abs(np.diff(row[:window]))) > 10 * group  # neighbours in the order are strangers on disk


def test_groups_lie_in_one_shard_even_when_shards_end_anywhere() -> None:
    group = 16
    stage = make_stage([[1003, 517, 2, 800]])
    _, _, shard, shard_row, _ = first_rows(stage, 2322)
    cached: list[tuple[int, int]] = []
    decoded = 0
    for batch in zip(shard.tolist(), (shard_row // group).tolist(), strict=True):
        if batch in cached:
            cached.remove(batch)
        else:
            decoded += 1
        cached = [*cached[-2 * WINDOW_GROUPS :], batch]
    num_batches = -(-1003 // group) - (-517 // group) + 1 + 800 // group
    assert decoded < 1.25 * num_batches  # each about once; a shuffle of single rows would decode nearly 2,322


def test_epochs_seeds_and_sources_have_orders_of_their_own() -> None:
    stage = make_stage([[500], [500]])
    source, epoch, _, _, row = first_rows(stage, 4000)
    other = first_rows(make_stage([[500], [500]], seed=2), 4000)[4]
    orders = [
        row[(source == 0) & (epoch == 0)],
        row[(source == 0) & (epoch == 1)],
        row[(source == 1) & (epoch == 0)],
        other[:500],
    ]
    assert all((a == b).mean() < 0.02 for i, a in enumerate(orders) for b in orders[:i])


def test_a_source_that_was_never_built_is_named() -> None:
    with pytest.raises(ValueError, match="stage 'stage' draws from 's1/all', which has no rows"):
        Order(make_stage([[10], []])).locate(0)
    Order(make_stage([[10], []], weights=[1, 0])).locate(0)  # with share 0 nothing is missing
