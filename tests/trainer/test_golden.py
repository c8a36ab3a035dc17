"""The losses of the tiny model's first 50 steps, to the last bit: whatever changes them is seen, whether it was meant or not.

    pytest tests/trainer/test_golden.py --regenerate -s      writes golden.json anew and prints the difference

Bits depend on the version of torch and on the processor, for which its matrix products are chosen. Where both are those of
golden.json the losses are compared exactly; elsewhere to 1e-4 for the first ten steps, after which rounding has grown, and to 2 %.
"""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml

from curriculum.feed import Feed
from curriculum.plan import Plan
from tests.trainer.conftest import stage

if TYPE_CHECKING:
    from trainer.layout import Layout

MakePlan = Callable[..., Plan]
GOLDEN = Path(__file__).with_name("golden.json")
TINY = Path(__file__).parents[2] / "manifests" / "models" / "tiny.yaml"
KEYS = ("loss", "mtp_loss", "balance_loss", "grad_norm")


@pytest.fixture
def plan(tmp_path: Path, make_plan: MakePlan) -> Plan:
    """40 steps of short rows, 10 of long ones with another RoPE base and frozen biases."""
    stages = (
        stage(tmp_path, "short", seq_len=64, steps=40, rows=4, bias_rate=0.01),
        stage(tmp_path, "long", seq_len=256, steps=10, rows=1, rope_base=1e6, bias_rate=0.0, mtp_weight=0.1),
    )
    model = yaml.safe_load(TINY.read_text())
    for key in ("norm_eps", "init_std"):
        model[key] = float(model[key])  # YAML 1.1 takes 1e-5 for a text
    return make_plan(model=model, stages=stages, training={"lr": {"peak": 2e-3, "end": 2e-4, "warmup_tokens": 1024}})


def test_the_losses_are_those_of_golden_json(
    alone: "Layout", plan: Plan, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    found = {"machine": machine(), "steps": learn(alone, plan, tmp_path)}
    if pytestconfig.getoption("regenerate"):
        before = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"machine": None, "steps": []}
        print(difference(before, found))
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
        return
    golden = json.loads(GOLDEN.read_text())
    if golden["machine"] == found["machine"]:
        assert found["steps"] == golden["steps"], difference(golden, found)
        return
    for step, (ours, expected) in enumerate(zip(found["steps"], golden["steps"], strict=True)):
        for key in KEYS:
            # which experts are chosen jumps, and with it the rest: on another processor from the third step on
            tolerance = 1e-4 if step < 2 else (0.005 if step < 10 else 0.02) * (1 if "loss" in key else 10)
            assert float.fromhex(ours[key]) == pytest.approx(float.fromhex(expected[key]), rel=tolerance), (step, key)


def test_it_learned_something() -> None:
    """The golden losses themselves: from knowing nothing of 4,096 tokens to knowing which 96 there are, and more."""
    losses = [float.fromhex(step["loss"]) for step in json.loads(GOLDEN.read_text())["steps"]]
    assert losses[0] == pytest.approx(8.3, abs=0.15)
    assert min(losses[30:]) < 4.0


def learn(alone: "Layout", plan: Plan, root: Path) -> list[dict[str, str]]:
    from trainer.loop import Trainer
    from trainer.schedule import settings

    trainer, steps = Trainer(plan, alone), []
    for index, stage_step, batch in Feed(plan, str(root)).stream(0, mtp_depths=1):
        now = settings(plan, plan.first_step(index) + stage_step)
        line = trainer.step(now, plan.stages[index], batch)
        steps.append({key: float(line[key]).hex() for key in KEYS})
    return steps


def machine() -> dict[str, str]:
    """What the bits of a matrix product depend on."""
    return {"torch": torch.__version__, "processor": processor(), "kernels": torch.backends.cpu.get_cpu_capability()}


def processor() -> str:
    if os.path.exists("/proc/cpuinfo"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Which steps changed, and the first by how much."""
    changed = [
        (step, key, float.fromhex(old[key]), float.fromhex(new[key]))
        for step, (old, new) in enumerate(zip(before["steps"], after["steps"], strict=False))
        for key in KEYS
        if old[key] != new[key]
    ]
    lines = [f"machine: {before['machine']} -> {after['machine']}"] if before["machine"] != after["machine"] else []
    lines.append(f"{len({step for step, *_ in changed})} of {len(after['steps'])} steps changed")
    lines += [f"step {step} {key}: {old!r} -> {new!r} ({new - old:+.3g})" for step, key, old, new in changed[:8]]
    return "\n".join(lines)
