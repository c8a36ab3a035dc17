"""Packing: every token once, nothing beyond a row, and exactly the rows of the sequential algorithm."""

from bisect import bisect_left, insort
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.pack import PACKERS, Packing, best_fit, concat

LENGTHS = st.lists(st.integers(0, 200), max_size=60)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 70), st.sampled_from(sorted(PACKERS)))
def test_every_token_lies_in_exactly_one_place(lengths: list[int], seq_len: int, method: str) -> None:
    packing = PACKERS[method](np.array(lengths, np.int64), seq_len)
    filled = np.full((packing.num_rows, seq_len), -1)  # number of the token in the stream of all documents
    first = np.cumsum([0, *lengths])
    for document, offset, row, start, length in _pieces(packing):
        assert length > 0
        assert start + length <= seq_len
        assert (filled[row, start : start + length] == -1).all()
        filled[row, start : start + length] = first[document] + np.arange(offset, offset + length)
    assert sorted(filled[filled >= 0].tolist()) == list(range(sum(lengths)))
    assert packing.padding == (filled < 0).sum()
    # Pieces lie back to back from token 0, sorted by row and start: what the shard writer asks for.
    assert all((row[:used] >= 0).all() for row in filled for used in [(row >= 0).sum()])
    assert _sorted(packing)
    assert [len(row) for row in packing.rows()] == np.bincount(packing.row, minlength=packing.num_rows).tolist()


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 70))
def test_concat_is_the_stream_of_documents_cut_at_row_ends(lengths: list[int], seq_len: int) -> None:
    packing = concat(np.array(lengths, np.int64), seq_len)
    position = packing.row * seq_len + packing.start
    assert (position == np.cumsum(packing.length) - packing.length).all()
    assert (np.diff(packing.document) >= 0).all()
    assert packing.num_rows == -(-sum(lengths) // seq_len)
    cut = {d for d in packing.document.tolist() if (packing.document == d).sum() > 1 and lengths[d] <= seq_len}
    assert packing.cut_documents == len(cut)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 70))
def test_best_fit_cuts_only_what_no_row_holds_and_only_at_whole_rows(lengths: list[int], seq_len: int) -> None:
    packing = best_fit(np.array(lengths, np.int64), seq_len)
    assert packing.cut_documents == 0
    for document, offset, _, _, length in _pieces(packing):
        assert length == min(seq_len, lengths[document] - offset)
        assert offset % seq_len == 0


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 70), st.randoms(use_true_random=False))
def test_best_fit_needs_the_rows_of_the_sequential_algorithm_in_any_order(
    lengths: list[int], seq_len: int, random: Random
) -> None:
    rows = best_fit(np.array(lengths, np.int64), seq_len).num_rows
    assert rows == _sequential_best_fit(lengths, seq_len)
    random.shuffle(lengths)
    assert rows == best_fit(np.array(lengths, np.int64), seq_len).num_rows


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2048, 4096, 32_768]))
def test_best_fit_of_web_lengths_is_nearly_full(seed: int, seq_len: int) -> None:
    lengths = _web_lengths(20_000, seed)
    packing = best_fit(lengths, seq_len)
    bound = -(-int(lengths.sum()) // seq_len)
    assert packing.num_rows <= bound + 3
    assert packing.num_rows == _sequential_best_fit(lengths.tolist(), seq_len)


def test_rows_stand_in_the_order_of_the_documents_that_opened_them() -> None:
    lengths = np.array([3, 9, 2, 25, 10, 6])
    packing = best_fit(lengths, 10)
    rows = [[(document, offset) for document, offset, _, _ in row] for row in packing.rows()]
    assert rows == [[(1, 0)], [(3, 0)], [(3, 10)], [(3, 20), (2, 0)], [(4, 0)], [(5, 0), (0, 0)]]


def test_neighbouring_rows_are_as_unlike_as_the_documents() -> None:
    lengths = _web_lengths(20_000, 3)
    packing = best_fit(lengths, 4096)
    documents = np.bincount(packing.row).astype(float)
    # Rows in the order they were opened would begin with thousands of one-document rows.
    assert abs(np.corrcoef(documents[:-1], documents[1:])[0, 1]) < 0.1


@pytest.mark.parametrize("method", sorted(PACKERS))
def test_same_lengths_give_the_same_packing(method: str) -> None:
    lengths = _web_lengths(5_000, 1)
    first, second = PACKERS[method](lengths, 1024), PACKERS[method](lengths.astype(np.int32), 1024)
    assert list(_pieces(first)) == list(_pieces(second))


@pytest.mark.parametrize("method", sorted(PACKERS))
def test_nothing_to_pack(method: str) -> None:
    packing = PACKERS[method](np.zeros(0, np.int64), 16)
    assert (packing.num_rows, packing.padding, list(packing.rows())) == (0, 0, [])


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="document 2 has length -4"):
        concat(np.array([1, 0, -4]), 8)
    with pytest.raises(ValueError, match="seq_len is 0"):
        best_fit(np.array([1]), 0)


def _pieces(packing: Packing) -> list[tuple[int, ...]]:
    columns = (packing.document, packing.offset, packing.row, packing.start, packing.length)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _sorted(packing: Packing) -> bool:
    places = list(zip(packing.row.tolist(), packing.start.tolist(), strict=True))
    return places == sorted(places)


def _web_lengths(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=[0.7, 0.2, 0.1])
    lengths = rng.lognormal(np.array([6.3, 6.6, 8.5])[kind], np.array([1.1, 1.4, 1.2])[kind])
    return np.maximum(lengths.astype(np.int64), 16)


def _sequential_best_fit(lengths: list[int], seq_len: int) -> int:
    """Rows of best-fit decreasing, one piece at a time: the slow twin."""
    pieces = [min(seq_len, length - offset) for length in lengths for offset in range(0, length, seq_len)]
    spaces: list[int] = []
    rows = 0
    for piece in sorted(pieces, reverse=True):
        place = bisect_left(spaces, piece)
        if place == len(spaces):
            rows += 1
            insort(spaces, seq_len - piece)
        else:
            insort(spaces, spaces.pop(place) - piece)
    return rows
