"""Routed experts: tokens sorted by expert, a layer's experts as two stacked weights, one grouped product for each.

Megatron without TransformerEngine offers a Python loop over experts (SequentialMLP) or a build of a CUDA extension; its
dispatchers permute with boolean masks and scatter back with an order-dependent sum. Here a token's copies are gathered
and summed through index lists in both directions, so that forward and backward are deterministic.

Not covered: expert parallelism (all experts of a layer lie on every rank).

T: tokens, K: experts per token, N = T * K: copies, E: experts, H: hidden size, F: width of an expert.
"""

from typing import Any

import torch
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig

WIDTH_MULTIPLE = 8  # grouped_mm wants strides of whole 16 bytes, in bfloat16 too


class StackedExperts(MegatronModule):
    """SwiGLU experts as `gate_up [E, 2F, H]` and `down [E, H, F]`."""

    def __init__(self, num_local_experts: int, config: TransformerConfig, *_: Any, **__: Any) -> None:
        super().__init__(config=config)
        hidden, width = config.hidden_size, config.moe_ffn_hidden_size
        for name, size in (("hidden", hidden), ("expert_ffn", width)):
            if size % WIDTH_MULTIPLE:
                nearest = -(-size // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
                raise ValueError(f"model.{name} is {size}, not a multiple of {WIDTH_MULTIPLE}: use {nearest}")
        self.gate_up = torch.nn.Parameter(torch.empty(num_local_experts, 2 * width, hidden, dtype=config.params_dtype))
        self.down = torch.nn.Parameter(torch.empty(num_local_experts, hidden, width, dtype=config.params_dtype))
        config.init_method(self.gate_up.data)
        config.output_layer_init_method(self.down.data)

    def forward(
        self, copies_NH: torch.Tensor, counts_E: torch.Tensor, weights_N: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        """`copies_NH` lie in the order of the experts, `counts_E` of them for each; the outputs are weighted."""
        linear = _loop if copies_NH.is_cuda and copies_NH.dtype == torch.float32 else _grouped
        gate_NF, up_NF = linear(copies_NH, self.gate_up, counts_E).chunk(2, dim=-1)
        inner_NF = torch.nn.functional.silu(gate_NF) * up_NF * weights_N[:, None].to(up_NF.dtype)
        return linear(inner_NF, self.down, counts_E), None


def _grouped(x_NI: torch.Tensor, weight_EOI: torch.Tensor, counts_E: torch.Tensor) -> torch.Tensor:
    """Each expert's rows times its matrix, `[N, O]`."""
    return torch.nn.functional.grouped_mm(x_NI, weight_EOI.mT, offs=counts_E.cumsum(0).to(torch.int32))


def _loop(x_NI: torch.Tensor, weight_EOI: torch.Tensor, counts_E: torch.Tensor) -> torch.Tensor:
    """What `_grouped` computes, for float32 on CUDA, where grouped_mm takes bfloat16 only."""
    return torch.cat([x @ weight.T for x, weight in zip(x_NI.split(counts_E.tolist()), weight_EOI, strict=True)])


class LocalDispatcher:
    """The `token_dispatcher` of a MoE layer whose experts are all on this rank: sort the copies by expert, put them back.

    The router hands over its compact form: `experts_TK` in the place of megatron's routing map, `weights_TK` of its dense
    probabilities. Megatron calls the methods in the order in which they stand here (MoELayer.forward).
    """

    def __init__(self, num_experts: int) -> None:
        self.num_experts = num_experts

    def dispatch_preprocess(
        self, hidden: torch.Tensor, experts_TK: torch.Tensor, weights_TK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.shape, self.copies = hidden.shape, experts_TK.shape[1]
        experts_N = experts_TK.flatten()
        self.counts_E = count(experts_N, self.num_experts)
        self.order_N = experts_N.argsort(stable=True)
        self.place_N = torch.empty_like(self.order_N)
        self.place_N[self.order_N] = torch.arange(self.order_N.numel(), device=self.order_N.device)
        tokens_TH = hidden.reshape(-1, hidden.shape[-1])
        return _Scatter.apply(tokens_TH, self.order_N, self.place_N, self.copies), weights_TK

    def token_dispatch(self, copies_NH: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return copies_NH, weights

    def dispatch_postprocess(
        self, copies_NH: torch.Tensor, weights_TK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return copies_NH, self.counts_E, weights_TK.flatten()[self.order_N]

    def combine_preprocess(self, copies_NH: torch.Tensor) -> torch.Tensor:
        return _Gather.apply(copies_NH, self.order_N, self.place_N, self.copies)

    def token_combine(self, tokens_TH: torch.Tensor) -> torch.Tensor:
        return tokens_TH

    def combine_postprocess(self, tokens_TH: torch.Tensor) -> torch.Tensor:
        return tokens_TH.view(self.shape)


def count(values_N: torch.Tensor, num_values: int) -> torch.Tensor:
    """How often each of 0..num_values-1 occurs, int64. As bincount, which on CUDA synchronises and has no fixed order."""
    zeros = torch.zeros(num_values, dtype=torch.int64, device=values_N.device)
    return zeros.scatter_add_(0, values_N, torch.ones_like(values_N))


def _scatter(tokens_TH: torch.Tensor, order_N: torch.Tensor, copies: int) -> torch.Tensor:
    return tokens_TH.index_select(0, order_N // copies)


def _gather(copies_NH: torch.Tensor, place_N: torch.Tensor, copies: int) -> torch.Tensor:
    return copies_NH.index_select(0, place_N).view(-1, copies, copies_NH.shape[1]).sum(dim=1)


class _Scatter(torch.autograd.Function):
    """`[T, H]` -> `[N, H]`: each token once per chosen expert, in the order of the experts. Its derivative is `_Gather`."""

    @staticmethod
    def forward(
        ctx: Any, tokens_TH: torch.Tensor, order_N: torch.Tensor, place_N: torch.Tensor, copies: int
    ) -> torch.Tensor:
        ctx.place_N, ctx.copies = place_N, copies
        return _scatter(tokens_TH, order_N, copies)

    @staticmethod
    def backward(ctx: Any, grad_NH: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _gather(grad_NH, ctx.place_N, ctx.copies), None, None, None


class _Gather(torch.autograd.Function):
    """`[N, H]` -> `[T, H]`: the sum of a token's copies, in the order the router chose them. Its derivative is `_Scatter`."""

    @staticmethod
    def forward(
        ctx: Any, copies_NH: torch.Tensor, order_N: torch.Tensor, place_N: torch.Tensor, copies: int
    ) -> torch.Tensor:
        ctx.order_N, ctx.copies = order_N, copies
        return _gather(copies_NH, place_N, copies)

    @staticmethod
    def backward(ctx: Any, grad_TH: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _scatter(grad_TH, ctx.order_N, ctx.copies), None, None, None
