"""Stepwise evaluation: values and steps as Python gives them, and nothing outside the literal world."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.arithmetic import evaluate, evaluate_session

numbers = st.integers(-50, 50).map(lambda n: f"({n})")
expressions = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "/", "==", "<"]), inner).map(
        lambda p: f"({' '.join(p)})"
    ),
)


@settings(deadline=None)
@given(source=expressions)
def test_values_are_those_of_python(source: str) -> None:
    result = evaluate(source)
    try:
        assert result is None or result[0] == eval(source)
    except ZeroDivisionError:
        assert result is None


def test_steps_come_in_the_order_of_evaluation() -> None:
    assert evaluate("2**10 - max(3, -1) * 4") == (
        1012,
        ["2 ** 10 = 1024", "max(3, -1) = 3", "3 * 4 = 12", "1024 - 12 = 1012"],
    )
    assert evaluate("0.1 + 0.2 == 0.3") == (
        False,
        ["0.1 + 0.2 = 0.30000000000000004", "0.30000000000000004 == 0.3 is False"],
    )


def test_a_session_binds_names() -> None:
    assert evaluate_session(["x = 5", "y = x - 7", "abs(y) * x"]) == (10, ["abs(-2) = 2", "2 * 5 = 10"])
    assert evaluate_session(["import math", "1 + 1"]) is None
    assert evaluate_session(["max = 3", "max(1, 2)"]) is None
    assert evaluate_session([]) is None


@pytest.mark.parametrize(
    "source",
    [
        *(
            "__import__('os')",
            "x",
            "(1).bit_length()",
            "[i for i in (1, 2)]",
            "1 +",
            "a = 1",
            "",
            "1 if 2 else 3",
            "lambda: 1",
        ),
        *(
            "1 / 0",
            "'a' + 1",
            "9 ** 9 ** 9",
            "'a' * 10 ** 9",
            "'%999999d' % 1",
            "(-8) ** 0.5",
            "10 ** -(10 ** 9)",
            "\x00",
        ),
        *("max()", "round(1, 2, 3)", "sum([1, 2], start=3)", " + ".join(["1"] * 100), "(" * 300 + ")" * 300),
    ],
)
def test_everything_else_is_left_alone(source: str) -> None:
    assert evaluate(source) is None
