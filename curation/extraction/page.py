"""One page through one engine (`curation.extraction.engines`): its main text, tidied, and what it says of itself, or a drop reason."""

import re
from typing import Any

import lxml.etree

from curation.extraction.code_blocks import CODE
from curation.extraction.engines import MainText
from curation.extraction.exchange import EMPTY, FAILED, TOO_LARGE, Page
from curation.extraction.formulas import FORMULA, WRITTEN

_EMPTY_CELLS = re.compile(r"[|\s]+")
_LAST_CELLS = re.compile(r"(?: *\|){2,}$")
_BLANK_LINES = re.compile(r"\n{3,}")


def extract_page(source: str, main_text: MainText, max_elements: int) -> Page:
    """What comes of a page. Of errors, what lxml documents, and what trafilatura raises on pages that nest too deep, are its data."""
    if _has_many_tags(source, max_elements):
        return Page(reason=TOO_LARGE)
    try:
        found = main_text(source, max_elements)
    except (lxml.etree.LxmlError, ValueError, RecursionError):
        return Page(reason=FAILED)
    if found is None:
        return Page(reason=TOO_LARGE)
    text = tidy(found.text)
    written = len(WRITTEN.findall(text))
    text, counts = found.kept.restore(text)
    facts: dict[str, Any] = dict(found.facts)
    if counts[CODE]:
        facts["code_blocks"] = counts[CODE]
    if written + counts[FORMULA]:
        facts["formulas"] = written + counts[FORMULA]
    return Page(text, facts, None if text else EMPTY)


def _has_many_tags(source: str, max_elements: int) -> bool:
    """Whether a page is too large to be parsed at all: signs of four tags an element, where two would do."""
    return len(source) > 4 * max_elements and source.count("<") > 4 * max_elements


def tidy(text: str) -> str:
    """Extracted text without white space at line ends, rows of empty cells, empty cells at the end of rows, and runs of blank lines."""
    lines = []
    for line in text.split("\n"):
        line = line.rstrip()
        if line.endswith("|"):
            if _EMPTY_CELLS.fullmatch(line):
                continue
            line = _LAST_CELLS.sub(" |", line)
        lines.append(line)
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")
