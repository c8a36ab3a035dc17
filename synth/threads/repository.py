"""All records of one repository, versions of an object merged: what a receiver joins.

Of an object that came several times (an event each time it changed) the latest version counts, key by key: what it does not say
(events carry no diff, a pull request seen as an issue no commits) an earlier one does. A record costs about 1 KB beside the table
it lies in; texts and diffs stay there until they are written.
"""

import dataclasses
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synth.threads.links import Mention


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One object: an issue, a pull request, something said about them, or a commit."""

    rows: tuple[int, ...]  # its versions in the table, the latest first
    origin: str
    type: str
    number: int
    sha: str
    time: str  # ISO 8601, "" when unknown
    author: str | None
    title: str
    reason: str | None  # why it is left out, whatever the others are

    @property
    def order(self) -> tuple[str, str]:
        """By time; the origin settles ties."""
        return self.time, self.origin


class Repository:
    """The records of one repository, by what they are."""

    def __init__(self, table: pa.Table, records: list[Record], replaced: list[Record], names: set[str]) -> None:
        self._table = table
        self.name = min(re.sub(r"^(?:www\.)?github\.com/", "", name).removesuffix(".git") for name in names)
        self.records, self.replaced = records, replaced  # `replaced`: versions that a later one stands for
        self.issues = {one.number: one for one in records if one.type == "issue"}
        self.pulls = {one.number: one for one in records if one.type == "pull"}
        self.commits = {one.sha: one for one in records if one.type == "commit"}
        self.said: defaultdict[int, list[Record]] = defaultdict(
            list
        )  # about an issue or pull request, in the order of time
        for one in sorted(records, key=lambda one: one.order):
            if one.type in ("comment", "review", "review_comment"):
                self.said[one.number].append(one)

    def text(self, record: Record) -> str:
        return str(self._first(record, "text") or "")

    def diff(self, record: Record) -> str:
        return str(self._first(record, "diff") or "")

    def license(self, record: Record) -> str | None:
        return self._first(record, "license")

    def parents(self, record: Record) -> list[list[str]]:
        """The documents of a record: [[id, xxh3-128 of the text], ...], a version each."""
        ids, shas = (self._table[name] for name in ("document", "document_sha"))
        return [[ids[row].as_py(), shas[row].as_py()] for row in record.rows]

    def raw(self, record: Record) -> dict[str, Any] | None:
        return self._first(record, "raw")

    def details(self, record: Record) -> dict[str, Any]:
        """What is rare, from the JSON of its versions. That a pull request was merged is never unsaid."""
        found: dict[str, Any] = {}
        for row in reversed(record.rows):
            was_merged = found.get("state") == "merged"
            found |= json.loads(self._table["details"][row].as_py())
            found |= {"state": "merged"} if was_merged else {}
        return found

    def mentions(self, record: Record) -> list[Mention]:
        """What it names, itself not."""
        found = (Mention(number, closes) for number, closes in self.details(record).get("mentions", ()))
        return [mention for mention in found if mention.number != record.number]

    def thread(self, number: int) -> Record | None:
        return self.pulls.get(number) or self.issues.get(number)

    def _first(self, record: Record, column: str) -> Any:
        """The value of the latest version that has one."""
        values = (self._table[column][row].as_py() for row in record.rows)
        return next((value for value in values if value), None)


def repositories(rows: pa.Table) -> Iterator[Repository]:
    """The repositories of a receiver in the order of names, for any order of the rows."""
    table = rows.combine_chunks()
    order = pc.sort_indices(table, [("repo", "ascending"), ("origin", "ascending")])
    columns = ("repo", "name", "origin", "type", "number", "sha", "time", "author", "title", "reason")
    light = zip(order.to_pylist(), *(table[name].take(order).to_pylist() for name in columns), strict=True)
    for _, of_repo in itertools.groupby(light, key=lambda row: row[1]):
        records: list[Record] = []
        replaced: list[Record] = []
        names: set[str] = set()
        for origin, versions in itertools.groupby(of_repo, key=lambda row: row[3]):
            found = list(versions)
            ordered = _latest_first(table, found) if len(found) > 1 else found
            names |= {row[2] for row in found}
            records.append(_record(origin, ordered))
            replaced += [_record(origin, [row]) for row in ordered[1:]]
        yield Repository(table, records, replaced, names)


def _latest_first(table: pa.Table, versions: list[Any]) -> list[Any]:
    """By the time of the change; equal times by what is written there, so that no order of the input shows."""

    def content(row: Any) -> tuple[str, ...]:
        values = table.slice(row[0], 1).to_pylist()[0]
        has_diff = "1" if values["diff"] else ""
        return (
            values["updated"] or "",
            has_diff,
            *(json.dumps(values[name], sort_keys=True) for name in sorted(values)),
        )

    return sorted(versions, key=content, reverse=True)


def _record(origin: str, versions: list[Any]) -> Record:
    def first(index: int) -> Any:
        return next((row[index] for row in versions if row[index] not in (None, "")), None)

    types = {row[4] for row in versions}
    return Record(
        rows=tuple(row[0] for row in versions),
        origin=origin,
        type="pull" if "pull" in types else versions[0][4],  # an issue that turned out to be a pull request
        number=first(5) or 0,
        sha=first(6) or "",
        time=min((row[7] for row in versions if row[7]), default=""),
        author=first(8),
        title=first(9) or "",
        reason=versions[0][10],
    )
