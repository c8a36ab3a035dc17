import re

import pytest

from synth.draw import Draw
from synth.search import phrases
from synth.search.phrases import Relation
from synth.search.task import Clue, Condition, Query
from synth.search.wording import worded
from synth.search.world import World
from tests.synth.search.bridges import bridges

WORLD = World(bridges())
CHAIN = Query(
    3,
    (
        Clue(0, "crosses", 1, "", ()),
        Clue(0, "length", Condition("between", ("100", "3000", "m")), "", ()),
        Clue(1, "links to", 2, "", ()),
        Clue(2, "born", Condition("decade", ("1840",)), "", ()),
    ),
    0,
    "opened",
)
RING = CHAIN._replace(clues=(*CHAIN.clues, Clue(2, "work", 0, "", ())))


def said(query: Query, number: int, answer: str = "1871-05-01") -> list[tuple[str, str]]:
    return [worded(WORLD, query, answer, Draw(1, "page", round)) for round in range(number)]


def first(options: list[str]) -> str:
    return options[0]


def test_every_wording_says_every_clue_and_what_is_asked() -> None:
    for question, _ in said(CHAIN, 200):
        assert "1840" in question
        assert "100 m" in question
        assert "3,000 m" in question
        assert "opened" in question
        assert re.search(r"link|refer", question)
        assert re.search(r"crosse?s", question)
        assert "{" not in question
        assert ".." not in question


def test_wordings_are_many() -> None:
    found = said(CHAIN, 200)
    assert len({question for question, _ in found}) > 150
    assert len({template for _, template in found}) > 40
    assert {template.partition(".")[0] for _, template in found} == {"nested", "letters", "ordinals", "points", "story"}


def test_only_a_path_from_its_target_is_told_in_one_sentence() -> None:
    for query in (RING, CHAIN._replace(target=1)):
        assert "nested" not in {template.partition(".")[0] for _, template in said(query, 100)}


def test_a_long_path_is_told_in_several_sentences() -> None:
    longer = CHAIN._replace(num_variables=4, clues=(*CHAIN.clues, Clue(2, "links to", 3, "", ())))
    assert "nested" not in {template.partition(".")[0] for _, template in said(longer, 100)}


def test_numbers_of_things_read_as_english() -> None:
    told = {
        Condition("equals", ("5",)): "5 classes",
        Condition("equals", ("1",)): "",
        Condition("between", ("10", "1000", "")): "between 10 and 1,000 classes",
        Condition("at_least", ("3", "")): "at least 3 classes",
        Condition("at_most", ("3", "")): "at most 3 classes",
        Condition("begins", ("m",)): "",
    }
    assert {condition: phrases.counted("number of classes", condition, first) for condition in told} == told
    assert phrases.counted("size", Condition("at_most", ("3", "MB")), first) == ""


def test_several_things_are_asked_for_in_the_plural() -> None:
    asked = [question for question, _ in said(CHAIN._replace(asked="import names"), 100)]
    assert any("What are the import names of" in question for question in asked)
    assert not any("What is the import names" in question for question in asked)


def test_the_wording_depends_on_nothing_but_the_query_and_the_draw() -> None:
    assert said(CHAIN, 5) == said(CHAIN, 5)
    assert worded(WORLD, CHAIN, "x", Draw(2, "page", 0)) != worded(WORLD, CHAIN, "x", Draw(1, "page", 0))


@pytest.mark.parametrize(
    ("relation", "is_forward", "wanted"),
    [
        (Relation("depends on", True), True, "depends on {}"),
        (Relation("depends on", True), False, "is a dependency of {}"),
        (Relation("license", False), True, "has {} as its license"),
        (Relation("license", False), False, "is the license of {}"),
        (Relation("topic", True), True, "has {} among its topics"),
        (Relation("category", True), False, "is among the categories of {}"),
        (Relation("requires c++", True), True, "has {} among its “requires c++” entries"),
    ],
)
def test_links_have_a_verb_in_both_directions(relation: Relation, is_forward: bool, wanted: str) -> None:
    assert phrases.links(relation, is_forward=is_forward, pick=first) == wanted


def test_links_at_the_end_of_a_clause() -> None:
    assert phrases.linking(Relation("topic", True), is_forward=True, pick=first) == "whose topics include {}"
    assert phrases.linking(Relation("license", False), is_forward=True, pick=first) == "whose license is {}"
    assert phrases.linking(Relation("topic", True), is_forward=False, pick=first) == "that is among the topics of {}"


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (Condition("equals", ("MIT",)), "is “MIT”"),
        (Condition("equals", ("1,234",)), "is 1,234"),
        (Condition("month", ("1994-03",)), "falls in March 1994"),
        (Condition("century", ("21",)), "falls in the 21st century"),
        (Condition("century", ("12",)), "falls in the 12th century"),
        (Condition("between", ("1500000", "2000000", "bytes")), "lies between 1.5 MB and 2 MB"),
        (Condition("at_least", ("1000", "km")), "is at least 1,000 km"),
        (Condition("at_most", ("5", "%")), "is at most 5%"),
        (Condition("under", ("Text", "Markup")), "lies somewhere under “Text › Markup”"),
        (Condition("initials", ("A. M.",)), "has the initials A. M."),
        (Condition("begins", ("ab",)), "begins with “ab”"),
        (Condition("mentions", ("stone", "cart", "old")), "mentions “stone”, “cart” and “old”"),
    ],
)
def test_conditions_read_as_english(condition: Condition, wanted: str) -> None:
    assert phrases.meets(condition, first) == wanted


@pytest.mark.parametrize(
    ("relation", "is_number", "wanted"),
    [
        (Relation("installed files", False), True, ("number of installed files", False)),
        (Relation("keywords", True), False, ("keywords", True)),
        (Relation("lines of source", False), True, ("number of lines of source", False)),
        (Relation("status", False), False, ("status", False)),
        (Relation("requires python", False), False, ("“requires Python” entry", False)),
        (Relation("born", False), False, ("date of birth", False)),
    ],
)
def test_values_have_a_noun(relation: Relation, is_number: bool, wanted: tuple[str, bool]) -> None:
    assert phrases.noun_of(relation, is_number=is_number) == wanted
