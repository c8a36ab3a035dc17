"""Stacked areas: what shares of a whole are over tokens, as steps. They are line charts whose lines are closed and filled.

The corpora lie on each other in the order of the palette, the first at the bottom; a stage that is still being built is a gap. Not drawn as
slopes: shares are constant from one segment of the mixture to the next, and a ramp has up to 32 of these.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from curriculum.plan import Plan
from curriculum.report.charts import LineChart, Series, Span, line_chart
from curriculum.report.data import Lock
from curriculum.report.formatting import percent
from curriculum.report.metrics import Run
from curriculum.report.mixture import segments, token_shares
from curriculum.report.palette import Palette

HEIGHT_PX = 180


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Tokens [start, end) of the plan, in which the shares hold."""

    stage: int
    start: int
    end: int
    shares: Mapping[str, float]  # by corpus; empty while the stage is open


def stretches(plan: Plan, lock: Lock | None) -> list[Stretch]:
    """The whole plan as stretches of constant shares of tokens."""
    return [stretch for index in range(len(plan.stages)) for stretch in _of_stage(plan, index, lock)]


def mixture_chart(
    plan: Plan, lock: Lock | None, run: Run | None, colours: Palette, spans: Sequence[Span]
) -> LineChart | None:
    """Every corpus's share of the tokens from the first to the last step, or None while no stage is laid out."""
    found = stretches(plan, lock)
    corpora = [name for name in colours.corpora if any(stretch.shares.get(name) for stretch in found)]
    if not corpora:
        return None
    total = found[-1].end
    values = {name: [stretch.shares.get(name) or None for stretch in found] for name in corpora}
    series = [
        Series(name, [*values[name], values[name][-1]], f"area {colours.corpus(name)} shade-0") for name in corpora
    ]
    chart = line_chart(
        "Mixture",
        [*(stretch.start for stretch in found), total],
        series,
        unit="share of tokens",
        x_name="tokens",
        spans=spans,
        y_range=(0.0, 1.0),
        y_ticks=(0.0, 0.25, 0.5, 0.75, 1.0),
        height=HEIGHT_PX,
        number=lambda share: percent(share) if share else "0%",
        labels=False,
        now=run.tokens if run else None,
    )
    paths = stacked_paths(found, corpora)
    return dataclasses.replace(
        chart, lines=tuple(dataclasses.replace(line, path=paths[line.label]) for line in chart.lines)
    )


def stacked_paths(found: Sequence[Stretch], corpora: Sequence[str]) -> dict[str, str]:
    """SVG paths in a box of 1000 x 1000, one per corpus: an area per stage that uses it."""
    total, paths = found[-1].end, dict.fromkeys(corpora, "")
    floors = [0.0] * len(found)
    for name in corpora:
        tops = [floor + stretch.shares.get(name, 0.0) for floor, stretch in zip(floors, found, strict=True)]
        drawn = [index for index, stretch in enumerate(found) if stretch.shares.get(name)]
        for _, group in groupby(enumerate(drawn), key=lambda pair: (pair[1] - pair[0], found[pair[1]].stage)):
            run = [index for _, index in group]
            edges = [(found[index].start / total, found[index].end / total) for index in run]
            paths[name] += _area(edges, [tops[index] for index in run], [floors[index] for index in run])
        floors = tops
    return paths


def _of_stage(plan: Plan, index: int, lock: Lock | None) -> Iterator[Stretch]:
    stage, begin = plan.stages[index], plan.tokens_before(index, 0)
    if stage.is_open:
        yield Stretch(index, begin, begin + stage.tokens, {})
        return
    parts = segments(stage)
    ends = [segment.first_row for segment in parts[1:]] + [stage.rows]
    for segment, end in zip(parts, ends, strict=True):
        shares: dict[str, float] = {}
        for source, share in token_shares(stage, segment, lock).items():
            corpus = source.partition("/")[0]
            shares[corpus] = shares.get(corpus, 0.0) + share
        yield Stretch(index, begin + segment.first_row * stage.seq_len, begin + end * stage.seq_len, shares)


def _area(edges: Sequence[tuple[float, float]], tops: Sequence[float], floors: Sequence[float]) -> str:
    """The outline of a staircase of columns: along the tops, and back along the floors."""
    there = "".join(f"V{_y(top)}H{_x(right)}" for (_, right), top in zip(edges, tops, strict=True))
    back = "".join(f"V{_y(floor)}H{_x(left)}" for (left, _), floor in zip(edges[::-1], floors[::-1], strict=True))
    return f"M{_x(edges[0][0])} {_y(floors[0])}{there}{back}Z"


def _x(share: float) -> str:
    return f"{1000 * share:.4g}"


def _y(share: float) -> str:
    return f"{1000 * (1 - share):.4g}"
