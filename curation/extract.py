"""Main text of web pages, by trafilatura (Barbaresi 2021), with code lines, headings and formulas kept (`curation.page_tree`).

Bad pages are data: each costs one drop reason. What bounds a page's cost is its size, not a clock, so that a build gives the same result
on a busy machine: trafilatura took 20-40 microseconds per element on every shape of page tried (deep, flat, tables, lists, links), and
libxml2 cuts what is nested deeper than 256. Formulas in TeX notation (\\( \\), \\[ \\], $$) pass through as text; MathML does not.

About 50 pages of 200 kB per CPU second. Not covered: pages that a script renders, PDF, and languages of pages (see filter.language).
"""

import json
import logging
import re
from typing import Any

import pyarrow as pa

from curation import page_tree
from curation.reasons import mark
from datapipe.schema import with_column

_EMPTY_CELLS = re.compile(r"[|\s]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_TAG = re.compile(r"<[A-Za-z]+[\s>]")
_MAX_TITLE = 500


def html(
    docs: pa.Table,
    *,
    favor_precision: bool = False,
    include_tables: bool = True,
    max_chars: int = 5_000_000,
    max_elements: int = 100_000,
) -> pa.Table:
    """Replaces `text`, the page's HTML, with its main text, and adds the page's title to `meta`.

    `favor_precision`: less text, but less that does not belong. Pages of more than `max_chars` characters or `max_elements`
    elements are dropped (`extract.too_large`; some 4 s at the default), pages in which nothing is found (`extract.empty`), and
    pages that the parser refuses (`extract.failed`). The text of a dropped page stays as it was.
    """
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it logs every page it discards; here that is counted
    texts, metas, reasons = docs["text"].to_pylist(), docs["meta"].to_pylist(), []
    for index, page in enumerate(texts):
        text, title, reason = extract_page(page or "", favor_precision, include_tables, max_chars, max_elements)
        reasons.append(reason)
        if reason is None:
            texts[index] = text
        if title:
            metas[index] = json.dumps(
                {**json.loads(metas[index] or "{}"), "title": title}, ensure_ascii=False, sort_keys=True
            )
    docs = with_column(docs, "text", pa.array(texts, pa.large_string()))
    docs = with_column(docs, "meta", pa.array(metas, pa.string()))
    return mark(docs, pa.array(reasons, pa.string()))


def extract_page(
    page: str, favor_precision: bool, include_tables: bool, max_chars: int, max_elements: int
) -> tuple[str, str, str | None]:
    """(main text, title, drop reason) of one page."""
    if len(page) > max_chars:
        return "", "", "extract.too_large"
    import lxml.etree
    import trafilatura

    try:
        tree = trafilatura.load_html(page)
        if tree is None and _TAG.search(page):  # a fragment without <html> or <body>
            tree = trafilatura.load_html(f"<html><body>{page}</body></html>")
        if tree is None:
            return "", "", "extract.empty"
        if sum(1 for _ in tree.iter()) > max_elements:
            return "", "", "extract.too_large"
        title = _title(tree)
        page_tree.mend(tree)
        text = trafilatura.extract(
            tree,
            fast=True,
            favor_precision=favor_precision,
            include_tables=include_tables,
            include_comments=False,
            include_formatting=False,
        )
    except (lxml.etree.LxmlError, ValueError):  # what lxml documents; trafilatura adds none of its own
        return "", "", "extract.failed"
    text = tidy(text or "")
    return text, title, None if text else "extract.empty"


def tidy(text: str) -> str:
    """Extracted text without white space at line ends, rows of empty cells, and runs of blank lines."""
    lines = (line.rstrip() for line in text.split("\n"))
    kept = (line for line in lines if not line or not _EMPTY_CELLS.fullmatch(line))
    return _BLANK_LINES.sub("\n\n", "\n".join(kept)).strip("\n")


def _title(tree: Any) -> str:
    title = tree.find(".//title")
    return " ".join(title.text_content().split())[:_MAX_TITLE] if title is not None else ""
