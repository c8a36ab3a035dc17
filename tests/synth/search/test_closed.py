"""Every verdict on a question that passes, and on ones that fail it alone."""

import pytest

from synth.search.closed import closed_verdicts, clues_needed, evidence, is_entrance, leak, prior, structure, unique
from synth.search.task import Clue, Condition, Query, Span, Task
from synth.search.world import World
from tests.synth.search.bridges import bridges

WORLD = World(bridges())


def span(page: str, relation: str) -> tuple[Span, ...]:
    return (WORLD.facts_of(page, relation)[0].span,)


def told(subject: int, page: str, relation: str, how: str, *args: str) -> Clue:
    return Clue(subject, relation, Condition(how, args), WORLD.objects(page, relation)[0], span(page, relation))


CROSSES = Clue(0, "crosses", 1, "id-isen", span("id-gum-bridge", "crosses"))
STEEL = told(0, "id-gum-bridge", "material", "begins", "s")
RIVER = told(1, "id-isen", "description", "mentions", "lakes", "stream")
LONG_RIVER = told(1, "id-isen", "length", "between", "500", "1000", "km")
SHORT = told(0, "id-gum-bridge", "length", "between", "100", "500", "m")
DECADE = told(0, "id-gum-bridge", "opened", "decade", "1910")


def task(*clues: Clue, question: str = "Which page is it?", asked: str = "length", answer: str = "480 m") -> Task:
    answer_spans = span("id-gum-bridge", asked) if asked else (Span("id-gum-bridge", 0, 12),)
    return Task(Query(2, clues, 0, asked), ("id-gum-bridge", "id-isen"), question, answer, answer_spans)


GOOD = task(
    CROSSES,
    told(0, "id-gum-bridge", "length", "between", "100", "500", "m"),
    RIVER,
    asked="opened",
    answer="1911-08-15",
)


def test_a_good_question_passes_them_all() -> None:
    verdicts = closed_verdicts(WORLD, GOOD)
    assert [name for name, verdict in verdicts.items() if not verdict["passed"]] == []
    assert list(verdicts) == ["unique_closed_world", "clues_needed", "structure", "leak", "prior", "evidence"]
    assert verdicts["structure"] == {"passed": True, "variables": 2, "links": 1, "mixed": 0, "alone": 6, "entrances": 1}


def test_verdicts_end_with_the_first_that_fails() -> None:
    bad = GOOD._replace(answer="1911")
    assert list(closed_verdicts(WORLD, bad)) == ["unique_closed_world"]


def test_unique_fails_for_two_answers_and_for_another_one() -> None:
    assert unique(WORLD, GOOD) == {"passed": True, "answers": 1}
    assert unique(WORLD, task(CROSSES, RIVER)) == {"passed": False, "answers": 3}
    assert not unique(WORLD, GOOD._replace(answer="1911-08-16"))["passed"]


def test_clues_needed_fails_for_one_that_says_nothing_new() -> None:
    assert clues_needed(WORLD, GOOD) == {"passed": True, "needed": 3, "clues": 3}
    more = told(1, "id-isen", "length", "at_least", "1", "km")
    spare = GOOD._replace(query=GOOD.query._replace(clues=(*GOOD.query.clues, more)))
    assert clues_needed(WORLD, spare) == {"passed": False, "needed": 3, "clues": 4}


@pytest.mark.parametrize(
    "query",
    [
        Query(1, (DECADE, told(0, "id-gum-bridge", "length", "between", "100", "500", "m")), 0, "opened"),  # one page
        Query(2, (CROSSES,), 0, "opened"),  # one clue
        Query(2, (STEEL, RIVER), 0, "opened"),  # not connected
        Query(2, (CROSSES, RIVER, RIVER), 0, "opened"),  # a clue twice
        Query(
            2, (CROSSES, told(0, "id-gum-bridge", "material", "equals", "steel")), 0, "opened"
        ),  # exact at the target
        Query(2, (CROSSES, DECADE, RIVER), 0, "length"),  # the target's clue fits one page alone
        Query(2, (CROSSES, SHORT, LONG_RIVER), 0, "opened"),  # nothing to search for
    ],
)
def test_structure_fails(query: Query) -> None:
    assert structure(WORLD, GOOD)["passed"]
    assert not structure(WORLD, GOOD._replace(query=query))["passed"]


def test_structure_fails_for_a_value_of_a_relation_that_links_to_pages_too() -> None:
    """A reader would count the links: "crosses the Isen" may stand in a page as words, and in another as a link."""
    crossed = told(1, "id-isen", "length", "equals", "730 km")._replace(relation="crosses")
    for query in (GOOD.query._replace(clues=(*GOOD.query.clues, crossed)), GOOD.query._replace(asked="crosses")):
        verdict = structure(WORLD, GOOD._replace(query=query))
        assert (verdict["passed"], verdict["mixed"]) == (False, 1)


def test_an_entrance_is_found_by_words_that_few_pages_have() -> None:
    assert is_entrance(WORLD, RIVER)
    assert is_entrance(WORLD, told(0, "id-gum-bridge", "material", "equals", "stone"))
    assert not is_entrance(WORLD, told(1, "id-isen", "length", "equals", "730 km"))  # nobody searches for a number
    assert not is_entrance(WORLD, RIVER._replace(object=Condition("mentions", ("lakes",))))
    assert not is_entrance(WORLD, RIVER._replace(object=Condition("mentions", ("carts", "decade"))))  # twelve pages
    assert not is_entrance(WORLD, LONG_RIVER)
    assert not is_entrance(WORLD, CROSSES)


@pytest.mark.parametrize("said", ["over the ISEN, please", "which gum-bridge?", "opened 1911 08 15?"])
def test_leak_fails_for_names_and_the_answer(said: str) -> None:
    assert leak(WORLD, GOOD) == {"passed": True, "leaked": 0}
    assert not leak(WORLD, GOOD._replace(question=said))["passed"]


def test_a_name_within_a_word_is_no_leak() -> None:
    assert leak(WORLD, GOOD._replace(question="risen disenchantment"))["passed"]


def test_prior_fails_for_the_commonest_value() -> None:
    assert prior(WORLD, task(CROSSES, asked="material", answer="stone")) == {"passed": True, "share": 0.1667}
    assert prior(WORLD, task(CROSSES, asked="material", answer="steel")) == {"passed": False, "share": 0.4167}
    assert prior(WORLD, task(CROSSES, asked="", answer="Gum Bridge"))["passed"]


def test_evidence_fails_where_a_span_says_something_else() -> None:
    assert evidence(WORLD, GOOD) == {"passed": True, "spans": 4, "missing": 0}
    clues = GOOD.query.clues
    for bad in (
        clues[0]._replace(value="id-orra"),
        clues[0]._replace(spans=()),
        clues[1]._replace(value="490 m"),
        clues[1]._replace(spans=(Span("id-gum-bridge", 0, 4),)),
        clues[1]._replace(spans=(Span("no-such-page", 0, 400),)),
    ):
        assert evidence(WORLD, GOOD._replace(query=GOOD.query._replace(clues=(bad, *clues[2:]))))["missing"] == 1
    assert not evidence(WORLD, GOOD._replace(answer_spans=()))["passed"]
    assert not evidence(WORLD, GOOD._replace(answer_spans=(Span("id-isen", 0, 9),)))["passed"]
