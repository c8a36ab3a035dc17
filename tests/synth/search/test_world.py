import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from synth.search.task import TITLE, Clue, Condition, Fact, Page, Query, Span
from synth.search.world import World
from tests.synth.search.bridges import SITE, bridges

WORLD = World(bridges())
NOWHERE = Span("p0", 0, 0)


def linked(subject: int, relation: str, object: int) -> Clue:
    return Clue(subject, relation, object, "", ())


def told(subject: int, relation: str, how: str, *args: str) -> Clue:
    return Clue(subject, relation, Condition(how, args), "", ())


def test_objects_and_subjects() -> None:
    assert WORLD.objects("id-elm-bridge", "opened") == ["1903-10-11"]
    assert WORLD.objects("id-elm-bridge", "crosses") == ["id-orra"]
    assert WORLD.objects("id-elm-bridge", TITLE) == ["Elm Bridge"]
    assert WORLD.subjects("crosses", "id-tamm") == ["id-cedar-bridge", "id-fir-bridge", "id-ivy-bridge"]
    assert WORLD.subjects("material", "STONE") == ["id-cedar-bridge", "id-fir-bridge"]
    assert WORLD.objects("id-elm-bridge", "no such relation") == WORLD.subjects("no such relation", "x") == []
    assert WORLD.find(SITE + "orra/#top") == "id-orra"


def test_counts_tell_how_common_values_and_words_are() -> None:
    assert WORLD.value_counts("material")["steel"] == 5
    assert WORLD.num_subjects("material") == 12
    assert WORLD.num_subjects("work") == 3
    assert WORLD.word_counts("description")["carts"] == 12
    assert WORLD.is_many("work")
    assert not WORLD.is_many("crosses")


def test_a_chain_is_followed_to_its_answers() -> None:
    steel_over_a_long_river = Query(
        2,
        (told(0, "material", "equals", "steel"), linked(0, "crosses", 1), told(1, "length", "at_least", "1000", "km")),
        0,
        "opened",
    )
    assert WORLD.answers(steel_over_a_long_river) == {"1903-10-11", "1927-04-04"}
    assert WORLD.answers(steel_over_a_long_river._replace(target=1, asked="length")) == {"1,310 km"}
    assert WORLD.answers(steel_over_a_long_river._replace(asked="")) == {"elm bridge", "hazel bridge"}
    assert WORLD.bindings(steel_over_a_long_river, 5) == [("id-elm-bridge", "id-orra"), ("id-hazel-bridge", "id-orra")]
    assert WORLD.bindings(steel_over_a_long_river, 1) == [("id-elm-bridge", "id-orra")]


def test_a_query_that_nothing_meets_has_no_answer() -> None:
    query = Query(2, (told(0, "material", "equals", "wood"), linked(0, "crosses", 1)), 1, "length")
    assert WORLD.answers(query) == set()
    assert WORLD.bindings(query, 3) == []


def test_a_cycle_is_more_than_its_links_one_by_one() -> None:
    """Arc consistency alone would keep pages of two separate rings."""
    pages = [Page(f"p{number}", f"https://h.example/{number}", f"P{number}", "", None) for number in range(7)]
    ring = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 6), (6, 3)]
    world = World(pages, [Fact(f"p{one}", "next", f"p{other}", True, NOWHERE, "link") for one, other in ring])
    triangle = Query(3, (linked(0, "next", 1), linked(1, "next", 2), linked(2, "next", 0)), 0, "")
    assert world.answers(triangle) == {"p0", "p1", "p2"}


def test_a_pair_makes_a_sentence_of_the_same_relation_needless() -> None:
    text = "**Kind**: module\n\nMektoub is a 1997 drama film."
    shown = World([Page("m", "https://h.example/m", "Mektoub", text, None)])
    said = World([Page("m", "https://h.example/m", "Mektoub", text.partition("\n\n")[2], None)])
    assert shown.objects("m", "kind") == ["module"]
    assert said.objects("m", "kind") == ["1997 drama film"]


def test_the_order_of_pages_changes_nothing() -> None:
    pages = bridges()
    random.Random(3).shuffle(pages)
    assert World(pages).facts == WORLD.facts


def by_hand(world: World, query: Query) -> set[str]:
    """The definition: every assignment of pages to variables that meets all clues."""
    found = set()
    for chosen in itertools.product(world.pages, repeat=query.num_variables):
        if all(
            chosen[clue.object] in world.objects(chosen[clue.subject], clue.relation)
            if isinstance(clue.object, int)
            else chosen[clue.subject] in world.meeting(clue.relation, clue.object)
            for clue in query.clues
        ):
            found |= {value.lower() for value in world.objects(chosen[query.target], query.asked or TITLE)}
    return found


@st.composite
def worlds_and_queries(draw: st.DrawFn) -> tuple[World, Query]:
    pages = [Page(f"p{number}", f"https://h.example/{number}", f"P{number}", "", None) for number in range(5)]
    number = st.integers(0, 4)
    links = draw(st.lists(st.tuples(number, st.sampled_from("rs"), number), max_size=14))
    values = draw(st.lists(st.tuples(number, st.integers(1, 3)), max_size=6))
    facts = [Fact(f"p{one}", relation, f"p{other}", True, NOWHERE, "link") for one, relation, other in links]
    facts += [Fact(f"p{one}", "size", str(value), False, NOWHERE, "infobox") for one, value in values]
    size = draw(st.integers(1, 4))
    variable = st.integers(0, size - 1)
    clues = draw(st.lists(st.builds(linked, variable, st.sampled_from("rs"), variable), max_size=5))
    sizes = draw(st.lists(st.tuples(variable, st.integers(1, 3)), max_size=2))
    clues += [told(subject, "size", "at_least", str(low), "") for subject, low in sizes]
    return World(pages, facts), Query(size, tuple(clues), draw(variable), draw(st.sampled_from(["", "size"])))


@settings(max_examples=150, deadline=None)
@given(worlds_and_queries())
def test_answers_are_those_of_the_definition(given: tuple[World, Query]) -> None:
    world, query = given
    assert world.answers(query) == by_hand(world, query)
