"""Evaluate literal Python expressions step by step, without running code.

Only numbers, strings, lists and tuples of literals, arithmetic, comparison and a handful of pure builtins are understood, with bounds
on size; anything else is None. What it yields beside the value are the steps in the order in which Python takes them: a reasoning trace
that is right by construction.
"""

import ast
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_BITS = 512  # of any integer on the way
MAX_ITEMS = 64
MAX_NODES = 60

_BINARY: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
}
_COMPARE: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}
_CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call for call in (abs, bin, divmod, hex, int, len, max, min, oct, round, sorted, sum)
}


def parsed(source: str) -> ast.Module | None:
    """The syntax tree of Python source, None when it is not Python; what the compiler would warn about is not our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def evaluate(source: str, names: Mapping[str, Any] | None = None) -> tuple[Any, list[str]] | None:
    """(value, steps) of a literal expression; None when it is not one, is too large, or fails. A step reads "2 ** 10 = 1024"."""
    tree = parsed(source.strip())
    if tree is None or len(tree.body) != 1 or sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        return None
    steps: list[str] = []
    try:
        return (_value(tree.body[0].value, names or {}, steps), steps) if isinstance(tree.body[0], ast.Expr) else None
    except (_NotLiteralError, ArithmeticError, TypeError, ValueError):
        return None


def evaluate_session(lines: Sequence[str]) -> tuple[Any, list[str]] | None:
    """Like `evaluate` for a session: literal assignments (`x = 5`), then an expression. Steps are those of the expression."""
    names: dict[str, Any] = {}
    for line in lines[:-1]:
        name, equals, source = line.partition("=")
        result = evaluate(source, names) if equals and name.strip().isidentifier() else None
        if result is None:
            return None
        names[name.strip()] = result[0]
    return evaluate(lines[-1], names) if lines else None


class _NotLiteralError(Exception):
    """The expression needs more than literals."""


def _value(node: ast.expr, names: Mapping[str, Any], steps: list[str]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return _bounded(value)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.List(elts=items) | ast.Tuple(elts=items) if len(items) <= MAX_ITEMS:
            values = [_value(item, names, steps) for item in items]
            return values if isinstance(node, ast.List) else tuple(values)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names, steps)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, names, steps)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _binary(*_BINARY[type(op)], _value(left, names, steps), _value(right, names, steps), steps)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return _binary(*_COMPARE[type(op)], _value(left, names, steps), _value(right, names, steps), steps)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _CALLS and name not in names:
            values = [_value(argument, names, steps) for argument in arguments]
            result = _bounded(_CALLS[name](*values))
            steps.append(f"{name}({', '.join(map(repr, values))}) = {result!r}")
            return result
    raise _NotLiteralError


def _binary(sign: str, operate: Callable[[Any, Any], Any], left: Any, right: Any, steps: list[str]) -> Any:
    if sign == "**" and not (abs(right) <= MAX_BITS and _bits(left) * abs(right) <= MAX_BITS):
        raise _NotLiteralError
    if sign == "*" and not all(isinstance(value, int | float) for value in (left, right)):
        raise _NotLiteralError
    if sign == "%" and isinstance(left, str):
        raise _NotLiteralError
    result = _bounded(operate(left, right))
    steps.append(f"{_operand(left)} {sign} {_operand(right)} {'is' if isinstance(result, bool) else '='} {result!r}")
    return result


def _operand(value: Any) -> str:
    return f"({value!r})" if isinstance(value, int | float) and value < 0 else repr(value)


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 64


def _bounded(value: Any) -> Any:
    """`value`, unless it is complex or too large to show."""
    if isinstance(value, complex) or (isinstance(value, int) and value.bit_length() > MAX_BITS):
        raise _NotLiteralError
    if isinstance(value, str | list | tuple) and len(value) > MAX_ITEMS:
        raise _NotLiteralError
    return value
