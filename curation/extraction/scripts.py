"""Superscripts and subscripts of plain HTML, so that they are not lost: `mc<sup>2</sup>` becomes mc^2 and not mc2, H<sub>2</sub>O H_2O.

Only what looks like a power, an index or a formula of chemistry: short, without links, behind a number, a bracket, a unit, a function, or a
name of one letter (three before a subscript). So marks of footnotes behind words stay as they are, and so do ordinals and trade marks.
A CPU second for 100,000 of them, however many stand in one paragraph.
"""

import re
from typing import Any

from lxml import etree

from curation.extraction import tex_symbols as tex

Element = Any  # lxml.html.HtmlElement

_UNITS = frozenset(("cm", "mm", "km", "dm", "nm", "µm", "μm", "ft", "yd", "mi", "mc", "ms", "kg"))
_BASE = re.compile(r"(?P<word>(?<![^\W\d_])[^\W\d_]{1,3})\Z|(?P<other>[0-9)\]}|])\Z")
_SCRIPT = re.compile(r"[\w+\-−–/.,*() =∞·]{1,12}")
_CHARS_BEFORE = 20
_WRITTEN = "written"  # the tag of what is a formula now, until all of them go
_NO_POWERS = frozenset(
    ("st", "nd", "rd", "th", "er", "re", "e", "ème", "o", "a", "ª", "º", "tm", "sm")
)  # behind a number


def write_scripts(tree: Element) -> None:
    """Replaces <sup> and <sub> by their text with ^ or _ before it, in place, where they look like formulas."""
    for script in list(tree.iter("sup", "sub")):
        text = script.text_content().strip()
        if script.getparent() is None or not _SCRIPT.fullmatch(text) or not re.search(r"\w|^[+\-−–]$", text):
            continue
        if next(script.iter("a", "img"), None) is not None or not _can_have(_before(script), text, script.tag):
            continue
        sign = "^" if script.tag == "sup" else "_"
        script.clear(keep_tail=True)
        script.tag, script.text = _WRITTEN, f"{sign}{text}" if len(text) == 1 else f"{sign}{{{text}}}"
    etree.strip_tags(tree, _WRITTEN)  # all at once: one by one, every one is looked for among its siblings


def _before(script: Element) -> str:
    """The last characters before it, in its parent, with scripts that are written already."""
    written, previous = "", script.getprevious()
    while previous is not None and previous.tag == _WRITTEN and len(written) < _CHARS_BEFORE:
        written = f"{previous.text}{previous.tail or ''}{written}"
        previous = previous.getprevious()
    if previous is None:
        return f"{script.getparent().text or ''}{written}"[-_CHARS_BEFORE:]
    inside = previous.text_content() if isinstance(previous.tag, str) else ""
    return f"{previous.tail or inside}{written}"[-_CHARS_BEFORE:]


def _can_have(before: str, text: str, tag: str) -> bool:
    base = _BASE.search(before)
    if base is None:
        return False
    if tag == "sub":
        return True
    if base["word"]:
        return len(base["word"]) == 1 or base["word"] in _UNITS or base["word"] in tex.FUNCTIONS
    return text.lower() not in _NO_POWERS
