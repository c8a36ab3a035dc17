"""The weights of a whole model, one tensor at a time, under the names that `model.state_dict()` of a single process has.

What converts a model reads through this, so that 355 billion weights pass through the memory of one stack of experts.
A checkpoint is read by one process, without building the model or a process group and without megatron: whatever the
parallel layout that wrote it, `torch.distributed.checkpoint` knows the parts that every weight lies in.

What megatron-core 0.16.1 makes of names in a checkpoint of our model: layers and experts keep theirs (layers that are not
all alike are numbered, the experts of a layer are one stack); `linear_fc1.weight` stays one weight, stored as two parts,
gate and up. Only with its option `singleton_local_shards` these are two weights, `..._w` and `..._v`; both forms are read.

The weights are looked at for damage when the checkpoint is opened, not when they are read: `trainer.damage` says what that costs.
Where there is a process group its ranks share the work: all of them open the same checkpoint, and agree on it (`trainer.together`).

Not covered: object stores; checkpoints of other models (layers as one stack with a leading axis). Reading the metadata of a
checkpoint unpickles it: read your own.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from trainer.damage import CONTENTS, Damaged, archives, check_share, contents

MODEL = ("embedding.", "decoder.", "mtp.", "output_layer.")  # a checkpoint holds optimisers too
HALVES = ("_w", "_v")  # megatron/core/transformer/mlp.py, apply_swiglu_sharded_factory


class WeightsError(Exception):
    """Weights cannot be read: which, where, and why."""


class Weights(Protocol):
    """Named tensors, read one by one."""

    def names(self) -> Collection[str]: ...

    def read(self, name: str) -> torch.Tensor:
        """The tensor, on the CPU, as it is stored. KeyError for a name that is not among `names()`."""
        ...


class DictWeights:
    """Weights that are in memory: a `state_dict`, whose entries without a tensor (`_extra_state`) are left out."""

    def __init__(self, tensors: Mapping[str, torch.Tensor | None]) -> None:
        self._tensors = {name: tensor.detach() for name, tensor in tensors.items() if tensor is not None}

    def names(self) -> Collection[str]:
        return self._tensors.keys()

    def read(self, name: str) -> torch.Tensor:
        return self._tensors[name].cpu()


class CheckpointWeights:
    """The model's weights in a checkpoint folder of megatron's `dist_checkpointing` (format torch_dist)."""

    def __init__(self, folder: Path) -> None:
        """WeightsError where there is no such checkpoint, or what this rank looked at is damaged."""
        try:
            if not (folder / CONTENTS).is_file():
                raise Damaged(f"{folder} holds no torch_dist checkpoint: there is no file {CONTENTS} in it")
            self._metadata = contents(folder)
            check_share(folder, archives(self._metadata, MODEL))
        except Damaged as error:
            raise WeightsError(f"{error}. Take another checkpoint, or another copy of this one.") from error
        self._reader = FileSystemReader(folder)
        self._reader.set_up_storage_reader(self._metadata, is_coordinator=True)
        stored = {
            name: entry
            for name, entry in self._metadata.state_dict_metadata.items()
            if isinstance(entry, TensorStorageMetadata) and name.startswith(MODEL)
        }
        self._parts = {name: (name,) for name in stored}
        for gate in [name for name in stored if name.endswith(f"linear_fc1.weight{HALVES[0]}")]:
            name = gate.removesuffix(HALVES[0])
            if name + HALVES[1] in stored:
                self._parts[name] = tuple(self._parts.pop(name + half)[0] for half in HALVES)  # type: ignore[assignment]

    def names(self) -> Collection[str]:
        return self._parts.keys()

    def read(self, name: str) -> torch.Tensor:
        tensors = [self._read_stored(part) for part in self._parts[name]]
        return tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    def _read_stored(self, name: str) -> torch.Tensor:
        entry: Any = self._metadata.state_dict_metadata[name]
        tensor = torch.empty(entry.size, dtype=entry.properties.dtype)
        planner = DefaultLoadPlanner()
        planner.set_up_planner({name: tensor}, self._metadata, is_coordinator=True)
        self._reader.read_data(planner.create_local_plan(), planner).wait()
        return tensor
