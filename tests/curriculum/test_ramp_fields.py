"""Numbers and schedules of a stage as the manifest writes them, and every mistake in them with its line and what to type."""

from pathlib import Path

import pytest

from curriculum.document import ManifestError
from curriculum.plan import Ramp
from tests.curricula import make_curriculum, stage_text

MOVING = """\
  - name: one
    tokens: 1M
    seq_len: 256
    pack: concat
    batch_tokens: 2Ki
    mix: {web: 1}
    bias_rate:
      from: 0.001
      to: 0
      after: 600k
    mtp_weight: {from: 0.3, to: 0.1, after: 500k, over: 0.25M}
"""  # bias_rate in line 13, mtp_weight in 17


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        make_curriculum(folder, text)
    return str(caught.value)


def test_schedules_are_read(tmp_path: Path) -> None:
    (stage,) = make_curriculum(tmp_path, MOVING).stages
    assert stage.bias_rate == Ramp(0.001, 0.0, 600_000, 0)
    assert stage.mtp_weight == Ramp(0.3, 0.1, 500_000, 250_000)


def test_a_number_is_a_number_still(tmp_path: Path) -> None:
    first, second = make_curriculum(tmp_path, stage_text(bias_rate="0", mtp_weight="0.2") + stage_text("two")).stages
    assert (first.bias_rate, first.mtp_weight) == (0.0, 0.2)
    assert (second.bias_rate, second.mtp_weight) == (0.001, 0.3)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("{from: 0.3, to: 0.1, over: 1M}", Ramp(0.3, 0.1, 0, 1_000_000)),
        ("{from: 0.3, to: 0.1, after: 0, over: 64Ki}", Ramp(0.3, 0.1, 0, 65_536)),
        ("{from: 1e-1, to: 1, after: 744_000, over: 256k}", Ramp(0.1, 1.0, 744_000, 256_000)),
        ("{from: 0.1, to: 0.1, after: 1k}", 0.1),
    ],
)
def test_the_schedule_may_begin_and_end_with_the_stage(tmp_path: Path, text: str, setting: float | Ramp) -> None:
    (stage,) = make_curriculum(tmp_path, stage_text(mtp_weight=text)).stages
    assert stage.mtp_weight == setting


NEITHER = (
    "says neither `after` how many tokens of the stage it moves, nor `over` how many.\n"
    "    Add `after: 500000` for a step, or `over: 1000000` for a line through the stage."
)
BEHIND = (
    "the schedule ends behind the stage: after {} of its 1000000 tokens.\n    {}, or raise `tokens` of the stage to {}."
)
WEIGHT = "{from: 0.3, to: 0.1, after: 500k, over: 0.25M}"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("over: 0.25M", "ovr: 0.25M", 17, "mtp_weight.ovr: is not a key here.\n    Did you mean 'over'?"),
        ("from: 0.3, ", "", 17, "mtp_weight: the key 'from' is missing.\n    Required: from, to."),
        ("      to: 0\n", "", 13, "bias_rate: the key 'to' is missing.\n    Required: from, to."),
        ("from: 0.3", "from: -0.3", 17, "mtp_weight.from: is -0.3.\n    Write 0 or more."),
        ("to: 0\n", "to: -1e-9\n", 15, "bias_rate.to: is -1e-09.\n    Write 0 or more."),
        ("to: 0.1", "to: 1e999", 17, "mtp_weight.to: is inf.\n    Write a finite number."),
        ("to: 0.1", "to: little", 17, "mtp_weight.to: 'little' is not a number.\n    Write one like 0.4"),
        ("after: 600k", "after: -600", 16, "bias_rate.after: is -600.\n    Write 0 or more."),
        ("after: 600k", "after: half", 16, "bias_rate.after: 'half' is not a count"),
        (", after: 500k, over: 0.25M", "", 17, f"mtp_weight: {NEITHER}"),
        ("after: 600k", "after: 0", 13, f"bias_rate: {NEITHER}"),
        ("after: 600k", "after: 1.5M", 16,
         "bias_rate.after: " + BEHIND.format("1500000", "Write less, such as 500000", 1_500_000)),
        ("over: 0.25M", "over: 600k", 17,
         "mtp_weight.over: " + BEHIND.format("500000 + 600000 = 1100000", "Write `over: 500000` or `after: 400000`", 1_100_000)),
        ("after: 500k, over: 0.25M", "over: 2M", 17,
         "mtp_weight.over: " + BEHIND.format("2000000", "Write `over: 1000000`", 2_000_000)),
        ("after: 500k, over: 0.25M", "after: 2M, over: 2M", 17,
         "mtp_weight.over: " + BEHIND.format("2000000 + 2000000 = 4000000", "Shorten both to 1000000 tokens together", 4_000_000)),
        (WEIGHT, "-1", 17, "mtp_weight: is -1.\n    Write 0 or more."),
        (WEIGHT, "[0.3, 0.1]", 17, "mtp_weight: [0.3, 0.1] is not a number.\n    Write one like 0.4"),
    ],
)  # fmt: skip
def test_a_mistake_is_explained(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    """And of what only follows from it nothing is said."""
    assert old in MOVING
    found = problems(tmp_path, MOVING.replace(old, new, 1))
    assert f"m.yaml:{line}  stages[0].{message}" in found
    assert found.count("m.yaml:") == 1


def test_a_stage_of_unknown_tokens_has_no_end_to_compare_with(tmp_path: Path) -> None:
    found = problems(tmp_path, MOVING.replace("tokens: 1M", "tokens: many"))
    assert found.count("m.yaml:") == 1
    empty = MOVING.replace("tokens: 1M", "tokens: many").replace("      after: 600k\n", "")
    assert "Add `after: 10B` for a step, or `over: 10B` for a line" in problems(tmp_path, empty)


def test_a_schedule_is_part_of_the_manifest_s_fingerprint(tmp_path: Path) -> None:
    texts = (MOVING, MOVING.replace("600k", "599k"), MOVING.replace("600k", "600_000"))
    marks = [make_curriculum(tmp_path, text).fingerprint() for text in texts]
    assert marks[0] == marks[2] != marks[1]
