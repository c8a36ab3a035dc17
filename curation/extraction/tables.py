"""Tables of values stay rows of cells, tables that only arrange a page are opened.

Told apart by what browsers' accessibility code looks at (Firefox, `IsProbablyLayoutTable`): the role, what is nested in the table, header
cells and captions, the number of rows and columns, and how long the cells are. Cells of values that hold blocks (<p>, lists, <div>) become
one line each, items of a list apart by semicolons: the extractor takes such a cell for a page, and drops lists in cells.
"""

from collections import Counter
from typing import Any

from lxml.etree import XPath, strip_tags

from curation.extraction.kept import Kept

Element = Any  # lxml.html.HtmlElement

TABLE = "table"

_BLOCKS = ("p", "div", "ul", "ol", "li", "center", "address", "section")
_NOT_VALUES = (
    "table or pre or dl or blockquote or h1 or h2 or h3 or h4 or h5 or h6 or hr or form or article or section or iframe"
)
_FIND_ARRANGED = XPath(f"boolean(.//*[self::{_NOT_VALUES.replace(' or ', ' or self::')}])")
_FIND_BLOCK_CELLS = XPath("(tr | */tr)/*[self::td or self::th][p or ul or ol or div or center or address]")
_FIND_MARKED = XPath("boolean(caption | thead | tr/th | */tr/th)")
_PARTS = XPath("tr/td | tr/th | */tr/td | */tr/th | tr | */tr | thead | tbody | tfoot")
_MAX_SPAN = 100
_MAX_LINK_SHARE = 0.5  # a table of links is navigation, the extractor's to judge
_MAX_VALUE_CHARS, _MAX_MARKED_VALUE_CHARS = 200, 1_000


def open_layout_tables(tree: Element) -> None:
    """Tables that arrange a page become divisions; those of values keep rows and cells, each cell on one line. In place."""
    for table in list(tree.iter("table")):
        if arranges(table):
            for part in _PARTS(table):
                part.tag = "div"
            table.tag = "div"
        else:
            for cell in _FIND_BLOCK_CELLS(table):
                _flatten(cell)


def arranges(table: Element) -> bool:
    """Whether a table arranges a page rather than values."""
    if table.get("role") in ("presentation", "none") or _FIND_ARRANGED(table):
        return True
    cells = _FIND_BLOCK_CELLS(table)
    if not cells:
        return False
    longest = max(len(cell.text_content()) for cell in cells)
    if _FIND_MARKED(table):
        return longest > _MAX_MARKED_VALUE_CHARS
    rows = [len(row) for row in table.iter("tr")]
    return longest > _MAX_VALUE_CHARS or len(rows) < 2 or max(rows) < 2


def _flatten(cell: Element) -> None:
    """A cell's blocks become one line."""
    for block in cell.iterdescendants(*_BLOCKS):
        if block.tag == "li" and block.getprevious() is not None:
            block.text = "; " + (block.text or "").lstrip()
        else:
            block.text = " " + (block.text or "")
        block.tail = " " + (block.tail or "") if block.tag != "li" else block.tail
    strip_tags(cell, *_BLOCKS)


def keep_tables(tree: Element, kept: Kept, *, everywhere: bool) -> None:
    """Tables of values become marks, in place: those in list items and quotations, which the extractor writes as running text, or all."""
    for table in list(tree.iter("table")):
        if not everywhere and next(table.iterancestors("li", "dd", "blockquote"), None) is None:
            continue
        links = sum(len(link.text_content()) for link in table.iter("a"))
        text = "" if links > _MAX_LINK_SHARE * len(table.text_content()) else written(table)
        if text:
            tail = table.tail
            table.clear()
            table.tag, table.text, table.tail = "p", kept.mark(text, TABLE, block=True), tail


def written(table: Element) -> str:
    """Rows of `| cell | cell |`, below a header the row of dashes that Markdown wants. A cell below one that spans rows is empty."""
    for line_break in table.iter("br"):
        line_break.tail = " " + (line_break.tail or "")
    caption = table.find("caption")
    lines = [] if caption is None else [" ".join(caption.text_content().split())]
    spanned: Counter[int] = Counter()  # rows still to come, by column
    headed = False
    for row in table.iter("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            while spanned[len(cells)] > 0:
                spanned[len(cells)] -= 1
                cells.append("")
            width = _span(cell, "colspan")
            spanned.update(dict.fromkeys(range(len(cells), len(cells) + width), _span(cell, "rowspan") - 1))
            cells += [" ".join(cell.text_content().split()).replace("|", "\\|"), *[""] * (width - 1)]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            lines.append(f"| {' | '.join(cells)} |")
            if not headed and row.find("th") is not None:
                headed = True
                lines.append("|---" * len(cells) + "|")
    return "\n".join(filter(None, lines))


def _span(cell: Element, name: str) -> int:
    value = cell.get(name, "1")
    return min(max(int(value), 1), _MAX_SPAN) if value.isdecimal() and len(value) < 9 else 1
