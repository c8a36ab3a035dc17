"""Which checker proves the rows of which generator, in one literal table, and the draw of the rows that are checked.

A checker is a function of a row and the documents that it was made from, which gives its disagreements in words: none for a row that it
proves. Generators that put documents together word for word (books, repositories, threads) have none: their rows are counted as unchecked,
and so are conversations that came from elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from synth.checker import described, facts_asked, reasoning, rephrase, search, software, tooluse
from synth.checker.conversation import Malformed
from synth.checker.row import Documents, Row, common, opened

Checker = Callable[[Row, Documents], Iterable[str]]

CHECKERS: Mapping[str, Checker] = {
    "search": search.checked,
    "tools": tooluse.conversation,
    "calls": described.checked,
    "software": software.checked,
    "reasoning": reasoning.checked,
    "rephrase": rephrase.checked,
    "qa": facts_asked.checked,
    "lookup": facts_asked.checked,
    "chat": facts_asked.checked,
    "long": facts_asked.checked,
}


class Checked(NamedTuple):
    """What came of one row; `disagreements` is None where its generator has no checker."""

    id: str
    generator: str
    disagreements: tuple[str, ...] | None


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
    return Checked(row.id, generator, tuple(_disagreements(row, documents, checker)))


def _disagreements(row: Row, documents: Documents, checker: Checker) -> Iterator[str]:
    wrong = list(common(row, documents))
    yield from wrong
    if any(parent not in documents for parent in row.parents):
        return  # nothing of it can be looked up
    try:
        yield from checker(row, documents)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        yield f"the row lacks what its proof needs: {error!r}"
