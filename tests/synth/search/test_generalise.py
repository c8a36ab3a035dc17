import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.search.generalise import MIN_COMMON, holds, lattice
from synth.search.task import Condition, Page
from synth.search.world import World
from tests.synth.search.bridges import bridges

WORLD = World(bridges())


@pytest.mark.parametrize(
    ("how", "args", "inside", "outside"),
    [
        ("equals", ("Ann  Moe.",), "ann moe", "ann"),
        ("month", ("1994-03",), "3 March 1994", "1994"),
        ("year", ("1994",), "March 1994", "1995-01-01"),
        ("decade", ("1990",), "1999", "2000"),
        ("century", ("20",), "2000", "2001"),
        ("century", ("20",), "1901", "1900"),
        ("between", ("10", "20", "m"), "20 m", "20 km"),
        ("between", ("10", "20", "m"), "10 m", "9.9 m"),
        ("between", ("400000", "500000", "bytes"), "490.1 kB", "500.1 kB"),
        ("at_least", ("10", ""), "10", "9"),
        ("at_most", ("10", ""), "10", "11"),
        ("at_most", ("10", ""), "9", "9 m"),
        ("under", ("A", "B"), "A :: B :: C", "A :: B"),
        ("under", ("A", "B"), "A :: B :: C", "A :: C :: B"),
        ("initials", ("A. M.",), "Ann Moe", "Ann B. Moe"),
        ("begins", ("ab",), "Abacus", "bab"),
        ("mentions", ("stone", "cart"), "A cart, and a Stone.", "A stone and carts."),
    ],
)
def test_conditions_hold_by_the_table(how: str, args: tuple[str, ...], inside: str, outside: str) -> None:
    assert holds(Condition(how, args), inside)
    assert not holds(Condition(how, args), outside)


def test_an_unknown_condition_is_an_error() -> None:
    with pytest.raises(KeyError):
        holds(Condition("resembles", ("x",)), "x")


def test_a_date_climbs_to_its_century() -> None:
    found = [condition.how for condition in lattice("1889-05-01", "opened", WORLD)]
    assert found == ["equals", "month", "year", "decade", "century"]


def test_a_number_climbs_through_wider_ranges() -> None:
    found = lattice("1,250 m", "length", WORLD)
    assert [condition.args for condition in found] == [
        ("1,250 m",),
        ("1000", "2000", "m"),
        ("1000", "3000", "m"),
        ("1000", "10000", "m"),
        ("1000", "m"),
    ]


def test_a_bare_year_is_a_number_unless_its_relation_speaks_of_time() -> None:
    assert lattice("1994", "length", WORLD)[1].how == "between"
    assert lattice("1994", "released", WORLD)[1].how == "year"


def test_a_code_is_never_told_and_letters_only_of_a_name() -> None:
    texts = [(f"**Sign**: s{number}x\n**Material**: iron", f"Post {number}") for number in range(9)]
    pages = [
        Page(f"{n}", f"https://h.example/{n}", title, f"# {title}\n\n{text}", None)
        for n, (text, title) in enumerate(texts)
    ]
    world = World(pages)
    assert world.identifies("sign")
    assert not world.identifies("material")
    assert lattice("s3x", "sign", world) == []
    assert [condition.how for condition in lattice("iron", "material", world)] == ["equals"]
    assert [condition.args for condition in lattice("Abacuses", "title", world)] == [("ab",)]


def test_texts_are_told_by_their_rarest_words_and_never_by_hidden_ones() -> None:
    text = "This crossing of granite still carries carts in its ninth decade."
    levels = lattice(text, "description", WORLD, avoid=frozenset({"granite"}))
    assert [len(condition.args) for condition in levels] == [4, 3, 2, 1]
    assert all(condition.how == "mentions" and "granite" not in condition.args for condition in levels)
    assert levels[-1].args == ("ninth",)  # in no other description


def test_the_boilerplate_of_a_site_tells_nothing() -> None:
    def person(number: int) -> Page:
        name = f"Person {chr(97 + number)}"
        text = f"# {name}\n\n{name} is a contributor to project{chr(97 + number)} of this index.\n"
        return Page(f"id-{number}", f"https://a.example/{number}", name, text, None)

    world = World(map(person, range(MIN_COMMON + 1)))
    value = world.objects("id-0", "description")[0]
    assert [condition.args for condition in lattice(value, "description", world)] == [("projecta",)]


def test_a_long_text_is_never_told_in_full() -> None:
    assert not any(condition.how == "equals" for condition in lattice("word " * 30, "note", WORLD))


@given(
    st.text(max_size=80) | st.dates().map(str) | st.integers(-(10**9), 10**9).map("{:,} kg".format),
    st.sampled_from(["opened", "note"]),
)
def test_a_value_meets_all_conditions_of_its_lattice(value: str, relation: str) -> None:
    levels = lattice(value, relation, WORLD)
    assert all(holds(condition, value) for condition in levels)
    assert len(set(levels)) == len(levels)


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_every_level_of_a_number_admits_what_the_one_before_does(value: int, other: int) -> None:
    met = [holds(condition, f"{other} m") for condition in lattice(f"{value} m", "length", WORLD)]
    assert met == sorted(met)
