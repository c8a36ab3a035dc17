"""What holds at a step, as pure functions of (plan, step): learning rate, RoPE base, bias rate, MTP weight, rows.

A step has the value of a schedule at the tokens of its stage before it: the first step has what the schedule begins with.

Learning rate: linear warm-up, then one cosine over all tokens of the plan, through every stage (GLM-4.5 report, section
2.4: one cosine to the end of mid-training; warmup-stable-decay was worse). Stages change everything else at their
border; rows, bias rate and MTP weight may move inside them too.
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

from curriculum.plan import SCHEDULED, Plan, Ramp, Stage


class StepSettings(NamedTuple):
    """Steps count from 0. Tokens are positions of rows, padding included, over the whole run."""

    step: int
    stage: int
    stage_step: int
    tokens: int  # consumed when the step is done
    rows: int
    seq_len: int
    lr: float
    rope_base: float
    bias_rate: float
    mtp_weight: float


def settings(plan: Plan, step: int) -> StepSettings:
    """What holds at global step `step`; raises ValueError beyond the plan's end."""
    index, stage_step = plan.locate(step)
    stage = plan.stages[index]
    tokens = plan.tokens_before(index, stage_step + 1)
    return StepSettings(
        step=step,
        stage=index,
        stage_step=stage_step,
        tokens=tokens,
        rows=stage.batch_rows(stage_step),
        seq_len=stage.seq_len,
        lr=learning_rate(tokens, total_tokens(plan), plan.training["lr"]),
        rope_base=stage.rope_base,
        bias_rate=stage.value_at(stage.bias_rate, stage_step),
        mtp_weight=stage.value_at(stage.mtp_weight, stage_step),
    )


def changes(plan: Plan, step: int) -> list[str]:
    """What holds at a step and did not at the one before, each with its reason; the first step has no before."""
    now = settings(plan, step)
    if step == 0:
        return []
    before = settings(plan, step - 1)
    stage, last = plan.stages[now.stage], plan.stages[before.stage]
    if now.stage == before.stage:
        told = [f"rows: {before.rows} -> {now.rows} (the batch ramp of stage {stage.name!r})"]
        return told * (now.rows != before.rows) + _moves(stage, before, now)
    reason = f"stage {stage.name!r} begins: {last.name!r} has had its {last.tokens:,} tokens"
    found = [(name, getattr(before, name), getattr(now, name)) for name in ("seq_len", "rows", "rope_base")]
    found += [(name, f"{getattr(before, name):g}", f"{getattr(now, name):g}") for name in SCHEDULED]
    found += [("learn", last.learn, stage.learn), ("mixture", shares(last, end=True), shares(stage, end=False))]
    return [reason] + [f"{name}: {old} -> {new}" for name, old, new in found if old != new]


def _moves(stage: Stage, before: StepSettings, now: StepSettings) -> list[str]:
    """Where schedules inside a stage begin to move and where they have arrived; nothing of the steps in between."""
    told = []
    for name in SCHEDULED:
        ramp, old, new = getattr(stage, name), getattr(before, name), getattr(now, name)
        if not isinstance(ramp, Ramp) or old == new:
            continue
        leaves, arrives = old == ramp.first, new == ramp.last
        if leaves and arrives:
            told.append(f"{name}: {old:g} -> {new:g} (its schedule in stage {stage.name!r})")
        elif leaves:
            line = f"leaves {old:g} for {ramp.last:g}, a line over {ramp.over:,} tokens"
            told.append(f"{name}: {line} (its schedule in stage {stage.name!r})")
        elif arrives:
            told.append(f"{name}: has arrived at {new:g} (its schedule in stage {stage.name!r})")
    return told


def shares(stage: Stage, *, end: bool) -> str:
    """The shares of rows that sources have at the beginning or the end of a stage, as `web 0.78, code 0.22`."""
    if stage.is_open:
        return "not known yet"
    bounds = stage.mixture[-1 if end else 0].bounds
    parts = [upper - lower for lower, upper in pairwise((0, *bounds))]
    total = sum(parts)
    return ", ".join(f"{s.name} {part / total:.3g}" for s, part in zip(stage.sources, parts, strict=True) if part)


def total_tokens(plan: Plan) -> int:
    return sum(stage.tokens for stage in plan.stages)


def learning_rate(tokens: int, total: int, lr: dict[str, Any]) -> float:
    """The rate of the step that ends after `tokens` of `total` tokens: the first step has a positive rate, the last has `end`."""
    warmup = lr["warmup_tokens"]
    if tokens < warmup:
        return lr["peak"] * tokens / warmup
    progress = (tokens - warmup) / (total - warmup) if total > warmup else 1.0
    return lr["end"] + (lr["peak"] - lr["end"]) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
