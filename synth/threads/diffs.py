"""Unified diffs by file: which files they touch, and how much of them is shown."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = re.compile(r"^diff --git .*$", re.MULTILINE)
_INDEX = re.compile(r"^index [0-9a-f]+\.\.[0-9a-f]+.*\n", re.MULTILINE)
_BOTH = re.compile(r'^diff --git (?:"?a/.*"? )?"?b/(.*?)"?$')
_NOT_READ = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|composer\.lock|poetry\.lock|pipfile\.lock|gemfile\.lock"
    r"|cargo\.lock|go\.sum|uv\.lock|flake\.lock|mix\.lock|podfile\.lock)$|\.min\.(?:js|css)$|\.(?:map|svg|ipynb|po|snap)$",
    re.IGNORECASE,
)


class Change(NamedTuple):
    """What a diff does to one file."""

    path: str
    text: str  # headers and hunks, without the hashes of `index`
    added: int  # lines
    removed: int


def changes(diff: str) -> Iterator[Change]:
    """The files of a diff in git's format, in its order. What stands before the first header belongs to none."""
    starts = [match.start() for match in _HEADER.finditer(diff)]
    for start, stop in itertools.pairwise([*starts, len(diff)]):
        text = diff[start:stop]
        head, hunks_begin, hunks = text.partition("\n@@ ")
        added, removed = (hunks.count(f"\n{sign}") for sign in "+-")
        yield Change(_path(head), _INDEX.sub("", head + "\n", count=1)[:-1] + hunks_begin + hunks, added, removed)


def shown(diff: str, *, max_chars: int, max_file_chars: int, max_line_chars: int) -> str:
    """The diff with a mark for each file that is left out: one over a limit, or one that nobody reads (locks, minified files).

    At most `max_chars` characters, plus a line for each file of those left out.
    """
    parts, room = [], max_chars
    for change in changes(diff):
        text = change.text.rstrip("\n")
        is_long = len(text) > min(room, max_file_chars) or len(max(text.split("\n"), key=len)) > max_line_chars
        if is_long or _NOT_READ.search(change.path):
            header = text.split("\n", 1)[0][:max_line_chars]
            text = f"{header}\n[{change.added} lines added and {change.removed} removed, not shown]"
        else:
            room -= len(text)
        parts.append(text)
    return "\n".join(parts)


def _path(head: str) -> str:
    """The path after the change; of a removed file the one before. Quoted paths (tabs, bytes over 127) as git writes them."""
    paths = {line[:4]: line[4:].strip().strip('"') for line in head.split("\n") if line[:4] in ("--- ", "+++ ")}
    for sign in ("+++ ", "--- "):
        path = paths.get(sign, "/dev/null")
        if path != "/dev/null":
            return path[2:] if path[:2] in ("a/", "b/") else path
    match = _BOTH.match(head.split("\n", 1)[0])
    return match[1] if match else ""
