import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from curriculum.feed import Batch
from curriculum.model_shape import ModelShape
from tests.trainer.conftest import SHAPE

pytestmark = pytest.mark.usefixtures("alone")

MakeBatch = Callable[..., Batch]


def build(shape: dict[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    from trainer.model import build_model

    return build_model(shape, seed=1, dtype=dtype)


@functools.cache
def built(dtype: torch.dtype) -> Any:
    """One model for all examples of a property."""
    return build(dict(SHAPE), dtype)


def forward(model: Any, batch: Batch, *, labels: bool, rope_base: float = 1e4, balance_scale: float = 0.0) -> Any:
    from trainer.documents import documents, pack

    packed = pack(batch, 0, len(batch.tokens))
    layout = documents(packed, rope_base=rope_base, rotary_dim=8, balance_scale=balance_scale)
    learned = {
        "labels": torch.from_numpy(packed.labels_KT),
        "loss_mask": torch.from_numpy(packed.weights_KT),
    }
    return model(
        torch.from_numpy(packed.tokens_T)[None],
        torch.from_numpy(packed.positions_T)[None],
        None,
        packed_seq_params=layout,
        **(learned if labels else {}),
    )


@pytest.mark.parametrize(
    "changes", [{}, {"qk_norm": False, "qkv_bias": False, "mtp_layers": 0}, {"layers": 3, "dense_layers": 0}]
)
def test_weights_are_counted_as_the_shape_counts_them(shape: dict[str, Any], changes: dict[str, Any]) -> None:
    shape.update(changes)
    model, counts = build(shape), ModelShape(**shape).parameters()
    weights = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert sum(weights.values()) == counts.total + counts.embedding
    assert sum(count for name, count in weights.items() if name.startswith("mtp.")) == counts.mtp


def test_it_starts_knowing_nothing(shape: dict[str, Any], make_batch: MakeBatch) -> None:
    losses = forward(build(shape), make_batch([40, 24], [64]), labels=True)
    for tokens_T in losses.tokens_KT:
        assert tokens_T[tokens_T > 0].mean() == pytest.approx(np.log(shape["vocab_size"]), abs=0.15)


def test_a_changed_token_moves_no_other_document(shape: dict[str, Any], make_batch: MakeBatch) -> None:
    model, batch = build(shape), make_batch([20, 9, 3], [15, 17])
    before, losses_before = forward(model, batch, labels=False), forward(model, batch, labels=True)
    batch.tokens[0, 24] = (batch.tokens[0, 24] + 1) % shape["vocab_size"]  # in the second document of the first row
    after, losses_after = forward(model, batch, labels=False), forward(model, batch, labels=True)
    moved = (after - before).abs().amax(dim=2)[0]
    assert moved[:24].max() == 0.0  # nor its own past
    assert moved[24:29].min() > 0.0
    assert moved[29:].max() == 0.0
    for tokens_before, tokens_after in zip(losses_before.tokens_KT, losses_after.tokens_KT, strict=True):
        other = torch.ones(64, dtype=torch.bool)
        other[20:29] = False
        assert torch.equal(tokens_before[other], tokens_after[other])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    data=st.data(),
    # Short ones, too: where a few tokens choose an expert, a product may take another kernel.
    lengths=st.sampled_from([3, 40])
    .flatmap(lambda most: st.lists(st.integers(1, most), min_size=2, max_size=7))
    .filter(lambda found: max(found) > 1),
    seed=st.integers(0, 99),
)
def test_other_documents_move_no_bit_of_a_loss(
    shape: dict[str, Any],
    make_batch: MakeBatch,
    data: st.DataObject,
    dtype: torch.dtype,
    lengths: list[int],
    seed: int,
) -> None:
    """Whatever the documents, and whichever of them has other tokens: attention, routing, balance and prediction stay apart."""
    model, batch = built(dtype), make_batch(lengths, seed=seed)
    changed = data.draw(st.integers(0, len(lengths) - 1))
    begin, end = batch.cu_seqlens[changed], batch.cu_seqlens[changed + 1]
    before = torch.stack(forward(model, batch, labels=True).tokens_KT)
    batch.tokens[0, begin:end] = (batch.tokens[0, begin:end] + 1 + seed % 9) % shape["vocab_size"]
    after = torch.stack(forward(model, batch, labels=True).tokens_KT)
    taught = [number for number, length in enumerate(lengths) if length > 1]  # single tokens are left out
    owner = torch.repeat_interleave(torch.tensor(taught), torch.tensor([lengths[number] for number in taught]))
    assert before.shape[1] == owner.numel()
    assert torch.equal(before[:, owner != changed], after[:, owner != changed])
    assert torch.equal(before, after) == (changed not in taught)


def test_packed_documents_equal_documents_alone(shape: dict[str, Any], make_batch: MakeBatch) -> None:
    model, batch = build(shape), make_batch([20, 9, 3])
    together = forward(model, batch, labels=True).tokens_KT
    start = 0
    for length in (20, 9, 3):
        part = slice(start, start + length)
        alone = Batch(
            *(getattr(batch, name)[:, part] for name in ("tokens", "labels")),
            mtp_labels=batch.mtp_labels[:, :, part],
            cu_seqlens=np.array([0, length], np.int32),
            source_ids=np.zeros(1, np.int32),
        )
        for packed_T, alone_T in zip(together, forward(model, alone, labels=True).tokens_KT, strict=True):
            torch.testing.assert_close(packed_T[part], alone_T, rtol=1e-5, atol=1e-5)
        start += length


def test_the_prediction_block_sees_the_next_token_and_guesses_the_one_after(
    shape: dict[str, Any], make_batch: MakeBatch
) -> None:
    model, batch = build(shape), make_batch([12])
    before = forward(model, batch, labels=True).tokens_KT
    batch.tokens[0, 6] = (batch.tokens[0, 6] + 1) % shape["vocab_size"]  # the labels stay
    main, ahead = ((after != b) for after, b in zip(forward(model, batch, labels=True).tokens_KT, before, strict=True))
    assert main.nonzero().squeeze(1).tolist() == [6, 7, 8, 9, 10]
    assert ahead.nonzero().squeeze(1).tolist() == [5, 6, 7, 8, 9]


def test_rope_base_reaches_attention(shape: dict[str, Any], make_batch: MakeBatch) -> None:
    model, batch = build(shape), make_batch([64])
    near, far = (forward(model, batch, labels=False, rope_base=base) for base in (1e4, 1e6))
    assert torch.equal(near[0, 0], far[0, 0])  # position 0 does not turn
    assert not torch.allclose(near[0, -1], far[0, -1])


def test_balance_enters_the_gradient_of_the_gate_only_by_its_weight(
    shape: dict[str, Any], make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from megatron.core.transformer.moe.moe_utils import MoEAuxLossAutoScaler

    monkeypatch.setattr(MoEAuxLossAutoScaler, "main_loss_backward_scale", None)  # going back without a schedule sets it
    batch, gradients = make_batch([40, 24]), []
    for weight in (0.0, 1.0, 2.0):
        model = build(shape)
        sum(forward(model, batch, labels=True, balance_scale=weight).sums_K).backward()
        gradients.append(model.decoder.layers[1].mlp.router.weight.grad.clone())
    none, once, twice = gradients
    assert (once - none).abs().max() > 0
    torch.testing.assert_close(twice - none, 2 * (once - none), rtol=1e-3, atol=1e-5)
