"""Geometry of the line charts: data in, percentages and SVG path strings out; `macros.html` turns them into markup.

Lines are drawn in a view box of 1000 x 1000 that is stretched to the plot (strokes do not scale), and every label stands beside it
as HTML at a percentage. One drawing is therefore right at any width, where an SVG with text in it would need one per screen size.
Costs: about 16 bytes per point and line, drawn and for the tooltip. Not covered: zooming.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curriculum.report.formatting import compact, significant

LABEL_GAP_PX = 15

Format = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """One line: `values` belong to the x of the chart, None where there is nothing. `style` is a list of CSS classes."""

    label: str
    values: Sequence[float | None]
    style: str
    step: bool = False  # the value holds until the next x


@dataclass(frozen=True)
class Span:
    """A stage on the x axis, in units of x."""

    number: int
    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Tick:
    at: float  # percent of the axis
    label: str


@dataclass(frozen=True)
class Band:
    number: int
    name: str
    left: float
    width: float


@dataclass(frozen=True)
class Line:
    label: str
    style: str
    path: str
    values: str  # what the tooltip says, one word per x; "-" where there is nothing
    label_top: float | None  # pixels; None without an end label


@dataclass(frozen=True)
class LineChart:
    title: str
    unit: str
    x_name: str
    height: int
    lines: tuple[Line, ...]
    bands: tuple[Band, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    now: float | None  # percent: how far the run is
    cut: bool  # whether some values lie above the axis and are not drawn
    xs: str  # percent of every x, for the tooltip
    x_labels: str

    @property
    def label_chars(self) -> int:
        """Length of the longest end label."""
        return max((len(line.label) for line in self.lines if line.label_top is not None), default=0)

    @property
    def summary(self) -> str:
        """What a screen reader hears."""
        last = [f"{line.label} {[v for v in line.values.split() if v != '-'][-1]}" for line in self.lines if line.path]
        return f"{self.title}. Last values: {', '.join(last)}."


@dataclass(frozen=True)
class Axis:
    """Maps [low, high] to 0..1, linearly or by logarithm."""

    low: float
    high: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.high <= self.low:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that cover [low, high], about `count` of them."""
    if high <= low:
        return [low]
    raw = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def line_chart(
    title: str,
    x: Sequence[float],
    series: Sequence[Series],
    *,
    unit: str = "",
    x_name: str = "step",
    spans: Sequence[Span] = (),
    x_end: float | None = None,
    y_from: float | None = None,
    y_range: tuple[float, float] | None = None,
    y_ticks: Sequence[float] | None = None,
    log: bool = False,
    height: int = 240,
    number: Format = significant,
    labels: bool = True,
    now: float | None = None,
) -> LineChart:
    """Lay out lines over a shared x. `y_from` extends the y axis to a value, `y_range` and `y_ticks` replace what the data suggest.

    A line is not drawn where it lies above `y_range`.
    """
    values = [value for one in series for value in one.values if value is not None]
    low, high = y_range or _range(values, y_from)
    ticks = list(y_ticks) if y_ticks is not None else nice_ticks(low, high)
    if y_range:
        ticks = [tick for tick in ticks if tick <= high]
    axis_y = Axis(min([low, *ticks]), max([high, *ticks]), log)
    spans_end = max((span.end for span in spans), default=0.0)
    axis_x = Axis(min([*x, *(span.start for span in spans)], default=0.0), x_end or max([*x, spans_end], default=1.0))
    lines = [_line(one, x, axis_x, axis_y, number) for one in series]
    tops = _spread(
        [(1 - axis_y(_last(one.values))) * height if labels and _any(one.values) else None for one in series], height
    )
    return LineChart(
        title=title,
        unit=unit,
        x_name=x_name,
        height=height,
        lines=tuple(Line(one.label, one.style, *line, top) for one, line, top in zip(series, lines, tops, strict=True)),
        bands=tuple(_band(span, axis_x) for span in spans),
        x_ticks=tuple(_x_ticks(axis_x)),
        y_ticks=tuple(Tick(percent_of(1 - axis_y(tick)), number(tick)) for tick in ticks),
        cut=any(axis_y(value) > 1 for value in values),
        now=None if now is None else percent_of(axis_x(now)),
        xs=" ".join(f"{percent_of(axis_x(value)):g}" for value in x),
        x_labels=" ".join(compact(value) for value in x),
    )


def _range(values: Sequence[float], y_from: float | None) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if y_from is not None:
        low, high = min(low, y_from), max(high, y_from)
    return (low, high) if high > low else (low - abs(low) / 10 - 1e-9, high + abs(high) / 10 + 1e-9)


def _x_ticks(axis: Axis) -> list[Tick]:
    ticks = [tick for tick in nice_ticks(axis.low, axis.high, 8) if axis.low <= tick <= axis.high]
    return [Tick(percent_of(axis(tick)), compact(tick)) for tick in ticks]


def _band(span: Span, axis: Axis) -> Band:
    left, right = axis(span.start), axis(span.end)
    return Band(span.number, span.name, percent_of(left), percent_of(right - left))


def _line(series: Series, x: Sequence[float], axis_x: Axis, axis_y: Axis, number: Format) -> tuple[str, str]:
    """(SVG path, tooltip words) of a series."""
    parts: list[str] = []
    drawing = False
    for at, value in zip(x, series.values, strict=True):
        if value is None or axis_y(value) > 1:
            drawing = False  # a gap, or above an axis that was cut off
            continue
        px, py = f"{1000 * axis_x(at):.4g}", f"{1000 * (1 - axis_y(value)):.4g}"
        if not drawing:
            parts.append(f"M{px} {py}h0")  # of no length: a lone point shows as the round end of the line
        elif series.step:
            parts.append(f"H{px}V{py}")
        else:
            parts.append(f"L{px} {py}")
        drawing = True
    words = " ".join("-" if value is None else number(value) for value in series.values)
    return "".join(parts), words


def _any(values: Sequence[float | None]) -> bool:
    return any(value is not None for value in values)


def _last(values: Sequence[float | None]) -> float:
    return next(value for value in reversed(values) if value is not None)


def _spread(tops: Sequence[float | None], height: int) -> list[float | None]:
    """Move end labels apart so that none covers another: down first, then up from the bottom edge."""
    order = sorted((top, index) for index, top in enumerate(tops) if top is not None)
    placed: list[float] = []
    for top, _ in order:
        placed.append(max(top, placed[-1] + LABEL_GAP_PX) if placed else max(top, 0.0))
    limit = float(height)
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - LABEL_GAP_PX
    result: list[float | None] = [None] * len(tops)
    for (_, index), top in zip(order, placed, strict=True):
        result[index] = round(top, 1)
    return result


def percent_of(share: float) -> float:
    return round(100 * share, 2)
