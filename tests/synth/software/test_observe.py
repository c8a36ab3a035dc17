"""What somebody sees of a bug: the part of a statement that raised, and failures that say nothing."""

from synth.draw import Draw
from synth.software import reports
from synth.software.observe import Observed, observe
from synth.software.suite import Failure

TEXT = """class TestBox(Case):
    def test_sides(self):
        assert {Box(1)} == self.box.sides

    def test_unit(self):
        self.assertEqual(Box(1), self.box.total())

    def test_name(self):
        assert label == "a"

    def test_set(self):
        box = Box(2)
        box.grow(1)
        size = box.size
        self.assertTrue(box)
        assert size == 4

    def test_less(self):
        assert self.box.size < 4
"""
FILE = "tests/test_box.py"


def seen(
    test: str, line: int, *frames: tuple[str, int, str], compared: tuple[str, str, str] | None = None
) -> Observed | None:
    failure = Failure("AssertionError" if compared else "IndexError", "", ((FILE, line, test), *frames), compared)
    return observe(TEXT, f"{FILE}::TestBox::{test}", failure)


def test_the_side_that_was_evaluated_when_it_raised_is_told() -> None:
    for test, line, name, told in (
        ("test_sides", 3, "Thing.sides", "self.box.sides"),
        ("test_sides", 3, "Box.__init__", "{Box(1)} == self.box.sides"),  # may be either
        ("test_unit", 6, "total", "self.box.total()"),
    ):
        found = seen(test, line, ("pack/box.py", 9, name))
        assert found is not None
        assert (found.kind, found.expression) == ("raised", told)


def test_the_lines_that_set_what_is_evaluated_are_told_with_it() -> None:
    found = seen("test_set", 16, compared=("==", "3", "4"))
    assert found is not None
    assert (found.snippet, found.setting) == ("", "box = Box(2)\nbox.grow(1)\nsize = box.size")
    assert (
        reports.shown(found, "script", Draw(0, "x"))
        == "```python\nbox = Box(2)\nbox.grow(1)\nsize = box.size\nsize\n```"
    )


def test_a_condition_is_no_value() -> None:
    found = seen("test_less", 19, compared=("<", "5", "4"))
    assert found is not None
    assert (found.kind, found.expression, found.expected) == ("false", "self.box.size < 4", "")


def test_a_failure_that_says_nothing_is_not_described() -> None:
    told = seen("test_unit", 6, compared=("==", "x", "y"))
    assert told is None or told.actual != told.expected
    assert seen("test_sides", 3, compared=("==", "<Box>", "<Box>")) is None
    assert seen("test_sides", 3, compared=("==", "<Box>", "<Cube>")) is not None
    assert seen("test_name", 9, compared=("==", "'b'", "'a'")) is None  # `label` is known to the test alone
