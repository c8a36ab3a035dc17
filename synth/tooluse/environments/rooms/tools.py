"""What can be done with meetings and rooms: the tables and the tools."""

from typing import Any

from synth.tooluse.state import State
from synth.tooluse.tools import ToolError

SCHEMA = """
CREATE TABLE today (date TEXT);
CREATE TABLE people (person_id TEXT PRIMARY KEY, name TEXT, team TEXT);
CREATE TABLE rooms (room_id TEXT PRIMARY KEY, floor INTEGER, seats INTEGER, screen INTEGER);
CREATE TABLE meetings (meeting_id TEXT PRIMARY KEY, title TEXT, organiser_id TEXT, room_id TEXT, day TEXT, start TEXT, end TEXT);
CREATE TABLE attendees (meeting_id TEXT, person_id TEXT, PRIMARY KEY (meeting_id, person_id));
"""


def find_person(state: State, name: str) -> dict[str, Any]:
    """Find a colleague by full name."""
    found = state.records("SELECT person_id, team FROM people WHERE name = ?", name)
    return found[0] if found else _no(f"nobody is called {name}")


def list_meetings(state: State, person_id: str, day: str) -> list[dict[str, Any]]:
    """List the meetings of a person on a day.

    day: As YYYY-MM-DD.
    """
    sql = """SELECT meeting_id, title, start, end, room_id FROM meetings WHERE day = ? AND (organiser_id = ? OR meeting_id IN
        (SELECT meeting_id FROM attendees WHERE person_id = ?)) ORDER BY start, meeting_id"""
    return state.records(sql, day, person_id, person_id)


def get_meeting(state: State, meeting_id: str) -> dict[str, Any]:
    """Show a meeting: organiser, room, time and who attends."""
    found = state.records("SELECT * FROM meetings WHERE meeting_id = ?", meeting_id)
    if not found:
        raise ToolError(f"no meeting {meeting_id}")
    attending = state.rows("SELECT person_id FROM attendees WHERE meeting_id = ? ORDER BY person_id", meeting_id)
    return found[0] | {"attendees": [row[0] for row in attending]}


def find_rooms(state: State, day: str, start: str, end: str, seats: int) -> list[dict[str, Any]]:
    """List the rooms that are free on a day from start to end, the smallest first.

    start: As HH:MM.
    end: As HH:MM.
    seats: At least so many.
    """
    sql = """SELECT room_id, floor, seats, screen FROM rooms WHERE seats >= ? AND room_id NOT IN
        (SELECT room_id FROM meetings WHERE day = ? AND start < ? AND end > ?) ORDER BY seats, room_id"""
    return state.records(sql, seats, day, end, start)


def book_meeting(
    state: State, title: str, organiser_id: str, room_id: str, day: str, start: str, end: str
) -> dict[str, Any]:
    """Book a room for a new meeting."""
    check_free(state, room_id, day, start, end, "")
    number = int(state.value("SELECT COALESCE(MAX(substr(meeting_id, 2)), 100) FROM meetings")) + 1
    state.rows(
        "INSERT INTO meetings VALUES (?, ?, ?, ?, ?, ?, ?)", f"M{number}", title, organiser_id, room_id, day, start, end
    )
    return {"meeting_id": f"M{number}", "room_id": room_id}


def move_meeting(state: State, meeting_id: str, day: str, start: str, end: str) -> dict[str, Any]:
    """Move a meeting to another time, in the same room."""
    check_free(state, get_meeting(state, meeting_id)["room_id"], day, start, end, meeting_id)
    state.rows("UPDATE meetings SET day = ?, start = ?, end = ? WHERE meeting_id = ?", day, start, end, meeting_id)
    return {"meeting_id": meeting_id, "day": day, "start": start, "end": end}


def change_room(state: State, meeting_id: str, room_id: str) -> dict[str, Any]:
    """Put a meeting into another room."""
    meeting = get_meeting(state, meeting_id)
    check_free(state, room_id, meeting["day"], meeting["start"], meeting["end"], meeting_id)
    state.rows("UPDATE meetings SET room_id = ? WHERE meeting_id = ?", room_id, meeting_id)
    return {"meeting_id": meeting_id, "room_id": room_id}


def add_attendee(state: State, meeting_id: str, person_id: str) -> dict[str, Any]:
    """Invite a person to a meeting."""
    if person_id in get_meeting(state, meeting_id)["attendees"]:
        raise ToolError(f"{person_id} is invited already")
    state.rows("INSERT INTO attendees VALUES (?, ?)", meeting_id, person_id)
    return {"meeting_id": meeting_id, "person_id": person_id, "state": "invited"}


def remove_attendee(state: State, meeting_id: str, person_id: str) -> dict[str, Any]:
    """Take a person off a meeting."""
    if person_id not in get_meeting(state, meeting_id)["attendees"]:
        raise ToolError(f"{person_id} is not invited")
    state.rows("DELETE FROM attendees WHERE meeting_id = ? AND person_id = ?", meeting_id, person_id)
    return {"meeting_id": meeting_id, "person_id": person_id, "state": "removed"}


def cancel_meeting(state: State, meeting_id: str) -> dict[str, Any]:
    """Cancel a meeting and free its room."""
    get_meeting(state, meeting_id)
    state.rows("DELETE FROM meetings WHERE meeting_id = ?", meeting_id)
    state.rows("DELETE FROM attendees WHERE meeting_id = ?", meeting_id)
    return {"meeting_id": meeting_id, "state": "cancelled"}


def _no(missing: str) -> Any:
    raise ToolError(missing)


def check_free(state: State, room_id: str, day: str, start: str, end: str, but: str) -> None:
    if start >= end:
        raise ToolError(f"a meeting from {start} to {end} ends before it starts")
    sql = "SELECT meeting_id FROM meetings WHERE room_id = ? AND day = ? AND start < ? AND end > ? AND meeting_id <> ?"
    taken = state.value(sql, room_id, day, end, start, but)
    if taken or state.row("SELECT 1 FROM rooms WHERE room_id = ?", room_id) is None:
        raise ToolError(f"room {room_id} is not free then: {taken or 'there is no such room'}")
