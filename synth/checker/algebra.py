"""Expressions for sympy, by way of Python's own parser: nothing of them is run, only arithmetic and seven functions are known.

Read are the plain form (`2*x^2 - (x + 1)/3`) and the LaTeX of single formulas: one-letter names with an index, Greek letters, fractions,
roots, products without a sign. Equality is that of values at fixed points, exact for rational functions, else to 30 digits.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

import sympy

MAX_CHARS = 600
_FUNCTIONS = {"sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "exp": sympy.exp, "log": sympy.log, "ln": sympy.log,
              "sqrt": sympy.sqrt}  # fmt: skip
_LATEX = (
    (re.compile(r"\\(?:left|right|displaystyle|quad|qquad|[,;:! ])"), " "),
    (re.compile(r"\\(?:cdot|times)|[·×]"), "*"),
    (re.compile(r"\\div|÷"), "/"),
    (re.compile(r"−"), "-"),
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}")
_POWER = re.compile(r"\^\s*\{([^{}]*)\}")
_INDEX = re.compile(r"_\{(\w+)\}")
_WORD = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)|(?P<function>\\?(?:sin|cos|tan|exp|log|ln|sqrt)(?![A-Za-z_]))|(?P<name>\\[A-Za-z]+|pi(?![A-Za-z_])|[A-Za-z](?:_\w+)?)"
    r"|(?P<sign>\*\*|[-+*/^])|(?P<open>[(\[])|(?P<close>[)\]])|(?P<space>\s+)"
)
_APART = re.compile(r"\b(?!sin|cos|tan|exp|log|sqrt)[A-Za-z]{2,}\b|[=?:;,']|\.(?!\d)")
POINTS = 4


class Unreadable(ValueError):
    """No expression that is known here."""


def expression(text: str) -> sympy.Expr:
    """The expression of a text. Unreadable."""
    if len(text) > MAX_CHARS:
        raise Unreadable(f"{len(text)} characters")
    try:
        tree = ast.parse(_as_python(text), mode="eval")
        return _built(tree.body)
    except (SyntaxError, RecursionError, ZeroDivisionError, OverflowError) as error:
        raise Unreadable(f"{text[:60]!r}: {error}") from None


def is_same(left: sympy.Expr, right: sympy.Expr, values: Mapping[sympy.Symbol, Any] = {}) -> bool:
    """Whether both have one value at `values`, and wherever the names without one lie."""
    left, right = left.subs(values), right.subs(values)
    names = sorted((left.free_symbols | right.free_symbols), key=str)
    agreed = 0
    for point in range(POINTS if names else 1):
        at = {name: sympy.Rational(7 + 4 * place + 3 * point, 11 + 2 * point) for place, name in enumerate(names)}
        difference = (left.subs(at) - right.subs(at)).evalf(30)
        if difference.is_number and difference.is_finite:
            if abs(difference) > sympy.Float("1e-20") * (1 + abs(left.subs(at).evalf(30))):
                return False
            agreed += 1
    return agreed > 0


def symbol(text: str) -> sympy.Symbol:
    """The variable of a name as an expression writes it."""
    found = expression(text)
    if not isinstance(found, sympy.Symbol):
        raise Unreadable(f"{text!r} is no name")
    return found


def is_multiplied_out(text: str) -> bool:
    """Whether no product and no power has a sum in it."""
    tree = ast.parse(_as_python(text), mode="eval")
    sums = (ast.Add, ast.Sub)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Pow)):
            sides = [node.left, node.right] if isinstance(node.op, ast.Mult) else [node.left]
            if any(isinstance(side, ast.BinOp) and isinstance(side.op, sums) for side in sides):
                return False
    return True


def _as_python(text: str) -> str:
    """The text as Python would write it: names begin with `v_`, every product has its sign."""
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    text = _INDEX.sub(r"_\1", text)
    for _ in range(20):
        before = text
        text = _POWER.sub(r"^(\1)", _ROOT.sub(r"sqrt(\1)", _FRACTION.sub(r"((\1)/(\2))", text)))
        if text == before:
            break
    text = text.replace("{", "(").replace("}", ")")
    made: list[str] = []
    last, at = "", 0
    for found in _WORD.finditer(text):
        if found.start() != at:
            break
        at, kind = found.end(), found.lastgroup or ""
        if kind == "space":
            continue
        if last in ("number", "name", "close") and kind in ("number", "name", "function", "open"):
            made.append("*")
        made.append(_piece(kind, found[0].lstrip("\\")))
        last = kind
    if at != len(text):
        raise Unreadable(f"{text[at : at + 20]!r} in {text[:60]!r}")
    return "".join(made).strip()


def _piece(kind: str, word: str) -> str:
    if kind == "name":
        return word if word in ("pi", "e") else f"v_{word}"
    return {"^": "**", "[": "(", "]": ")"}.get(word, word)


def _built(node: ast.expr) -> sympy.Expr:
    match node:
        case ast.Constant(value=int() | float()):
            return sympy.Rational(ast.unparse(node))
        case ast.Name(id=word):
            return {"pi": sympy.pi, "e": sympy.E}.get(word) or sympy.Symbol(word.removeprefix("v_"))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_built(inner)
        case ast.Call(func=ast.Name(id=word), args=[inner]) if word in _FUNCTIONS:
            return _FUNCTIONS[word](_built(inner))
        case ast.BinOp(left=left, op=op, right=right):
            return _joined(_built(left), op, _built(right))
    raise Unreadable(ast.unparse(node)[:60])


def _joined(left: sympy.Expr, op: ast.operator, right: sympy.Expr) -> sympy.Expr:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div() if right != 0:
            return left / right
        case ast.Pow() if not right.is_number or abs(right) <= 64:
            return left**right
    raise Unreadable(f"{left} and {right}")


def chunks(question: str) -> Sequence[str]:
    """What of a question may be formulas: between dollars or back quotes, else between words."""
    marked = [one or other for one, other in re.findall(r"\$([^$]+)\$|`([^`]+)`", question)]
    return marked or [part.strip() for part in _APART.split(question) if re.search(r"\S\s*[-+*/^]", part)]
