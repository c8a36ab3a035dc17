from pathlib import Path

import pytest

from curriculum.plan import Plan
from curriculum.report.data import read_plan
from curriculum.report.metrics import read_run
from curriculum.report.timeline import planned_lr, timeline, token_spans


@pytest.fixture
def plan(full_build: Path) -> Plan:
    plan = read_plan(str(full_build))
    assert plan is not None
    return plan


def test_the_learning_rate_warms_up_and_falls_to_its_end() -> None:
    lr = {"peak": 2.0, "end": 0.2, "warmup_tokens": 100}
    assert [planned_lr(tokens, lr, 1100) for tokens in (0, 50, 100, 1100)] == pytest.approx([0, 1, 2, 0.2])
    assert planned_lr(600, lr, 1100) == pytest.approx(1.1)
    assert planned_lr(0, {**lr, "warmup_tokens": 0}, 1000) == 2


def test_stages_follow_each_other_without_a_gap(plan: Plan) -> None:
    spans = token_spans(plan)
    assert spans[0].start == 0
    assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert spans[-1].end == sum(stage.tokens for stage in plan.stages)


def test_the_charts_show_the_plan_and_where_the_run_is(plan: Plan, full_build: Path) -> None:
    run = read_run(str(full_build))
    assert run is not None
    charts = {chart.title: chart for chart in timeline(plan, run)}
    assert charts["Row length"].lines[0].values.split() == ["256", "256", "1024", "1024", "4096", "4096"]
    assert charts["Rows per batch"].lines[0].values.split() == ["32", "64", "64", "16", "16", "4", "4"]
    assert charts["RoPE base"].lines[0].values.split() == ["10k", "10k", "1M", "1M", "1M", "1M"]
    total = sum(stage.tokens for stage in plan.stages)
    assert charts["Row length"].now == pytest.approx(100 * run.tokens / total, abs=0.01)
    assert [line.label for line in charts["Learning rate"].lines] == ["planned", "logged"]
    assert [line.label for line in timeline(plan, None)[-1].lines] == ["planned"]
