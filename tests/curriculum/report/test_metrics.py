import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.report.data import ReportError
from curriculum.report.metrics import MAX_BINS, Run, read_run


def step_line(step: int, stage: str = "general", **changes: Any) -> dict[str, Any]:
    line = {
        "step": step,
        "stage": stage,
        "tokens": (step + 1) * 64,
        "rows": 4,
        "seq_len": 16,
        "loss": 5.0,
        "mtp_loss": None,
        "loss_by_source": {"web/high": 4.0},
        "tokens_by_source": {"web/high": 10, "web/low": 0},
        "lr": 1e-3,
        "max_violation": 0.5,
        "seconds": {"step": 1.0, "wait": 0.1, "fetch": 0.0, "decode": 0.0, "collate": 0.0},
    }
    return {**line, **changes}


def test_a_small_run_is_kept_step_by_step(full_build: Path) -> None:
    lines = [json.loads(line) for line in (full_build / "metrics.jsonl").read_text().splitlines()]
    run = read_run(str(full_build))
    assert run is not None
    assert (run.steps, run.stride, run.tokens) == (len(lines), 1, lines[-1]["tokens"])
    assert (run.first_loss, run.last_loss) == (lines[0]["loss"], lines[-1]["loss"])
    for bin, line in zip(run.bins, lines, strict=True):
        assert bin.mean("loss") == line["loss"]
        assert {name: bin.loss_of(name) for name in line["loss_by_source"]} == pytest.approx(line["loss_by_source"])


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=4))
def test_a_long_run_has_few_bins_and_loses_nothing(lengths: list[int]) -> None:
    run, step = Run(), 0
    for stage, length in enumerate(lengths):
        for _ in range(length):
            run.add(step_line(step, f"stage {stage}", loss=float(step)))
            step += 1
    assert len(run.bins) <= MAX_BINS + len(lengths)
    assert [stage.steps for stage in run.stages.values()] == lengths
    assert sum(bin.steps for bin in run.bins) == step
    assert sum(bin.sums["loss"] for bin in run.bins) == sum(range(step))
    assert [bin.first_step for bin in run.bins[1:]] == [bin.last_step + 1 for bin in run.bins[:-1]]
    assert {bin.stage for bin in run.bins} == set(run.stages)


def test_the_loss_of_a_source_is_weighted_by_its_learned_tokens() -> None:
    run = Run(stride=2)
    run.add(step_line(0, loss_by_source={"web/high": 4.0}, tokens_by_source={"web/high": 30}))
    run.add(step_line(1, loss_by_source={"web/high": 2.0}, tokens_by_source={"web/high": 10}))
    assert [bin.loss_of("web/high") for bin in run.bins] == [3.5]
    assert run.bins[0].loss_of("code/all") is None


def test_a_source_that_was_not_drawn_is_not_listed() -> None:
    run = Run()
    run.add(step_line(0))
    assert run.sources == ["web/high"]


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_loss_that_is_not_a_number_is_noted_and_not_averaged(value: float | None) -> None:
    run = Run(stride=2)
    run.add(step_line(0, loss=3.0))
    run.add(step_line(1, loss=value, max_violation=value, loss_by_source={"web/high": value}))
    assert run.not_finite == 1
    assert run.bins[0].mean("loss") == 3.0
    assert run.bins[0].max_violation == 0.5


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    whole = json.dumps(step_line(0)) + "\n"
    (tmp_path / "metrics.jsonl").write_text(whole + whole[:40])
    run = read_run(str(tmp_path))
    assert run is not None
    assert run.steps == 1


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps(step_line(0)) + "\n{broken\n")
    with pytest.raises(ReportError, match=r"metrics\.jsonl:2: not JSON"):
        read_run(str(tmp_path))


def test_no_log_and_an_empty_log_are_no_run(tmp_path: Path) -> None:
    assert read_run(str(tmp_path)) is None
    (tmp_path / "metrics.jsonl").touch()
    assert read_run(str(tmp_path)) is None
