"""The log of a review: what stands after undoing, who has the last word, what a kill leaves."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from synth.review.log import Entry, Log, decisions, load, standing, verdict

FACT = {"relation": "author", "object": "Ada", "is_page": False, "start": 0, "length": 3}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "deep" / "reviews.jsonl")


def actions(log: Log) -> dict[str, dict[str, str]]:
    return {item: {who: entry.action for who, entry in by.items()} for item, by in decisions(log.entries()).items()}


def test_the_last_decision_of_each_reviewer_counts(log: Log) -> None:
    log.add("ada", "one", "accept")
    log.add("bob", "one", "reject", reason="unclear")
    log.add("ada", "one", "unsure")
    assert actions(log) == {"one": {"ada": "unsure", "bob": "reject"}}
    assert decisions(log.entries())["one"]["bob"].reason == "unclear"


def test_an_undone_line_gives_way_to_the_one_before(log: Log) -> None:
    log.add("ada", "one", "accept")
    log.add("ada", "one", "reject", reason="unclear")
    log.add("ada", "one", "undo", undoes=1)
    assert actions(log) == {"one": {"ada": "accept"}}
    assert [entry.number for entry in standing(log.entries())] == [0]
    assert len(log.path.read_bytes().splitlines()) == 3  # nothing is taken out of the file


def test_facts_are_no_decisions(log: Log) -> None:
    log.add("ada", "page", "fact", fact=FACT)
    assert actions(log) == {}


def test_a_line_that_was_cut_off_is_skipped_and_the_next_begins_anew(log: Log) -> None:
    log.add("ada", "one", "accept")
    log.add("ada", "two", "accept")
    log.path.write_bytes(log.path.read_bytes()[:-20])
    log.add("ada", "three", "accept")
    entries = log.entries()
    assert [(entry.number, entry.item) for entry in entries] == [(0, "one"), (2, "three")]
    assert load(str(log.path)) == entries


def test_lines_of_another_form_are_skipped(log: Log) -> None:
    log.add("ada", "one", "accept")
    with open(log.path, "ab") as file:
        file.write(b'[1]\n{"item": "two"}\nnull\n\xff\n')
    assert [entry.item for entry in log.entries()] == ["one"]


def test_words_survive(log: Log) -> None:
    row = {"id": "1", "origin": "o", "text": "line\nbreak “q” \ud800 🙂", "meta": "{}"}
    log.add("ada", "one", "edit", row=row)
    assert log.entries()[0].row == row


@pytest.mark.parametrize(
    "other",
    [
        {"reviewer": {}},
        {"item": ["page"]},
        {"time": 0},
        {"reason": None},
        {"row": {"text": "no meta"}},
        {"row": []},
        {"action": "fact"},
        {"action": "fact", "fact": {"relation": "author"}},
        {"action": "fact", "fact": FACT | {"object": {}}},
        {"action": "undo", "undoes": [0]},
    ],
)
def test_a_line_that_somebody_wrote_by_hand_and_wrongly_is_skipped(log: Log, other: dict[str, Any]) -> None:
    log.add("ada", "one", "accept")
    line = {"time": "2026", "reviewer": "eve", "item": "one", "action": "reject", "reason": "unclear"}
    for each in (line | other, line):
        with open(log.path, "ab") as file:
            file.write(json.dumps(each).encode() + b"\n")
    assert actions(log) == {"one": {"ada": "accept", "eve": "reject"}}
    assert [entry.number for entry in log.entries()] == [0, 2]


def test_many_may_write_at_once(log: Log) -> None:
    writers = [
        threading.Thread(target=lambda who: [log.add(who, f"{k}", "accept") for k in range(20)], args=(f"r{number}",))
        for number in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(log.entries()) == 160


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["accept"], "accept"),
        (["accept", "edit"], "edit"),
        (["edit", "accept"], "edit"),
        (["accept", "reject"], "reject"),
        (["reject", "unsure"], "reject"),
        (["accept", "unsure"], None),
        ([], None),
    ],
)
def test_one_rejection_rejects_and_one_doubt_leaves_open(given: list[str], expected: str | None) -> None:
    by_reviewer = {str(number): Entry(number, "", str(number), "one", action) for number, action in enumerate(given)}  # type: ignore[arg-type]
    last = verdict(by_reviewer)
    assert (last.action if last else None) == expected
