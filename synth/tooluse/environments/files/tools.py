"""What can be done with files: the tables and the tools."""

import re
from typing import Any

from synth.tooluse.state import State
from synth.tooluse.tools import ToolError

SCHEMA = """
CREATE TABLE today (date TEXT);
CREATE TABLE files (path TEXT PRIMARY KEY, text TEXT);
"""
MAX_LINES, MAX_HITS = 40, 20


def list_files(state: State, folder: str) -> list[dict[str, Any]]:
    """List the files under a folder with their number of lines.

    folder: A path; an empty text is the whole repository.
    """
    prefix = f"{folder.rstrip('/')}/" if folder else ""
    found = state.rows("SELECT path, text FROM files WHERE substr(path, 1, ?) = ? ORDER BY path", len(prefix), prefix)
    return [{"path": path, "lines": len(text.split("\n"))} for path, text in found] or _no(f"no folder {folder}")


def read_file(state: State, path: str, line: int = 1, count: int = MAX_LINES) -> dict[str, Any]:
    """Read lines of a file.

    line: The first one, counted from 1.
    count: How many, at most 40.
    """
    lines = _text(state, path).split("\n")
    return {
        "path": path,
        "text": "\n".join(lines[max(0, line - 1) : max(0, line - 1) + min(count, MAX_LINES)]),
        "lines": len(lines),
    }


def search(state: State, words: str) -> list[dict[str, Any]]:
    """Find the lines of all files that contain a text, at most 20.

    words: Case matters.
    """
    hits = []
    for path, text in state.rows("SELECT path, text FROM files WHERE instr(text, ?) ORDER BY path", words):
        hits += [
            {"path": path, "line": n, "shows": line.strip()[:120]}
            for n, line in enumerate(text.split("\n"), 1)
            if words in line
        ]
    return hits[:MAX_HITS]


def move_file(state: State, path: str, new_path: str) -> dict[str, Any]:
    """Move or rename a file."""
    _text(state, path)
    _unused(state, new_path)
    state.rows("UPDATE files SET path = ? WHERE path = ?", new_path, path)
    return {"path": new_path}


def copy_file(state: State, path: str, new_path: str) -> dict[str, Any]:
    """Copy a file."""
    _unused(state, new_path)
    state.rows("INSERT INTO files VALUES (?, ?)", new_path, _text(state, path))
    return {"path": new_path}


def write_file(state: State, path: str, text: str) -> dict[str, Any]:
    """Write a new file."""
    _unused(state, path)
    state.rows("INSERT INTO files VALUES (?, ?)", path, text)
    return {"path": path, "lines": len(text.split("\n"))}


def replace_text(state: State, path: str, old: str, new: str) -> dict[str, Any]:
    """Replace a text that occurs exactly once in a file."""
    text = _text(state, path)
    if text.count(old) != 1:
        raise ToolError(f"the text occurs {text.count(old)} times in {path}, not once")
    state.rows("UPDATE files SET text = ? WHERE path = ?", text.replace(old, new), path)
    return {"path": path, "replaced": 1}


def set_constant(state: State, path: str, name: str, value: str) -> dict[str, Any]:
    """Give a named number another value.

    path: The file that defines it, once, as NAME = number.
    """
    text, changed = _text(state, path), re.compile(rf"^{re.escape(name)} = (\d+)$", re.M)
    if len(changed.findall(text)) != 1 or not value.isdigit():
        raise ToolError(f"{path} does not define {name} once, or {value} is no number")
    state.rows("UPDATE files SET text = ? WHERE path = ?", changed.sub(f"{name} = {value}", text), path)
    return {"path": path, "defines": f"{name} = {value}"}


def append_line(state: State, path: str, line: str) -> dict[str, Any]:
    """Add a line at the end of a file."""
    text = _text(state, path)
    state.rows(
        "UPDATE files SET text = ? WHERE path = ?",
        text + ("" if text.endswith("\n") or not text else "\n") + line + "\n",
        path,
    )
    return {"path": path, "appended": line}


def delete_file(state: State, path: str) -> dict[str, Any]:
    """Delete a file."""
    _text(state, path)
    state.rows("DELETE FROM files WHERE path = ?", path)
    return {"path": path, "state": "deleted"}


def _no(missing: str) -> Any:
    raise ToolError(missing)


def _text(state: State, path: str) -> str:
    found = state.row("SELECT text FROM files WHERE path = ?", path)
    return found[0] if found else _no(f"no file {path}")


def _unused(state: State, path: str) -> None:
    if state.row("SELECT 1 FROM files WHERE path = ?", path):
        raise ToolError(f"{path} exists already")
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise ToolError(f"{path!r} is no path inside the repository")
