"""Geometry of stacked bars and histograms, in percent of the drawing; `macros.html` turns it into markup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from curriculum.report.charts import Tick, percent_of
from curriculum.report.formatting import compact, row_length


@dataclass(frozen=True)
class Segment:
    """A part of a stacked bar, in percent of its width."""

    label: str
    style: str
    left: float
    width: float
    tip: str


@dataclass(frozen=True)
class Bar:
    label: str
    note: str
    segments: tuple[Segment, ...]

    @property
    def groups(self) -> list[Segment]:
        """The segments of one corpus ("corpus/bucket") together: what is written above the bar."""
        merged: list[Segment] = []
        for part in self.segments:
            corpus = part.label.partition("/")[0]
            if merged and merged[-1].label == corpus:
                width = merged[-1].width + part.width
                merged[-1] = Segment(corpus, part.style, merged[-1].left, width, f"{width:.0f}%")
            else:
                merged.append(Segment(corpus, part.style, part.left, part.width, f"{part.width:.0f}%"))
        return merged


def stacked(label: str, note: str, parts: Sequence[tuple[str, str, float, str]]) -> Bar:
    """A bar of (label, CSS classes, amount, tooltip) that fills the width; amounts of nothing are left out."""
    total = sum(amount for _, _, amount, _ in parts)
    segments, left = [], 0.0
    for name, style, amount, tip in parts:
        if amount > 0:
            width = 100 * amount / total
            segments.append(Segment(name, style, round(left, 3), round(width, 3), tip))
            left += width
    return Bar(label, note, tuple(segments))


@dataclass(frozen=True)
class Histogram:
    title: str
    bars: tuple[tuple[float, str], ...]  # height in percent of the highest, tooltip
    ticks: tuple[Tick, ...]
    marks: tuple[Tick, ...]  # row lengths


def histogram(
    title: str,
    edges: Sequence[float],
    counts: Sequence[int],
    marks: Sequence[int] = (),
    *,
    what: str = "documents",
    beside: Sequence[int] = (),
) -> Histogram:
    """Bins of equal width on paper whatever their edges, without the empty ones at both ends.

    `what` is counted; `beside` are the counts of a histogram that is to have the same axes. `marks` are values of the axis to point out;
    they are placed by logarithm in their bin. Raises ValueError where the edges do not fit.
    """
    if not len(counts) <= len(edges) <= len(counts) + 1:
        raise ValueError(
            f"{title}: {len(counts)} bins need {len(counts) + 1} edges (or {len(counts)}), not {len(edges)}"
        )
    filled = [index for each in (counts, beside) for index, count in enumerate(each) if count] or [0]
    highest = max([*counts, *beside], default=0) or 1
    edges, counts = edges[min(filled) : max(filled) + 2], counts[min(filled) : max(filled) + 1]
    bins = len(counts)
    ends = [*edges[1:], math.inf][:bins]
    bars = tuple(
        (round(100 * count / highest, 2), f"{_interval(start, end)} tokens: {compact(count)} {what}")
        for start, end, count in zip(edges, ends, counts, strict=False)
    )
    stride = max(1, math.ceil(bins / 5))
    ticks = tuple(Tick(percent_of(index / bins), row_length(edges[index])) for index in range(0, len(edges), stride))
    places = ((mark, _place(mark, edges, bins)) for mark in marks)
    return Histogram(
        title, bars, ticks, tuple(Tick(percent_of(at), row_length(mark)) for mark, at in places if at is not None)
    )


def _interval(start: float, end: float) -> str:
    return f"{row_length(start)} or more" if math.isinf(end) else f"{row_length(start)} to {row_length(end)}"


def _place(value: float, edges: Sequence[float], bins: int) -> float | None:
    """Where `value` lies on the axis (0..1), or None outside."""
    for index in range(min(bins, len(edges) - 1)):
        start, end = edges[index], edges[index + 1]
        if start <= value < end:
            inside = math.log(value / start) / math.log(end / start) if start > 0 else value / end
            return (index + inside) / bins
    return None
