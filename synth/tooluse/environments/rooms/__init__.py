"""A company's assistant for meetings and rooms. Nobody has to prove who they are, but only an organiser may change a meeting."""

import datetime
from collections.abc import Sequence

from synth.draw import Draw
from synth.tooluse.environment import Environment, Source, World
from synth.tooluse.environments import names
from synth.tooluse.environments.rooms.policy import FIRST_HOUR, NOTES, RULES
from synth.tooluse.environments.rooms.tools import (
    SCHEMA,
    add_attendee,
    book_meeting,
    cancel_meeting,
    change_room,
    find_person,
    find_rooms,
    get_meeting,
    list_meetings,
    move_meeting,
    remove_attendee,
)
from synth.tooluse.environments.rooms.wishes import SLOTS, TITLES, book, cancel, invite, leave, move, person, where
from synth.tooluse.state import State
from synth.tooluse.tools import tools

TEAMS = ("design", "sales", "platform", "legal", "research", "support")
ROOM_NAMES = ("Aspen", "Birch", "Cypress", "Dogwood", "Elder", "Fir", "Ginkgo", "Hazel", "Ivy")


def populate(draw: Draw, sources: Sequence[Source]) -> World | None:
    """Nine to twelve people, nine rooms, and five to eight meetings on each of three days."""
    today = datetime.date(2026, 1 + draw.below(11, "month"), 1 + draw.below(26, "day"))
    people = [
        [name.lower().replace(" ", "."), name, draw.pick(TEAMS, "team", name)]
        for name in names.names(draw, 9 + draw.below(4, "n"))
    ]
    rooms = [
        [room, 1 + draw.below(4, "floor", room), 2 + 2 * draw.below(6, "seats", room), draw.below(2, "screen", room)]
        for room in ROOM_NAMES
    ]
    state = State(
        SCHEMA,
        {
            "today": [[today.isoformat()]],
            "people": people,
            "rooms": rooms,
            "meetings": [["M100", "", "", "", "", "", ""]],
        },
    )
    for day in range(3):
        for number, title in enumerate(draw.shuffled(TITLES, "titles", day)[: 5 + draw.below(4, "meetings", day)]):
            what = (day, number)
            invited = [row[0] for row in draw.shuffled(people, "invited", *what)[: 2 + draw.below(3, "size", *what)]]
            hour, half = FIRST_HOUR + draw.below(9, "hour", *what), draw.pick(("00", "30"), "half", *what)
            when = (
                (today + datetime.timedelta(days=day + 1)).isoformat(),
                f"{hour:02d}:{half}",
                f"{hour + 1:02d}:{half}",
            )
            free = [room for room in find_rooms(state, *when, len(invited)) if room["seats"] >= len(invited)]
            if free:
                booked = book_meeting(state, title, invited[0], draw.pick(free[:3], "room", *what)["room_id"], *when)
                for person_id in invited[1:]:
                    add_attendee(state, booked["meeting_id"], person_id)
    state.rows("DELETE FROM meetings WHERE meeting_id = 'M100'")
    return World(state.dump(), license="CC0-1.0")


ROOMS = Environment(
    "rooms", "You are the assistant of a company for meetings and rooms.", SCHEMA,
    tools((find_person, list_meetings, get_meeting, find_rooms),
          (book_meeting, move_meeting, change_room, add_attendee, remove_attendee, cancel_meeting)),
    RULES, populate, person, (book, move, cancel, invite, leave, where), SLOTS, NOTES,
)  # fmt: skip
