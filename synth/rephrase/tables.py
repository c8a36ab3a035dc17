"""The tables of a passage, told in sentences: a row after the other, every cell with the name of its column.

A table is Markdown's, with a line of dashes under its head. It is left out when a column has no name, when rows have the same first cell
or another number of cells than the head, or when it holds too little.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from synth.reasoning.tables import is_empty
from synth.rephrase.drafts import Draft, Passage
from synth.rephrase.phrases import CELL_JOINTS, CELLS, ROWS, Voice
from synth.rephrase.pieces import Piece, Quote, bare_cell, filled

LEAST_ROWS = 2
MAX_ROWS = 40
MAX_COLUMNS = 8
MAX_CELL_CHARS = 300

_TABLE = re.compile(
    r"^(?P<head>[ \t]*\|[^\n]{1,2000}\|)[ \t]*\n[ \t]*\|(?:[ \t]*:?-+:?[ \t]*\|){1,50}[ \t]*"
    r"(?P<rows>(?:\n[ \t]*\|[^\n]{1,4000}\|[ \t]*(?=\n|\Z))+)",
    re.M,
)
_LINE = re.compile(r"[^\n]+")
_RELATION = re.compile(r"[=<>:]")
_ROW = re.compile(r"[ \t]*\|([^\n]+)\|[ \t]*")


class Table(NamedTuple):
    head: list[Quote]
    rows: list[list[Quote | None]]  # None: an empty cell


def tables(text: str, begin: int, end: int) -> Iterator[Table]:
    """The tables of `text` in [begin, end) that can be told."""
    for match in _TABLE.finditer(text, begin, end):
        head = _cells(text, *match.span("head"))
        rows = [_cells(text, *line.span()) for line in _LINE.finditer(text, *match.span("rows"))]
        if _is_tellable(text, head, rows):
            yield Table([cell for cell in head if cell], rows[:MAX_ROWS])


def prose(passage: Passage, voice: Voice) -> Draft | None:
    """The longest table of the passage in sentences."""
    text = passage.source.text
    table = max(tables(text, passage.begin, passage.end), key=lambda table: len(table.rows), default=None)
    if table is None:
        return None
    row_phrase, cell_phrase = voice.draw(ROWS, "row"), voice.draw(CELLS, "cell")
    if any(_RELATION.search(text[name.start : name.end]) for name in table.head):
        cell_phrase = CELLS[0]  # "x < 1 = 0" says something else
    joints = voice.draw(CELL_JOINTS, "joint")
    made: list[Piece] = [voice.head("prose", passage.title)]
    gap = voice.draw((" ", "\n"), "gap")
    for row in table.rows:
        told: list[Piece] = []
        named = [(name, cell) for name, cell in zip(table.head[1:], row[1:], strict=True) if cell]
        for number, (name, cell) in enumerate(named, 1):
            joint = "" if number == 1 else joints[number == len(named)]
            told += [joint, *filled(cell_phrase, {"name": name, "cell": cell})]
        key = row[0]
        assert key is not None
        made += [*filled(row_phrase, {"key_name": table.head[0], "key": key, "cells": told}), gap]
    return Draft(made[:-1], made[:-1], {"rows": len(table.rows), "columns": len(table.head)})


def _cells(text: str, begin: int, end: int) -> list[Quote | None]:
    row = _ROW.match(text, begin, end)
    if row is None:
        return []
    found: list[Quote | None] = []
    at = row.start(1)
    for part in re.split(r"(?<!\\)\|", row[1]):
        start = at + len(part) - len(part.lstrip())
        length = len(part.strip())
        if re.search(r"[^.\s]\.$", part.strip()):
            length -= 1  # the sentence around the cell has a stop of its own
        found.append(None if is_empty(part.strip()) else Quote(0, start, length, "bare_cell"))
        at += len(part) + 1
    return found


def _is_tellable(text: str, head: list[Quote | None], rows: list[list[Quote | None]]) -> bool:
    named = 2 <= len(head) <= MAX_COLUMNS and all(head)
    whole = len(rows) >= LEAST_ROWS and all(len(row) == len(head) and row[0] and any(row[1:]) for row in rows)
    if not named or not whole:
        return False
    keys = {bare_cell(text[row[0].start : row[0].end]) for row in rows if row[0]}
    short = all(cell.length <= MAX_CELL_CHARS for row in [head, *rows] for cell in row if cell)
    return short and len(keys) == len(rows)
