"""Tables in the text of pages: Markdown rows, typed columns.

A table is a header, a line of dashes and rows of as many cells. Columns whose cells all are numbers (of one unit) are numbers; they are
kept as whole multiples of a power of ten, so no sum ever rounds. Not covered: cells over several lines or columns, tables without a header.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

MIN_ROWS = 3
MAX_ROWS = 40
MAX_COLUMNS = 8
MAX_CELL_CHARS = 160
MAX_TABLE_CHARS = 3_000
MAX_TABLES = 40  # of one page
_TABLE = re.compile(r"^\|[^\n]*\|[ \t]*\n\|(?:[ \t]*:?-{2,}:?[ \t]*\|)+[ \t]*\n(?:\|[^\n]*\|[ \t]*(?:\n|\Z))+", re.M)
_CELL_END = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"([-+−]?)(\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.(\d{1,9}))?\s?(%|[A-Za-z]{1,10})?")
_POINTERS = ("ditto", "as above", "as below", "see above", "see below", "same as above", "same as below")
EMPTY = frozenset({"", "-", "--", "—", "–", "n/a", "N/A", "?", '"', *_POINTERS, *map(str.capitalize, _POINTERS)})


class Column(NamedTuple):
    """`numbers` are the cells as multiples of 1/`scale`, None for a column of words."""

    name: str
    cells: tuple[str, ...]
    numbers: tuple[int, ...] | None = None
    scale: int = 1
    unit: str = ""

    def number(self, row: int) -> Fraction:
        assert self.numbers is not None
        return Fraction(self.numbers[row], self.scale)


class Table(NamedTuple):
    """`text` as it stands at `start` of the page."""

    columns: tuple[Column, ...]
    text: str
    start: int

    @property
    def num_rows(self) -> int:
        return len(self.columns[0].cells)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def key(self) -> Column | None:
        """The first column that tells all rows apart: the thing that a row is about."""
        for column in self.columns[:2]:
            cells = [cell.casefold() for cell in column.cells]
            if len(set(cells)) == len(cells) and not EMPTY & {*column.cells} and column.numbers is None:
                return column
        return None


def tables(text: str) -> Iterator[Table]:
    """The tables of a page that questions can be asked about."""
    found = 0
    for match in _TABLE.finditer(text):
        table = read(match[0], match.start())
        if table is not None:
            yield table
            found += 1
            if found == MAX_TABLES:
                return


def read(source: str, start: int = 0) -> Table | None:
    """The table of some rows; None for one that is too small, too large, or ragged."""
    lines = source.strip("\n").split("\n")
    if len(source) > MAX_TABLE_CHARS or not MIN_ROWS <= len(lines) - 2 <= MAX_ROWS:
        return None
    header, rows = _cells(lines[0]), [_cells(line) for line in lines[2:]]
    fits = 2 <= len(header) <= MAX_COLUMNS and all(len(row) == len(header) for row in rows)
    named = all(0 < len(name) <= 40 for name in header) and len({name.casefold() for name in header}) == len(header)
    if not fits or not named or any(len(cell) > MAX_CELL_CHARS for row in rows for cell in row):
        return None
    columns = tuple(_typed(name, tuple(row[place] for row in rows)) for place, name in enumerate(header))
    return Table(columns, source.strip("\n"), start)


def is_empty(cell: str) -> bool:
    """Whether a cell says nothing, or sends the reader to another one."""
    return cell in EMPTY


def _cells(line: str) -> list[str]:
    inside = _CELL_END.split(line.strip())[1:-1]
    return [cell.strip().replace("\\|", "|") for cell in inside]


def _typed(name: str, cells: tuple[str, ...]) -> Column:
    matches = [_NUMBER.fullmatch(cell) for cell in cells]
    if not all(matches) or len({match[4] for match in matches if match}) != 1:
        return Column(name, cells)
    digits = max(len(match[3] or "") for match in matches if match)
    numbers = tuple(
        int(match[2].replace(",", "") + (match[3] or "").ljust(digits, "0")) * (-1 if match[1] in ("-", "−") else 1)
        for match in matches
        if match
    )
    return Column(name, cells, numbers, 10**digits, (matches[0] and matches[0][4]) or "")
