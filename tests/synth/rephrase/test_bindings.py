"""Swaps made by program in paraphrases by hand and in texts with common words exchanged. The bounds are just below what was measured."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth.evidence import keyed
from synth.rephrase.bindings import swapped
from synth.rephrase.marks import marks_of, root
from tests.synth.rephrase.fakes import reworded
from tests.synth.rephrase.paraphrases import FAITHFUL
from tests.synth.rephrase.test_guards_measured import encyclopaedia

SOURCE = (
    "Ada Lindqvist drew the plans of the harbour, which cost 1,500 thalers. The lamps were made in Norway by a smith called Olsen. "
    "Under the bridge 40 ships of the company could pass."
)
MADE = (
    "A smith, Olsen of Norway, forged the lamps; 40 ships fitted under the bridge. "
    "1500 thalers went into the harbour that Lindqvist drew."
)
NUMBER = re.compile(r"(?<![\w.,-])\d{2,}(?![\w.,-])")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b")


def swaps(text: str, pattern: re.Pattern[str], limit: int) -> Iterator[str]:
    """The text with two marks in each other's place, in up to `limit` ways; not two that are listed side by side."""
    known = marks_of(text).names
    found = [match for match in pattern.finditer(text) if match[0].isdigit() or match[0].casefold() in known]
    pairs = [
        (one, other)
        for one, other in itertools.combinations(found, 2)
        if one[0] != other[0] and not re.fullmatch(r"[\s,]*(?:and|or)?\s*|.{0,3}", text[one.end() : other.start()])
    ]
    pairs.sort(key=lambda pair: (keyed(1, text[:40], pair[0].start(), pair[1].start()), pair[0].start()))
    for one, other in pairs[:limit]:
        yield text[: one.start()] + other[0] + text[one.end() : other.start()] + one[0] + text[other.end() :]


@pytest.mark.parametrize(
    ("one", "other"), [("40 ships", "1500 ships"), ("Olsen of", "Lindqvist of"), ("of Norway", "of Lindqvist")]
)
def test_marks_in_each_others_place_are_found(one: str, other: str) -> None:
    mark, by = next(pair for pair in zip(one.split(), other.split(), strict=True) if pair[0] != pair[1])
    wrong = MADE.replace(by, "@").replace(mark, by).replace("@", mark)
    assert swapped(SOURCE, MADE)["passed"]
    verdict = swapped(SOURCE, wrong)
    assert not verdict["passed"]
    assert {root(mark.casefold()), root(by.casefold())} in map(set, verdict["swapped"])


def test_what_has_nothing_in_common_is_not_compared() -> None:
    assert swapped(SOURCE, "Nothing of this. Really 7.") == {"passed": True, "compared": 0, "swapped": []}
    assert swapped("", "") == {"passed": True, "compared": 0, "swapped": []}


def test_a_text_of_numbers_alone_takes_no_time() -> None:
    text = " ".join(f"{number} berries." for number in range(3_000))
    assert swapped(text, text)["passed"]


@pytest.mark.data
def test_swaps_in_free_paraphrases_are_found_and_honest_ones_pass(shared_data: Path) -> None:
    sources = encyclopaedia(shared_data)
    by_hand = [(sources[title], " ".join(text.split())) for title, text in FAITHFUL.items()]
    exchanged = [(text, reworded(text)) for text in sources.values() if len(text) > 500][:25]
    assert [pair for pair in [*by_hand, *exchanged] if not swapped(*pair)["passed"]] == []
    for pairs, pattern, limit, least, share in (
        (by_hand, NUMBER, 40, 20, 0.85),
        (by_hand, NAME, 12, 100, 0.7),
        (exchanged, NUMBER, 3, 30, 0.8),
    ):
        found = [
            not swapped(source, wrong)["passed"] for source, made in pairs for wrong in swaps(made, pattern, limit)
        ]
        assert len(found) >= least
        assert sum(found) >= share * len(found), (pattern.pattern, sum(found), len(found))
