"""The policy: rules that a call can break, and sentences that bind no call."""

from synth.render import Call
from synth.tooluse.environment import Act, Done, Rule
from synth.tooluse.rules import confirmed, looked_at

MAX_OPEN = 4  # issues assigned to one person


def _secure(act: Act) -> bool:
    number = act.call.arguments.get("number")
    return (
        act.call.name == "close_issue"
        and act.state.row("SELECT 1 FROM labels WHERE number = ? AND label = 'security'", number) is not None
    )


def _unexplained(act: Act) -> bool:
    given = act.call.arguments
    if act.call.name != "close_issue" or given.get("reason") != "duplicate":
        return False
    return not any(
        isinstance(e, Done)
        and e.call.name == "comment"
        and e.result.ok
        and e.call.arguments["number"] == given["number"]
        for e in act.past
    )


def _overloaded(act: Act) -> bool:
    sql = "SELECT COUNT(*) FROM issues WHERE assignee = ? AND state = 'open'"
    return act.call.name == "assign" and act.state.value(sql, act.call.arguments.get("login")) >= MAX_OPEN


def _unasked(act: Act) -> bool:
    """Nobody looked how much the assignee has to do."""
    login = act.call.arguments.get("login")
    return act.call.name == "assign" and not any(
        isinstance(e, Done) and e.call == Call("list_issues", {"login": login}) and e.result.ok for e in act.past
    )


RULES = (
    Rule("security", "An issue with the label security is closed by the security team, never by you.", _secure),
    Rule("duplicate", "Before you close a duplicate, comment on it with the number of the other issue.", _unexplained),
    Rule("overloaded", f"Nobody gets an issue who has {MAX_OPEN} open ones.", _overloaded),
    Rule("looked_at_load", "So list the issues of a maintainer before you assign another one.", _unasked),
    looked_at("get_issue", "number", ("close_issue",), "Read an issue before you close it."),
    confirmed(("close_issue",), "you close an issue"),
)
NOTES = ("Labels, milestones and comments need no confirmation.",)
