"""Formulas that pages state, with numbers put in: `t_k = t_0 + h k` becomes a calculation whose parent is that page.

Read are equations in LaTeX whose left side is one name and whose right side is a rational function of one to four others. A letter right
before a bracket may be a function, `f(x)`, so such formulas are left out. What a name means is not known here: the question gives values.
"""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from synth.draw import Stream
from synth.evidence import fold
from synth.reasoning.algebra import put_in
from synth.reasoning.calculation import Calculation, Step
from synth.reasoning.expression import (
    CONSTANTS,
    FUNCTIONS,
    MAX_CHARS,
    ExpressionError,
    Tree,
    exact,
    names,
    nodes,
    number,
    parse,
    shown,
    written,
)

MAX_FORMULAS = 200  # looked at in one text
_FORMULA = re.compile(
    rf"\$\$(?P<a>[^$]{{5,{MAX_CHARS}}})\$\$|\$(?P<b>[^$\n]{{5,{MAX_CHARS}}})\$"
    rf"|\\\((?P<c>[^\n]{{5,{MAX_CHARS}}}?)\\\)|\\\[(?P<d>.{{5,{MAX_CHARS}}}?)\\\]",
    re.S,
)
# A function applied, a transposed or inverted matrix, a placeholder in braces: no formula of numbers.
_OTHER = re.compile(
    r"[A-Za-z}]\s*(?:\\left\s*)?\(|\^\{?(?:[TH]\b|\*|\\top|\\dagger)|[A-Z]\s*\^\s*\{?-1|(?<![\w}])\{[A-Za-z]{2,}\}"
)
_NOT_NUMBERS = frozenset({"i", "I", "d"})  # by convention: the imaginary unit, the identity, a differential
_ASK = (
    "[{Title} states|In {title} stands|{Title} gives] ${formula}$. "
    "[What is ${left}$ for {values}?|Compute ${left}$ for {values}.|Let {values}. What is ${left}$?|Put in {values} and find ${left}$.]"
)


class Formula(NamedTuple):
    """`left` = `right`, at characters `start` to `start + length` of the text."""

    text: str
    left: str
    right: Tree
    start: int
    length: int


def formulas(text: str) -> Iterator[Formula]:
    """The formulas of a text that can be computed, each once."""
    seen: set[str] = set()
    for match in itertools.islice(_FORMULA.finditer(text), MAX_FORMULAS):
        source = fold(match[match.lastgroup or 0]).rstrip(".,;")
        sides = source.split("=")
        if len(sides) != 2 or source in seen or _OTHER.search(source):
            continue
        seen.add(source)
        try:
            left, right = parse(sides[0]), parse(sides[1])
        except ExpressionError:
            continue
        if left.op == "name" and _is_computable(right) and left.value not in names(right):
            yield Formula(source, sides[0].strip(), right, match.start(), len(match[0]))


def instance(formula: Formula, title: str, draw: Stream) -> Calculation | None:
    """The formula with numbers put in; None where it has no value for those."""
    powers = {word for node in nodes(formula.right) if node.op == "^" for word in names(node.args[1])}
    values = {
        word: Fraction(draw.integer(1, 5))
        if word in powers
        else Fraction(draw.integer(1, 20), draw.pick((1, 1, 1, 2, 4)))
        for word in names(formula.right)
    }
    filled = put_in(formula.right, values)
    try:
        answer = exact(filled)
        steps: list[Step] = [Step("Put in:", shown(formula.right), shown(filled))]
        _work_out(filled, steps)
    except ExpressionError:
        return None
    listed = ", ".join(f"${written(word)} = {value}$" for word, value in values.items())
    words = {"title": title, "Title": title[:1].upper() + title[1:], "formula": formula.text, "left": formula.left}
    known = {written(word): str(value) for word, value in values.items()}
    given = {"expression": shown(formula.right), "values": known}
    return Calculation(
        "formula", draw.say(_ASK, {"values": listed, **words}), str(answer), "number", tuple(steps), given, known
    )


def _is_computable(tree: Tree) -> bool:
    inside = list(nodes(tree))
    signs = sum(len(node.args) == 2 for node in inside)
    plain = not any(node.op in FUNCTIONS or (node.op == "name" and node.value in CONSTANTS) for node in inside)
    return plain and 1 <= len(names(tree)) <= 4 and signs >= 2 and not _NOT_NUMBERS & {*names(tree)}


def _work_out(tree: Tree, steps: list[Step]) -> Fraction:
    if not tree.args:
        return exact(tree)
    args = tuple(number(_work_out(arg, steps)) for arg in tree.args)
    value = exact(tree)
    if len(args) == 2 and shown(Tree(tree.op, args)) != str(value):
        steps.append(Step("", shown(Tree(tree.op, args)), str(value)))
    return value
