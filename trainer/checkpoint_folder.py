"""The folder of a run's checkpoints: names, what lies in one beside the weights, and which of them go.

    checkpoints/step-00000040/   plan.json state.json weights/    after 40 global steps
    checkpoints/latest           the name of the newest complete one

Everything that writes is for rank 0.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from curriculum.plan import Plan, PlanError
from trainer.durable import flush, remove_folder, write_text
from trainer.layout import Layout
from trainer.mcore_compat import MCORE_VERSION
from trainer.retention import Policy, Saved, kept

if TYPE_CHECKING:
    from curriculum.feed import Feed

FOLDER = "checkpoints"
LATEST = "latest"
WEIGHTS = "weights"
FORMAT = 3


class CheckpointError(Exception):
    """A checkpoint cannot be read or written: which, why, and what to do."""


class Checkpoint(NamedTuple):
    """A complete checkpoint on disk. `done` is the number of global steps learned, and so the next step to learn."""

    path: Path
    done: int
    plan: Plan
    layout: dict[str, Any]  # that wrote it, in words


def path_after(folder: Path, done: int) -> Path:
    return folder / f"step-{done:08d}"


def hidden_name(path: Path) -> Path:
    """Where a checkpoint is written; `durable.clean` removes it if that comes to no end."""
    return path.with_name(f".{path.name}.tmp")


def complete_ones(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(folder.glob("step-????????"))


def describe(feed: "Feed", done: int, layout: Layout) -> dict[str, str]:
    """The small files of a checkpoint, by name."""
    plan, feed_state = _position(feed, done)
    tokens, is_stage_end = _progress(plan, done)
    state = {
        "format": FORMAT,
        "step": done,
        "tokens": tokens,
        "is_stage_end": is_stage_end,
        "feed": feed_state,
        "layout": layout_in_words(layout),
        "torch": torch.__version__,
        "megatron-core": MCORE_VERSION,
    }
    return {"plan.json": plan.to_json(), "state.json": json.dumps(state, indent=1) + "\n"}


def layout_in_words(layout: Layout) -> dict[str, Any]:
    """Random generators go on only in the same one."""
    sizes = layout.parallel
    return {
        "world": layout.world,
        "tensor": sizes.tensor,
        "pipeline": sizes.pipeline,
        "expert": sizes.expert,
        "context": sizes.context,
        "data": layout.data,
        "device": layout.device.type,
    }


def point_to(path: Path) -> None:
    """Let `latest` name a checkpoint that has just got its name; when this returns both are on the disk."""
    hidden = path.with_name(f".{LATEST}.tmp")
    write_text(hidden, path.name + "\n")
    hidden.replace(path.with_name(LATEST))
    flush(path.parent)


def remove_old(folder: Path, policy: Policy) -> None:
    """Remove the checkpoints that `policy` does not keep."""
    saved = {path: one for path in complete_ones(folder) if (one := _saved(path))}
    staying = kept(saved.values(), policy)
    for path, one in saved.items():
        if one.done not in staying:
            remove_folder(path)


def opened(path: Path) -> Checkpoint:
    """The complete checkpoint in `path`. Raises CheckpointError for one that is damaged, or of another format."""
    state = _state_of(path)
    plan = _plan_of(path)
    if plan.digest() != state["feed"]["plan"]:
        raise CheckpointError(
            f"{path}/plan.json is not the plan the checkpoint was written with (or state.json does not say which). {without(path)}"
        )
    return Checkpoint(path, state["step"], plan, state["layout"])


def _state_of(path: Path) -> dict[str, Any]:
    """What state.json says, with all that is read of it."""
    name = path / "state.json"
    try:
        state = json.loads(name.read_text())
        found = state["format"]
        if found == FORMAT:
            _, _ = state["feed"]["plan"], state["layout"]
            if path != path_after(path.parent, state["step"]):
                raise ValueError(f"it is of step {state['step']}")
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read ({error}). {without(path)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{name} is damaged ({type(error).__name__}: {error}). {without(path)}") from error
    if found != FORMAT:
        raise CheckpointError(
            f"{path} has format {found}, this version reads {FORMAT}: continue with the version that wrote "
            f"it, or remove {path.parent} to start again."
        )
    return dict(state)


def _plan_of(path: Path) -> Plan:
    name = path / "plan.json"
    try:
        return Plan.from_json(name.read_text())
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read ({error}). {without(path)}") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{name} is damaged ({error}). {without(path)}") from error
    except PlanError as error:  # with words for the plan.json that a build writes, and can write again
        if error.__cause__ is None:
            raise CheckpointError(
                f"{name} is of another version: continue with the version that wrote it, or remove {path.parent} to start again."
            ) from error
        raise CheckpointError(f"{name} is damaged ({error.__cause__}). {without(path)}") from error


def without(path: Path) -> str:
    """What to do about a damaged checkpoint. The same on all ranks, so that it is said once."""
    return (
        f"Put the file back, or remove {path}: the same command then continues from the checkpoint before it, "
        "or begins anew if there is none."
    )


def _saved(path: Path) -> Saved | None:
    """What decides whether a checkpoint stays; None for one of another format or a damaged one, which is left alone."""
    try:
        state = json.loads((path / "state.json").read_text())
        return Saved(int(state["step"]), int(state["tokens"]), bool(state["is_stage_end"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _position(feed: "Feed", done: int) -> tuple[Plan, dict[str, Any]]:
    """The feed's plan, and its state after `done` steps; of one plan, though the thread that reads ahead may extend it any time."""
    while True:
        plan, state = feed.plan, feed.state(done)
        if state["plan"] == plan.digest():
            return plan, state


def _progress(plan: Plan, done: int) -> tuple[int, bool]:
    """(tokens learned from, whether a stage ends here) after `done` steps."""
    if done == 0:
        return 0, False
    stage, step = plan.locate(done - 1)
    return plan.tokens_before(stage, step + 1), step + 1 == plan.stages[stage].steps
