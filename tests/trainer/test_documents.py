import itertools
from collections.abc import Callable

import numpy as np
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from curriculum.feed import Batch
from trainer.documents import IGNORED, documents, micro_batches, pack, rotary_angles

MakeBatch = Callable[..., Batch]


def test_labels_look_one_and_two_tokens_ahead_and_never_over_a_border(make_batch: MakeBatch) -> None:
    batch = make_batch([3, 5], [4, 4])
    packed = pack(batch, 0, 2)
    tokens = batch.tokens.ravel().astype(np.int64).tolist()
    assert packed.tokens_T.tolist() == tokens
    assert packed.borders_D.tolist() == [0, 3, 8, 12, 16]
    for start, end in itertools.pairwise(packed.borders_D):
        piece = tokens[start:end]
        assert packed.labels_KT[0, start:end].tolist() == [*piece[1:], IGNORED]
        assert packed.labels_KT[1, start:end].tolist() == [*piece[2:], IGNORED, IGNORED]
    assert np.array_equal(packed.weights_KT, packed.labels_KT != IGNORED)
    assert packed.weight_sums_K.tolist() == [12, 8]


def test_pieces_that_teach_nothing_are_left_out(make_batch: MakeBatch) -> None:
    batch = make_batch([3, 1, 4], [6, 2], silent=(2,), sources=[1, 0, -1, 0, 2])  # piece 1 is one token, 2 is padding
    packed = pack(batch, 0, 2)
    assert packed.borders_D.tolist() == [0, 3, 9, 11]
    assert packed.tokens_T.tolist() == [*batch.tokens[0, :3], *batch.tokens[1]]
    assert packed.positions_T.tolist() == [0, 1, 2, *range(6), 0, 1]
    assert packed.sources_T.tolist() == [1] * 3 + [0] * 6 + [2] * 2  # documents of one row may be of several sources


def test_rows_without_anything_to_learn_keep_one_piece(make_batch: MakeBatch) -> None:
    packed = pack(make_batch([3, 5], silent=(0, 1)), 0, 1)
    assert packed.borders_D.tolist() == [0, 3]
    assert packed.weight_sums_K.tolist() == [0, 0]


def test_later_rows_of_a_batch_are_packed_as_if_alone(make_batch: MakeBatch) -> None:
    batch = make_batch([3, 5], [2, 6], [8], sources=[0, 1, 2, 3, 4], mtp_depths=2)
    packed = pack(batch, 1, 3)
    assert packed.borders_D.tolist() == [0, 2, 8, 16]
    assert packed.sources_T.tolist() == [2] * 2 + [3] * 6 + [4] * 8
    depths = [batch.labels[1:].ravel(), *(labels[1:].ravel() for labels in batch.mtp_labels)]
    assert np.array_equal(packed.labels_KT, depths)
    assert packed.weight_sums_K.tolist() == [13, 10, 8]


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(data=st.data(), seq_len=st.integers(2, 12), num_rows=st.integers(1, 6), max_tokens=st.integers(1, 60))
def test_micro_batches_learn_every_token_once(
    make_batch: MakeBatch, data: st.DataObject, seq_len: int, num_rows: int, max_tokens: int
) -> None:
    rows = []
    for _ in range(num_rows):
        cuts = data.draw(st.sets(st.integers(1, seq_len - 1)))
        edges = [0, *sorted(cuts), seq_len]
        rows.append([b - a for a, b in itertools.pairwise(edges)])
    batch = make_batch(*rows, seed=seq_len)
    packs = list(micro_batches(batch, max_tokens=max_tokens))
    labels = np.concatenate([packed.labels_KT[0] for packed in packs])
    assert labels[labels != IGNORED].tolist() == batch.labels[batch.labels != IGNORED].tolist()
    for packed in packs:
        assert packed.borders_D[-1] == packed.tokens_T.size <= max(max_tokens, seq_len)
        assert (packed.positions_T[packed.borders_D[:-1]] == 0).all()


def test_what_layers_read_follows_the_borders(make_batch: MakeBatch) -> None:
    packed = pack(make_batch([3, 5], mtp_depths=0), 0, 1)
    layout = documents(packed, rope_base=1e4, rotary_dim=8)
    assert layout.runs.query_lengths == layout.runs.key_lengths == (3, 5)
    assert layout.runs.keys is None
    assert layout.ids_S.tolist() == [0] * 3 + [1] * 5
    assert layout.lengths_S.tolist() == [3.0] * 3 + [5.0] * 5
    assert torch.equal(layout.cos_TR[:3], layout.cos_TR[3:6])  # positions restart
    angles = rotary_angles(5, rope_base=1e4, rotary_dim=8)
    assert torch.equal(layout.sin_TR[3:], torch.from_numpy(np.sin(angles)).float())
    assert angles[1].tolist() == [1e4 ** (-i / 4) for i in range(4)]


def test_a_greater_base_turns_slower() -> None:
    low, high = (rotary_angles(64, rope_base=base, rotary_dim=16)[-1] for base in (1e4, 1e6))
    assert low[0] == high[0] == 63
    assert (high[1:] < low[1:]).all()
