"""The run on a device that is not the CPU, without a GPU: see stand_in.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curriculum.plan import Plan
from tests.trainer.conftest import SHAPE, stage
from tests.trainer.forked import forked
from trainer.run import train

MakePlan = Callable[..., Plan]
ALL = '[training]\nprecision = "{}"\nrecompute = "{}"\nmicro_tokens = 64\n[parallel]\n{}\n'
BF16, FP32 = 2e-3, 1e-5  # relative, of losses


def make(root: Path, make_plan: MakePlan, *, precision: str, recompute: str = "none", parallel: str = "") -> Path:
    root.mkdir(parents=True)
    stages = (
        stage(root, "short", seq_len=32, steps=2, rows=4),
        stage(root, "long", seq_len=64, steps=3, rows=5, rope_base=1e6, bias_rate=0.0, mtp_weight=0.1),
    )
    make_plan(root=root, model={**SHAPE, "layers": 2}, stages=stages, training={"validation_steps": 2})
    (root / "site.toml").write_text(ALL.format(precision, recompute, parallel))
    return root


def lines(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]


def assert_close(found: list[dict[str, Any]], expected: list[dict[str, Any]], tolerance: float) -> None:
    assert len(found) == len(expected) == 5
    for line, reference in zip(found, expected, strict=True):
        for key in ("loss", "mtp_loss", "balance_loss"):
            assert line[key] == pytest.approx(reference[key], rel=tolerance), (line["step"], key)
        assert line["tokens_by_source"] == reference["tokens_by_source"]
        assert line["grad_norm"] == pytest.approx(reference["grad_norm"], rel=10 * tolerance)


def test_one_process_learns_there_what_it_learns_on_a_cpu(tmp_path: Path, make_plan: MakePlan) -> None:
    """Weights, rows, gradients, optimiser and checkpoints; and a step in which the host waits for the device three times."""
    on_cpu = {p: make(tmp_path / "cpu" / p, make_plan, precision=p) for p in ("fp32", "bf16")}
    for root in on_cpu.values():
        train(str(root), site=str(root / "site.toml"))
    there = tmp_path / "there"
    for name in ("fp32", "bf16"):
        make(there / name, make_plan, precision=name)
    make(there / "recompute", make_plan, precision="fp32", recompute="full")
    forked("device_worker.py", 1, there)
    for name, reference, tolerance in (("fp32", "fp32", FP32), ("recompute", "fp32", FP32), ("bf16", "bf16", BF16)):
        assert_close(lines(there / name), lines(on_cpu[reference]), tolerance)
    waits = json.loads((there / "bf16" / "waits.json").read_text())
    assert set(waits.values()) == {1}, waits
    assert sorted(line.split()[-1] for line in waits) == ["_expert_load", "clip", "flat"], waits


def test_two_processes_learn_there_what_one_learns_on_a_cpu(tmp_path: Path, make_plan: MakePlan) -> None:
    on_cpu = make(tmp_path / "cpu", make_plan, precision="fp32")
    train(str(on_cpu), site=str(on_cpu / "site.toml"))
    there = tmp_path / "there"
    for sizes in ("tensor = 2\nexpert = 2", "context = 2", "pipeline = 2"):
        make(there / sizes.split()[0], make_plan, precision="fp32", parallel=sizes)
    forked("device_worker.py", 2, there, timeout=300)
    for root in sorted(there.iterdir()):
        found, expected = lines(root), lines(on_cpu)
        assert_close(found[:2] + expected[2:], expected, FP32)
        assert_close(found, expected, 2e-3)  # what rounds differently at first grows
