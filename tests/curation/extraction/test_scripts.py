"""Superscripts and subscripts in plain HTML: powers, indices, chemistry; not footnotes, ordinals and marks."""

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
