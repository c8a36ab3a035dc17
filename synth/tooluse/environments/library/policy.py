"""The policy: rules that a call can break, and sentences that bind no call."""

from typing import Any

from synth.render import Call
from synth.tooluse.environment import Act, Done, Rule
from synth.tooluse.rules import confirmed, dollars, forbidden, identified, own_only
from synth.tooluse.state import State

MAX_LOANS, MAX_RENEWALS, MAX_FINES_CENTS = 4, 2, 1_000


def _owner(state: State, call: Call) -> set[Any]:
    owners = {call.arguments["card"]} if "card" in call.arguments else set()
    return owners | {
        row[0] for row in state.rows("SELECT card FROM loans WHERE loan_id = ?", call.arguments.get("loan_id"))
    }


def is_indebted(state: State, given: Any) -> bool:
    return (state.value("SELECT fines_cents FROM members WHERE card = ?", given["card"]) or 0) > MAX_FINES_CENTS


def has_too_many(state: State, given: Any) -> bool:
    return state.value("SELECT COUNT(*) FROM loans WHERE card = ?", given["card"]) >= MAX_LOANS


def is_wanted(state: State, given: Any) -> bool:
    sql = "SELECT COUNT(*) FROM loans JOIN holds USING (title_id) WHERE loan_id = ? AND holds.card <> loans.card"
    return bool(state.value(sql, given["loan_id"]))


def is_renewed(state: State, given: Any) -> bool:
    return (state.value("SELECT renewals FROM loans WHERE loan_id = ?", given["loan_id"]) or 0) >= MAX_RENEWALS


def _not_looked_at(act: Act) -> bool:
    if act.call.name != "renew":
        return False
    title_id = act.state.value("SELECT title_id FROM loans WHERE loan_id = ?", act.call.arguments["loan_id"])
    return not any(
        isinstance(e, Done) and e.call == Call("get_title", {"title_id": title_id}) and e.result.ok for e in act.past
    )


RULES = (
    identified(
        ("find_member",), ("search_titles", "get_title"), "Find the member by card before anything but the catalogue."
    ),
    own_only(
        ("find_member",),
        "card",
        _owner,
        "Loans, holds and fines are between the library and the member: never another's.",
    ),
    confirmed(("pay_fines",), "you book a payment"),
    forbidden("fines", f"Nothing is lent to members with fines above {dollars(MAX_FINES_CENTS)}.", "lend", is_indebted),
    forbidden("too_many", f"A member has at most {MAX_LOANS} loans at a time.", "lend", has_too_many),
    forbidden("waited_for", "A loan is not renewed when another member waits for the title.", "renew", is_wanted),
    Rule("looked_at", "So look at the title before you renew a loan of it.", _not_looked_at),
    forbidden("renewed", f"A loan is renewed at most {MAX_RENEWALS} times.", "renew", is_renewed),
)
NOTES = ("Where no copy of a title is in the house, offer the waiting list.",)
