"""Tables in the text of pages: Markdown rows, grids and simple tables of reStructuredText; typed columns.

A table is a head and rows of as many cells; `text` is how the page draws it. Columns whose cells all are numbers (of one unit) are numbers;
they are kept as whole multiples of a power of ten, so no sum ever rounds. Not covered: cells over several columns, tables without a head.
"""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from synth.reasoning import plain_tables

MIN_ROWS = 3
MAX_ROWS = 40
MAX_COLUMNS = 8
MAX_CELL_CHARS = 200
MAX_TABLE_CHARS = 4_500
MAX_TABLES = 40  # of one page
_TABLE = re.compile(r"^\|[^\n]*\|[ \t]*\n\|(?:[ \t]*:?-{2,}:?[ \t]*\|)+[ \t]*\n(?:\|[^\n]*\|[ \t]*(?:\n|\Z))+", re.M)
_CELL_END = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"([-+−]?)(\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.(\d{1,9}))?\s?(%|[A-Za-z]{1,10})?")
_LINK = re.compile(r"\]\(|:\w+:`|`__?(?!\w)")  # Markdown's, Sphinx's roles, reStructuredText's: no words of an answer
# What says nothing, or sends the reader elsewhere, as footnotes do. A lone `*` or `.` is no such cell: tables of syntax have them.
_NOTHING = re.compile(
    r"(?:[-–—]+|\?+|\"|″|''|\.{3,}|…)?|[(*_]*(?:n/?a|n\.a\.|tb[ad]|not applicable|ditto|idem|"
    r"(?:as|see|same as)(?: the)? (?:above|below|before|previous|note))[.)*_]*|same as (?:above|below)\b.*|\(\d{1,2}\)",
    re.I,
)


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
            if len(set(cells)) == len(cells) and not any(map(is_empty, column.cells)) and column.numbers is None:
                return column
        return None


def tables(text: str) -> Iterator[Table]:
    """The tables of a page that questions can be asked about, in their order."""
    drawn = [(match.start(), match[0]) for match in _TABLE.finditer(text)] + list(plain_tables.found(text))
    readable = (table for start, source in sorted(drawn) if (table := read(source, start)))
    return itertools.islice(readable, MAX_TABLES)


def read(source: str, start: int = 0) -> Table | None:
    """The table of some lines; None for one that is too small, too large, or ragged."""
    source = source.strip("\n")
    if len(source) > MAX_TABLE_CHARS:
        return None
    is_markdown = source.lstrip()[:1] == "|"
    lines = [_cells(line) for line in source.split("\n")] if is_markdown else plain_tables.rows(source)
    if lines is None:
        return None
    header, rows = lines[0], lines[2:] if is_markdown else lines[1:]
    fits = MIN_ROWS <= len(rows) <= MAX_ROWS and 2 <= len(header) <= MAX_COLUMNS
    fits = fits and all(len(row) == len(header) for row in rows)
    named = all(0 < len(name) <= 40 for name in header) and len({name.casefold() for name in header}) == len(header)
    plain = not any(len(cell) > MAX_CELL_CHARS or _LINK.search(cell) for row in lines for cell in row)
    if not fits or not named or not plain:
        return None
    columns = tuple(_typed(name, tuple(row[place] for row in rows)) for place, name in enumerate(header))
    return Table(columns, source, start)


def is_empty(cell: str) -> bool:
    """Whether a cell says nothing, or sends the reader to another one."""
    return bool(_NOTHING.fullmatch(cell))


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
