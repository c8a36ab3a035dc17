"""Calculations done again: by other routes than the generator's, from what the question gives, and every step for itself.

A sum is added up, an equation's solution is put in and counted by a determinant, a root by its sign changes, an integral is taken by
Gauss and Legendre, a derivative between two near points to 25 digits. The question has to give the numbers that the proof rests on.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import sympy

from synth.checker.algebra import Unreadable, chunks, expression, is_multiplied_out, is_same, symbol

Given = Mapping[str, Any]
_NUMBERS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "eight": "8", "ten": "10"}


def checked(task: Mapping[str, Any], question: str, thoughts: str, *, scripted: bool) -> Iterator[str]:
    """Disagreements about a calculation."""
    family, given, answer = task["family"], task["given"], task["answer"]
    try:
        if not _PROOFS[family](given, answer):
            yield f"{answer!r} is not the answer of {family} {dict(given)}"
        if not _is_asked(family, given, question):
            yield f"the question does not ask for {family} {dict(given)}"
        if len(task["steps"]) != task["measured"]["steps"]:
            yield f"{len(task['steps'])} steps, not {task['measured']['steps']}"
        for left, right, by in task["steps"]:
            if not _holds(left, right, by, task["values"]):
                yield f"the step {left} = {right} does not hold"
            if scripted and f"{left}] = {right}" not in thoughts and f"{left} = {right}" not in thoughts:
                yield f"the step {left} = {right} is not in the thoughts"
    except Unreadable as error:
        yield f"cannot be read: {error}"


def equal_numbers(right: str, given: str) -> bool:
    """The same number; a name before it and separators of thousands do not count."""
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", given.rpartition("=")[2])
    try:
        return is_same(expression(right.rpartition("=")[2]), expression(plain))
    except Unreadable:
        return False


def assigned(answer: str) -> dict[str, Fraction]:
    """Values by name of `x = 1, y = 2`."""
    found = re.findall(r"([A-Za-z]\w*)\s*=\s*(-?\d+(?:/\d+)?)", answer)
    return {name: Fraction(value) for name, value in found}


def rooted(answer: str) -> set[Fraction]:
    """The numbers of `x = 1 or x = 2`."""
    return {Fraction(number) for number in re.findall(r"-?\d+(?:/\d+)?", re.sub(r"[A-Za-z]\w*\s*=", "", answer))}


def _holds(left: str, right: str, by: str, values: Mapping[str, str]) -> bool:
    one, other = expression(left), expression(right)
    if by:
        return _is_slope(one, other, symbol(by))
    return is_same(one, other, {symbol(name): sympy.Rational(value) for name, value in values.items()})


def _is_slope(function: sympy.Expr, slope: sympy.Expr, variable: sympy.Symbol) -> bool:
    """Whether the difference quotient about three points is the slope there, to 15 digits."""
    near = sympy.Rational(1, 10**20)
    for point in (sympy.Rational(5, 7), sympy.Rational(13, 9), sympy.Rational(31, 12)):
        up, down = (function.subs(variable, point + step).evalf(70) for step in (near, -near))
        wanted = slope.subs(variable, point).evalf(50)
        if abs((up - down) / (2 * near) - wanted) > sympy.Float("1e-15") * (1 + abs(wanted)):
            return False
    return True


def _value(given: Given, answer: str) -> bool:
    return is_same(expression(given["expression"]), expression(answer))


def _units(given: Given, answer: str) -> bool:
    value = Fraction(given["amount"])
    for place, factor in enumerate(given["factors"]):
        value *= Fraction(factor) ** (-1 if place % 2 else 1)
    return Fraction(answer) == value


def _remainder(given: Given, answer: str) -> bool:
    base, exponent, modulus = (int(given[name]) for name in ("base", "exponent", "modulus"))
    left = 1
    for _ in range(exponent):
        left = left * base % modulus
    return int(answer) == left


def _divisor(given: Given, answer: str) -> bool:
    numbers = [int(number) for number in given["numbers"]]
    return int(answer) == {"gcd": math.gcd, "lcm": math.lcm}[given["wanted"]](*numbers)


def _terms(given: Given) -> list[Fraction]:
    term, k = expression(given["term"]), sympy.Symbol("k")
    return [Fraction(str(term.subs(k, place))) for place in range(int(given["from"]), int(given["to"]) + 1)]


def _series(given: Given, answer: str) -> bool:
    return Fraction(answer) == sum(_terms(given))


def _base(given: Given, answer: str) -> bool:
    radix = int(given["radix"])
    digits = [int(digit) for digit in given["digits"]]
    powers = range(len(digits) - 1, -1, -1)
    return max(digits) < radix and int(answer) == sum(d * radix**p for d, p in zip(digits, powers, strict=True))


def _equations(given: Given, answer: str) -> bool:
    """The values solve all equations, which are linear in the unknowns, with a determinant that is not zero."""
    unknowns = [symbol(name) for name in given["unknowns"]]
    sides = [expression(left) - expression(right) for left, right in given["equations"]]
    told = assigned(answer) if "=" in answer else {given["unknowns"][0]: Fraction(answer)}
    if set(told) != set(given["unknowns"]):
        return False
    at = {symbol(name): sympy.Rational(value.numerator, value.denominator) for name, value in told.items()}
    slopes = [[sympy.diff(side, unknown) for unknown in unknowns] for side in sides]
    is_linear = not any(sympy.expand(slope).free_symbols for row in slopes for slope in row)
    return is_linear and all(side.subs(at) == 0 for side in sides) and sympy.Matrix(slopes).rank() == len(unknowns)


def _roots(given: Given, answer: str) -> bool:
    """Each is a root, and by Sturm there are no others."""
    polynomial = sympy.Poly(expression(given["polynomial"]), symbol(given["unknown"]))
    found = rooted(answer)
    at_roots = all(polynomial.eval(sympy.Rational(root.numerator, root.denominator)) == 0 for root in found)
    return bool(found) and at_roots and len(found) == polynomial.sqf_part().count_roots()


def _derivative(given: Given, answer: str) -> bool:
    return _is_slope(expression(given["expression"]), expression(answer), symbol(given["variable"]))


def _integral(given: Given, answer: str) -> bool:
    function, variable = sympy.expand(expression(given["expression"])), symbol(given["variable"])
    low, high = sympy.Rational(given["from"]), sympy.Rational(given["to"])
    if not function.is_polynomial(variable):
        total = sympy.Integral(function, (variable, low, high)).evalf(30)
        return abs(total - expression(answer).evalf(30)) < sympy.Float("1e-15") * (1 + abs(total))
    total = sympy.S.Zero
    for (power,), factor in sympy.Poly(function, variable).terms():
        total += factor * (high ** (power + 1) - low ** (power + 1)) / (power + 1)
    return is_same(total, expression(answer))


def _expansion(given: Given, answer: str) -> bool:
    return is_multiplied_out(answer) and is_same(expression(given["expression"]), expression(answer))


def _formula(given: Given, answer: str) -> bool:
    values = {symbol(name): sympy.Rational(value) for name, value in given["values"].items()}
    return is_same(expression(given["expression"]), expression(answer), values)


_PROOFS: Mapping[str, Callable[[Given, str], bool]] = {
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


def _is_asked(family: str, given: Given, question: str) -> bool:
    """Whether the question gives what the proof starts from. A story has small numbers in words, too."""
    numbers = re.findall(r"\d+(?:\.\d+)?", question)
    match family:
        case "value":
            return _says_value(given["expression"], question)
        case "units":
            return Fraction(given["amount"]) in map(Fraction, [*numbers, *re.findall(r"\d+/\d+", question)])
        case "remainder":
            return {given["base"], given["exponent"], given["modulus"]} <= set(numbers)
        case "divisor":
            return set(given["numbers"]) <= set(numbers)
        case "base":
            return given["digits"] in numbers and (given["radix"] in numbers)
        case "series":
            terms = [str(term) for term in _terms(given)]
            return [*terms[:3], terms[-1]] == numbers[:4]
        case "equations":
            return all(_states(question, side) for equation in given["equations"] for side in equation)
        case "formula":
            values = {re.sub(r"[\\{}\s]", "", name) + "=" + value for name, value in given["values"].items()}
            told = {re.sub(r"[\\{}\s]", "", chunk) for chunk in chunks(question)}
            return values <= told and _states(question, given["expression"])
        case "integral":
            return _states(question, given["expression"]) and {given["from"], given["to"]} <= set(
                re.findall(r"-?\d+", question)
            )
    return _states(question, given["polynomial" if family == "roots" else "expression"])


def _says_value(wanted: str, question: str) -> bool:
    """A formula in the question has this value, at a point that it names where it has a variable; a story has the same numbers."""
    value, points = expression(wanted), re.findall(r"(?:=\s*|\()(-?\d+)", question)
    for chunk in chunks(question):
        try:
            found = expression(chunk)
        except Unreadable:
            continue
        at = [{name: sympy.Integer(point) for name in found.free_symbols} for point in points or ["0"]]
        return any(is_same(found.subs(values), value) for values in at)
    told, used = (Counter(re.findall(r"\d+", text)) for text in (question, wanted))
    in_words = {digits for word, digits in _NUMBERS.items() if re.search(rf"\b{word}\b", question)}
    return not told - used and set(used - told) <= in_words | {"2", "3", "4"}  # doubles, triples, four times


def _states(question: str, wanted: str) -> bool:
    """Whether a formula stands in the question: as it is written here, or in LaTeX with the same values."""
    plain = wanted.replace(" ", "")
    if plain in question.replace(" ", ""):
        return True
    goal = expression(wanted)
    for chunk in chunks(question):
        for side in re.split(r"=|,\s|\\,d", chunk):
            try:
                found = expression(side)
            except Unreadable:
                continue
            if found.free_symbols == goal.free_symbols and is_same(found, goal):
                return True
    return False
