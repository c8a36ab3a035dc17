"""`tokenloom curate calls` and `curate messages`: the shipped corpora on descriptions of tools and conversations that others published."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from curriculum.built import documents_of
from curriculum.cli_check import _checked
from curriculum.curating import curate_files
from datapipe.engine import InProcess
from synth.export.messages import messages
from synth.render import Call, Turn, parse

MCP = {
    "result": {
        "tools": [
            {"name": name, "description": said, "inputSchema": {"type": "object", "properties": {}, "required": []}}
            for name, said in (("list_orders", "List all open orders"), ("get_weather", "Get the weather of today"))
        ]
    }
}
OPENAPI = """
openapi: 3.0.0
paths:
  /books/{year}:
    get:
      operationId: books_of_year
      summary: Find the books of a year
      parameters: [{name: year, in: path, required: true, schema: {type: integer, minimum: 1900, maximum: 2020}}]
"""


UNTYPED = {"name": "find", "description": "Find notes", "parameters": {"type": "object", "properties": {}}}
TYPED = {**UNTYPED, "parameters": {"type": "object", "properties": {"year": {"type": "integer"}}}}
TALK = [
    Turn("user", "When?"),
    Turn("assistant", calls=(Call("find", {"year": 1843, "author": "Ada"}),)),
    Turn("observation", responses=("1843-09-01",)),
    Turn("assistant", "In September 1843."),
]


def curated(root: Path, name: str) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """(documents by drop reason of the making, kept rows) of a shipped corpus."""
    told = curate_files([name], str(root / "out"), str(root), InProcess(), lambda *_: None)["corpora"][name]
    rows = [row for table in documents_of(str(root / "out"), name) for row in table.to_pylist()]
    assert told["steps"][-1]["documents_out"] == len(rows)
    return told["steps"][0]["reasons"], rows


def test_calls_of_an_api_and_of_a_server(tmp_path: Path) -> None:
    for name, text in (("server/listed.json", json.dumps(MCP, indent=2)), ("shop/openapi.yaml", OPENAPI)):
        (tmp_path / "tools" / name).parent.mkdir(parents=True)
        (tmp_path / "tools" / name).write_text(text)
    _, rows = curated(tmp_path, "calls")
    called = {call.name for row in rows for turn in parse(row["text"]) for call in turn.calls}
    assert called == {"list_orders", "get_weather", "books_of_year"}


@pytest.mark.data
def test_calls_of_described_functions(tmp_path: Path, shared_data: Path) -> None:
    folder = tmp_path / "tools" / "bfcl"
    folder.mkdir(parents=True)
    for file in ("LICENSE", "multi_turn_func_doc/math_api.json", "multi_turn_func_doc/message_api.json"):
        shutil.copy(shared_data / "tooluse" / "bfcl" / file, folder)
    _, rows = curated(tmp_path, "calls")
    assert len(rows) > 50
    assert {row["license"] for row in rows} == {"Apache-2.0"}
    (tally,) = _checked(str(tmp_path / "out"), ["calls"], ["tool_docs"], 0.3, 0, quiet=True).values()
    assert tally.counts["agree"] == tally.counts["checked"] > 10


@pytest.mark.data
def test_conversations_of_others(tmp_path: Path, shared_data: Path) -> None:
    """Real trajectories, two of ours, and records that are no conversation: written as one string, for people to read."""
    folder = tmp_path / "conversations"
    folder.mkdir()
    with gzip.open(shared_data / "multihop" / "webdancer_traj.jsonl.gz", "rb") as lines:
        (folder / "trajectories.jsonl").write_bytes(b"".join(next(lines) for _ in range(8)))
    shutil.copy(next((shared_data / "tooluse" / "tau-bench" / "few_shot_data").iterdir()), folder / "shown.jsonl")
    records = [{"messages": messages(TALK), "tools": [tool]} for tool in (TYPED, UNTYPED)]
    (folder / "ours.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    reasons, rows = curated(tmp_path, "messages")
    assert set(reasons) == {"messages.none", "synth.round_trip"}
    assert (
        reasons["synth.round_trip"] == 1
    )  # the text of a call does not say of what type its arguments are: the tool has to
    assert len(rows) > 8
    ours = [turns for turns in (parse(row["text"]) for row in rows) if turns[0].tools]
    assert [[turn.text for turn in turns if turn.role == "user"] for turns in ours] == [["When?"]]
    assert ours[0][2].calls[0].arguments == {"year": 1843, "author": "Ada"}
    assert list(ours[0][2].calls[0].arguments) == ["year", "author"]
