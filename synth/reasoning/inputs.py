"""Arguments for a function: those that the corpus calls it with, and others drawn by what the function does with its parameters.

A type is only a guess (an annotation, a default, a method called on it, what it is compared with), and there may be several; running shows
which arguments a function takes. Strings are built from words and from the signs that the function itself looks for.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from synth.arithmetic import parsed
from synth.draw import Stream

MAX_CALL_CHARS = 160
_WORDS = """
river stone apple north seven lamp orange table winter paper green house garden silver cloud letter simple copper window yellow
mountain alpha beta gamma data node left right value key name file test open total first last item
"""
WORDS = tuple(_WORDS.split())
_DICT_METHODS = frozenset({"items", "keys", "values", "get", "setdefault"})
_LIST_METHODS = frozenset({"append", "extend", "insert", "sort", "reverse"})
_TAKEN_BY = {  # builtins that take such values
    "str": frozenset({"ord"}),
    "list": frozenset(
        {"sum", "sorted", "max", "min", "enumerate", "zip", "map", "filter", "reversed", "any", "all", "list", "set"}
    ),
    "int": frozenset({"range", "abs", "divmod", "pow", "chr", "hex", "bin", "oct"}),
}
_PROMPTED = re.compile(r"^\s*>>> (.+)$", re.M)


class Called(NamedTuple):
    """A call with literal arguments, as it stands in some file."""

    name: str  # without what comes before the last dot
    arguments: str  # `'ab', width=3`


def calls(text: str, limit_per_name: int = 6) -> Iterator[Called]:
    """The calls with literal arguments in a Python file and in the sessions of its docstrings, in order, a few of each name."""
    seen: dict[str, set[str]] = {}
    trees = [tree for tree in (parsed(text), *(parsed(match[1]) for match in _PROMPTED.finditer(text))) if tree]
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not (node.args or node.keywords):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            known = seen.setdefault(name, set())
            if not name or len(known) >= limit_per_name or not _is_literal(node):
                continue
            arguments = (
                ast.unparse(node).partition("(")[2][:-1] if isinstance(node.func, ast.Name) else _arguments(node)
            )
            if len(arguments) <= MAX_CALL_CHARS and arguments not in known:
                known.add(arguments)
                yield Called(name, arguments)


def _arguments(node: ast.Call) -> str:
    return ast.unparse(ast.Call(ast.Name("f"), node.args, node.keywords))[2:-1]


def _is_literal(node: ast.Call) -> bool:
    values = [*node.args, *(keyword.value for keyword in node.keywords)]
    if any(keyword.arg is None for keyword in node.keywords):
        return False
    allowed = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.USub, ast.Load)
    nodes = [inner for value in values for inner in ast.walk(value)]
    return len(nodes) < 60 and all(isinstance(inner, allowed) for inner in nodes)


def drawn(source: str, name: str, draw: Stream, count: int) -> Iterator[str]:
    """`count` argument lists for the function `name` of `source`."""
    tree = ast.parse(source)
    node = next(inner for inner in tree.body if isinstance(inner, ast.FunctionDef) and inner.name == name)
    constants = [inner.value for inner in ast.walk(tree) if isinstance(inner, ast.Constant)]
    signs = sorted(
        {value for value in constants if isinstance(value, str) and 0 < len(value) <= 12 and value.isascii()}
    )
    numbers = sorted({value for value in constants if type(value) is int and abs(value) < 1_000})
    parameters = [*node.args.args, *node.args.kwonlyargs]
    defaults = [None] * (len(node.args.args) - len(node.args.defaults)) + node.args.defaults + node.args.kw_defaults
    guessed = [_guesses(node, parameter, default) for parameter, default in zip(parameters, defaults, strict=True)]
    for number in range(count):
        arguments = []
        for place, (parameter, default, types) in enumerate(zip(parameters, defaults, guessed, strict=True)):
            if default is not None and draw.chance(50):
                continue
            likely, others = types
            kinds = likely if draw.chance(85) else others
            value = _value(kinds[(number + place) % len(kinds)], draw, signs, numbers)
            named = default is not None or place >= len(node.args.args)
            arguments.append(f"{parameter.arg}={value!r}" if named else repr(value))
        text = ", ".join(arguments)
        if text and len(text) <= MAX_CALL_CHARS:
            yield text


def _guesses(node: ast.FunctionDef, parameter: ast.arg, default: ast.expr | None) -> tuple[list[str], list[str]]:
    """Types that the parameter may have: likely ones, and those to try besides."""
    name = parameter.arg
    written = ast.unparse(parameter.annotation) if parameter.annotation else ""
    found = [kind for pattern, kind in _ANNOTATED if re.search(pattern, written)][:1]
    if isinstance(default, ast.Constant) and default.value is not None:
        found.append(type(default.value).__name__)
    for inner in ast.walk(node) if not found else ():
        found += _told_by(inner, name)
    likely = "int" if re.fullmatch(r"[a-z]|n_\w+|num\w*|size|count|width|length|index|\w+_size", name) else "str"
    known = list(dict.fromkeys(kind for kind in found if kind in _KINDS))
    others = list(dict.fromkeys([likely, "str", "int", "list"]))
    return known or [likely], known if written and known else others


def _told_by(node: ast.AST, name: str) -> list[str]:
    """What the use of a parameter says of its type."""
    match node:
        case ast.Attribute(value=ast.Name(id=used), attr=method) if used == name:
            return ["dict" if method in _DICT_METHODS else "list" if method in _LIST_METHODS else "str"]
        case ast.Call(func=ast.Name(id=function), args=arguments) if any(_is(value, name) for value in arguments):
            return [kind for kind, functions in _TAKEN_BY.items() if function in functions]
        case ast.BinOp(left=left, op=op, right=right) if _is(left, name) or _is(right, name):
            other = right if _is(left, name) else left
            is_text = isinstance(other, ast.Constant | ast.JoinedStr) and isinstance(getattr(other, "value", ""), str)
            return ["str" if is_text and isinstance(op, ast.Add | ast.Mod) else "int"]
        case ast.Compare(left=left, comparators=comparators) if any(_is(side, name) for side in (left, *comparators)):
            constants = [side.value for side in (left, *comparators) if isinstance(side, ast.Constant)]
            return [type(value).__name__ for value in constants if value is not None]
        case ast.For(iter=over) | ast.comprehension(iter=over) | ast.Subscript(value=over) if _is(over, name):
            return ["list", "str"]
    return []


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


_ANNOTATED = (
    (r"(?i)^(?:optional\[)?(?:list|sequence|iterable|collection|tuple)\[(?:int|float)", "list"),
    (r"(?i)^(?:optional\[)?(?:list|sequence|iterable|collection|tuple)\[str", "words"),
    (r"(?i)^(?:optional\[)?(?:dict|mapping)", "dict"),
    (r"(?i)^(?:optional\[)?(?:list|sequence|iterable|tuple)", "list"),
    (r"\bstr\b", "str"),
    (r"\bint\b", "int"),
    (r"\bfloat\b", "float"),
    (r"\bbool\b", "bool"),
    (r"\bbytes\b", "bytes"),
)
_KINDS = frozenset({"int", "float", "str", "bool", "bytes", "list", "words", "dict", "tuple"})


def _value(kind: str, draw: Stream, signs: Sequence[str], numbers: Sequence[int]) -> object:
    match kind:
        case "int":
            near = draw.pick(numbers) + draw.integer(-1, 1) if numbers and draw.chance(30) else draw.integer(-3, 40)
            return near
        case "float":
            return draw.integer(-40, 200) / 8
        case "bool":
            return draw.chance(50)
        case "bytes":
            return _text(draw, signs).encode("ascii", "ignore")
        case "list":
            size = draw.integer(2, 6)
            pairs = draw.chance(10)
            return [(_integer(draw), _integer(draw)) if pairs else _integer(draw) for _ in range(size)]
        case "words":
            return [_text(draw, signs) if draw.chance(30) else draw.pick(WORDS) for _ in range(draw.integer(2, 5))]
        case "tuple":
            return tuple(_integer(draw) for _ in range(draw.integer(2, 4)))
        case "dict":
            return {draw.pick(WORDS): _integer(draw) for _ in range(draw.integer(1, 4))}
    return _text(draw, signs)


def _integer(draw: Stream) -> int:
    return draw.integer(-9, 30)


def _text(draw: Stream, signs: Sequence[str]) -> str:
    """Words and numbers, with what the function looks for between or around them."""
    parts = []
    for _ in range(draw.integer(1, 4)):
        word = draw.pick(WORDS) if draw.chance(80) else str(draw.integer(0, 200))
        parts.append(draw.pick((word, word.capitalize(), word.upper())) if draw.chance(30) else word)
        if signs and draw.chance(60):
            parts.append(draw.pick(signs))
        elif draw.chance(40):
            parts.append(draw.pick((" ", "_", "-", ", ", ".", "/")))
    return "".join(parts).strip() or "a"
