"""What reviewers decided: a file of JSON lines that only grows. What counts is the last word of each reviewer on each item.

Every line names its reviewer, its time, the item, and the hash of what was on the page. An edited or new question comes with its whole
row, as it passed the verifiers, so that a corpus can be built from the log and the candidates alone (`synth.review.reviewed`). An undone
line stays where it is; another line takes it back. A line that was cut off by a kill is skipped. Several pages may write one file.
"""

import datetime
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datapipe import store

Action = Literal["accept", "edit", "new", "reject", "unsure", "fact", "undo"]
DECISIONS: tuple[Action, ...] = ("accept", "edit", "new", "reject", "unsure")
REASONS = ("wrong_answer", "several_answers", "unclear", "unnatural", "too_easy", "not_worth_asking", "harmful")


class Entry(NamedTuple):
    """One line. `number` counts the lines of the file from 0."""

    number: int
    time: str  # ISO 8601, UTC
    reviewer: str
    item: str  # the name of a task; of a fact its page
    action: Action
    seen: str = ""  # the name of the task as it was on the page, which an edit changes
    reason: str = ""  # of a rejection, one of REASONS
    row: Mapping[str, Any] | None = None  # of `edit` and `new`: the document
    fact: Mapping[str, Any] | None = None
    undoes: int | None = None  # number of the line that is taken back


class Log:
    """The log at `path`, a local file; read anew whenever it is asked."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def entries(self) -> list[Entry]:
        return list(read(self.path.read_bytes())) if self.path.exists() else []

    def add(self, reviewer: str, item: str, action: str, **more: Any) -> None:
        """Appends a line and synchronises it to the disk."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps(
            {"time": now, "reviewer": reviewer, "item": item, "action": action, **more}, ensure_ascii=False
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END) and _last_byte(file.fileno()) != b"\n":
                file.write(b"\n")
            file.write(line.encode("utf-8", "backslashreplace") + b"\n")
            file.flush()
            os.fsync(file.fileno())


def load(path: str) -> list[Entry]:
    """The entries of a log, local or on S3. Raises StoreError when it cannot be read."""
    return list(read(store.read_bytes(path)))


def read(data: bytes) -> Iterator[Entry]:
    """The entries in the bytes of a log; lines that are not whole are skipped, but counted in the numbers."""
    for number, line in enumerate(data.splitlines()):
        try:
            entry = Entry(number, **json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if _is_whole(entry):
            yield entry


def _is_whole(entry: Entry) -> bool:
    """Whether everything in an entry is what it should be: a log may have been written by hand."""
    fact = {"relation": str, "object": str, "is_page": bool, "start": int, "length": int}
    return (
        all(isinstance(value, str) for value in entry[1:7])
        and (entry.row is None or _holds(entry.row, {"id": str, "text": str, "origin": str, "meta": str}))
        and (_holds(entry.fact, fact) if entry.action == "fact" else entry.fact is None)
        and isinstance(entry.undoes, int | None)
    )


def _holds(members: object, kinds: Mapping[str, type]) -> bool:
    return isinstance(members, Mapping) and all(isinstance(members.get(name), kind) for name, kind in kinds.items())


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """The entries that nobody took back, in order."""
    given = list(entries)
    undone = {entry.undoes for entry in given if entry.action == "undo"}
    return [entry for entry in given if entry.action != "undo" and entry.number not in undone]


def decisions(entries: Iterable[Entry]) -> dict[str, dict[str, Entry]]:
    """item -> reviewer -> the reviewer's last decision."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in standing(entries):
        if entry.action in DECISIONS:
            found.setdefault(entry.item, {})[entry.reviewer] = entry
    return found


def verdict(by_reviewer: Mapping[str, Entry]) -> Entry | None:
    """What holds of an item: one rejection rejects it, one doubt leaves it open (None); else an edit before an acceptance."""
    last = sorted(by_reviewer.values(), key=lambda entry: entry.number)
    for action in ("reject", "unsure", "edit", "new", "accept"):
        chosen = [entry for entry in last if entry.action == action]
        if chosen:
            return None if action == "unsure" else chosen[-1]
    return None


def _last_byte(descriptor: int) -> bytes:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1)
