"""Whole runs over real shards: what a user gets from `trainer.run`, undisturbed and disturbed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from curriculum.footprint import Settings, checkpoint_bytes
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan
from curriculum.plan_changes import PlanChanged
from tests.trainer.conftest import SHAPE
from tests.trainer.forked import forked
from trainer import run
from trainer.run import RootError, main, train

MakePlan = Callable[..., Plan]
COMMAND = ["-m", "trainer.run", "--threads", "1"]

LINE_KEYS = (
    *("step", "stage", "stage_step", "tokens", "rows", "seq_len", "loss", "mtp_loss", "balance_loss"),
    *("loss_by_source", "tokens_by_source", "lr", "grad_norm", "rope_base", "bias_rate", "mtp_weight"),
    *("max_violation", "max_violation_by_source", "spike", "skipped", "changes", "validation", "seconds", "speed"),
)


def lines(root: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    read = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    for line in read:
        line.pop("speed")
        assert set(line.pop("seconds")) == {"step", "validation", "wait", "build", "fetch", "decode", "collate"}
    return read


def files(root: Path) -> dict[str, bytes]:
    latest = root / "checkpoints" / (root / "checkpoints" / "latest").read_text().strip()
    return {path.name: path.read_bytes() for path in latest.rglob("*") if path.is_file()}


@pytest.fixture
def undisturbed(tmp_path: Path, make_plan: MakePlan) -> Path:
    root = tmp_path / "undisturbed"
    root.mkdir()
    make_plan(root=root)
    train(str(root), threads=1)
    return root


def test_two_stages_in_one_run(undisturbed: Path) -> None:
    seen = lines(undisturbed)
    raw = json.loads((undisturbed / "metrics.jsonl").read_text().splitlines()[0])
    assert tuple(raw) == LINE_KEYS
    assert [line["step"] for line in seen] == list(range(6))
    assert [line["stage"] for line in seen] == ["short"] * 3 + ["long"] * 3
    assert [line["tokens"] for line in seen] == [128, 256, 384, 512, 640, 768]
    assert [(line["rows"], line["seq_len"], line["rope_base"], line["mtp_weight"]) for line in seen[2:4]] == [
        (4, 32, 1e4, 0.3),
        (2, 64, 1e6, 0.1),
    ]
    for line in seen:
        by_source, counts = line["loss_by_source"], line["tokens_by_source"]
        assert set(counts) == {"web/all", "code/all"}
        mean = sum(by_source[name] * counts[name] for name in by_source) / sum(counts.values())
        assert line["loss"] == pytest.approx(mean)
        assert line["loss"] == pytest.approx(4.56, abs=0.3)
        assert line["mtp_loss"] == pytest.approx(4.56, abs=0.3)
        assert line["balance_loss"] == pytest.approx(1.0, abs=0.1)
        assert line["max_violation"] > 0
        assert line["grad_norm"] > 0


def test_stopped_and_resumed_is_the_undisturbed_run_bit_for_bit(
    tmp_path: Path, make_plan: MakePlan, undisturbed: Path
) -> None:
    make_plan()
    seen: list[dict[str, Any]] = []
    first = train(str(tmp_path), threads=1, stop_after=2, on_step=seen.append)
    assert (first["first_step"], first["end_step"]) == (0, 2)
    second = train(str(tmp_path), threads=1, on_step=seen.append)  # over the border of the stages
    assert (second["first_step"], second["end_step"], second["tokens"]) == (2, 6, 768)
    assert [line["step"] for line in seen] == list(range(6))
    assert second["last"] == seen[-1]
    assert lines(tmp_path) == lines(undisturbed)
    assert files(tmp_path) == files(undisturbed)
    third = train(str(tmp_path), threads=1)
    assert third["last"] is None
    assert lines(tmp_path) == lines(undisturbed)


def test_killed_at_any_step_the_same_command_finishes_the_same_run(
    tmp_path: Path, make_plan: MakePlan, undisturbed: Path
) -> None:
    make_plan()
    assert forked("dying_worker.py", 1, tmp_path, "4", are_watched=False) == [-signal.SIGKILL]
    with (tmp_path / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 5, "stage": "lo')
    train(str(tmp_path), threads=1)
    assert lines(tmp_path) == lines(undisturbed)
    assert files(tmp_path) == files(undisturbed)


@pytest.mark.parametrize("rule", ["muon", "adamw"])
def test_it_learns(tmp_path: Path, make_plan: MakePlan, rule: str) -> None:
    """The counting language: 4.56 nats to begin with, 1.1 are the steps that it chooses from."""
    plan = make_plan()
    stage = dataclasses.replace(plan.stages[0], steps=40)
    lr = {**plan.training["lr"], "peak": 2e-2}
    root = tmp_path / rule
    root.mkdir()
    (root / "shards").symlink_to(tmp_path / "shards")
    make_plan(root=root, stages=(stage,), training={"optimizer": rule, "lr": lr})
    assert train(str(root), threads=1)["last"]["loss"] < 2.5


def test_the_future_may_be_edited_and_the_past_may_not(tmp_path: Path, make_plan: MakePlan) -> None:
    plan = make_plan()
    train(str(tmp_path), threads=1, stop_after=2)
    short, long = plan.stages
    make_plan(stages=(short, dataclasses.replace(long, mtp_weight=0.05, steps=2)))
    done = train(str(tmp_path), threads=1)
    assert done["plan_edits"] == ["stages[1].mtp_weight: 0.1 -> 0.05", "stages[1].steps: 3 -> 2"]
    assert done["end_step"] == 5
    assert lines(tmp_path)[-1]["mtp_weight"] == 0.05
    make_plan(stages=(dataclasses.replace(short, rope_base=5e4), dataclasses.replace(long, mtp_weight=0.05, steps=2)))
    with pytest.raises(PlanChanged, match=r"stages\[0\].rope_base: 10000.0 -> 50000.0"):
        train(str(tmp_path), threads=1)
    make_plan(model={**plan.model, "expert_ffn": 24})
    with pytest.raises(PlanChanged, match=r"model.expert_ffn: 16 -> 24"):
        train(str(tmp_path), threads=1)


def test_frozen_bias_and_moving_bias(tmp_path: Path, make_plan: MakePlan) -> None:
    import torch

    from trainer.weights import CheckpointWeights

    def bias() -> torch.Tensor:
        (path,) = sorted((tmp_path / "checkpoints").glob("step-*"))[-1:]
        weights = CheckpointWeights(path / "weights")
        return torch.stack([weights.read(name) for name in weights.names() if name.endswith("expert_bias")])

    make_plan()
    train(str(tmp_path), threads=1, stop_after=3)
    moved = bias()
    assert moved.shape == (2, 4)  # one MoE layer and the prediction block
    steps = moved / 0.001
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert 0 < steps.abs().max() <= 3.001
    train(str(tmp_path), threads=1)  # bias rate 0
    assert torch.equal(bias(), moved)


def test_a_diverging_run_stops_and_says_where(tmp_path: Path, make_plan: MakePlan) -> None:
    from trainer.loop import Diverged

    plan = make_plan()
    make_plan(training={"clip_norm": 0.0, "lr": {**plan.training["lr"], "peak": 1e30}})
    with pytest.raises(Diverged, match=r"step \d \(stage 'short'"):
        train(str(tmp_path), threads=1)


def test_a_folder_without_a_plan_and_a_bucket_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RootError, match="tokenloom build"):
        train(str(tmp_path))
    with pytest.raises(RootError, match="--shards s3://bucket/out"):
        train("s3://bucket/out")
    done = subprocess.run([sys.executable, *COMMAND, "--root", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "tokenloom build" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("plan.json", '{"format": 1}', "plan.json has format 1"),
        ("site.toml", "[cache]\nsize = 8", "site.toml: [cache] size = 8"),
    ],
)
def test_a_file_that_cannot_be_used_ends_with_its_message(
    tmp_path: Path,
    make_plan: MakePlan,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    file: str,
    text: str,
    message: str,
) -> None:
    make_plan()
    (tmp_path / "site.toml").touch()
    (tmp_path / file).write_text(text)
    monkeypatch.setattr(sys, "argv", ["run", "--root", str(tmp_path), "--site", str(tmp_path / "site.toml")])
    assert main() == 1
    assert message in caplog.messages[-1]


def test_stdout_carries_nothing_but_lines_and_losing_the_reader_ends_the_run(
    tmp_path: Path, make_plan: MakePlan
) -> None:
    make_plan()
    command = [sys.executable, *COMMAND, "--root", str(tmp_path), "--steps-to-stdout"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert tuple(json.loads(process.stdout.readline())) == LINE_KEYS
        process.stdout.close()
        stderr = process.stderr.read()
    assert process.returncode == 1
    assert "continues after the last checkpoint" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(("local_rank", "waits"), [("0", []), ("3", [run.FIRST_OF_MACHINE_SECONDS])])
def test_before_the_ranks_have_met_the_first_of_a_machine_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local_rank: str, waits: list[float]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(run.time, "sleep", slept.append)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    with pytest.raises(RootError):
        train(str(tmp_path))
    assert slept == waits


@pytest.mark.parametrize("is_terminated", [False, True])
def test_a_rank_whose_error_another_one_says_keeps_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_terminated: bool
) -> None:
    from trainer.learn import Terminated
    from trainer.together import Elsewhere

    def elsewhere(*_: Any, **__: Any) -> None:
        raise Elsewhere("rank 0 says it") from (Terminated("stopped") if is_terminated else None)

    monkeypatch.setattr(run, "train", elsewhere)
    monkeypatch.setattr(run, "LAST_WORD_SECONDS", 0.0)
    monkeypatch.setattr(sys, "argv", ["run", "--root", "out"])
    assert main() == (143 if is_terminated else 1)
    assert not caplog.messages


def test_a_rank_names_itself(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, *COMMAND, "--root", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "RANK": "8"},
    )
    assert found.returncode == 1
    assert found.stderr.startswith(f"rank 8: {tmp_path}/plan.json is not there")


@pytest.mark.parametrize("changes", [{"mtp_layers": 0}, {"mtp_layers": 0, "dense_layers": 2}, {"dense_layers": 2}])
def test_shapes_without_a_block_ahead_or_without_experts(
    tmp_path: Path, make_plan: MakePlan, changes: dict[str, Any]
) -> None:
    make_plan(model={**SHAPE, **changes})
    train(str(tmp_path))
    seen = lines(tmp_path)
    assert len(seen) == 6
    for line in seen:
        assert line["loss"] == pytest.approx(4.56, abs=0.3)
        assert (line["mtp_loss"] is None) == (changes.get("mtp_layers") == 0)


def test_steps_to_stop_after_are_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "--root", "nowhere", "--stop-after", "-1"])
    with pytest.raises(SystemExit):
        main()
    assert "'-1' is not a number of steps: give 0 or more" in capsys.readouterr().err


def test_a_checkpoint_has_the_bytes_that_describe_says(undisturbed: Path) -> None:
    from torch.distributed.checkpoint import FileSystemReader

    latest = undisturbed / "checkpoints" / (undisturbed / "checkpoints" / "latest").read_text().strip()
    tensors = FileSystemReader(latest / "weights").read_metadata().state_dict_metadata
    sizes = {
        name: tensor.size.numel() * tensor.properties.dtype.itemsize
        for name, tensor in tensors.items()
        if isinstance(tensor, TensorStorageMetadata)
    }
    beside = sum(size for name, size in sizes.items() if "random" in name or name.endswith("expert_bias"))
    assert sum(sizes.values()) - beside == checkpoint_bytes(ModelShape(**SHAPE), Settings(precision="fp32"))
