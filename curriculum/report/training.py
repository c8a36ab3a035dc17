"""The training run as charts and one table: loss in total and per source, expert load, and the time spent waiting for data."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from curriculum.plan import Plan
from curriculum.report.charts import LineChart, Series, Span, line_chart
from curriculum.report.formatting import significant
from curriculum.report.metrics import Bin, Run
from curriculum.report.palette import Palette

PANEL_PX = 150
TAIL = 10  # the end of a stage is its last tenth
STEEP = 5  # the first fifth of a run is left out of the axis of the charts per source,
STEEP_RATIO = 1.5  # where it would stretch the axis by more than this
SMOOTH = 25  # the running mean spans this part of the run


@dataclass(frozen=True)
class StageTime:
    """Where the seconds of a stage went. Shares are of the step time."""

    name: str
    steps: int
    tokens_per_second: float | None
    seconds_per_step: float | None
    shares: dict[str, float | None]
    max_violation: float


def step_spans(plan: Plan | None, run: Run) -> list[Span]:
    """Every stage as an interval of global steps: of the plan, or without one of what has run."""
    steps = [(s.name, s.steps) for s in plan.stages] if plan else [(name, s.steps) for name, s in run.stages.items()]
    spans, start = [], 0
    for number, (name, count) in enumerate(steps, start=1):
        spans.append(Span(number, name, start, start + count))
        start += count
    return spans


def loss_chart(run: Run, spans: Sequence[Span]) -> LineChart:
    """Loss of the main head and of the multi-token prediction head."""
    series = [Series("loss", [bin.mean("loss") for bin in run.bins], "ink")]
    mtp = [bin.mean("mtp_loss") for bin in run.bins]
    if any(value is not None for value in mtp):
        series.append(Series("mtp loss", mtp, "muted"))
    return line_chart("Loss", _steps(run), series, unit="nats per token", spans=spans, height=300, number=_loss)


def source_charts(run: Run, spans: Sequence[Span], palette: Palette) -> list[LineChart]:
    """One small chart per corpus with a line per bucket, all on the same axes; the total is behind them for comparison.

    A source has few rows in a batch, so the lines are running means. The axis leaves out a steep beginning.
    """
    bins = smooth(run)
    lines = {name: [bin.loss_of(name) for bin in bins] for name in run.sources}
    total = [bin.mean("loss") for bin in bins]
    y_range = _settled_range([*lines.values(), total])
    charts = []
    for corpus in palette.corpora:
        buckets = [name for name in palette.buckets(corpus) if any(value is not None for value in lines.get(name, ()))]
        if not buckets:
            continue
        series = [Series(_bucket(name), lines[name], palette.source(name)) for name in buckets]
        charts.append(
            line_chart(
                corpus,
                _steps(run),
                [Series("total", total, "faint"), *reversed(series)],
                spans=spans,
                y_range=y_range,
                height=PANEL_PX,
                number=_loss,
            )
        )
    return charts


def load_chart(run: Run, spans: Sequence[Span]) -> LineChart:
    """Expert load: how far the busiest expert lies above the mean, in the worst layer."""
    values = [bin.max_violation for bin in run.bins]
    series = [Series("max violation", values, "ink")]
    return line_chart(
        "Expert load",
        _steps(run),
        series,
        unit="(max − mean) / mean",
        spans=spans,
        y_from=0.0,
        height=PANEL_PX,
        labels=False,
    )


def wait_chart(run: Run, spans: Sequence[Span]) -> LineChart:
    """Share of the step time in which the trainer waited for the feed."""
    values = [bin.seconds["wait"] / bin.seconds["step"] if bin.seconds["step"] else None for bin in run.bins]
    return line_chart(
        "Waiting for data",
        _steps(run),
        [Series("wait", values, "ink")],
        unit="share of step time",
        spans=spans,
        y_from=0.0,
        height=PANEL_PX,
        number=lambda share: f"{significant(100 * share)}%",
        labels=False,
    )


def stage_times(run: Run) -> list[StageTime]:
    """Speed and time shares of every stage that has run."""
    return [
        StageTime(
            name=name,
            steps=stage.steps,
            tokens_per_second=_ratio(stage.positions, stage.seconds["step"]),
            seconds_per_step=_ratio(stage.seconds["step"], stage.steps),
            shares={
                part: _ratio(stage.seconds[part], stage.seconds["step"])
                for part in ("wait", "build", "fetch", "decode", "collate")
            },
            max_violation=stage.max_violation,
        )
        for name, stage in run.stages.items()
    ]


def loss_table(run: Run, palette: Palette) -> list[tuple[str, list[float | None]]]:
    """(source or "all", loss at the end of every stage that has run): the mean over the last tenth of the stage's bins."""
    tails = {name: _tail([bin for bin in run.bins if bin.stage == name]) for name in run.stages}
    rows: list[tuple[str, list[float | None]]] = [("all", [tail.mean("loss") for tail in tails.values()])]
    seen = set(run.sources)
    rows += [(name, [tail.loss_of(name) for tail in tails.values()]) for name in palette.sources if name in seen]
    return rows


def _settled_range(lines: Sequence[Sequence[float | None]]) -> tuple[float, float]:
    """Lowest and highest value, without the beginning of the run where that is much higher than the rest."""
    values = [value for line in lines for value in line if value is not None]
    later = [value for line in lines for value in line[len(line) // STEEP :] if value is not None] or values
    low, high, settled = min(values, default=0.0), max(values, default=1.0), max(later, default=1.0)
    return (low, settled) if high - low > STEEP_RATIO * (settled - low) > 0 else (low, high)


def smooth(run: Run) -> list[Bin]:
    """Every bin with the ones before it in its stage, up to `smooth_bins` of them."""
    width, smoothed = smooth_bins(run), []
    for index, bin in enumerate(run.bins):
        window = [other for other in run.bins[max(0, index - width + 1) : index + 1] if other.stage == bin.stage]
        smoothed.append(_merge(window))
    return smoothed


def smooth_bins(run: Run) -> int:
    """Bins in the running mean of the charts per source."""
    return max(1, len(run.bins) // SMOOTH)


def _tail(bins: Sequence[Bin]) -> Bin:
    return _merge(bins[-max(1, len(bins) // TAIL) :])


def _merge(bins: Sequence[Bin]) -> Bin:
    merged = copy.deepcopy(bins[0])
    for bin in bins[1:]:
        merged.take(bin)
    return merged


def _steps(run: Run) -> list[float]:
    return [bin.last_step for bin in run.bins]


def _bucket(source: str) -> str:
    return source.partition("/")[2] or source


def _loss(value: float) -> str:
    return significant(value, 4)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
