"""A public library: a catalogue of real documents (title and first words), members, loans, holds, fines."""

import datetime
import re
from collections.abc import Sequence
from typing import Any

from synth.draw import Draw
from synth.evidence import fold
from synth.tooluse.environment import Environment, Source, World
from synth.tooluse.environments import names
from synth.tooluse.environments.library.policy import MAX_LOANS, MAX_RENEWALS, NOTES, RULES
from synth.tooluse.environments.library.tools import (
    SCHEMA,
    cancel_hold,
    find_member,
    get_title,
    lend,
    list_holds,
    list_loans,
    pay_fines,
    place_hold,
    renew,
    search_titles,
    take_back,
)
from synth.tooluse.environments.library.wishes import SLOTS, borrow, bring, drop, extend, person, settle, shelf, wait
from synth.tooluse.tools import tools

MIN_TITLES, MAX_TITLES = 8, 14


def populate(draw: Draw, sources: Sequence[Source]) -> World | None:
    """A catalogue of 8 to 14 documents with titles of their own; None where there are fewer."""
    titled: dict[str, Source] = {}
    for source in sources:
        title = fold(re.split(r" [·—|–-] ", source.title)[0])[:80]
        if not source.path and re.match(r"\w[^{}\[\]]{4,}$", title):
            titled.setdefault(title, source)
    if len(titled) < MIN_TITLES:
        return None
    chosen = draw.shuffled(sorted(titled), "titles")[:MAX_TITLES]
    today = datetime.date(2026, 1 + draw.below(12, "month"), 1 + draw.below(28, "day"))
    rows = [
        [f"B{draw.number(5, 'id', title)}", title, fold(titled[title].text)[:160],
         f"{draw.pick('ABCDEF', 'shelf', title)}{draw.number(2, 'row', title)}", draw.below(3, "copies", title)]
        for title in chosen
    ]  # fmt: skip
    members: list[list[Any]] = []
    loans: list[list[Any]] = []
    holds: list[list[Any]] = []
    for name in names.names(draw, 5):
        card = draw.number(8, "card", name)
        members.append([card, name, draw.pick((0, 0, 250, 480, 1_250, 2_300), "fines", name)])
        for row in draw.shuffled(rows, "loans", name)[: 1 + draw.below(MAX_LOANS, "n", name)]:
            due = today + datetime.timedelta(days=draw.below(30, "due", name, row[0]) - 5)
            loans.append(
                [
                    f"L{1000 + len(loans)}",
                    card,
                    row[0],
                    due.isoformat(),
                    draw.below(MAX_RENEWALS + 1, "renewals", name, row[0]),
                ]
            )
        lent = {loan[2] for loan in loans if loan[1] == card}
        holds += [[card, row[0]] for row in draw.shuffled(rows, "holds", name)[:2] if row[0] not in lent]
    tables: dict[str, list[list[Any]]] = {
        "today": [[today.isoformat()]],
        "titles": rows,
        "members": members,
        "loans": loans,
        "holds": holds,
    }
    return World(tables, parents=tuple(titled[title].parent for title in chosen))


LIBRARY = Environment(
    "library", "You work at the desk of a public library.", SCHEMA,
    tools((find_member, search_titles, get_title, list_loans, list_holds), (lend, take_back, renew, place_hold, cancel_hold, pay_fines)),
    RULES, populate, person, (borrow, wait, extend, bring, drop, settle, shelf), SLOTS, NOTES,
)  # fmt: skip
