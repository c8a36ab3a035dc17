"""Rewriting a page's tree before the main text is looked for, so that what extractors lose survives.

The extractor (trafilatura) was tuned on news and blogs: it flattens code, drops displayed formulas between paragraphs, keeps text in layout
tables as rows of cells, and loses the headings of pages without an <article>. Code and formulas leave the page for marks
(`curation.extraction.kept`), tables are told apart (`curation.extraction.tables`), and a few rewrites below mend the rest.

Costs about as much as it saves: scripts and styles go first, which the extractor would copy three times before it drops them.
"""

from typing import Any, Literal

from lxml.etree import XPath, strip_elements, strip_tags

from curation.extraction.code_blocks import keep_code
from curation.extraction.formulas import keep_formulas, keep_math_scripts
from curation.extraction.kept import Kept
from curation.extraction.tables import keep_tables, open_layout_tables

Tree = Any  # lxml.html.HtmlElement

_UNSEEN = ("style", "svg", "link", "meta", "iframe", "input", "source", "canvas", "embed", "track", "area")
# The extractor takes these off too, only later: the same texts on 246 pages, for 4 % less time. Images have been read by then.
_INLINE = ("img", "i", "b", "em", "u", "small", "font", "ins", "mark", "abbr", "cite", "wbr", "nobr", "big", "acronym")
_MAIN_SHARE = 0.5
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6", "dt", "caption", "figcaption")
_FIND_BY_CLASS = XPath(
    "//@class[contains(., 'code') or contains(., 'math') or contains(., 'MathJax')]/.. | //@data-latex/.."
)
_CODE_LISTS = XPath("//dl[.//pre] | //dd[.//pre]")
_LOOSE_TERMS = XPath("//div/dt")
_LOOSE_DEFINITIONS = XPath("//div/dd")
_ENDLESS = XPath("//p[count(.//*[not(self::br)]) > 2000]")
_FIND_MAIN_ROLE = XPath("boolean(//@role[. = 'main'])")


def mend(tree: Tree, *, tables: Literal["nested", "all", "none"]) -> Kept:
    """All rewrites, in place. Returns the passages that were taken out.

    `tables`: which tables of values are taken out; "nested" are those in lists and quotations.
    """
    kept = Kept()
    keep_math_scripts(tree, kept)
    drop_unseen(tree)
    by_class = _FIND_BY_CLASS(tree)
    keep_formulas(tree, kept, by_class)
    strip_tags(tree, *_INLINE)
    for heading in tree.iter(*_HEADINGS):
        drop_permalinks(heading)
    keep_code(tree, kept, by_class)
    open_layout_tables(tree)
    if tables != "none":
        keep_tables(tree, kept, everywhere=tables == "all")
    if tree.find(".//dl") is not None:
        open_definition_lists(tree)
    flatten_endless_paragraphs(tree)
    name_main_text(tree)
    return kept


def drop_unseen(tree: Tree) -> None:
    """Scripts, styles, and what shows no text. Linked data stays: the extractor looks for the text there when it finds none elsewhere."""
    strip_elements(tree, *_UNSEEN, with_tail=False)
    for script in list(tree.iter("script")):
        if script.get("type") == "application/ld+json":
            continue
        if script.tail:
            script.drop_tree()
        else:
            script.getparent().remove(script)


def drop_permalinks(heading: Tree) -> None:
    """The signs beside a heading that link to it."""
    for anchor in heading.findall(".//a"):
        if "headerlink" in (anchor.get("class") or ""):
            anchor.drop_tree()


def flatten_endless_paragraphs(tree: Tree) -> None:
    """Paragraphs of thousands of links or spans become their text: the extractor's time grows with the square of their number, in C."""
    for paragraph in _ENDLESS(tree):
        text, tail = paragraph.text_content(), paragraph.tail
        paragraph.clear()
        paragraph.text, paragraph.tail = text, tail


def open_definition_lists(tree: Tree) -> None:
    """Definition lists with code in them become divisions and paragraphs."""
    for part in _CODE_LISTS(tree):
        part.tag = "div"
    for term in _LOOSE_TERMS(tree):
        term.tag = "p"
    for definition in _LOOSE_DEFINITIONS(tree):
        definition.tag = "div" if len(definition) else "p"


def name_main_text(tree: Tree) -> None:
    """On a page that does not say which part is the article, the element with most of the paragraphs' text is."""
    body = tree.find(".//body")
    if body is None or next(tree.iter("article", "main"), None) is not None or _FIND_MAIN_ROLE(tree):
        return
    chars: dict[Tree, int] = {}
    for block in body.iter("p", "pre"):
        parent = block.getparent()
        chars[parent] = chars.get(parent, 0) + len(block.text_content())
    main = max(chars, key=lambda element: chars[element], default=None)
    if main is None or chars[main] < _MAIN_SHARE * sum(chars.values()):
        return
    if main is body:
        _wrap_children(body, "article")
    elif main.tag == "div":
        main.tag = "article"


def _wrap_children(element: Tree, tag: str) -> None:
    wrapper = element.makeelement(tag)
    wrapper.text, element.text = element.text, None
    wrapper.extend(list(element))
    element.append(wrapper)
