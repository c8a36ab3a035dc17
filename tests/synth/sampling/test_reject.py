"""Rejection sampling: the order of the steps, what each refuses, and that later ones are not asked in vain."""

from typing import NamedTuple

import pytest

from synth.render import Call
from synth.sampling import chosen, judged, keep
from tests.synth.render.conversations import SEARCH


class Answer(NamedTuple):
    text: str = "It is three."
    finish_reason: str = "stop"
    failure: str | None = None
    reasoning: str = ""
    calls: tuple[Call, ...] = ()


NEEDS = {"name": "open", "parameters": {"properties": {"id": {"type": "integer"}}, "required": ["id"]}}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(), None),
        (Answer(failure="HTTP 500"), "sampling.failed"),
        (Answer(finish_reason="length"), "sampling.truncated"),
        (Answer(finish_reason="content_filter"), "sampling.truncated"),
        (Answer(""), "sampling.too_short"),
        (Answer("", "tool_calls", calls=(Call("search", {"query": "x"}),)), None),
        (Answer(reasoning="<think>again"), "sampling.bad_format"),
        (Answer("", "tool_calls", calls=(Call("search", {"num": "five"}),)), "sampling.bad_format"),
        (Answer("", "tool_calls", calls=(Call("two words", {}),)), "sampling.bad_format"),
        (Answer(" It is three. \n"), None),
    ],
)
def test_texts_that_are_kept(answer: Answer, reason: str | None) -> None:
    assert keep([answer], tools=[SEARCH]) == [reason]


def test_the_steps_come_in_order() -> None:
    asked: list[str] = []

    def is_correct(answer: Answer) -> bool | None:
        asked.append(answer.text)
        return {"right": True, "wrong": False}.get(answer.text)

    answers = [Answer(text) for text in ("right", "wrong", "open", "dull", "")]
    reasons = judged(answers, is_correct=is_correct, reward=lambda a: 0.9 if a.text == "open" else 0.1, min_reward=0.5)
    assert reasons == [None, "sampling.wrong", None, "sampling.low_reward", "sampling.too_short"]
    assert asked == ["right", "wrong", "open", "dull"], "what is no text is not verified"


def test_tools_are_used_as_their_schema_says_and_to_the_end() -> None:
    calls = [
        Call("open", {"id": 1}),
        Call("open", {}),
        Call("open", {"id": 1, "more": "x"}),
        Call("close", {}),
        Call("open", {"id": 2}),
    ]
    answers = [Answer("", "tool_calls", calls=(call,)) for call in calls]
    reasons = judged(answers, tools=[NEEDS], reached=lambda answer: answer.calls[0].arguments["id"] == 1)
    assert reasons == [None, *["sampling.protocol"] * 3, "sampling.end_state"]


def test_four_of_a_prompt() -> None:
    reasons = [None, "sampling.wrong", *[None] * 8]
    few, more = (chosen(reasons, count, seed=1, prompt="p") for count in (2, 4))
    assert len(more) == 4
    assert 1 not in more
    assert set(few) < set(more), "a larger count only adds"
    assert chosen(reasons, 4, seed=2, prompt="p") != more
    assert chosen(["sampling.wrong"], 4, seed=1, prompt="p") == []
