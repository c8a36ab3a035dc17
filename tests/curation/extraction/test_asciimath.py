"""AsciiMath as LaTeX."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.extraction.asciimath import latex


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("x^2/y", "x^2/y"),
        ("sum_(i=1)^n i^3 = (n(n+1)/2)^2", r"\sum_{i=1}^n i^3 = (n(n+1)/2)^2"),
        ("alpha+2beta", r"\alpha+2\beta"),
        ("alphax", r"\alpha x"),
        ("int_0^oo e^(-x^2) dx", r"\int_0^\infty e^{-x^2} dx"),
        ("x^(2^(n))", "x^{2^{n}}"),
        ("sqrt(1 + sqrt(x))", r"\sqrt{1 + \sqrt{x}}"),
        ("sqrt(x+1) + sqrt2", r"\sqrt{x+1} + \sqrt{2}"),
        ("x in RR, x != 0", r"x \in \mathbb{R}, x \ne 0"),
        ("lim_(x->0) sin x", r"\lim_{x\to 0} \sin x"),
        ("a <= b", r"a \le b"),
        ('x "if" y', r"x \text{if} y"),
        ("", ""),
    ],
)
def test_words_become_commands(source: str, wanted: str) -> None:
    assert latex(source) == wanted


@given(st.text(alphabet='abinsqrt()^_"<>=->123 ', max_size=40))
def test_braces_always_balance(source: str) -> None:
    found, depth = latex(source), 0
    for character in found:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
