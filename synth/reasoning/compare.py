"""When two answers to a question are the same: a table of ways, each a function of the right answer and a given one.

What a model answers is read, never run: numbers and expressions by `synth.reasoning.expression`, values of Python as literals. Anything
that cannot be read is wrong. Two answers are compared in 0.2 ms; a literal or expression that is too large is wrong without a look.
"""

import ast
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from synth.evidence import normalised
from synth.reasoning.expression import ExpressionError, Tree, exact, is_equal, nodes, parse

MAX_LITERAL_CHARS = 2_000
_ASSIGNED = re.compile(r"^\s*([A-Za-z]\w{0,5})\s*=\s*(.+)$", re.S)
_WRAPPED = re.compile(r"^(?:\$\$?|`|\\\(|\\\[|\*\*)\s*(.*?)\s*(?:\$\$?|`|\\\)|\\\]|\*\*)$", re.S)
_BOXED = re.compile(r"\\boxed\{")
_MARKED = re.compile(r"^[\s*#>]*(?:the )?(?:final )?answer\s*(?:is)?\s*[:=]?\**\s*(.+)$", re.I | re.M)


def is_right(way: str, right: str, given: str) -> bool:
    """Whether `given` is the answer `right`, as the `WAYS` understand it."""
    return WAYS[way](right, given)


def stated(text: str) -> str:
    """The answer of a solution that was asked to end in `Answer: ...`: what is boxed last, what is marked last, else the last line."""
    boxes = [match.end() for match in _BOXED.finditer(text)]
    if boxes and (inside := _braced(text[boxes[-1] :])) is not None:
        return bare(inside)
    marked = _MARKED.findall(text)
    lines = [line for line in text.split("\n") if line.strip()]
    return bare(marked[-1] if marked else lines[-1] if lines else "")


def bare(answer: str) -> str:
    """Without the signs of a formula or of code around it, and without a full stop."""
    answer = answer.strip()
    answer = answer.removesuffix(".") if not re.search(r"\d\.$", answer) or answer.count(".") == 1 else answer
    while (wrapped := _WRAPPED.match(answer)) and wrapped[1] != answer:
        answer = wrapped[1].strip()
    return answer


def number(right: str, given: str) -> bool:
    """The same number; `x = 3` and 3,000 are read too."""
    try:
        return _number(right) == _number(given)
    except ExpressionError:
        return False


def roots(right: str, given: str) -> bool:
    """The same set of numbers, joined by `or`, `and` or commas."""
    try:
        return _numbers(right) == _numbers(given)
    except ExpressionError:
        return False


def values(right: str, given: str) -> bool:
    """The same value for each of the same names."""
    try:
        return _values(right) == _values(given)
    except ExpressionError:
        return False


def expression(right: str, given: str) -> bool:
    """Equal wherever both are defined."""
    try:
        return is_equal(parse(right), parse(_without_name(given)))
    except ExpressionError:
        return False


def polynomial(right: str, given: str) -> bool:
    """Equal, and without a product of sums: what was to be multiplied out is."""
    try:
        tree = parse(_without_name(given))
        return is_equal(parse(right), tree) and not any(_is_unexpanded(node) for node in nodes(tree))
    except ExpressionError:
        return False


def literal(right: str, given: str) -> bool:
    """The same value of Python, of the same types."""
    try:
        return same_value(read_literal(right), read_literal(given))
    except ValueError:
        return False


def text(right: str, given: str) -> bool:
    """The same words; case, spacing and final punctuation do not count."""
    return normalised(right) == normalised(given)


WAYS: dict[str, Callable[[str, str], bool]] = {
    "number": number,
    "roots": roots,
    "values": values,
    "expression": expression,
    "polynomial": polynomial,
    "literal": literal,
    "text": text,
}


def read_literal(source: str) -> Any:
    """The value of a Python literal. ValueError for anything else, and for a long one."""
    if len(source) > MAX_LITERAL_CHARS:
        raise ValueError(f"a literal of {len(source)} characters; {MAX_LITERAL_CHARS} are read")
    try:
        return ast.literal_eval(source.strip())
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"no literal: {error}") from None


def same_value(left: Any, right: Any) -> bool:
    """Equal and of the same types throughout: 1, 1.0 and True are three values."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same_value, left, right))
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same_value(*keys) and same_value(left[keys[0]], right[keys[1]])
            for keys in zip(sorted(left, key=repr), sorted(right, key=repr), strict=True)
        )
    if isinstance(left, set | frozenset):
        return sorted(map(repr, left)) == sorted(map(repr, right))
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


def _braced(rest: str) -> str | None:
    depth = 1
    for place, sign in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return rest[:place]
    return None


def _without_name(given: str) -> str:
    assigned = _ASSIGNED.match(given)
    return assigned[2] if assigned else given


def _number(given: str) -> Fraction:
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", _without_name(bare(given))).strip()
    return exact(parse(plain))


def _numbers(given: str) -> set[Fraction]:
    return {_number(part) for part in re.split(r"\bor\b|\band\b|[,;]", bare(given)) if part.strip()}


def _values(given: str) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for part in re.split(r"\band\b|[,;\n]", bare(given)):
        assigned = _ASSIGNED.match(part)
        if assigned is None:
            raise ExpressionError(f"{part!r} gives no name a value")
        found[assigned[1]] = _number(assigned[2])
    return found


def _is_unexpanded(node: Tree) -> bool:
    sums = [arg.op in ("+", "-") for arg in node.args]
    return (node.op == "*" and any(sums)) or (node.op == "^" and sums[0])
