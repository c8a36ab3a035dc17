from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.reasoning.expression import (
    MAX_CHARS,
    ExpressionError,
    Tree,
    approximate,
    exact,
    is_equal,
    latex,
    name,
    names,
    number,
    parse,
    shown,
    written,
)

leaves = st.one_of(
    st.integers(-30, 30).map(number),
    st.fractions(min_value=-5, max_value=5, max_denominator=9).map(number),
    st.sampled_from(["x", "y", "t_0", "c_{TF}", "lambda", "nu"]).map(
        lambda word: name(word.replace("{", "").replace("}", ""))
    ),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-*/"), inner, inner).map(lambda parts: Tree(parts[0], parts[1:])),
        st.tuples(inner, st.integers(0, 3)).map(lambda parts: Tree("^", (parts[0], number(parts[1])))),
        inner.map(lambda arg: Tree("-1", (arg,))),
        st.tuples(st.sampled_from(["sin", "exp", "sqrt"]), inner).map(lambda parts: Tree(parts[0], (parts[1],))),
    ),
    max_leaves=6,
)
POINT = {
    word: Fraction(value, 7) for word, value in (("x", 3), ("y", 5), ("t_0", 2), ("c_TF", 9), ("lambda", 4), ("nu", 6))
}


def value(tree: Tree) -> object:
    try:
        return exact(tree, POINT)
    except ExpressionError:
        try:
            return approximate(tree, POINT)
        except ExpressionError:
            return None


@settings(max_examples=300, deadline=None)
@given(trees)
def test_what_is_shown_reads_back_to_the_same_value(tree: Tree) -> None:
    for text in (shown(tree), latex(tree)):
        if len(text) <= MAX_CHARS:
            assert value(parse(text)) == value(tree), text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"\frac{3 s^2}{s^2 + 5 s + 13}", "3*s^2/(s^2 + 5*s + 13)"),
        ("t_0 + hk", "t_0 + h*k"),
        ("2(x+1)(x-1)", "2*(x + 1)*(x - 1)"),
        ("-x^2", "-x^2"),
        ("x^-2", "x^(-2)"),
        ("x**2", "x^2"),
        (r"2 \cdot x \div y", "2*x/y"),
        (r"\left(a - b\right) \, c", "(a - b)*c"),
        (r"\alpha x_{ij}", r"\alpha*x_{ij}"),
        ("a - (b - c)", "a - (b - c)"),
        ("a/(b/c)", "a/(b/c)"),
        ("2^3^2", "2^(3^2)"),
        ("3.25", "13/4"),
    ],
)
def test_expressions_are_read(text: str, plain: str) -> None:
    assert shown(parse(text)) == plain


@pytest.mark.parametrize(
    "text",
    [
        "", "x +", "(x", "x)", "x = 2", "f'(x)", r"\int x dx", "__import__('os')", "x; y", r"\frac12", "sin x", "[x", "1e9", "x" * 400,
        "(" * 60 + "x" + ")" * 60, "-" * 200 + "x", "^".join(["2"] * 100), "+".join(["x"] * 100), r"\sqrt[3]{x}", "9" * 31,
    ],
)  # fmt: skip
def test_what_is_no_small_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize("text", ["9^9^9", "2^100000", "(2^60)^60", "1/0", "0^(-1)", "2^(1/2)", "sin(1)", "x", "pi"])
def test_what_is_no_bounded_rational_has_no_exact_value(text: str) -> None:
    with pytest.raises(ExpressionError):
        exact(parse(text))


@pytest.mark.parametrize("text", ["9^9^9", "exp(10^9)", "1/0", "log(0)", "sqrt(-1)", "log(-2)", "0^(-1)", "(-8)^(1/3)"])
def test_what_is_no_bounded_real_has_no_value(text: str) -> None:
    with pytest.raises(ExpressionError):
        approximate(parse(text))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("(x + 1)^2", "x^2 + 2*x + 1", True),
        ("(x + 1)^2", "x^2 + 2*x + 2", False),
        ("sin(x)^2 + cos(x)^2", "1", True),
        ("sin(2*x)", "2*sin(x)*cos(x)", True),
        ("sin(x)", "cos(x)", False),
        ("x", "x + 1/10^28", False),
        ("sqrt(2)*sqrt(3)", "sqrt(6)", True),
        ("exp(x)", "e^x", True),
        ("exp(100*x)/exp(99*x)", "exp(x)", True),
        ("x/x", "1", True),
        ("1/(x - x)", "1/(x - x)", False),  # no point has a value
        ("x", "y", False),
    ],
)
def test_expressions_are_compared_at_points(left: str, right: str, same: bool) -> None:
    assert is_equal(parse(left), parse(right)) is same


def test_known_values_are_used() -> None:
    assert is_equal(parse("2*x + 3"), parse("11"), {"x": Fraction(4)})
    assert not is_equal(parse("2*x + 3"), parse("11"), {"x": Fraction(5)})
    assert names(parse(r"x_1 + e*\pi + \nu")) == ["nu", "x_1"]
    assert [written(word) for word in ("x", "t_0", "c_TF", "nu")] == ["x", "t_0", "c_{TF}", r"\nu"]
