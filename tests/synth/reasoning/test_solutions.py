"""What a model's solutions are worth, judged one by one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from synth.reasoning.problem import Posed, Problem
from synth.reasoning.solutions import PROMPT, Sampling, rows
from synth.render import parse
from synth.rows import Made, Parent
from synth.teacher import Answer
from tests.synth.reasoning.asking import FakeCrew, answer

PARENT = Parent("id", "sha", "MIT")
SUM = Problem(
    "sum", "What is 2 + 2?", "4", "2 + 2 = 4", "number", {"kind": "calculation"}, {"proven": {"passed": True}}
)
CODE = "def f(x):\n    return x * x\n"
INPUT = Problem(
    "input",
    "Which call gives 9?",
    "f(3)",
    "f(3) gives 9",
    "call",
    {"kind": "code_input", "source": CODE, "name": "f", "value": "9"},
    {},
)
OPEN = Problem("open", "Who proved it?", "", "", "", {"kind": "question"}, {"answered": {"passed": False}})


def solved(
    problem: Problem, answers: Callable[[str, int], Answer], **sampling: Any
) -> tuple[dict[str, Any], dict[str, Any], FakeCrew]:
    """The row, its meta, and the crew."""
    crew = FakeCrew(answers)
    (row,) = rows(crew, [Posed(problem, (PARENT,))], Made("reasoning", 3), Sampling(**{"samples": 4, **sampling}))  # type: ignore[arg-type]
    return row, json.loads(row["meta"]), crew


def test_the_shortest_right_solution_becomes_the_row() -> None:
    texts = {
        0: answer("Answer: 5", tokens=1),
        1: answer("Long.\nAnswer: 4", tokens=9),
        2: answer("Two twos.\nAnswer: 4.0", tokens=7, reasoning="Hm."),
        3: answer("Answer: 4", tokens=7),
    }
    row, meta, crew = solved(SUM, lambda _, sample: texts[sample])
    assert row["drop_reason"] is None
    user, said = parse(row["text"])
    assert (user.text, said.text, said.think) == ("What is 2 + 2?", "Two twos.\nAnswer: 4.0", "Hm.")
    assert meta["author"] == "fake-1"
    assert meta["teacher"]["model"] == "fake-1"
    assert meta["task"]["pass_rate"] == {
        "n": 4,
        "passed": 3,
        "first": 3,
        "verified_by": "numeric",
        "pass_at": {"1": 0.75},
    }
    assert meta["task"]["difficulty"] == "moderate"
    assert meta["task"]["sample"] == 2
    assert meta["verdicts"]["solved"] == {"passed": True, "n": 4, "right": 3, "verified_by": "numeric"}
    assert [request.sample for request in crew.asked] == [0, 1, 2, 3]
    assert crew.asked[0].messages[0] == {"role": "system", "content": PROMPT}
    assert "2 + 2 = 4" not in crew.asked[0].messages[1]["content"]


@pytest.mark.parametrize(
    "bad",
    [
        answer("Answer: 4", finish_reason="length"),
        answer("Answer: 4", failure="http_500"),
        answer("Answer: four"),
        answer(""),
    ],
)
def test_a_cut_failed_or_unreadable_answer_does_not_pass(bad: Answer) -> None:
    row, meta, _ = solved(SUM, lambda _, sample: bad)
    assert row["drop_reason"] == "synth.solved"
    assert meta["task"]["pass_rate"]["passed"] == 0
    assert meta["task"]["difficulty"] == "unsolved"


def test_more_samples_are_asked_for_only_where_none_passed() -> None:
    def late(_: str, sample: int) -> Answer:
        return answer("Answer: 4" if sample == 10 else "Answer: 3")

    row, meta, crew = solved(SUM, late, samples=8, more_samples=8)
    assert [request.sample for request in crew.asked] == list(range(16))
    assert row["drop_reason"] is None
    assert meta["task"]["difficulty"] == "hard"
    assert meta["task"]["pass_rate"]["n"] == 16
    _, meta, crew = solved(SUM, lambda _, sample: answer("Answer: 4"), samples=8, more_samples=8)
    assert len(crew.asked) == 8
    assert meta["task"]["difficulty"] == "too_easy"


def test_another_call_that_gives_the_result_is_right_because_it_is_run() -> None:
    texts = ["Answer: `f(-3)`", "Answer: f(2)", "Answer: f(__import__('os').getpid())", "Answer: g(3)"]
    row, meta, _ = solved(INPUT, lambda _, sample: answer(texts[sample]))
    assert parse(row["text"])[1].text == "Answer: `f(-3)`"
    assert meta["task"]["pass_rate"]["passed"] == 1
    assert meta["task"]["pass_rate"]["verified_by"] == "tests"


def test_the_majority_stands_in_where_there_is_no_answer_and_says_so() -> None:
    texts = ["Answer: Euler", "Answer: euler.", "Answer: Gauss", "Answer: Euler"]
    row, meta, _ = solved(OPEN, lambda _, sample: answer(texts[sample]))
    assert row["drop_reason"] is None
    assert meta["task"]["pass_rate"]["verified_by"] == "majority"
    assert meta["task"]["answer"] == "Euler"
    assert "answered" not in meta["verdicts"]


@pytest.mark.parametrize("texts", [["a", "b", "c", "d"], ["a", "a", "b", "b"], ["a", "", "", ""]])
def test_no_majority_no_answer(texts: list[str]) -> None:
    row, meta, _ = solved(OPEN, lambda _, sample: answer(f"Answer: {texts[sample]}"))
    assert row["drop_reason"] == "synth.solved"
    assert meta["task"]["difficulty"] == "unsolved"


def test_two_of_three_are_a_majority() -> None:
    texts = ["Answer: a", "Answer: b", "Answer: a"]
    row, meta, _ = solved(OPEN, lambda _, sample: answer(texts[sample]), samples=3)
    assert row["drop_reason"] is None
    assert meta["task"]["difficulty"] == "moderate"


def test_what_was_majority_voted_is_never_hard() -> None:
    def late(_: str, sample: int) -> Answer:
        return answer("" if sample < 8 else "Answer: x")

    _, meta, _ = solved(OPEN, late, samples=24)
    assert meta["task"]["difficulty"] == "unsolved"
