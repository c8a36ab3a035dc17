"""Superscripts and subscripts in plain HTML: powers, indices, chemistry; not footnotes, ordinals and marks."""

from typing import Any

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from curation.extraction.scripts import write_scripts


def written(body: str) -> str:
    tree = lxml.html.fragment_fromstring(body, create_parent="div")
    write_scripts(tree)
    return tree.text_content()


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("x<sup>2</sup>", "x^2"),
        ("<i>x</i><sup>n+1</sup> + 1", "x^{n+1} + 1"),
        ("x<sub>1</sub><sup>2</sup>", "x_1^2"),
        (
            "x<sub>i</sub>y<sup>2</sup>",
            "x_iy2",
        ),  # what is before it is what will be read: `iy` is no name of one letter
        ("the x<sub>i</sub><sub>j</sub><sub>k</sub><sup>2</sup>", "the x_i_j_k^2"),
        ("<b>x</b><sub>1</sub>2<sup>n</sup>", "x_12^n"),
        ("word <!-- c --><sup>2</sup>", "word 2"),
        ("(a+b)<sup>2</sup>", "(a+b)^2"),
        ("10<sup>-3</sup> m", "10^{-3} m"),
        ("5 km<sup>2</sup>", "5 km^2"),
        ("H<sub>2</sub>SO<sub>4</sub>", "H_2SO_4"),
        ("log<sub>2</sub>", "log_2"),
        ("Na<sup>+</sup>", "Na+"),
        ("α<sup>2</sup>", "α^2"),
        ("e<sup><i>iπ</i></sup>", "e^{iπ}"),
        ("2<sup>n</sup>", "2^n"),
        ("sin<sup>2</sup> x", "sin^2 x"),
        # As they were.
        ("the word<sup>2</sup>", "the word2"),
        ("in the<sup>1</sup>", "in the1"),
        ("x<sup><a href='#1'>1</a></sup>", "x1"),
        ("the 1<sup>st</sup> and 2<sup>e</sup>", "the 1st and 2e"),
        ("it <sup>2</sup>", "it 2"),
        ("<sup>2</sup>", "2"),
        ("x<sup></sup>", "x"),
        ("x<sup>*</sup>", "x*"),
        ("x<sup>a whole sentence of words</sup>", "xa whole sentence of words"),
    ],
)
def test_scripts(body: str, wanted: str) -> None:
    assert written(body) == wanted


@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "2",
                " ",
                "word",
                "<sup>2</sup>",
                "<sub>i</sub>",
                "<i>x</i>",
                "<sup>a<sup>b</sup></sup>",
                "<!-- c -->",
            ]
        )
    )
)
def test_nothing_but_signs_is_added(parts: list[str]) -> None:
    body = "".join(parts)
    plain = lxml.html.fragment_fromstring(body, create_parent="div").text_content()
    assert "".join(c for c in written(body) if c not in "^_{}") == plain


def test_what_is_written_is_text_between_what_stays() -> None:
    tree = lxml.html.fragment_fromstring("<p>an x<sub>1</sub><b>y</b><sup>2</sup>, <a>z</a><sup>n</sup></p>")
    write_scripts(tree)
    assert lxml.html.tostring(tree) == b"<p>an x_1<b>y</b>^2, <a>z</a>^n</p>"


class Counting(lxml.html.HtmlElement):
    """An element that counts what is read of it: characters of texts, and children that are passed in looking for one."""

    read = 0

    @property
    def text(self) -> Any:
        return counted(etree._Element.text.__get__(self))

    @text.setter
    def text(self, value: str | None) -> None:
        etree._Element.text.__set__(self, value)

    @property
    def tail(self) -> Any:
        return counted(etree._Element.tail.__get__(self))

    @tail.setter
    def tail(self, value: str | None) -> None:
        etree._Element.tail.__set__(self, value)

    def text_content(self) -> Any:
        return counted(super().text_content())

    def index(self, *arguments: Any) -> int:
        found: int = super().index(*arguments)
        Counting.read += found
        return found


def counted(text: Any) -> Any:
    Counting.read += len(text or "")
    return text


@pytest.mark.parametrize(
    "part",
    [
        "x<sup>2</sup>",
        "x<sup>2</sup> and then ",
        "<sub>1</sub>",
        "word<sup>2</sup> ",
        "<i>x</i><sup>2</sup>",
        "<b>x<sub>1</sub></b>",
        "x<sup>a<sub>b</sub></sup>",
    ],
)
def test_twice_the_scripts_are_twice_the_work(part: str) -> None:
    parser = lxml.html.HTMLParser()
    parser.set_element_class_lookup(etree.ElementDefaultClassLookup(element=Counting))
    read = []
    for count in (1_000, 2_000):
        tree = etree.fromstring(f"<div>5{part * count}</div>", parser)
        Counting.read = 0
        write_scripts(tree)
        read.append(Counting.read)
    assert count < read[1] < 2.1 * read[0] < 100 * count
