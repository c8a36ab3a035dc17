"""Conversations with tools are replayed; whatever was changed in one is found out."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from synth.checker import tooluse
from synth.render import parse
from tests.synth.checker.proving import Stored, edited, in_task, library, said, task_of, wrong
from tests.synth.checker.worlds import SOURCES, TOOL_LISTS

DOCUMENTS = library(SOURCES)


@pytest.fixture
def rows(tools_rows: list[Stored]) -> list[Stored]:
    return tools_rows


@pytest.fixture
def writing(rows: list[Stored]) -> Stored:
    """A whole conversation that changes something."""
    return next(
        row for row in rows
        if "turn" not in json.loads(row["meta"]) and any(w["kind"] == "write" for w in task_of(row)["wishes"])
    )  # fmt: skip


def of_wish(row: Stored, kind: str = "write") -> int:
    return next(number for number, wish in enumerate(task_of(row)["wishes"]) if wish["kind"] == kind)


def test_rows_as_they_were_made_agree(rows: list[Stored]) -> None:
    assert len({task_of(row)["environment"] for row in rows}) >= 5
    assert {row["origin"]: found for row in rows if (found := wrong(row, DOCUMENTS))} == {}


def test_every_part_of_a_task_counts(writing: Stored) -> None:
    at = of_wish(writing)

    def wish(change: Any) -> Stored:
        return in_task(writing, lambda task: change(task["wishes"][at]))

    def without_last(task: dict[str, Any]) -> None:
        task["wishes"][at]["plan"].pop()

    table = next(name for name, kept in task_of(writing)["start"].items() if kept)
    broken = {
        "the start state has another hash": in_task(writing, lambda task: task["start"][table].pop()),
        "the plans lead to another state": in_task(writing, without_last),
        "its goal does not hold in the end": in_task(writing, without_last),
        "its goal holds at the start": wish(
            lambda one: one.update(goal=[{"sql": "SELECT 1", "args": [], "rows": [[1]]}])
        ),
        "ends in another state than the plans": in_task(
            writing, lambda task: task.update(final_hash=task["start_hash"])
        ),
        "the gold call of": wish(lambda one: one["plan"][-1]["arguments"].update(nonsense=1)),
        "the tools listed are not": in_task(writing, lambda task: task["tools"].pop()),
        "with all of its actions": wish(lambda one: one["needs"].append("a value that nothing shows")),
        "no message says": wish(lambda one: one.update(answer="1,009 of them")),
    }
    for expected, stored in broken.items():
        assert expected in wrong(stored, DOCUMENTS), expected


def test_an_action_too_many_disagrees(rows: list[Stored]) -> None:
    """A read that is made twice can be left out."""
    found = 0
    for row in rows:
        last = task_of(row)["wishes"][-1]
        if len(last["plan"]) > last["changes"]:
            twice = in_task(row, lambda task: task["wishes"][-1]["plan"].insert(0, task["wishes"][-1]["plan"][0]))
            found += 1
            assert "actions can be left out" in wrong(twice, DOCUMENTS)
    assert found


def test_results_and_arguments_that_were_changed_disagree(rows: list[Stored]) -> None:
    forged = guessed = 0
    for row in rows[:24]:
        turns = parse(row["text"])
        responses = [one for turn in turns for one in turn.responses if any(sign.isdigit() for sign in one)]
        if responses:
            digit = next(sign for sign in responses[0] if sign.isdigit())
            changed = responses[0].replace(digit, str((int(digit) + 1) % 10), 1)
            assert "the row shows" in wrong(said(row, responses[0], changed), DOCUMENTS)
            forged += 1
        calls = [call for turn in turns for call in turn.calls]
        texts = [one for call in calls for name, one in call.arguments.items() if name.endswith("_id")]
        if texts and not task_of(row)["unlearned"]:  # a mistake fails with any argument
            before = f"<arg_value>{texts[0]}</arg_value>"
            assert wrong(said(row, before, before.replace(texts[0], "Z" * len(texts[0]))), DOCUMENTS) != ""
            guessed += 1
    assert forged > 10
    assert guessed > 5


def test_what_nobody_told_is_guessed(writing: Stored) -> None:
    silent = writing
    for turn in parse(writing["text"]):
        if turn.role == "user":
            silent = said(silent, turn.text, "x" * len(turn.text))
    assert "nobody told" in wrong(silent, DOCUMENTS)


def test_a_mistake_that_is_learned_and_a_fault_that_is_forgotten_disagree(rows: list[Stored]) -> None:
    mistaken = next(row for row in rows if task_of(row)["unlearned"])
    assert "is learned, and fails" in wrong(in_task(mistaken, lambda task: task.update(unlearned=[])), DOCUMENTS)
    faulty = next(row for row in rows if task_of(row)["faults"] and "turn" not in json.loads(row["meta"]))
    assert "the row shows" in wrong(in_task(faulty, lambda task: task.update(faults={})), DOCUMENTS)
    assert "loss spans" in wrong(in_task(rows[0], lambda task: task.update(unlearned=[0])), DOCUMENTS)


def test_what_is_refused_must_not_be_possible(rows: list[Stored]) -> None:
    row = next(row for row in rows if any(wish["refused"] and not wish["rule"] for wish in task_of(row)["wishes"]))
    at = next(n for n, wish in enumerate(task_of(row)["wishes"]) if wish["refused"] and not wish["rule"])
    plan = task_of(row)["wishes"][at]["plan"] or task_of(row)["wishes"][0]["plan"]
    possible = in_task(row, lambda task: task["wishes"][at].update(refused=plan[0]))
    assert "the refused call is done" in wrong(possible, DOCUMENTS)


LISTS = library(TOOL_LISTS, "lists")


def test_requests_are_read_back(calls_rows: list[Stored]) -> None:
    rows = calls_rows
    assert {task_of(row)["kind"] for row in rows} == {"single", "parallel", "missing", "irrelevant"}
    assert {row["origin"]: found for row in rows if (found := wrong(row, LISTS))} == {}
    row = next(row for row in rows if task_of(row)["kind"] == "single" and task_of(row)["calls"][0]["arguments"])

    def call(change: Any) -> Stored:
        return in_task(row, lambda task: change(task["calls"][0]))

    broken = {
        "calls something else": call(lambda one: one["arguments"].clear()),
        "says {": call(lambda one: one["arguments"].popitem()),
        "must be": call(lambda one: one["arguments"].update({name: [5] for name in one["arguments"]})),
        "is not listed as": in_task(row, lambda task: task["requested"][0].update(description="Another.")),
        "the user does not say": in_task(row, lambda task: task["parts"].__setitem__(0, task["parts"][0] + " More.")),
    }
    for expected, stored in broken.items():
        assert expected in wrong(stored, LISTS), expected
    useless = next(row for row in rows if task_of(row)["kind"] == "irrelevant")
    listed = parse(useless["text"])[0].tools[0]
    assert "is listed, or called" in wrong(in_task(useless, lambda task: task.update(requested=[dict(listed)])), LISTS)
    assert wrong(edited(useless, lambda meta: None), LISTS) == ""


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{}/a.db' AS other",
        "VACUUM INTO '{}/b.db'",
        "WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more) SELECT COUNT(*) FROM more",
        "SELECT LENGTH(HEX(ZEROBLOB(20000000)))",
        "SELECT LOAD_EXTENSION('{}/c.so')",
    ],
)
def test_a_goal_ends_and_opens_no_file(sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tooluse, "MAX_INSTRUCTIONS", 100_000)
    state = tooluse.Database("CREATE TABLE t (a)", {"t": [[1]]})
    with pytest.raises(sqlite3.Error):
        state.rows(sql.format(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert tooluse.Database("CREATE TABLE t (a)", {"t": [[1]]}).rows("SELECT a FROM t") == [(1,)]
