"""What training takes of a GPU's memory, on paper: every pipeline stage of a layout, by what the bytes are for.

Weights and gradients are exact for what the trainer builds, and so is the optimiser's state, but for the fullest shares of dense
weights and of experts, which may fall on two ranks and are added; activations follow from what its modules keep for the way back.
Tests compare all of these with the trainer on a CPU. Three figures are estimates: what the way back through a layer needs at once
(`going_back`), what the optimiser's step does (`step`), and RESERVE. No total was compared with a GPU's. Experts count as evenly
loaded: a rank that more tokens choose needs more.

Per token and layer, in values of the weights' type, a layer keeps (H hidden, Q = heads * head_dim, K = kv_heads * head_dim,
F a width of an MLP, k experts per token):

    norms and residual   4 H             attention   3 Q + 3 K, and Q + K more with QK norm
    dense or shared MLP  4 F             experts     k (H + 5 F), and H in float32 for the router

H is divided by the tensor-parallel size (sequence parallelism), Q, K and the F of MLPs too. With recompute = "full" a layer keeps its
input, H, and one layer at a time is computed again. The first of p pipeline stages holds p micro-batches at once, the last
holds one (1F1B). The head keeps the gradients of its weight and input, for every depth of prediction.

The optimiser's state is sharded by whole weights over the processes that hold the same one, the largest first, each to
whoever has least; the process that gets most is the one that counts.
"""

import dataclasses
import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from curriculum.model_shape import ModelShape
from curriculum.parallel import Parallel

RESERVE_BYTES = 4 * 10**9  # estimate: CUDA context, buffers of NCCL's groups, what the allocator cannot use
FP32 = 4
OUTPUT_HEAD = "output_head"
VALUE_BYTES = {"bf16": 2, "fp32": 4}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a run computes; names and values as in a site file, `optimizer` and `head` as in a manifest."""

    seq_len: int = 4096
    micro_tokens: int = 8192
    precision: str = "bf16"
    recompute: str = "none"
    optimizer: str = "muon"
    head: str = "muon"

    def takes_muon(self, weight: "Weight") -> bool:
        return self.optimizer == "muon" and weight.is_matrix and (weight.name != OUTPUT_HEAD or self.head == "muon")

    @property
    def positions(self) -> int:
        """Of a micro-batch: whole rows of at most `micro_tokens`, but at least one."""
        return max(1, self.micro_tokens // self.seq_len) * self.seq_len


class Weight(NamedTuple):
    """One parameter as one process holds it."""

    name: str
    numel: int
    is_expert: bool
    is_matrix: bool  # that Muon may take: no embeddings, biases, norms
    # The largest stack that Muon makes orthogonal at once: matrices, rows, columns.
    at_once: tuple[int, int, int] = (0, 0, 0)
    is_split: bool = False  # tensor-parallel ranks hold parts


class StageMemory(NamedTuple):
    """Bytes on the fullest GPU of a pipeline stage."""

    layers: int
    work: float  # of training, recomputation included, relative to the mean of the stages: the slowest sets the pace
    parameters: int
    weights: int
    gradients: int  # float32, of the sums over micro-batches
    optimizer: int  # master weights and moments
    activations: int  # kept for the way back, by all micro-batches in flight
    going_back: int  # estimate: what the head, or the way back through the largest layer, needs at once
    step: int  # estimate: what the optimiser's step needs at once, when no activation is kept
    reserve: int

    @property
    def total(self) -> int:
        lasting = self.weights + self.gradients + self.optimizer + self.reserve
        return lasting + max(self.activations + self.going_back, self.step)


def stage_memory(shape: ModelShape, sizes: Parallel, world: int, settings: Settings) -> list[StageMemory]:
    """One entry per pipeline stage. The layout must have no problems (`Parallel.problems`)."""
    value_bytes, work = VALUE_BYTES[settings.precision], stage_work(shape, sizes, settings)
    mean_work = sum(work) / len(work)
    found = []
    for stage, layers in enumerate(sizes.stage_layers(shape.layers)):
        weights = list(stage_weights(shape, sizes, stage))
        parameters = sum(weight.numel for weight in weights)
        kept, going_back = _activations(shape, sizes, stage, settings)
        largest = max(weight.numel for weight in weights)
        optimizer, step = _optimizer_bytes(weights, sizes, world, settings)
        found.append(
            StageMemory(
                layers=layers,
                work=work[stage] / mean_work,
                parameters=parameters,
                weights=parameters * value_bytes,
                gradients=parameters * FP32,
                optimizer=optimizer,
                activations=kept,
                going_back=going_back + largest * value_bytes,  # a weight's gradient, before it is added to the sums
                step=step,
                reserve=RESERVE_BYTES,
            )
        )
    return found


def stage_work(shape: ModelShape, sizes: Parallel, settings: Settings) -> list[float]:
    """FLOPs per token of every stage: 3 times its forward pass, 4 times where layers are computed again; the head never is."""
    forward, again = shape.forward_flops(settings.seq_len), 4 if settings.recompute == "full" else 3
    in_common = (forward.projections + forward.scores) / shape.layers
    dense = in_common + 2 * 3 * shape.hidden * shape.dense_ffn
    moe = (
        in_common
        + 2 * shape.shared_weights
        + 2 * (shape.experts_per_token * shape.expert_weights + shape.experts * shape.hidden)
    )
    work, first = [], 0
    for layers in sizes.stage_layers(shape.layers):
        num_dense = min(max(shape.dense_layers - first, 0), layers)
        work.append(again * (num_dense * dense + (layers - num_dense) * moe))
        first += layers
    heads = (1 + shape.mtp_layers) * forward.head
    work[-1] += 3 * heads + again * (forward.mtp - shape.mtp_layers * forward.head)
    return work


def stage_weights(shape: ModelShape, sizes: Parallel, stage: int) -> Iterator[Weight]:
    """The parameters of one process of a pipeline stage; all its processes hold as many."""
    counts = sizes.stage_layers(shape.layers)
    first, is_last = sum(counts[:stage]), stage == sizes.pipeline - 1
    hidden = shape.hidden
    if stage == 0 or (is_last and shape.mtp_layers):  # the block that predicts ahead has a copy
        yield _matrix("word_embeddings", shape.vocab_size, hidden, sizes.tensor)._replace(is_matrix=False)
    for layer in range(first, first + counts[stage]):
        yield from _layer(shape, sizes, is_moe=layer >= shape.dense_layers)
    if is_last:
        yield _vector("final_norm", hidden)
        yield _matrix(OUTPUT_HEAD, shape.vocab_size, hidden, sizes.tensor)
        for _ in range(shape.mtp_layers):
            yield from (_vector(name, hidden) for name in ("enorm", "hnorm", "mtp_norm"))
            yield _matrix("eh_proj", hidden, 2 * hidden, sizes.tensor)
            yield from _layer(shape, sizes, is_moe=True)


def _layer(shape: ModelShape, sizes: Parallel, *, is_moe: bool) -> Iterator[Weight]:
    hidden, queries, keys = shape.hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield from (_vector(name, hidden) for name in ("input_norm", "pre_mlp_norm"))
    yield _matrix("qkv", queries, hidden, sizes.tensor, rows_in_all=queries + 2 * keys)
    yield _matrix("proj", hidden, queries, sizes.tensor)
    if shape.qkv_bias:
        yield _vector("qkv_bias", (queries + 2 * keys) // sizes.tensor)
    if shape.qk_norm:
        yield from (_vector(name, shape.head_dim) for name in ("q_norm", "k_norm"))
    width = shape.shared_ffn if is_moe else shape.dense_ffn
    yield _matrix("fc1", width, hidden, sizes.tensor, rows_in_all=2 * width)
    yield _matrix("fc2", hidden, width, sizes.tensor)
    if is_moe:
        yield _matrix("router", shape.experts, hidden, 1)
        local = shape.experts // sizes.expert
        for name, parts in (("gate_up", 2), ("down", 1)):
            numel = local * parts * shape.expert_ffn * hidden
            yield Weight(name, numel, True, True, (local, shape.expert_ffn, hidden))


def _matrix(name: str, rows: int, columns: int, parts: int, *, rows_in_all: int = 0) -> Weight:
    """`rows` of the largest of the matrices fused in it."""
    numel = (rows_in_all or rows) * columns // parts
    return Weight(name, numel, False, True, (1, rows, columns), is_split=parts > 1)


def _vector(name: str, numel: int) -> Weight:
    return Weight(name, numel, False, False)


def checkpoint_bytes(shape: ModelShape, settings: Settings) -> int:
    """Of the whole model and its optimiser's state, whatever the layout; while it is written, ranks keep a copy of it in host memory."""
    return sum(
        weight.numel * (VALUE_BYTES[settings.precision] + _state_bytes(weight, settings))
        for weight in stage_weights(shape, Parallel(), 0)
    )


def _state_bytes(weight: Weight, settings: Settings) -> int:
    """Of a number of a weight: its float32 master, where it needs one, and its momentum or both moments."""
    master = FP32 if settings.precision == "bf16" else 0
    return master + FP32 * (1 if settings.takes_muon(weight) else 2)


def _optimizer_bytes(weights: Sequence[Weight], sizes: Parallel, world: int, settings: Settings) -> tuple[int, int]:
    """(state of the process that holds most, what the largest batch of its step needs at once)."""
    muon = [weight for weight in weights if settings.takes_muon(weight)]
    state = 0
    for is_expert in (False, True):
        ranks = sizes.expert_data(world) if is_expert else sizes.data(world) * sizes.context
        kind = [weight for weight in weights if weight.is_expert == is_expert]
        state += fullest((weight.numel * _state_bytes(weight, settings) for weight in kind), ranks)
    return state, max((_orthogonal_bytes(weight, sizes.tensor) for weight in muon), default=0)


def _orthogonal_bytes(weight: Weight, tensor: int) -> int:
    """Of one Newton-Schulz iteration (`trainer.muon`): the update, the iterate and the result, and four Gram matrices.

    Of a matrix in parts the update and what is sent are this rank's share, and two whole ones more come together.
    """
    matrices, rows, columns = weight.at_once
    whole, gram = matrices * rows * columns, matrices * min(rows, columns) ** 2
    copies = 4 * whole + 2 * whole // tensor if weight.is_split else 3 * whole
    return FP32 * (copies + 4 * gram)


def fullest(sizes: Iterable[int], ranks: int) -> int:
    """The greatest load when the largest goes first, each to the rank that has least."""
    loads = [0] * ranks
    for size in sorted(sizes, reverse=True):
        heapq.heapreplace(loads, loads[0] + size)
    return max(loads)


def layer_bytes(shape: ModelShape, sizes: Parallel, settings: Settings, *, is_moe: bool) -> int:
    """What one layer keeps of a micro-batch for the way back, without recomputation; the table of the module's docstring."""
    value, tensor = VALUE_BYTES[settings.precision], sizes.tensor
    tokens = settings.positions // sizes.context
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = 3 * queries + 3 * keys + (queries + keys if shape.qk_norm else 0)
    if sizes.context > 1:  # the keys and values of the other ranks, without those that no query sees
        attention += int(2 * keys * (sizes.context + 0.5))
    wide = 4 * shape.hidden + attention + 4 * (shape.shared_ffn if is_moe else shape.dense_ffn)
    kept = value * wide + FP32 * shape.heads
    if is_moe:
        copy = value * (shape.hidden + 5 * shape.expert_ffn) + 24 * (
            2 if sizes.expert > 1 else 1
        )  # with its places in both orders
        kept += shape.experts_per_token * copy + 3 * FP32 * shape.experts
        kept += FP32 * shape.hidden if value != FP32 else 0
    return tokens * kept // tensor


def _activations(shape: ModelShape, sizes: Parallel, stage: int, settings: Settings) -> tuple[int, int]:
    """(kept by all micro-batches in flight, needed at once in the head or on the way back through the largest layer)."""
    counts = sizes.stage_layers(shape.layers)
    first, is_last = sum(counts[:stage]), stage == sizes.pipeline - 1
    value, tokens = VALUE_BYTES[settings.precision], settings.positions // sizes.context
    hidden = tokens * shape.hidden * value // sizes.tensor
    layers = [
        layer_bytes(shape, sizes, settings, is_moe=n >= shape.dense_layers) for n in range(first, first + counts[stage])
    ]
    extra, at_once = hidden, 0  # the stage's output
    if is_last:
        depths = 1 + shape.mtp_layers
        layers += [layer_bytes(shape, sizes, settings, is_moe=True)] * shape.mtp_layers
        head = shape.vocab_size * shape.hidden * value // sizes.tensor
        extra += depths * (2 * hidden + tokens * shape.hidden * value + head) + shape.mtp_layers * 4 * hidden
        if value < FP32:  # a head's gradient adds up in float32, and every chunk brings a summand
            at_once = head // value * FP32 + head
    recomputed = settings.recompute == "full"
    kept = len(layers) * hidden if recomputed else sum(layers)
    in_flight = sizes.pipeline - stage
    return in_flight * (kept + extra), max(at_once, max(layers) * (2 if recomputed else 1))
