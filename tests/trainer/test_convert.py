import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from curriculum.cli import app
from curriculum.describe import load_shape
from curriculum.plan import Plan
from trainer import convert
from trainer.run import train

MakePlan = Callable[..., Plan]


@pytest.fixture
def trained(tmp_path: Path, make_plan: MakePlan) -> Path:
    make_plan(training={"checkpoint_steps": 3})
    train(str(tmp_path))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["convert", *arguments])
    return convert.main()


def test_the_command_line_exports_and_imports_a_trained_model(trained: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["export", "huggingface", str(trained), str(trained / "hf"), "--dtype", "float32"])
    assert done.exit_code == 0, done.output
    config = json.loads((trained / "hf" / "config.json").read_text())
    assert config["architectures"] == ["Glm4MoeForCausalLM"]
    assert config["max_position_embeddings"] == 64  # the longest row learned
    done = runner.invoke(app, ["import", "huggingface", str(trained / "hf"), "--to", str(trained / "model.yaml")])
    assert done.exit_code == 0, done.output
    assert "--weights" in done.stderr
    shape = load_shape(str(trained / "model.yaml"))
    plan = Plan.from_json((trained / "plan.json").read_text())
    assert {**vars(shape), "name": 0, "init_std": 0} == {**plan.model, "name": 0, "init_std": 0}


def test_a_checkpoint_is_chosen_by_its_step(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    for step in (3, 6):
        assert run(monkeypatch, "export", str(trained), str(trained / f"at-{step}"), "--step", str(step)) == 0
    early, late = (load_file(trained / f"at-{step}" / "model-00001-of-00001.safetensors") for step in (3, 6))
    assert early.keys() == late.keys()
    assert not torch.equal(early["lm_head.weight"], late["lm_head.weight"])
    rope = [json.loads((trained / f"at-{step}" / "config.json").read_text()) for step in (3, 6)]
    assert ["10000.0" in json.dumps(config) for config in rope] == [True, False]  # stage by stage


def test_what_cannot_be_converted_is_told(
    trained: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(monkeypatch, "export", str(trained), str(trained / "hf"), "--step", "5") == 1
    assert caplog.messages[-1] == f"{trained} has no checkpoint after 5 steps, but after 3, 6."
    assert run(monkeypatch, "export", str(trained / "shards"), str(trained / "hf")) == 1
    assert "`tokenloom train" in caplog.messages[-1]
    assert run(monkeypatch, "shape", str(trained / "shards")) == 1
    assert "config.json" in caplog.messages[-1]
    assert not (trained / "hf").exists()
