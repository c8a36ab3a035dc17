"""What a lossy operator removed is guessed again; and where nothing is missing, nothing is found."""

import pytest

from synth.software.localise import functions
from synth.software.mutate import mutated, replaced, sites
from synth.software.restore import KINDS, MAX_OF_KIND, restorations

CASES = {
    "return": ("def f(a):\n    made = a + 1\n    return made\n", "return", "made"),
    "raise": (
        'def f(a):\n    if a < 0:\n        raise ValueError(f"invalid a: {a!r}")\n    return a\n',
        "statement",
        "raise",
    ),
    "handled": ("def f(a):\n    try:\n        a()\n    except OSError:\n        raise\n", "exception", "raise"),
    "store": ("class A:\n    def f(self, a):\n        self.a = a\n", "statement", "self.a = a"),
    "counted": ("def f(a):\n    n = 0\n    for b in a:\n        n += 1\n    return n\n", "statement", "n += 1"),
    "added": (
        "def f(a):\n    n = []\n    for b in a:\n        n.append(b)\n    return n\n",
        "statement",
        "n.append(b)",
    ),
    "keyword": ("def f(a, by=1):\n    return g(a, by=by)\n", "keyword", "g(a, by=by)"),
    "copy": ("def f(a):\n    b = list(a)\n    return b\n", "copy", "list(a)"),
    "await": ("async def f(a):\n    return await a()\n", "await", "await a()"),
    "unit": ("def f(a):\n    return g(a + 1)\n", "unit", "a + 1"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_removed_is_among_the_guesses(name: str) -> None:
    text, operator, new = CASES[name]
    lost = next(site for site in sites(text) if site.operator == operator)
    broken = mutated(text, [lost])
    assert broken is not None
    (line, function), *_ = functions(broken).items()
    found = restorations(broken, function, "ValueError" if name == "raise" else "")
    assert text in [replaced(broken, [site]) for site in found]
    assert any(site.new.startswith(new) and site.first_line == line for site in found)
    assert {site.operator for site in found} <= set(KINDS)


def test_guesses_are_few_and_none_where_nothing_can_be_missing() -> None:
    many = "def f(" + ", ".join(f"a{n}" for n in range(90)) + "):\n    return None\n"
    (function,) = functions(many).values()
    assert len([site for site in restorations(many, function) if site.operator == "return"]) == MAX_OF_KIND
    plain = "def f(a):\n    return 1\n"
    (function,) = functions(plain).values()
    assert restorations(plain, function) == []
    assert restorations("def (", function) == []


def test_places_are_bytes_of_the_text() -> None:
    text = 'def f(ä):\r\n    "ß"; b = ä\r\n    return None\r\n'
    (function,) = functions(text).values()
    made = [replaced(text, [site]) for site in restorations(text, function) if site.operator == "return"]
    assert text.replace("None", "b") in made
    assert text.replace("None", "ä") in made
