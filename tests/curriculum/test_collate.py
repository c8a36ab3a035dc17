"""Batches as a loop over pieces would make them; flat batches and context-parallel parts against the batches they are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.collate import IGNORED, PADDING, Batch, collate, context_part, flatten, split
from datapipe.ragged import Ranges
from datapipe.shards import Layout

OVER_POSITIONS = ("tokens", "labels", "loss_weights", "position_ids")
Piece = tuple[int, int, int, list[tuple[int, int]] | None]  # start, length, source, loss spans of the row


@st.composite
def rows_of_pieces(draw: st.DrawFn) -> tuple[int, list[list[Piece]]]:
    """A row length and rows of pieces that lie back to back; some have loss spans, some rows a padding tail."""
    seq_len = draw(st.sampled_from([4, 8, 12, 32]))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        pieces: list[Piece] = []
        start, end = 0, draw(st.integers(1, seq_len))
        while start < end:
            length = draw(st.integers(1, end - start))
            spans = draw(st.sampled_from([None, [], [(start + length // 2, length - length // 2)]]))
            pieces.append((start, length, draw(st.integers(0, 2)), spans))
            start += length
        rows.append(pieces)
    return seq_len, rows


def layout_of(rows: list[list[Piece]]) -> Layout:
    pieces, learned = [], []
    for row in rows:
        pieces.append([(start, start + length) for start, length, _, _ in row])
        spans: list[tuple[int, int]] = []
        for start, length, _, given_spans in row:
            for low, count in [(start, length)] if given_spans is None else given_spans:
                spans.append((max(low, start + 1) - 1, low + count - 1))
        learned.append(spans)
    return Layout(ranges(pieces), ranges(learned), np.array([s for row in rows for _, _, s, _ in row], np.int32))


def ranges(rows: list[list[tuple[int, int]]]) -> Ranges:
    flat = np.array([each for row in rows for each in row], np.int64).reshape(-1, 2)
    return Ranges(np.array([len(row) for row in rows]), flat[:, 0], flat[:, 1])


def batch_of(seq_len: int, rows: list[list[Piece]], mtp_depths: int = 0) -> Batch:
    tokens = np.random.default_rng(0).integers(0, 2**20, (len(rows), seq_len)).astype(np.int32)
    return collate(memory_of(tokens, mtp_depths), layout_of(rows))


def memory_of(tokens: np.ndarray, mtp_depths: int) -> np.ndarray:
    """Tokens, and room for labels."""
    memory = np.full((2 + mtp_depths, *tokens.shape), 7, np.int32)
    memory[0] = tokens
    return memory


@settings(deadline=None, max_examples=60)
@given(rows_of_pieces(), st.integers(0, 3))
def test_a_batch_is_what_a_loop_makes(drawn: tuple[int, list[list[Piece]]], depths: int) -> None:
    seq_len, rows = drawn
    batch = batch_of(seq_len, rows, depths)
    borders, sources = [0], []
    for k, row in enumerate(rows):
        used = sum(length for _, length, _, _ in row)
        tail: list[Piece] = [(used, seq_len - used, PADDING, [])] if used < seq_len else []
        for start, length, source, spans in [*row, *tail]:
            learned = {
                t for low, count in ([(start, length)] if spans is None else spans) for t in range(low, low + count)
            }
            for t in range(start, start + length):
                assert batch.position_ids[k, t] == t - start
                for depth in range(depths + 1):
                    target = t + 1 + depth
                    labels = batch.labels[k] if depth == 0 else batch.mtp_labels[depth - 1, k]
                    wanted = batch.tokens[k, target] if target < start + length and target in learned else IGNORED
                    assert labels[t] == wanted
                assert batch.loss_weights[k, t] == float(batch.labels[k, t] != IGNORED)
            borders.append(k * seq_len + start + length)
            sources.append(source)
    assert batch.cu_seqlens.tolist() == borders
    assert batch.source_ids.tolist() == sources
    assert batch.mtp_labels.shape == (depths, *batch.tokens.shape)


@settings(deadline=None, max_examples=40)
@given(rows_of_pieces(), st.integers(1, 9))
def test_a_flat_batch_holds_the_same_documents_padded(drawn: tuple[int, list[list[Piece]]], multiple: int) -> None:
    batch = batch_of(*drawn, mtp_depths=1)
    flat = flatten(batch, multiple=multiple)
    kept = np.flatnonzero(batch.source_ids != PADDING)
    assert flat.source_ids.tolist() == batch.source_ids[kept].tolist()
    assert (flat.cu_seqlens_padded % multiple == 0).all()
    assert flat.tokens.shape == (1, flat.cu_seqlens_padded[-1])
    for number, piece in enumerate(kept.tolist()):
        begin, end = batch.cu_seqlens[piece : piece + 2]
        length = int(flat.cu_seqlens[number + 1] - flat.cu_seqlens[number])
        low, high = flat.cu_seqlens_padded[number : number + 2]
        assert length == end - begin
        assert 0 <= high - low - length < multiple
        for name in OVER_POSITIONS:
            assert (getattr(flat, name)[0, low : low + length] == getattr(batch, name).ravel()[begin:end]).all()
        assert (flat.mtp_labels[0, 0, low : low + length] == batch.mtp_labels.ravel()[begin:end]).all()
        assert (flat.labels[0, low + length : high] == IGNORED).all()
        assert (flat.mtp_labels[0, 0, low + length : high] == IGNORED).all()
        assert not flat.loss_weights[0, low + length : high].any()
        assert flat.position_ids[0, low:high].tolist() == list(range(high - low))


def test_rows_without_documents_flatten_to_nothing() -> None:
    flat = flatten(batch_of(8, [[], []], mtp_depths=1), multiple=4)
    assert flat.tokens.shape == flat.labels.shape == flat.position_ids.shape == (1, 0)
    assert (flat.cu_seqlens.tolist(), flat.cu_seqlens_padded.tolist()) == ([0], [0])


@settings(deadline=None, max_examples=40)
@given(rows_of_pieces(), st.sampled_from([1, 2, 4]), st.integers(1, 2))
def test_context_parallel_ranks_hold_every_position_once(
    drawn: tuple[int, list[list[Piece]]], cp_size: int, factor: int
) -> None:
    flat = flatten(batch_of(*drawn, mtp_depths=2), multiple=2 * cp_size * factor)
    parts = [context_part(flat, rank, cp_size) for rank in range(cp_size)]
    places: list[list[int]] = [
        [] for _ in range(cp_size)
    ]  # the definition: rank r has chunks r and 2 * cp_size - 1 - r
    for low, high in zip(flat.cu_seqlens_padded[:-1].tolist(), flat.cu_seqlens_padded[1:].tolist(), strict=True):
        chunk = (high - low) // (2 * cp_size)
        for rank in range(cp_size):
            for number in (rank, 2 * cp_size - 1 - rank):
                places[rank] += range(low + number * chunk, low + (number + 1) * chunk)
    for part, mine in zip(parts, places, strict=True):
        for name in OVER_POSITIONS:
            assert (getattr(part, name) == getattr(flat, name)[:, mine]).all()
        assert (part.mtp_labels == flat.mtp_labels[:, :, mine]).all()
        assert part.cu_seqlens_padded.tolist() == flat.cu_seqlens_padded.tolist()
    assert sorted(place for mine in places for place in mine) == list(range(flat.tokens.size))


def test_pieces_that_cannot_be_dealt_out_are_refused() -> None:
    batch = batch_of(8, [[(0, 3, 0, None), (3, 5, 1, None)]])
    with pytest.raises(ValueError, match="cannot be cut into 4 equal chunks; flatten the batch to a multiple of 4"):
        context_part(flatten(batch, multiple=2), 0, 2)
    with pytest.raises(ValueError, match="no context-parallel rank 2 of 2"):
        context_part(flatten(batch, multiple=4), 2, 2)


@settings(deadline=None, max_examples=30)
@given(rows_of_pieces().filter(lambda drawn: len(drawn[1]) % 2 == 0))
def test_a_split_batch_is_the_batches_of_its_rows(drawn: tuple[int, list[list[Piece]]]) -> None:
    seq_len, rows = drawn
    batch = batch_of(seq_len, rows, mtp_depths=1)
    half = len(rows) // 2
    for number, part in enumerate(split(batch, 2)):
        mine = slice(number * half, (number + 1) * half)
        alone = collate(memory_of(batch.tokens[mine].view(np.int32), 1), layout_of(rows[mine]))
        for name in (*OVER_POSITIONS, "mtp_labels", "cu_seqlens", "source_ids"):
            assert (getattr(part, name) == getattr(alone, name)).all()
