"""What people want with meetings and rooms, and how they say it."""

import datetime
from typing import Any

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environment import Facts, Holds, Slot, Wish
from synth.tooluse.environments.rooms.policy import FIRST_HOUR, is_late
from synth.tooluse.environments.rooms.tools import check_free, find_rooms, get_meeting
from synth.tooluse.state import State
from synth.tooluse.tools import ToolError

TITLES = (
    "Budget review", "Roadmap", "Weekly sync", "Hiring round", "Incident follow-up", "Design critique", "Contract talk", "Quarter planning",
    "Release check", "Customer call", "Onboarding", "Security briefing", "Retrospective", "Data audit",
)  # fmt: skip


def person(state: State, draw: Draw) -> Facts:
    sql = "SELECT person_id AS me, name FROM people JOIN meetings ON organiser_id = person_id GROUP BY person_id ORDER BY person_id"
    return draw.pick(state.records(sql), "who")


def _case(state: State, draw: Draw, me: Facts, what: str, mine: bool = True) -> dict[str, Any] | None:
    """A meeting that the person organises, or attends, known by its day and title."""
    of = "organiser_id = ?" if mine else "meeting_id IN (SELECT meeting_id FROM attendees WHERE person_id = ?)"
    found = state.records(f"SELECT * FROM meetings WHERE {of} ORDER BY meeting_id", me["me"])
    return draw.pick(found, "meeting", what) if found else None


def _wish(me: Facts, case: dict[str, Any], **fields: Any) -> Wish:
    facts = {"name": me["name"], "title": case["title"], "day": case["day"], **fields.pop("facts", {})}
    look: tuple[Call, ...] = (
        Call("find_person", {"name": me["name"]}),
        Call("list_meetings", {"person_id": me["me"], "day": case["day"]}),
    )
    if fields.pop("opened", True):
        look += (Call("get_meeting", {"meeting_id": case["meeting_id"]}),)
    return Wish(facts=facts, look=(*look, *fields.pop("look", ())), **fields)


def _time(draw: Draw, state: State, *what: Any) -> dict[str, str]:
    """An hour in office hours, now and then one outside."""
    hour = (
        draw.pick((18, 19, 6), "late", *what)
        if draw.chance(25, "is late", *what)
        else FIRST_HOUR + draw.below(9, "hour", *what)
    )
    days = draw.below(4, "day", *what) + 1
    day = datetime.date.fromisoformat(state.value("SELECT date FROM today")) + datetime.timedelta(days=days)
    return {"day": day.isoformat(), "start": f"{hour:02d}:00", "end": f"{hour + 1:02d}:00"}


_OUTSIDE: dict[str, Any] = {
    "thought": "[{start} to {end} is outside of office hours; the policy does not allow it.|The policy keeps meetings between "
    "08:00 and 18:00.]",
    "done": "[I'm sorry, meetings lie between 08:00 and 18:00; {start} to {end} is not possible.|That is outside of 08:00 to "
    "18:00, so I must not do it.]",
}


def book(state: State, draw: Draw, me: Facts) -> Wish | None:
    when, title = (
        _time(draw, state, "book"),
        f"{draw.pick(TITLES, 'title')} {draw.pick(('II', 'extra', 'follow-up', 'prep'), 'kind')}",
    )
    seats = 2 + draw.below(6, "seats")
    rooms = find_rooms(state, **when, seats=seats)
    if not rooms:
        return None
    call = Call("book_meeting", {"title": title, "organiser_id": me["me"], "room_id": rooms[0]["room_id"], **when})
    facts = {"name": me["name"], "title": title, "seats": seats, **when}
    ask = (
        "[I'm {name}.|This is {name}.|{name} here.] [Please book|I need|Can you find me] a room for “{title}” on {day}, "
        "{start} to {end}, [for {seats} people|{seats} seats]."
    )
    who = Call("find_person", {"name": me["name"]})
    if is_late(state, when):
        return Wish("refusal", "book_late", ask, facts, refused=call, rule="office_hours", **_OUTSIDE)
    return Wish(
        "write", "book_meeting", ask, facts, look=(who, Call("find_rooms", {**when, "seats": seats})), gold=(call,),
        needs=(rooms[0]["room_id"],),
        goal=(Holds("SELECT organiser_id, room_id, day, start, end FROM meetings WHERE title = ?", (title,),
                    ((me["me"], rooms[0]["room_id"], *when.values()),)),),
        thought=f"[{rooms[0]['room_id']} has {rooms[0]['seats']} seats: the smallest one that is free.|Free and large enough, "
                f"the smallest is {rooms[0]['room_id']}.]",
        done=f"[“{{title}}” is booked in {rooms[0]['room_id']}.|You have {rooms[0]['room_id']} on {{day}} from {{start}}.]",
    )  # fmt: skip


def move(state: State, draw: Draw, me: Facts) -> Wish | None:
    case, when = _case(state, draw, me, "move"), _time(draw, state, "move")
    if case is None:
        return None
    facts = {"new_day": when["day"], "start": when["start"], "end": when["end"]}
    call = Call("move_meeting", {"meeting_id": case["meeting_id"], **when})
    to = "[{start} to {end}|{start}, until {end}]" if when["day"] == case["day"] else "{new_day}, {start} to {end}"
    ask = f"[This is {{name}}.|{{name}} here.|I'm {{name}}.] [Move|Please move|Can you shift] my meeting “{{title}}” on {{day}} to {to}."
    if is_late(state, when):
        return Wish("refusal", "move_late", ask, {"name": me["name"], "title": case["title"], "day": case["day"], **facts},
                    look=(Call("find_person", {"name": me["name"]}), Call("list_meetings", {"person_id": me["me"], "day": case["day"]})),
                    needs=(case["meeting_id"],), refused=call, rule="office_hours_too", **_OUTSIDE)  # fmt: skip
    try:
        check_free(state, case["room_id"], when["day"], when["start"], when["end"], case["meeting_id"])
    except ToolError:
        return None
    return _wish(
        me, case, kind="write", name="move_meeting", facts=facts, ask=ask, gold=(call,),
        goal=(Holds("SELECT day, start, end FROM meetings WHERE meeting_id = ?", (case["meeting_id"],), (tuple(when.values()),)),),
        will=f"[move {case['meeting_id']} (“{{title}}”) to {{new_day}}, {{start}} to {{end}}|put “{{title}}”, "
             f"{case['meeting_id']}, on {{new_day}} from {{start}} to {{end}}]",
        thought=f"[{{name}} organises {case['meeting_id']}, so moving it is theirs to decide.|{case['meeting_id']} is "
                f"organised by {me['me']}, who asks.]",
        done="[“{title}” is on {new_day} from {start} now.|Moved to {new_day}, {start} to {end}.]",
    )  # fmt: skip


def cancel(state: State, draw: Draw, me: Facts) -> Wish | None:
    """Of a meeting of one's own; of another's it is denied."""
    mine = draw.chance(55, "mine")
    case = _case(state, draw, me, "cancel", mine)
    if case is None:
        return None
    ask = "[I'm {name}.|It's {name}.|This is {name}.] [Cancel|Please cancel|Can you cancel] “{title}” on {day}[.|, please.]"
    call = Call("cancel_meeting", {"meeting_id": case["meeting_id"]})
    if not mine:
        return _wish(
            me, case, kind="refusal", name="cancel_foreign", ask=ask, refused=call, rule="organiser",
            needs=(case["organiser_id"], case["meeting_id"]),
            thought=f"[{case['organiser_id']} organises it, not {{name}}.|The organiser is {case['organiser_id']}; only they may cancel.]",
            done=f"[I can't cancel “{{title}}”:|I'm sorry, no:] it is organised by {case['organiser_id']}[, who alone may do "
                 f"that|, and only they may cancel it].",
        )  # fmt: skip
    return _wish(
        me, case, kind="write", name="cancel_meeting", ask=ask, gold=(call,),
        goal=(Holds("SELECT COUNT(*) FROM meetings WHERE meeting_id = ?", (case["meeting_id"],), ((0,),)),),
        will=f"[cancel {case['meeting_id']}, “{{title}}”, for everybody|take {case['meeting_id']} (“{{title}}”) off all calendars]",
        thought=f"[{case['meeting_id']} is theirs.|They organise {case['meeting_id']}; cancelling needs a yes first.]",
        done="[“{title}” is cancelled.|Cancelled; the room is free again.]",
    )  # fmt: skip


def invite(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "invite")
    if case is None:
        return None
    sql = (
        "SELECT person_id, name FROM people WHERE person_id <> ? AND person_id NOT IN (SELECT person_id FROM attendees "
        "WHERE meeting_id = ?) ORDER BY 1"
    )
    others = draw.shuffled(state.records(sql, me["me"], case["meeting_id"]), "guests")[: 1 + draw.below(2, "guests")]
    room = state.value("SELECT seats FROM rooms WHERE room_id = ?", case["room_id"])
    if len(get_meeting(state, case["meeting_id"])["attendees"]) + 1 + len(others) > room:
        return None
    guests = {f"guest {number}": other["name"] for number, other in enumerate(others)}
    ids = [other["person_id"] for other in others]
    sql = f"SELECT COUNT(*) FROM attendees WHERE meeting_id = ? AND person_id IN ({', '.join('?' * len(ids))})"
    said = " and ".join(guests.values())
    return _wish(
        me, case, kind="write", name="add_attendee", facts=guests,
        ask=f"[I'm {{name}}.|{{name}} speaking.|This is {{name}}.] [Invite|Please add|Could you invite] {said} to [my "
            f"meeting |]“{{title}}” on {{day}}.",
        look=tuple(Call("find_person", {"name": name}) for name in guests.values()),
        gold=tuple(Call("add_attendee", {"meeting_id": case["meeting_id"], "person_id": person_id}) for person_id in ids),
        goal=(Holds(sql, (case["meeting_id"], *ids), ((len(ids),),)),),
        thought=f"[{case['meeting_id']} is theirs, and the room has seats left: {room}.|There are {room} seats, enough for "
                f"one more name or two.]",
        done=f"[Invited: {said}.|Invitations are out to {said}.|I added {said} to “{{title}}”.]",
    )  # fmt: skip


def leave(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "leave", mine=False)
    if case is None:
        return None
    return _wish(
        me, case, kind="write", name="remove_attendee",
        ask="[I'm {name}.|{name} here.|This is {name}.] [Take me off|I can't make it to|Please remove me from] “{title}” on {day}.",
        gold=(Call("remove_attendee", {"meeting_id": case["meeting_id"], "person_id": me["me"]}),),
        goal=(Holds("SELECT COUNT(*) FROM attendees WHERE meeting_id = ? AND person_id = ?", (case["meeting_id"], me["me"]), ((0,),)),),
        thought="[Somebody else organises it, but leaving is everybody's right.|They are invited, and everybody may leave.]",
        done="[You are off the list of “{title}”.|Done, “{title}” goes on without you.]",
    )  # fmt: skip


def where(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "where", draw.chance(50, "mine"))
    if case is None:
        return None
    return _wish(
        me, case, kind="question", name="where", answer=case["room_id"], needs=(case["title"], case["room_id"]), opened=False,
        ask="[I'm {name}.|{name} here.|This is {name}.] [Where is|In which room is|What room is] “{title}” on {day}?",
        goal=(Holds("SELECT room_id FROM meetings WHERE meeting_id = ?", (case["meeting_id"],), ((case["room_id"],),)),),
        thought=f"[{case['meeting_id']} is in {case['room_id']}.|The list shows {case['room_id']} for it.]",
        done="[“{title}” is in {answer}.|In {answer}.|You meet in {answer}.]",
    )  # fmt: skip


SLOTS = {"name": Slot("[I'm|my name is|this is] {name}", "your name", ("your name", "who you are"))}
