"""Symbolic calculations: equations made backwards from their solutions, derivatives by the rules, integrals, expansions, factors."""

from collections.abc import Callable
from fractions import Fraction

from synth.draw import Stream
from synth.reasoning.calculation import Calculation, Step
from synth.reasoning.expression import Tree, exact, latex, name, number, shown
from synth.reasoning.terms import polynomial, term

VARIABLES = ("x", "y", "t", "z", "u", "n")
_SOLVE = (
    "[Solve {equation} for {variable}.|For which {variable} is {equation}?|Find {variable} if {equation}.|"
    "{equation}: what is {variable}?]"
)
_BOTH = (
    "[Solve the system {first}, {second}.|Find {x} and {y} with {first} and {second}.|"
    "Two numbers {x} and {y} satisfy {first} and {second}. What are they?]"
)
_ROOTS = "[Find all real solutions of {equation}.|Solve {equation}.|For which {variable} does {equation} hold?]"
_DERIVATIVE = (
    "[Differentiate {f} with respect to {variable}.|What is the derivative of {f} with respect to {variable}?|"
    "Find d/d{variable} of {f}.|Let f({variable}) = {f}. Find f'({variable}).]"
)
_INTEGRAL = (
    "[Evaluate the integral of {f} from {low} to {high}.|What is the definite integral of {f} for {variable} between {low} and {high}?|"
    "Integrate {f} with respect to {variable} between {low} and {high}.|"
    "Find the area, counted with its sign, between {f} and the {variable}-axis from {low} to {high}.]"
)
_EXPAND = "[Expand {f}.|Multiply out {f}.|Write {f} as a polynomial in {variable}.|Remove the brackets: {f}.]"
_VALUE = (
    "[Let p({variable}) = {f}. Find p({at}).|Evaluate {f} at {variable} = {at}.|What is {f} when {variable} = {at}?]"
)


def linear(draw: Stream) -> Calculation:
    """a*x + b = c*x + d with a rational solution."""
    variable = draw.pick(VARIABLES)
    root = Fraction(draw.nonzero(20), draw.pick((1, 1, 1, 2, 3, 4)))
    left = draw.nonzero(12)
    right = draw.pick([factor for factor in range(-6, 7) if factor not in (left, 0)]) if draw.chance(70) else 0
    constant = draw.nonzero(30)
    other = left * root + constant - right * root
    factor = int(other.denominator)  # whole coefficients
    left, right, constant, other = left * factor, right * factor, constant * factor, other * factor
    one, two = polynomial([constant, left], variable), polynomial([int(other), right], variable)
    steps = []
    if right:
        moved = polynomial([constant, left - right], variable)
        steps.append(
            Step(
                f"Take {shown(term(abs(right), variable, 1))} from both sides:"
                if right > 0
                else f"Add {shown(term(-right, variable, 1))} to both sides:",
                shown(moved),
                str(other),
            )
        )
    rest = int(other) - constant
    steps.append(Step("Move the constant:", shown(polynomial([0, left - right], variable)), str(rest)))
    if left - right != 1:
        steps.append(Step(f"Divide by {left - right}:", variable, str(root)))
    steps.append(Step("Check, left side:", _put_in(one, variable, root), str(exact(one, {variable: root}))))
    steps.append(Step("Right side:", _put_in(two, variable, root), str(exact(two, {variable: root}))))
    equation = _formula(draw, one, two)
    given = {"equations": [[shown(one), shown(two)]], "unknowns": [variable]}
    question = draw.say(_SOLVE, {"equation": equation, "variable": variable})
    return Calculation("equations", question, str(root), "number", tuple(steps), given, {variable: str(root)})


def system(draw: Stream) -> Calculation:
    """Two linear equations with two unknowns, by elimination."""
    x, y = draw.pick((("x", "y"), ("a", "b"), ("u", "v"), ("p", "q")))
    root_x, root_y = draw.nonzero(12), draw.nonzero(12)
    a, b, c, d = (draw.nonzero(9) for _ in range(4))
    while a * d == b * c:
        d = draw.nonzero(9)
    first, second = a * root_x + b * root_y, c * root_x + d * root_y
    one, two = _pair(a, x, b, y), _pair(c, x, d, y)
    by_one, by_two = f"({shown(one)})", f"({shown(two)})"
    steps = (
        Step(
            f"Multiply the first equation by {d}, the second by {b}, and subtract; {y} drops out:",
            f"{d}*{by_one} - {_signed(b)}*{by_two}",
            f"{d}*{_signed(first)} - {_signed(b)}*{_signed(second)}",
        ),
        Step("That is", shown(polynomial([0, a * d - b * c], x)), str(d * first - b * second)),
        Step("So", x, str(root_x)),
        Step("Put into the first equation:", shown(polynomial([0, b], y)), f"{first} - {_signed(a)}*{_signed(root_x)}"),
        Step("So", y, str(root_y)),
        Step("Check with the second:", f"{c}*{_signed(root_x)} + {_signed(d)}*{_signed(root_y)}", str(second)),
    )
    words = {"first": _formula(draw, one, number(first)), "second": _formula(draw, two, number(second)), "x": x, "y": y}
    given = {"equations": [[shown(one), str(first)], [shown(two), str(second)]], "unknowns": [x, y]}
    values = {x: str(root_x), y: str(root_y)}
    answer = f"{x} = {root_x}, {y} = {root_y}"
    return Calculation("equations", draw.say(_BOTH, words), answer, "values", steps, given, values)


def quadratic(draw: Stream) -> Calculation:
    """A quadratic equation with rational roots, through its discriminant."""
    variable, lead = draw.pick(VARIABLES), draw.integer(1, 4)
    one, two = draw.nonzero(12), draw.nonzero(12)
    coefficients = [lead * one * two, -lead * (one + two), lead]
    tree = polynomial(coefficients, variable)
    c, b, a = coefficients
    inside, root = b * b - 4 * a * c, lead * abs(one - two)
    high, low = max(one, two), min(one, two)
    steps = [
        Step("The discriminant:", f"{_signed(b)}^2 - 4*{a}*{_signed(c)}", str(inside)),
        Step("Its root:", f"sqrt({inside})", str(root)),
        Step("One solution:", f"(-{_signed(b)} + {root})/(2*{a})", str(high)),
    ]
    if high != low:
        steps.append(Step("The other:", f"(-{_signed(b)} - {root})/(2*{a})", str(low)))
    factors = shown(Tree("*", (polynomial([-high, 1], variable), polynomial([-low, 1], variable))))
    steps.append(Step("Check by factors:", shown(tree), f"{lead}*{factors}" if lead > 1 else factors))
    answer = f"{variable} = {low} or {variable} = {high}" if low != high else f"{variable} = {low}"
    question = draw.say(_ROOTS, {"equation": _formula(draw, tree, number(0)), "variable": variable})
    given = {"polynomial": shown(tree), "unknown": variable}
    return Calculation("roots", question, answer, "roots", tuple(steps), given)


def derivative(draw: Stream) -> Calculation:
    """A product, a composition or a sum of usual functions, by the rules."""
    variable = draw.pick(("x", "t", "s"))
    make = draw.pick((_product_rule, _chain_rule, _sum_rule, _quotient_rule))
    tree, slope, steps = make(draw, variable)
    question = draw.say(_DERIVATIVE, {"f": _shown_somehow(draw, tree), "variable": variable})
    given = {"expression": shown(tree), "variable": variable}
    return Calculation(
        "derivative",
        question,
        shown(slope),
        "expression",
        (*steps, Step("Together:", shown(tree), shown(slope), variable)),
        given,
    )


def _function(draw: Stream, variable: str) -> tuple[Tree, Tree]:
    """A function and its derivative."""
    factor, power = draw.integer(2, 7), draw.integer(2, 5)
    x = name(variable)
    inner = Tree("*", (number(factor), x))
    match draw.integer(0, 4):
        case 0:
            return term(factor, variable, power), term(factor * power, variable, power - 1)
        case 1:
            return Tree("sin", (inner,)), Tree("*", (number(factor), Tree("cos", (inner,))))
        case 2:
            return Tree("cos", (inner,)), Tree("-1", (Tree("*", (number(factor), Tree("sin", (inner,)))),))
        case 3:
            return Tree("exp", (inner,)), Tree("*", (number(factor), Tree("exp", (inner,))))
    return Tree("log", (x,)), Tree("/", (number(1), x))


def _sum_rule(draw: Stream, variable: str) -> tuple[Tree, Tree, list[Step]]:
    parts = [_function(draw, variable) for _ in range(draw.integer(2, 4))]
    tree, slope = parts[0]
    for part, its in parts[1:]:
        tree = Tree("+", (tree, part))
        slope = Tree("-", (slope, *its.args)) if its.op == "-1" else Tree("+", (slope, its))
    return tree, slope, [Step("", shown(part), shown(its), variable) for part, its in parts]


def _product_rule(draw: Stream, variable: str) -> tuple[Tree, Tree, list[Step]]:
    (left, of_left), (right, of_right) = _function(draw, variable), _function(draw, variable)
    slope = Tree("+", (Tree("*", (of_left, right)), Tree("*", (left, of_right))))
    steps = [
        Step("By the product rule. First factor:", shown(left), shown(of_left), variable),
        Step("Second factor:", shown(right), shown(of_right), variable),
    ]
    return Tree("*", (left, right)), slope, steps


def _quotient_rule(draw: Stream, variable: str) -> tuple[Tree, Tree, list[Step]]:
    left, of_left = _function(draw, variable)
    coefficients = [draw.integer(1, 9), draw.nonzero(6), draw.integer(0, 3)]
    right, of_right = polynomial(coefficients, variable), polynomial([coefficients[1], 2 * coefficients[2]], variable)
    above = Tree("-", (Tree("*", (of_left, right)), Tree("*", (left, of_right))))
    steps = [
        Step("By the quotient rule. Numerator:", shown(left), shown(of_left), variable),
        Step("Denominator:", shown(right), shown(of_right), variable),
    ]
    return Tree("/", (left, right)), Tree("/", (above, Tree("^", (right, number(2))))), steps


def _chain_rule(draw: Stream, variable: str) -> tuple[Tree, Tree, list[Step]]:
    coefficients = [draw.nonzero(9), draw.nonzero(5), draw.integer(1, 4)]
    inner, of_inner = polynomial(coefficients, variable), polynomial([coefficients[1], 2 * coefficients[2]], variable)
    power = draw.integer(3, 9)
    outer = {
        "sin": (Tree("sin", (inner,)), Tree("cos", (inner,))),
        "exp": (Tree("exp", (inner,)), Tree("exp", (inner,))),
        "power": (Tree("^", (inner, number(power))), Tree("*", (number(power), Tree("^", (inner, number(power - 1)))))),
    }
    tree, of_outer = outer[draw.pick(sorted(outer))]
    steps = [Step("By the chain rule. The inner function:", shown(inner), shown(of_inner), variable)]
    return tree, Tree("*", (of_outer, of_inner)), steps


def integral(draw: Stream) -> Calculation:
    """A definite integral of a polynomial, made from its antiderivative."""
    variable = draw.pick(("x", "t"))
    powers = [draw.integer(-6, 6) for _ in range(draw.integer(2, 4))]
    if not any(powers):
        powers[0] = 2
    antiderivative = polynomial([0, *powers], variable)
    f = polynomial([factor * (power + 1) for power, factor in enumerate(powers)], variable)
    low = draw.integer(-3, 2)
    high = low + draw.integer(1, 4)
    at_high, at_low = (exact(antiderivative, {variable: Fraction(limit)}) for limit in (high, low))
    steps = (
        Step("An antiderivative, because", shown(antiderivative), shown(f), variable),
        Step(f"At {high}:", _put_in(antiderivative, variable, Fraction(high)), str(at_high)),
        Step(f"At {low}:", _put_in(antiderivative, variable, Fraction(low)), str(at_low)),
        Step("The difference:", f"{at_high} - {_signed(int(at_low))}", str(at_high - at_low)),
    )
    words = {"f": _shown_somehow(draw, f), "low": str(low), "high": str(high), "variable": variable}
    given = {"expression": shown(f), "variable": variable, "from": str(low), "to": str(high)}
    return Calculation("integral", draw.say(_INTEGRAL, words), str(at_high - at_low), "number", steps, given)


def expansion(draw: Stream) -> Calculation:
    """A product of two or three linear factors, multiplied out one after the other."""
    variable = draw.pick(VARIABLES)
    factors = [[draw.nonzero(9), draw.nonzero(5)] for _ in range(draw.integer(2, 3))]
    product, tree, steps = factors[0], polynomial(factors[0], variable), []
    for factor in factors[1:]:
        before = polynomial(product, variable)
        earlier, product = product, _times(product, factor)
        step = Tree("*", (before, polynomial(factor, variable)))
        constant, lead = factor
        parts = f"{shown(before)} times {lead}*{variable} and times {constant}:"
        by_lead = shown(polynomial([0, *(lead * each for each in earlier)], variable))
        by_constant = shown(polynomial([constant * each for each in earlier], variable))
        steps.append(Step(parts, shown(step), f"({by_lead}) + ({by_constant})"))
        steps.append(
            Step("Like powers together:", f"({by_lead}) + ({by_constant})", shown(polynomial(product, variable)))
        )
        tree = Tree("*", (tree, polynomial(factor, variable)))
    question = draw.say(_EXPAND, {"f": _shown_somehow(draw, tree), "variable": variable})
    answer = shown(polynomial(product, variable))
    given = {"expression": shown(tree), "variable": variable}
    return Calculation("expansion", question, answer, "polynomial", tuple(steps), given)


def value(draw: Stream) -> Calculation:
    """A polynomial at a point, by Horner's scheme."""
    variable = draw.pick(VARIABLES)
    coefficients = [draw.integer(-9, 9) for _ in range(draw.integer(3, 5))] + [draw.nonzero(6)]
    at = draw.nonzero(6)
    tree, steps, sofar = polynomial(coefficients, variable), [], coefficients[-1]
    for factor in reversed(coefficients[:-1]):
        steps.append(Step("", f"{_signed(sofar)}*{_signed(at)} + {_signed(factor)}", str(sofar * at + factor)))
        sofar = sofar * at + factor
    steps[0] = steps[0]._replace(say="Nested multiplication, from the highest power down:")
    question = draw.say(_VALUE, {"f": _shown_somehow(draw, tree), "variable": variable, "at": str(at)})
    given = {"expression": _put_in(tree, variable, Fraction(at))}
    return Calculation("value", question, str(sofar), "number", tuple(steps), given)


FAMILIES: dict[str, Callable[[Stream], Calculation]] = {
    "linear": linear,
    "system": system,
    "quadratic": quadratic,
    "derivative": derivative,
    "integral": integral,
    "expansion": expansion,
    "polynomial": value,
}


def put_in(tree: Tree, values: dict[str, Fraction]) -> Tree:
    """The tree with numbers in the place of names."""
    if tree.op == "name" and tree.value in values:
        return number(values[str(tree.value)])
    return tree._replace(args=tuple(put_in(arg, values) for arg in tree.args))


def _put_in(tree: Tree, variable: str, value: Fraction) -> str:
    return shown(put_in(tree, {variable: value}))


def _pair(a: int, x: str, b: int, y: str) -> Tree:
    left = polynomial([0, a], x)
    return Tree("+" if b > 0 else "-", (left, term(abs(b), y, 1)))


def _times(left: list[int], right: list[int]) -> list[int]:
    product = [0] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            product[i + j] += a * b
    return product


def _signed(value: int) -> str:
    return f"({value})" if value < 0 else str(value)


def _shown_somehow(draw: Stream, tree: Tree) -> str:
    return f"${latex(tree)}$" if draw.chance(50) else shown(tree)


def _formula(draw: Stream, left: Tree, right: Tree) -> str:
    if draw.chance(50):
        return f"${latex(left)} = {latex(right)}$"
    return f"{shown(left)} = {shown(right)}"
