"""Rows of the generators, their documents, and rows that were tampered with: for the tests of the checkers."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from synth.checker.checkers import checked
from synth.checker.row import Document, Documents

Stored = dict[str, Any]


def library(docs: pa.Table, corpus: str = "pages") -> Documents:
    """Documents of one corpus."""
    rows = docs.to_pylist()
    return Documents(
        Document(row["id"], row["text"], row["origin"], row.get("kind") or "web", row["license"], row["meta"], corpus)
        for row in rows
    )


def accepted(table: pa.Table) -> list[Stored]:
    return [row for row in table.to_pylist() if row["drop_reason"] is None]


def task_of(row: Stored) -> dict[str, Any]:
    return dict(json.loads(row["meta"])["task"])


def wrong(row: Stored, documents: Documents) -> str:
    """All disagreements about a row as one text, "" for none."""
    found = checked(row, documents).disagreements
    assert found is not None, "no checker"
    return "\n".join(found)


def edited(row: Stored, change: Callable[[dict[str, Any]], None] = lambda meta: None, **columns: Any) -> Stored:
    """A copy of a row with other columns, and `change` made to what its `meta` says."""
    made = copy.deepcopy(row) | columns
    meta = json.loads(made["meta"])
    change(meta)
    return made | {"meta": json.dumps(meta)}


def in_task(row: Stored, change: Callable[[dict[str, Any]], None]) -> Stored:
    return edited(row, lambda meta: change(meta["task"]))


def said(row: Stored, old: str, new: str, count: int = -1) -> Stored:
    """A copy whose text says something else, of the same length, so that loss spans still lie where they lay."""
    assert old in row["text"], old
    assert len(old) == len(new)
    return {**row, "text": row["text"].replace(old, new, count)}
