"""Every family of calculations, its proof by another route, and its steps."""

import pytest
import sympy
from sympy.physics import units

from synth.draw import Stream
from synth.reasoning import algebra, numbers
from synth.reasoning.calculation import Calculation, Step, holds
from synth.reasoning.compare import WAYS, is_right
from synth.reasoning.proof import proven

FAMILIES = {**numbers.FAMILIES, **algebra.FAMILIES}
EACH = 12


def made(family: str) -> list[Calculation]:
    return [FAMILIES[family](Stream(3, family, number)) for number in range(EACH)]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_answers_are_proven_and_steps_hold(family: str) -> None:
    for calculation in made(family):
        assert proven(calculation.family, calculation.given, calculation.answer, calculation.compare), calculation
        assert calculation.steps
        assert all(holds(step, calculation.values) for step in calculation.steps), calculation
        assert calculation.compare in WAYS


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_another_answer_is_not_proven_nor_another_step_believed(family: str) -> None:
    for calculation in made(family):
        wrong = f"{calculation.answer} + 1" if calculation.compare != "values" else f"{calculation.answer}1"
        assert not proven(calculation.family, calculation.given, wrong, calculation.compare), calculation
        for step in calculation.steps:
            assert not holds(step._replace(right=f"{step.right} + 1"), calculation.values)
            assert not holds(step._replace(right="no equation ="), calculation.values)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_last_step_arrives_at_the_answer(family: str) -> None:
    """What a reader of the steps would answer is what the row answers."""
    if family in ("linear", "system", "quadratic"):  # these end in a check
        return
    for calculation in made(family):
        last = calculation.steps[-1]
        if family == "divisor" and calculation.given["wanted"] == "gcd":
            assert last.right.endswith(f"*{calculation.answer} + 0")
        elif family == "remainder":
            assert any(step.right == calculation.answer for step in calculation.steps)
        elif family == "series" and "k^" not in calculation.given["term"]:
            assert last.right == calculation.answer
        else:
            assert is_right(calculation.compare, calculation.answer, last.right)


def test_questions_vary_and_are_the_same_for_a_key() -> None:
    questions = [calculation.question for family in FAMILIES for calculation in made(family)]
    assert len(set(questions)) > 0.97 * len(questions)
    assert made("story") == made("story")
    assert not any("{" in question and "\\" not in question and "$" not in question for question in questions)


def test_units_are_those_of_sympy() -> None:
    known = {
        "inches": units.inch,
        "feet": units.foot,
        "tonnes": units.metric_ton,
        "weeks": 7 * units.day,
        "kilobytes": 1000 * units.byte,
        "megabytes": 10**6 * units.byte,
    }

    def unit(name: str) -> sympy.Expr:
        return known[name] if name in known else getattr(units, name[:-1].replace("metre", "meter"))

    for table in numbers.UNITS.values():
        for name, size in table:
            ratio = units.convert_to(unit(name), unit(table[0][0])) / unit(table[0][0])
            assert sympy.nsimplify(ratio, rational=True) == sympy.Rational(size.numerator, size.denominator), name


def test_stories_stay_whole_and_positive() -> None:
    for number in range(60):
        story = numbers.story(Stream(0, "whole", number))
        assert all(step.right.isdigit() and int(step.right) > 0 for step in story.steps)


def test_a_derivative_with_a_pole_is_judged_elsewhere() -> None:
    assert holds(Step("", "1/(x - 3/7)", "-1/(x - 3/7)^2", "x"), {})
    assert not holds(Step("", "1/(x - 3/7)", "1/(x - 3/7)^2", "x"), {})


def test_a_step_is_shown_as_its_equation() -> None:
    assert str(Step("Then", "1 + 1", "2")) == "Then 1 + 1 = 2"
    assert str(Step("", "x^2", "2*x", "x")) == "d/dx [x^2] = 2*x"


def test_a_product_is_multiplied_out_term_by_term_and_a_sum_keeps_its_signs() -> None:
    for number in range(40):
        made = algebra.expansion(Stream(0, number))
        assert len(made.steps) in (2, 4)
        assert all(step.say != "Next:" and step.left != step.right for step in made.steps)
        assert "+ (-" not in algebra.derivative(Stream(1, number)).answer
