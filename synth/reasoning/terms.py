"""Between our trees and sympy: bounded expressions only, never a text that sympy would run."""

from fractions import Fraction

import sympy

from synth.reasoning.expression import CONSTANTS, Tree, name, number

_FUNCTIONS = {
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "exp": sympy.exp,
    "log": sympy.log,
    "sqrt": sympy.sqrt,
}


def to_sympy(tree: Tree) -> sympy.Expr:
    """The same expression for sympy."""
    if tree.op == "number":
        value = Fraction(tree.value)
        return sympy.Rational(value.numerator, value.denominator)
    if tree.op == "name":
        word = str(tree.value)
        return {"pi": sympy.pi, "e": sympy.E}[word] if word in CONSTANTS else sympy.Symbol(word)
    args = [to_sympy(arg) for arg in tree.args]
    match tree.op, args:
        case "-1", [only]:
            return -only
        case "+", [left, right]:
            return left + right
        case "-", [left, right]:
            return left - right
        case "*", [left, right]:
            return left * right
        case "/", [left, right]:
            return left / right
        case "^", [left, right]:
            return left**right
    return _FUNCTIONS[tree.op](*args)


def polynomial(coefficients: list[int], variable: str) -> Tree:
    """The sum of the terms of a polynomial, the highest power first; `coefficients` begin with the constant."""
    tree: Tree | None = None
    for power in range(len(coefficients) - 1, -1, -1):
        factor = coefficients[power]
        if not factor:
            continue
        size = term(abs(factor), variable, power)
        if tree is None:
            tree = size if factor > 0 else Tree("-1", (size,))
        else:
            tree = Tree("+" if factor > 0 else "-", (tree, size))
    return tree or number(0)


def term(factor: int, variable: str, power: int) -> Tree:
    """`factor` times a power of the variable, without what does not show."""
    if power == 0:
        return number(factor)
    base = name(variable) if power == 1 else Tree("^", (name(variable), number(power)))
    return base if factor == 1 else Tree("*", (number(factor), base))
