"""Permutations: each is one, has its inverse, keys matter, groups stay together, and images are spread evenly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.permute import WINDOW_GROUPS, cycle_walk, derive, mix, permute, shuffle, unpermute, unshuffle

KEYS = st.integers(0, 2**64 - 1)
SIZES = st.one_of(
    st.integers(1, 2**62),
    st.integers(0, 62).flatmap(lambda bits: st.integers(max(1, 2**bits - 1), min(2**bits + 1, 2**62))),
)


def unsigned(values: object) -> np.ndarray:
    return np.asarray(values, np.uint64)


@settings(deadline=None)
@given(st.integers(1, 3000), KEYS)
def test_permute_is_a_permutation(size: int, key: int) -> None:
    image = permute(np.arange(size, dtype=np.uint64), unsigned(size), unsigned(key))
    assert (np.sort(image) == np.arange(size)).all()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 997, 2**16 - 1, 2**16, 2**16 + 1, 99_991])
def test_unpermute_finds_every_position(size: int) -> None:
    positions = np.arange(size, dtype=np.uint64)
    for key in (0, 2**64 - 1, 12345):
        image = permute(positions, unsigned(size), unsigned(key))
        assert (np.sort(image) == positions).all()
        assert (unpermute(image, unsigned(size), unsigned(key)) == positions).all()
        assert (
            permute(unpermute(positions, unsigned(size), unsigned(key)), unsigned(size), unsigned(key)) == positions
        ).all()


@pytest.mark.parametrize("size", [10**9, 10**9 + 7, 2**40 - 1, 2**40, 2**40 + 1, 2**62 - 1, 2**62])
def test_large_sizes_have_inverses_and_no_collisions(size: int) -> None:
    positions = np.unique(np.random.default_rng(1).integers(0, size, 20_000, np.uint64))
    positions = np.concatenate([positions, unsigned([0, size - 1])])
    image = permute(positions, unsigned(size), unsigned(7))
    assert (image < size).all()
    assert np.unique(image).size == np.unique(positions).size
    assert (unpermute(image, unsigned(size), unsigned(7)) == positions).all()


@settings(deadline=None)
@given(st.lists(st.tuples(SIZES, KEYS, st.integers(0, 2**62)), min_size=1, max_size=20))
def test_one_call_serves_many_sizes_and_keys(rows: list[tuple[int, int, int]]) -> None:
    sizes, keys = unsigned([row[0] for row in rows]), unsigned([row[1] for row in rows])
    positions = unsigned([row[2] % row[0] for row in rows])
    together = permute(positions, sizes, keys)
    assert (together < sizes).all()
    alone = [permute(positions[k : k + 1], sizes[k], keys[k])[0] for k in range(len(rows))]
    assert together.tolist() == unsigned(alone).tolist()
    assert unpermute(together, sizes, keys).tolist() == positions.tolist()
    assert permute(unpermute(positions, sizes, keys), sizes, keys).tolist() == positions.tolist()


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), KEYS)
def test_shuffle_is_a_permutation_that_draws_a_window_from_few_groups(num_groups: int, group: int, key: int) -> None:
    size = num_groups * group
    columns = (np.full(size, value, np.uint64) for value in (num_groups, group, key))
    image = shuffle(np.arange(size, dtype=np.uint64), *columns)
    assert (np.sort(image) == np.arange(size)).all()
    assert (unshuffle(image, np.uint64(num_groups), np.uint64(group), np.uint64(key)) == np.arange(size)).all()
    for start in range(0, size, WINDOW_GROUPS * group):
        rows = image[start : start + WINDOW_GROUPS * group]
        assert np.unique(rows // np.uint64(group)).size * group == rows.size  # whole groups: each is read once


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 2**31), st.integers(1, 2**20), KEYS, st.integers(0, 2**62)), min_size=1, max_size=20
    )
)
def test_unshuffle_finds_the_positions_of_many_sources(rows: list[tuple[int, int, int, int]]) -> None:
    num_groups, group, keys = (unsigned([row[k] for row in rows]) for k in range(3))
    positions = unsigned([row[3] % (row[0] * row[1]) for row in rows])
    images = shuffle(positions, num_groups, group, keys)
    assert (images < num_groups * group).all()
    assert unshuffle(images, num_groups, group, keys).tolist() == positions.tolist()
    assert (
        shuffle(unshuffle(positions, num_groups, group, keys), num_groups, group, keys).tolist() == positions.tolist()
    )


@settings(deadline=None)
@given(st.integers(1, 60), st.data())
def test_cycle_walk_permutes_the_cells_inside(size: int, data: st.DataObject) -> None:
    inside = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    cells = unsigned(np.flatnonzero(inside))
    image, back = (
        cycle_walk(
            cells, lambda values, _, way=way: way(values, unsigned(size), unsigned(7)), lambda values, _: inside[values]
        )
        for way in (permute, unpermute)
    )
    assert sorted(image.tolist()) == cells.tolist()
    positions = dict(zip(image.tolist(), cells.tolist(), strict=True))
    assert [positions[cell] for cell in cells.tolist()] == back.tolist()


def test_images_are_spread_evenly() -> None:
    """Over 20,000 keys, each position of 16 has every image about equally often, and each pair of positions every pair of images."""
    size, num_keys = 16, 20_000
    keys = np.repeat(mix(np.arange(num_keys, dtype=np.uint64)), size)
    image = (
        permute(np.tile(np.arange(size, dtype=np.uint64), num_keys), unsigned(size), keys)
        .reshape(num_keys, size)
        .astype(int)
    )
    expected = num_keys / size
    for position in range(size):
        counts = np.bincount(image[:, position], minlength=size)
        assert np.abs(counts - expected).max() < 5 * expected**0.5
    pairs = np.bincount(image[:, 3] * size + image[:, 4], minlength=size * size).reshape(size, size)[
        ~np.eye(size, dtype=bool)
    ]
    expected = num_keys / (size * (size - 1))
    assert ((pairs - expected) ** 2 / expected).mean() < 1.4  # 1 for true randomness


def test_neighbours_part_and_keys_give_other_orders() -> None:
    positions = np.arange(10_000, dtype=np.uint64)
    orders = [permute(positions, unsigned(10_000), derive(unsigned([1]), unsigned([epoch]))) for epoch in range(3)]
    for order in orders:
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
        assert abs(np.corrcoef(order, positions)[0, 1]) < 0.05
    assert (orders[0] == orders[1]).mean() < 0.01
    assert (orders[1] == orders[2]).mean() < 0.01
