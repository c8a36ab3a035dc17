"""Tools from functions, the state they work on, and the wording of both."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environments import ENVIRONMENTS
from synth.tooluse.rules import said_yes
from synth.tooluse.session import Session
from synth.tooluse.state import State
from synth.tooluse.tools import ToolError, execute, problem, tools
from tests.synth.tooluse.worlds import posed

SCHEMA = "CREATE TABLE lamps (name TEXT PRIMARY KEY, watts INTEGER);"


def list_lamps(state: State) -> list[dict[str, Any]]:
    """List all lamps."""
    return state.records("SELECT * FROM lamps ORDER BY name")


def dim(
    state: State, names: list[str], mode: Literal["soft", "off"], watts: int = 5, note: str | None = None
) -> dict[str, Any]:
    """Dim some lamps,
    all at once.

    names: Which ones.
    """
    for name in names:
        state.rows("UPDATE lamps SET watts = ? WHERE name = ?", 0 if mode == "off" else watts, name)
        if state.row("SELECT 1 FROM lamps WHERE name = ?", name) is None:
            raise ToolError(f"no lamp {name}")
    return {"dimmed": len(names)}


BY_NAME = {tool.name: tool for tool in tools((list_lamps,), (dim,))}


def lamps() -> State:
    return State(SCHEMA, {"lamps": [["b", 60], ["a", 40]]})


def test_a_schema_comes_from_the_signature() -> None:
    assert BY_NAME["dim"].listed == {
        "name": "dim",
        "description": "Dim some lamps, all at once.",
        "parameters": {
            "type": "object",
            "properties": {
                "names": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "Which ones."},
                "mode": {"type": "string", "enum": ["soft", "off"]},
                "watts": {"type": "integer"},
                "note": {"type": "string"},
            },
            "required": ["names", "mode"],
            "additionalProperties": False,
        },
    }
    assert not BY_NAME["list_lamps"].writes
    assert BY_NAME["dim"].writes


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (Call("glow", {}), "unknown tool glow"),
        (Call("dim", {"names": ["a"]}), "must contain ['mode'] properties"),
        (Call("dim", {"names": ["a"], "mode": "loud"}), "mode must be one of"),
        (Call("dim", {"names": ["a"], "mode": "off", "watts": "5"}), "watts must be integer"),
        (Call("dim", {"names": ["a", "c"], "mode": "off"}), "no lamp c"),
        (Call("dim", {"names": ["a"], "mode": "soft", "watts": 2**63}), "no database can hold"),
        (Call("dim", {"names": ["\ud800"], "mode": "off"}), "no database can hold"),
    ],
)
def test_a_call_that_fails_changes_nothing(call: Call, error: str) -> None:
    state = lamps()
    before = state.hash()
    result = execute(state, BY_NAME, call)
    assert not result.ok
    assert error in result.value["error"]
    assert state.hash() == before


def test_a_call_changes_its_state_and_no_copy() -> None:
    state = lamps()
    copy = state.copy()
    assert execute(state, BY_NAME, Call("dim", {"names": ["a"], "mode": "soft"})).text == '{"dimmed": 1}'
    assert state.dump() == {"lamps": [["a", 5], ["b", 60]]}
    assert copy.hash() == lamps().hash() != state.hash()


def test_a_hash_does_not_see_the_order_of_insertion() -> None:
    assert State(SCHEMA, {"lamps": [["a", 40], ["b", 60]]}).hash() == lamps().hash()


def test_every_tool_of_every_environment_is_described() -> None:
    for environment in ENVIRONMENTS.values():
        assert 6 <= len(environment.tools) <= 15
        for tool in environment.tools:
            assert tool.description.endswith("."), tool.name
            assert problem(tool.parameters, {}) is None or tool.required


def test_alternatives_nest_and_slots_come_last() -> None:
    said = {Draw(1, n).say("[a|b [c|{x}]]!", {"x": "[d|e]"}) for n in range(40)}
    assert said == {"a!", "b c!", "b [d|e]!"}
    with pytest.raises(KeyError):
        Draw(1).say("{y}", {})


@given(st.integers(1, 1000), st.text(), st.integers(0, 2**64))
def test_a_draw_depends_on_its_name_alone(limit: int, name: str, seed: int) -> None:
    draw, again = Draw(seed, name), Draw(seed, name)
    again.below(7, "else")
    assert 0 <= draw.below(limit, "x") == again.below(limit, "x") < limit
    assert sorted(draw.shuffled(range(9), "y")) == list(range(9))


ANSWERS = {
    "Yes, please.": True,
    "Sure, go ahead.": True,
    "No, wait.": False,
    "Yes, but not that one.": False,
    "Hm.": False,
}


@pytest.mark.parametrize(("text", "yes"), ANSWERS.items())
def test_a_yes(text: str, yes: bool) -> None:
    assert said_yes(text) is yes


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_whatever_a_model_calls_is_answered(name: str) -> None:
    """Wrong arguments of every tool: an answer, never an error of ours, and no rule that falls over them."""
    task, _ = posed(name, 0)
    session = Session(task.environment, task.start.copy(), task.environment.tools, {})
    for tool in task.environment.tools:
        for value in ("", "x", 0, -1, 2**70, None, [], {"a": 1}):
            for arguments in ({}, dict.fromkeys(tool.parameters["properties"], value), {"other": value}):
                session.call([Call(tool.name, arguments)])
    session.call([Call("no_such_tool", {})])
    assert session.turns[-1].responses == ('{"error": "unknown tool no_such_tool"}',)
