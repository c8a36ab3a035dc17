import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.rephrase import marks
from synth.rephrase.marks import Source, marks_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000 bees", "1000 bees"),
        ("2.50 euros", "2.5 euros"),
        ("3 million bees", "3,000,000 bees"),
        ("1.5 billion bees", "1500000000 bees"),
        ("seven bees", "7 bees"),
        ("-4 degrees", "-4.0 degrees"),
        ("007", "7"),
    ],
)
def test_ways_to_write_a_number_are_one(one: str, other: str) -> None:
    assert marks_of(one).numbers == marks_of(other).numbers
    assert marks_of(one).numbers


def test_numbers_that_differ_are_two() -> None:
    assert marks_of("-4 degrees").numbers != marks_of("4 degrees").numbers
    assert marks_of("1.2.3").numbers != marks_of("1.23").numbers
    assert marks_of("3 million").numbers != marks_of("3 billion").numbers


def test_layout_and_small_words_are_no_numbers() -> None:
    assert not marks_of("1. Bees\n2) Wasps\n(3) Ants\none of two").numbers


@given(st.integers(0, 10**15))
def test_a_number_is_the_same_with_commas(value: int) -> None:
    assert marks.number(f"{value:,}") == marks.number(str(value)) == str(value)


@given(st.text(max_size=300))
def test_any_text_has_marks(text: str) -> None:
    marks_of(text)
    Source.of(text)


@pytest.mark.parametrize(
    "written", ["12 March 1994", "March 12, 1994", "12th of March 1994", "1994-03-12", "Mar. 12 1994"]
)
def test_ways_to_write_a_date_are_one(written: str) -> None:
    found = marks_of(f"It was on {written} that it rained.")
    assert dict(found.dates) == {"1994-3-12": 1}
    assert not found.numbers


def test_a_date_may_say_less_and_not_more() -> None:
    source = marks_of("On 12 March 1994 it rained.")
    assert marks.says_date("1994-3-0", source)
    assert marks.says_date("1994-3-12", source)
    assert not marks.says_date("1994-3-13", source)
    assert not marks.says_date("1994-3-12", marks_of("In March 1994 it rained."))


def test_years_and_days_of_dates_are_numbers() -> None:
    assert marks.said_numbers(marks_of("On 12 March 1994 and in May 1995, 7 times")) == {
        "12": 1,
        "1994": 1,
        "1995": 1,
        "7": 1,
    }


def test_names_are_words_with_capitals_that_do_not_begin_a_sentence() -> None:
    assert set(marks_of("Then Ada Lovelace met Babbage. Rain fell.").names) == {"ada", "lovelace", "babbage"}
    assert set(marks_of("Lovelace wrote. So did Lovelace’s friend.").names) == {"lovelace"}
    assert set(marks_of("NASA says so. Ada too.", frozenset({"ada"})).names) == {"nasa", "ada"}


def test_people_and_their_country_have_one_root() -> None:
    for people, country in [("german", "germany"), ("nigerian", "nigeria"), ("italian", "italy"), ("chinese", "china")]:
        assert marks.root(people) == marks.root(country)
    assert marks.root("lovelace") != marks.root("babbage")


def test_addresses_codes_and_formulas() -> None:
    found = marks_of(
        r"See https://docs.example/a?b=1, mail x@y.example. Use `a b`, os.path.join, read_csv, fit(x) and \(a^2 + b\)."
    )
    assert set(found.addresses) == {"https://docs.example/a?b=1", "x@y.example"}
    assert set(found.codes) == {"a b", "os.path.join", "read_csv", "fit(x)", r"\(a^2+b\)"}
    assert not found.numbers
    assert not marks_of("Manson( born in Ohio) and ____").codes


def test_hostile_text_takes_little_time() -> None:
    for text in ("a-" * 100_000, "A" * 200_000, "1," * 100_000, "\\(" * 5_000, "`" * 100_000):
        marks_of(text)
