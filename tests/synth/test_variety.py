"""Measures of variety on texts whose variety is known."""

import pytest

from synth.render import Turn
from synth.variety import asked, form, variety, written


def test_equal_texts_have_one_form_and_few_grams() -> None:
    told = variety(["What is it?"] * 4)
    assert (told["rows"], told["forms"], told["top_form"], told["top_10"]) == (4, 1, 1.0, 1.0)
    assert told["distinct_1"] == pytest.approx(4 / 16)
    assert told["distinct_2"] == pytest.approx(3 / 12)


def test_different_texts_have_forms_of_their_own() -> None:
    told = variety(["What is it?", "Name the author.", "How many are there?"])
    assert told["forms"] == 3
    assert told["top_form"] == pytest.approx(1 / 3, abs=1e-4)
    assert told["distinct_4"] == 1.0


def test_nothing_is_no_error() -> None:
    assert variety([])["rows"] == 0
    assert variety([""])["distinct_1"] == 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("When was Light Bababa built?", "When was Light Kilusa built?"),
        ("It has 1,200 lines.", "It has 7 lines."),
        ("Call `f(x)` twice.", "Call `g(a, b)` twice."),
        ("The name begins with “ab”.", "The name begins with “zoo and more”."),
        ("Run\n```python\n1\n```", "Run\n```python\nx = 2\ny\n```"),
    ],
)
def test_forms_leave_out_what_fills_a_template(one: str, other: str) -> None:
    assert form(one) == form(other)
    assert form(one) != form(f"Please: {one}")


def test_turns_give_what_is_asked_and_written() -> None:
    turns = [
        Turn("system", "s"),
        Turn("user", "q"),
        Turn("assistant", "a", think="t"),
        Turn("user", "again"),
        Turn("assistant", "b"),
    ]
    assert asked(turns) == "q"
    assert written(turns) == "t\na\nb"
    assert asked([]) == ""
