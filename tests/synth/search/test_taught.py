"""A model as the agent: what it is shown, what its attempts are worth."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.export.messages import chat_messages
from synth.render import Call, Turn
from synth.search.agent import ANSWERED, MALFORMED, Limits, Trace
from synth.search.engine import Engine
from synth.search.task import Query, Task
from synth.search.taught import Tried, about, pass_at_k, try_all, wilson
from synth.search.tools import TOOLS
from synth.teacher import Answer, Request
from tests.synth.search.shipping import SITE, ships

ASKED = Task(Query(1, (), 0, ""), ("a" * 32,), "Which ship?", "Hesper", ())


class FakeCrew:
    """Answers by a function of the request; keeps what was asked."""

    model = "tutor-1"
    settings = SimpleNamespace(max_tokens=100, temperature=0.7)

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer, self.asked = answer, []

    async def ask(self, request: Request) -> Answer:
        self.asked.append(request)
        return self._answer(request)

    def run(self, work: Any) -> list[Any]:
        async def all_of_it() -> list[Any]:
            return [await row(self) for row in work]

        return asyncio.run(all_of_it())


def said(text: str = "", *calls: Call, failure: str | None = None, finish: str = "stop") -> Answer:
    return Answer(text, finish, 1, 1, failure, reasoning="Hm.", calls=calls)


@pytest.fixture(scope="module")
def engine():
    with Engine(ships()) as engine:
        yield engine


def tried(engine: Engine, answer: Callable[[Request], Answer], samples: int = 2) -> tuple[Tried, FakeCrew]:
    crew = FakeCrew(answer)
    [one] = try_all(crew, [ASKED], engine, samples=samples, limits=Limits(calls=4))
    return one, crew


def test_a_teacher_searches_and_answers(engine: Engine) -> None:
    open_it = Call("open", {"page": f"{SITE}/ship/hesper"})

    def answer(request: Request) -> Answer:
        if not request.tools:
            return said("Answer: Morven")
        return (
            said("I looked.\nAnswer: Hesper")
            if len(request.messages) > 2
            else said("", open_it, Call("search", {"query": "x"}))
        )

    one, crew = tried(engine, answer)
    assert [trace.ended for trace in one.traces] == [ANSWERED] * 2
    assert one.best("Hesper") == one.traces[0]
    assert one.traces[0].turns[-1].think == "Hm."
    last = next(request for request in crew.asked if request.tools and len(request.messages) > 2)
    roles = [message["role"] for message in last.messages]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assert last.tools == TOOLS
    ids = [call["id"] for call in last.messages[2]["tool_calls"]]
    assert [message["tool_call_id"] for message in last.messages[3:]] == ids
    assert len(set(ids)) == 2
    assert json.loads(last.messages[2]["tool_calls"][0]["function"]["arguments"]) == open_it.arguments
    assert "Hesper" in last.messages[3]["content"]
    assert {request.sample for request in crew.asked} == {0, 1}
    assert {request.temperature for request in crew.asked} == {0.7}


def test_what_everybody_answers_is_too_easy(engine: Engine) -> None:
    one, _ = tried(engine, lambda request: said("Answer: Hesper" if request.tools else "Answer: Morven"))
    verdicts = one.verdicts("Hesper")
    assert [name for name, verdict in verdicts.items() if not verdict["passed"]] == ["too_easy"]
    assert verdicts["too_easy"] == {
        "passed": False,
        "samples": 2,
        "right": 2,
        "pass@1": 1.0,
        "pass@2": 1.0,
        "pass@1_95": [0.3424, 1.0],
        "pass@2_95": [0.5675, 1.0],
    }


def test_what_is_known_by_heart_is_no_search_question(engine: Engine) -> None:
    one, crew = tried(engine, lambda request: said("Answer: Morven" if request.tools else "Answer: Hesper"))
    verdicts = one.verdicts("Hesper")
    assert verdicts["closed_book"] == {"passed": False, "samples": 2, "right": 2}
    assert verdicts["too_easy"]["passed"]
    assert one.best("Hesper") is None
    assert all(len(request.messages) == 2 for request in crew.asked if not request.tools)


def test_some_right_attempts_make_a_good_question_and_the_shortest_is_kept(engine: Engine) -> None:
    look = Call("search", {"query": "barque"})

    def answer(request: Request) -> Answer:
        if not request.tools:
            return said("I do not know.")
        if request.sample == 0:
            return said("Answer: Morven")
        calls = sum(message["role"] == "tool" for message in request.messages)
        return said("Answer: Hesper") if calls >= 4 - request.sample else said("", look)

    one, _ = tried(engine, answer, samples=3)
    assert all(verdict["passed"] for verdict in one.verdicts("Hesper").values())
    assert one.verdicts("Hesper")["too_easy"] == {
        "passed": True,
        "samples": 3,
        "right": 2,
        "pass@1": 0.6667,
        "pass@2": 1.0,
        "pass@1_95": [0.2077, 0.9385],
        "pass@2_95": [0.3722, 0.9962],
    }
    assert one.best("Hesper") == one.traces[2]
    assert one.traces[2].num_calls == 2


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (said("", Call("search", {"q": "x"})), MALFORMED),
        (said("Answer: Hesper", finish="length"), "length"),
        (said("Answer: Hesper", failure="http_400"), "http_400"),
    ],
)
def test_a_cut_or_malformed_answer_is_no_answer(engine: Engine, answer: Answer, ended: str) -> None:
    one, _ = tried(engine, lambda request: answer)
    assert {trace.ended for trace in one.traces} == {ended}
    assert one.best("Hesper") is None


def test_a_server_that_fails_says_nothing_of_the_question(engine: Engine) -> None:
    one, _ = tried(engine, lambda request: said(failure="http_500"))
    assert one.verdicts("Hesper")["asked"] == {"passed": False, "samples": 0, "cut_short": 2}
    mixed, _ = tried(
        engine,
        lambda request: said(failure="http_500") if request.sample else said("Answer: Hesper" if request.tools else ""),
    )
    verdicts = mixed.verdicts("Hesper")
    assert verdicts["asked"] == {"passed": True, "samples": 1, "cut_short": 1}
    assert not verdicts["too_easy"]["passed"]


def test_pass_at_k_is_what_counting_gives() -> None:
    assert pass_at_k(4, 0, 2) == 0.0
    assert pass_at_k(4, 4, 1) == 1.0
    assert pass_at_k(4, 3, 2) == 1.0
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - 1 / 6)
    for n, right, k in ((4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)):
        with pytest.raises(ValueError, match="give 1 <= k <= n"):
            pass_at_k(n, right, k)


@pytest.mark.parametrize(
    ("n", "right", "low", "high"), [(10, 0, 0.0, 0.2775), (10, 5, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_a_rate_lies_between_wilsons_bounds(n: int, right: int, low: float, high: float) -> None:
    assert wilson(n, right) == pytest.approx((low, high), abs=1e-4)
    with pytest.raises(ValueError, match="give n >= 1"):
        wilson(n, n + 1)
    with pytest.raises(ValueError, match="give n >= 1"):
        wilson(0, 0)


@given(st.integers(1, 12), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(n: int, data: st.DataObject) -> None:
    from itertools import combinations

    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations(range(n), k))
    share = sum(any(one < right for one in subset) for subset in subsets) / len(subsets)
    assert pass_at_k(n, right, k) == pytest.approx(share)


def test_messages_leave_tools_out_and_keep_thoughts() -> None:
    turns = (
        Turn("system", tools=TOOLS),
        Turn("system", "Be brief."),
        Turn("user", "Q"),
        Turn("assistant", "A", think="Hm."),
    )
    assert chat_messages(turns) == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A", "reasoning_content": "Hm."},
    )


def test_a_row_says_whom_it_has_from() -> None:
    told = about(FakeCrew(lambda request: said()))
    assert told["model"] == "tutor-1"
    assert len(told["prompt"]) == 32


def test_an_empty_trace_has_no_text() -> None:
    assert Trace((Turn("user", "Q"),), "length", ()).text == ""
