"""TransformerEngine's attention, where it is installed: cuDNN's fused kernels, or FlashAttention 3 and 2.

TransformerEngine (TE) is never required. It is used for attention alone: every other slot of the model is ours or plain
megatron, with TE or without it. Read and written against its versions 2.4, 2.8, 2.12 and 2.20 (attention/dot_product_attention/).

Its module is handed packed documents (`thd`) and is told of no process group: under context parallelism the keys lie here
already, and a run of queries ends at the same token as its longer run of keys (`padding_causal_bottom_right`, cuDNN 9.6).
It has no weights, so one serves all layers; it stays outside the model's modules, because its `_extra_state` would make
checkpoints that differ from those written without TE.

TE asks torch whether algorithms are to be deterministic when its module is made. cuDNN's deterministic backward for packed
documents takes a workspace quadratic in the tokens on Hopper (before cuDNN 9.25, NVIDIA/cudnn-frontend pull request 398), and
TE 2.20 rules cuDNN out for larger batches; so `trainer.attention.choose` takes torch's way then, unless TE is requested by name.
TE's attention without fused kernels, which keeps every score, is turned off (NVTE_UNFUSED_ATTN=0, unless that is set): where
no fused kernel fits, TE raises an error instead of running out of memory.

Its code was read, not yet run on a GPU: what it computes is compared with `scaled_dot_product_attention` when a run begins
(`trainer.attention.choose`). Not covered: FP8, dropout, versions before 2.4.
"""

import functools
import importlib
import importlib.util
import os
import re
from types import ModuleType
from typing import Any

import torch

from trainer.documents import Runs

NAME = "transformer_engine"
OLDEST = (2, 4)
# What importing it raises where it does not fit: its extension, CUDA, cuDNN, torch or its own parts are missing or of another version.
MISFITS = (ImportError, OSError, RuntimeError, AssertionError, AttributeError)
MULTIPLE = 64  # of lengths that kernels are chosen and built by, as TE rounds those it counts itself


class Unavailable(Exception):
    """TransformerEngine cannot be used in this process; the message says why."""


class PackedAttention:
    """Causal attention inside runs; call: see `trainer.attention.Attend`. Raises Unavailable."""

    def __init__(self) -> None:
        self._module = _imported().DotProductAttention
        self._made: dict[tuple[int, int, int, float], Any] = {}
        os.environ.setdefault("NVTE_UNFUSED_ATTN", "0")

    def __call__(
        self, query_THd: torch.Tensor, key_NGd: torch.Tensor, value_NGd: torch.Tensor, runs: Runs, scale: float
    ) -> torch.Tensor:
        (_, heads, head_dim), groups = query_THd.shape, key_NGd.shape[1]
        attention = self._attention(heads, groups, head_dim, scale)
        try:
            output = attention(
                _apart(query_THd),
                _apart(key_NGd),
                _apart(value_NGd),
                qkv_format="thd",
                cu_seqlens_q=runs.query_borders,
                cu_seqlens_kv=runs.key_borders,
                max_seqlen_q=_rounded(max(runs.query_lengths)),
                max_seqlen_kv=_rounded(max(runs.key_lengths)),
                # The two masks are one where queries and keys are equally many, and the first is in more kernels.
                attn_mask_type="padding_causal" if runs.keys is None else "padding_causal_bottom_right",
            )
        except ValueError as error:
            error.add_note(
                "No kernel of TransformerEngine fits: in [training] of the site file write deterministic = false, or "
                'attention = "torch".'
            )
            raise
        assert isinstance(output, torch.Tensor)
        return output.view(query_THd.shape)

    def _attention(self, heads: int, groups: int, head_dim: int, scale: float) -> Any:
        key = heads, groups, head_dim, scale
        if key not in self._made:
            self._made[key] = self._module(
                num_attention_heads=heads,
                kv_channels=head_dim,
                num_gqa_groups=groups,
                attention_dropout=0.0,
                qkv_format="thd",
                attn_mask_type="padding_causal",
                softmax_scale=scale,
            )
        return self._made[key]


@functools.cache
def misfit() -> str | None:
    """Why a TransformerEngine that is installed cannot be imported; None where it can, or where there is none."""
    if importlib.util.find_spec(NAME) is None:
        return None
    try:
        importlib.import_module(f"{NAME}.pytorch")
    except MISFITS as error:
        return f"{type(error).__name__}: {error}"
    return None


def version() -> str | None:
    """Of the TransformerEngine that can be imported, None without one."""
    if misfit() or importlib.util.find_spec(NAME) is None:
        return None
    return str(importlib.import_module(NAME).__version__)


def _imported() -> ModuleType:
    if reason := misfit():
        raise Unavailable(f"it is installed but does not import ({reason})")
    found = version()
    if found is None:
        raise Unavailable("it is not installed")
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    if numbers < OLDEST:
        raise Unavailable(f"version {found} is older than {'.'.join(map(str, OLDEST))}")
    return importlib.import_module(f"{NAME}.pytorch")


def _apart(x_NHd: torch.Tensor) -> torch.Tensor:
    """With memory of its own, row after row. TE guesses how tensors lie together from their addresses and strides (`get_qkv_layout`),
    and gives up on a slice that counts as contiguous, such as one token's value beside its query."""
    if x_NHd.is_contiguous() and x_NHd.untyped_storage().nbytes() == x_NHd.nbytes:
        return x_NHd
    return x_NHd.clone(memory_format=torch.contiguous_format)


def _rounded(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE
