import itertools
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from curriculum.report.charts import LABEL_GAP_PX, Series, Span, line_chart, nice_ticks

values = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 3))


@given(values, st.floats(1e-3, 1e9))
def test_ticks_cover_the_range_and_are_few(low: float, width: float) -> None:
    ticks = nice_ticks(low, low + width)
    assert ticks[0] <= low + 1e-6 * max(width, abs(low))
    assert ticks[-1] >= low + width - 1e-6 * max(width, abs(low))
    assert 2 <= len(ticks) <= 8


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def test_a_line_runs_through_its_values() -> None:
    chart = line_chart("loss", [0, 5, 10], [Series("loss", [4.0, 3.0, 2.0], "ink")])
    assert [tick.label for tick in chart.y_ticks] == ["2", "2.5", "3", "3.5", "4"]
    assert points(chart.lines[0].path) == [(0, 0), (500, 500), (1000, 1000)]
    assert chart.lines[0].values == "4 3 2"
    assert chart.xs == "0 50 100"


def test_a_line_is_broken_where_there_is_no_value() -> None:
    path = line_chart("loss", [0, 1, 2, 3], [Series("web", [1.0, None, 2.0, 3.0], "ink")]).lines[0].path
    assert path.count("M") == 2
    assert path.count("L") == 1


def test_a_cut_axis_leaves_out_what_lies_above_but_reads_it_out() -> None:
    chart = line_chart("loss", [0, 1, 2], [Series("web", [9.0, 3.0, 2.0], "ink")], y_range=(2.0, 4.0))
    assert len(points(chart.lines[0].path)) == 2
    assert chart.lines[0].values == "9 3 2"
    assert chart.cut


def test_a_logarithmic_axis_spaces_doublings_evenly() -> None:
    series = Series("length", [256, 1024, 4096], "ink", step=True)
    chart = line_chart("length", [0, 1, 2], [series], y_ticks=[256, 1024, 4096], log=True)
    assert [tick.at for tick in chart.y_ticks] == [100, 50, 0]
    assert chart.lines[0].path == "M0 1000h0H500V500H1000V0"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_end_labels_never_cover_each_other(ends: list[float]) -> None:
    chart = line_chart(
        "loss", [0], [Series(str(i), [end], "ink") for i, end in enumerate(ends)], y_range=(0, 1), height=240
    )
    tops = sorted(line.label_top for line in chart.lines if line.label_top is not None)
    assert len(tops) == len(ends)
    assert all(math.isfinite(top) and -1 <= top <= 241 for top in tops)
    assert all(below - above >= LABEL_GAP_PX - 0.2 for above, below in itertools.pairwise(tops))


def test_stages_are_bands_over_the_whole_axis_even_before_they_run() -> None:
    spans = [Span(1, "general", 0, 60), Span(2, "repo_code", 60, 100)]
    chart = line_chart("loss", [0, 20], [Series("loss", [5.0, 4.0], "ink")], spans=spans, now=20)
    assert [(band.name, band.left, band.width) for band in chart.bands] == [("general", 0, 60), ("repo_code", 60, 40)]
    assert chart.now == 20
