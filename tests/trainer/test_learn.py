"""What belongs to a run beside its steps: validation, spikes and their documents, SIGTERM, curves, other weights, half precision."""

import contextlib
import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curriculum.feed import Feed
from curriculum.plan import Plan
from datapipe.site import Site
from tests.trainer.conftest import beside
from tests.trainer.forked import forked
from tests.trainer.test_run import COMMAND, lines
from trainer import run
from trainer.run import LayoutError, main, train

MakePlan = Callable[..., Plan]


def held_out(plan: Plan, rows: int) -> Plan:
    """The plan with the first rows of every source held out."""
    stages = [
        dataclasses.replace(
            stage, sources=tuple(dataclasses.replace(source, held_out=rows) for source in stage.sources)
        )
        for stage in plan.stages
    ]
    return dataclasses.replace(plan, stages=tuple(stages), training={**plan.training, "validation_steps": 2})


def test_held_out_rows_are_measured_by_source_and_not_learned(tmp_path: Path, make_plan: MakePlan) -> None:
    (tmp_path / "with").mkdir()
    plan = held_out(make_plan(), 2)
    (tmp_path / "plan.json").write_text(plan.to_json())
    train(str(tmp_path))
    seen = lines(tmp_path)
    measured = [line["step"] for line in seen if line["validation"]]
    assert measured == [1, 2, 3, 5]  # every second step, and at the ends of both stages
    for line in seen:
        if line["validation"]:
            assert set(line["validation"]["loss_by_source"]) == {"web/all", "code/all"}
            assert line["validation"]["loss"] == pytest.approx(4.56, abs=0.3)
    again = tmp_path / "again"
    again.mkdir()
    (again / "shards").symlink_to(tmp_path / "shards")
    without = dataclasses.replace(plan, training={**plan.training, "validation_steps": 0})
    (again / "plan.json").write_text(without.to_json())
    train(str(again))
    for line, other in zip(seen, lines(again), strict=True):  # measuring moves nothing
        assert {**line, "validation": None} == other


def test_a_run_records_what_is_compiled_and_obeys_the_site_file(tmp_path: Path, make_plan: MakePlan) -> None:
    make_plan()
    (tmp_path / "site.toml").write_text('[training]\ncompile = "off"\n')
    records = [
        train(str(tmp_path), site=site, stop_after=1)["kernels"][1] for site in (None, str(tmp_path / "site.toml"))
    ]
    assert records == [
        {"op": "pointwise", "implementation": "torch", "reason": "on cpu"},
        {"op": "pointwise", "implementation": "torch", "reason": 'compile = "off" in [training] of the site file'},
    ]


def test_sigterm_is_obeyed_while_held_out_rows_of_a_running_build_are_waited_for(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step before is saved, with a line that has no validation."""
    plan = held_out(make_plan(), 2)
    live = dataclasses.replace(plan, lock="")
    for source in [source for stage in plan.stages for source in stage.sources]:
        for shard in source.shards:
            (tmp_path / f"{shard.path}.json").write_text("{}")
    (tmp_path / "plan.json").write_text(live.to_json())

    def wait_for_ever(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(Feed, "validation", wait_for_ever)
        with pytest.raises(Exception, match="stopped by SIGTERM before step 2;"):
            train(str(tmp_path))
    assert [line["validation"] for line in lines(tmp_path)] == [None, None]
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert train(str(tmp_path))["first_step"] == 2
    assert [line["step"] for line in lines(tmp_path) if line["validation"]] == [2, 3, 5]


def test_every_depth_has_its_share_of_the_weight(tmp_path: Path, make_plan: MakePlan) -> None:
    plan = make_plan()
    make_plan(model={**plan.model, "mtp_layers": 2})
    train(str(tmp_path), stop_after=1)
    line = lines(tmp_path)[0]
    from trainer import mcore_compat

    mcore_compat.install()
    from curriculum.feed import Feed
    from trainer.layout import joined
    from trainer.loop import Trainer
    from trainer.schedule import settings

    deeper = Plan.from_json((tmp_path / "plan.json").read_text())
    with joined(1) as layout:
        trainer, now = Trainer(deeper, layout), settings(deeper, 0)
        packs = trainer._packs(now, Feed(deeper, str(tmp_path)).batch(0, 0, mtp_depths=2))
        objective = trainer._objective(now, packs)
    shares = [factor * weight for factor, weight in zip(objective.factors_K, objective.weights_K, strict=True)]
    assert shares == pytest.approx([1.0, now.mtp_weight / 2, now.mtp_weight / 2])
    assert line["mtp_loss"] == pytest.approx(4.56, abs=0.3)


def test_checkpoints_at_the_ends_of_stages_stay(tmp_path: Path, make_plan: MakePlan) -> None:
    make_plan()
    train(str(tmp_path))
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert kept == ["step-00000003", "step-00000006"]


def test_sigterm_saves_and_ends_and_the_same_command_goes_on(tmp_path: Path, make_plan: MakePlan) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    make_plan(root=undisturbed)
    train(str(undisturbed))
    make_plan()
    command = [sys.executable, *COMMAND, "--root", str(tmp_path), "--steps-to-stdout"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        left = process.stdout.readlines()
        message = process.stderr.read()
    assert process.returncode == 143
    assert "stopped by SIGTERM" in message
    assert "Traceback" not in message
    done = 1 + len(left)
    assert done < 6
    assert (tmp_path / "checkpoints" / "latest").read_text().strip() == f"step-{done:08d}"
    train(str(tmp_path))
    assert lines(tmp_path) == lines(undisturbed)


@pytest.mark.parametrize(("step", "done", "saves"), [(1, 2, 1), (2, 3, 1), (5, None, 2)])
def test_sigterm_in_a_step_saves_once_behind_it_and_in_the_last_one_ends_the_run_as_ever(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, step: int, done: int | None, saves: int
) -> None:
    """Step 2 is the last one of a stage, and has a checkpoint anyway."""
    from trainer import mcore_compat

    make_plan()
    mcore_compat.install()
    from trainer.checkpoint import Checkpoints
    from trainer.learn import Terminated

    saved: list[int] = []
    write = Checkpoints._write
    monkeypatch.setattr(Checkpoints, "_write", lambda self, save: (saved.append(1), write(self, save))[1])

    def tell(line: dict[str, Any]) -> None:
        if line["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    if done is None:
        assert train(str(tmp_path), on_step=tell)["end_step"] == 6
    else:
        with pytest.raises(Terminated, match=f"before step {done}; the same command goes on with it"):
            train(str(tmp_path), on_step=tell)
    assert (tmp_path / "checkpoints/latest").read_text() == f"step-{done or 6:08d}\n"
    assert len(saved) == saves


def test_two_ranks_end_together_and_a_signal_that_comes_twice_is_one(
    tmp_path: Path, make_plan: MakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a cluster, where Slurm tells every process and torchrun hands it on (test_run_ranks.py has torchrun itself)."""
    plan, metrics = make_plan(), tmp_path / "metrics.jsonl"
    make_plan(stages=(dataclasses.replace(plan.stages[0], steps=400),))

    def tell_twice(pids: dict[int, int]) -> bool:
        if not (metrics.exists() and metrics.stat().st_size):
            return False
        for pid in (*pids.values(), *pids.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            time.sleep(0.02)
        return True

    forked("live_worker.py", 2, "--root", tmp_path, are_watched=False, meanwhile=tell_twice)
    done = len(lines(tmp_path))
    assert done < 400
    assert capsys.readouterr().err.count("stopped by SIGTERM") == 1
    assert (tmp_path / "checkpoints" / "latest").read_text().strip() == f"step-{done:08d}"


def test_a_full_disk_under_the_lines_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_plan(training={"checkpoint_steps": 2})
    undisturbed = beside(tmp_path, "undisturbed")
    train(str(undisturbed))
    fill = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up(line: dict[str, Any]) -> None:
        if line["step"] == 4:
            for _ in range(1000):  # it is being written
                if (tmp_path / "checkpoints/step-00000004").exists():
                    break
                time.sleep(0.01)
            size = (tmp_path / "metrics.jsonl").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, fill[1]))

    monkeypatch.setattr(run, "_log_line", fill_up)
    monkeypatch.setattr(sys, "argv", ["run", "--root", str(tmp_path)])
    try:
        assert main() == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, fill)
    assert "metrics.jsonl cannot be written" in caplog.messages[-1]
    assert not (tmp_path / "metrics.jsonl").read_text().endswith("\n")
    assert train(str(tmp_path))["first_step"] == 4
    assert lines(tmp_path) == lines(undisturbed)


def test_every_number_is_a_curve_of_tensorboard(tmp_path: Path, make_plan: MakePlan) -> None:
    """Also of a run that was interrupted behind a checkpoint, and learned two steps again."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def interrupt(line: dict[str, Any]) -> None:
        if line["step"] == 4:
            raise KeyboardInterrupt

    make_plan()
    with pytest.raises(KeyboardInterrupt):
        train(str(tmp_path), on_step=interrupt)
    time.sleep(1.1)  # names of event files, by which TensorBoard orders them, count seconds
    assert train(str(tmp_path))["first_step"] == 3
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    seen = lines(tmp_path)
    for name, values in {
        "loss": [line["loss"] for line in seen],
        "loss_by_source/web/all": [line["loss_by_source"]["web/all"] for line in seen],
        "max_violation_by_source/web/all": [line["max_violation_by_source"]["web/all"] for line in seen],
    }.items():
        curve = events.Scalars(name)
        assert [event.step for event in curve] == [line["step"] for line in seen]
        assert [event.value for event in curve] == pytest.approx(values)
    assert {"speed/tokens_per_second", "seconds/wait", "loss_by_stage/short", "grad_norm"} <= set(
        events.Tags()["scalars"]
    )


def test_a_run_may_begin_from_the_weights_of_another(tmp_path: Path, make_plan: MakePlan) -> None:
    from trainer.convert import export_checkpoint
    from trainer.initial import open_weights

    plan = make_plan()
    train(str(tmp_path), stop_after=3)
    import torch

    export_checkpoint(tmp_path, tmp_path / "hf", step=None, dtype=torch.float32)
    checkpoint = tmp_path / "checkpoints" / "step-00000003"
    fresh = train(str(beside(tmp_path, "fresh")), stop_after=1)["last"]
    begun = []
    for name, weights in (("from-checkpoint", checkpoint), ("from-hf", tmp_path / "hf")):
        begun.append(train(str(beside(tmp_path, name)), stop_after=1, weights=str(weights))["last"])
    assert begun[0]["loss"] == begun[1]["loss"] < fresh["loss"]
    from trainer.weights import WeightsError

    with pytest.raises(WeightsError, match="expert_ffn 16, not 24"):
        open_weights(tmp_path / "hf", {**plan.model, "expert_ffn": 24})


def test_half_precision_learns_what_full_precision_learns(tmp_path: Path, make_plan: MakePlan) -> None:
    make_plan()
    (tmp_path / "site.toml").write_text('[training]\nprecision = "bf16"\n')
    half = beside(tmp_path, "half")
    train(str(tmp_path))
    train(str(half), site=str(tmp_path / "site.toml"))
    for line, other in zip(lines(tmp_path), lines(half), strict=True):
        assert other["loss"] != line["loss"]
        assert other["loss"] == pytest.approx(line["loss"], rel=0.01)


def test_weights_that_are_not_there_end_with_a_message(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_plan()
    monkeypatch.setattr(sys, "argv", ["run", "--root", str(tmp_path), "--weights", str(tmp_path / "nothing")])
    assert main() == 1
    assert "holds no torch_dist checkpoint" in caplog.messages[-1]


def test_a_batch_too_small_for_the_ranks_is_refused_before_anything_is_learned(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plan()
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(
        LayoutError, match="stage 'long' has batches of 2 rows, which 3 data-parallel ranks cannot share"
    ):
        train(str(tmp_path))


def test_a_layout_that_does_not_fit_is_refused_with_the_remedy(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_plan()
    (tmp_path / "site.toml").write_text("[parallel]\ntensor = 3\n")
    with pytest.raises(LayoutError, match="tensor"):
        train(str(tmp_path), site=str(tmp_path / "site.toml"))
    monkeypatch.setattr(sys, "argv", ["run", "--root", str(tmp_path), "--site", str(tmp_path / "site.toml")])
    assert main() == 1
    assert "[parallel]" in caplog.messages[-1]


@pytest.mark.parametrize("step", [3])
def test_a_stage_switch_is_told_with_its_reason(tmp_path: Path, make_plan: MakePlan, step: int) -> None:
    from trainer.schedule import changes

    plan: Any = make_plan()
    assert changes(plan, 0) == changes(plan, 1) == []
    told = changes(plan, step)
    assert told[0] == "stage 'long' begins: 'short' has had its 384 tokens"
    assert "seq_len: 32 -> 64" in told
    assert "rope_base: 10000.0 -> 1000000.0" in told
    assert "mtp_weight: 0.3 -> 0.1" in told


def test_a_step_that_leaves_a_signal_too_little_time_is_told_of_once(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_plan()
    monkeypatch.setattr("trainer.run.load_site", lambda path: Site(grace_seconds=1e-3))
    train(str(tmp_path))
    told = [message for message in caplog.messages if "grace_seconds" in message]
    assert len(told) == 1
    assert told[0].startswith("step 0 took ")
