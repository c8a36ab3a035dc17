import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curriculum.feed import Feed
from curriculum.plan import Plan
from tests.trainer.conftest import beside
from tests.trainer.test_learn import held_out
from tests.trainer.test_metrics import strictly
from tests.trainer.test_run import lines
from trainer import run
from trainer.run import train
from trainer.spikes import MAX_SKIPPED, SpikeWatch, deciding

MakePlan = Callable[..., Plan]


def watch(policy: str = "warn", window: int = 8, deviations: float = 3.0, recent: Any = ()) -> SpikeWatch:
    return SpikeWatch({"policy": policy, "window": window, "deviations": deviations}, recent)


def fed(*losses: float, **settings: Any) -> SpikeWatch:
    found = watch(**settings)
    for loss in losses:
        assert found.judge(loss, 1.0) is None
        found.count(loss, 1.0, skipped=False)
    return found


def test_a_loss_far_above_the_last_ones_is_named_with_its_distance() -> None:
    found = fed(2.0, 2.2, 2.0, 2.2)
    assert found.judge(2.4, 1.0) is None  # mean 2.1, deviation 0.115
    assert found.judge(2.5, 1.0) == "loss 2.5 is 3.5 standard deviations above the mean of the last 4 steps, 2.1"
    assert found.judge(1.0, 1.0) is None  # downwards is fine


def test_nothing_is_judged_before_half_the_window_is_known() -> None:
    assert fed(2.0, 2.1, 2.0).judge(50.0, 1.0) is None
    assert fed(2.0, 2.1, 2.0, 2.1).judge(50.0, 1.0) is not None


def test_old_steps_are_forgotten() -> None:
    assert fed(*[2.0, 2.1] * 4).judge(3.0, 1.0)
    drifted = fed(*[2.0, 2.1] * 4, *[2.1 + 0.02 * step for step in range(8)])
    assert "of the last 8 steps, 2.17" in str(drifted.judge(9.0, 1.0))


def test_the_gradient_norm_is_watched_too() -> None:
    assert fed(2.0, 2.1, 2.0, 2.1).judge(2.0, 1.5) == (
        "grad_norm 1.5 is any deviation above the mean of the last 4 steps, 1"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_a_spike_from_the_first_step(value: float) -> None:
    assert "loss" in str(watch().judge(value, 1.0))
    assert "grad_norm" in str(watch().judge(2.0, value))


def test_who_stops() -> None:
    assert [watch(policy).ends(9.0, 1.0) for policy in ("warn", "skip", "stop")] == [False, False, True]
    assert [watch(policy).ends(math.nan, 1.0) for policy in ("warn", "skip", "stop")] == [True, False, True]


def test_losses_that_rose_for_good_are_the_new_measure() -> None:
    found, skipped = fed(*[2.0, 2.1] * 4, policy="skip"), 0
    for step in range(20):
        loss = 3.0 + step % 2 / 10
        is_spike = found.judge(loss, 1.0) is not None
        assert not (is_spike and found.ends(loss, 1.0))
        found.count(loss, 1.0, skipped=is_spike)
        skipped += is_spike
    assert 1 <= skipped < MAX_SKIPPED


def test_skipping_without_end_ends_the_run() -> None:
    found = watch("skip")
    for _ in range(MAX_SKIPPED - 1):
        assert found.judge(math.nan, 1.0)
        assert not found.ends(math.nan, 1.0)
        found.count(math.nan, 1.0, skipped=True)
    assert found.ends(math.nan, 1.0)
    found.count(2.0, 1.0, skipped=False)
    assert not found.ends(math.nan, 1.0)


def test_a_loss_further_ahead_that_is_not_finite_is_named_and_counts_for_nothing() -> None:
    found = fed(2.0, 2.2, 2.0, 2.2, policy="skip")
    assert found.judge(2.1, 1.0, math.nan) == "mtp_loss nan is not finite"
    assert found.judge(math.inf, 1.0, math.inf) == "loss inf is not finite, mtp_loss inf is not finite"
    assert found.judge(2.1, 1.0, 1e9) is None  # how large it is is not judged
    assert watch("warn").ends(2.1, 1.0, math.nan)
    found.count(2.1, 1.0, math.nan, skipped=True)
    assert "the last 4 steps" in str(found.judge(9.0, 1.0))


def line(loss: float | None, grad_norm: float | None = 1.0, **changes: Any) -> dict[str, Any]:
    """What a SpikeWatch reads of a line of metrics.jsonl."""
    known = {"loss": loss, "grad_norm": grad_norm, "loss_by_source": {"web": loss}, "mtp_loss": None}
    return {**known, "spike": None, "skipped": False, **changes}


ODD = {
    "loss": line(None, None, spike="loss nan is not finite, grad_norm nan is not finite", skipped=True),
    "norm": line(2.0, None, spike="grad_norm inf is not finite", skipped=True),
    "further ahead": line(2.0, spike="mtp_loss nan is not finite", skipped=True),
    "of an older version": line(math.nan, spike="loss nan is not finite", skipped=True),
    "nothing learned": line(0.0, 0.0, loss_by_source={}),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_resumed_run_knows_what_the_undisturbed_one_knows(odd: dict[str, Any]) -> None:
    lines = [line(2.0 + step % 2 / 10, skipped=step == 2) for step in range(6)]
    lines.insert(3, odd)
    expected = fed(2.0, 2.1, 2.0, 2.1, 2.0, 2.1)
    for recent in (lines, deciding(lines, 8)):
        assert watch(recent=recent).judge(9.0, 1.0) == expected.judge(9.0, 1.0) is not None


def test_steps_that_are_skipped_in_a_row_count_across_a_resume_and_steps_without_loss_do_not_break_the_row() -> None:
    row = [line(None, spike="loss nan is not finite", skipped=True)] * (MAX_SKIPPED - 1)
    row.insert(3, line(0.0, 0.0, loss_by_source={}))
    assert watch("skip", recent=[line(2.0), *row]).ends(math.nan, 1.0)
    assert not watch("skip", recent=[line(2.0), *row[1:]]).ends(math.nan, 1.0)
    assert not watch("skip", recent=[*row, line(2.0)]).ends(math.nan, 1.0)


def test_what_decides_is_bounded_and_fills_the_window() -> None:
    bad = line(None, spike="loss nan is not finite", skipped=True)
    lines = [part for step in range(90) for part in (line(2.0 + step % 5 / 10), *[bad] * (MAX_SKIPPED - 1))]
    end = deciding(iter(lines), 8)
    assert len(end) == 8 * MAX_SKIPPED
    assert watch(recent=end).judge(9.0, 1.0) == watch(recent=lines).judge(9.0, 1.0)
    assert "the last 8 steps" in str(watch(recent=end).judge(9.0, 1.0))


@pytest.mark.parametrize("policy", ["warn", "skip", "stop"])
def test_a_spike_names_its_documents_and_is_treated_by_policy(
    tmp_path: Path, make_plan: MakePlan, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    from trainer.loop import Diverged

    # A window of two, and deviations below zero: from the third step of a stage on everything is a spike.
    make_plan(training={"spikes": {"policy": policy, "window": 4, "deviations": -100.0}})
    if policy == "stop":
        with pytest.raises(
            Diverged, match=r"step 2 \(stage 'short', its step 2\): loss .* above the mean of the last 2"
        ):
            train(str(tmp_path))
    else:
        train(str(tmp_path))
        spikes = [line["step"] for line in lines(tmp_path) if line["spike"]]
        assert spikes == [2, 5]
        assert [line["step"] for line in lines(tmp_path) if line["skipped"]] == (spikes if policy == "skip" else [])
        assert "step 2: loss" in caplog.text
    found = json.loads((tmp_path / "spikes" / "step-00000002.json").read_text())
    assert found["stage"] == "short"
    assert len(found["rows"]) == 4
    assert found["rows"][0]["pieces"][0]["doc"]


def test_a_resumed_run_judges_as_the_undisturbed_one(tmp_path: Path, make_plan: MakePlan) -> None:
    spikes = {"policy": "warn", "window": 4, "deviations": -100.0}
    plan = make_plan()
    stage = dataclasses.replace(plan.stages[0], steps=6)
    make_plan(stages=(stage,), training={"spikes": spikes})
    again = beside(tmp_path, "again")
    train(str(tmp_path))
    train(str(again), stop_after=3)
    train(str(again))
    assert lines(again) == lines(tmp_path)
    assert [line["step"] for line in lines(again) if line["spike"]] == [2, 3, 4, 5]


def test_a_resumed_stage_is_judged_by_its_own_steps_whatever_it_is_called_now(
    tmp_path: Path, make_plan: MakePlan
) -> None:
    """The lines before it are those of other data, and an edit may give a stage another name."""
    spikes = {"policy": "warn", "window": 4, "deviations": -100.0}
    plan = make_plan(training={"spikes": spikes})
    first, second = plan.stages
    stages = (first, dataclasses.replace(second, steps=5))
    make_plan(stages=stages, training={"spikes": spikes})
    again = beside(tmp_path, "again")
    train(str(tmp_path))
    train(str(again), stop_after=4)
    renamed = (first, dataclasses.replace(stages[1], name="longer"))
    (again / "plan.json").write_text(dataclasses.replace(plan, stages=renamed).to_json())
    train(str(again), stop_after=1)
    train(str(again))
    assert [line["step"] for line in lines(tmp_path) if line["spike"]] == [2, 5, 6, 7]
    assert [line["step"] for line in lines(again) if line["spike"]] == [2, 5, 6, 7]


def test_a_run_of_skipped_steps_ends_with_advice_that_was_not_followed_yet(tmp_path: Path, make_plan: MakePlan) -> None:
    from trainer.loop import Diverged

    spikes = {"policy": "skip", "window": 4, "deviations": -100.0}
    plan = make_plan(training={"spikes": spikes})
    make_plan(stages=(dataclasses.replace(plan.stages[0], steps=12),), training={"spikes": spikes})
    with pytest.raises(
        Diverged, match=r"8 steps in a row were skipped\. Lower training\.lr\.peak .*, or look at their documents"
    ):
        train(str(tmp_path))
    assert [line["step"] for line in lines(tmp_path) if line["skipped"]] == [*range(2, 9)]


def test_a_step_in_which_nothing_is_learned_has_no_loss_and_counts_for_nothing(
    tmp_path: Path, make_plan: MakePlan
) -> None:
    from trainer import mcore_compat

    mcore_compat.install()
    from trainer.layout import joined
    from trainer.loop import Trainer
    from trainer.schedule import settings

    plan = make_plan(training={"spikes": {"policy": "warn", "window": 4, "deviations": -100.0}})
    with joined(1) as layout:
        trainer, stream = Trainer(plan, layout), Feed(plan, str(tmp_path)).stream(0, mtp_depths=1)
        found = []
        for step, (_, _, batch) in zip(range(3), stream, strict=False):
            if step == 1:
                batch.labels[:] = -100
                batch.mtp_labels[:] = -100
            found.append(trainer.step(settings(plan, step), plan.stages[0], batch))
        stream.close()
    assert [line["loss"] is None for line in found] == [False, True, False]
    assert [line["mtp_loss"] is None for line in found] == [False, True, False]
    assert [line["spike"] for line in found] == [None] * 3  # the third would be one, were it the third that counts


def test_a_loss_further_ahead_that_is_not_finite_is_a_spike(tmp_path: Path, make_plan: MakePlan) -> None:
    from trainer import mcore_compat

    mcore_compat.install()
    from trainer.layout import joined
    from trainer.loop import Diverged, Trainer
    from trainer.schedule import settings

    spikes = {"policy": "warn", "window": 128, "deviations": 6.0}
    plan = make_plan(training={"spikes": spikes})
    with joined(1) as layout:
        trainer = Trainer(plan, layout)
        now, stage = settings(plan, 0), plan.stages[0]
        with pytest.raises(Diverged, match=": mtp_loss nan is not finite"):
            trainer._judge(now, stage, 2.0, float("nan"), 1.0, is_learned=True)
        spikes["policy"] = "skip"
        trainer.resume(0, ())
        for mtp_loss, expected in ((float("nan"), ("mtp_loss nan is not finite", True)), (3.0, (None, False))):
            assert trainer._judge(now, stage, 2.0, mtp_loss, 1.0, is_learned=True) == expected
        assert list(trainer._watch._last["loss"]) == [2.0]  # of the step that was finite


def test_a_skipped_step_leaves_weights_and_biases_as_they_were(tmp_path: Path, make_plan: MakePlan) -> None:
    import torch

    from trainer.weights import CheckpointWeights

    plan = make_plan(training={"checkpoint_steps": 1, "spikes": {"policy": "skip", "window": 4, "deviations": -100.0}})
    assert plan.stages[0].bias_rate > 0
    train(str(tmp_path), stop_after=3)
    before, after = (CheckpointWeights(tmp_path / "checkpoints" / f"step-0000000{n}" / "weights") for n in (2, 3))
    assert before.names()
    for name in before.names():
        assert torch.equal(before.read(name), after.read(name)), name


def test_what_is_not_finite_ends_a_run_that_only_warns(tmp_path: Path, make_plan: MakePlan) -> None:
    from trainer.loop import Diverged

    plan = make_plan()
    make_plan(training={"clip_norm": 0.0, "lr": {**plan.training["lr"], "peak": 1e30}})
    with pytest.raises(Diverged, match="is not finite") as caught:
        train(str(tmp_path))
    assert "its " in caught.value.__notes__[0]
    assert "documents are in" in caught.value.__notes__[0]


def test_documents_of_a_spike_that_cannot_be_written_are_a_warning(
    tmp_path: Path, make_plan: MakePlan, caplog: pytest.LogCaptureFixture
) -> None:
    make_plan(training={"spikes": {"policy": "warn", "window": 4, "deviations": -100.0}})
    (tmp_path / "spikes").touch()
    assert train(str(tmp_path))["end_step"] == 6
    assert "documents could not be written to" in caplog.text
    assert f"`tokenloom inspect {tmp_path} --step 2` computes them" in caplog.text


def test_steps_that_are_not_finite_are_strict_json_and_a_resumed_run_judges_them_alike(
    tmp_path: Path, make_plan: MakePlan, caplog: pytest.LogCaptureFixture
) -> None:
    from rich.console import Console

    from curriculum.progress import TrainProgress
    from curriculum.report.metrics import read_run
    from curriculum.show import show_training

    plan = make_plan()
    rate = {**plan.training["lr"], "peak": 1e30}
    spikes = {"policy": "skip", "window": 4, "deviations": 6.0}
    broken = held_out(make_plan(training={"clip_norm": 0.0, "lr": rate, "spikes": spikes}), 2)
    (tmp_path / "plan.json").write_text(broken.to_json())
    again = beside(tmp_path, "again")
    with Console(stderr=True, width=200) as console, TrainProgress(console, 6) as progress:
        done = train(str(tmp_path), on_step=progress.on_step)
    train(str(again), stop_after=3)
    with caplog.at_level("INFO"):
        train(str(again), on_step=run._log_line)
    seen = [strictly(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert done["last"] == seen[-1]
    assert lines(again) == lines(tmp_path)
    assert [line["loss"] is None for line in seen] == [False] + [True] * 5
    assert [line["skipped"] for line in seen] == [False] + [True] * 5
    assert seen[3]["validation"]["loss"] is None
    assert "mtp_loss nan is not finite" in seen[1]["spike"]
    assert "step 5: loss -, gradient norm -" in caplog.text
    found = read_run(str(tmp_path))
    assert found is not None
    assert found.not_finite == 1
    with console.capture() as capture:
        show_training(console, seen)
    assert " - " in capture.get()
