"""Unified diffs of a repository's files, as `git diff` writes them: made, read, and applied exactly.

A patch is applied where its context stands, at its lines and nowhere near them; anything else is a `PatchError`. Both sides are texts:
no binary files, no modes, no renames (which git writes as extended headers: refused).
"""

import difflib
import re
from collections.abc import Iterator, Mapping

_NO_NEWLINE = "\\ No newline at end of file\n"
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_UNREADABLE = re.compile(r"(?m)^(?:rename|copy) from |^Binary files |^GIT binary patch")


class PatchError(ValueError):
    """A patch cannot be read, or its context is not that of the file."""


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The patch from one state of files to another, files by name; a file that is only in one of them is added or removed."""
    parts = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        from_name, to_name = (
            (f"a/{path}" if old is not None else "/dev/null"),
            (f"b/{path}" if new is not None else "/dev/null"),
        )
        parts.append(f"diff --git a/{path} b/{path}\n")
        parts += [
            _ended(line) for line in difflib.unified_diff(_lines(old or ""), _lines(new or ""), from_name, to_name)
        ]
    return "".join(parts)


def apply(patch: str, files: Mapping[str, str]) -> dict[str, str | None]:
    """The files that `patch` changes, in their new text; None: removed. PatchError where it does not fit `files`."""
    if found := _UNREADABLE.search(patch):
        raise PatchError(f"{found[0]!r}: only changes of text files without renames can be applied")
    changed: dict[str, str | None] = {}
    for old, new, hunks in _files(patch):
        path = new if new is not None else old
        if path is None or path in changed or (old is not None and new is not None and old != new):
            raise PatchError(f"the header of {old or new} names no file, or one that was there before")
        before = "" if old is None else files.get(old)
        if before is None or (old is None and path in files):
            raise PatchError(f"{path} is {'there already' if old is None else 'not there'}")
        after = _applied(path, _lines(before), hunks)
        changed[path] = None if new is None else after
    return changed


def paths(patch: str) -> list[str]:
    """The files that a patch names."""
    return [path for old, new, _ in _files(patch) if (path := new or old) is not None]


def changed_lines(patch: str, signs: str = "+-") -> list[str]:
    """The text of added lines, removed lines, or both."""
    lines = [line for line in patch.split("\n") if line and not line.startswith(("+++ ", "--- "))]
    return [line[1:] for line in lines if line[0] in signs]


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}"


def _files(patch: str) -> Iterator[tuple[str | None, str | None, list[list[str]]]]:
    """(old path, new path, hunks of lines with their headers) of every file."""
    lines = _lines(patch)
    at = 0
    while at < len(lines):
        if not (lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")):
            at += 1
            continue
        old, new = _path(lines[at], "a/"), _path(lines[at + 1], "b/")
        at += 2
        hunks = []
        while at < len(lines) and (header := _HUNK.match(lines[at])):
            begin, (wanted_old, wanted_new) = at, (int(header[group] or 1) for group in (2, 4))
            at += 1
            while at < len(lines) and (wanted_old > 0 or wanted_new > 0 or lines[at].startswith("\\")):
                wanted_old -= lines[at][0] in " -\n"
                wanted_new -= lines[at][0] in " +\n"
                at += 1
            if wanted_old or wanted_new:
                raise PatchError(f"a hunk is shorter or longer than it says: {lines[begin].strip()}")
            hunks.append(lines[begin:at])
        yield old, new, hunks


def _path(line: str, prefix: str) -> str | None:
    name = line[4:].rstrip("\n").partition("\t")[0]
    return None if name == "/dev/null" else name.removeprefix(prefix)


def _applied(path: str, lines: list[str], hunks: list[list[str]]) -> str:
    made: list[str] = []
    at = 0  # lines of the old text that are done
    for header, *body in hunks:
        found = _HUNK.match(header)
        assert found is not None
        start = int(found[1]) - (found[2] != "0")
        old, new = _sides(body)
        if start < at or lines[start : start + len(old)] != old:
            raise PatchError(f"{path}: line {start + 1} and the next are not as the patch has them: {header.strip()}")
        made += [*lines[at:start], *new]
        at = start + len(old)
    return "".join([*made, *lines[at:]])


def _sides(body: list[str]) -> tuple[list[str], list[str]]:
    """The old and the new lines of a hunk."""
    old: list[str] = []
    new: list[str] = []
    for index, line in enumerate(body):
        if line.startswith("\\"):
            continue
        text = line[1:] if line != "\n" else line
        if index + 1 < len(body) and body[index + 1].startswith("\\"):
            text = text.removesuffix("\n")
        if line[0] in " -\n":
            old.append(text)
        if line[0] in " +\n":
            new.append(text)
    return old, new
