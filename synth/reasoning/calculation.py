"""What a calculation is: a question, an answer, and steps that are equations, each of which holds for itself.

A step's equation is read back from its text and compared exactly (`synth.reasoning.expression`): that its words are ours does not make
it true. The answer is proven by another route in `synth.reasoning.proof`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sympy

from synth.reasoning.expression import ExpressionError, exact, is_equal, parse
from synth.reasoning.terms import to_sympy


class Step(NamedTuple):
    """`say`, then the equation `left` = `right`. With `by` (a variable) it is the derivative of `left` that equals `right`."""

    say: str
    left: str
    right: str
    by: str = ""

    def __str__(self) -> str:
        left = f"d/d{self.by} [{self.left}]" if self.by else self.left
        return f"{self.say} {left} = {self.right}".lstrip()


class Calculation(NamedTuple):
    """`given` is what `synth.reasoning.proof` needs, texts and lists of texts; steps hold under `values`, those of the
    names as expressions write them."""

    family: str
    question: str
    answer: str
    compare: str  # how answers are compared: a name of `synth.reasoning.compare.WAYS`
    steps: tuple[Step, ...]
    given: Mapping[str, Any]
    values: Mapping[str, str] = {}


def holds(step: Step, values: Mapping[str, str]) -> bool:
    """Whether the equation of a step is true: at the values of the unknowns, or at random points for names without one."""
    try:
        left, right = parse(step.left), parse(step.right)
        if step.by:
            left = parse(str(sympy.diff(to_sympy(left), sympy.Symbol(step.by))))
        return is_equal(left, right, {str(parse(word).value): exact(parse(value)) for word, value in values.items()})
    except ExpressionError:
        return False
