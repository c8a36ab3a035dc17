"""One atomic unit: model, optimisers, feed state, plan, random state. `kill -9` at any time leaves a usable one.

    checkpoints/step-00000040/   model.pt optimizer.pt random.pt plan.json state.json    after 40 global steps
    checkpoints/latest           the name of the newest complete one, for people and scripts

A checkpoint is written into a hidden folder, flushed, and renamed: a folder with its final name is complete. The
previous one is kept. The plan in it is the feed's, which may know more than the plan.json that the run began with.
Plain `torch.save` by rank 0, because all ranks are data-parallel and hold the same: it resumes bit for bit and at any
number of ranks. Megatron's torch_dist format would reshard tensor-parallel models too, but spawns a process for every
save (3 s for 30 MB here, against 0.1 s).

Not covered: object stores, asynchronous writing.
"""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from curriculum.plan import Plan

if TYPE_CHECKING:
    from curriculum.feed import Feed

FOLDER = "checkpoints"
LATEST = "latest"
KEPT = 2
FORMAT = 2


class CheckpointError(Exception):
    """A checkpoint cannot be read: which, why, and what to do."""


class Checkpoint(NamedTuple):
    """A complete checkpoint on disk. `done` is the number of global steps learned, and so the next step to learn."""

    path: Path
    done: int
    plan: Plan


def save(root: Path, feed: "Feed", done: int, model: torch.nn.Module, optimizers: Any) -> Path:
    """Write the checkpoint after `done` steps, and let go of all but the newest two. For one rank; the others wait."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    name = f"step-{done:08d}"
    path = folder / name
    if path.exists():
        return path
    _clean(folder)
    plan, feed_state = _position(feed, done)
    hidden = folder / f".{name}.tmp"
    hidden.mkdir()
    _write_torch(hidden / "model.pt", {key: value for key, value in model.state_dict().items() if value is not None})
    _write_torch(hidden / "optimizer.pt", optimizers.state_dict())
    _write_torch(hidden / "random.pt", _random_state())
    _write_text(hidden / "plan.json", plan.to_json())
    state = {"format": FORMAT, "step": done, "feed": feed_state, "torch": torch.__version__}
    _write_text(hidden / "state.json", json.dumps(state, indent=1) + "\n")
    _flush_folder(hidden)
    hidden.rename(path)
    _write_text(folder / f".{LATEST}.tmp", name + "\n")
    os.replace(folder / f".{LATEST}.tmp", folder / LATEST)
    _flush_folder(folder)
    for old in _complete(folder)[:-KEPT]:
        _remove(old)
    return path


def newest(root: Path) -> Checkpoint | None:
    """The newest complete checkpoint, or None. Raises CheckpointError for one of another format."""
    complete = _complete(root / FOLDER)
    if not complete:
        return None
    path = complete[-1]
    state = json.loads((path / "state.json").read_text())
    if state["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {state['format']}, this version reads {FORMAT}: continue with the version that wrote "
            f"it, or remove {root / FOLDER} to start again."
        )
    plan = Plan.from_json((path / "plan.json").read_text())
    if plan.digest() != state["feed"]["plan"]:
        raise CheckpointError(f"{path}/plan.json is not the plan the checkpoint was written with: remove {path}.")
    return Checkpoint(path, state["step"], plan)


def load(checkpoint: Checkpoint, model: torch.nn.Module, optimizers: Any, device: torch.device) -> None:
    """Put the state of `checkpoint` into the model, the optimisers and torch's generators."""
    weights = _read_torch(checkpoint.path / "model.pt", device)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith("_extra_state")]
    if missing or unexpected:
        raise CheckpointError(
            f"{checkpoint.path}/model.pt is of another model: missing {missing}, unexpected {unexpected}."
        )
    optimizers.load_state_dict(_read_torch(checkpoint.path / "optimizer.pt", device))
    random = _read_torch(checkpoint.path / "random.pt", torch.device("cpu"))
    torch.set_rng_state(random["cpu"])
    if torch.cuda.is_available() and "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"])


def _clean(folder: Path) -> None:
    """Remove what a killed process left half-written or half-removed."""
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _position(feed: "Feed", done: int) -> tuple[Plan, dict[str, Any]]:
    """The feed's plan, and its state after `done` steps; of one plan, though the thread that reads ahead may extend it any time."""
    while True:
        plan, state = feed.plan, feed.state(done)
        if state["plan"] == plan.digest():
            return plan, state


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _complete(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(folder.glob("step-????????"))


def _remove(path: Path) -> None:
    """Never half a checkpoint under a final name, wherever the process dies."""
    hidden = path.with_name(f".{path.name}.old.tmp")
    path.rename(hidden)
    shutil.rmtree(hidden)


def _write_torch(path: Path, value: Any) -> None:
    with path.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_torch(path: Path, device: torch.device) -> Any:
    return torch.load(path, map_location=device, weights_only=True)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
