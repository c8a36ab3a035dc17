"""What holds at a step, as pure functions of (plan, step): learning rate, RoPE base, bias rate, MTP weight, rows.

Learning rate: linear warm-up, then one cosine over all tokens of the plan, through every stage (GLM-4.5 report, section
2.4: one cosine to the end of mid-training; warmup-stable-decay was worse). Stages change everything else at their
border.
"""

import math
from typing import Any, NamedTuple

from curriculum.plan import Plan


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
        bias_rate=stage.bias_rate,
        mtp_weight=stage.mtp_weight,
    )


def total_tokens(plan: Plan) -> int:
    return sum(stage.tokens for stage in plan.stages)


def learning_rate(tokens: int, total: int, lr: dict[str, Any]) -> float:
    """The rate of the step that ends after `tokens` of `total` tokens: the first step has a positive rate, the last has `end`."""
    warmup = lr["warmup_tokens"]
    if tokens < warmup:
        return lr["peak"] * tokens / warmup
    progress = (tokens - warmup) / (total - warmup) if total > warmup else 1.0
    return lr["end"] + (lr["peak"] - lr["end"]) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
