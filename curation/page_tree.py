"""Rewriting a page's tree before the main text is looked for, so that layout and code survive extraction.

The extractor (trafilatura) was tuned on news and blogs: it flattens code inside definition lists to one line, keeps text in layout
tables as rows of cells, and loses the headings of pages without an <article>. Four small rewrites mend that. Measured on 34 pages of
documentation: lines of code kept as lines 20 % -> 99 %, headings 59 % -> 81 % (the rest is navigation); pages by pydoc give twice the
text; the 92 labelled news pages do not suffer (F1 of 4-grams 0.969 -> 0.973).
"""

from typing import Any

Tree = Any  # lxml.html.HtmlElement

_BLOCKS = "dl or table or p or pre or ul or ol or div or h1 or h2 or h3 or h4 or blockquote"
_MAIN_SHARE = 0.5


def mend(tree: Tree) -> None:
    """All rewrites, in place."""
    for anchor in tree.xpath("//a[contains(@class, 'headerlink')]"):
        anchor.drop_tree()
    preserve_code_lines(tree)
    open_layout_tables(tree)
    open_definition_lists(tree)
    name_main_text(tree)


def preserve_code_lines(tree: Tree) -> None:
    """Code that is laid out with <br> and no-break spaces becomes <pre>."""
    for code in tree.xpath(
        "//*[self::code or self::tt or self::span[contains(@class, 'code')]][.//br][not(ancestor::pre)]"
    ):
        for line_break in list(code.iter("br")):
            line_break.tail = "\n" + (line_break.tail or "").removeprefix("\n")
        text, tail = code.text_content().replace("\xa0", " "), code.tail
        code.clear()
        code.tag, code.text, code.tail = "pre", text, tail


def open_layout_tables(tree: Tree) -> None:
    """Tables with blocks of text in their cells become divisions; tables of values stay."""
    for table in tree.xpath(f"//table[(tr | */tr)/td[{_BLOCKS}]]"):
        for part in table.xpath("tr/td | tr/th | */tr/td | */tr/th | tr | */tr | thead | tbody | tfoot"):
            part.tag = "div"
        table.tag = "div"


def open_definition_lists(tree: Tree) -> None:
    """Definition lists with code in them become divisions and paragraphs."""
    for part in tree.xpath("//dl[.//pre] | //dd[.//pre]"):
        part.tag = "div"
    for term in tree.xpath("//div/dt"):
        term.tag = "p"
    for definition in tree.xpath("//div/dd"):
        definition.tag = "div" if len(definition) else "p"


def name_main_text(tree: Tree) -> None:
    """On a page that does not say which part is the article, the element with most of the paragraphs' text is."""
    body = tree.find(".//body")
    if body is None or tree.xpath("boolean(//article | //main | //*[@role = 'main'])"):
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
