"""Attention inside documents, with partial rotary embedding: the `core_attention` slot of megatron's SelfAttention.

Megatron's local DotProductAttention refuses packed documents and materialises every score. Here are three ways to compute it:

    scaled_dot_product_attention    once per document: on a CPU, and in full precision
    varlen_attn                     torch's flash attention (version 2 in torch 2.13), once for all: on a GPU in half precision
    transformer_engine              TransformerEngine's kernels, once for all: there, where it is installed

`choose` takes one for the whole run, and says why. Queries of a group share their key and value head without copies
(grouped-query attention). Under context parallelism every rank gathers the keys and values of all ranks, picks those that its queries
see, and hands the gradients back by a reduce-scatter: with few key heads (GLM-4.5: 8 of 96) that moves little.

Not covered: attention dropout, a key-value cache.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from megatron.core.parallel_state import get_context_parallel_group
from megatron.core.tensor_parallel.mappings import gather_from_sequence_parallel_region
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig

from curriculum.feed import SiteError
from kernels import Choice
from trainer import transformer_engine
from trainer.documents import Documents, Runs
from trainer.pointwise import pointwise

# query [T, heads, d], key and value [N, groups, d], runs, scale of the scores -> [T, heads, d]
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Runs, float], torch.Tensor]

OP = "attention"
HALF = (torch.bfloat16, torch.float16)
TOLERANCE = 0.1  # relative to the greatest value: half precision is ten times closer, another mask as far off again

log = logging.getLogger("tokenloom.kernels.attention")


class DocumentAttention(MegatronModule):
    """Causal attention in which no token sees another document: three `[T, 1, heads, dim]` -> `[T, 1, heads * dim]`."""

    def __init__(
        self,
        config: TransformerConfig,
        *,
        attend: Attend | None = None,
        softmax_scale: float | None = None,
        **_: Any,
    ) -> None:
        """attend: as `choose` returns it; without one, the way of a CPU."""
        super().__init__(config=config)
        self.attend = attend or _per_run
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
        return self.attend(query_THd, key_TGd, value_TGd, runs, self.scale).flatten(1).unsqueeze(1)


def choose(
    requested: str, *, device: torch.device, dtype: torch.dtype, heads: int, groups: int, head_dim: int
) -> tuple[Attend, Choice]:
    """The way to compute attention on `device` in `dtype`, and what to tell of it in the run's record.

    requested  "auto": TransformerEngine where it can be had and nobody asks for deterministic algorithms, of which its kernels
               want much memory; "torch": never; "transformer_engine": nothing else, where it counts
    heads, groups  query heads and key heads of this rank

    TransformerEngine is first tried on a few tokens, forwards and backwards, against `scaled_dot_product_attention`: which kernels it
    has depends on the GPU, cuDNN and what else is installed. Raises SiteError where it was requested by name and cannot be had.
    """
    where = f"on {device.type} in {str(dtype).removeprefix('torch.')}"
    if device.type == "cpu" or dtype not in HALF:
        if requested == "transformer_engine":
            raise SiteError(
                f'[training] attention = "transformer_engine": it computes on a GPU in half precision, and this run is {where}\n'
                '    write "auto" or "torch", or precision = "bf16" on a machine with GPUs'
            )
        return _told(_per_run, "scaled_dot_product_attention", where)
    if requested == "torch":
        return _told(_flash, "varlen_attn", 'attention = "torch" in [training] of the site file')
    if requested == "auto" and torch.are_deterministic_algorithms_enabled():
        unused = ", which leaves TransformerEngine unused" if transformer_engine.version() else ""
        return _told(_flash, "varlen_attn", f"{where}; deterministic = true in [training] of the site file{unused}")
    try:
        attend = transformer_engine.PackedAttention()
        if wrong := _mistake(attend, device=device, dtype=dtype, heads=heads, groups=groups, head_dim=head_dim):
            raise transformer_engine.Unavailable(f"{transformer_engine.version()} {wrong}")
    except transformer_engine.Unavailable as error:
        if requested == "transformer_engine":
            raise SiteError(
                f'[training] attention = "transformer_engine": {error}\n    write "auto" or "torch", or install it for this torch'
            ) from error
        # Without TransformerEngine all is well; with one that is of no use, somebody may want to know.
        level = logging.INFO if transformer_engine.version() is None else logging.WARNING
        return _told(_flash, "varlen_attn", f"{where}; TransformerEngine: {error}", level)
    reason = "requested in [training] of the site file" if requested == "transformer_engine" else where
    return _told(attend, "transformer_engine", f"{reason}; TransformerEngine {transformer_engine.version()}")


def _told(attend: Attend, way: str, reason: str, level: int = logging.INFO) -> tuple[Attend, Choice]:
    choice = Choice(OP, way, reason)
    log.log(level, "%s runs on the %s implementation: %s", *choice)
    return attend, choice


def _mistake(
    attend: Attend, *, device: torch.device, dtype: torch.dtype, heads: int, groups: int, head_dim: int
) -> str | None:
    """What `attend` gets wrong for two runs of queries that see more keys than they are, and for the same with as many; None if nothing."""
    generator = torch.Generator().manual_seed(0)  # torch's own is not drawn from
    for query_lengths, key_lengths in (((3, 70), (130, 70)), ((3, 70), (3, 70))):
        borders = [
            torch.tensor([0, lengths[0], sum(lengths)], dtype=torch.int32, device=device)
            for lengths in (query_lengths, key_lengths)
        ]
        keys = None if query_lengths == key_lengths else torch.arange(sum(key_lengths), device=device)
        runs = Runs(query_lengths, key_lengths, borders[0], borders[1], keys)
        sizes = ((sum(query_lengths), heads), (sum(key_lengths), groups), (sum(key_lengths), groups))
        drawn = [torch.randn(*size, head_dim, generator=generator).to(dtype) for size in sizes]
        try:
            found = _derived(attend, [x.to(device) for x in drawn], runs)
        except (ImportError, TypeError, ValueError, RuntimeError, AssertionError) as error:
            return f"cannot compute it here ({type(error).__name__}: {error})"
        expected = _derived(_per_run, [x.float().to(device) for x in drawn], runs)
        for name, ours, theirs in zip(("output", "query", "key", "value"), found, expected, strict=True):
            error_max = float((ours.float() - theirs).abs().max())
            if not error_max <= TOLERANCE * float(theirs.abs().max()):  # also where it is no number
                what = "the output" if name == "output" else f"the gradient of the {name}"
                return f"computes it otherwise than torch: {what} is up to {error_max:.3g} off"
    return None


def _derived(attend: Attend, tensors: list[torch.Tensor], runs: Runs) -> list[torch.Tensor]:
    """The output and the gradients of its sum of squares."""
    query, key, value = (tensor.detach().requires_grad_() for tensor in tensors)
    output = attend(query, key, value, runs, query.shape[-1] ** -0.5)
    return [output.detach(), *torch.autograd.grad(output.float().square().sum(), (query, key, value))]


def rotate(x_THd: torch.Tensor, documents: Documents) -> torch.Tensor:
    """Rotate the first 2R dimensions of every head by the token's position in its document; halves are paired (NeoX)."""
    return _rotate(x_THd, documents.cos_TR, documents.sin_TR)


@pointwise
def _rotate(x_THd: torch.Tensor, cos_TR: torch.Tensor, sin_TR: torch.Tensor) -> torch.Tensor:
    cos, sin = cos_TR[:, None].to(x_THd.dtype), sin_TR[:, None].to(x_THd.dtype)
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
