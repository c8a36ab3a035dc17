"""Which weight is learned by which rule, and one step of all of them.

Muon takes every matrix, the output head among them, and AdamW the word embeddings, biases and norm weights (GLM-4.5
report, section 2.4; most other code, megatron's included, gives the head to AdamW). `optimizer: adamw` in the plan
gives everything to AdamW. Biases and norm weights do not decay.

Not covered: master weights for half-precision parameters, state sharded over ranks.
"""

from collections.abc import Mapping
from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.transformer.attention import SelfAttention
from megatron.core.transformer.mlp import MLP

from trainer.experts import StackedExperts
from trainer.muon import Muon, Rows


class Optimizers:
    """The optimisers of a model under DDP, stepped together."""

    def __init__(self, model: DistributedDataParallel, training: Mapping[str, Any]) -> None:
        self._model = model
        self._parameters = [p for p in model.module.parameters() if p.requires_grad]
        self._parts = build(model.module, training)

    def clip(self, max_norm: float) -> float:
        """The norm of all gradients; they are scaled down to `max_norm` where it is greater (0: never)."""
        norm = sum(float(buffer.grad_data.norm()) ** 2 for buffer in self._model.buffers) ** 0.5
        if max_norm and norm > max_norm:
            self._model.scale_gradients(max_norm / norm)
        return norm

    def step(self, lr: float) -> None:
        """One step from the gradients in DDP's buffers."""
        for parameter in self._parameters:
            parameter.grad = parameter.main_grad
        for part in self._parts.values():
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Momenta and step counts come from `state`; decay, betas and the like stay those of the plan, which may be edited."""
        for name, part in self._parts.items():
            settings = [{key: value for key, value in group.items() if key != "params"} for group in part.param_groups]
            part.load_state_dict(state[name])
            for group, kept in zip(part.param_groups, settings, strict=True):
                group.update(kept)


def build(model: GPTModel, training: Mapping[str, Any]) -> dict[str, torch.optim.Optimizer]:
    """The optimisers of `plan.training`, by name."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_muons = training["optimizer"] == "muon" and takes_muon(name, parameter)
        (matrices if is_muons else rest).append(parameter)
    adam = training["adam"]
    groups = [
        {"params": [p for p in rest if p.dim() > 1], "weight_decay": training["weight_decay"]},
        {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0},
    ]
    parts: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=0.0,
            betas=(adam["beta1"], adam["beta2"]),
            eps=adam["eps"],
            fused=True,
        )
    }
    if matrices:
        parts["muon"] = Muon(
            matrices, lr=0.0, weight_decay=training["weight_decay"], blocks=fused_blocks(model), **training["muon"]
        )
    return parts


def takes_muon(name: str, parameter: torch.nn.Parameter) -> bool:
    """Every matrix but the word embeddings."""
    return parameter.dim() >= 2 and "word_embeddings" not in name


def fused_blocks(model: torch.nn.Module) -> dict[torch.nn.Parameter, tuple[Rows, ...]]:
    """Rows of the matrices that layers keep fused in one parameter."""
    blocks: dict[torch.nn.Parameter, tuple[Rows, ...]] = {}
    for module in model.modules():
        if isinstance(module, SelfAttention):
            config = module.config
            blocks[module.linear_qkv.weight] = qkv_rows(
                config.num_attention_heads, config.num_query_groups, config.kv_channels
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
