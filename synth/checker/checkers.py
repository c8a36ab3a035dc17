"""Which checker proves the rows of which generator, in one literal table, and the draw of the rows that are checked.

A checker is a function of a row and the documents that it was made from, which gives its disagreements in words: none for a row that it
proves. Generators that put documents together word for word (books, repositories, threads) have none: their rows are counted as unchecked,
and so are conversations that came from elsewhere.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from synth.checker import described, facts_asked, reasoning, rephrase, search, software, tooluse
from synth.checker.conversation import Malformed
from synth.checker.row import Documents, Row, Undecided, common, opened

Checker = Callable[[Row, Documents], Iterable[str]]

CHECKERS: Mapping[str, Checker] = {
    "search": search.checked,
    "tools": tooluse.conversation,
    "calls": described.checked,
    "software": software.checked,
    "pulls": software.checked,
    "reasoning": reasoning.checked,
    "rephrase": rephrase.checked,
    "qa": facts_asked.checked,
    "lookup": facts_asked.checked,
    "chat": facts_asked.checked,
    "long": facts_asked.checked,
}

PROVEN: Mapping[str, frozenset[str]] = {  # verdicts that a checker proves again, where it does not say `Undecided`
    generator: frozenset(["round_trip", *names.split()])
    for generator, names in {
        "search": "unique_closed_world clues_needed structure leak prior evidence unique_open single_hop solvable difficulty",
        "tools": "schema runs goal each_action_needed refusal_grounded replay valid_calls policy grounded answered user_consistent",
        "calls": "schema determined",
        "software": "collects fails_before few_fail passes_after leak_free solved",
        "pulls": "collects fails_before passes_after leak_free solved",
        "reasoning": "proven steps_hold executed_twice recomputed solved",
        "rephrase": "spans numbers dates names addresses code gaps length overlap rewritten",
        "qa": "not_a_span",
        "lookup": "not_a_span",
        "chat": "not_a_span",
        "long": "not_a_span",
    }.items()
}  # fmt: skip


class Checked(NamedTuple):
    """What came of one row; `disagreements` is None where its generator has no checker."""

    id: str
    generator: str
    disagreements: tuple[str, ...] | None
    proven: tuple[str, ...] = ()  # verdicts of the row that were proven again, by name
    unproven: tuple[str, ...] = ()  # and those that were not; both of a row that agrees
    is_stray: bool = False  # a parent is not among the documents, with the text that it had


def is_drawn(id: str, share: float, seed: int) -> bool:
    """Whether a row is among the share that is checked: a draw by its id, so a larger share only adds rows."""
    return xxhash.xxh3_64_intdigest(id.encode(), seed=seed & (2**64 - 1)) < share * 2**64


def checked(stored: Mapping[str, Any], documents: Documents) -> Checked:
    """Proves one stored row. A row that lacks what its checker needs disagrees."""
    try:
        row = opened(stored)
    except Malformed as error:
        return Checked(stored["id"], "?", (f"it cannot be read: {error}",))
    generator = str(row.meta.get("generator"))
    checker = CHECKERS.get(generator)
    if checker is None:
        return Checked(row.id, generator, None)
    found = list(_disagreements(row, documents, checker))
    wrong = tuple(one for one in found if not isinstance(one, Undecided))
    stated = [*(row.meta.get("verdicts") or {})]
    proven = [name for name in stated if name in PROVEN[generator] and name not in found and not wrong]
    is_stray = any(parent not in documents for parent in row.parents)
    unproven = [] if wrong else [name for name in stated if name not in proven]
    return Checked(row.id, generator, wrong, tuple(proven), tuple(unproven), is_stray)


def _disagreements(row: Row, documents: Documents, checker: Checker) -> Iterator[str]:
    wrong = list(common(row, documents))
    yield from wrong
    if any(parent not in documents for parent in row.parents):
        return  # nothing of it can be looked up
    try:
        yield from checker(row, documents)
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        SyntaxError,
        RecursionError,
        sqlite3.Error,
    ) as error:
        yield f"the row lacks what its proof needs: {error!r}"
