"""Candidates and the log of their review become a corpus: accepted rows as they are, edited ones in their new form, new ones added.

    source: {generator: reviewed, from: [search_candidates], log: reviews.jsonl, unread: keep}

A candidate that one reviewer rejects is dropped, and one that a reviewer doubts waits. What nobody read is kept, or dropped
(`unread: drop`); candidates that ask to be read by a person (no try of a model was right) are dropped until somebody accepts them. Edited
and new rows passed every verifier when they were kept in the log; their reviewers stand in `meta`. All rows meet in one receiver, since a
log holds what people did: tens of thousands of rows, not millions.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from datapipe.schema import DROP
from synth.generators import Generator
from synth.review.log import Entry, decisions, load, verdict
from synth.rows import ROWS, documents

KEY = 0


def emit(docs: pa.Table) -> pa.Table:
    """All rows, to one receiver."""
    rows = pa.Table.from_pylist([{name: row.get(name) for name in ROWS.names} for row in docs.to_pylist()], schema=ROWS)
    return rows.append_column("key", pa.array([KEY] * rows.num_rows, pa.uint64()))


def reduce(rows: pa.Table, *, log: str, unread: str = "keep") -> pa.Table:
    """The reviewed corpus. Reasons: `review.rejected`, `review.unsure`, `review.unread`."""
    decided = decisions(load(log))
    made = [_settled(row, decided.pop(_name(row), {}), unread) for row in rows.drop_columns(["key"]).to_pylist()]
    for by_reviewer in decided.values():  # of no candidate
        last = verdict(by_reviewer)
        if last is not None and last.action == "new" and last.row:
            made.append(_signed(dict(last.row), last))
    return documents(made)


def check(*, log: str = "", unread: str = "keep") -> None:
    """ValueError for what cannot be meant."""
    if unread not in ("keep", "drop"):
        raise ValueError(f"unread is {unread!r}: type keep or drop")
    if not log:
        raise ValueError("log is missing: type the path that `tokenloom synth review --log` wrote")


def _settled(row: dict[str, Any], by_reviewer: Mapping[str, Entry], unread: str) -> dict[str, Any]:
    last = verdict(by_reviewer)
    if last is None:
        waits = bool(by_reviewer) or unread == "drop" or _asks_to_be_read(row)
        return row | {DROP: ("review.unsure" if by_reviewer else "review.unread") if waits else None}
    if last.action == "reject":
        return row | {DROP: f"review.rejected.{last.reason}"}
    return _signed(dict(last.row) if last.row else row, last)


def _signed(row: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """The row with its reviewer."""
    meta = json.loads(row["meta"])
    meta["review"] = {"reviewer": entry.reviewer, "time": entry.time, "action": entry.action}
    return row | {"meta": json.dumps(meta, ensure_ascii=False, sort_keys=True), DROP: None}


def _asks_to_be_read(row: Mapping[str, Any]) -> bool:
    task = json.loads(row["meta"] or "{}").get("task") or {}
    return bool(task.get("review"))


def _name(row: Mapping[str, Any]) -> str:
    """The name of the task, as the log has it."""
    return str(row["origin"]).rpartition(":")[2]


REVIEWED = Generator(emit, reduce, check, files=("log",))
