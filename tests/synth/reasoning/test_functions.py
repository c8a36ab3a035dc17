import textwrap

import pytest

from synth.reasoning.functions import functions

FILE = '''
import os
import re as regex
from math import floor

LIMIT = 3
BAD = open("x")
TWICE = 1
TWICE = 2
WORDS = regex.compile("[a-z]+")


def helper(value):
    """Doubles.

    >>> helper(2)
    4
    """
    return floor(value * 2)


def fit(value: "Odd", limit=LIMIT):
    """What it does."""
    # kept
    total = helper(value)
    if total > limit:
        return limit
    return WORDS.findall("ab cd")[0]


def recursive(n):
    if len(str(n)) < 2:
        return n
    return recursive(n - 1) + recursive(n - 2)
'''


def test_a_function_comes_with_what_it_needs_and_without_docstrings() -> None:
    found = {function.name: function for function in functions(FILE)}
    assert set(found) == {"fit", "recursive"}  # `helper` alone is too short
    fit = found["fit"]
    assert fit.source == textwrap.dedent("""\
        from __future__ import annotations
        from math import floor
        import re as regex

        LIMIT = 3

        WORDS = regex.compile("[a-z]+")

        def helper(value):
            return floor(value * 2)

        def fit(value: "Odd", limit=LIMIT):
            # kept
            total = helper(value)
            if total > limit:
                return limit
            return WORDS.findall("ab cd")[0]""")
    assert FILE[fit.start :].startswith("def fit")
    assert FILE[fit.start : fit.start + fit.length].endswith("[0]\n")
    names: dict[str, object] = {}
    exec(fit.source, names)
    assert names["fit"](9) == 3  # type: ignore[operator]


BODY = "def f(x):\n    y = {}\n    return y\n"


@pytest.mark.parametrize(
    "source",
    [
        BODY.format("os.listdir(x)"),
        BODY.format("open(x)"),
        BODY.format("eval(x)"),
        BODY.format("x.__class__"),
        BODY.format("x._private"),
        BODY.format("unknown(x)"),
        BODY.format("BAD"),
        BODY.format("TWICE"),
        BODY.format("id(x)"),
        BODY.format("print(x)"),
        "import random\n" + BODY.format("random.random() + x"),
        "from time import time\n" + BODY.format("time() + x"),
        "from . import other\n" + BODY.format("other(x)"),
        "def f(x):\n    yield x\n    return x\n",
        "def f(x):\n    global y\n    y = 1\n    return x\n",
        "@cached\n" + BODY.format("x"),
        "def f(*x):\n    y = x\n    return y\n",
        "def f():\n    y = 1\n    return y\n",
        "def f(self):\n    y = self\n    return y\n",
        "def f(x):\n    y = x\n    return\n",
        "async " + BODY.format("x"),
        "class A:\n    pass\n" + BODY.format("A()"),
        "def f(x):\n" + "    x = x + 1\n" * 40 + "    return x\n",
        "def f(x):\n    with x:\n        return 1\n",
        "def f(x:\n",
        "\0",
    ],
)  # fmt: skip
def test_what_reaches_out_is_left(source: str) -> None:
    assert "f" not in {function.name for function in functions(FILE.replace("def fit", "def other") + "\n\n" + source)}


def test_a_function_that_needs_another_that_is_left_is_left_too() -> None:
    text = "def g(x):\n    return open(x)\n\n\ndef f(x):\n    y = g(x)\n    return y\n"
    assert list(functions(text)) == []


def test_only_so_many_of_a_file() -> None:
    text = "\n\n".join(f"def f{n}(x):\n    y = x + {n}\n    return y\n" for n in range(40))
    assert len(list(functions(text))) == 12
