import json
from pathlib import Path

import pytest

from curriculum.report.data import read_lock, read_plan
from curriculum.report.metrics import Run, read_run
from curriculum.report.palette import Palette, palette
from curriculum.report.training import (
    loss_chart,
    loss_table,
    smooth,
    smooth_bins,
    source_charts,
    stage_times,
    step_spans,
    wait_chart,
)


@pytest.fixture
def run(full_build: Path) -> Run:
    run = read_run(str(full_build))
    assert run is not None
    return run


@pytest.fixture
def colours(full_build: Path, run: Run) -> Palette:
    return palette(read_lock(str(full_build)), read_plan(str(full_build)), run.sources)


def test_stage_borders_are_those_of_the_plan_or_of_what_has_run(run: Run, full_build: Path) -> None:
    planned = [(span.name, span.start, span.end) for span in step_spans(read_plan(str(full_build)), run)]
    assert planned[:3] == [("general", 0, 160), ("code_reasoning", 160, 250), ("repo_code", 250, 290)]
    assert planned[-1] == ("long_context_agent", 330, 350)
    assert [span.name for span in step_spans(None, run)] == ["general", "code_reasoning", "repo_code"]


def test_the_loss_chart_reads_out_every_step(run: Run, full_build: Path) -> None:
    lines = [json.loads(line) for line in (full_build / "metrics.jsonl").read_text().splitlines()]
    chart = loss_chart(run, [])
    assert [line.label for line in chart.lines] == ["loss", "mtp loss"]
    assert [float(word) for word in chart.lines[0].values.split()] == pytest.approx(
        [line["loss"] for line in lines], rel=1e-3
    )


def test_every_corpus_that_ran_has_a_chart_with_a_line_per_bucket(run: Run, colours: Palette) -> None:
    charts = {chart.title: [line.label for line in chart.lines] for chart in source_charts(run, [], colours)}
    assert set(charts) == {name.partition("/")[0] for name in run.sources}
    assert all(chart.cut for chart in source_charts(run, [], colours) if chart.title != "repos")
    assert charts["web"] == ["total", "low", "medium_low", "medium", "medium_high", "high"]


def test_the_running_mean_stays_inside_a_stage(run: Run) -> None:
    smoothed = smooth(run)
    assert [bin.stage for bin in smoothed] == [bin.stage for bin in run.bins]
    assert smoothed[160].mean("loss") == run.bins[160].mean("loss")
    width = smooth_bins(run)
    window = [bin.sums["loss"] for bin in run.bins[40 - width : 40]]
    assert width == 290 // 25
    assert smoothed[39].mean("loss") == pytest.approx(sum(window) / width)


def test_the_table_gives_the_loss_at_the_end_of_each_stage(run: Run, colours: Palette) -> None:
    table = dict(loss_table(run, colours))
    ends = [run.bins[144:160], run.bins[241:250], run.bins[286:290]]
    assert table["all"] == pytest.approx([sum(bin.sums["loss"] for bin in end) / len(end) for end in ends])
    assert table["repos/all"][:2] == [None, None]
    assert table["repos/all"][2] is not None


def test_time_is_split_into_shares_of_the_step(run: Run) -> None:
    first = stage_times(run)[0]
    total = sum(bin.seconds["step"] for bin in run.bins[:160])
    assert first.shares["wait"] == pytest.approx(sum(bin.seconds["wait"] for bin in run.bins[:160]) / total)
    assert first.seconds_per_step == pytest.approx(total / 160)
    assert wait_chart(run, []).lines[0].values.split()[1] == "0.928%"


def test_a_run_without_a_steep_beginning_is_drawn_whole(run: Run, colours: Palette) -> None:
    later = Run()
    later.bins = run.bins[160:]
    assert not any(chart.cut for chart in source_charts(later, [], colours))
