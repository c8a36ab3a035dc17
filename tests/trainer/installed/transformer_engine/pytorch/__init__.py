"""The module that trainer/transformer_engine.py calls."""

import importlib
import os
from itertools import pairwise
from typing import Any

import torch

calls: list[dict[str, Any]] = []  # what every call was asked for, but for its tensors


def __getattr__(name: str) -> Any:
    """All else that this package has: a module of that name, or what one would hold."""
    module = importlib.import_module(f"{__name__}.{name}" if name.islower() else f"{__name__}.others")
    return module if name.islower() else getattr(module, name)


class DotProductAttention(torch.nn.Module):
    """As transformer_engine/pytorch/attention/dot_product_attention/dot_product_attention.py has it, in the order of its parameters."""

    def __init__(
        self,
        num_attention_heads: int,
        kv_channels: int,
        num_gqa_groups: int | None = None,
        attention_dropout: float = 0.0,
        qkv_format: str = "sbhd",
        attn_mask_type: str = "causal",
        softmax_scale: float | None = None,
    ) -> None:
        super().__init__()
        assert (qkv_format, attention_dropout) == ("thd", 0.0)
        self.heads, self.groups = num_attention_heads, num_gqa_groups or num_attention_heads
        self.attn_mask_type, self.kv_channels, self.softmax_scale = attn_mask_type, kv_channels, softmax_scale
        self.deterministic = torch.are_deterministic_algorithms_enabled()

    def get_extra_state(self) -> torch.Tensor:
        return torch.zeros(1)  # of FP8

    def forward(
        self,
        query_layer: torch.Tensor,
        key_layer: torch.Tensor,
        value_layer: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        qkv_format: str | None = None,
        cu_seqlens_q: torch.Tensor | None = None,
        cu_seqlens_kv: torch.Tensor | None = None,
        cu_seqlens_q_padded: torch.Tensor | None = None,
        cu_seqlens_kv_padded: torch.Tensor | None = None,
        max_seqlen_q: int | None = None,
        max_seqlen_kv: int | None = None,
        attn_mask_type: str | None = None,
    ) -> torch.Tensor:
        mask = attn_mask_type or self.attn_mask_type
        if os.environ.get("NVTE_FUSED_ATTN") == "0" and os.environ.get("NVTE_UNFUSED_ATTN") == "0":
            raise ValueError("No dot product attention backend is available for the provided inputs.")
        assert qkv_format == "thd"
        assert mask in ("padding_causal", "padding_causal_bottom_right")
        assert query_layer.shape[1:] == (self.heads, self.kv_channels)
        assert key_layer.shape[1:] == value_layer.shape[1:] == (self.groups, self.kv_channels)
        assert query_layer.dtype == key_layer.dtype == value_layer.dtype
        _check_layout(query_layer, key_layer, value_layer)
        assert cu_seqlens_q is not None
        assert cu_seqlens_kv is not None
        assert cu_seqlens_q.dtype == cu_seqlens_kv.dtype == torch.int32
        assert cu_seqlens_q.shape == cu_seqlens_kv.shape
        assert max_seqlen_q is not None
        assert max_seqlen_kv is not None
        assert int(cu_seqlens_q.diff().max()) <= max_seqlen_q <= max_seqlen_kv
        assert int(cu_seqlens_kv.diff().max()) <= max_seqlen_kv
        calls.append(
            {"mask": mask, "max_q": max_seqlen_q, "max_kv": max_seqlen_kv, "deterministic": self.deterministic}
        )
        borders = zip(pairwise(cu_seqlens_q.tolist()), pairwise(cu_seqlens_kv.tolist()), strict=True)
        outputs = [
            self._document(query_layer[q0:q1], key_layer[k0:k1], value_layer[k0:k1], mask)
            for (q0, q1), (k0, k1) in borders
        ]
        return torch.cat(outputs).flatten(1)

    def _document(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: str) -> torch.Tensor:
        ahead = len(key) - len(query) if mask.endswith("bottom_right") else 0
        visible = torch.ones(len(query), len(key), dtype=torch.bool).tril(ahead).to(query.device)
        q, k, v = (x.transpose(0, 1)[None] for x in (query, key, value))
        output = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=visible, scale=self.softmax_scale, enable_gqa=True
        )
        return output[0].transpose(0, 1)


def _check_layout(*tensors: torch.Tensor) -> None:
    """What `get_qkv_layout` accepts as three tensors apart; those that share memory it takes for another layout, or refuses."""
    for x in tensors:
        assert x.is_contiguous(), "q, k and v are not contiguous"
        assert x.storage_offset() == 0, "The provided qkv memory layout is not supported!"
    assert tensors[1].stride() == tensors[2].stride(), "The provided qkv memory layout is not supported!"
    assert len({x.untyped_storage().data_ptr() for x in tensors}) == 3, "q, k and v share memory"
