"""A process of a parallel run that takes optimiser steps from given gradients. Started by test_optimizer_ranks.py (see forked.py).

argv: folder with a state that a single process wrote, the gradients of the steps after it and the weights that it came to;
folder for what is found; the tasks as JSON. Rank 0 writes what all ranks found in a task to <number>.json, and all of them
the state after the steps to <number>/.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from trainer import mcore_compat

mcore_compat.install()

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from megatron.core import parallel_state  # noqa: E402
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig  # noqa: E402

from curriculum.parallel import Parallel  # noqa: E402
from tests.trainer.conftest import SHAPE, TRAINING  # noqa: E402
from trainer import torch_dist  # noqa: E402
from trainer.initial import put_weights  # noqa: E402
from trainer.layout import Layout, joined  # noqa: E402
from trainer.model import DocumentModel, build_model  # noqa: E402
from trainer.optimizer import Optimizers  # noqa: E402
from trainer.weights import DictWeights  # noqa: E402

MAX_NORM = 200.0  # of about 230: gradients are scaled down
RATE = 0.01
Tensors = dict[str, torch.Tensor]


class Learner(NamedTuple):
    """A model, its optimisers, and a second model of the same layout whose weights are the gradients."""

    layout: Layout
    model: DocumentModel
    optimizers: Optimizers
    gradients: DocumentModel

    @classmethod
    def of(cls, layout: Layout, rule: str, dtype: str) -> "Learner":
        shape = {**SHAPE, "layers": 4}
        model = build_model(shape, seed=3, layout=layout, dtype=getattr(torch, dtype))
        ddp = DistributedDataParallel(model.config, DistributedDataParallelConfig(grad_reduce_in_fp32=True), model)
        optimizers = Optimizers(ddp, {**TRAINING, "optimizer": rule})
        return cls(layout, model, optimizers, build_model(shape, seed=3, layout=layout))

    def learn(self, steps: list[Tensors]) -> list[str]:
        """One step from each of these gradients of the whole model; the norms, exactly."""
        norms = []
        for whole in steps:
            put_weights(self.gradients, DictWeights(whole), self.layout)
            for weight, gradient in zip(self.model.parameters(), self.gradients.parameters(), strict=True):
                weight.main_grad.copy_(gradient.detach())
            norms.append(self.optimizers.clip(MAX_NORM).hex())
            self.optimizers.step(RATE)
        return norms

    def difference(self, whole: Tensors) -> float:
        """The greatest difference of a weight of this rank from its part in those of a whole model."""
        put_weights(self.gradients, DictWeights({name: value.float() for name, value in whole.items()}), self.layout)
        pairs = zip(self.model.parameters(), self.gradients.parameters(), strict=True)
        return max(float((ours.detach().float() - theirs.detach()).abs().max()) for ours, theirs in pairs)

    def kept(self) -> int:
        """Numbers that this rank keeps for its optimisers."""
        return sum(tensor.numel() for _, _, tensor in self.optimizers._tensors())

    def state(self) -> dict[str, Any]:
        copies = parallel_state.get_data_parallel_group(with_context_parallel=True)
        sharded = self.model.sharded_state_dict(metadata={"dp_cp_group": copies})
        return {"model": sharded, "optimizer": self.optimizers.sharded_state_dict(sharded)}

    def save(self, folder: Path) -> None:
        group = dist.group.WORLD if self.layout.world > 1 else None
        aside = torch_dist.ShardCopier(group).copy_aside(self.state())
        written: list[Any] = [None] * self.layout.world
        dist.all_gather_object(written, torch_dist.write(aside, folder))
        if self.layout.rank == 0:
            torch_dist.finish(aside, written, folder)

    def load(self, folder: Path) -> None:
        loaded = torch_dist.load(self.state(), folder, ignore="random.")
        self.model.load_state_dict(loaded["model"], strict=False)
        self.optimizers.load_state_dict(loaded["optimizer"])


def main() -> None:
    root, out, tasks = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    dist.init_process_group("gloo")
    for number, (rule, dtype, sizes) in enumerate(tasks):
        given = root / f"{rule}-{dtype}"
        with joined(1, Parallel(**sizes)) as layout:
            learner = Learner.of(layout, rule, dtype)
            learner.load(given / "state")
            norms = learner.learn(torch.load(root / "gradients.pt")[2:])
            learner.save(out / f"{number}")
            found: list[Any] = [None] * layout.world
            difference = learner.difference(torch.load(given / "weights.pt"))
            dist.all_gather_object(found, {"norms": norms, "difference": difference, "kept": learner.kept()})
            if layout.rank == 0:
                (out / f"{number}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
