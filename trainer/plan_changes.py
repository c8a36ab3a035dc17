"""May a run go on with another plan than it began with? The future of a plan may be edited, its past may not.

Past is whatever decided a step that is already learned: the model, the tokenizer, the seed, the optimiser, and of every
stage begun its rows and settings. The learning rate spans the whole plan, so an edit of the future bends it from here
on; that is accepted and told.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from curriculum.plan import BatchSegment, Plan, Stage


class PlanChanged(ValueError):
    """The plan on disk contradicts what the checkpoint has learned; the message lists every contradiction."""


class Changes(NamedTuple):
    """Differences in words, each with old and new value."""

    past: list[str]
    future: list[str]


# Fields of the plan whose other value is another model. Where the tokenizer lies ("path") is not identity.
IDENTITY = ("model", "tokenizer", "seed")
# Fields of a stage that may change behind the current step, and are compared in parts.
GROWING = ("steps", "batch", "sources")


def compare(old: Plan, new: Plan, done: int) -> Changes:
    """What differs between the plan that the first `done` global steps were learned with and the plan to go on with."""
    past: list[str] = []
    future: list[str] = []
    for key in IDENTITY:
        past += _differences(key, _without(getattr(old, key), "path"), _without(getattr(new, key), "path"))
    past += _differences("training.optimizer", old.training["optimizer"], new.training["optimizer"])
    future += _differences("training", _without(old.training, "optimizer"), _without(new.training, "optimizer"))
    for index, (before, after) in enumerate(itertools.zip_longest(old.stages, new.stages)):
        stage_past, stage_future = _compare_stage(before, after, max(done, 0))
        past += [f"stages[{index}].{text}" for text in stage_past]
        future += [f"stages[{index}].{text}" for text in stage_future]
        done -= before.steps if before else 0
    return Changes(past, future)


def check(old: Plan, new: Plan, done: int, *, where: str) -> list[str]:
    """The accepted differences; raises PlanChanged for others. `where` names the checkpoint, for the message."""
    changes = compare(old, new, done)
    if changes.past:
        listed = "\n    ".join(changes.past)
        raise PlanChanged(
            f"plan.json changes what is already learned: {done} steps are done ({where}).\n    {listed}\n"
            f"Put these values back (the plan of the checkpoint is {where}/plan.json), or train into an empty folder."
        )
    return changes.future


def _compare_stage(old: Stage | None, new: Stage | None, done: int) -> Changes:
    """`done` counts the steps since the stage began: 0 before it, more than its steps when the next one has begun."""
    if old is None or new is None:
        text = f"name: {old.name if old else None!r} -> {new.name if new else None!r}"
        return Changes([text] if done else [], [] if done else [text])
    differences = {
        field.name: list(_differences(field.name, getattr(old, field.name), getattr(new, field.name)))
        for field in dataclasses.fields(Stage)
        if field.name not in GROWING
    }
    differences["sources"] = list(_differences("sources", _drawn(old), _drawn(new)))
    kept_batch = _batch_before(old, done) == _batch_before(new, done)
    batch = [] if old.batch == new.batch else [f"batch: {_shown(old.batch)} -> {_shown(new.batch)}"]
    steps = list(_differences("steps", old.steps, new.steps))
    others = [text for texts in differences.values() for text in texts]
    if not done:
        return Changes([], [*others, *batch, *steps])
    kept_steps = new.steps == old.steps or old.steps >= done <= new.steps
    return Changes(
        [*others, *([] if kept_batch else batch), *([] if kept_steps else steps)],
        [*(batch if kept_batch else []), *(steps if kept_steps else [])],
    )


def _drawn(stage: Stage) -> list[tuple[Any, ...]]:
    """What decides which row is drawn when; `rows_planned` only follows from the number of steps."""
    return [(source.name, source.bound, source.shards) for source in stage.sources]


def _batch_before(stage: Stage, step: int) -> list[BatchSegment]:
    return [segment for segment in stage.batch if segment.first_step < step]


def _without(value: Any, key: str) -> Any:
    return {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else value


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(f"{name}.{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{name}[{index}]", before, after)
    elif old != new:
        yield f"{name}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
