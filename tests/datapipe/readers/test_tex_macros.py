"""Macros of TeX sources: which are taken, what they become, and what bounds them."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers import tex_macros
from datapipe.readers.tex_macros import Expander, Macro, TooMuch, argument, closing_braces, take_definitions


def expanded(source: str) -> str:
    text, macros = take_definitions(source)
    return Expander(macros, 1 << 20).expand(text)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (r"\newcommand{\R}{\mathbb{R}}$x \in \R^n$", r"$x \in \mathbb{R}^n$"),
        (r"\newcommand*\R{\mathbb{R}}$\R$", r"$\mathbb{R}$"),
        (r"\providecommand \R {\mathbb{R}}$\R$", r"$\mathbb{R}$"),
        (r"\def\R{\mathbb{R}}$\R x$", r"$\mathbb{R} x$"),
        (r"\newcommand{\norm}[1]{\|#1\|}$\norm{x+\norm{y}}$", r"$\|x+\|y\|\|$"),
        (r"\newcommand{\half}[1]{\frac{#1}2}$\half x\half\pi$", r"$\frac{x}2\frac{\pi}2$"),
        (
            r"\newcommand{\inner}[2][V]{\langle #2 \rangle_{#1}}$\inner{x}\inner[W]{y}$",
            r"$\langle x \rangle_{V}\langle y \rangle_{W}$",
        ),
        (r"\def\pair#1#2{(#1,#2)}$\pair ab \pair{a}{b}$", r"$(a,b) (a,b)$"),
        (r"\DeclareMathOperator{\rank}{rank}$\rank A$", r"$\operatorname{rank} A$"),
        (r"\DeclareMathOperator*\argmax{arg\,max}$\argmax_x$", r"$\operatorname*{arg\,max}_x$"),
        (r"\let\eps\varepsilon$\eps$", r"$\varepsilon$"),
        (r"\let\eps=\varepsilon$\eps$", r"$\varepsilon$"),
        (r"\newcommand{\be}{\begin{equation}}\def\ee{\end{equation}}\be x \ee", r"\begin{equation} x \end{equation}"),
        (r"\newcommand{\a}{\b}\newcommand{\b}{c}\a", "c"),
        (r"\newcommand{\a}{1}\renewcommand{\a}{2}\a", "2"),
        (r"\newcommand{\a}{1}a \\a and \\\a", r"a \\a and \\1"),
        (r"\newcommand{\file}[1]{{\tt#1}}\file{x} \file{\R}", r"{\tt x} {\tt\R}"),
        (r"\newcommand{\turn}[1]{#1\pi}$\turn{2}r \turn{2}1$", r"$2\pi r 2\pi1$"),
        # Those of LaTeX itself, and what is not simple, stay or go.
        (r"\renewcommand{\vec}[1]{\mathbf{#1}}$\vec{x}$", r"$\vec{x}$"),
        (r"\renewcommand{\section}{x}\section{A}", r"\section{A}"),
        (r"\newcommand{\section}{x}\section{A}", r"\newcommand{\section}{x}\section{A}"),
        (r"\def\a{\ifx x\b 1\fi}\a", r"\def\a{\ifx x\b 1\fi}\a"),
        (r"\def\a#1.{(#1)}\a b.", r"\def\a#1.{(#1)}\a b."),
        (r"\newcommand{\a}[1]{#1}\a", r"\a"),
        (r"\newcommand{\a}{1", r"\newcommand{\a}{1"),
        (r"\newcommand{\ab}{1}\a \abc \ab", r"\a \abc 1"),
        (r"\newcommand{\a}{b}$\a1$ \a{} \a", r"$b1$ b{} b"),
    ],
)
def test_what_a_macro_becomes(source: str, wanted: str) -> None:
    assert expanded(source) == wanted


def test_braces_and_arguments() -> None:
    text = r"{a{b}\}c}}{"
    assert closing_braces(text) == {0: 8, 2: 4}
    assert argument(text, 0, closing_braces(text)) == (r"a{b}\}c", 9)
    assert argument(r" \alpha x", 0, {}) == (r"\alpha", 7)
    assert argument("\n x", 0, {}) == ("x", 3)
    assert argument("}", 0, {}) is None
    assert argument("", 0, {}) is None


@pytest.mark.parametrize(
    "source",
    [
        r"\def\a{\b\b}\def\b{\c\c}\def\c{\d\d}\def\d{\e\e}\def\e{\f\f}\def\f{\g\g}\def\g{\h\h}\def\h{\i\i}\def\i{\j\j}\def\j{\k\k}"
        r"\def\k{\l\l}\def\l{\m\m}\def\m{\n\n}\def\n{\o\o}\def\o{\p\p}\def\p{\q\q}\def\q{\r\r}\def\r{xxxxxxxx}\a",
        r"\def\a#1{\a{#1#1}}\a{xxxxxxxx}",
        r"\def\a{\a\a}\a",
        r"\def\a{" + "x" * 9_000 + "}" + r"\a" * 1_000,
    ],
)
def test_what_grows_without_end_is_too_much(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tex_macros, "MAX_EXPANSIONS", 20_000)
    start = time.process_time()
    with pytest.raises(TooMuch):
        expanded(source)
    assert time.process_time() - start < 3


def test_a_circle_of_macros_ends() -> None:
    assert expanded(r"\def\a{\b}\def\b{\a}x\a y") in (r"x\a y", r"x\b y")


def test_definitions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tex_macros, "MAX_MACROS", 2)
    with pytest.raises(TooMuch):
        take_definitions(r"\def\a{1}\def\b{2}\def\c{3}")
    text, macros = take_definitions(r"\def\a{" + "x" * 10_001 + "}")
    assert macros == {}
    assert text.startswith(r"\def\a")


def test_expansions_to_nothing_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tex_macros, "MAX_EXPANSIONS", 10)
    assert expanded(r"\def\a{}" + r"\a " * 10).strip() == ""
    with pytest.raises(TooMuch):
        expanded(r"\def\a{}" + r"\a " * 11)


@given(st.text(alphabet="\\ab{}[]#1 \n", max_size=80))
def test_any_source_is_read(source: str) -> None:
    text, macros = take_definitions(source)
    assert Expander({**macros, "zz": Macro(0, None, "")}, 1 << 16).expand(text) is not None


@given(st.text(alphabet="abc{}$ ", max_size=40))
def test_without_macros_nothing_changes(text: str) -> None:
    assert expanded(text) == text


def test_an_argument_that_is_named_often_is_not_written_before_it_is_counted() -> None:
    expander = Expander({"a": Macro(1, None, "#1" * 5000)}, max_chars=10_000_000)
    tracemalloc.start()
    with pytest.raises(TooMuch):
        expander.expand("\\a{" + "x" * 40_000 + "}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
