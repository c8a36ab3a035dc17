import math
from typing import Any

import pytest

from trainer.spikes import MAX_SKIPPED, SpikeWatch, deciding


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
