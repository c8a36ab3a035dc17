"""The folder of a run's checkpoints: names, what lies in one beside the weights, and which of them go.

    checkpoints/step-00000040/   plan.json state.json weights/    after 40 global steps
    checkpoints/latest           the name of the newest complete one

Everything here is for rank 0.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curriculum.plan import Plan
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


def _saved(path: Path) -> Saved | None:
    """What decides whether a checkpoint stays; None for one of another format, which is left alone."""
    try:
        state = json.loads((path / "state.json").read_text())
        return Saved(state["step"], state["tokens"], state["is_stage_end"])
    except (OSError, ValueError, KeyError):
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
