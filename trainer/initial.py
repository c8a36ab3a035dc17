"""The weights a run begins with: drawn as a pure function of (seed, name of the weight), or those of a whole model; in any layout.

Megatron draws weights in the order in which a process builds its modules, so another layout begins elsewhere. Here
every weight has a generator of its own, keyed by its name in the whole model; a stack of experts has one per expert. A
tensor-parallel rank draws the whole matrix and keeps its part.

Weights are normal with the standard deviation of the shape, those that write into the residual stream with it divided
by sqrt(2 * layers) (GPT-2; megatron's `scaled_init_method_normal`). Biases are 0, norm weights 1.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.tensor_parallel.layers import (
    ColumnParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
    set_tensor_model_parallel_attributes,
)
from megatron.core.transformer.mlp import MLP

from trainer.checkpoint_folder import WEIGHTS
from trainer.experts import StackedExperts
from trainer.huggingface import read_huggingface
from trainer.layout import Layout
from trainer.router import BalancedRouter
from trainer.weights import CheckpointWeights, Weights, WeightsError

RESIDUAL = ("linear_proj.weight", "linear_fc2.weight", "experts.down")


@torch.no_grad()
def draw_weights(model: GPTModel, seed: int, layout: Layout) -> None:
    """Draw every weight of this rank; on the CPU, in float32, whatever the model is in."""
    mark_shards(model)
    first_expert, halves = _first_experts(model), _halves(model)
    for name, weight in named_globally(model):
        if weight.dim() < 2:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        scale = 1 / math.sqrt(2 * model.config.num_layers) if name.endswith(RESIDUAL) else 1.0
        std = model.config.init_method_std * scale
        if weight in first_expert:
            for index, matrix in enumerate(weight, start=first_expert[weight]):
                matrix.copy_(_normal(matrix.shape, std, seed, f"{name} {index}"))
        else:
            whole = _normal(_whole_shape(weight, layout), std, seed, name)
            weight.copy_(_part(whole, weight, 2 if weight in halves else 1, layout))


@torch.no_grad()
def put_weights(model: GPTModel, weights: Weights, layout: Layout) -> None:
    """Give this rank its parts of the weights of a whole model, routers' biases included. Raises WeightsError for what is missing."""
    first_expert, halves = _first_experts(model), _halves(model)
    wanted = [*named_globally(model), *_biases(model)]
    if missing := sorted({name for name, _ in wanted} - {*weights.names()}):
        raise WeightsError(
            f"the weights lack {len(missing)} tensors of this model, for example {', '.join(missing[:5])}"
        )
    for name, tensor in wanted:
        whole = weights.read(name)
        if tensor in first_expert:
            part = whole[first_expert[tensor] : first_expert[tensor] + len(tensor)]
        else:
            part = _part(whole, tensor, 2 if tensor in halves else 1, layout)
        if part.shape != tensor.shape:
            raise WeightsError(
                f"{name} has shape {tuple(whole.shape)}, of which {tuple(tensor.shape)} cannot be a part"
            )
        tensor.copy_(part)


def open_weights(folder: Path, shape: Mapping[str, Any]) -> Weights:
    """The weights in a checkpoint's folder or a Hugging Face directory. Raises WeightsError for none, or those of another shape."""
    if not (folder / "config.json").is_file():
        return CheckpointWeights(folder / WEIGHTS if (folder / WEIGHTS).is_dir() else folder)
    found, weights = read_huggingface(folder, mtp=bool(shape["mtp_layers"]))
    ignored = ("name", "init_std")
    differing = [
        f"{key} {found[key]}, not {shape[key]}" for key in shape if key not in ignored and found[key] != shape[key]
    ]
    if differing:
        raise WeightsError(f"{folder} is another model than the plan's: {'; '.join(differing)}")
    return weights


def mark_shards(model: torch.nn.Module) -> None:
    """Megatron's marks of tensor-parallel weights, which it sets only where it draws the weights itself."""
    for module in model.modules():
        if isinstance(module, ColumnParallelLinear | VocabParallelEmbedding):
            _mark(module.weight, 0)
        elif isinstance(module, RowParallelLinear):
            _mark(module.weight, 1)
    for parameter in model.parameters():
        if not hasattr(parameter, "tensor_model_parallel"):
            parameter.tensor_model_parallel = False  # type: ignore[attr-defined]


def named_globally(model: GPTModel) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Parameters of this rank under their names in the whole model: layers of later pipeline stages count on."""
    for name, parameter in model.named_parameters():
        yield _global_name(model, name), parameter


def _biases(model: GPTModel) -> Iterator[tuple[str, torch.Tensor]]:
    """The balance biases of the routers."""
    for name, module in model.named_modules():
        if isinstance(module, BalancedRouter):
            yield _global_name(model, f"{name}.expert_bias"), module.expert_bias


def _global_name(model: GPTModel, name: str) -> str:
    if not name.startswith("decoder.layers."):
        return name
    _, _, number, rest = name.split(".", 3)
    return f"decoder.layers.{int(number) + model.decoder.layers[0].layer_number - 1}.{rest}"


def _first_experts(model: GPTModel) -> dict[torch.Tensor, int]:
    """The number of the first expert of every stack that lies here."""
    return {
        weight: module.groups.ep.rank() * len(weight)
        for module in model.modules()
        if isinstance(module, StackedExperts)
        for weight in (module.gate_up, module.down)
    }


def _halves(model: GPTModel) -> set[torch.Tensor]:
    """Weights of two blocks, gate and up, of each of which a tensor-parallel rank has a share."""
    return {module.linear_fc1.weight for module in model.modules() if isinstance(module, MLP)}


def _whole_shape(weight: torch.Tensor, layout: Layout) -> torch.Size:
    shape = list(weight.shape)
    if getattr(weight, "tensor_model_parallel", False):
        shape[getattr(weight, "partition_dim", 0)] *= layout.parallel.tensor
    return torch.Size(shape)


def _part(whole: torch.Tensor, weight: torch.Tensor, blocks: int, layout: Layout) -> torch.Tensor:
    """This tensor-parallel rank's part of a weight, which is `blocks` equal blocks: of each its share."""
    if not getattr(weight, "tensor_model_parallel", False) or layout.parallel.tensor == 1:
        return whole
    dim = getattr(weight, "partition_dim", 0)
    shares = [
        block.chunk(layout.parallel.tensor, dim=dim)[layout.tensor_rank] for block in whole.chunk(blocks, dim=dim)
    ]
    return torch.cat(shares, dim=dim)


def _mark(weight: torch.nn.Parameter, dim: int) -> None:
    if not hasattr(weight, "tensor_model_parallel"):
        set_tensor_model_parallel_attributes(tensor=weight, is_parallel=True, dim=dim, stride=1)


def _normal(shape: torch.Size, std: float, seed: int, name: str) -> torch.Tensor:
    key = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key) >> 1)
    return torch.empty(shape, dtype=torch.float32).normal_(0.0, std, generator=generator)
