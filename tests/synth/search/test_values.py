from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.search.values import Date, Number, date, initials, number, path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2022-07-21", Date(2022, 7, 21)),
        ("2022-07-21 14:03:59", Date(2022, 7, 21)),
        ("21 July 2022", Date(2022, 7, 21)),
        ("July 21, 2022", Date(2022, 7, 21)),
        ("Sept. 2022", Date(2022, 9)),
        ("1994", Date(1994)),
        ("2022-13-01", None),
        ("31 Foo 2022", None),
        ("since 2022-07-21", None),
        ("999", None),
    ],
)
def test_a_date_is_a_text_that_is_one_as_a_whole(text: str, wanted: Date | None) -> None:
    assert date(text) == wanted


@given(st.dates())
def test_iso_dates_are_read(day: object) -> None:
    found = date(str(day))
    assert (found is not None) == (str(day)[0] in "12")
    assert found is None or str(day) == f"{found.year}-{found.month:02}-{found.day:02}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1,234", Number(Decimal(1234), "")),
        ("490.1 kB", Number(Decimal(490100), "bytes")),
        ("2 MiB", Number(Decimal(2 * 2**20), "bytes")),
        ("12%", Number(Decimal(12), "%")),
        ("about 3.5 Km", Number(Decimal("3.5"), "km")),
        ("-7", Number(Decimal(-7), "")),
        ("3.39.2", None),
        (">=3.9", None),
        ("12 of 13", None),
        ("1,23", None),
    ],
)
def test_a_number_has_a_unit_or_none(text: str, wanted: Number | None) -> None:
    assert number(text) == wanted


@given(st.integers(0, 10**12))
def test_separators_of_thousands_change_nothing(value: int) -> None:
    assert number(f"{value:,}") == number(str(value)) == Number(Decimal(value), "")


def test_paths_and_names() -> None:
    assert path("Text :: Markup :: HTML") == ("Text", "Markup", "HTML")
    assert path("https://host.example/a/b/") == ("host.example", "a", "b")
    assert path("a/b") == ()
    assert initials("Ann de la Moe") == "A. M."
    assert initials("Ann") == ""
    assert initials("a list of words") == ""
