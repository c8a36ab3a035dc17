"""Rewrites of a page's tree, one by one."""

from lxml.etree import tostring

from curation.extraction import page_tree
from curation.extraction.engines import parse

SENTENCE = "A sentence that belongs to the text of this page, with a comma. " * 5


def tree_of(body: str) -> page_tree.Tree:
    return parse(f"<html><head><title>t</title></head><body>{body}</body></html>")


def markup(tree: page_tree.Tree) -> str:
    return tostring(tree.find("body"), encoding="unicode")


def test_scripts_go_with_their_tails_kept_and_linked_data_stays() -> None:
    tree = tree_of(
        "a<script>x</script>b<style>y</style>c<svg><path/></svg>d<script type='application/ld+json'>{}</script>"
    )
    page_tree.drop_unseen(tree)
    assert markup(tree) == '<body><p>abcd<script type="application/ld+json">{}</script></p></body>'.replace(
        "<p>", ""
    ).replace("</p>", "")


def test_the_element_with_most_paragraphs_is_the_article() -> None:
    tree = tree_of(f"<div><p>menu</p></div><div><p>{SENTENCE}</p><p>{SENTENCE}</p></div>")
    page_tree.name_main_text(tree)
    assert [element.tag for element in tree.find("body")] == ["div", "article"]


def test_a_page_that_names_its_article_keeps_its_names() -> None:
    tree = tree_of(f"<main><p>short</p></main><div><p>{SENTENCE}</p></div>")
    page_tree.name_main_text(tree)
    assert [element.tag for element in tree.find("body")] == ["main", "div"]


def test_paragraphs_directly_in_the_body_are_wrapped() -> None:
    tree = tree_of(f"start<p>{SENTENCE}</p>tail<p>{SENTENCE}</p>")
    page_tree.name_main_text(tree)
    assert markup(tree) == f"<body><article>start<p>{SENTENCE}</p>tail<p>{SENTENCE}</p></article></body>"


def test_no_article_where_no_element_holds_half_of_the_text() -> None:
    tree = tree_of("".join(f"<div><p>{SENTENCE}</p></div>" for _ in range(3)))
    page_tree.name_main_text(tree)
    assert [element.tag for element in tree.find("body")] == ["div"] * 3


def test_definition_lists_with_code_are_opened_and_others_stay() -> None:
    tree = tree_of("<dl><dt>t</dt><dd>d<pre>x</pre></dd><dd>plain</dd></dl><dl><dt>u</dt><dd>e</dd></dl>")
    page_tree.open_definition_lists(tree)
    assert (
        markup(tree)
        == "<body><div><p>t</p><div>d<pre>x</pre></div><p>plain</p></div><dl><dt>u</dt><dd>e</dd></dl></body>"
    )


def test_endless_paragraphs_become_text() -> None:
    tree = tree_of(
        "<p>"
        + "<a href='/'>x</a> " * 2_001
        + "</p>tail<p>"
        + "<a href='/'>x</a> " * 1_999
        + "</p><p>"
        + "x<br>" * 3_000
        + "</p>"
    )
    page_tree.flatten_endless_paragraphs(tree)
    assert [len(paragraph) for paragraph in tree.iter("p")] == [0, 1_999, 3_000]
    assert tree.find(".//p").text == "x " * 2_001
    assert tree.find(".//p").tail == "tail"


def test_mend_takes_code_formulas_and_permalinks_out() -> None:
    page = (
        "<html><head><script type='math/tex'>z</script></head><body><h2>Title<a class='headerlink' href='#t'>¶</a></h2>"
        "<pre>a\n b</pre><p><script type='math/tex'>x^2</script></p>"
        "<ul><li><table><tr><td>1</td><td>2</td></tr></table></li></ul></body></html>"
    )
    for tables, rows in (("nested", 0), ("all", 0), ("none", 1)):
        tree = parse(page)
        kept = page_tree.mend(tree, tables=tables)  # type: ignore[arg-type]
        assert len(list(tree.iter("tr"))) == rows
        text, counts = kept.restore(tree.find("body").text_content())
        assert text.startswith("Title\na\n b\n\\(x^2\\)")
        assert (counts["code"], counts["formula"], counts["table"]) == (1, 1, 1 - rows)
