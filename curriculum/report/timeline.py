"""The curriculum over tokens, as charts: row length, rows per batch, learning rate and RoPE base, planned and (learning rate) as logged."""

import math
from collections.abc import Callable, Mapping, Sequence

from curriculum.plan import Plan, Stage
from curriculum.report.charts import Format, LineChart, Series, Span, line_chart
from curriculum.report.formatting import compact, row_length, significant
from curriculum.report.metrics import Run

LR_POINTS = 160
MAX_TICKS = 6
HEIGHT_PX = 130


def token_spans(plan: Plan) -> list[Span]:
    """Every stage as an interval of consumed positions."""
    starts = [plan.tokens_before(index, 0) for index in range(len(plan.stages))]
    return [
        Span(number, stage.name, start, start + stage.tokens)
        for number, (stage, start) in enumerate(zip(plan.stages, starts, strict=True), start=1)
    ]


def planned_lr(tokens: float, lr: Mapping[str, float], total_tokens: int) -> float:
    """Learning rate after `tokens` positions: linear warm-up from 0, then one cosine from peak to end over the whole plan."""
    warmup = lr["warmup_tokens"]
    if tokens < warmup:
        return lr["peak"] * tokens / warmup
    progress = (tokens - warmup) / (total_tokens - warmup) if total_tokens > warmup else 1.0
    return lr["end"] + (lr["peak"] - lr["end"]) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def timeline(plan: Plan, run: Run | None) -> list[LineChart]:
    """The four charts of the curriculum."""
    now = run.tokens if run else None
    batches = [
        (plan.tokens_before(index, segment.first_step), segment.rows)
        for index, stage in enumerate(plan.stages)
        for segment in stage.batch
    ]
    return [
        _steps("Row length", "tokens", _by_stage(plan, lambda stage: stage.seq_len), plan, now, row_length),
        _steps("Rows per batch", "rows", batches, plan, now, row_length),
        _steps("RoPE base", "", _by_stage(plan, lambda stage: stage.rope_base), plan, now, compact),
        _learning_rate(plan, run, now),
    ]


def _by_stage(plan: Plan, value: Callable[[Stage], float]) -> list[tuple[float, float]]:
    return [(plan.tokens_before(index, 0), value(stage)) for index, stage in enumerate(plan.stages)]


def _steps(
    title: str, unit: str, points: Sequence[tuple[float, float]], plan: Plan, now: int | None, number: Format
) -> LineChart:
    """A staircase on a logarithmic axis whose ticks are the values themselves, as long as they are few."""
    end = sum(stage.tokens for stage in plan.stages)
    values = [value for _, value in points]
    distinct = sorted(set(values))
    powers = [2.0**power for power in range(math.floor(math.log2(distinct[0])), math.ceil(math.log2(distinct[-1])) + 1)]
    return line_chart(
        title,
        [*(at for at, _ in points), end],
        [Series(title.lower(), [*values, values[-1]], "ink", step=True)],
        unit=unit,
        x_name="tokens",
        spans=token_spans(plan),
        y_ticks=distinct if len(distinct) <= MAX_TICKS else powers[:: max(1, len(powers) // MAX_TICKS)],
        log=True,
        height=HEIGHT_PX,
        number=number,
        labels=False,
        now=now,
    )


def _learning_rate(plan: Plan, run: Run | None, now: int | None) -> LineChart:
    total, lr = sum(stage.tokens for stage in plan.stages), plan.training["lr"]
    logged = [(bin.tokens, bin.mean("lr")) for bin in run.bins] if run else []
    ahead = [total * index / LR_POINTS for index in range(LR_POINTS + 1)]
    x = [*(at for at, _ in logged), *(at for at in ahead if not logged or at > logged[-1][0])]
    planned = Series("planned", [planned_lr(at, lr, total) for at in x], "muted")
    measured = Series("logged", [value for _, value in logged] + [None] * (len(x) - len(logged)), "ink")
    return line_chart(
        "Learning rate",
        x,
        [planned, measured] if logged else [planned],
        x_name="tokens",
        spans=token_spans(plan),
        y_from=0.0,
        height=HEIGHT_PX,
        number=significant,
        labels=False,
        now=now,
    )
