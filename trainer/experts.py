"""Routed experts: tokens sorted by expert, a layer's experts as two stacked weights, one grouped product for each.

Megatron without TransformerEngine offers a Python loop over experts (SequentialMLP) or a build of a CUDA extension; its
dispatchers permute with boolean masks and scatter back with an order-dependent sum. Here a token's copies are gathered
and summed through index lists in both directions, so that forward and backward are deterministic.

Under expert parallelism every rank holds some experts whole and the copies travel by two all-to-alls. With sequence
parallelism each tensor-parallel rank brings tokens of its own, so tensor ranks may belong to an expert-parallel group
like any others.

T: tokens of this rank, K: experts per token, N = T * K: copies, M: copies for the experts of this rank, E: experts (of
the layer, or of this rank), P: expert-parallel ranks, H: hidden size, F: width of an expert.
"""

import functools
from typing import Any

import torch
import torch.distributed as dist
from megatron.core.dist_checkpointing.mapping import ShardedStateDict, ShardedTensor
from megatron.core.process_groups_config import ProcessGroupCollection
from megatron.core.tensor_parallel.mappings import all_to_all
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig

from trainer.swiglu import weighted_swiglu

MIN_ROWS = 16  # 4 are enough on AMD EPYC, 11 on Intel Xeon (of 256 columns)
WIDTH_MULTIPLE = 8  # grouped_mm wants strides of whole 16 bytes, in bfloat16 too


class StackedExperts(MegatronModule):
    """The SwiGLU experts of this rank as `gate_up [E, 2F, H]` and `down [E, H, F]`."""

    def __init__(
        self, num_local_experts: int, config: TransformerConfig, *, pg_collection: ProcessGroupCollection, **_: Any
    ) -> None:
        super().__init__(config=config)
        self.groups = pg_collection
        hidden, width = config.hidden_size, config.moe_ffn_hidden_size
        for name, size in (("hidden", hidden), ("expert_ffn", width)):
            if size % WIDTH_MULTIPLE:
                nearest = -(-size // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
                raise ValueError(f"model.{name} is {size}, not a multiple of {WIDTH_MULTIPLE}: use {nearest}")
        self.gate_up = torch.nn.Parameter(torch.empty(num_local_experts, 2 * width, hidden, dtype=config.params_dtype))
        self.down = torch.nn.Parameter(torch.empty(num_local_experts, hidden, width, dtype=config.params_dtype))
        for weight in (self.gate_up, self.down):
            # Megatron's mark of expert weights: their gradients are summed over the ranks that hold the same experts. Always set, so
            # that a model with one expert-parallel rank is put together like one with many.
            weight.allreduce = False  # type: ignore[attr-defined]

    def forward(
        self, copies_NH: torch.Tensor, counts_E: torch.Tensor, weights_N: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        """`copies_NH` lie in the order of the experts, `counts_E` of them for each; the outputs are weighted."""
        on_gpu = copies_NH.device.type != "cpu"
        linear = _loop if on_gpu and copies_NH.dtype == torch.float32 else _grouped
        inner_NF = weighted_swiglu(linear(copies_NH, self.gate_up, counts_E), weights_N)
        return linear(inner_NF, self.down, counts_E), None

    def sharded_state_dict(
        self, prefix: str = "", sharded_offsets: tuple[Any, ...] = (), metadata: dict[str, Any] | None = None
    ) -> ShardedStateDict:
        """Each stack as a part of one tensor over all experts of the layer."""
        ranks, replica = self.groups.ep, self.groups.expt_dp.rank()
        return {
            f"{prefix}{name}": ShardedTensor.from_rank_offsets(
                f"{prefix}{name}",
                weight,
                *sharded_offsets,
                (len(sharded_offsets), ranks.rank(), ranks.size()),
                replica_id=(0, 0, replica),
                prepend_axis_num=len(sharded_offsets),
            )
            for name, weight in (("gate_up", self.gate_up), ("down", self.down))
        }


def _grouped(x_NI: torch.Tensor, weight_EOI: torch.Tensor, counts_E: torch.Tensor) -> torch.Tensor:
    """Each expert's rows times its matrix, `[N, O]`.

    On a CPU a product of fewer than MIN_ROWS rows takes another kernel, which rounds otherwise: a token's result would depend on how
    many tokens of other documents chose the same expert. Rows of zeros are added there.
    """
    if x_NI.device.type == "cpu":
        sizes_E = torch.where(counts_E > 0, counts_E.clamp(min=MIN_ROWS), 0)
        if not torch.equal(sizes_E, counts_E):
            firsts_E = (sizes_E.cumsum(0) - sizes_E) - (counts_E.cumsum(0) - counts_E)
            place_N = torch.arange(len(x_NI)) + firsts_E.repeat_interleave(counts_E, output_size=len(x_NI))
            padded = x_NI.new_zeros(int(sizes_E.sum()), x_NI.shape[1]).index_copy(0, place_N, x_NI)
            return _grouped(padded, weight_EOI, sizes_E).index_select(0, place_N)
    if not len(x_NI):  # which grouped_mm on CUDA refuses in some versions (pytorch pull request 192497)
        return x_NI @ weight_EOI[0].mT
    if _leaves_gradients_undefined(x_NI.device):
        weight_EOI = _OnlyChosen.apply(weight_EOI, counts_E)
    return torch.nn.functional.grouped_mm(x_NI, weight_EOI.mT, offs=counts_E.cumsum(0).to(torch.int32))


@functools.cache
def _leaves_gradients_undefined(device: torch.device) -> bool:
    """Whether grouped_mm writes nothing into the gradient of an expert without tokens: on Blackwell (pytorch issue 172439)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (10, 0)


def _loop(x_NI: torch.Tensor, weight_EOI: torch.Tensor, counts_E: torch.Tensor) -> torch.Tensor:
    """What `_grouped` computes, for float32 on CUDA, where grouped_mm takes bfloat16 only."""
    return torch.cat([x @ weight.T for x, weight in zip(x_NI.split(counts_E.tolist()), weight_EOI, strict=True)])


class ExpertDispatcher:
    """The `token_dispatcher` of a MoE layer: sort the copies by expert, bring them to its rank, and back again.

    The router hands over its compact form: `experts_TK` in the place of megatron's routing map, `weights_TK` of its dense
    probabilities. Megatron calls the methods in the order in which they stand here (MoELayer.forward).
    """

    def __init__(self, num_experts: int, group: dist.ProcessGroup) -> None:
        self.num_experts, self.group = num_experts, group

    def dispatch_preprocess(
        self, hidden: torch.Tensor, experts_TK: torch.Tensor, weights_TK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.shape, self.copies = hidden.shape, experts_TK.shape[1]
        experts_N = experts_TK.flatten()
        self.counts_E = count(experts_N, self.num_experts)
        self.order_N = experts_N.argsort(stable=True)
        self.place_N = _inverse(self.order_N)
        tokens_TH = hidden.reshape(-1, hidden.shape[-1])
        copies_NH = _Scatter.apply(tokens_TH, self.order_N, self.place_N, self.copies)
        return copies_NH, weights_TK.flatten()[self.order_N]

    def token_dispatch(self, copies_NH: torch.Tensor, weights_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = self.group.size()
        if size == 1:
            return copies_NH, weights_N
        sent_PE = self.counts_E.view(size, -1)
        self.received_PE = torch.empty_like(sent_PE)
        dist.all_to_all_single(self.received_PE, sent_PE.contiguous(), group=self.group)
        # The one place in a layer where the host waits for the device: the all-to-all must know how much goes where.
        self.sent, self.received = torch.stack([sent_PE, self.received_PE]).sum(dim=2).tolist()
        copies_MH, weights_M = (
            all_to_all(self.group, values, self.received, self.sent) for values in (copies_NH, weights_N)
        )
        return copies_MH, weights_M

    def dispatch_postprocess(
        self, copies_MH: torch.Tensor, weights_M: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self.group.size() == 1:
            return copies_MH, self.counts_E, weights_M
        # They arrive rank by rank, each rank's in the order of the experts.
        num_ranks, num_local = self.received_PE.shape
        experts_PE = torch.arange(num_local, device=copies_MH.device).expand(num_ranks, num_local)
        experts_M = experts_PE.flatten().repeat_interleave(self.received_PE.flatten(), output_size=len(copies_MH))
        self.order_M = experts_M.argsort(stable=True)
        self.place_M = _inverse(self.order_M)
        sorted_MH = _Scatter.apply(copies_MH, self.order_M, self.place_M, 1)
        return sorted_MH, self.received_PE.sum(dim=0), weights_M[self.order_M]

    def combine_preprocess(self, outputs_MH: torch.Tensor) -> torch.Tensor:
        if self.group.size() == 1:
            return outputs_MH
        return _Scatter.apply(outputs_MH, self.place_M, self.order_M, 1)

    def token_combine(self, outputs_MH: torch.Tensor) -> torch.Tensor:
        if self.group.size() == 1:
            return outputs_MH
        return all_to_all(self.group, outputs_MH, self.sent, self.received)

    def combine_postprocess(self, outputs_NH: torch.Tensor) -> torch.Tensor:
        return _Gather.apply(outputs_NH, self.order_N, self.place_N, self.copies).view(self.shape)


def _inverse(order_N: torch.Tensor) -> torch.Tensor:
    place_N = torch.empty_like(order_N)
    place_N[order_N] = torch.arange(order_N.numel(), device=order_N.device)
    return place_N


def count(values_N: torch.Tensor, num_values: int) -> torch.Tensor:
    """How often each of 0..num_values-1 occurs, int64. As bincount, which on CUDA synchronises and has no fixed order."""
    zeros = torch.zeros(num_values, dtype=torch.int64, device=values_N.device)
    return zeros.scatter_add_(0, values_N, torch.ones_like(values_N))


def _scatter(tokens_TH: torch.Tensor, order_N: torch.Tensor, copies: int) -> torch.Tensor:
    return tokens_TH.index_select(0, order_N // copies)


def _gather(copies_NH: torch.Tensor, place_N: torch.Tensor, copies: int) -> torch.Tensor:
    return copies_NH.index_select(0, place_N).view(-1, copies, copies_NH.shape[1]).sum(dim=1)


class _OnlyChosen(torch.autograd.Function):
    """The weights of experts as they are; the gradient of an expert without tokens is 0, whatever comes back for it."""

    @staticmethod
    def forward(ctx: Any, weight_EOI: torch.Tensor, counts_E: torch.Tensor) -> torch.Tensor:
        ctx.counts_E = counts_E
        return weight_EOI.view_as(weight_EOI)

    @staticmethod
    def backward(ctx: Any, grad_EOI: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.where(ctx.counts_E[:, None, None] > 0, grad_EOI, 0.0), None


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
