"""How a model is spread over processes: the sizes of the parallel groups, and what makes a layout impossible.

Tensor parallelism always comes with sequence parallelism, experts are never split (expert tensor parallelism is 1), and what is
left of the processes is data parallelism. Groups are those of megatron-core: tensor ranks are neighbours, then context, then data,
then pipeline; expert-parallel groups span tensor, context and data ranks.

Interleaved pipelines (several pieces of the model per stage) are not covered. Standard library only: the trainer imports this.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Parallel:
    """Sizes of the groups. `first_stage_layers` and `last_stage_layers` are decoder layers of those pipeline stages, when uneven."""

    tensor: int = 1
    pipeline: int = 1
    expert: int = 1
    context: int = 1
    first_stage_layers: int | None = None
    last_stage_layers: int | None = None

    @classmethod
    def of_site(cls, site: object) -> "Parallel":
        """The sizes that a site file asks for (`datapipe.site.Site`)."""
        return cls(**{field.name: getattr(site, field.name) for field in dataclasses.fields(cls)})

    @property
    def of_one_copy(self) -> int:
        """Processes that share one copy of the dense weights and of a row: tensor * pipeline * context."""
        return self.tensor * self.pipeline * self.context

    def fewest(self) -> int:
        """The least number of processes that these sizes can run on."""
        return self.pipeline * math.lcm(self.tensor * self.context, self.expert)

    def data(self, world: int) -> int:
        """Into how many shares `world` processes divide a batch. Raises ValueError where they do not come out even."""
        if world < 1 or world % self.of_one_copy:
            raise ValueError(_uneven_world(self, world))
        return world // self.of_one_copy

    def expert_data(self, world: int) -> int:
        """How many processes hold the same experts. Raises ValueError where they do not come out even."""
        per_stage = self.tensor * self.context * self.data(world)
        if per_stage % self.expert:
            raise ValueError(_uneven_experts(self, per_stage, per_stage))
        return per_stage // self.expert

    def stage_layers(self, layers: int) -> tuple[int, ...]:
        """Decoder layers of every pipeline stage, as megatron-core counts them (`transformer_block.get_num_layers_to_build`).

        Without `first_stage_layers` and `last_stage_layers` every stage has the same number; with them the stages in
        between have. Raises ValueError, which says what to write, where that is impossible.
        """
        ends = [count for count in (self.first_stage_layers, self.last_stage_layers) if count is not None]
        if ends and self.pipeline == 1:
            raise ValueError("first_stage_layers and last_stage_layers are for pipeline > 1: leave them away.")
        stages, rest = self.pipeline - len(ends), layers - sum(ends)
        if min(ends, default=1) < 1 or rest < stages or (rest % stages if stages else rest):
            raise ValueError(self._uneven_stages(layers, ends))
        middle = rest // stages if stages else 0
        counts = [middle] * self.pipeline
        counts[0] = self.first_stage_layers or middle
        counts[-1] = self.last_stage_layers or middle
        return tuple(counts)

    def problems(self, shape: Mapping[str, Any], world: int | None = None) -> list[str]:
        """What makes this layout impossible for a model shape on `world` processes, with the remedy; empty when it can run.

        `shape` is `plan.model` (see curriculum.model_shape.ModelShape). Without `world` the processes are not judged.
        Rows of any length can be learned: what does not come out even is padded.
        """
        found = [
            f"{name}: {size} is not a size; write 1 or more."
            for name in ("tensor", "pipeline", "expert", "context")
            if (size := getattr(self, name)) < 1
        ]
        return found or list(self._of_shape(shape)) + ([] if world is None else self._of_world(world, shape["experts"]))

    def _of_shape(self, shape: Mapping[str, Any]) -> Iterator[str]:
        divided = ["heads", "kv_heads", "hidden", "shared_ffn", "vocab_size"]
        divided += ["dense_ffn"] if shape["dense_layers"] else []
        if uneven := [name for name in divided if shape[name] % self.tensor]:
            sizes = ", ".join(f"{name} ({shape[name]})" for name in uneven)
            common = math.gcd(*(shape[name] for name in divided))
            yield f"tensor: {self.tensor} does not divide {sizes}: use {_divisors(common)}."
        if shape["experts"] % self.expert:
            yield f"expert: {self.expert} does not divide experts ({shape['experts']}): use {_divisors(shape['experts'])}."
        try:
            self.stage_layers(shape["layers"])
        except ValueError as error:
            yield str(error)

    def _of_world(self, world: int, experts: int) -> list[str]:
        try:
            per_stage = self.tensor * self.context * self.data(world)
        except ValueError as error:
            return [str(error)]
        return [_uneven_experts(self, per_stage, experts)] if per_stage % self.expert else []

    def _uneven_stages(self, layers: int, ends: list[int]) -> str:
        if layers < self.pipeline:
            return f"pipeline: {self.pipeline} stages for only {layers} layers: use {layers} or fewer."
        first, last = _lighter_ends(layers, self.pipeline)
        said = " and ".join(map(str, ends))
        told = f" with {said} at its ends" if ends else ""
        even = f"pipeline = {_divisors(layers)} without them, or " if ends else f"{_divisors(layers)}, or "
        return (
            f"pipeline: {layers} layers do not go into {self.pipeline} stages{told}: "
            f"use {even}first_stage_layers = {first} and last_stage_layers = {last}."
        )


def _lighter_ends(layers: int, stages: int) -> tuple[int, int]:
    """Layers of the first and the last stage so that those between are equal, and no lighter where that is possible."""
    if stages == 2:
        return layers - layers // 2, layers // 2
    for middle in (-(-layers // stages), layers // stages):
        ends = layers - middle * (stages - 2)
        if ends >= 2:
            break
    return ends - ends // 2, ends // 2


def _divisors(number: int) -> str:
    found = [str(n) for n in range(1, min(number, 1024) + 1) if number % n == 0]
    return f"{', '.join(found[:-1])} or {found[-1]}" if len(found) > 1 else found[0]


def _uneven_world(sizes: Parallel, world: int) -> str:
    copy = sizes.of_one_copy
    below = world // copy * copy
    use = f"{below} or {below + copy}" if below else str(copy)
    return (
        f"world: {world} {'process is' if world == 1 else 'processes are'} not a multiple of tensor {sizes.tensor} * "
        f"pipeline {sizes.pipeline} * context {sizes.context} = {copy}: use {use}."
    )


def _uneven_experts(sizes: Parallel, per_stage: int, experts: int) -> str:
    step = math.lcm(per_stage, sizes.expert) // per_stage
    return (
        f"expert: {sizes.expert} does not divide the {per_stage} processes of a pipeline stage (tensor * context * data): "
        f"use {_divisors(math.gcd(per_stage, experts))}, or {step} times as many processes."
    )
