"""Attention inside documents, with partial rotary embedding: the `core_attention` slot of megatron's SelfAttention.

Megatron's local DotProductAttention refuses packed documents and materialises every score; this module calls
`scaled_dot_product_attention` once per document (CPU, or full precision) or torch's variable-length flash attention
once for all (CUDA, half precision). Queries of a group share their key and value head without copies (grouped-query
attention).

Not covered: context parallelism, attention dropout, a key-value cache.
"""

from typing import Any

import torch
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig

from trainer.documents import Documents


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
        key_TGd = rotate(key.squeeze(1), packed_seq_params)
        attend = _flash if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) else _per_document
        return attend(query_THd, key_TGd, value.squeeze(1), packed_seq_params, self.scale).flatten(1).unsqueeze(1)


def rotate(x_THd: torch.Tensor, documents: Documents) -> torch.Tensor:
    """Rotate the first 2R dimensions of every head by the token's position in its document; halves are paired (NeoX)."""
    cos, sin = documents.cos_TR[:, None].to(x_THd.dtype), documents.sin_TR[:, None].to(x_THd.dtype)
    half = cos.shape[-1]
    a, b, rest = x_THd.split([half, half, x_THd.shape[-1] - 2 * half], dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


def _per_document(
    query_THd: torch.Tensor, key_TGd: torch.Tensor, value_TGd: torch.Tensor, documents: Documents, scale: float
) -> torch.Tensor:
    runs = (tensor.transpose(0, 1).split(documents.lengths, dim=1) for tensor in (query_THd, key_TGd, value_TGd))
    outputs = [
        torch.nn.functional.scaled_dot_product_attention(
            q[None], k[None], v[None], is_causal=True, scale=scale, enable_gqa=True
        )
        for q, k, v in zip(*runs, strict=True)
    ]
    return torch.cat(outputs, dim=2)[0].transpose(0, 1)


def _flash(
    query_THd: torch.Tensor, key_TGd: torch.Tensor, value_TGd: torch.Tensor, documents: Documents, scale: float
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    longest = max(documents.lengths)
    output = varlen_attn(
        query_THd,
        key_TGd,
        value_TGd,
        documents.borders_D,
        documents.borders_D,
        longest,
        longest,
        scale=scale,
        window_size=(-1, 0),  # causal
        enable_gqa=True,
    )
    assert isinstance(output, torch.Tensor)
    return output
