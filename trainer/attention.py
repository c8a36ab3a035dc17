"""Attention inside documents, with partial rotary embedding: the `core_attention` slot of megatron's SelfAttention.

Megatron's local DotProductAttention refuses packed documents and materialises every score; this module calls
`scaled_dot_product_attention` once per document (CPU, or full precision) or torch's variable-length flash attention
once for all (CUDA, half precision). Queries of a group share their key and value head without copies (grouped-query
attention). Under context parallelism every rank gathers the keys and values of all ranks, picks those that its queries
see, and hands the gradients back by a reduce-scatter: with few key heads (GLM-4.5: 8 of 96) that moves little.

Not covered: attention dropout, a key-value cache.
"""

from typing import Any

import torch
from megatron.core.parallel_state import get_context_parallel_group
from megatron.core.tensor_parallel.mappings import gather_from_sequence_parallel_region
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig

from trainer.documents import Documents, Runs


class DocumentAttention(MegatronModule):
    """Causal attention in which no token sees another document: three `[T, 1, heads, dim]` -> `[T, 1, heads * dim]`."""

    def __init__(self, config: TransformerConfig, *, softmax_scale: float | None = None, **_: Any) -> None:
        super().__init__(config=config)
        self.scale = softmax_scale or config.kv_channels**-0.5

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        packed_seq_params: Documents,
        **_: Any,
    ) -> torch.Tensor:
        query_THd = rotate(query.squeeze(1), packed_seq_params)
        key_TGd, value_TGd = rotate(key.squeeze(1), packed_seq_params), value.squeeze(1)
        runs = packed_seq_params.runs
        if runs.keys is not None:
            key_TGd, value_TGd = _gathered(key_TGd, value_TGd, runs.keys)
        attend = _flash if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) else _per_run
        return attend(query_THd, key_TGd, value_TGd, runs, self.scale).flatten(1).unsqueeze(1)


def rotate(x_THd: torch.Tensor, documents: Documents) -> torch.Tensor:
    """Rotate the first 2R dimensions of every head by the token's position in its document; halves are paired (NeoX)."""
    cos, sin = documents.cos_TR[:, None].to(x_THd.dtype), documents.sin_TR[:, None].to(x_THd.dtype)
    half = cos.shape[-1]
    a, b, rest = x_THd.split([half, half, x_THd.shape[-1] - 2 * half], dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


def _gathered(key_TGd: torch.Tensor, value_TGd: torch.Tensor, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The keys and values that the runs of this context-parallel rank see, run after run."""
    both = torch.cat([key_TGd, value_TGd], dim=-1)
    everywhere = gather_from_sequence_parallel_region(
        both, tensor_parallel_output_grad=True, group=get_context_parallel_group()
    )
    key, value = everywhere.index_select(0, keys).chunk(2, dim=-1)
    return key, value


def _per_run(
    query_THd: torch.Tensor, key_NGd: torch.Tensor, value_NGd: torch.Tensor, runs: Runs, scale: float
) -> torch.Tensor:
    queries = query_THd.transpose(0, 1).split(runs.query_lengths, dim=1)
    keys, values = (tensor.transpose(0, 1).split(runs.key_lengths, dim=1) for tensor in (key_NGd, value_NGd))
    outputs = []
    for q, k, v in zip(queries, keys, values, strict=True):
        whole = q.shape[1] == k.shape[1]
        # is_causal aligns the first query with the first key; where earlier keys came in, the last ones belong together.
        mask = None if whole else torch.ones(q.shape[1], k.shape[1], dtype=torch.bool).tril(k.shape[1] - q.shape[1])
        outputs.append(
            torch.nn.functional.scaled_dot_product_attention(
                q[None],
                k[None],
                v[None],
                attn_mask=None if mask is None else mask.to(q.device),
                is_causal=whole,
                scale=scale,
                enable_gqa=True,
            )
        )
    return torch.cat(outputs, dim=2)[0].transpose(0, 1)


def _flash(
    query_THd: torch.Tensor, key_NGd: torch.Tensor, value_NGd: torch.Tensor, runs: Runs, scale: float
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    output = varlen_attn(
        query_THd,
        key_NGd,
        value_NGd,
        runs.query_borders,
        runs.key_borders,
        max(runs.query_lengths),
        max(runs.key_lengths),
        scale=scale,
        window_size=(-1, 0),  # causal, the last query aligned with the last key
        enable_gqa=True,
    )
    assert isinstance(output, torch.Tensor)
    return output
