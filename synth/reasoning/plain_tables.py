"""Tables drawn in plain text: reStructuredText's grid and simple tables, read by docutils.

Manuals are full of them. Sphinx's text pages draw the line under the head of a grid with bars (`|===|===|`), and some authors that of a
simple table with dashes; both are set right before docutils sees them. Not covered: tables without a head, cells over several columns or
rows (docutils reads them, questions about them would be read in two ways), tables with a blank line inside a row.
"""

import re
from collections.abc import Iterator

from docutils.parsers.rst.tableparser import GridTableParser, SimpleTableParser, TableMarkupError
from docutils.statemachine import StringList

_GRID = re.compile(r"^(?P<in>[ \t]*)\+(?:-+\+){2,}[ \t]*\n(?:(?P=in)[|+][^\n]*(?:\n|\Z)){3,400}", re.M)
_RULE = r"=+(?: +=+)+[ \t]*"
_BLANK = r"[ \t]*\n"  # no row too: a line that could be either costs twice the time, and the next one again
_SIMPLE = re.compile(
    rf"^(?P<in>[ \t]*){_RULE}\n(?:(?P=in)[^\n=][^\n]*\n){{1,4}}"
    rf"(?P=in)(?:{_RULE}|-+(?: +-+)+[ \t]*)\n(?:(?:(?P=in)(?!{_BLANK})[^\n=][^\n]*\n)|{_BLANK}){{1,200}}?(?P=in){_RULE}(?=\n|\Z)",
    re.M,
)
_BARRED = re.compile(r"\|=+(?:\|=+)+\|")
_DASHES = re.compile(r"-+(?: +-+)+")


def found(text: str) -> Iterator[tuple[int, str]]:
    """(start, text) of what is drawn like a table, whole lines, in the order of the page within each form."""
    for pattern in (_GRID, _SIMPLE):
        for match in pattern.finditer(text):
            yield match.start(), match[0].rstrip("\n")


def rows(source: str) -> list[list[str]] | None:
    """The head and the rows of such a table, lines of a cell joined by a blank; None for one that cannot be read."""
    lines = [line.strip() for line in source.split("\n")] if source.lstrip()[:1] == "+" else _dedented(source)
    parser: GridTableParser | SimpleTableParser
    if lines[0][:1] == "+":
        parser = GridTableParser()
        lines = [line.replace("|", "+") if _BARRED.fullmatch(line) else line for line in lines]
    else:
        parser = SimpleTableParser()
        under = next((at for at, line in enumerate(lines) if _DASHES.fullmatch(line)), None)
        if under is not None and [*map(len, lines[under].split())] == [*map(len, lines[0].split())]:
            lines[under] = lines[under].replace("-", "=")
    try:
        _, head, body = parser.parse(StringList(lines, "table"))
    except (
        TableMarkupError,
        AssertionError,
        IndexError,
        ValueError,
    ):  # docutils ends with any of these on drawings that are none
        return None
    cells = [
        [(*cell[:2], " ".join(" ".join(cell[3]).split())) if cell else (1, 1, "") for cell in row]
        for row in [*head, *body]
    ]
    if len(head) != 1 or any(more_rows or more_columns for row in cells for more_rows, more_columns, _ in row):
        return None
    return [[cell for _, _, cell in row] for row in cells]


def _dedented(source: str) -> list[str]:
    lines = source.split("\n")
    margin = len(lines[0]) - len(lines[0].lstrip())
    return [line[margin:].rstrip() for line in lines]
