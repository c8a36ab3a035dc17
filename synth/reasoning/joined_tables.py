"""Questions over two tables of a page that share cells: a row of the first leads to a row of the second.

The query is {"where": [[column, "=", cell]], "ask": ["joined", link, key, wanted]}: of the one row of the first table that meets the
condition, the cell under `link` stands under `key` in one row of the second; asked is what that row has under `wanted`.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, permutations, product
from typing import NamedTuple

import polars as pl

from synth.draw import Stream
from synth.reasoning.queries import Query
from synth.reasoning.table_questions import Asked
from synth.reasoning.tables import Column, Table, is_empty

MAX_PAIRS = 40  # of tables looked at, of one page
_ASK = (
    "[{Title} has two tables.|Here are two tables from {title}.|These two tables stand in {title}.]\n\n{first}\n\n{second}\n\n"
    "[In the first table, “{given}” is “{cell}” in one row.|Take the row of the first table where “{given}” is “{cell}”.] "
    "[What does the second table give as “{wanted}” for its “{link}”?|Look its “{link}” up in the second table: what is “{wanted}” there?]"
)


class Joined(NamedTuple):
    first: Table
    second: Table
    asked: Asked


def questions(tables: Sequence[Table], title: str, draw: Stream, *, limit: int) -> Iterator[Joined]:
    """At most `limit` questions over pairs of tables, at most two of each pair."""
    seen: set[str] = set()
    for first, second in islice(permutations(tables, 2), MAX_PAIRS):
        links = _links(first, second)
        for _ in range(2 if links else 0):
            query = _drawn(first, second, *draw.pick(links), draw)
            answer = run(first, second, query)
            if answer is not None and str(query) not in seen and len(seen) < limit:
                seen.add(str(query))
                yield Joined(first, second, _asked(first, second, query, answer, title, draw))


def run(first: Table, second: Table, query: Query) -> str | None:
    """The answer; None where there is no single one. Cells are compared as they stand."""
    _, link, key, wanted = query["ask"]
    ((given, _, said),) = query["where"]
    links = [first.column(link).cells[row] for row, cell in enumerate(first.column(given).cells) if cell == said]
    answers = [second.column(wanted).cells[row] for row, cell in enumerate(second.column(key).cells) if [cell] == links]
    return answers[0] if len(answers) == 1 and not is_empty(answers[0]) and not is_empty(said) else None


def run_again(first: Table, second: Table, query: Query) -> str | None:
    """The same by polars."""
    _, link, key, wanted = query["ask"]
    ((given, _, cell),) = query["where"]
    left = pl.DataFrame({column.name: column.cells for column in first.columns}).filter(pl.col(given) == cell)
    right = pl.DataFrame({column.name: column.cells for column in second.columns}).select(
        pl.col(key).alias("\0key"), pl.col(wanted).alias("\0wanted")
    )
    met = left.join(right, left_on=link, right_on="\0key", how="inner")
    return met["\0wanted"][0] if left.height == met.height == 1 and not is_empty(met["\0wanted"][0]) else None


def _links(first: Table, second: Table) -> list[tuple[Column, Column, list[int]]]:
    """Pairs of columns that share cells, and the rows of the first table whose cells those are."""
    found = []
    for link, key in product(first.columns, second.columns):
        if _can_link(link) and _can_link(key) and _can_be_named(first, second, link, key):
            shared = {*link.cells} & {*key.cells}
            rows = [row for row, cell in enumerate(link.cells) if cell in shared and not is_empty(cell)]
            found += [(link, key, rows)] if rows else []
    return found


def _drawn(first: Table, second: Table, link: Column, key: Column, rows: list[int], draw: Stream) -> Query:
    given = draw.pick([column for column in first.columns if column is not link])
    wanted = draw.pick([column for column in second.columns if column is not key])
    return {
        "where": [
            [given.name, "=", given.cells[draw.pick(rows)]],
        ],
        "ask": ["joined", link.name, key.name, wanted.name],
    }


def _can_link(column: Column) -> bool:
    """Words that name something: not numbers, and not the same few everywhere (`yes`, `no`)."""
    return column.numbers is None and len(set(column.cells)) > len(column.cells) // 2


def _can_be_named(first: Table, second: Table, link: Column, key: Column) -> bool:
    """Whether a question can say "look its `link` up": under other names, neither table may have a column that is meant instead."""
    if link.name.casefold() == key.name.casefold():
        return True
    return key.name.casefold() not in _names(first) and link.name.casefold() not in _names(second)


def _names(table: Table) -> set[str]:
    return {column.name.casefold() for column in table.columns}


def _asked(first: Table, second: Table, query: Query, answer: str, title: str, draw: Stream) -> Asked:
    _, link, key, wanted = query["ask"]
    ((given, _, cell),) = query["where"]
    named = first.column(link).cells[first.column(given).cells.index(cell)]
    question = draw.say(
        _ASK,
        {
            "title": title,
            "Title": title[:1].upper() + title[1:],
            "first": first.text,
            "second": second.text,
            "given": given,
            "cell": cell,
            "link": link,
            "wanted": wanted,
        },
    )
    thoughts = (
        f"First table: in the row where {given} is {cell}, {link} is {named}.\n"
        f"Second table: in the row where {key} is {named}, {wanted} is {answer}.\nSo: {answer}"
    )
    return Asked(query, question, answer, run_again(first, second, query), "text", thoughts, 2)
