"""Code blocks of a page, with their lines and their indentation: <pre>, and what sites lay out as one without it.

The extractor would trim lines, drop empty ones and join those of highlighters that break lines by markup; here each block is taken out
whole, and put back into the text as it was. Line numbers and copy buttons beside the lines go. What acts as a block: <xmp> and <listing>;
<code>, <tt> and elements of class "code" with <br> in them; blocks styled `white-space: pre`; tables of a gutter and lines.
Empty lines around a block go; no-break spaces become spaces. Not covered: editors that a script fills in.
"""

import re
from collections.abc import Sequence
from typing import Any

from lxml.etree import XPath

from curation.extraction.kept import Kept

Element = Any  # lxml.html.HtmlElement

CODE = "code"

_PRE = ("pre", "xmp", "listing")
_LINE_BLOCKS = ("div", "p", "li", "tr", "pre")
_WIDGETS = ("button", "script", "style", "textarea", "select", "svg")
_TABLE_PARTS = ("table", "thead", "tbody", "tfoot", "tr", "td", "th")
_OUTER_LINES = re.compile(r"\A(?:[ \t]*\n)+")
_CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32)])
_STYLES = tuple(f"white-space:{value}{end}" for value in ("pre", "pre-wrap", "break-spaces") for end in ";!")
_STYLED_TAGS = ("div", "p", "td")
_CODE_CLASSES = frozenset({"code", "w3-code", "codeblock", "code-block", "sourcecode", "programlisting"})

# Line numbers and buttons as Pygments, Chroma, Rouge, Prism, highlight.js, SyntaxHighlighter, Crayon, GitHub and GitLab name them.
_BESIDE = (
    "linenos", "lineno", "linenodiv", "linenumber", "line-number", "line-numbers-rows", "lnt", "ln", "gutter", "gutter-line",
    "rouge-gutter", "hljs-ln-numbers", "hljs-ln-n", "crayon-nums", "blob-num", "diff-line-num", "copy-button", "copybtn", "clipboard-copy",
)  # fmt: skip
_NUMBER_CELLS = frozenset(_BESIDE)


def _has_class(*names: str) -> str:
    """An XPath condition: one of the names is among the element's classes."""
    return " or ".join(f'contains(concat(" ", @class, " "), " {name} ")' for name in names)


_FIND_BESIDE = XPath(f".//*[@class][{_has_class(*_BESIDE)}]")
_FIND_LINES = XPath(
    f".//*[@class][{_has_class('line', 'code-line', 'view-line')}] | code[following-sibling::code or preceding-sibling::code]"
)
_FIND_BY_CLASS = XPath("//@class[contains(., 'code')]/..")
_FIND_STYLED = XPath("//@style[contains(., 'white-space')]/..")


def keep_code(tree: Element, kept: Kept, by_class: Sequence[Element] | None = None) -> None:
    """Replaces the code blocks of a page by marks, in place. `by_class`: the elements with `code` among their classes, and any others."""
    for cell in list(tree.iter("td")):
        if not _NUMBER_CELLS.isdisjoint((cell.get("class") or "").split()):
            _open_gutter_table(cell)
    for block in list(tree.iter(*_PRE)):  # one within another has left the tree by its turn, and its mark shows nowhere
        _replace(block, kept)
    for block in list(tree.iter("code", "tt")):
        if block.find(".//br") is not None:
            _replace(block, kept)
    for block in [*(_FIND_BY_CLASS(tree) if by_class is None else by_class), *_FIND_STYLED(tree)]:
        if _acts_as_code(block):
            _replace(block, kept)


def _acts_as_code(block: Element) -> bool:
    """Whether an element that is no <pre> lays out its text as one: by <br> under a class of code, or by its style."""
    if block.find(".//p") is not None or block.find(".//div") is not None or block.find(".//table") is not None:
        return False
    classes = (block.get("class") or "").lower()
    if block.find(".//br") is not None:
        return ("code" in classes) if block.tag == "span" else not _CODE_CLASSES.isdisjoint(classes.split())
    style = "".join((block.get("style") or "").lower().split()) + ";"
    return (
        block.tag in _STYLED_TAGS
        and any(wanted in style for wanted in _STYLES)
        and "\n" in block.text_content().strip()
    )


def _replace(block: Element, kept: Kept) -> None:
    text = code_text(block)
    if not text.strip() or block.getparent() is None:
        return
    for figure in list(block.iterancestors("figure")):  # which the extractor drops
        figure.tag = "div"
    tail = block.tail
    block.clear()
    block.tag, block.text, block.tail = "pre", kept.mark(text, CODE, block=True), tail


def code_text(block: Element) -> str:
    """The lines of a code block as a browser shows them, without their numbers. The block is changed."""
    if len(block):
        for part in _FIND_BESIDE(block):
            part.drop_tree()
        for part in list(block.iter(*_WIDGETS)):
            part.drop_tree()
        for line_break in block.iter("br"):
            line_break.tail = "\n" + (line_break.tail or "").removeprefix("\n")
        for part in reversed(list(block.iterdescendants(*_LINE_BLOCKS))):
            _end_line(part)
        if "\n" not in block.text_content().strip():
            for part in _FIND_LINES(block):
                _end_line(part)
    text = block.text_content().replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ").translate(_CONTROL)
    return _OUTER_LINES.sub("", text).rstrip()


def _end_line(part: Element) -> None:
    """What stands on lines of its own ends in a line feed."""
    if (part.tail or "").startswith("\n") or part.text_content().endswith("\n"):
        return
    if len(part):
        part[-1].tail = (part[-1].tail or "") + "\n"
    else:
        part.text = (part.text or "") + "\n"


def _open_gutter_table(number: Element) -> None:
    """A table whose cells are line numbers and lines: the numbers go; when its lines are no <pre>, the table becomes one."""
    table = next(number.iterancestors("table"), None)
    number.drop_tree()
    if table is None or table.find(".//pre") is not None:
        return
    for part in [
        table,
        *table.iterdescendants(*_TABLE_PARTS),
    ]:  # white space between the tags of a table is none of the code's
        part.text = part.text if (part.text or "").strip() or not len(part) else None
        part.tail = part.tail if part is table or (part.tail or "").strip() else None
    table.tag = "pre"
