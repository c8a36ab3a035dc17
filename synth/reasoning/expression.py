"""Expressions in LaTeX or plain text as trees: read without ever running anything, evaluated exactly, compared at random points.

Understood are numbers, one-letter variables (with an index: `x_0`, `t_{k}`), Greek letters, + - * / ^, fractions, roots, brackets, and
sin, cos, tan, exp, log. A product may be written without a sign. Everything else is an `ExpressionError`, and so is what would be large:
texts of more than `MAX_CHARS` characters, trees of more than `MAX_NODES` nodes, numbers of more than `MAX_BITS` bits.

Two expressions are equal if they agree at random rational points, exactly where both are rational functions (Schwartz 1980, Zippel 1979: a
false agreement at 5 points of degree 20 has a chance below 1e-20), else to 25 digits. 0.1 ms for a usual pair, and no simplifier that could
run away. Not covered: functions that differ only off the points drawn, branches of complex roots.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

import mpmath

from synth.draw import Stream

MAX_CHARS = 300
MAX_NODES = 120
MAX_DEPTH = 40
MAX_BITS = 2048
MAX_EXPONENT = 64
POINTS = 5
FUNCTIONS = {"sin": "sin", "cos": "cos", "tan": "tan", "exp": "exp", "log": "log", "ln": "log", "sqrt": "sqrt"}
CONSTANTS = {"pi": mpmath.pi, "e": mpmath.e}
_LETTERS = """
alpha beta gamma delta epsilon eta theta kappa lambda mu nu xi rho sigma tau phi chi psi omega
"""
_GREEK = frozenset(_LETTERS.split())
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,30}(?:\.\d{1,30})?)|(?P<command>\\[A-Za-z]+)|(?P<word>sin|cos|tan|exp|log|ln|sqrt|pi)(?![A-Za-z_])"
    r"|(?P<name>[A-Za-z](?:_(?:\w|\{\w{1,6}\}))?)|(?P<sign>\*\*|[-+*/^(){}\[\]·×−÷]))"
)
_SPACES = re.compile(r"\\(?:,|;|:|!| |quad|qquad|displaystyle|left|right)(?![a-z])")
_SAME = {"·": "*", "×": "*", "÷": "/", "−": "-", "**": "^", "\\cdot": "*", "\\times": "*", "\\div": "/"}
_FRACTIONS = ("\\frac", "\\dfrac", "\\tfrac")
_WORKING = mpmath.MPContext()
_WORKING.dps = 40
_TOLERANCE = _WORKING.mpf(10) ** -25


class ExpressionError(ValueError):
    """A text that is no expression, or one that is too large or has no value; says what."""


class Tree(NamedTuple):
    """`op` is a sign (+ - * / ^), `-1` for a negative, the name of a function, or `number`/`name` for a leaf."""

    op: str
    args: tuple["Tree", ...] = ()
    value: Fraction | str = ""


def number(value: Fraction | int) -> Tree:
    return Tree("number", value=Fraction(value))


def name(word: str) -> Tree:
    return Tree("name", value=word)


def parse(text: str) -> Tree:
    """The tree of an expression. ExpressionError."""
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"an expression of {len(text)} characters; {MAX_CHARS} are read")
    reader = _Reader(_SPACES.sub(" ", text))
    tree = reader.sum(0)
    if reader.token:
        raise ExpressionError(f"{reader.token!r} is left over in {text!r}")
    if sum(1 for _ in nodes(tree)) > MAX_NODES:
        raise ExpressionError(f"an expression of more than {MAX_NODES} nodes")
    return tree


def nodes(tree: Tree) -> Iterator[Tree]:
    """The tree and everything in it."""
    yield tree
    for arg in tree.args:
        yield from nodes(arg)


def names(tree: Tree) -> list[str]:
    """The variables of a tree, sorted."""
    return sorted({str(node.value) for node in nodes(tree) if node.op == "name"} - CONSTANTS.keys())


def exact(tree: Tree, values: Mapping[str, Fraction] = {}) -> Fraction:
    """The value as a fraction. ExpressionError where it is none: a root, a function, a division by zero, a number out of bounds."""
    if tree.op == "number":
        return Fraction(tree.value)
    if tree.op == "name":
        if tree.value not in values:
            raise ExpressionError(f"{tree.value} has no rational value")
        return values[str(tree.value)]
    args = [exact(arg, values) for arg in tree.args]
    match tree.op, args:
        case "-1", [only]:
            return -only
        case "+", [left, right]:
            return _bounded(left + right)
        case "-", [left, right]:
            return _bounded(left - right)
        case "*", [left, right]:
            return _bounded(left * right)
        case "/", [left, right] if right:
            return _bounded(left / right)
        case "^", [left, right] if _is_small_power(left, right):
            return _bounded(left ** int(right))
    raise ExpressionError(f"{tree.op} of {', '.join(map(str, args))} is no rational number")


def approximate(tree: Tree, values: Mapping[str, Fraction] = {}) -> mpmath.mpf:
    """The value to 40 digits. ExpressionError where it is not real, or out of bounds."""
    try:
        value = _approximate(tree, values)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ExpressionError(f"no value: {error}") from None
    return value


def is_equal(left: Tree, right: Tree, values: Mapping[str, Fraction] = {}) -> bool:
    """Whether both have the same value wherever the names that `values` leaves open lie; False where no point gives a value."""
    open_names = sorted({*names(left), *names(right)} - values.keys())
    agreed = 0
    for attempt in range(3 * POINTS):
        draw = Stream(0, "point", attempt)
        point = {**values, **{word: Fraction(draw.integer(2, 10**6), draw.integer(2, 10**3)) for word in open_names}}
        if attempt >= POINTS:  # functions may have no value that far out
            point |= {word: Fraction(draw.integer(1, 999), 1000) for word in open_names}
        try:
            same = _agree(left, right, point)
        except ExpressionError:
            continue
        if not same:
            return False
        agreed += 1
        if agreed == (POINTS if open_names else 1):
            return True
    return False


def shown(tree: Tree) -> str:
    """The tree as plain text with the brackets that it needs: `2*x^2 - (x + 1)/3`."""
    return _shown(tree, 0)


def latex(tree: Tree) -> str:
    """The tree in LaTeX."""
    match tree.op, tree.args:
        case "/", (left, right):
            return rf"\frac{{{latex(left)}}}{{{latex(right)}}}"
        case "*", (left, right):
            factor = _in_latex(right, 3)
            sign = r" \cdot " if factor.startswith((*"0123456789", r"\frac")) else " "
            return f"{_in_latex(left, 2)}{sign}{factor}"
        case "^", (left, right):
            return f"{_in_latex(left, 4)}^{{{latex(right)}}}"
        case "+" | "-", (left, right):
            return f"{_in_latex(left, 1)} {tree.op} {_in_latex(right, 2)}"
        case "-1", (only,):
            return f"-{_in_latex(only, 2)}"
        case "sqrt", (only,):
            return rf"\sqrt{{{latex(only)}}}"
        case "number" | "name", ():
            above, _, below = _leaf(tree).partition("/")
            return rf"\frac{{{above}}}{{{below}}}" if below else above
    return rf"\{tree.op}\left({latex(tree.args[0])}\right)"


_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "-1": 1, "^": 3}


def _shown(tree: Tree, within: int) -> str:
    strength = _STRENGTH.get(tree.op, 4)
    match tree.op, tree.args:
        case "number" | "name", ():
            text = _leaf(tree)
            strength = 1 if text.startswith("-") else 2 if "/" in text else 4
        case "-1", (only,):
            text = f"-{_shown(only, 2)}"
        case "^", (left, right):
            text = f"{_shown(left, 4)}^{_shown(right, 4)}"
        case "*" | "/", (left, right):
            text = f"{_shown(left, 2)}{tree.op}{_shown(right, 3)}"
        case _, (left, right):
            text = f"{_shown(left, 1)} {tree.op} {_shown(right, 2)}"
        case _:
            return f"{tree.op}({_shown(tree.args[0], 0)})"
    return text if strength >= within else f"({text})"


def _in_latex(tree: Tree, within: int) -> str:
    strength = {**_STRENGTH, "/": 3 if within < 4 else 2}.get(tree.op, 4)
    if tree.op == "number" and (_leaf(tree).startswith("-") or ("/" in _leaf(tree) and within == 4)):
        strength = 1
    return latex(tree) if strength >= within else rf"\left({latex(tree)}\right)"


def _leaf(tree: Tree) -> str:
    return written(str(tree.value)) if tree.op == "name" else str(tree.value)


def written(word: str) -> str:
    """A name so that it is read back: a Greek letter keeps its backslash (`nu` would be n times u), a long index its braces."""
    letter, _, index = word.partition("_")
    return f"\\{word}" if word in _GREEK else f"{letter}_{{{index}}}" if len(index) > 1 else word


def _agree(left: Tree, right: Tree, point: Mapping[str, Fraction]) -> bool:
    try:
        return exact(left, point) == exact(right, point)
    except ExpressionError:
        one, other = approximate(left, point), approximate(right, point)
        return bool(abs(one - other) <= _TOLERANCE * max(1, abs(one), abs(other)))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ExpressionError(f"a number of more than {MAX_BITS} bits")
    return value


def _is_small_power(left: Fraction, right: Fraction) -> bool:
    bits = max(left.numerator.bit_length(), left.denominator.bit_length())
    whole = right.denominator == 1 and abs(right) <= MAX_EXPONENT
    return whole and bits * abs(right) <= MAX_BITS and not (left == 0 and right < 0)


def _approximate(tree: Tree, values: Mapping[str, Fraction]) -> mpmath.mpf:
    if tree.op == "number":
        return _WORKING.mpf(tree.value.numerator) / tree.value.denominator  # type: ignore[union-attr]
    if tree.op == "name":
        value = values.get(str(tree.value))
        if value is not None:
            return _WORKING.mpf(value.numerator) / value.denominator
        if tree.value not in CONSTANTS:
            raise ExpressionError(f"{tree.value} has no value")
        return +getattr(_WORKING, str(tree.value))
    args = [_approximate(arg, values) for arg in tree.args]
    match tree.op, args:
        case "-1", [only]:
            result = -only
        case "+", [left, right]:
            result = left + right
        case "-", [left, right]:
            result = left - right
        case "*", [left, right]:
            result = left * right
        case "/", [left, right]:
            result = left / right
        case "^", [left, right]:
            if abs(right * (_WORKING.mag(left) if left else 0)) > MAX_BITS:
                raise ExpressionError("a power out of bounds")
            result = left**right
        case function, [only]:
            if abs(only) > 10**4:  # sines of huge arguments lose their digits, exponentials their bounds
                raise ExpressionError("an argument out of bounds")
            result = getattr(_WORKING, function)(only)
    if not isinstance(result, _WORKING.mpf) or not _WORKING.isfinite(result):
        raise ExpressionError("not a real number")
    return result


class _Reader:
    """Recursive descent over the tokens of a text. `token` is the next one, "" at the end; `kind` the group of `_TOKEN` it matched."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text.rstrip(), 0
        self.token = self.kind = ""
        self.read()

    def read(self) -> str:
        """The token that was next; goes on by one."""
        before = self.token
        if self._at >= len(self._text):
            self.token = self.kind = ""
            return before
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise ExpressionError(f"no expression goes on with {self._text[self._at : self._at + 20]!r}")
        self.kind = match.lastgroup or ""
        self.token, self._at = _SAME.get(match[self.kind], match[self.kind]), match.end()
        return before

    def sum(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"brackets more than {MAX_DEPTH} deep")
        tree = self.product(depth)
        while self.token in ("+", "-"):
            tree = Tree(self.read(), (tree, self.product(depth)))
        return tree

    def product(self, depth: int) -> Tree:
        if self.token == "-":
            self.read()
            return Tree("-1", (self.product(depth + 1) if depth < MAX_DEPTH else self.power(depth),))
        tree = self.power(depth)
        while self.token in ("*", "/") or self._starts_factor():
            sign = self.read() if self.token in ("*", "/") else "*"
            tree = Tree(sign, (tree, self.signed(depth)))
        return tree

    def signed(self, depth: int) -> Tree:
        """A factor behind a sign of multiplication or power, which may be negative."""
        if self.token == "-":
            self.read()
            return Tree("-1", (self.power(depth),))
        return self.power(depth)

    def power(self, depth: int) -> Tree:
        tree = self.atom(depth + 1)
        if self.token == "^":
            self.read()
            if depth > MAX_DEPTH:
                raise ExpressionError(f"powers more than {MAX_DEPTH} deep")
            if self.token == "-":
                self.read()
                return Tree("^", (tree, Tree("-1", (self.power(depth + 1),))))
            tree = Tree("^", (tree, self.power(depth + 1)))
        return tree

    def atom(self, depth: int) -> Tree:
        kind, token = self.kind, self.read()
        if kind == "number":
            return Tree("number", value=Fraction(token))
        if kind == "name":
            return name(token.replace("{", "").replace("}", ""))
        if token in ("(", "{", "["):
            return self._closed({"(": ")", "{": "}", "[": "]"}[token], depth)
        if token in _FRACTIONS:
            return Tree("/", (self._argument(depth), self._argument(depth)))
        word = token.removeprefix("\\")
        if word == "sqrt" and self.token == "[":
            raise ExpressionError("roots other than square roots are not read")
        if word in FUNCTIONS:
            return self._function(FUNCTIONS[word], depth)
        if word == "pi" or (kind == "command" and word in _GREEK):
            return name(word)
        raise ExpressionError(f"{token!r} is not read" if token else "the expression ends too early")

    def _function(self, function: str, depth: int) -> Tree:
        if self.token not in ("(", "{"):
            raise ExpressionError(f"{function} without brackets")
        return Tree(function, (self.atom(depth + 1),))

    def _argument(self, depth: int) -> Tree:
        if self.token != "{":
            raise ExpressionError("a fraction without braces")
        return self.atom(depth + 1)

    def _closed(self, closing: str, depth: int) -> Tree:
        tree = self.sum(depth + 1)
        if self.token != closing:
            raise ExpressionError(f"{closing!r} is missing")
        self.read()
        return tree

    def _starts_factor(self) -> bool:
        return self.kind in ("name", "command", "word") or self.token in ("(", "{")
