"""The engine behind `extract.linked`: a page's tree as Markdown in which its links and its pairs of name and value survive.

What counts as content is decided by the page's own marks (<main>, <article>, roles), else by where most of its paragraphs are; what is
named as navigation goes. Beside the content, what a sidebar *says* is kept and what it only links to is not: definition lists, tables of a
header and a cell, and paragraphs of the form "Name: value" become lines `**Name**: value`, below the title.

Links are written into the tree before anything else happens, as text, so that every later rewriting (`page_tree`, `tables`) keeps them.
280 pages of 15 kB per CPU second, 120 of 200 kB. Not covered: emphasis, images, links in code.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, urljoin

from lxml.etree import XPath, strip_tags

from curation.extraction import page_tree
from curation.extraction.engines import Found, facts_of, parse
from curation.extraction.kept import Kept
from curation.extraction.linked_facts import said_in_links

Tree = Any  # lxml.html.HtmlElement

MAX_URL_CHARS = 2_000
MAX_NAME_CHARS = 60  # of a pair; a longer one is prose
MAX_LEAD_CHARS = 1_000
_FIND_LINKS = XPath("//a[@href][not(ancestor::pre or ancestor::xmp or ancestor::listing or ancestor::textarea)]")
_COUNT = XPath("count(//*)")
_FIND_MAIN = XPath("//main | //*[@role = 'main']")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_TEXT_BLOCKS = (
    "address",
    "blockquote",
    "center",
    "dd",
    "dl",
    "dt",
    "figcaption",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "summary",
    "ul",
)
_PARTS = (
    "article",
    "aside",
    "body",
    "details",
    "div",
    "fieldset",
    "figure",
    "footer",
    "form",
    "header",
    "hgroup",
    "main",
    "nav",
    "section",
)
_TABLES = ("table", "tbody", "td", "tfoot", "th", "thead", "tr")
_BLOCKS = frozenset((*_TEXT_BLOCKS, *_PARTS, *_TABLES, *_HEADINGS))
_UNSEEN = (
    "button",
    "dialog",
    "head",
    "noscript",
    "option",
    "script",
    "select",
    "style",
    "template",
    "textarea",
    "title",
)
_BESIDE_TAGS = frozenset({"nav", "footer"})
_BESIDE_ROLES = frozenset(
    {"alert", "banner", "contentinfo", "dialog", "menu", "menubar", "navigation", "search", "toolbar"}
)
_BESIDE_NAME = re.compile(
    r"(?:\A|[-_ ])(?:ad|ads|advert|banner|breadcrumbs?|comments|cookies?|editsection|footer|login|menu|nav|navbar|navigation|navbox"
    r"|newsletter|noprint|pagination|promo|related|searchmenu|share|skip|social|toc|toolbar)(?:\Z|[-_ ])",
    re.I,
)
_SIDE_NAME = re.compile(r"(?:\A|[-_ ])(?:infobox|sidebar)(?:\Z|[-_ ])", re.I)
_BESIDE_SHARE = 0.5  # of the content: a part named so that holds more is the content
_PAIR = re.compile(r"([^\W\d_][^:|\[\]()]{0,40}?)\s*:\s+(\S.*)", re.S)
_SIGNS = re.compile(r"[\W_]*")
_NOT_IN_URL = re.compile(r"[\s()<>|\\\[\]\"`{}^]")


def markdown(page: str, max_elements: int, *, url: str = "") -> Found | None:
    """A page's content, None for one of more elements than that. `url` is what its links are relative to."""
    tree = parse(page)
    if tree is None:
        return Found("", Kept(), {})
    if len(page) > 3 * max_elements and _COUNT(tree) > max_elements:
        return None
    facts = facts_of(tree) | said_in_links(tree, url, _joined)
    write_links(tree, url)
    open_pair_tables(tree)
    kept = page_tree.mend(tree, tables="all")
    return Found(content(tree, facts.get("title", "")), kept, facts)


def write_links(tree: Tree, url: str) -> None:
    """Links become text, in place: `[words](absolute address)`. Those to the page itself, and to what is no page, become their words."""
    base = tree.find(".//base[@href]")
    here = _joined(url, base.get("href")) if base is not None else url
    for link in _FIND_LINKS(tree):
        words = _folded(link.text_content())
        target = _joined(here, link.get("href"))
        tail = link.tail
        link.clear()
        link.tail = tail
        if _SIGNS.fullmatch(words):  # a permanent link, an arrow, a picture
            link.text = ""
        elif target.startswith(("http://", "https://")) and target.partition("#")[0] != url:
            link.text = f"[{words.replace('[', '(').replace(']', ')')}]({target})"
        else:
            link.text = words
    strip_tags(tree, "a")


def _joined(base: str, href: str) -> str:
    """An absolute address that can stand in brackets, "" where there is none."""
    try:
        target = urljoin(base, href.strip())
    except ValueError:
        return ""
    return _NOT_IN_URL.sub(lambda sign: quote(sign[0]), target) if len(target) <= MAX_URL_CHARS else ""


def open_pair_tables(tree: Tree) -> None:
    """Tables of a header and a cell per row become definition lists, and the groups of definition lists are opened, in place."""
    for table in list(tree.iter("table")):
        rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
        pairs = [row for row in rows if [cell.tag for cell in row] == ["th", "td"]]
        if len(pairs) < 2 or len(pairs) < len(rows) - 2 or table.find(".//table") is not None:
            continue
        tail = table.tail
        for row in pairs:
            row[0].tag, row[1].tag = "dt", "dd"
        table.clear()
        table.tag, table.tail = "dl", tail
        table.extend(cell for row in pairs for cell in row)
    for group in list(tree.iter("div")):
        if group.getparent() is not None and group.getparent().tag == "dl":
            group.drop_tag()


def content(tree: Tree, title: str = "") -> str:
    """The Markdown of a mended tree; `title`: of the window."""
    root = _main(tree)
    if root is None:
        return ""
    limit = _BESIDE_SHARE * len(root.text_content())
    for part in list(tree.iter(*_UNSEEN)):
        if part.getparent() is not None:
            part.drop_tree()
    sides: list[Tree] = []
    for part in list(tree.iter()):
        if part is root or not isinstance(part.tag, str) or _holds(part, root):
            continue
        if _is_beside(part) or (_BESIDE_NAME.search(_names(part)) and len(part.text_content()) <= limit):
            part.drop_tree()
        elif part.tag == "aside" or part.get("role") == "complementary" or _SIDE_NAME.search(_names(part)):
            sides.append(part)
    pairs = [line for side in sides for line in _said(side)]
    for side in sides:
        if side.getparent() is not None and len(side.text_content()) <= limit:
            side.drop_tree()
    lead = _lead(tree, root, title)
    blocks = [*(_written(lead) if lead is not None else ()), *_written(root)]
    place = next((number for number, block in enumerate(blocks, 1) if block.startswith("#")), 0) if lead is None else 1
    blocks[place:place] = ["\n".join(dict.fromkeys(pairs))] if pairs else []
    return "\n\n".join(blocks)


def _main(tree: Tree) -> Tree | None:
    mains = _FIND_MAIN(tree)
    articles = list(tree.iter("article"))
    if mains:
        return max(mains, key=lambda main: len(main.text_content()))
    return articles[0] if len(articles) == 1 else tree.find(".//body")


def _holds(part: Tree, root: Tree) -> bool:
    return any(ancestor is part for ancestor in root.iterancestors())


def _names(part: Tree) -> str:
    return f"{part.get('class') or ''} {part.get('id') or ''}" if part.tag in _BLOCKS else ""


def _is_beside(part: Tree) -> bool:
    return (
        part.tag in _BESIDE_TAGS
        or part.get("role") in _BESIDE_ROLES
        or part.get("hidden") is not None
        or part.get("aria-hidden") == "true"
        or "display:none" in (part.get("style") or "").replace(" ", "")
    )


def _lead(tree: Tree, root: Tree, title: str) -> Tree | None:
    """What the content is headed by, where that stands before it: a first heading, with what is around it if that is short.

    Where the content has a first heading too, that of the page is the one that the window's title begins with.
    """
    outer = next((heading for heading in tree.iter("h1") if not _holds(root, heading)), None)
    if outer is None or root.tag == "body" or next(outer.iterancestors("header"), None) is not None:
        return None
    words = outer.text_content().split()
    if root.find(".//h1") is not None and words[:1] != title.split()[:1]:
        return None
    around = outer.getparent()
    is_short = around.tag in ("div", "section", "hgroup") and len(around.text_content()) <= MAX_LEAD_CHARS
    return around if is_short and not _holds(around, root) else outer


def _said(side: Tree) -> Iterator[str]:
    """The lines of a sidebar that say something: pairs."""
    for part in side.iter("dl", "p"):
        if part.tag == "dl":
            yield from (line for line in _pairs(part) if line.startswith("**"))
        elif pair := _PAIR.fullmatch(_folded(part.text_content())):
            yield f"**{pair[1]}**: {pair[2]}"


def _written(element: Tree) -> Iterator[str]:
    """The blocks of an element, each without blank lines, in order."""
    inline: list[str] = [element.text or ""]
    for child in element:
        if not isinstance(child.tag, str):
            inline.append(child.tail or "")
            continue
        if child.tag == "br":
            inline.append("\n")
        elif child.tag in _BLOCKS or _has_blocks(child):
            yield from _paragraph(inline)
            inline.clear()
            yield from _block(child)
        else:
            inline.append(child.text_content())
        inline.append(child.tail or "")
    yield from _paragraph(inline)


def _has_blocks(element: Tree) -> bool:
    return next(element.iterdescendants(*_BLOCKS), None) is not None


def _paragraph(pieces: Iterable[str]) -> Iterator[str]:
    text = _folded("".join(pieces))
    if text:
        yield text


def _block(element: Tree) -> Iterator[str]:
    if level := _HEADINGS.get(element.tag):
        if text := _folded(element.text_content()):
            yield f"{'#' * level} {text}"
    elif element.tag in ("ul", "ol"):
        lines = list(_items(element, ""))
        if lines:
            yield "\n".join(lines)
    elif element.tag == "dl":
        yield from _pairs(element)
    else:
        yield from _written(element)


def _items(items: Tree, indent: str) -> Iterator[str]:
    """The lines of a list; what an item holds beside its first block is indented below it."""
    for item in items:
        if item.tag in ("ul", "ol"):  # within the list, where an item should be around it
            yield from _items(item, indent + "  ")
            continue
        if not isinstance(item.tag, str):
            continue
        first, *rest = [*_written(item)] or [""]
        if first:
            yield f"{indent}- " + first.replace("\n", f"\n{indent}  ")
        for block in rest:
            yield f"{indent}  " + block.replace("\n", f"\n{indent}  ")


def _pairs(pairs: Tree) -> Iterator[str]:
    """A definition list: `**term**: value; value`, and blocks where a definition holds more than a paragraph."""
    term = ""
    values: list[str] = []
    below: list[str] = []
    for part in [*pairs, None]:
        if part is None or part.tag == "dt":
            if term or values:
                yield from _pair(term, values)
                yield from below
            term, values, below = (_folded(part.text_content()) if part is not None else ""), [], []
        elif part.tag == "dd":
            blocks = list(_written(part))
            if _is_short_list(part):
                values += [line[2:] for line in blocks[0].split("\n")]
            elif blocks:
                values += [] if blocks[0].startswith(("#", "- ", "**", "| ")) else blocks[:1]
                below += blocks if blocks[0].startswith(("#", "- ", "**", "| ")) else blocks[1:]
        elif isinstance(part.tag, str):
            below += _block(part)


def _pair(term: str, values: list[str]) -> Iterator[str]:
    value = "; ".join(filter(None, values))
    if term and value:
        yield f"**{term.rstrip(':')}**: {value}"
    elif term or value:
        yield term or value


def _is_short_list(definition: Tree) -> bool:
    lists = [child for child in definition if child.tag in ("ul", "ol")]
    return (
        len(lists) == len(definition) == 1
        and not (definition.text or "").strip()
        and all(item.tag == "li" and not _has_blocks(item) and (item.text_content()).strip() for item in lists[0])
    )


def _folded(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
