"""What an issue tells, what it must not tell, and that a leak is found."""

import doctest
from typing import Any

import pytest

from synth.draw import Draw
from synth.software import reports
from synth.software.issue import Secret, leaks, write, written
from synth.software.observe import Observed, observe
from synth.software.patch import diff
from synth.software.suite import Failure
from synth.variety import variety

TEXT = """import pytest
from pack.core import area, Box


def test_area():
    side = 3
    assert area(side, 2) == 6


def test_refuses():
    with pytest.raises(ValueError):
        area(-1, 2)


class TestBox:
    def setup_method(self):
        self.box = Box()

    def test_len(self):
        assert 4 == len(self.box.items())

    def test_unit(self):
        self.assertEqual(self.box.total(), 9)

    def test_true(self):
        assert self.box.is_open
"""
BEFORE = {"pack/core.py": "def area(a, b):\n    result = a * b\n    return result + 1\n"}
AFTER = {"pack/core.py": "def area(a, b):\n    result = a * b\n    return result\n"}
SECRET = Secret("pack/core.py", ("_inner_product",), diff(BEFORE, AFTER), ("tests/test_core.py::test_area",))


def seen(
    test: str, line: int, kind: str = "AssertionError", message: str = "", compared: tuple[str, str, str] | None = None
) -> Observed:
    found = observe(
        TEXT, f"tests/test_core.py::{test}", Failure(kind, message, (("tests/test_core.py", line, "f"),), compared)
    )
    assert found is not None
    return found


def test_a_comparison_with_a_script_that_imports_what_it_uses() -> None:
    found = seen("test_area", 7, compared=("==", "7", "6"))
    assert (found.kind, found.expression, found.actual, found.expected, found.public) == (
        "compared",
        "area(side, 2)",
        "7",
        "6",
        "area",
    )
    assert found.snippet == "from pack.core import area\n\nside = 3\nassert area(side, 2) == 6"


def test_the_literal_is_what_is_expected_on_either_side() -> None:
    found = seen("TestBox::test_len", 20, compared=("==", "4", "3"))
    assert (found.expression, found.actual, found.expected, found.snippet) == ("len(self.box.items())", "3", "4", "")
    assert found.public == "items"


def test_unittest_messages_conditions_and_exceptions() -> None:
    found = seen("TestBox::test_unit", 23, message="8 != 9")
    assert (found.kind, found.actual, found.expected) == ("compared", "8", "9")
    assert seen("TestBox::test_true", 26, message="assert False").kind == "false"
    differing = seen("TestBox::test_unit", 23, message="Tuples differ: (1, 2) != (1, 3)\n\nmore")
    assert (differing.actual, differing.expected) == ("(1, 2)", "(1, 3)")
    raised = seen("test_area", 7, "TypeError", "bad operand\nmore")
    assert (raised.kind, raised.actual, raised.message) == ("raised", "TypeError", "bad operand")
    refused = seen("test_refuses", 11, "Failed", "DID NOT RAISE <class 'ValueError'>")
    assert (refused.kind, refused.expression, refused.expected) == ("not_raised", "area(-1, 2)", "ValueError")


def test_nothing_is_seen_where_the_test_or_its_line_is_not_there() -> None:
    failure = Failure("AssertionError", "", (("elsewhere.py", 1, "f"),), None)
    assert observe(TEXT, "tests/test_core.py::test_area", failure) is None
    assert observe(TEXT, "tests/test_core.py::absent", failure) is None
    assert observe("def broken(:", "tests/test_core.py::test_area", failure) is None


def test_issues_say_what_was_seen_in_many_wordings() -> None:
    found = seen("test_area", 7, compared=("==", "7", "6"))
    texts = [write(found, package="pack", version="1.0", seed=0, name=str(number)) for number in range(200)]
    assert variety(texts)["top_10"] < 0.08  # 0.05 where all forms differ
    assert all("7" in text and "6" in text and "area" in text for text in texts)


@pytest.mark.parametrize(
    ("found", "form", "block"),
    [
        (("test_area", 7, "AssertionError", "", ("==", "7", "6")), "session", ">>> side = 3\n>>> area(side, 2)\n7\n"),
        (
            ("test_area", 7, "TypeError", "bad"),
            "session",
            "Traceback (most recent call last):\n    ...\nTypeError: bad\n",
        ),
        (("test_area", 7, "AssertionError", "", ("==", "7", "6")), "annotated", "side = 3\n"),
        (("test_area", 7, "AssertionError", "", ("==", "7", "6")), "script", "side = 3\nassert area(side, 2) == 6\n"),
        (("TestBox::test_len", 20, "AssertionError", "", ("==", "4", "3")), "list", "`len(self.box.items())`"),
        (("TestBox::test_len", 20, "AssertionError", "", ("==", "4", "3")), "words", ""),
    ],
)
def test_what_was_seen_is_shown_in_several_forms(found: Any, form: str, block: str) -> None:
    observed = seen(*found)
    assert form in reports.possible(observed)
    assert block in reports.shown(observed, form, Draw(0, "x"))


def test_a_session_of_a_script_that_python_can_run_again() -> None:
    """`doctest` runs what it shows, and gets what it says."""
    code = "from functools import cache\nfrom math import floor\n\n\n@cache\ndef halved(n):\n    return n / 2\n"
    code += "for n in [1]:\n    half = halved(n)\nassert floor(half) == halved.cache_info().hits"
    observed = Observed(
        "compared", "floor(half) + halved.cache_info().misses", "1", "2", "", "floor", code, frozenset()
    )
    session = reports.shown(observed, "session", Draw(0, "x"))
    (example,) = [
        doctest.DocTestParser().get_doctest(
            session.strip("`").removeprefix("pycon").removeprefix("python"), {}, "x", None, 0
        )
    ]
    assert len(example.examples) == 5
    assert doctest.DocTestRunner(verbose=False).run(example) == doctest.TestResults(0, 5)
    beside = observed._replace(
        snippet=code.replace("\nassert", "; assert")
    )  # the last statement stands on the line of another
    assert "session" not in reports.possible(beside)


def test_forms_that_would_say_nothing_are_not_possible() -> None:
    assert "session" not in reports.possible(seen("TestBox::test_true", 26, message="assert False"))
    assert "words" not in reports.possible(seen("test_area", 7, compared=("==", "7", "6")))
    assert not reports.stands_alone(
        seen("test_area", 7, compared=("==", "7", "6"))
    )  # `side` is known to its test alone
    assert reports.stands_alone(seen("test_area", 7)._replace(expression="area(3, 2)"))


@pytest.mark.parametrize(
    ("told", "leak"),
    [
        ("See pack/core.py.", "pack/core.py"),
        ("It is in core.py, I think.", "core.py"),
        ("Look at pack.core for this.", "pack.core"),
        ("`_inner_product` is wrong.", "_inner_product"),
        ("There is `return   result + 1` somewhere.", "return result + 1"),
        ("test_area fails.", "test_area"),
        ("Run tests/test_core.py.", "tests/test_core.py"),
    ],
)
def test_a_leak_is_found(told: str, leak: str) -> None:
    assert leak in leaks(f"Something is wrong. {told}", SECRET, frozenset())
    assert leaks("Something is wrong with `area`.", SECRET, frozenset()) == []


def test_what_the_test_names_may_be_told() -> None:
    assert leaks("`_inner_product` and pack.core", SECRET, frozenset({"_inner_product", "pack", "core"})) == []


def test_a_message_that_leaks_is_left_out_and_an_issue_that_leaks_anyway_fails() -> None:
    raised = seen("test_area", 7, "TypeError", "_inner_product() takes 2 arguments")
    text, verdict = written(raised, [], SECRET, package="pack", version="1.0", seed=0, name="x")
    assert verdict == {"passed": True, "leaks": []}
    assert "_inner_product" not in text
    told = raised._replace(
        snippet="from pack.core import area\n\nreturn result + 1", names=frozenset({"pack", "core", "area"})
    )
    assert written(told, [], SECRET, package="pack", version="1.0", seed=0, name="x")[1]["passed"] is False
