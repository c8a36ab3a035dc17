"""The weights a run begins with: a pure function of (seed, name of the weight), the same for any parallel layout.

Megatron draws weights in the order in which a process builds its modules, so another layout begins elsewhere. Here
every weight has a generator of its own, keyed by its name in the whole model; a stack of experts has one per expert. A
tensor-parallel rank draws the whole matrix and keeps its part: 30 s for the 2.7 billion weights that a GPU holds of the
355B shape.

Weights are normal with the standard deviation of the shape, those that write into the residual stream with it divided
by sqrt(2 * layers) (GPT-2; megatron's `scaled_init_method_normal`). Biases are 0, norm weights 1.
"""

import hashlib
import math
from collections.abc import Iterator

import torch
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.tensor_parallel.layers import (
    ColumnParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
    set_tensor_model_parallel_attributes,
)
from megatron.core.transformer.mlp import MLP

from trainer.experts import StackedExperts
from trainer.layout import Layout

RESIDUAL = ("linear_proj.weight", "linear_fc2.weight", "experts.down")


@torch.no_grad()
def draw_weights(model: GPTModel, seed: int, layout: Layout) -> None:
    """Draw every weight of this rank; on the CPU, in float32, whatever the model is in."""
    mark_shards(model)
    halves = {module.linear_fc1.weight for module in model.modules() if isinstance(module, MLP)}
    first_expert = {
        weight: module.groups.ep.rank() * len(weight)
        for module in model.modules()
        if isinstance(module, StackedExperts)
        for weight in (module.gate_up, module.down)
    }
    for name, weight in named_globally(model):
        if weight.dim() < 2:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        scale = 1 / math.sqrt(2 * model.config.num_layers) if name.endswith(RESIDUAL) else 1.0
        std = model.config.init_method_std * scale
        if weight in first_expert:
            for index, matrix in enumerate(weight, start=first_expert[weight]):
                matrix.copy_(_normal(matrix.shape, std, seed, f"{name} {index}"))
        elif not weight.tensor_model_parallel:
            weight.copy_(_normal(weight.shape, std, seed, name))
        else:
            shape = list(weight.shape)
            shape[weight.partition_dim] *= layout.parallel.tensor
            whole = _normal(torch.Size(shape), std, seed, name)
            weight.copy_(tensor_part(whole, weight.partition_dim, 2 if weight in halves else 1, layout))


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
    layers = model.decoder.layers
    offset = layers[0].layer_number - 1 if len(layers) else 0
    for name, parameter in model.named_parameters():
        if name.startswith("decoder.layers."):
            _, _, number, rest = name.split(".", 3)
            name = f"decoder.layers.{int(number) + offset}.{rest}"
        yield name, parameter


def tensor_part(whole: torch.Tensor, dim: int, blocks: int, layout: Layout) -> torch.Tensor:
    """This tensor-parallel rank's part of a matrix along `dim`: of each of its `blocks` equal blocks (gate and up) the share."""
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
