import pytest

from synth.rephrase import answers
from synth.rephrase.answers import Pair
from synth.rephrase.styles import STYLES

WIKI = STYLES["wikipedia"]


@pytest.mark.parametrize(
    "text",
    [
        "Rewritten text:\n\nBees fly.",
        "**Rewritten text:**\nBees fly.",
        "rewritten text: Bees fly.",
        "<think>\nRewritten text: no\n</think>\nRewritten text:\nBees fly.",
        "## Rewritten text\nBees fly.",
    ],
)
def test_the_opening_line_is_taken_off(text: str) -> None:
    assert answers.opened(text, WIKI) == "Bees fly."


@pytest.mark.parametrize(
    "text", ["Bees fly.", "Sure! Rewritten text:\nBees fly.", "Rewritten text:\n", "", "Here:\nBees"]
)
def test_an_answer_without_it_is_none(text: str) -> None:
    assert answers.opened(text, WIKI) is None


def test_markup_goes_where_the_source_had_none() -> None:
    text = "## Bees\n\n**Bees** are *small*. `__init__` and a*b*c stay.\n\n```\n# no heading **x**\n```"
    plain = "Bees\n\nBees are small. `__init__` and a*b*c stay.\n\n```\n# no heading **x**\n```"
    assert answers.prose(text, had_markup=False) == plain
    assert answers.prose(text, had_markup=True) == text
    assert answers.prose("“Bees fly.”", had_markup=False) == "Bees fly."
    assert answers.prose('"Yes," she said, "and no"', had_markup=False) == '"Yes," she said, "and no"'


def test_lists() -> None:
    assert answers.listed("* **Bees** fly.\n2. Wasps\n   sting.\n") == "- Bees fly.\n- Wasps sting."
    assert answers.listed("- one item") is None
    assert answers.listed("Bees fly. Wasps sting.") is None


def test_pairs() -> None:
    text = "Question: Do bees fly?\nAnswer: Yes.\n\n2. **Question:** no answer\n\nQ3: Where?\nin the air?\nA: There.\n"
    assert answers.pairs(text.replace("**", "")) == [
        Pair("Do bees fly?", "Yes."),
        Pair("Where?\nin the air?", "There."),
    ]
    assert answers.pairs("Bees fly.") == []


def test_pairs_are_drawn_by_key() -> None:
    found = [Pair(f"question {n}", "yes") for n in range(40)]
    drawn = [answers.drawn(found, tokens=600, seed=0, document=str(d), start=0) for d in range(200)]
    assert {len(pairs) for pairs in drawn} == set(range(1, 41))  # 10 for every 150 tokens
    assert len({pairs[0] for pairs in drawn}) > 20
    assert drawn[0] == answers.drawn(found[::-1], tokens=600, seed=0, document="0", start=0)
    assert {len(answers.drawn(found, tokens=5, seed=0, document=str(d), start=0)) for d in range(20)} == {1}


def test_they_stand_behind_the_passage() -> None:
    assert (
        answers.appended(" Bees fly.\n", [Pair("Do they?", "Yes.")]) == "Bees fly.\n\nQuestion: Do they?\nAnswer: Yes."
    )
