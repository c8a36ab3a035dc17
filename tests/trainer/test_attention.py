from typing import TYPE_CHECKING

import pytest
import torch

from tests.trainer.conftest import packed_of
from trainer.documents import Documents, documents

if TYPE_CHECKING:
    from trainer.layout import Layout

pytestmark = pytest.mark.usefixtures("alone")

LENGTHS = [7, 1, 20, 4]
HEADS, GROUPS, DIM, ROTATED = 6, 2, 16, 8


def layout_of(lengths: list[int]) -> Documents:
    return documents(packed_of(lengths), rope_base=100.0, rotary_dim=ROTATED)


def inputs(dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    heads = (HEADS, GROUPS, GROUPS)
    return [torch.randn(sum(LENGTHS), n, DIM, generator=generator).to(dtype).requires_grad_() for n in heads]


def naive(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Rotation as a complex product, attention with a dense mask."""
    document = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    position = torch.cat([torch.arange(length) for length in LENGTHS])

    def rotated(x: torch.Tensor) -> torch.Tensor:
        half = ROTATED // 2
        turns = 100.0 ** (-torch.arange(half, dtype=torch.float64) / half) * position[:, None]
        pairs = torch.complex(x[..., :half].double(), x[..., half:ROTATED].double())
        turned = pairs * torch.polar(torch.ones_like(turns), turns)[:, None]
        return torch.cat([turned.real, turned.imag, x[..., ROTATED:].double()], dim=-1)

    q, k, v = rotated(query), rotated(key), value.double()
    k, v = (t.repeat_interleave(HEADS // GROUPS, dim=1) for t in (k, v))
    scores = torch.einsum("ihd,jhd->hij", q, k) / DIM**0.5
    visible = (document[:, None] == document[None]) & (position[:, None] >= position[None])
    return torch.einsum("hij,jhd->ihd", scores.masked_fill(~visible, -torch.inf).softmax(-1), v).flatten(1)


def attend(alone: "Layout", *tensors: torch.Tensor) -> torch.Tensor:
    from trainer.attention import DocumentAttention
    from trainer.model import transformer_config

    shape = SHAPE_FOR_CONFIG
    module = DocumentAttention(transformer_config(shape))
    output = module(*(t[:, None] for t in tensors), packed_seq_params=layout_of(LENGTHS))
    assert output.shape == (sum(LENGTHS), 1, HEADS * DIM)
    return output.squeeze(1)


SHAPE_FOR_CONFIG = {
    "layers": 1,
    "dense_layers": 0,
    "hidden": 32,
    "heads": HEADS,
    "kv_heads": GROUPS,
    "head_dim": DIM,
    "dense_ffn": 8,
    "experts": 2,
    "experts_per_token": 1,
    "expert_ffn": 8,
    "shared_ffn": 8,
    "router_scale": 1.0,
    "qk_norm": False,
    "qkv_bias": False,
    "mtp_layers": 0,
    "norm_eps": 1e-5,
    "init_std": 0.02,
}


def test_values_and_gradients_equal_dense_masked_attention(alone: "Layout") -> None:
    ours, theirs = inputs(torch.float32), inputs(torch.float64)
    direction = torch.randn(sum(LENGTHS), HEADS * DIM, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    output, expected = attend(alone, *ours), naive(*theirs)
    torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-6)
    (output * direction.float()).sum().backward()
    (expected * direction).sum().backward()
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad.double(), reference.grad, rtol=1e-4, atol=1e-5)


def test_no_document_moves_another(alone: "Layout") -> None:
    tensors = [tensor.detach() for tensor in inputs(torch.float32)]
    before = attend(alone, *tensors)
    changed = [tensor.clone() for tensor in tensors]
    for tensor in changed:
        tensor[8:28] += 3.0  # the third document
    after = attend(alone, *changed)
    moved = (after - before).abs().amax(dim=1)
    assert moved[:8].max() == 0.0
    assert moved[28:].max() == 0.0
    assert moved[8:28].min() > 0
