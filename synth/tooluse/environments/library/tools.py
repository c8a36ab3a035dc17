"""What can be done in a library: the tables and the tools."""

from typing import Any

from synth.tooluse.state import State
from synth.tooluse.tools import ToolError

SCHEMA = """
CREATE TABLE today (date TEXT);
CREATE TABLE titles (title_id TEXT PRIMARY KEY, title TEXT, opening TEXT, shelf TEXT, copies INTEGER);
CREATE TABLE members (card TEXT PRIMARY KEY, name TEXT, fines_cents INTEGER);
CREATE TABLE loans (loan_id TEXT PRIMARY KEY, card TEXT, title_id TEXT, due TEXT, renewals INTEGER);
CREATE TABLE holds (card TEXT, title_id TEXT, PRIMARY KEY (card, title_id));
"""
LOAN_DAYS = 28


def find_member(state: State, card: str) -> dict[str, Any]:
    """Find a member by card number."""
    found = state.records("SELECT card, name, fines_cents FROM members WHERE card = ?", card)
    return found[0] if found else _no(f"no member has the card {card}")


def search_titles(state: State, words: str) -> list[dict[str, Any]]:
    """Search the catalogue.

    words: All of them have to stand in the title or in the opening, in this order.
    """
    sql = """SELECT title_id, title, shelf, copies FROM titles WHERE instr(lower(title), lower(?)) OR instr(lower(opening), lower(?))
        ORDER BY title_id"""
    return state.records(sql, words, words)


def get_title(state: State, title_id: str) -> dict[str, Any]:
    """Show a title: its opening, its shelf, copies in the house, how many wait for it."""
    found = state.records("SELECT * FROM titles WHERE title_id = ?", title_id)
    waiting = state.value("SELECT COUNT(*) FROM holds WHERE title_id = ?", title_id)
    return found[0] | {"waiting": waiting} if found else _no(f"no title {title_id}")


def list_loans(state: State, card: str) -> list[dict[str, Any]]:
    """List what a member has borrowed."""
    sql = "SELECT loan_id, title_id, title, due, renewals FROM loans JOIN titles USING (title_id) WHERE card = ? ORDER BY loan_id"
    return state.records(sql, card)


def list_holds(state: State, card: str) -> list[dict[str, Any]]:
    """List what a member waits for."""
    return state.records(
        "SELECT title_id, title FROM holds JOIN titles USING (title_id) WHERE card = ? ORDER BY title_id", card
    )


def lend(state: State, card: str, title_id: str) -> dict[str, Any]:
    """Lend a copy of a title to a member."""
    if not state.value("SELECT copies FROM titles WHERE title_id = ?", title_id):
        raise ToolError(f"no copy of {title_id} is in the house")
    number = int(state.value("SELECT COALESCE(MAX(substr(loan_id, 2)), 1000) FROM loans")) + 1
    due = state.value("SELECT date(date, ?) FROM today", f"+{LOAN_DAYS} days")
    state.rows("UPDATE titles SET copies = copies - 1 WHERE title_id = ?", title_id)
    state.rows("INSERT INTO loans VALUES (?, ?, ?, ?, 0)", f"L{number}", card, title_id, due)
    return {"loan_id": f"L{number}", "due": due}


def take_back(state: State, loan_id: str) -> dict[str, Any]:
    """Take back what was lent."""
    title_id = state.value("SELECT title_id FROM loans WHERE loan_id = ?", loan_id) or _no(f"no loan {loan_id}")
    state.rows("UPDATE titles SET copies = copies + 1 WHERE title_id = ?", title_id)
    state.rows("DELETE FROM loans WHERE loan_id = ?", loan_id)
    return {"loan_id": loan_id, "title_id": title_id, "state": "returned"}


def renew(state: State, loan_id: str) -> dict[str, Any]:
    """Let a loan be due four weeks later."""
    if state.row("SELECT 1 FROM loans WHERE loan_id = ?", loan_id) is None:
        raise ToolError(f"no loan {loan_id}")
    state.rows(
        "UPDATE loans SET due = date(due, ?), renewals = renewals + 1 WHERE loan_id = ?", f"+{LOAN_DAYS} days", loan_id
    )
    return {"loan_id": loan_id, "due": state.value("SELECT due FROM loans WHERE loan_id = ?", loan_id)}


def place_hold(state: State, card: str, title_id: str) -> dict[str, Any]:
    """Put a member on the waiting list of a title."""
    if state.row("SELECT 1 FROM holds WHERE card = ? AND title_id = ?", card, title_id):
        raise ToolError(f"{card} waits for {title_id} already")
    state.rows("INSERT INTO holds VALUES (?, ?)", card, title_id)
    return {"title_id": title_id, "waiting": state.value("SELECT COUNT(*) FROM holds WHERE title_id = ?", title_id)}


def cancel_hold(state: State, card: str, title_id: str) -> dict[str, Any]:
    """Take a member off the waiting list of a title."""
    if state.row("SELECT 1 FROM holds WHERE card = ? AND title_id = ?", card, title_id) is None:
        raise ToolError(f"{card} does not wait for {title_id}")
    state.rows("DELETE FROM holds WHERE card = ? AND title_id = ?", card, title_id)
    return {"card": card, "title_id": title_id, "state": "off the list"}


def pay_fines(state: State, card: str, amount_cents: int) -> dict[str, Any]:
    """Book a payment towards a member's fines."""
    fines = state.value("SELECT fines_cents FROM members WHERE card = ?", card)
    if fines is None or not 0 < amount_cents <= fines:
        raise ToolError(f"the fines of {card} are {fines} cents, not {amount_cents}")
    state.rows("UPDATE members SET fines_cents = fines_cents - ? WHERE card = ?", amount_cents, card)
    return {"card": card, "fines_cents": fines - amount_cents}


def _no(missing: str) -> Any:
    raise ToolError(missing)
