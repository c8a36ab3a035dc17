import pytest

from synth.reasoning.compare import is_right, read_literal, same_value, stated


@pytest.mark.parametrize(
    ("way", "right", "given", "same"),
    [
        ("number", "7/2", "3.5", True),
        ("number", "7/2", "x = 7/2", True),
        ("number", "1234", "1,234", True),
        ("number", "1234", r"$1234$", True),
        ("number", "1/2", r"\frac{1}{2}", True),
        ("number", "7/2", "3.49", False),
        ("number", "7/2", "about 3.5", False),
        ("number", "2", "9^9^9^9", False),
        ("roots", "x = -3 or x = 5", "5, -3", True),
        ("roots", "x = -3 or x = 5", "x = 5 and x = -3", True),
        ("roots", "x = -3 or x = 5", "-3", False),
        ("roots", "x = 2", "2 or 2", True),
        ("values", "x = 1, y = -2", "y = -2, x = 1", True),
        ("values", "x = 1, y = -2", "x = -2, y = 1", False),
        ("values", "x = 1, y = -2", "1, -2", False),
        ("values", "x = 1, y = -2", "x = 1", False),
        ("expression", "2*x + 2", "2(x+1)", True),
        ("expression", "2*x + 2", "f' = 2(x+2)", False),
        ("polynomial", "x^2 - 1", "x^2 - 1", True),
        ("polynomial", "x^2 - 1", "(x-1)(x+1)", False),
        ("polynomial", "x^2 + 2*x + 1", "(x+1)^2", False),
        ("polynomial", "-x^2 + 4*x", "4*x - x^2", True),
        ("literal", "[1, 2]", "[1,2]", True),
        ("literal", "[1, 2]", "(1, 2)", False),
        ("literal", "1", "True", False),
        ("literal", "1", "1.0", False),
        ("literal", "{'a': 1}", '{"a": 1}', True),
        ("literal", "{1, 2}", "{2, 1}", True),
        ("literal", "'a'", "__import__('os')", False),
        ("literal", "1", "(" * 500 + ")" * 500, False),
        ("text", "Hyper Log", "hyper  log.", True),
        ("text", "Hyper Log", "Hyperlog", False),
    ],
)
def test_answers_are_compared(way: str, right: str, given: str, same: bool) -> None:
    assert is_right(way, right, given) is same


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Some thoughts.\nAnswer: 42", "42"),
        ("Answer: 1\nWait.\n**Answer:** 2", "2"),
        (r"So \boxed{\frac{1}{2}}. Answer: none", r"\frac{1}{2}"),
        ("It follows.\nThe final answer is: $x + 1$.", "x + 1"),
        ("Answer: `f('a.b')`", "f('a.b')"),
        ("Answer: 3.", "3"),
        ("", ""),
        (r"\boxed{never closed", r"\boxed{never closed"),
    ],
)
def test_the_answer_is_found_in_a_solution(text: str, answer: str) -> None:
    assert stated(text) == answer


def test_literals_are_bounded_and_typed() -> None:
    with pytest.raises(ValueError, match="2000 are read"):
        read_literal("[" + "1," * 3_000 + "]")
    assert same_value({"a": [1, (2.0, None)]}, {"a": [1, (2.0, None)]})
    assert not same_value({"a": [1, (2, None)]}, {"a": [1, (2.0, None)]})
    assert not same_value({"a": 1}, {"a": 1, "b": 2})
    assert same_value(float("nan"), float("nan"))
