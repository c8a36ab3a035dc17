"""Conversations of others as rows: what is read, what is refused and why, and the order of rows does not matter."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from datapipe.schema import DROP, documents
from synth.messages import MESSAGES
from synth.render import parse

TALK = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "reasoning_content": "t"}]}
TWO = {"messages": [*TALK["messages"], *TALK["messages"]]}
RECORDS = [json.dumps(TALK), json.dumps(TWO), "[1]", "{", json.dumps({"messages": [{"role": "robot"}]}), "[" * 100_000]


def rows(texts: list[str], **params: str) -> pa.Table:
    docs = documents(
        [{"text": text, "origin": f"f#{n}", "license": "MIT", "kind": "agent"} for n, text in enumerate(texts)]
    )
    return MESSAGES.reduce(MESSAGES.emit(docs), **params)


def test_records_become_rows_or_have_a_reason() -> None:
    made = rows(RECORDS, author="glm")
    reasons = Counter(made[DROP].to_pylist())
    assert reasons == {None: 3, "messages.json": 3, "messages.role": 1}
    for row in made.to_pylist():
        meta = json.loads(row["meta"])
        assert (meta["author"], meta["generator"], row["license"]) == ("glm", "messages", "MIT")
        if row[DROP] is None:
            assert parse(row["text"])[-1].think == "t"
    assert MESSAGES.reduce(MESSAGES.emit(documents([]))).num_rows == 0


def test_the_order_of_records_does_not_matter() -> None:
    docs = documents([{"text": text, "origin": f"f#{n}", "kind": "agent"} for n, text in enumerate(RECORDS)])
    emitted = MESSAGES.emit(docs)
    assert MESSAGES.reduce(emitted.take(pa.array([5, 3, 0, 4, 1, 2]))).equals(MESSAGES.reduce(emitted))


@pytest.mark.data
def test_real_trajectories(shared_data: Path) -> None:
    with gzip.open(shared_data / "multihop" / "webdancer_traj.jsonl.gz", "rt") as lines:
        made = rows([line for line, _ in zip(lines, range(50), strict=False)])
    assert made.filter(pc.is_null(made[DROP])).num_rows >= 50
