"""May a run go on with another plan than it began with? The future of a plan may be edited, its past may not.

Past is whatever decided a step that is already learned: the model, the tokenizer, the seed, the optimiser, the settings and batch sizes of
every stage begun, and which row of which source each learned row is. The last is decided row by row (`mix_changes`): an edit of a later
phase, of a source that only later phases draw from, or of how the same mixture is written is an edit of the future. So is one of a
schedule inside a stage (`SCHEDULED`) while every learned step keeps its value.

The learning rate spans the whole plan, so an edit of the future bends it from here on; that is accepted and told. Not told, because it
decides nothing or follows from what is told: planned rows and tokens, where later stages begin in their sources, lock, version,
manifest fingerprint, name of the plan, path of the tokenizer; nor that a build has closed a stage that was open.
"""

import dataclasses
import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from curriculum.mix_changes import Told, aligned, drawn_before, in_words, mix_changes
from curriculum.plan import SCHEDULED, Plan, Ramp, Source, Stage

# Fields of the plan whose other value is another model. Where the tokenizer lies ("path") is not identity.
IDENTITY = ("model", "tokenizer", "seed")
RULES = ("optimizer", "head")  # which weight is learned by which rule: another one has another state
# Fields of a stage that are compared in their own way; every other one holds for the whole stage.
COMPARED_IN_PARTS = ("name", "seed", "steps", "batch", "sources", "mixture", *SCHEDULED)
# Fields of a source that do not say which rows are drawn; every other one does.
NOT_ORDER = ("name", "corpus", "bucket", "rows_planned", "tokens_planned")


class PlanChanged(ValueError):
    """The plan on disk contradicts what is already learned; the message lists every contradiction."""


class Changes(NamedTuple):
    """Differences in words, each with old and new value."""

    past: list[str]
    future: list[str]

    def add(self, texts: Sequence[str], *, is_past: bool) -> None:
        (self.past if is_past else self.future).extend(texts)


def compare(old: Plan, new: Plan, done: int) -> Changes:
    """What differs between the plan that the first `done` global steps were learned with and the plan to go on with."""
    changes = Changes([], [])
    for key in IDENTITY:
        changes.add(_differences(key, *(_without(getattr(plan, key), "path") for plan in (old, new))), is_past=True)
    for key in RULES:
        rules = (plan.training.get(key) for plan in (old, new))
        changes.add(_differences(f"training.{key}", *rules), is_past=True)
    changes.add(_differences("training", *(_without(plan.training, *RULES) for plan in (old, new))), is_past=False)
    for index, (before, after) in enumerate(itertools.zip_longest(old.stages, new.stages)):
        of_stage = _compare_stages(before, after, max(done, 0))
        changes.add([f"stages[{index}].{text}" for text in of_stage.past], is_past=True)
        changes.add([f"stages[{index}].{text}" for text in of_stage.future], is_past=False)
        done -= before.steps if before else 0
    return changes


def check(old: Plan, new: Plan, done: int, *, where: str) -> list[str]:
    """The accepted differences; raises PlanChanged for others. `where` names what holds the old plan, for the message."""
    changes = compare(old, new, done)
    if changes.past:
        listed = "\n    ".join(changes.past)
        raise PlanChanged(
            f"the plan changes what is already learned: {done:,} steps are done, with the plan in {where}.\n    {listed}\n"
            "Put these values back, move the edit to a stage or phase that has not begun, or train into an empty folder."
        )
    return changes.future


def _compare_stages(old: Stage | None, new: Stage | None, done: int) -> Changes:
    """`done` counts the steps since the stage began: 0 before it, more than its steps when the next one has begun."""
    changes, begun = Changes([], []), done > 0
    if old is None or new is None:
        changes.add([f"name: {old.name if old else None!r} -> {new.name if new else None!r}"], is_past=begun)
        return changes
    reseeded = old.seed != new.seed
    changes.add(_differences("name", old.name, new.name), is_past=begun and reseeded)
    if reseeded:
        follows = "it follows from the manifest's seed and the stage's name"
        changes.add([f"seed: another one, every row is drawn anew ({follows})"], is_past=begun)
    for field in dataclasses.fields(Stage):
        if field.name not in COMPARED_IN_PARTS:
            differences = _differences(field.name, getattr(old, field.name), getattr(new, field.name))
            changes.add(differences, is_past=begun)
    for name in SCHEDULED:
        _compare_settings(name, old, new, min(done, old.steps), changes)
    kept_steps = old.steps == new.steps or old.steps >= done <= new.steps
    changes.add(_differences("steps", old.steps, new.steps), is_past=not kept_steps)
    _compare_batches(old, new, done, changes)
    learned_rows = old.rows_before(min(done, old.steps))
    if old.is_open or new.is_open:
        if not old.is_open:
            text = f"sources: {len(old.sources)} -> none, the build that wrote this plan does not know them yet"
            changes.add([text], is_past=begun)
        return changes
    _compare_sources(old, new, learned_rows, changes)
    past, future = mix_changes(old, new, 0 if reseeded else learned_rows)
    changes.add(in_words("mix", "row", past), is_past=True)
    changes.add(in_words("mix", "row", future), is_past=False)
    return changes


def _compare_settings(name: str, old: Stage, new: Stage, learned: int, changes: Changes) -> None:
    """A number or schedule of a stage whose first `learned` steps are learned: each of these must keep its value."""
    before, after = getattr(old, name), getattr(new, name)
    step = _first_other(old, before, after, learned)
    texts = _differences(name, before, after)
    if step is not None and (isinstance(before, Ramp) or isinstance(after, Ramp)):
        values = " -> ".join(f"{old.value_at(setting, step):g}" for setting in (before, after))
        texts = [f"{text} (step {step:,} of the stage is learned: {values})" for text in texts]
    changes.add(texts, is_past=step is not None)


def _first_other(stage: Stage, before: float | Ramp, after: float | Ramp, learned: int) -> int | None:
    """The first of `learned` steps at which two settings differ.

    Between bends both are lines: they differ from the first step or the second, or nowhere. The step before each bend is compared
    too, where lines are furthest apart that are the same but for rounding.
    """
    ramps = [setting for setting in (before, after) if isinstance(setting, Ramp)]
    bends = {0, *(tokens for ramp in ramps for tokens in (ramp.after, ramp.after + ramp.over))}
    begins = [bisect_left(range(learned), tokens, key=stage.tokens_before) for tokens in bends]
    steps = sorted({step + near for step in begins for near in (-1, 0, 1)})
    differ = (s for s in steps if 0 <= s < learned and stage.value_at(before, s) != stage.value_at(after, s))
    return next(differ, None)


def _compare_batches(old: Stage, new: Stage, done: int, changes: Changes) -> None:
    told: dict[bool, list[Told]] = {True: [], False: []}
    for first, end, before, after in aligned(old.batch, new.batch, lambda segment: segment.first_step):
        if before.rows != after.rows and first < max(old.steps, new.steps):
            told[first < done].append(Told(first, end, f"{before.rows:,} -> {after.rows:,} rows"))
    for is_past, ranges in told.items():
        changes.add(in_words("batch", "step", ranges), is_past=is_past)


def _compare_sources(old: Stage, new: Stage, learned_rows: int, changes: Changes) -> None:
    """Sources of both plans that hold other rows, or give them in another order. Those of one plan only show in the mix."""
    kept = {source.name: source for source in new.sources}
    edited = {s.name: edits for s in old.sources if s.name in kept and (edits := dict(_order_edits(s, kept[s.name])))}
    drawn = drawn_before(old, learned_rows) if edited else {}
    for name, edits in edited.items():
        if not drawn[name]:
            edits.pop("first_rank", None)  # follows from the stages before
        changes.add([f"sources.{name}.{text}" for text in edits.values()], is_past=drawn[name] > 0)


def _order_edits(old: Source, new: Source) -> Iterator[tuple[str, str]]:
    """(field, difference in words) of what decides the order of a source."""
    for field in dataclasses.fields(Source):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name not in NOT_ORDER and before != after:
            if field.name == "seed":
                yield "seed", "seed: another one (it follows from the manifest's seed, the source and its packing)"
            else:
                yield field.name, f"{field.name}: {_shown(before)} -> {_shown(after)}"


def _without(value: Any, *keys: str) -> Any:
    return {key: kept for key, kept in value.items() if key not in keys} if isinstance(value, dict) else value


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [text for key in keys for text in _differences(f"{name}.{key}", old.get(key), new.get(key))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [text for index, pair in pairs for text in _differences(f"{name}[{index}]", *pair)]
    return [] if old == new else [f"{name}: {_shown(old)} -> {_shown(new)}"]


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value) if isinstance(value, Ramp) else repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
