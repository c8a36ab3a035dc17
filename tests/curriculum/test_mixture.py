"""The mixture against counting, and its promise: every prefix is within a few rows of plan."""

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
    positions = [(int(row) * 0x9E3779B97F4A7C15 + offset) % 2**64 for row in rows]
    expected = [next(j for j, bound in enumerate(bounds) if bound > u) for u in positions]
    assert mixture.source_of(rows, bounds, offset).tolist() == expected
    assert not any(shares[j] == 0 for j in expected)


@settings(deadline=None)
@given(SHARES, OFFSETS, st.integers(0, 3000))
def test_rank_is_the_number_of_rows_before(shares: list[Fraction], offset: int, row: int) -> None:
    bounds = mixture.bounds(shares)
    counted = np.bincount(mixture.source_of(np.arange(row), bounds, offset), minlength=len(shares))
    assert mixture.rank_before(row, bounds, offset) == counted.tolist()


@settings(deadline=None)
@given(SHARES, OFFSETS, st.integers(0, 10**12), st.integers(0, 3000))
def test_ranks_grow_by_what_lies_between(shares: list[Fraction], offset: int, row: int, more: int) -> None:
    bounds = mixture.bounds(shares)
    between = np.bincount(mixture.source_of(np.arange(row, row + more), bounds, offset), minlength=len(shares))
    before, after = (mixture.rank_before(i, bounds, offset) for i in (row, row + more))
    assert (np.array(before) + between).tolist() == after


@settings(deadline=None)
@given(SHARES, st.integers(), st.one_of(st.integers(0, 100_000), st.just(5_600_000_000)))
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


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 500), st.integers(0, 1000), st.integers(0, 1000))
def test_floor_sum_is_the_sum(n: int, m: int, a: int, b: int) -> None:
    assert mixture.floor_sum(n, m, a, b) == sum((a * i + b) // m for i in range(n))


def test_seeds_give_other_orders() -> None:
    assert len({mixture.offset(seed) for seed in range(1000)}) == 1000
    assert mixture.offset(45) == mixture.offset(45) < 2**64


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 9/10"):
        mixture.bounds([Fraction(1, 2), Fraction(2, 5)])
    with pytest.raises(ValueError, match=r"shares\[1\] is -1/2"):
        mixture.bounds([Fraction(3, 2), Fraction(-1, 2)])
