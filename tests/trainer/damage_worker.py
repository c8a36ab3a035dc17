"""A process of a run of two that meets damaged checkpoints. Started by test_damage.py; argv: the folder with all of them.

Writes what it was told of each to <rank>.json.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from trainer import mcore_compat

mcore_compat.install()

import torch  # noqa: E402

from tests.trainer.test_checkpoint import Line, Momentum  # noqa: E402
from trainer.checkpoint import CheckpointError, Checkpoints, newest_of_all  # noqa: E402
from trainer.huggingface_config import HuggingFaceError  # noqa: E402
from trainer.initial import open_weights  # noqa: E402
from trainer.layout import Layout, joined  # noqa: E402
from trainer.together import Elsewhere, together  # noqa: E402
from trainer.weights import CheckpointWeights, WeightsError  # noqa: E402


def load(root: Path, layout: Layout) -> None:
    found = newest_of_all(root, layout)
    assert found is not None
    with contextlib.closing(Checkpoints(root, layout)) as checkpoints:
        checkpoints.load(found, Line(0.0, 3), Momentum(0.0))


def start(root: Path, layout: Layout) -> None:
    with contextlib.closing(Checkpoints(root, layout)):
        pass


def begin(root: Path, layout: Layout) -> None:
    with together(layout, WeightsError):
        CheckpointWeights(root / "checkpoints/step-00000002/weights")


def apart(root: Path, layout: Layout) -> None:
    """Rank 0 finds a Hugging Face directory, which is another way to read, and rank 1 nothing."""
    with together(layout, WeightsError, HuggingFaceError):
        open_weights(root / str(layout.rank), {"mtp_layers": 0})


TASKS: dict[str, Callable[[Path, Layout], None]] = {
    "tensor": load,
    "plan": load,
    "file": start,
    "begin": begin,
    "apart": apart,
}

if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    told = {}
    torch.distributed.init_process_group("gloo")
    with joined(1) as layout:
        for name, task in TASKS.items():
            try:
                task(folder / name, layout)
            except (CheckpointError, WeightsError, HuggingFaceError, Elsewhere) as error:
                told[name] = [type(error).__name__, str(error), type(error.__cause__).__name__]
    (folder / f"{rank}.json").write_text(json.dumps(told))
    torch.distributed.destroy_process_group()
