"""`python -m trainer.bench`, as a user calls it, on a tiny plan: its rows, and nothing in the folder of the build. What it measured is
not asserted, only that all ways compute the same.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curriculum.plan import Plan
from kernels import dispatch
from tests.trainer.conftest import stage
from trainer import bench

MakePlan = Callable[..., Plan]
Bench = Callable[..., list[str]]
Learned = dict[int, list[tuple[float, float]]]
STEPS = 4


@pytest.fixture
def root(tmp_path: Path, make_plan: MakePlan) -> Path:
    make_plan(root=tmp_path, stages=(stage(tmp_path, "short", seq_len=32, steps=STEPS, rows=4),))
    return tmp_path


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Runs main() with these arguments in turns of two steps; returns the lines it printed. The folder must be what it was."""
    monkeypatch.setattr(bench, "TURN", 2)
    monkeypatch.setattr(dispatch, "_selected", {})

    def call(part: str, *arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["trainer.bench", part, str(root), "--small", *arguments])
        before = contents(root)
        try:
            bench.main()
        finally:
            assert contents(root) == before
        return capsys.readouterr().out.splitlines()

    return call


def contents(root: Path) -> dict[str, tuple[int, int] | None]:
    """Size and time of last change of everything below a folder."""
    found = {}
    for path in root.rglob("*"):
        status = path.stat()
        found[str(path)] = None if path.is_dir() else (status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> Learned:
    """Loss and gradient norm of the steps of every trainer, in the order in which they were made."""
    from trainer import mcore_compat

    mcore_compat.install()
    from trainer.loop import Trainer

    found: Learned = {}
    learn = Trainer.step

    def step(self: Trainer, *arguments: Any) -> dict[str, Any]:
        line = learn(self, *arguments)
        found.setdefault(id(self), []).append((line["loss"], line["grad_norm"]))
        alive.append(self)  # or its number would be another's
        return line

    alive: list[Trainer] = []
    monkeypatch.setattr(Trainer, "step", step)
    return found


def numbers(line: str) -> list[float]:
    return [float(word) for word in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", line.replace(",", ""))]


def test_feed_compares_the_shards_with_random_tokens(run: Bench, learned: Learned) -> None:
    about, random, fed, ratio = run("feed")
    assert about == f"{STEPS} steps of stage 'short', {STEPS * 4 * 32} tokens, in turns of 2 steps"
    assert random.startswith("random tokens, nothing logged ")
    assert fed.startswith("fed from the shards and logged ")
    assert all(line.endswith(" tokens per CPU second") and numbers(line)[0] > 0 for line in (random, fed))
    assert numbers(ratio)[0] > 0
    of_random, of_fed = learned.values()
    assert len(of_random) == len(of_fed) == STEPS
    assert of_random != of_fed


def test_random_tokens_are_laid_out_as_those_of_the_shards(root: Path) -> None:
    from curriculum.feed import Feed

    plan = Plan.from_json((root / "plan.json").read_text())
    batch = Feed(plan, str(root)).batch(0, 0, mtp_depths=1)
    random = bench._random(plan, batch)
    for ours, theirs in ((random.labels, batch.labels), (random.mtp_labels, batch.mtp_labels)):
        assert ((ours < 0) == (theirs < 0)).all()
        assert (ours[theirs < 0] == theirs[theirs < 0]).all()
        assert ours.max() < plan.tokenizer["vocab_size"]
        assert (ours != theirs)[theirs >= 0].mean() > 0.9
    assert (random.tokens != batch.tokens).mean() > 0.9
    assert random.cu_seqlens.tolist() == batch.cu_seqlens.tolist()
    assert random.source_ids.tolist() == batch.source_ids.tolist()


def test_optimizers_learn_the_same_steps_at_every_rate(
    run: Bench, learned: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "RATES", {"muon": (1e-2,), "adamw": (1e-3, 1e-30)})
    told = run("optimizers")
    curves = json.loads(told[-1])
    all_curves = muon, good, idle = [[loss for loss, _ in steps] for steps in learned.values()]
    assert curves == {"muon": muon, "adamw": good}  # the rate at which nothing is learned is not the best one
    assert len(muon) == STEPS
    assert muon[0] == good[0] == idle[0]
    for line, name, curve in zip(told, ("muon   0.01 ", "adamw  0.001 ", "adamw  1e-30 "), all_curves, strict=False):
        assert line.startswith(name)
        assert line.endswith(f"last quarter {curve[-1]:.4f}")
    points = [line for line in told if re.fullmatch(r" +\d+ +\d\.\d{3} +\d\.\d{3}", line)]
    assert [numbers(point) for point in points] == [
        [step, round(muon[step], 3), round(good[step], 3)] for step in range(STEPS)
    ]
    assert told[-3].startswith("steps until the mean of four steps is below a loss")
    goal, *reached = numbers(told[-2])
    assert goal == pytest.approx(sum(good) / 4, abs=0.006)
    assert reached == [STEPS, STEPS]


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not there")
def test_compile_compares_compiled_functions_with_themselves(
    run: Bench, learned: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.pointwise import choose

    monkeypatch.setenv("TORCHDYNAMO_DISABLE", os.environ.get("TORCHDYNAMO_DISABLE", "0"))
    try:
        about, off, on, ratio = run("compile")
    finally:
        choose("off", torch.device("cpu"))
    assert about == "2 steps of stage 'short', 256 tokens, in turns of 2 steps"  # the first turn is left out
    assert off.startswith("compile = off ")
    assert on.startswith("compile = on ")
    assert all(line.endswith(" tokens per CPU second") and numbers(line)[0] > 0 for line in (off, on))
    assert numbers(ratio)[0] > 0
    plain, compiled = learned.values()
    assert len(plain) == STEPS
    assert np.array(compiled) == pytest.approx(np.array(plain), rel=1e-4)


def test_speed_has_a_row_for_every_way_and_all_learn_the_same(run: Bench, learned: Learned) -> None:
    from trainer.bench_speed import WAYS

    told = run("speed")
    assert told[0].startswith("test on cpu, torch.float32, 4 steps")
    rows = told[-len(WAYS) :]
    for row, way in zip(rows, WAYS, strict=True):
        assert row.startswith(way.name)
        assert "not known" in row  # the peak of a CPU
    curves = [np.array(curve) for curve in learned.values()]
    assert [len(curve) for curve in curves] == [STEPS] * len(WAYS)
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], rel=1e-4)


def test_compile_refuses_steps_that_are_one_turn(run: Bench) -> None:
    with pytest.raises(SystemExit, match="2 steps are one turn: give --steps 4 or more"):
        run("compile", "--steps", "2")


def test_no_more_steps_than_the_first_stage_has(run: Bench) -> None:
    assert run("feed", "--steps", "3")[0].startswith("3 steps of stage 'short'")
    assert run("feed", "--steps", "99")[0].startswith(f"{STEPS} steps of stage 'short'")


def test_what_cannot_be_measured_is_refused(run: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="--steps 0: give 1 or more"):
        run("feed", "--steps", "0")
    monkeypatch.setattr(sys, "argv", ["bench", "feed", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match=r"nowhere/plan\.json is not there"):
        bench.main()
