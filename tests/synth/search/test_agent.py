"""The loop: what ends an attempt, and which answer counts."""

import asyncio
from collections.abc import Sequence

import pytest

from synth.render import Call, Turn, parse, render
from synth.search.agent import (
    ANSWERED,
    MALFORMED,
    SILENT,
    TOO_LONG,
    TOO_MANY_CALLS,
    Limits,
    Move,
    Scripted,
    Trace,
    attempt,
    is_right,
)
from synth.search.engine import Engine
from synth.search.tools import TOOLS, Result
from tests.synth.search.shipping import SITE, ships

SEARCH = Call("search", {"query": "barque"})


@pytest.fixture(scope="module")
def engine():
    with Engine(ships()) as engine:
        yield engine


def run(
    engine: Engine, *moves: Move, question: str = "Which?", limits: Limits = Limits(), instructions: str = ""
) -> Trace:
    def script():
        yield from (move for move in moves)  # a generator, which can be sent to

    return asyncio.run(attempt(Scripted(script()), question, engine, limits=limits, instructions=instructions))


def test_a_trace_is_a_conversation_that_can_be_rendered(engine: Engine) -> None:
    both = (SEARCH, Call("open", {"page": f"{SITE}/ship/hesper"}))
    trace = run(engine, Move("Look.", both), Move("Seen.", text="Hesper"), instructions="Be brief.")
    assert trace.ended == ANSWERED
    assert trace.num_calls == 2
    assert trace.text == "Hesper"
    assert [turn.role for turn in trace.turns] == ["system", "system", "user", "assistant", "observation", "assistant"]
    assert trace.turns[0].tools == TOOLS
    assert trace.turns[4].responses == tuple(result.text for result in trace.results)
    assert parse(render(trace.turns).text) == trace.turns
    assert len(trace.pages()) == len({span.page for result in trace.results for span in result.shown})


def test_results_reach_the_policy(engine: Engine) -> None:
    seen: list[Sequence[Result]] = []

    def script():
        seen.append((yield Move("", (SEARCH,))))
        seen.append((yield Move("", (Call("open", {"page": "nowhere"}),))))
        yield Move("", text="done")

    asyncio.run(attempt(Scripted(script()), "Which?", engine))
    assert seen[0][0].listed
    assert seen[1][0].is_error


@pytest.mark.parametrize(
    ("moves", "ended"),
    [
        ([Move("", (Call("search", {"question": "x"}),)), Move("", text="Hesper")], MALFORMED),
        ([Move("", (SEARCH, Call("click", {"id": 1})))], MALFORMED),
        ([Move("", (SEARCH,))] * 5, TOO_MANY_CALLS),
        ([Move("", (SEARCH,) * 5)], TOO_MANY_CALLS),
        ([Move("", (SEARCH,))], SILENT),
        ([Move("I give up.")], SILENT),
        ([Move("", text="  \n")], SILENT),
        ([Move("", failure="length")], "length"),
    ],
)
def test_what_ends_an_attempt_without_an_answer(engine: Engine, moves: list[Move], ended: str) -> None:
    trace = run(engine, *moves, limits=Limits(calls=4))
    assert trace.ended == ended
    assert trace.text == ""
    assert not is_right(trace, "Hesper")


def test_long_results_end_an_attempt(engine: Engine) -> None:
    moves = [Move("", (SEARCH,)), Move("", text="Hesper")]
    assert run(engine, *moves, limits=Limits(chars=500)).ended == TOO_LONG
    assert run(engine, *moves, limits=Limits(chars=50_000)).ended == ANSWERED


def test_the_question_is_forbidden(engine: Engine) -> None:
    line = "Her best known master was"
    shown = run(engine, Move("", (Call("open", {"page": f"{SITE}/ship/hesper"}),)), Move("", text="x"), question=line)
    assert shown.results[0].is_error


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("Hesper", True),
        ("  hesper. ", True),
        ("**Hesper**", True),
        ("Answer: Hesper", True),
        ("I have checked both ships.\n\n**Answer:** Hesper.", True),
        ("Answer: Morven\nAnswer: Hesper", True),
        ("Answer: Hesper\nAnswer: Morven", False),
        ("Hesper or Morven", False),
        ("Answer: the Hesper", False),
        ("It is not Hesper", False),
        ("Answer:", False),
    ],
)
def test_an_answer_counts_alone_or_on_the_last_line(said: str, right: bool) -> None:
    trace = Trace((Turn("assistant", said),), ANSWERED, ())
    assert is_right(trace, "Hesper") is right
    assert not is_right(trace._replace(ended="length"), "Hesper")
