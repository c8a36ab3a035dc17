"""The Markdown of `extract.linked`, line by line with its place: headings, pairs, table rows, items, prose, and the links in them.

Every pattern is linear in the length of a line, and a line of more than `MAX_LINE_CHARS` is passed over: nobody states a fact in one.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_LINE_CHARS = 20_000
LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\((https?://[^()\s]{1,2000})\)")
_HEADING = re.compile(r"(#{1,6}) (.+)")
_PAIR = re.compile(r"\s*(?:- )?\*\*(.{1,400}?)\*\*: (.+)")
_ITEM = re.compile(r"\s*- (.+)")
_RULE = re.compile(r"(?:\|-{3,})+\|")
_CELL_END = re.compile(r"(?<!\\)\|")


class Line(NamedTuple):
    """A line that says something. Positions are characters of the page's text."""

    kind: str  # heading, pair, header (of a table), row, item, text
    start: int
    length: int
    name: str  # the words of a heading, or the name of a pair
    value: str  # the rest of the line, as written: links and all
    value_start: int
    level: int = 0  # of a heading


def lines(text: str) -> Iterator[Line]:
    """The lines of a page in order, without blank and overlong ones. The first row of a table is a header where the rule says so."""
    start = 0
    waiting: Line | None = None  # a first row, until its next line tells whether it is a header
    for raw in text.split("\n"):
        length = len(raw)
        line = None if not raw.strip() or length > MAX_LINE_CHARS else _line(raw, start)
        if waiting is not None:
            yield waiting._replace(kind="header") if _RULE.fullmatch(raw) else waiting
            waiting = None
            if _RULE.fullmatch(raw):
                start += length + 1
                continue
        if line is not None and line.kind == "row":
            waiting = line
        elif line is not None:
            yield line
        start += length + 1
    if waiting is not None:
        yield waiting


def _line(raw: str, start: int) -> Line:
    """A line that is not blank, by its first signs."""
    length = len(raw)
    if raw.startswith("#") and (heading := _HEADING.fullmatch(raw)):
        return Line("heading", start, length, plain(heading[2]), heading[2], start + heading.start(2), len(heading[1]))
    if "**: " in raw and (pair := _PAIR.fullmatch(raw)):
        return Line("pair", start, length, plain(pair[1]), pair[2], start + pair.start(2))
    if raw.startswith("| ") and raw.endswith(" |"):
        return Line("row", start, length, "", raw, start)
    item = _ITEM.fullmatch(raw)
    value_start = item.start(1) if item else length - len(raw.lstrip())
    return Line("item" if item else "text", start, length, "", raw[value_start:], start + value_start)


def cells(row: str) -> list[str]:
    """The cells of a table's row, as written."""
    return [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(row[1:-1])]


def plain(written: str) -> str:
    """Words without markup: links as their words, no bars escaped, no stars and back quotes around."""
    return LINK.sub(r"\1", written).replace("\\|", "|").replace("**", "").replace("`", "")
