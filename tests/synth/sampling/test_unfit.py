"""Responses that are no text to learn, and real ones that are."""

import gzip
import json
from pathlib import Path

import pytest

from synth.sampling.unfit import BAD_FORMAT, MIXED, REPETITIVE, TOO_SHORT, is_repetitive, unfit

PROSE = (
    "First we look at the left side of the equation, where the unknown stands twice. Bringing both terms together leaves "
    "seven of it against twenty-one, so it is three. A check with the original numbers gives the same on both sides."
)
RUSSIAN = "Сначала рассмотрим левую часть уравнения, где неизвестное стоит дважды и потом ещё один раз."
CHINESE = "首先我们看方程的左边未知数出现两次把两项合并得到七倍的未知数等于二十一所以它等于三然后检查"


@pytest.mark.parametrize(
    ("text", "reasoning", "reason"),
    [
        (PROSE, "", None),
        ("3", PROSE, None),
        (" \n", PROSE, TOO_SHORT),
        (f"{PROSE}</think>", "", BAD_FORMAT),
        (PROSE, "I <tool_call>search", BAD_FORMAT),
        ("<|user|>", "", BAD_FORMAT),
        ("the same line again\n" * 3 + "and another\n", "", REPETITIVE),
        (PROSE, "wait, " * 40, REPETITIVE),
        (f"{PROSE} {'and then I go back to the start of it ' * 12}", "", REPETITIVE),
        (CHINESE * 8, "", REPETITIVE),
        (f"{PROSE} {'wait ' * 13}", "", REPETITIVE),
        (PROSE + RUSSIAN, "", MIXED),
        (PROSE, CHINESE, MIXED),
        (RUSSIAN, "", None),
        (CHINESE, "", None),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |", "", None),
        ("0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0", "", None),
        (
            "东京は日本の首都で、とても大きい町です。ひらがなとカタカナと漢字を一緒に書くのが普通です。とても、たいへんに。",
            "",
            None,
        ),
    ],
)
def test_reasons(text: str, reasoning: str, reason: str | None) -> None:
    assert unfit(text, reasoning, prompt="Solve it.") == reason


def test_a_language_that_the_prompt_has_may_be_answered_in() -> None:
    assert unfit(PROSE + RUSSIAN, prompt=f"Translate: {RUSSIAN}. Answer in both.") is None
    assert unfit(PROSE, prompt="x", min_chars=10_000) == TOO_SHORT


def test_a_long_text_costs_no_more_than_its_ends() -> None:
    assert is_repetitive("x " * 2_000_000)
    assert not is_repetitive("\n".join(f"Step {n} of the work is {n * n % 977}." for n in range(2_000)))


@pytest.mark.data
def test_real_solutions_are_fit(shared_data: Path) -> None:
    with gzip.open(shared_data / "evals" / "gsm8k_train_0-2000.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    reasons = [unfit(row["answer"], prompt=row["question"]) for row in rows]
    assert sum(reason is not None for reason in reasons) <= len(rows) // 200
