"""Ragged columns against loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.ragged import Ranges, by_value, expand


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 9))))
def test_expand_lists_the_integers_of_each_range(ranges: list[tuple[int, int]]) -> None:
    begins, counts = np.array(ranges, np.int64).reshape(-1, 2).T
    assert expand(begins, counts).tolist() == [
        number for begin, count in ranges for number in range(begin, begin + count)
    ]


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5)))
def test_by_value_finds_every_position_once_in_order(values: list[int]) -> None:
    found = {value: where.tolist() for value, where in by_value(np.array(values, np.int64))}
    assert list(found) == sorted(set(values))
    assert all(where == [i for i, each in enumerate(values) if each == value] for value, where in found.items())


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9)), max_size=4), min_size=1, max_size=6), st.data()
)
def test_rows_are_taken_and_laid_end_to_end_like_lists(rows: list[list[tuple[int, int]]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    taken = Ranges.concatenate([_ranges(rows[:1]), _ranges(rows[1:])]).take(np.array(chosen, np.int64))
    expected = _ranges([rows[row] for row in chosen])
    assert all((a == b).all() for a, b in zip(vars(taken).values(), vars(expected).values(), strict=True))
    begins, ends = taken.flat(100)
    laid = [(100 * k + a, 100 * k + a + n) for k, row in enumerate(chosen) for a, n in rows[row]]
    assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == laid


def _ranges(rows: list[list[tuple[int, int]]]) -> Ranges:
    flat = [(begin, begin + length) for row in rows for begin, length in row]
    begin, end = np.array(flat, np.int64).reshape(-1, 2).T
    return Ranges(np.array([len(row) for row in rows], np.int64), begin, end)
