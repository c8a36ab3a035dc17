"""Requests for tools that are only described: what is said determines the call, and each check fails where it does not."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.schema import DROP, documents
from synth.draw import Draw
from synth.render import Call, parse
from synth.tooluse.arguments import NoValue, read_back, said, sampled
from synth.tooluse.calls import _Asked, _verdicts, emit, reduce
from synth.tooluse.tools import problem


def tool(called: str, description: str, required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": called, "description": description, "parameters": parameters}


BOOK = tool(
    "book_table", "Book a table in a restaurant.", ("city", "date", "seats"),
    city={"type": "string"}, date={"type": "string", "format": "date"}, seats={"type": "integer", "minimum": 1, "maximum": 8},
    outside={"type": "boolean"}, tags={"type": "array", "items": {"type": "string", "enum": ["quiet", "early"]}},
)  # fmt: skip
WEATHER = tool("weather", "Show the weather forecast for tomorrow.", ("place",), place={"type": "string"})
ODD = tool("odd", "Polish the flux.", ("flux",), flux={"type": "string"})
DOCUMENTS = documents(
    [{"origin": "boats.json", "text": json.dumps([BOOK, WEATHER, ODD, {"name": "?"}]), "license": "MIT"}]
)


def made(**params: int) -> pa.Table:
    return reduce(emit(DOCUMENTS), per_tool=40, **params)


def test_rows_of_all_kinds() -> None:
    table = made()
    kept = table.filter(pc.is_null(table[DROP])).to_pylist()
    tasks = [json.loads(row["meta"])["task"] for row in kept]
    assert {task["kind"] for task in tasks} == {"single", "parallel", "missing", "irrelevant"}
    for row, task in zip(kept, tasks, strict=True):
        turns = parse(row["text"])
        shown = [{"name": call.name, "arguments": dict(call.arguments)} for turn in turns for call in turn.calls]
        asked_only = task["kind"] == "missing" and turns[-1].role == "assistant"
        assert shown == ([] if asked_only else task["calls"])
        listed = {entry["name"] for entry in turns[0].tools}
        assert all(entry["name"] in listed for entry in task["requested"]) == (task["kind"] != "irrelevant")
        assert row["license"] == "MIT"


def test_what_becomes_no_row_says_why() -> None:
    reasons = set(made()[DROP].to_pylist())
    assert {"synth.no_value", "synth.bad_name", None} == reasons


def test_a_larger_number_only_adds_rows() -> None:
    few, more = ({row["id"] for row in made(accept=n).to_pylist() if row[DROP] is None} for n in (5, 30))
    assert 5 <= len(few) < len(more)
    assert few < more


def asked(kind: str, tools: list, calls: list, listed: list, purposes: dict) -> _Asked:
    return _Asked(kind, tools, calls, listed, purposes, "")


def failed(verdicts: dict) -> list[str]:
    return [name for name, verdict in verdicts.items() if not verdict["passed"]]


def test_each_check_fails_where_it_should() -> None:
    call = Call("weather", {"place": "Aldport"})
    purposes = {"weather": WEATHER["description"], "book_table": BOOK["description"]}
    fine = asked("single", [WEATHER], [call], [WEATHER, BOOK], purposes)
    part = "Show the weather. place is “Aldport”."
    assert failed(_verdicts(fine, [part])) == []
    assert failed(_verdicts(fine, ["Show the weather."])) == ["determined"]
    assert failed(_verdicts(fine, [part + " place is “Carrow”."])) == ["determined"]
    wrong = asked("single", [WEATHER], [Call("weather", {"place": 3})], [WEATHER], purposes)
    assert failed(_verdicts(wrong, ["Show. place is 3."])) == ["schema"]
    twin = {"weather": "Show the weather forecast.", "book_table": "Show the weather forecast."}
    assert failed(_verdicts(fine._replace(purposes=twin), [part])) == ["tool_stands_out"]
    assert failed(_verdicts(fine._replace(kind="irrelevant", listed=[BOOK], purposes=twin), [part])) == ["none_fits"]
    assert failed(_verdicts(fine._replace(kind="irrelevant", listed=[BOOK]), [part])) == []


@given(st.integers(0, 2**32))
def test_arguments_fit_their_schema_and_are_read_back(seed: int) -> None:
    arguments = sampled(BOOK, Draw(seed))
    assert problem(BOOK["parameters"], arguments) is None
    assert read_back(f"Book a table. {said(arguments, Draw(seed))}.", BOOK) == arguments


NAMES = st.sampled_from(["city", "city_name", "name", "a", "userId"])
TEXTS = st.text(st.characters(exclude_characters="“”\n", codec="utf-8"), min_size=1, max_size=12)
VALUES = TEXTS.filter(lambda text: text == text.strip()) | st.integers(-999, 999) | st.booleans()


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.integers(0, 99))
def test_any_values_are_read_back(arguments: dict[str, Any], seed: int) -> None:
    any_tool = tool("t", "Do.", **{name: {"type": "string"} for name in arguments})
    assert read_back(f"Do. {said(arguments, Draw(seed))}.", any_tool) == arguments


def test_what_is_said_twice_is_not_clear() -> None:
    assert read_back("Show. place is “Aldport”.", WEATHER) == {"place": "Aldport"}
    assert read_back("Show. place is “Aldport”. place is “Aldport”.", WEATHER) is None
    assert read_back("Show. place is somewhere.", WEATHER) is None
    assert (
        read_back("Do. user id is 1.", tool("t", "Do.", userId={"type": "integer"}, user_id={"type": "integer"}))
        is None
    )


def test_no_value_is_invented() -> None:
    with pytest.raises(NoValue):
        sampled(ODD, Draw(1))


@pytest.mark.data
def test_real_descriptions(shared_data: Path) -> None:
    lines = (shared_data / "tooluse" / "bfcl" / "BFCL_v4_multiple.json").read_text().splitlines()[:60]
    rows = documents(
        {"origin": f"bfcl#{n}", "text": json.dumps(json.loads(line)["function"]), "license": "Apache-2.0"}
        for n, line in enumerate(lines)
    )
    table = reduce(emit(rows), per_tool=1)
    assert pc.sum(pc.is_null(table[DROP])).as_py() > 60
    assert set(table[DROP].to_pylist()) <= {
        None,
        "synth.no_value",
        "synth.tool_stands_out",
        "synth.none_fits",
        "synth.untyped_parameter",
    }
