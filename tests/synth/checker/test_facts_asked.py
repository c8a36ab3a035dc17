"""Questions on one document: the answer is where the row says, and what was found there is what stands there."""

import json
from typing import Any

import pytest

from datapipe.schema import DROP, documents
from synth import chat, long_context, lookup, qa
from synth.closed_world import settle
from tests.synth.checker.proving import Stored, edited, library, said, wrong
from tests.synth.rephrase.pages import MANUAL
from tests.synth.test_qa import PAGE

TEXTS = {"zones": PAGE, "manual": MANUAL * 4}
DOCS = documents(
    {"origin": f"https://names.example/{name}", "text": text, "kind": "web", "license": "MIT"}
    for name, text in TEXTS.items()
)
DOCUMENTS = library(DOCS)
MADE = {
    "qa": lambda: qa.emit(DOCS),
    "lookup": lambda: lookup.emit(DOCS, min_chars=100),
    "chat": lambda: chat.emit(DOCS),
    "long": lambda: long_context.emit(DOCS, min_chars=100),
}


@pytest.fixture(scope="module", params=sorted(MADE))
def rows(request: pytest.FixtureRequest) -> list[Stored]:
    found = [row for row in settle(MADE[request.param]()).to_pylist() if row[DROP] is None]
    assert found, request.param
    return found


def test_rows_as_they_were_made_agree(rows: list[Stored]) -> None:
    assert {row["origin"]: found for row in rows if (found := wrong(row, DOCUMENTS))} == {}


def test_every_part_counts(rows: list[Stored]) -> None:
    row = rows[0]

    def asked(**values: Any) -> Stored:
        return edited(row, lambda meta: meta["questions"][0].update(values))

    first = json.loads(row["meta"])["questions"][0]
    assert "its span says" in wrong(asked(start=first["start"] + 1), DOCUMENTS)
    assert "nobody answers" in wrong(asked(answer="Another answer."), DOCUMENTS)
    assert "nobody asks" in wrong(asked(question="Why is that?"), DOCUMENTS)
    assert "the evidence does not hold" in wrong(asked(evidence=[0, 1]), DOCUMENTS)
    if "window" in json.loads(row["meta"]):
        moved = edited(row, lambda meta: meta["window"].__setitem__(0, meta["window"][0] + 40))
        assert "the passage is not shown" in wrong(moved, DOCUMENTS)


def test_a_chat_with_thoughts_teaches_its_last_answer_alone(rows: list[Stored]) -> None:
    for row in rows:
        if json.loads(row["meta"]).get("mode") == "thinking":
            assert len(row["loss_spans"]) == 1
            assert "loss spans" in wrong(edited(row, lambda meta: meta.update(mode="direct")), DOCUMENTS)


def test_a_forged_result_of_a_tool_disagrees() -> None:
    found = [row for row in settle(MADE["lookup"]()).to_pylist() if row[DROP] is None]
    for row in found:
        shown = row["text"].partition("<tool_response>\n")[2].split("\n")
        line = next(line for line in shown if line[:1].isdigit() and ": " in line and len(line) > 12)
        assert "says something else" in wrong(said(row, line, line[:-2] + "~~"), DOCUMENTS)
    reading = [row for row in found if "<tool_call>read" in row["text"]]
    for row in reading:
        last = row["text"].rpartition("</tool_response>")[0].rstrip("\n").rpartition("\n")[2]
        assert "read shows" in wrong(said(row, last, "9" + last[1:]), DOCUMENTS)
