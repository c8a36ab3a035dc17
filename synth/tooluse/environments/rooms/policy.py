"""The policy: rules that a call can break, and sentences that bind no call."""

from typing import Any

from synth.tooluse.environment import Act, Done, Rule
from synth.tooluse.rules import confirmed, forbidden
from synth.tooluse.state import State

FIRST_HOUR, LAST_HOUR = 8, 18


def _foreign(act: Act) -> bool:
    """A meeting of somebody else: the organiser is not the one whom the assistant looked up first."""
    if act.call.name not in CHANGES or "meeting_id" not in act.call.arguments:
        return False
    first = next(
        (
            e.result.value["person_id"]
            for e in act.past
            if isinstance(e, Done) and e.call.name == "find_person" and e.result.ok
        ),
        "",
    )
    sql = "SELECT 1 FROM attendees WHERE meeting_id = ? AND person_id = ?"
    given = act.call.arguments
    leaves = (
        act.call.name == "remove_attendee"
        and given.get("person_id") == first
        and act.state.row(sql, given["meeting_id"], first)
    )
    return not leaves and act.state.value(
        "SELECT organiser_id FROM meetings WHERE meeting_id = ?", given["meeting_id"]
    ) not in (first, None)


def _seen(act: Act) -> bool:
    given = act.call.arguments
    if act.call.name not in CHANGES or "meeting_id" not in given:
        return False
    shown = [
        e
        for e in act.past
        if isinstance(e, Done)
        and e.call.name == "get_meeting"
        and e.call.arguments.get("meeting_id") == given["meeting_id"]
    ]
    return not any(entry.result.ok for entry in shown)


def is_late(state: State, given: Any) -> bool:
    return given["start"] < f"{FIRST_HOUR:02d}:00" or given["end"] > f"{LAST_HOUR:02d}:00"


CHANGES = ("move_meeting", "change_room", "add_attendee", "remove_attendee", "cancel_meeting")
RULES = (
    Rule(
        "organiser",
        "Only its organiser may change or cancel a meeting, but everybody may leave one. Look up first who is asking.",
        _foreign,
    ),
    Rule("looked_at", "Show a meeting to yourself before you change it.", _seen),
    confirmed(("cancel_meeting", "move_meeting"), "you cancel or move a meeting"),
    forbidden(
        "office_hours", f"Meetings lie between {FIRST_HOUR:02d}:00 and {LAST_HOUR:02d}:00.", "book_meeting", is_late
    ),
    forbidden("office_hours_too", "That holds for moved meetings too.", "move_meeting", is_late),
)
NOTES = ("A room needs a seat for the organiser and one for everybody who is invited. Take the smallest free one.",)
