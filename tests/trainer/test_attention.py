from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch

from curriculum.parallel import Parallel
from tests.trainer.conftest import packed_of
from trainer.documents import Documents, context_part, documents, padded
from trainer.layout import ALONE

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


@pytest.mark.parametrize("rank", [0, 1])
def test_the_call_for_gpus_asks_for_what_the_loop_computes(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    """torch's variable-length attention runs on CUDA alone: a plain one stands in for it, which takes its arguments at their word."""
    import torch.nn.attention.varlen as varlen

    from trainer.attention import _flash, _per_run

    monkeypatch.setattr(varlen, "varlen_attn", plain_varlen_attn)
    layout = ALONE._replace(parallel=Parallel(context=2), context_rank=rank)
    whole = padded(packed_of([8, 3, 17]), document=4, total=4)
    runs = documents(context_part(whole, rank, 2), rope_base=1e4, rotary_dim=ROTATED, layout=layout).runs
    assert runs.keys is not None
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(sum(runs.query_lengths), HEADS, DIM, generator=generator)
    key, value = (torch.randn(sum(runs.key_lengths), GROUPS, DIM, generator=generator) for _ in range(2))
    torch.testing.assert_close(_flash(query, key, value, runs, 0.3), _per_run(query, key, value, runs, 0.3))


def plain_varlen_attn(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert (max_q, max_k) == (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max()))
    assert window_size == (-1, 0)
    assert enable_gqa
    outputs = []
    for (q0, q1), (k0, k1) in zip(pairwise(cu_seq_q.tolist()), pairwise(cu_seq_k.tolist()), strict=True):
        keys, values = (t[k0:k1].repeat_interleave(HEADS // GROUPS, dim=1) for t in (key, value))
        scores = torch.einsum("ihd,jhd->hij", query[q0:q1], keys) * scale
        behind = torch.arange(k1 - k0) - torch.arange(q1 - q0)[:, None] > (k1 - k0) - (q1 - q0)
        outputs.append(torch.einsum("hij,jhd->ihd", scores.masked_fill(behind, -torch.inf).softmax(-1), values))
    return torch.cat(outputs)
