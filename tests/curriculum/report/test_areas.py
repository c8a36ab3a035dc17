import dataclasses
import re
from pathlib import Path

import pytest

from curriculum.plan import Plan
from curriculum.report.areas import Stretch, mixture_chart, stacked_paths, stretches
from curriculum.report.data import read_lock, read_plan
from curriculum.report.metrics import read_run
from curriculum.report.palette import palette
from curriculum.report.timeline import token_spans


def test_areas_are_stacked_stair_by_stair_and_end_with_their_stage() -> None:
    found = [
        Stretch(0, 0, 10, {"a": 0.25, "b": 0.75}),
        Stretch(0, 10, 20, {"a": 0.5, "b": 0.5}),
        Stretch(1, 20, 30, {"b": 1.0}),
        Stretch(2, 30, 40, {}),
    ]
    paths = stacked_paths(found, ["a", "b"])
    assert paths["a"] == "M0 1000V750H250V500H500V1000H250V1000H0Z"
    assert paths["b"] == "M0 750V0H250V0H500V500H250V750H0Z" + "M500 1000V0H750V1000H500Z"


def test_stretches_cover_the_plan_and_their_shares_sum_to_one(full_build: Path, live_plan: Plan) -> None:
    lock, plan = read_lock(str(full_build)), read_plan(str(full_build))
    assert plan is not None
    found = stretches(plan, lock)
    assert [stretch.start for stretch in found] == [0, *(stretch.end for stretch in found[:-1])]
    assert found[-1].end == sum(stage.tokens for stage in plan.stages)
    assert [sum(stretch.stage == index for stretch in found) for index in range(5)] == [1, 8, 1, 1, 1]
    assert [sum(stretch.shares.values()) for stretch in found] == pytest.approx([1] * 12)
    web = [stretch.shares["web"] for stretch in found if stretch.stage == 1]
    assert web == pytest.approx([0.6 - 0.4 * (2 * stair + 1) / 16 for stair in range(8)], abs=5e-3)
    assert [bool(stretch.shares) for stretch in stretches(live_plan, None)] == [True] * 10 + [False] * 2


def test_the_chart_reads_out_shares_and_shows_where_the_run_is(full_build: Path, live_plan: Plan) -> None:
    root = str(full_build)
    plan, lock, run = read_plan(root), read_lock(root), read_run(root)
    assert plan is not None
    assert run is not None
    colours = palette(lock, plan, [])
    chart = mixture_chart(plan, lock, run, colours, token_spans(plan))
    assert chart is not None
    words = {line.label: line.values.split() for line in chart.lines}
    assert words["qa"] == ["-"] * 10 + [words["qa"][10]] + ["-"] * 2
    assert words["agent"][-2:] == [words["agent"][-1]] * 2
    assert chart.now == pytest.approx(100 * run.tokens / sum(stage.tokens for stage in plan.stages), abs=0.01)
    assert all(re.fullmatch(r"area tone-\d shade-0", line.style) for line in chart.lines)
    begun = mixture_chart(live_plan, None, None, colours, token_spans(live_plan))
    assert begun is not None
    assert {line.label for line in begun.lines} == {"web", "books", "code", "math", "repos"}


def test_without_a_stage_that_is_laid_out_there_is_no_chart(live_plan: Plan) -> None:
    nothing = dataclasses.replace(live_plan, stages=live_plan.stages[3:])
    assert mixture_chart(nothing, None, None, palette(None, nothing, []), token_spans(nothing)) is None
