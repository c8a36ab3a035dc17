import sys
import warnings

import pytest

from curation.code.parse import MAX_CHARS, parses


@pytest.mark.parametrize(
    ("text", "is_python"),
    [
        ("x = 1\n", True),
        ("", True),
        ("\ufeffx = 1", True),
        ("match x:\n    case 1: pass", True),
        ("print 'two'", False),
        ("try: pass\nexcept E, e: pass", False),
        ("def f(:\n", False),
        ("x = '\x00'", False),
        ("x = '\ud800'", False),
        ("\x00", False),
        ("\tif x:\n        y", False),
        ("x = " + "(" * 5_000 + ")" * 5_000, False),
        ("x = " + "-" * 200_000 + "1", False),
        ("x = " + "+".join(["1"] * 100_000), False),
        ("(" * (MAX_CHARS + 1), True),  # not asked about
    ],
)
def test_python_parses(text: str, is_python: bool) -> None:
    limit = sys.getrecursionlimit()
    assert parses(text) is is_python
    assert sys.getrecursionlimit() == limit


def test_warnings_of_the_compiler_are_not_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parses("x = '\\d'\nif x is 1: pass\n")
