"""The mixture against counting, the way back, and its promise: every prefix is within a few rows of plan, every segment exact."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum import mixture

SHARES = (
    st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any).map(lambda w: [Fraction(x, sum(w)) for x in w])
)
OFFSETS = st.integers(0, 2**64 - 1)
FIRST_ROWS = st.one_of(st.integers(0, 10**4), st.integers(0, 10**13))
COUNTS = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 700)), min_size=1, max_size=8)


def counted(first: int, end: int, ends: list[int], start: int) -> list[int]:
    """Rows of each source, row by row."""
    return np.bincount(mixture.source_of(np.arange(first, end), ends, start), minlength=len(ends)).tolist()


@settings(deadline=None)
@given(SHARES)
def test_bounds_grow_to_a_whole_turn(shares: list[Fraction]) -> None:
    bounds = mixture.bounds(shares)
    assert bounds == sorted(bounds)
    assert bounds[-1] == 2**64
    widths = np.diff(np.array([0, *bounds], dtype=object))
    assert all(abs(width - share * 2**64) <= 1 for width, share in zip(widths, shares, strict=True))


@settings(deadline=None)
@given(SHARES, OFFSETS, st.integers(0, 2**63), st.integers(0, 300))
def test_source_is_the_first_whose_bound_lies_above(
    shares: list[Fraction], offset: int, first: int, count: int
) -> None:
    bounds, rows = mixture.bounds(shares), np.arange(first, first + count)
    positions = [(int(row) * mixture.STEP + offset) % 2**64 for row in rows]
    expected = [next(j for j, bound in enumerate(bounds) if bound > u) for u in positions]
    assert mixture.source_of(rows, bounds, offset).tolist() == expected
    assert not any(shares[j] == 0 for j in expected)


@settings(deadline=None)
@given(SHARES, OFFSETS, st.integers(0, 3000))
def test_rank_is_the_number_of_rows_before(shares: list[Fraction], offset: int, row: int) -> None:
    bounds = mixture.bounds(shares)
    assert mixture.rank_before(row, bounds, offset) == counted(0, row, bounds, offset)


@settings(deadline=None)
@given(SHARES, OFFSETS, FIRST_ROWS, st.integers(0, 3000))
def test_ranks_grow_by_what_lies_between(shares: list[Fraction], offset: int, row: int, more: int) -> None:
    bounds = mixture.bounds(shares)
    between = mixture.counts_between(row, row + more, bounds, offset)
    assert between == counted(row, row + more, bounds, offset)
    before, after = (mixture.rank_before(i, bounds, offset) for i in (row, row + more))
    assert (np.array(before) + between).tolist() == after


@settings(deadline=None)
@given(SHARES, st.integers(), st.one_of(st.integers(0, 100_000), st.sampled_from([5_600_000_000, 10**12 + 7])))
def test_every_prefix_is_within_a_few_rows_of_plan(shares: list[Fraction], seed: int, row: int) -> None:
    counts = mixture.rank_before(row, mixture.bounds(shares), mixture.offset(seed))
    assert sum(counts) == row
    assert max(abs(count - share * row) for count, share in zip(counts, shares, strict=True)) < 8


def test_all_prefixes_of_a_real_mixture() -> None:
    shares = [Fraction(78, 100), Fraction(6, 100), Fraction(10, 100), Fraction(6, 100)]
    source = mixture.source_of(np.arange(500_000), mixture.bounds(shares), mixture.offset(45))
    for index, share in enumerate(shares):
        off = np.cumsum(source == index) - float(share) * np.arange(1, source.size + 1)
        assert np.abs(off).max() < 4


def test_the_step_stays_even_up_to_any_row() -> None:
    """A quotient q of the continued fraction makes some prefixes stray by about q / 4 rows."""
    quotients, high, low = [], mixture.TURN, mixture.STEP
    while low:
        quotients.append(high // low)
        high, low = low, high % low
    assert high == 1  # odd: no two rows of a turn share a position
    assert max(quotients) <= 4
    assert quotients[:30] == [1] * 30  # the golden ratio's own


@settings(deadline=None)
@given(COUNTS, OFFSETS, FIRST_ROWS)
def test_exact_bounds_give_exact_counts(counts: list[int], start: int, first: int) -> None:
    ends = mixture.exact_bounds(first, first + sum(counts), counts, start)
    assert ends == sorted(ends)
    assert ends[-1] == 2**64
    assert counted(first, first + sum(counts), ends, start) == counts


@settings(deadline=None)
@given(SHARES, OFFSETS, FIRST_ROWS, st.sampled_from([10**6, 5_600_000_000, 10**12]))
def test_exact_bounds_of_many_rows_are_close_to_the_shares(
    shares: list[Fraction], start: int, first: int, rows: int
) -> None:
    counts = mixture.apportion(rows, shares)
    ends = mixture.exact_bounds(first, first + rows, counts, start)
    assert mixture.counts_between(first, first + rows, ends, start) == counts
    ideal = mixture.bounds(shares)
    assert max(abs(end - bound) for end, bound in zip(ends, ideal, strict=True)) * rows < 8 * 2**64


def test_one_row_can_be_given_to_any_source() -> None:
    for source in range(3):
        counts = [int(source == other) for other in range(3)]
        ends = mixture.exact_bounds(7, 8, counts, 5)
        assert mixture.source_of(np.array([7]), ends, 5).tolist() == [source]


def test_counts_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the counts sum to 9; rows \[5, 15\) are 10"):
        mixture.exact_bounds(5, 15, [4, 5], 0)
    with pytest.raises(ValueError, match=r"counts\[1\] is -1"):
        mixture.exact_bounds(5, 15, [11, -1], 0)


@settings(deadline=None)
@given(SHARES, OFFSETS, FIRST_ROWS, st.sampled_from([10, 10**4, 5_600_000_000, 10**12]), st.data())
def test_every_prefix_of_a_segment_is_within_a_few_rows_of_its_line(
    shares: list[Fraction], start: int, first: int, rows: int, data: st.DataObject
) -> None:
    counts = mixture.apportion(rows, shares)
    ends = mixture.exact_bounds(first, first + rows, counts, start)
    prefix = data.draw(st.integers(0, rows))
    given_rows = mixture.counts_between(first, first + prefix, ends, start)
    assert max(abs(got - Fraction(n * prefix, rows)) for got, n in zip(given_rows, counts, strict=True)) < 8


@pytest.mark.parametrize("first", [0, 5_600_000_000, 10**12 + 1])
def test_all_prefixes_of_a_long_segment(first: int) -> None:
    counts = [700_001, 3, 199_996, 100_000]
    rows = sum(counts)
    ends = mixture.exact_bounds(first, first + rows, counts, mixture.offset(45))
    source = mixture.source_of(np.arange(first, first + rows), ends, mixture.offset(45))
    for index, count in enumerate(counts):
        off = np.cumsum(source == index) - count / rows * np.arange(1, rows + 1)
        assert np.abs(off).max() < 5
        assert abs(off[-1]) < 1e-6


@settings(deadline=None)
@given(COUNTS.filter(any), OFFSETS, FIRST_ROWS)
def test_every_row_is_found_by_its_rank(counts: list[int], start: int, first: int) -> None:
    end = first + sum(counts)
    ends = mixture.exact_bounds(first, end, counts, start)
    source = mixture.source_of(np.arange(first, end), ends, start)
    for index, count in enumerate(counts):
        rows = (first + np.flatnonzero(source == index)).tolist()
        for rank in {0, count // 3, count - 1} if count else ():
            assert mixture.row_of_rank(rank, index, first, end, ends, start) == rows[rank]


@settings(deadline=None)
@given(SHARES, OFFSETS, FIRST_ROWS, st.sampled_from([20_000, 5_600_000_000, 10**12]), st.data())
def test_a_rank_far_ahead_needs_no_rank_before(
    shares: list[Fraction], start: int, first: int, rows: int, data: st.DataObject
) -> None:
    rare = [share * (1 - Fraction(1, 10**6)) for share in shares] + [Fraction(1, 10**6)]
    ends = mixture.bounds(rare)
    given_rows = mixture.counts_between(first, first + rows, ends, start)
    source = data.draw(st.sampled_from([index for index, count in enumerate(given_rows) if count]))
    rank = data.draw(st.integers(0, given_rows[source] - 1))
    row = mixture.row_of_rank(rank, source, first, first + rows, ends, start)
    assert mixture.source_of(np.array([row]), ends, start).tolist() == [source]
    assert mixture.counts_between(first, row, ends, start)[source] == rank


def test_a_rank_beyond_the_segment_is_refused() -> None:
    ends = mixture.exact_bounds(100, 110, [7, 0, 3], 1)
    for source, rank in ((0, 7), (1, 0), (2, 3), (2, -1)):
        with pytest.raises(
            ValueError, match=rf"source {source} has \d of the rows \[100, 110\), so none of rank {rank}"
        ):
            mixture.row_of_rank(rank, source, 100, 110, ends, 1)


@settings(deadline=None)
@given(SHARES, st.one_of(st.integers(0, 50), st.just(2**64)))
def test_apportioned_counts_are_quotas_rounded_down_or_up(shares: list[Fraction], total: int) -> None:
    counts = mixture.apportion(total, shares)
    assert sum(counts) == total
    lost = [total * share - count for share, count in zip(shares, counts, strict=True)]
    assert all(-1 < each < 1 for each in lost)
    rounded_up = [each + 1 for each in lost if each < 0]
    rounded_down = [each for each in lost if each > 0]
    assert not rounded_up or not rounded_down or min(rounded_up) >= max(rounded_down)


def test_the_first_of_equal_remainders_is_rounded_up() -> None:
    assert mixture.apportion(5, [Fraction(1, 4)] * 4) == [2, 1, 1, 1]
    assert mixture.apportion(0, [Fraction(1, 2)] * 2) == [0, 0]


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 500), st.integers(0, 1000), st.integers(0, 1000))
def test_floor_sum_is_the_sum(n: int, m: int, a: int, b: int) -> None:
    assert mixture.floor_sum(n, m, a, b) == sum((a * i + b) // m for i in range(n))


def test_seeds_give_other_orders() -> None:
    assert len({mixture.offset(seed) for seed in range(1000)}) == 1000
    assert mixture.offset(45) == mixture.offset(45) < 2**64


@pytest.mark.parametrize("use", [mixture.bounds, lambda shares: mixture.apportion(10, shares)])
def test_impossible_shares_are_refused(use: Callable[[list[Fraction]], list[int]]) -> None:
    with pytest.raises(ValueError, match="sum to 9/10"):
        use([Fraction(1, 2), Fraction(2, 5)])
    with pytest.raises(ValueError, match=r"shares\[1\] is -1/2"):
        use([Fraction(3, 2), Fraction(-1, 2)])
