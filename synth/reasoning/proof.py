"""The answer of a calculation by another route than the one that made it: sympy, from what the question gives.

`task.given` by family, all values texts:

    value       {expression}                     exact rational arithmetic on a plain expression
    units       {amount, factors: [f, g, ...]}   amount * f / g * h / i ...
    remainder   {base, exponent, modulus}
    divisor     {numbers: [a, b], wanted: gcd|lcm}
    series      {term, from, to}                 the sum of `term` over k
    base        {digits, radix}
    equations   {equations: [[left, right], ...], unknowns: [x, ...]}   every solution
    roots       {polynomial, unknown}            all real roots
    derivative  {expression, variable}
    integral    {expression, variable, from, to}
    expansion   {expression, variable}
    formula     {expression, values: {name: value}}     names as the expression writes them: `x`, `t_0`, `c_{TF}`, `\\sigma`

Every expression is one of `synth.reasoning.expression`: small, so sympy is quick (1 ms to 30 ms). Nothing a document or a model wrote comes
here but formulas, which are only evaluated.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sympy

from synth.reasoning.compare import is_right
from synth.reasoning.expression import parse
from synth.reasoning.terms import to_sympy


def proven(family: str, given: Mapping[str, Any], answer: str, compare: str) -> bool:
    """Whether sympy arrives at `answer` too."""
    return is_right(compare, answer, str(_ROUTES[family](given)))


def _expr(text: str) -> sympy.Expr:
    return to_sympy(parse(text))


def _value(given: Mapping[str, Any]) -> str:
    return str(_expr(given["expression"]))


def _units(given: Mapping[str, Any]) -> str:
    value = sympy.Rational(given["amount"])
    for place, factor in enumerate(given["factors"]):
        value = value * sympy.Rational(factor) if place % 2 == 0 else value / sympy.Rational(factor)
    return str(value)


def _remainder(given: Mapping[str, Any]) -> str:
    return str(pow(int(given["base"]), int(given["exponent"]), int(given["modulus"])))


def _divisor(given: Mapping[str, Any]) -> str:
    left, right = map(sympy.factorint, map(int, given["numbers"]))
    choose = min if given["wanted"] == "gcd" else max
    powers = {prime: choose(left.get(prime, 0), right.get(prime, 0)) for prime in {*left, *right}}
    return str(sympy.prod(prime**power for prime, power in powers.items()))


def _series(given: Mapping[str, Any]) -> str:
    k, expression = sympy.Symbol("k"), _expr(given["term"])
    return str(sum(expression.subs(k, place) for place in range(int(given["from"]), int(given["to"]) + 1)))


def _base(given: Mapping[str, Any]) -> str:
    return str(int(given["digits"], int(given["radix"])))


def _equations(given: Mapping[str, Any]) -> str:
    unknowns = [sympy.Symbol(word) for word in given["unknowns"]]
    solutions = sympy.solve([_expr(left) - _expr(right) for left, right in given["equations"]], unknowns, dict=True)
    if len(solutions) != 1 or len(solutions[0]) != len(unknowns):
        return ""
    return (
        ", ".join(f"{word} = {solutions[0][word]}" for word in unknowns)
        if len(unknowns) > 1
        else str(solutions[0][unknowns[0]])
    )


def _roots(given: Mapping[str, Any]) -> str:
    found = sympy.Poly(_expr(given["polynomial"]), sympy.Symbol(given["unknown"])).real_roots(multiple=True)
    return " or ".join(map(str, dict.fromkeys(found)))


def _derivative(given: Mapping[str, Any]) -> str:
    return str(sympy.diff(_expr(given["expression"]), sympy.Symbol(given["variable"])))


def _integral(given: Mapping[str, Any]) -> str:
    limits = sympy.Symbol(given["variable"]), sympy.Rational(given["from"]), sympy.Rational(given["to"])
    return str(sympy.integrate(_expr(given["expression"]), limits))


def _expansion(given: Mapping[str, Any]) -> str:
    return str(sympy.expand(_expr(given["expression"])))


def _formula(given: Mapping[str, Any]) -> str:
    values = {_expr(word): sympy.Rational(value) for word, value in given["values"].items()}
    return str(_expr(given["expression"]).subs(values, simultaneous=True))


_ROUTES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "value": _value,
    "units": _units,
    "remainder": _remainder,
    "divisor": _divisor,
    "series": _series,
    "base": _base,
    "equations": _equations,
    "roots": _roots,
    "derivative": _derivative,
    "integral": _integral,
    "expansion": _expansion,
    "formula": _formula,
}
