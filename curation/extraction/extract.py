"""Main text of web pages, with code blocks, formulas and tables kept (`curation.extraction.page_tree`).

Two engines look for the main text: `trafilatura` (Barbaresi 2021), and `fast`, resiliparse (Bevendorff et al. 2018), which is four times
as fast and takes more of a page's surroundings along (F1 0.919 for 0.976 on labelled pages). Both see the same rewritten page.
Formulas become LaTeX, \\( \\) within a line and \\[ \\] on lines of their own; those that are text already stay as they are written.
Code blocks keep their lines and indentation; rows of tables are `| cell | cell |`.

Bad pages are data: each costs one drop reason. A page's cost is bounded by its size, by libxml2, which cuts what is nested deeper than 256,
and by CPU seconds (`time_limit`, main thread only) for shapes that an engine takes badly: tens of thousands of paragraphs
or spanned cells. Those spend up to half a minute in C before the limit is noticed. Memory levels off: 2,000 pages, 210 MB.
About 60 pages of 200 kB per CPU second, 4 % more CPU than trafilatura alone, and 250 with `fast`; `python -m curation.bench extract`.
Not covered: pages that a script renders, PDF, and languages of pages (see filter.language).
"""

import functools
import json
import re
from typing import Any, NamedTuple

import pyarrow as pa

from curation.extraction import engines
from curation.extraction.code_blocks import CODE
from curation.extraction.engines import MainText
from curation.extraction.formulas import FORMULA, WRITTEN
from curation.extraction.time_limit import OutOfTime, within
from curation.reasons import mark
from datapipe.schema import with_column

_EMPTY_CELLS = re.compile(r"[|\s]+")
_LAST_CELLS = re.compile(r"(?: *\|){2,}$")
_ATTRIBUTE = re.compile(r"""[\s/][^\s/>=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]*))?""")
_WINDOW = 1 << 15
_MAX_ATTRIBUTES = 5_000
_BLANK_LINES = re.compile(r"\n{3,}")


class Page(NamedTuple):
    """What came of one page: its main text and what goes into `meta`, or why it is dropped."""

    text: str = ""
    facts: dict[str, Any] | None = None
    reason: str | None = None


def html(
    docs: pa.Table,
    *,
    engine: str = "trafilatura",
    favor_precision: bool = False,
    include_tables: bool = True,
    max_chars: int = 5_000_000,
    max_elements: int = 100_000,
    max_seconds: float = 10.0,
) -> pa.Table:
    """Replaces `text`, the page's HTML, with its main text, and adds to `meta` what the page says of itself.

    `favor_precision`: less text, but less that does not belong (trafilatura only). Dropped are pages of more than `max_chars` characters
    or `max_elements` elements (`extract.too_large`), of more than `max_seconds` of CPU (`extract.timeout`; 0: no limit), in which
    nothing is found (`extract.empty`), and that the parser refuses (`extract.failed`). The text of a dropped page stays as it was.
    `meta` gets `title`, `html_lang` and `published` (a day) where the page has them, and `code_blocks` and `formulas`, how many are
    in the text, where there are any. ValueError for an unknown engine, ModuleNotFoundError when `fast` is not installed.
    """
    main_text = engines.load(engine, favor_precision=favor_precision, include_tables=include_tables)
    texts, metas, reasons = docs["text"].to_pylist(), docs["meta"].to_pylist(), []
    for index, source in enumerate(texts):
        try:
            page = within(
                max_seconds, functools.partial(extract_page, source or "", main_text, max_chars, max_elements)
            )
        except OutOfTime:
            page = Page(reason="extract.timeout")
        reasons.append(page.reason)
        if page.reason is None:
            texts[index] = page.text
        if page.facts:
            metas[index] = json.dumps(
                {**json.loads(metas[index] or "{}"), **page.facts}, ensure_ascii=False, sort_keys=True
            )
    docs = with_column(docs, "text", pa.array(texts, pa.large_string()))
    docs = with_column(docs, "meta", pa.array(metas, pa.string()))
    return mark(docs, pa.array(reasons, pa.string()))


def check_html(*, engine: str = "trafilatura", max_seconds: float = 10.0) -> None:
    """Raises ValueError for an engine there is not, and for a limit below 0."""
    if engine not in engines.ENGINES:
        raise ValueError(f"engine is {engine!r}: type {' or '.join(engines.ENGINES)}")
    if max_seconds < 0:
        raise ValueError(f"max_seconds is {max_seconds}: type seconds of CPU per page, 0 for no limit")


def extract_page(source: str, main_text: MainText, max_chars: int, max_elements: int) -> Page:
    """One page through one engine (`curation.extraction.engines`)."""
    import lxml.etree

    if len(source) > max_chars or _has_many_tags(source, max_elements) or has_endless_tag(source):
        return Page(reason="extract.too_large")
    try:
        found = main_text(source, max_elements)
    except (
        lxml.etree.LxmlError,
        ValueError,
        RecursionError,
    ):  # what lxml documents, and trafilatura on what nests too deep
        return Page(reason="extract.failed")
    if found is None:
        return Page(reason="extract.too_large")
    text = tidy(found.text)
    written = len(WRITTEN.findall(text))
    text, counts = found.kept.restore(text)
    facts: dict[str, Any] = dict(found.facts)
    if counts[CODE]:
        facts["code_blocks"] = counts[CODE]
    if written + counts[FORMULA]:
        facts["formulas"] = written + counts[FORMULA]
    return Page(text, facts, None if text else "extract.empty")


def _has_many_tags(source: str, max_elements: int) -> bool:
    """Whether a page is too large to be parsed at all: signs of four tags an element, where two would do."""
    return len(source) > 4 * max_elements and source.count("<") > 4 * max_elements


def has_endless_tag(source: str) -> bool:
    """Whether a tag has thousands of attributes. Parsers compare each with all before it: minutes at 50,000, in C, where no clock rings.

    Looks for 64 k characters without a closing sign, so that it costs nothing; a tag that hides such signs in its values is not found.
    """
    for start in range(0, len(source) - _WINDOW, _WINDOW):
        if source.find(">", start, start + _WINDOW) < 0:
            opened = source.rfind("<", 0, start)
            if opened >= 0 and source.find(">", opened, start) < 0:
                closed = source.find(">", start)
                tag = source[opened : closed if closed >= 0 else len(source)]
                if sum(1 for _ in _ATTRIBUTE.finditer(tag)) > _MAX_ATTRIBUTES:
                    return True
    return False


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
