"""Commits as documents: message, blank line, diff (from git_history.py).

On the first-parent line a merge is one change against its first parent, what was merged; with `all` commits it has no diff. Renames are
found, among up to 100 files a commit. Left out of the diff and counted in `meta.left_out`: binary files and those over 1 MiB, vendored,
generated and minified ones by their path. `meta` names the paths of all files touched. Authors are named, addresses are not kept.

Counted: `commit.bot` (by the author's name or address), `commit.empty` (nothing changed, or nothing of which a diff is shown),
`commit.too_large` (the diff; or, before anything is left out, 16 MiB, 10,000 files or a file over 8 MiB), `commit.shallow` (where a shallow
clone was cut, a commit would seem to add every file), `commit.damaged` (an object is damaged or was not fetched), and once, for all from
the commit before a damaged one on, `commit.history_damaged`.
"""

import contextlib
import datetime
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from datapipe.readers import git_history, roles, source_file
from datapipe.readers.git_history import History
from datapipe.readers.repository import Repository
from datapipe.readers.split import Row
from datapipe.schema import code_origin

LEFT_OUT = frozenset({"vendored", "generated", "minified"})  # roles
_CHANGE = re.compile(
    rb":(\d{6}) (\d{6}) [0-9a-f.]+ [0-9a-f.]+ (?:[RC]\d*\0(?P<before>[^\0]+)\0(?P<after>[^\0]+)|(?P<letter>[A-Z])\d*\0(?P<path>[^\0]+))\0"
)
_FILE_DIFF = re.compile(rb"^(?=diff --git )", re.MULTILINE)  # a line of content begins with a blank, +, - or backslash
_HASHES = re.compile(rb"^index [0-9a-f]+\.\.[0-9a-f]+(?: \d+)?\n", re.MULTILINE)
_BOT = re.compile(
    r"\[bot\]|\b(dependabot|renovate|greenkeeper|pyup|snyk|github-actions|pre-commit-ci|semantic-release|weblate|transifex|allcontributors)\b"
    r"|(^|[-_ ])(bot|autoroll|autoroller)$",
    re.IGNORECASE,
)


class Options(NamedTuple):
    context_lines: int
    max_diff_bytes: int


class Commit(NamedTuple):
    """What git says about a commit. `diff` has the changes of files, in the order of `changes`."""

    sha: str
    parents: list[str]
    author: str
    address: str
    time: str | None
    message: str
    changes: list[re.Match[bytes]]
    diffs: list[bytes]


def read(
    history: History, about: Repository, env: Mapping[str, str], container: str, options: Options
) -> Iterator[Row]:
    """A row per commit of the history. `about` has the name and the licence of the repository."""
    for sha, record in git_history.records(history, env, context_lines=options.context_lines):
        row = {"drop_reason": f"commit.{record}"} if isinstance(record, str) else _row(record, about, options)
        part = "#history" if record == "history_damaged" else ""
        origin = code_origin(about.name or "", sha, "").removesuffix(":") + part
        yield {"origin": origin, "kind": "thread", "raw": {"file": container, "offset": None, "length": None}, **row}


def _row(record: bytes, about: Repository, options: Options) -> Row:
    commit = _parsed(record)
    if commit is None:
        return {"drop_reason": "commit.damaged"}
    if _BOT.search(commit.author) or _BOT.search(commit.address.partition("@")[0]):
        return {"drop_reason": "commit.bot"}
    left_out: Counter[str] = Counter()
    diff = b"".join(_shown(commit, left_out))
    is_merge = len(commit.parents) > 1
    if not diff and not is_merge:
        return {"drop_reason": "commit.empty"}
    if len(diff) > options.max_diff_bytes:
        return {"drop_reason": "commit.too_large"}
    meta = {
        "type": "commit",
        "repo": about.name,
        "sha": commit.sha,
        "parents": commit.parents,
        "author": commit.author,
        "time": commit.time,
        "message_chars": len(commit.message),
        "files": sorted({source_file.readable(path) for change in commit.changes for path in _paths(change)}),
        "is_merge": is_merge,
        "left_out": dict(sorted(left_out.items())),
        **(about.license.meta() if about.license else {}),
    }
    text = f"{commit.message}\n\n{diff.decode('utf-8', 'replace')}" if diff else commit.message
    return {"text": text, "license": about.license.spdx if about.license else None, "meta": json.dumps(meta)}


def _parsed(record: bytes) -> Commit | None:
    """None when the record is not of the form that was asked for: a tree object lists a path twice, for instance."""
    sha, parents, author, address, time, message, rest = (*record.split(b"\0", 6), *[b""] * 7)[:7]
    changes, position = [], len(rest) - len(rest.lstrip(b"\0\n"))
    while change := _CHANGE.match(rest, position):
        changes.append(change)
        position = change.end()
    diffs = [piece for piece in _FILE_DIFF.split(rest[position + 1 :]) if piece]
    if len(diffs) != sum(_num_diffs(change) for change in changes):
        return None
    return Commit(
        sha.decode(),
        parents.decode().split(),
        author.decode("utf-8", "replace"),
        address.decode("utf-8", "replace"),
        _utc(time),
        message.decode("utf-8", "replace").replace("\0", "").strip("\n"),
        changes,
        diffs,
    )


def _num_diffs(change: re.Match[bytes]) -> int:
    """A file that becomes a link, or the reverse, is shown as removed and as added."""
    return 2 if change["letter"] == b"T" else 1


def _paths(change: re.Match[bytes]) -> list[bytes]:
    return [path for path in (change["path"], change["before"], change["after"]) if path]


def _shown(commit: Commit, left_out: Counter[str]) -> Iterator[bytes]:
    """The diffs that make the document; the others are counted."""
    diffs = iter(commit.diffs)
    for change in commit.changes:
        pieces = list(islice(diffs, _num_diffs(change)))
        role = roles.role_of(source_file.readable(_paths(change)[-1]), "", None)
        is_binary = any(b"\nBinary files " in piece for piece in pieces)
        if role in LEFT_OUT or is_binary:
            left_out[role if role in LEFT_OUT else "binary"] += 1
        else:
            yield from (_HASHES.sub(b"", piece, count=1) for piece in pieces)


def _utc(seconds: bytes) -> str | None:
    """ISO 8601; None for what no calendar has."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return None
