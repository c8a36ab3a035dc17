"""Packing: every token once, nothing beyond a row, exactly the rows of the sequential algorithm; kin together, gaps filled."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.pack import PACKERS, Packing, best_fit, concat

SEQ_LENS = st.one_of(st.integers(1, 70), st.sampled_from([1, 2, 31, 32, 33, 64, 65]))
LENGTHS = st.lists(st.one_of(st.integers(0, 200), st.sampled_from([0, 1, 32, 33, 64, 65, 128, 129])), max_size=60)
GROUPS = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 100), max_size=12)), max_size=10)
COLUMNS = ("document", "offset", "row", "start", "length")


@settings(deadline=None)
@given(LENGTHS, SEQ_LENS, st.sampled_from(sorted(PACKERS)))
def test_every_token_lies_in_exactly_one_place(lengths: list[int], seq_len: int, method: str) -> None:
    packing = PACKERS[method](np.array(lengths, np.int64), seq_len)
    _check_places(packing, lengths)
    assert [len(row) for row in packing.rows()] == np.bincount(packing.row, minlength=packing.num_rows).tolist()


@settings(deadline=None)
@given(LENGTHS, SEQ_LENS, st.sampled_from(sorted(PACKERS)))
def test_cuts_are_counted(lengths: list[int], seq_len: int, method: str) -> None:
    packing = PACKERS[method](np.array(lengths, np.int64), seq_len)
    cut = [lengths[document] for document in range(len(lengths)) if (packing.document == document).sum() > 1]
    avoidable = [length for length in cut if length <= seq_len]
    assert (packing.cut_documents, packing.cut_tokens) == (len(cut), sum(cut))
    assert (packing.avoidable_cuts, packing.avoidable_cut_tokens) == (len(avoidable), sum(avoidable))


@settings(deadline=None)
@given(LENGTHS, SEQ_LENS)
def test_concat_is_the_stream_of_documents_cut_at_row_ends(lengths: list[int], seq_len: int) -> None:
    packing = concat(np.array(lengths, np.int64), seq_len)
    position = packing.row * seq_len + packing.start
    assert (position == np.cumsum(packing.length) - packing.length).all()
    assert (np.diff(packing.document) >= 0).all()
    assert packing.num_rows == -(-sum(lengths) // seq_len)


@settings(deadline=None)
@given(LENGTHS, SEQ_LENS)
def test_best_fit_cuts_only_what_no_row_holds_and_only_at_whole_rows(lengths: list[int], seq_len: int) -> None:
    packing = best_fit(np.array(lengths, np.int64), seq_len)
    assert packing.avoidable_cuts == 0
    for document, offset, _, _, length in _pieces(packing):
        assert length == min(seq_len, lengths[document] - offset)
        assert offset % seq_len == 0


@settings(deadline=None)
@given(LENGTHS, SEQ_LENS, st.randoms(use_true_random=False))
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


@settings(deadline=None)
@given(GROUPS, SEQ_LENS)
def test_related_documents_share_a_row_in_order_as_long_as_it_holds_them(
    groups: list[tuple[bool, list[int]]], seq_len: int
) -> None:
    lengths, related = _with_groups(groups)
    packing = best_fit(lengths, seq_len, related=related)
    _check_places(packing, lengths.tolist())
    at = {(document, offset): k for k, (document, offset, *_) in enumerate(_pieces(packing))}
    units = _greedy_units(lengths.tolist(), related.tolist(), seq_len)
    for unit in units:
        first = at[unit[0][:2]]
        assert [at[piece[:2]] for piece in unit] == list(range(first, first + len(unit)))
        assert len(set(packing.row[first : first + len(unit)].tolist())) == 1
        assert packing.length[first : first + len(unit)].tolist() == [length for _, _, length in unit]
    unit_lengths = [sum(length for _, _, length in unit) for unit in units]
    assert packing.num_rows == _sequential_best_fit(unit_lengths, seq_len)
    openers = [(document, offset) for document, offset, _, start, _ in _pieces(packing) if start == 0]
    assert openers == sorted(openers)


def test_a_group_larger_than_a_row_stands_in_rows_that_follow_each_other() -> None:
    lengths, related = np.array([6, 4, 4, 9, 3, 7, 2, 5]), np.array([-1, 7, 7, 7, 7, 7, 7, -1])
    packing = best_fit(lengths, 10, related=related)
    rows = [[(document, offset) for document, offset, _, _ in row] for row in packing.rows()]
    assert rows == [[(0, 0)], [(1, 0), (2, 0), (6, 0)], [(3, 0)], [(4, 0), (5, 0)], [(7, 0)]]


def test_a_long_document_of_a_group_is_cut_at_rows_and_its_remainder_joined_with_what_follows() -> None:
    packing = best_fit(np.array([2, 25, 3, 3]), 10, related=np.array([0, 0, 0, 0]))
    assert list(packing.rows()) == [
        [(1, 0, 0, 10)],
        [(1, 10, 0, 10)],
        [(1, 20, 0, 5), (2, 0, 5, 3), (0, 0, 8, 2)],
        [(3, 0, 0, 3)],
    ]
    assert (packing.cut_documents, packing.cut_tokens, packing.avoidable_cuts) == (1, 25, 0)


@given(LENGTHS, SEQ_LENS)
def test_documents_without_a_group_are_packed_as_if_no_groups_were_given(lengths: list[int], seq_len: int) -> None:
    packing = best_fit(np.array(lengths, np.int64), seq_len, related=np.full(len(lengths), -1))
    assert _pieces(packing) == _pieces(best_fit(np.array(lengths, np.int64), seq_len))


@settings(deadline=None)
@given(GROUPS, LENGTHS, SEQ_LENS, st.booleans())
def test_fillers_fill_the_gaps_whole_and_move_nothing(
    groups: list[tuple[bool, list[int]]], fillers: list[int], seq_len: int, keep_together: bool
) -> None:
    lengths, related = _with_groups(groups)
    groups_given = related if keep_together else None
    alone = best_fit(lengths, seq_len, related=groups_given)
    filled = best_fit(lengths, seq_len, related=groups_given, fillers=np.array(fillers, np.int64))
    own = filled.document < lengths.size
    assert [piece for piece in _pieces(filled) if piece[0] < lengths.size] == _pieces(alone)
    assert filled.num_rows == alone.num_rows
    _check_places(filled, [*lengths.tolist(), *fillers], left_out=_left_out(filled, lengths.size, fillers))
    # Whole, once, and behind the documents of their row.
    assert (filled.offset[~own] == 0).all()
    assert filled.length[~own].tolist() == [fillers[k - lengths.size] for k in filled.document[~own].tolist()]
    assert (np.diff(own.astype(int))[np.diff(filled.row) == 0] <= 0).all()
    # None that still fits is left out, and the gaps are those of the sequential algorithm.
    gaps = seq_len - np.bincount(filled.row, filled.length, filled.num_rows).astype(int)
    left = [fillers[k - lengths.size] for k in _left_out(filled, lengths.size, fillers)]
    assert all(length > gaps.max(initial=0) for length in left)
    gaps_alone = seq_len - np.bincount(alone.row, alone.length, alone.num_rows).astype(int)
    assert sorted(gaps.tolist()) == _sequential_filling(gaps_alone.tolist(), fillers)


def test_the_longest_filler_goes_first_into_the_least_space_that_holds_it() -> None:
    packing = best_fit(np.array([7, 5]), 10, fillers=np.array([1, 2, 11, 3, 0, 4]))
    assert list(packing.rows()) == [[(0, 0, 0, 7), (5, 0, 7, 3)], [(1, 0, 0, 5), (7, 0, 5, 4), (2, 0, 9, 1)]]
    assert (packing.padding, packing.cut_documents) == (0, 0)


def test_without_documents_there_is_no_gap_to_fill() -> None:
    packing = best_fit(np.zeros(0, np.int64), 10, related=np.zeros(0, np.int64), fillers=np.array([3]))
    assert (packing.num_rows, list(packing.rows())) == (0, [])


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
    with pytest.raises(ValueError, match="filler 1 has length -1"):
        best_fit(np.array([1]), 8, fillers=np.array([1, -1]))
    with pytest.raises(ValueError, match=r"related has shape \(2,\).*\(3,\)"):
        best_fit(np.array([1, 2, 3]), 8, related=np.array([0, 0]))
    with pytest.raises(
        ValueError, match="document 4 is of group 5, which ended before it: sort the documents by group"
    ):
        best_fit(np.ones(6, np.int64), 8, related=np.array([5, 5, -1, 2, 5, -1]))
    with pytest.raises(ValueError, match="3000000001 pieces and fillers; a call packs at most 2147483647"):
        best_fit(np.array([3_000_000_000]), 1, fillers=np.array([1]))


def _check_places(packing: Packing, lengths: list[int], left_out: Sequence[int] = ()) -> None:
    """Every token of every document lies in one place; the pieces of a row back to back from its first token, sorted."""
    filled = np.full((packing.num_rows, packing.seq_len), -1)  # number of the token in the stream of all documents
    first = np.cumsum([0, *lengths])
    for document, offset, row, start, length in _pieces(packing):
        assert 0 < length <= packing.seq_len - start
        assert offset + length <= lengths[document]
        assert (filled[row, start : start + length] == -1).all()
        filled[row, start : start + length] = first[document] + np.arange(offset, offset + length)
    expected = [token for k, n in enumerate(lengths) if k not in left_out for token in range(first[k], first[k] + n)]
    assert sorted(filled[filled >= 0].tolist()) == expected
    assert packing.padding == (filled < 0).sum()
    assert all((row[:used] >= 0).all() for row in filled for used in [(row >= 0).sum()])
    places = list(zip(packing.row.tolist(), packing.start.tolist(), strict=True))
    assert places == sorted(places)
    assert {getattr(packing, name).dtype for name in COLUMNS} == {np.dtype(np.int64)}


def _with_groups(groups: list[tuple[bool, list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """(lengths, group) of documents of several groups, or of none where the flag is false. Group numbers do not grow."""
    lengths = [length for _, group in groups for length in group]
    related = [90 - number if kept else -1 for number, (kept, group) in enumerate(groups) for _ in group]
    return np.array(lengths, np.int64), np.array(related, np.int64)


def _greedy_units(lengths: list[int], related: list[int], seq_len: int) -> list[list[tuple[int, int, int]]]:
    """Pieces (document, offset, length) that belong together, one piece at a time: the slow twin."""
    units: list[list[tuple[int, int, int]]] = []
    for document, (total, group) in enumerate(zip(lengths, related, strict=True)):
        for offset in range(0, total, seq_len):
            piece = (document, offset, min(seq_len, total - offset))
            joins = units and group != -1 and related[units[-1][0][0]] == group
            if joins and sum(length for _, _, length in units[-1]) + piece[2] <= seq_len:
                units[-1].append(piece)
            else:
                units.append([piece])
    return units


def _left_out(packing: Packing, num_documents: int, fillers: list[int]) -> list[int]:
    """Fillers of at least a token that have no place, numbered as in the packing."""
    placed = set(packing.document.tolist())
    return [num_documents + k for k, length in enumerate(fillers) if length and num_documents + k not in placed]


def _sequential_filling(gaps: list[int], fillers: list[int]) -> list[int]:
    """What is left of the gaps, growing, after one filler at a time went into the least that holds it: the slow twin."""
    gaps = sorted(gaps)
    for filler in sorted(fillers, reverse=True):
        place = bisect_left(gaps, filler)
        if place < len(gaps):
            insort(gaps, gaps.pop(place) - filler)
    return gaps


def _pieces(packing: Packing) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(packing, name).tolist() for name in COLUMNS), strict=True))


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
