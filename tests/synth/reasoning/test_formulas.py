import pytest

from synth.draw import Stream
from synth.reasoning.calculation import holds
from synth.reasoning.formulas import formulas, instance
from synth.reasoning.proof import proven

PAGE = r"""The step is \(t_k = t_0 + hk\), so $P_0 = (J + K) / 2$ and
$$\sigma = \frac{\lambda \nu^n}{30 - c_{TF}}$$ while \[ y = \frac{b + 1}
{m + 1} \]."""


def test_formulas_are_found_where_they_stand() -> None:
    found = list(formulas(PAGE))
    assert [formula.left for formula in found] == ["t_k", "P_0", r"\sigma", "y"]
    assert PAGE[found[0].start :].startswith(r"\(t_k")
    assert PAGE[found[3].start : found[3].start + found[3].length].endswith(r"\]")


def test_instances_are_proven() -> None:
    for formula in formulas(PAGE):
        for number in range(8):
            made = instance(formula, "“Page”", Stream(0, formula.start, number))
            assert made is not None
            assert formula.text in made.question
            assert proven("formula", made.given, made.answer, made.compare)
            assert all(holds(step, made.values) for step in made.steps)
            assert not proven("formula", made.given, f"{made.answer} + 1", made.compare)


@pytest.mark.parametrize(
    "text",
    [
        r"$f(x) = x + x^2$",  # a function applied
        r"$y = g(x) + 1 - z$",
        r"$B = T^{-1} A T$",  # matrices
        r"$z = c^T x + b$",
        r"$\kappa={kappa} + 2 - 1$",  # a placeholder
        r"$s = 1/2 + i t$",  # the imaginary unit
        r"$x = x + 1 - y$",
        r"$y = 3 + 4$",  # nothing to put in
        r"$y = a$",
        r"$a = b = c + d - e$",
        r"$y = \sin(x) + 2x$",
        r"$y = \int x dx$",
        r"$y = __import__ + 2$",
        "$" + "y = " + "x + " * 200 + "x$",
    ],
)
def test_other_formulas_are_left_out(text: str) -> None:
    assert list(formulas(text)) == []


def test_a_division_by_zero_is_no_instance() -> None:
    (formula,) = formulas("$y = a / (b - b)$")
    assert instance(formula, "“Page”", Stream(0, 1)) is None


def test_a_long_line_is_read_in_no_time() -> None:
    assert len(list(formulas("$y = a + b - 1$ " * 5_000))) == 1
    assert list(formulas(r"\(" * 30_000)) == []
    assert list(formulas("$" * 30_000)) == []
