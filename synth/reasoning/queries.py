"""Queries over a table: drawn, executed twice by unlike means, and shown with the rows that they use.

A query is a list of conditions, all of which a row must meet, and what is asked of the rows left, as JSON:

    {"where": [[column, "=" | "is not" | ">" | "<", cell], ...], "ask": [...]}

    ["cell", column]          of the only row left          ["count"]               how many rows
    ["sum", column]           ["mean", column]              ["span", column]        largest less smallest
    ["most", column, key]     the cell of `key` in the row of the largest number; ["least", ...] of the smallest
    ["rank", column, key, n]  the same for the n-th largest
    ["distinct", column]      how many different cells, where none is empty
    ["less", column, key, a, b]    the number of row `a` less that of row `b`
    ["larger", column, key, a, b]  which of rows `a` and `b` has the larger number

Cells are compared as they stand, numbers as numbers. `run` is plain Python, `run_again` is polars; both give None where there is no one
answer: ties, several rows, none. Not covered: conditions joined by or, dates.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

import polars as pl

from synth.reasoning.tables import Column, Table, is_empty

Query = Mapping[str, Any]
NUMERIC = frozenset({"count", "sum", "mean", "span", "distinct", "less"})


def run(table: Table, query: Query) -> str | None:
    """The answer as text: a cell as it stands, a number as an exact fraction."""
    rows = kept(table, query["where"])
    match query["ask"]:
        case ["cell", name]:
            cells = [table.column(name).cells[row] for row in rows]
            return cells[0] if len(cells) == 1 and not is_empty(cells[0]) else None
        case ["count"]:
            return str(len(rows)) if rows else None
        case ["distinct", name]:
            cells = [table.column(name).cells[row] for row in rows]
            return None if any(map(is_empty, cells)) else str(len(set(cells)))
        case [("sum" | "mean" | "span") as how, name] if rows:
            numbers = [table.column(name).number(row) for row in rows]
            total = sum(numbers, Fraction(0))
            return str({"sum": total, "mean": total / len(numbers), "span": max(numbers) - min(numbers)}[how])
        case [("most" | "least" | "rank") as how, name, key, *place] if rows:
            order = sorted(rows, key=lambda row: table.column(name).number(row), reverse=how != "least")
            at = place[0] - 1 if place else 0
            if at >= len(order):
                return None
            number = table.column(name).number(order[at])
            ties = [row for row in rows if table.column(name).number(row) == number]
            return table.column(key).cells[order[at]] if len(ties) == 1 else None
        case [("less" | "larger") as how, name, key, one, other]:
            places = [table.column(key).cells.index(cell) for cell in (one, other)]
            left, right = (table.column(name).number(row) for row in places)
            if how == "less":
                return str(left - right)
            return None if left == right else one if left > right else other
    return None


def run_again(table: Table, query: Query) -> str | None:
    """The same by polars."""
    frame = pl.DataFrame({column.name: column.numbers or column.cells for column in table.columns}, strict=True)
    for name, sign, cell in query["where"]:
        frame = frame.filter(_condition(table.column(name), sign, cell))
    match query["ask"]:
        case ["cell", name]:
            shown = frame.select(pl.col(name)).to_series().to_list()
            if len(shown) != 1 or (table.column(name).numbers is None and is_empty(shown[0])):
                return None
            return _cell(table.column(name), shown[0])
        case ["count"]:
            return str(frame.height) if frame.height else None
        case ["distinct", name]:
            different = frame.select(pl.col(name).cast(pl.String)).to_series().unique()
            return None if any(map(is_empty, different)) else str(len(different))
        case [("sum" | "mean" | "span") as how, name] if frame.height:
            column = pl.col(name)
            total = frame.select(column.max() - column.min() if how == "span" else column.sum()).item()
            scale = table.column(name).scale * (frame.height if how == "mean" else 1)
            return str(Fraction(int(total), scale))
        case [("most" | "least" | "rank") as how, name, key, *place]:
            ranked = frame.with_columns(pl.col(name).rank("min", descending=how != "least").alias("\0place"))
            chosen = ranked.filter(pl.col("\0place") == (place[0] if place else 1))
            return chosen.select(pl.col(key)).item() if chosen.height == 1 else None
        case [("less" | "larger") as how, name, key, one, other]:
            pair = [frame.filter(pl.col(key) == cell).select(pl.col(name)).item() for cell in (one, other)]
            if how == "less":
                return str(Fraction(pair[0] - pair[1], table.column(name).scale))
            return None if pair[0] == pair[1] else one if pair[0] > pair[1] else other
    return None


def kept(table: Table, where: Sequence[Sequence[str]]) -> list[int]:
    """The rows that meet all conditions."""
    return [
        row
        for row in range(table.num_rows)
        if all(_meets(table.column(name), row, sign, cell) for name, sign, cell in where)
    ]


def _meets(column: Column, row: int, sign: str, cell: str) -> bool:
    if column.numbers is None:
        return (column.cells[row] == cell) == (sign == "=")
    number, bound = column.number(row), Fraction(cell)
    return {"=": number == bound, "is not": number != bound, ">": number > bound, "<": number < bound}[sign]


def _condition(column: Column, sign: str, cell: str) -> pl.Expr:
    this, value = pl.col(column.name), cast(Any, cell)
    if column.numbers is not None:
        bound = Fraction(cell) * column.scale
        this, value = this * bound.denominator, bound.numerator
    return {"=": this == value, "is not": this != value, ">": this > value, "<": this < value}[sign]


def _cell(column: Column, value: Any) -> str:
    return column.cells[column.numbers.index(value)] if column.numbers else value
