"""Bins filled by the histogram: bin for bin what one item at a time gives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.bins import Bins

ITEMS = st.lists(st.integers(1, 64), max_size=80)


@settings(deadline=None)
@given(ITEMS, ITEMS)
def test_spaces_are_those_of_one_item_at_a_time(first: list[int], second: list[int]) -> None:
    bins, spaces = Bins(64), np.full(len(first), 64)
    falling = np.array(sorted(first, reverse=True), np.int64)
    np.subtract.at(spaces, bins.place(falling, opening=True), falling)
    assert sorted(spaces[: bins.count].tolist()) == sorted(twin := _one_at_a_time(first, [], opening=True))
    assert (spaces[bins.count :] == 64).all()
    assert bins.most_space == max(twin, default=0)

    falling = np.array(sorted(second, reverse=True), np.int64)
    placed = bins.place(falling, opening=False)
    np.subtract.at(spaces, placed[placed >= 0], falling[placed >= 0])
    assert sorted(spaces[: bins.count].tolist()) == sorted(twin := _one_at_a_time(second, twin, opening=False))
    assert bins.most_space == max(twin, default=0)


def test_bins_are_numbered_as_they_are_opened() -> None:
    bins = Bins(10)
    assert bins.place(np.array([10, 7, 7, 4, 4, 4, 3]), opening=True).tolist() == [0, 1, 2, 3, 3, 4, 1]
    assert bins.place(np.array([7, 6, 3, 3]), opening=False).tolist() == [-1, 4, 2, -1]
    assert (bins.count, bins.most_space) == (5, 2)


def _one_at_a_time(items: list[int], spaces: list[int], *, opening: bool) -> list[int]:
    spaces = list(spaces)
    for item in sorted(items, reverse=True):
        holding = [k for k, space in enumerate(spaces) if space >= item]
        if holding:
            spaces[min(holding, key=spaces.__getitem__)] -= item
        elif opening:
            spaces.append(64 - item)
    return spaces
