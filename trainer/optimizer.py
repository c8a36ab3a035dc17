"""Which weight is learned by which rule, on which rank, and one step of all of them.

Muon takes every matrix, the output head among them, and AdamW the word embeddings, biases and norm weights (GLM-4.5
report, section 2.4; most other code, megatron's included, gives the head to AdamW: `head: adamw` in the plan does too).
`optimizer: adamw` gives everything to AdamW. Biases and norm weights do not decay.

Of the ranks that hold a weight alike one learns it (`trainer.ownership`): the replicas of an expert's weights are the
expert-data ranks, those of all others the data and context ranks. Weights in half precision are learned as float32
masters, which keep what a step is too small to change in them.

The state is saved under the names of the weights in the whole model (`optimizer.momentum.decoder.layers.3...`), each
part once, by its owner: what one layout wrote any other reads. Not covered: reading into a run with another `optimizer`,
`head` or weight type, whose state has other names; interleaved pipelines.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from megatron.core import parallel_state
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedStateDict
from megatron.core.dist_checkpointing.optimizer import make_sharded_optimizer_tensor
from megatron.core.dist_checkpointing.utils import extract_sharded_tensors_and_factories
from megatron.core.distributed import DistributedDataParallel
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.transformer.attention import SelfAttention
from megatron.core.transformer.mlp import MLP

from trainer.experts import StackedExperts
from trainer.muon import Muon, Rows
from trainer.ownership import Replicas

NORM_ELEMENTS = 1 << 24  # gradients squared at once: 128 MiB in float64


class Weight(NamedTuple):
    """A weight that this rank learns."""

    name: str  # in this rank's part of the model
    parameter: torch.nn.Parameter
    master: torch.nn.Parameter  # in float32; the parameter itself where that is

    @classmethod
    def of(cls, name: str, parameter: torch.nn.Parameter) -> "Weight":
        is_master = parameter.dtype == torch.float32
        return cls(name, parameter, parameter if is_master else torch.nn.Parameter(parameter.detach().float()))


class Optimizers:
    """The optimisers of a model under DDP, stepped together. All ranks call all methods."""

    def __init__(self, model: DistributedDataParallel, training: Mapping[str, Any]) -> None:
        self._model = model
        named = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
        costs = {p: _state_elements(name, p, training) for name, p in named.items()}
        self._replicas = [
            Replicas({p: cost for p, cost in costs.items() if _is_expert(p) == experts}, group)
            for experts, group in (
                (False, parallel_state.get_data_parallel_group(with_context_parallel=True)),
                (True, parallel_state.get_expert_data_parallel_group()),
            )
        ]
        owned = {p for replicas in self._replicas for p in replicas.owned}
        self._weights = [Weight.of(name, p) for name, p in named.items() if p in owned]
        self._parts = build(model.module, self._weights, training)
        self._steps = 0

    @torch.no_grad()
    def clip(self, max_norm: float) -> float:
        """The norm of all gradients of the model; they are scaled down to `max_norm` where it is greater (0: never).

        Every weight counts once: on its owner, on the first tensor-parallel rank where all hold it, and on the first
        of the pipeline stages that share the word embeddings. Squares add up in float64.
        """
        is_first = parallel_state.get_tensor_model_parallel_rank() == 0
        gradients = (
            p.main_grad  # type: ignore[attr-defined]
            for _, p, _ in self._weights
            if (is_first or _split_axis(p) is not None or _is_expert(p)) and not getattr(p, "shared", False)
        )
        total = _sum_of_squares(gradients, next(self._model.module.parameters()).device)
        if torch.distributed.get_world_size() > 1:
            torch.distributed.all_reduce(total)
        norm = math.sqrt(float(total))
        if max_norm and norm > max_norm:
            self._model.scale_gradients(max_norm / norm)
        return norm

    def step(self, lr: float) -> None:
        """One step from the gradients in DDP's buffers."""
        for _, parameter, master in self._weights:
            master.grad = parameter.main_grad  # type: ignore[attr-defined]
        for part in self._parts.values():
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
        for _, parameter, master in self._weights:
            master.grad = None
            if master is not parameter:
                parameter.data.copy_(master.detach())
        for replicas in self._replicas:
            replicas.share()
        self._steps += 1

    def sharded_state_dict(self, model_state: ShardedStateDict) -> ShardedStateDict:
        """What this rank saves and loads, for `megatron.core.dist_checkpointing`: its own tensors as parts of the whole model's.

        model_state  the model's own `sharded_state_dict()` (of the module inside DDP), before its factories are applied;
                     it says of which whole tensor each weight of this rank is which part.

        The entries hold the tensors themselves, so a load fills them; give what it returns to `load_state_dict`.
        """
        places = {
            id(place.data): place for place in nested_values(extract_sharded_tensors_and_factories(model_state)[0])
        }
        state: dict[str, Any] = {"steps": self._steps}
        for kind, weight, tensor in self._tensors():
            if id(weight.parameter) not in places:
                raise KeyError(f"{weight.name} is not in the sharded state of the model: it cannot be saved or loaded")
            place = make_sharded_optimizer_tensor(places[id(weight.parameter)], tensor, prefix=f"optimizer.{kind}")
            # The last number is the rank among the replicas, of which the owner stands for all.
            replica = place.replica_id
            alone = dataclasses.replace(place, replica_id=0 if isinstance(replica, int) else (*replica[:-1], 0))
            state.setdefault(kind, {})[weight.name] = alone
        return state

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Momenta, masters and the number of steps come from `state`; decay, betas and the like stay those of the plan.

        state  as `sharded_state_dict` gives it, with tensors in the place of shards; KeyError for what it lacks

        Weights in half precision are not touched: load the model's too.
        """
        for kind, weight, tensor in self._tensors():
            loaded = state.get(kind, {}).get(weight.name)
            if loaded is None:
                raise KeyError(
                    f"the saved state has no {kind} of {weight.name}: it is of another `optimizer`, `head` or weight type"
                )
            if loaded is not tensor:
                tensor.copy_(loaded)
        self._steps = int(state["steps"])
        for part in self._parts.values():
            for of_weight in part.state.values():
                if "step" in of_weight:
                    of_weight["step"].fill_(self._steps)

    def _tensors(self) -> Iterator[tuple[str, Weight, torch.Tensor]]:
        """(what it is, of which weight, the tensor) of all that this rank keeps between steps."""
        states = {p: of_weight for part in self._parts.values() for p, of_weight in part.state.items()}
        for weight in self._weights:
            for kind, tensor in states[weight.master].items():
                if kind != "step":
                    yield kind, weight, tensor
            if weight.master is not weight.parameter:
                yield "master", weight, weight.master.detach()


def build(model: GPTModel, weights: Iterable[Weight], training: Mapping[str, Any]) -> dict[str, torch.optim.Optimizer]:
    """The optimisers of `plan.training` for some weights of `model`, by name; none where there is nothing to do for it."""
    matrices: list[Weight] = []
    rest: list[Weight] = []
    for weight in weights:
        (matrices if takes_muon(weight.name, weight.parameter, training) else rest).append(weight)
    parts: dict[str, torch.optim.Optimizer] = {}
    if rest:
        parts["adamw"] = _adamw([weight.master for weight in rest], training)
    if matrices:
        blocks = fused_blocks(model)
        parts["muon"] = Muon(
            [weight.master for weight in matrices],
            lr=0.0,
            weight_decay=training["weight_decay"],
            blocks={master: blocks[p] for _, p, master in matrices if p in blocks},
            splits={master: axis for _, p, master in matrices if (axis := _split_axis(p)) is not None},
            tensor_group=parallel_state.get_tensor_model_parallel_group(),
            **training["muon"],
        )
    return parts


def _adamw(parameters: list[torch.nn.Parameter], training: Mapping[str, Any]) -> torch.optim.AdamW:
    adam = training["adam"]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": training["weight_decay"]},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    made = torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,
        betas=(adam["beta1"], adam["beta2"]),
        eps=adam["eps"],
        fused=True,
    )
    for p in parameters:  # as its first step would; there to load into before that
        made.state[p] = {
            "step": torch.zeros((), dtype=torch.float32, device=p.device),
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }
    return made


def takes_muon(name: str, parameter: torch.nn.Parameter, training: Mapping[str, Any]) -> bool:
    """Every matrix but the word embeddings, and the output head where the plan says so."""
    if training["optimizer"] != "muon" or parameter.dim() < 2 or "word_embeddings" in name:
        return False
    return name != "output_layer.weight" or training["head"] == "muon"


def _state_elements(name: str, parameter: torch.nn.Parameter, training: Mapping[str, Any]) -> int:
    """Float32 numbers that the owner of a weight keeps for it."""
    tensors = (1 if takes_muon(name, parameter, training) else 2) + (parameter.dtype != torch.float32)
    return parameter.numel() * tensors


def _split_axis(parameter: torch.nn.Parameter) -> int | None:
    """The axis along which tensor-parallel ranks hold parts of it (megatron's marks); None where each has it whole."""
    return parameter.partition_dim if getattr(parameter, "tensor_model_parallel", False) else None  # type: ignore[attr-defined]


def _is_expert(parameter: torch.nn.Parameter) -> bool:
    """Whether it is an expert's weight, whose replicas are the expert-data ranks (megatron's mark)."""
    return not getattr(parameter, "allreduce", True)


def _sum_of_squares(gradients: Iterable[torch.Tensor], device: torch.device) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64, device=device)
    for gradient in gradients:
        for some in gradient.flatten().split(NORM_ELEMENTS):
            total += some.double().square_().sum()
    return total


def fused_blocks(model: torch.nn.Module) -> dict[torch.nn.Parameter, tuple[Rows, ...]]:
    """Rows of the matrices that layers keep fused in one parameter; of this rank's part of it."""
    blocks: dict[torch.nn.Parameter, tuple[Rows, ...]] = {}
    for module in model.modules():
        if isinstance(module, SelfAttention):
            weight = module.linear_qkv.weight
            heads, groups = module.num_attention_heads_per_partition, module.num_query_groups_per_partition
            blocks[weight] = tuple(
                rows.to(weight.device) for rows in qkv_rows(heads, groups, module.config.kv_channels)
            )
        elif isinstance(module, MLP):
            blocks[module.linear_fc1.weight] = _halves(module.linear_fc1.weight)
        elif isinstance(module, StackedExperts):
            blocks[module.gate_up] = _halves(module.gate_up)
    return blocks


def qkv_rows(heads: int, groups: int, head_dim: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of Q, K and V in megatron's fused matrix: group by group its query heads, its key head, its value head."""
    rows = torch.arange((heads + 2 * groups) * head_dim).view(groups, heads // groups + 2, head_dim)
    return rows[:, :-2].flatten(), rows[:, -2].flatten(), rows[:, -1].flatten()


def _halves(parameter: torch.nn.Parameter) -> tuple[slice, slice]:
    half = parameter.shape[-2] // 2
    return slice(0, half), slice(half, None)
