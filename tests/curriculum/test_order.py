"""The order of a stage: every row once per epoch, shares as planned, reads close together, and the way back from a row to its place."""

import dataclasses
import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum import mixture
from curriculum.order import BLOCK_ROWS, Located, Order
from curriculum.permute import WINDOW_GROUPS
from curriculum.plan import BatchSegment, MixtureSegment, Stage
from tests.plans import make_source, make_stage

Sizes = list[tuple[int, ...]]  # (rows, shards) or (rows, shards, rows held out) of every source


def stage_of(sizes: Sizes, *, weights: list[int] | None = None, **changes: object) -> Stage:
    weights = weights or [1] * len(sizes)
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    sources = [make_source(f"s{k}", *size[:2], held_out=sum(size[2:])) for k, size in enumerate(sizes)]
    return make_stage(sources, shares, **changes)  # type: ignore[arg-type]


def first_rows(stage: Stage, count: int) -> Located:
    order = Order(stage)
    blocks = [order.locate(block) for block in range(-(-count // BLOCK_ROWS))]
    return Located(*(np.concatenate(column)[:count] for column in zip(*blocks, strict=True)))


def source_row(stage: Stage, located: Located) -> np.ndarray:
    """Rows in the shards of each source laid end to end."""
    sources = stage.sources
    first = [sources[s].first_row(n) for s, n in zip(located.source.tolist(), located.shard.tolist(), strict=True)]
    return np.array(first) + located.shard_row


def with_held_out(size: tuple[int, int]) -> st.SearchStrategy[tuple[int, int, int]]:
    """All but one row of the first shard may be held out, and often none is."""
    limit = size[0] // size[1] - 1
    return st.tuples(*map(st.just, size), st.one_of(st.just(0), st.integers(0, limit), st.just(limit)))


sizes = st.lists(
    st.integers(1, 300)
    .flatmap(lambda rows: st.tuples(st.just(rows), st.integers(1, min(rows, 9))))
    .flatmap(with_held_out),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=30)
@given(sizes, st.sampled_from([256, 4096, 20_000, 131_072]), st.integers(0, 2**63))
def test_every_row_comes_once_per_epoch(sizes: Sizes, seq_len: int, seed: int) -> None:
    stage = stage_of(sizes, seq_len=seq_len, seed=seed)
    located = first_rows(stage, BLOCK_ROWS + 700)
    row = source_row(stage, located)
    for k, source in enumerate(stage.sources):
        mine = located.source == k
        whole = int(mine.sum()) // source.trainable_rows
        for number in range(whole + 1):
            seen = np.sort(row[mine & (located.epoch == number)])
            assert np.unique(seen).size == seen.size
            assert number == whole or seen.tolist() == list(range(source.held_out, source.rows))
        assert (np.diff(located.epoch[mine]) >= 0).all()
        shard_rows = np.array([shard.rows for shard in source.shards])
        assert (located.shard_row[mine] < shard_rows[located.shard[mine]]).all()
        assert (row[mine] >= source.held_out).all()


@settings(deadline=None, max_examples=30)
@given(sizes, st.sampled_from([256, 4096, 131_072]), st.data())
def test_the_way_back_finds_every_row_of_the_stage(sizes: Sizes, seq_len: int, data: st.DataObject) -> None:
    """With several segments, rows held out, and behind what an earlier stage has drawn."""
    steps = data.draw(st.integers(1, 1500))
    stage = stage_of(sizes, seq_len=seq_len, steps=steps, batch=(BatchSegment(0, 1),))
    border = data.draw(st.integers(0, steps))
    shares = [Fraction(k + 1, sum(range(len(sizes) + 1))) for k in range(len(sizes))]
    first, offset = stage.mixture[0], mixture.offset(stage.seed)
    taken = mixture.rank_before(border, first.bounds, offset)
    segments = (first, MixtureSegment(border, tuple(mixture.bounds(shares)), tuple(taken)))
    later = dataclasses.replace(stage, mixture=segments if border else segments[1:])
    counts = np.bincount(first_rows(later, steps).source, minlength=len(sizes)).tolist()
    drawn = [
        dataclasses.replace(source, rows_planned=count, first_rank=data.draw(st.integers(0, 3 * source.rows)))
        for source, count in zip(later.sources, counts, strict=True)
    ]
    later = dataclasses.replace(later, sources=tuple(drawn))
    located, order = first_rows(later, steps), Order(later)
    where: dict[tuple[int, int, int], list[int]] = {}
    for row, (source, _, shard, shard_row) in enumerate(zip(*(column.tolist() for column in located), strict=True)):
        where.setdefault((source, shard, shard_row), []).append(row)
    for k, source in enumerate(later.sources):
        for n, shard in enumerate(source.shards):
            for row in {0, source.held_out, shard.rows // 2, shard.rows - 1} & {*range(shard.rows)}:
                assert order.stage_rows(k, n, row) == where.get((k, n, row), [])


def test_realised_shares_follow_the_plan_at_every_prefix() -> None:
    stage = stage_of([(50, 1), (400, 1), (60, 2)], weights=[10, 85, 5])
    source = first_rows(stage, 20_000).source
    for k, share in enumerate((0.10, 0.85, 0.05)):
        assert np.abs(np.cumsum(source == k) - share * np.arange(1, source.size + 1)).max() < 4


def test_a_block_far_ahead_needs_no_block_before() -> None:
    stage = stage_of([(1000, 7), (77, 1)], weights=[3, 1])
    located = Order(stage).locate(10**6)
    first = 10**6 * BLOCK_ROWS
    before = mixture.rank_before(first, stage.mixture[0].bounds, mixture.offset(stage.seed))
    assert [int(located.epoch[located.source == k][0]) for k in (0, 1)] == [before[0] // 1000, before[1] // 77]


def test_a_later_stage_goes_on_behind_an_earlier_one() -> None:
    stage = stage_of([(1000, 4), (300, 2)], weights=[3, 1])
    through = first_rows(stage, 2000)
    later = dataclasses.replace(
        stage,
        seed=99,
        sources=tuple(dataclasses.replace(s, first_rank=n) for s, n in zip(stage.sources, (600, 100), strict=True)),
    )
    behind = first_rows(later, 500)
    for k, skipped in ((0, 600), (1, 100)):
        expected = source_row(stage, through)[through.source == k][skipped:]
        found = source_row(later, behind)[behind.source == k]
        assert found.tolist() == expected[: found.size].tolist()


def test_reads_stay_close_together_and_far_apart_rows_mix() -> None:
    """In one window of the order of a shard, 16 record batches are read whole; the next window takes 16 others."""
    group, window = 16, 16 * WINDOW_GROUPS
    stage = stage_of([(group * 333, 1), (1, 1)], weights=[10**6, 1])
    located = first_rows(stage, 4000)
    row = located.shard_row[located.source == 0]
    windows = [np.unique(row[start : start + window] // group) for start in range(0, 3 * window, window)]
    assert [batches.size for batches in windows] == [WINDOW_GROUPS] * 3
    assert np.unique(np.concatenate(windows)).size == 3 * WINDOW_GROUPS
    assert np.median(np.abs(np.diff(row[:window]))) > 10 * group  # neighbours in the order are strangers on disk


@pytest.mark.parametrize("held_out", [0, 40, 142])
def test_one_shard_after_the_other_in_the_first_epoch_from_the_first_on(held_out: int) -> None:
    """A running build seals shards in this order, and a stage needs only the first of each source to begin."""
    stage = stage_of([(1003, 7, held_out), (50, 2)], weights=[20, 1])
    located = first_rows(stage, 1003 * 5)
    mine = located.source == 0
    shards = [located.shard[mine & (located.epoch == epoch)] for epoch in range(4)]
    assert shards[0].tolist() == sorted(shards[0].tolist())
    begins = [int(each[0]) for each in shards]
    assert begins[0] == 0
    assert len(set(begins)) > 1
    for begin, each in zip(begins, shards, strict=True):  # later epochs begin elsewhere and go round
        assert ((each - begin) % 7).tolist() == sorted(((each - begin) % 7).tolist())


@pytest.mark.parametrize("held_out", [0, 55])
def test_a_record_batch_is_decoded_about_once_wherever_shards_end(held_out: int) -> None:
    group = 16
    stage = stage_of([(2322, 4, held_out)])
    located = first_rows(stage, 2322 - held_out)
    cached: list[tuple[int, int]] = []
    decoded = 0
    for batch in zip(located.shard.tolist(), (located.shard_row // group).tolist(), strict=True):
        if batch in cached:
            cached.remove(batch)
        else:
            decoded += 1
        cached = [*cached[-2 * WINDOW_GROUPS :], batch]
    num_batches = sum(-(-shard.rows // group) for shard in stage.sources[0].shards)
    assert decoded < 1.25 * num_batches  # a shuffle of single rows would decode nearly 2,322


def test_epochs_seeds_and_sources_have_orders_of_their_own() -> None:
    stage = stage_of([(500, 1), (500, 1)])
    other = dataclasses.replace(stage, sources=tuple(dataclasses.replace(s, seed=s.seed + 9) for s in stage.sources))
    located, again = first_rows(stage, 4000), first_rows(other, 4000)
    orders = [
        rows.shard_row[(rows.source == k) & (rows.epoch == epoch)][:500]
        for rows in (located, again)
        for k in (0, 1)
        for epoch in (0, 1)
    ]
    assert all((a == b).mean() < 0.02 for i, a in enumerate(orders) for b in orders[:i])


def test_what_cannot_be_drawn_is_named() -> None:
    stage = stage_of([(10, 1), (5, 1)])
    empty = dataclasses.replace(stage.sources[1], rows=0, num_shards=0)
    with pytest.raises(ValueError, match="draws from 's1/all', which has no rows"):
        Order(dataclasses.replace(stage, sources=(stage.sources[0], empty))).locate(0)
    with pytest.raises(ValueError, match="'stage' is open"):
        Order(dataclasses.replace(stage, sources=(), mixture=()))


@pytest.mark.parametrize("rows", [10**9, 10**12 + 7])
def test_a_source_may_be_as_large_as_it_likes(rows: int) -> None:
    stage = stage_of([(rows, 10**6), (10**6, 3)], steps=1 << 40, batch=(BatchSegment(0, 1),))
    order, row = Order(stage), 10**9 + 123
    located = order.locate(row // BLOCK_ROWS)
    here = row % BLOCK_ROWS
    place = (int(located.source[here]), int(located.shard[here]), int(located.shard_row[here]))
    assert row in order.stage_rows(*place)


def test_a_checkpoint_of_an_older_build_goes_on_in_the_same_order() -> None:
    """Where nothing is held out the order is the one of plans that could hold nothing out; the value was taken from those."""
    located = first_rows(stage_of([(1003, 7), (77, 1), (10_000, 3)], weights=[5, 1, 9], seed=11), 2 * BLOCK_ROWS)
    found = hashlib.sha256(b"".join(column.astype(np.int64).tobytes() for column in located)).hexdigest()
    assert found[:16] == "458df6d41ef4a166"


def test_rows_are_held_out_of_large_sources_too() -> None:
    """Trillions of rows, of which the first ones of the first shard stay away: the way back knows, and every epoch begins behind them."""
    stage = stage_of([(10**12 + 7, 10**6, 10**5), (10**6, 3, 7)], steps=1 << 40, batch=(BatchSegment(0, 1),))
    order = Order(stage)
    assert order.stage_rows(0, 0, 10**5 - 1) == order.stage_rows(1, 0, 6) == []
    located = order.locate(0)
    assert located.shard_row[located.source == 0].min() >= 10**5
    (row,) = order.stage_rows(0, 0, 10**5)
    again, here = order.locate(row // BLOCK_ROWS), row % BLOCK_ROWS
    assert [int(column[here]) for column in again] == [0, 0, 0, 10**5]
