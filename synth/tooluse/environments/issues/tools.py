"""What can be done with issues: the tables and the tools."""

from typing import Any, Literal

from synth.tooluse.state import State
from synth.tooluse.tools import ToolError

SCHEMA = """
CREATE TABLE today (date TEXT);
CREATE TABLE people (login TEXT PRIMARY KEY, name TEXT, team TEXT);
CREATE TABLE milestones (milestone TEXT PRIMARY KEY, due TEXT);
CREATE TABLE issues (number INTEGER PRIMARY KEY, title TEXT, body TEXT, path TEXT, state TEXT, assignee TEXT, milestone TEXT);
CREATE TABLE labels (number INTEGER, label TEXT, PRIMARY KEY (number, label));
CREATE TABLE comments (number INTEGER, text TEXT);
"""
LABELS = ("bug", "docs", "performance", "question", "good first issue", "security", "regression", "tests")
Label = Literal["bug", "docs", "performance", "question", "good first issue", "security", "regression", "tests"]


def search_issues(state: State, words: str) -> list[dict[str, Any]]:
    """Find issues by words of their title or of the path they are about."""
    sql = "SELECT number, title, state FROM issues WHERE instr(lower(title), lower(?)) OR instr(lower(path), lower(?)) ORDER BY number"
    return state.records(sql, words, words)


def get_issue(state: State, number: int) -> dict[str, Any]:
    """Show an issue with its labels and comments."""
    found = state.records("SELECT * FROM issues WHERE number = ?", number)
    if not found:
        raise ToolError(f"no issue {number}")
    labels = [row[0] for row in state.rows("SELECT label FROM labels WHERE number = ? ORDER BY label", number)]
    comments = [row[0] for row in state.rows("SELECT text FROM comments WHERE number = ? ORDER BY text", number)]
    return found[0] | {"labels": labels, "comments": comments}


def list_issues(state: State, login: str) -> list[dict[str, Any]]:
    """List the open issues of an assignee."""
    return state.records(
        "SELECT number, title, milestone FROM issues WHERE assignee = ? AND state = 'open' ORDER BY number", login
    )


def find_person(state: State, name: str) -> dict[str, Any]:
    """Find a maintainer by full name."""
    found = state.records("SELECT login, team FROM people WHERE name = ?", name)
    return found[0] if found else _no(f"nobody is called {name}")


def list_milestones(state: State) -> list[dict[str, Any]]:
    """List the milestones with their dates."""
    return state.records("SELECT milestone, due FROM milestones ORDER BY due")


def open_issue(state: State, title: str, body: str, path: str) -> dict[str, Any]:
    """Open a new issue.

    path: The file that it is about.
    """
    number = state.value("SELECT COALESCE(MAX(number), 0) + 1 FROM issues")
    state.rows("INSERT INTO issues VALUES (?, ?, ?, ?, 'open', NULL, NULL)", number, title, body, path)
    return {"number": number, "state": "open"}


def assign(state: State, number: int, login: str) -> dict[str, Any]:
    """Give an issue to a maintainer."""
    _open(state, number)
    if state.row("SELECT 1 FROM people WHERE login = ?", login) is None:
        raise ToolError(f"nobody has the login {login}")
    state.rows("UPDATE issues SET assignee = ? WHERE number = ?", login, number)
    return {"number": number, "assignee": login}


def add_label(state: State, number: int, label: Label) -> dict[str, Any]:
    """Add a label to an issue."""
    _open(state, number)
    if state.row("SELECT 1 FROM labels WHERE number = ? AND label = ?", number, label):
        raise ToolError(f"issue {number} has the label {label} already")
    state.rows("INSERT INTO labels VALUES (?, ?)", number, label)
    return {"number": number, "label": label}


def remove_label(state: State, number: int, label: Label) -> dict[str, Any]:
    """Take a label off an issue."""
    if state.row("SELECT 1 FROM labels WHERE number = ? AND label = ?", number, label) is None:
        raise ToolError(f"issue {number} has no label {label}")
    state.rows("DELETE FROM labels WHERE number = ? AND label = ?", number, label)
    return {"number": number, "label": label, "state": "removed"}


def set_milestone(state: State, number: int, milestone: str) -> dict[str, Any]:
    """Plan an issue for a milestone."""
    _open(state, number)
    if state.row("SELECT 1 FROM milestones WHERE milestone = ?", milestone) is None:
        raise ToolError(f"no milestone {milestone}")
    state.rows("UPDATE issues SET milestone = ? WHERE number = ?", milestone, number)
    return {"number": number, "milestone": milestone}


def comment(state: State, number: int, text: str) -> dict[str, Any]:
    """Comment on an issue."""
    get_issue(state, number)
    state.rows("INSERT INTO comments VALUES (?, ?)", number, text)
    return {"number": number, "text": text}


def close_issue(state: State, number: int, reason: Literal["fixed", "duplicate", "not planned"]) -> dict[str, Any]:
    """Close an issue."""
    _open(state, number)
    state.rows("UPDATE issues SET state = 'closed: ' || ? WHERE number = ?", reason, number)
    return {"number": number, "state": f"closed: {reason}"}


def _no(missing: str) -> Any:
    raise ToolError(missing)


def _open(state: State, number: int) -> None:
    if get_issue(state, number)["state"] != "open":
        raise ToolError(f"issue {number} is closed")
