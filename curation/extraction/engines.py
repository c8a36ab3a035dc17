"""The two engines that look for a page's main text: trafilatura, and resiliparse, both behind the same rewriting of the page.

trafilatura runs in its fast mode, without its two fallbacks. resiliparse parses for itself; a page without code, formulas and tables goes
to it untouched, the others are parsed and rewritten by lxml and handed on as HTML, which costs as much again as resiliparse takes.
"""

import functools
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from lxml.etree import XPath, tostring

from curation.extraction import page_tree
from curation.extraction.exchange import LINKED
from curation.extraction.kept import Kept

Tree = Any  # lxml.html.HtmlElement

_TAG = re.compile(r"<[A-Za-z]+[\s>]")
_LINE_BREAK = re.compile(r"[ \t\r]*\n\s*")
_COUNT = XPath("count(//*)")
_WORTH_REWRITING = (
    'pre, xmp, listing, code br, tt br, table, math, m\\:math, mml\\:math, script[type^="math/"], [class*="math"], [class*="code"] br, '
    "[data-tex], [data-latex], [data-mathml], sup, sub, "
    '[style*="white-space"], img[class*="tex"], img[src*="tex"], img[src*="math"], img[src*="cht="], img[alt^="$"], img[alt^="\\\\"]'
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATE_NAMES = frozenset(
    {"article:published_time", "og:published_time", "datepublished", "date", "pubdate", "dc.date", "dcterms.date"}
)
_DATES = ", ".join(
    f'meta[{attribute}="{name}" i]' for name in sorted(_DATE_NAMES) for attribute in ("property", "name", "itemprop")
)
_MAX_DEEP_TAGS = 5_000  # resiliparse takes time by the square of the depth; lxml cuts it at 256
_META_ATTRIBUTES = ("property", "name", "itemprop", "content")
_MAX_TITLE = 500
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


class Found(NamedTuple):
    """A page's main text with marks in it, what the marks stand for, and what the page says of itself."""

    text: str
    kept: Kept
    facts: dict[str, str]


MainText = Callable[[str, int], Found | None]  # (page, most elements) -> None for a page that has more


def load(engine: str, *, favor_precision: bool, include_tables: bool) -> MainText:
    """The function behind an engine's name (`exchange.ENGINES`, LINKED). ImportError when its library is not installed."""
    if engine == LINKED:
        from curation.extraction.linked_text import markdown

        return markdown
    from trafilatura.settings import Extractor

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it logs every page it discards; here that is counted
    options = Extractor(fast=True, comments=False, formatting=False, precision=favor_precision, tables=include_tables)
    if engine == "fast":
        import resiliparse.extract.html2text  # noqa: F401
    return functools.partial({"trafilatura": _by_trafilatura, "fast": _by_resiliparse}[engine], options)


def parse(page: str) -> Tree | None:
    """The tree of a page or of a part of one, None when there is no markup in it. As UTF-8, which halves the time that libxml2 takes."""
    import lxml.html
    from trafilatura.utils import HTML_PARSER, repair_faulty_html

    if not _TAG.search(page):
        return None
    repaired = repair_faulty_html(page, page[:50].lower())
    try:
        return lxml.html.document_fromstring(repaired.encode("utf-8", "replace"), parser=HTML_PARSER)
    except lxml.etree.ParserError:  # nothing but white space and comments
        return None


def _by_trafilatura(options: Any, page: str, max_elements: int) -> Found | None:
    return _rewritten(options, page, max_elements, "nested", functools.partial(_main_text, options))


def _main_text(options: Any, tree: Tree) -> str | None:
    """What `trafilatura.extract` gives, without the line breaks that the page's author typed."""
    import trafilatura
    from trafilatura.xml import xmltotxt

    found: Any = trafilatura.bare_extraction(tree, options=options)
    if found is None:
        return None
    _join_source_lines(found.body)
    return unicodedata.normalize("NFC", xmltotxt(found.body, options.formatting).strip())


def _join_source_lines(body: Tree) -> None:
    """White space of an extracted text as a browser shows it, in place; a break of a line that shows is an element."""
    for element in body.iter():
        if element.text and "\n" in element.text and element.tag != "code":
            element.text = _LINE_BREAK.sub(" ", element.text)
        if element.tail and "\n" in element.tail:
            element.tail = _LINE_BREAK.sub(" ", element.tail)


def _by_resiliparse(options: Any, page: str, max_elements: int) -> Found | None:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    document = HTMLTree.parse(page)
    head, root = document.head, document.document
    deep = page.count("<") > _MAX_DEEP_TAGS
    if deep or head is None or root is None or root.query_selector(_WORTH_REWRITING) is not None:
        skipped = None if options.tables else ["table"]
        found = _rewritten(
            options,
            page,
            max_elements,
            "all",
            lambda tree: extract_plain_text(
                tostring(tree, method="html", encoding="unicode"),
                main_content=True,
                alt_texts=False,
                skip_elements=skipped,
            ),
        )
    else:
        language = root.query_selector("html").getattr("lang")  # type: ignore[union-attr]
        metas = ({name: meta.getattr(name) for name in _META_ATTRIBUTES} for meta in root.query_selector_all(_DATES))
        facts = _facts(document.title, language, metas)
        found = Found(extract_plain_text(document, main_content=True, alt_texts=False), Kept(), facts)
    # An outer element named "related" makes resiliparse drop all of a page.
    if found is not None and not found.text.strip():
        return _by_trafilatura(options, page, max_elements)
    return found


def _rewritten(
    options: Any,
    page: str,
    max_elements: int,
    tables: Literal["nested", "all"],
    main_text: Callable[[Tree], str | None],
) -> Found | None:
    """A page through what both engines share: it is parsed, asked for its facts and mended; `main_text` looks into what comes of it."""
    tree = parse(page)
    if tree is None:
        return Found("", Kept(), {})
    # An element has three characters of source at least, so that most pages need no counting.
    if len(page) > 3 * max_elements and _COUNT(tree) > max_elements:
        return None
    facts = facts_of(tree)
    kept = page_tree.mend(tree, tables=tables if options.tables else "none")
    return Found(main_text(tree) or "", kept, facts)


def facts_of(tree: Tree) -> dict[str, str]:
    """What the page says of itself: `title`, `html_lang` (the tag of its language), `published` (a day), each where it is there."""
    title = tree.find(".//title")
    return _facts(title.text_content() if title is not None else None, tree.get("lang"), tree.iter("meta"))


def _facts(title: str | None, language: str | None, metas: Iterable[Any]) -> dict[str, str]:
    """`metas`: attributes of the <meta> elements, by their `get`."""
    days = (
        day[0]
        for meta in metas
        if (day := _DATE.match(meta.get("content") or ""))
        and (meta.get("property") or meta.get("name") or meta.get("itemprop") or "").lower() in _DATE_NAMES
    )
    facts = {
        "title": " ".join((title or "").split())[:_MAX_TITLE],
        "html_lang": language if language and _LANGUAGE.fullmatch(language) else "",
        "published": next(days, ""),
    }
    return {name: value for name, value in facts.items() if value}
