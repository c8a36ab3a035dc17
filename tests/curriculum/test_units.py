"""Counts as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.units import binary, exact, parse_count, si, size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("15T", 15 * 10**12),
        ("500B", 5 * 10**11),
        ("64Mi", 2**26),
        ("1.5k", 1500),
        ("1_000", 1000),
        (7, 7),
        ("0.5Ki", 512),
    ],
)
def test_parse_count(text: object, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["fifteen", "15 apples", "1.5", "1.0001k", True, 1.5, None, "-3", ""])
def test_parse_count_refuses(text: object) -> None:
    with pytest.raises(ValueError, match=r"not a (count|whole number)"):
        parse_count(text)


def test_numbers_for_people() -> None:
    assert [si(999_499), si(999_999), si(999.9), si(999_600_000)] == ["999k", "1M", "1k", "1B"]
    assert [si(15e12), si(1.54e12), si(820_000), si(12), si(0.5)] == ["15T", "1.54T", "820k", "12", "0.5"]
    assert [binary(2**26), binary(1000), binary(3 * 2**10)] == ["64Mi", "1000", "3Ki"]
    assert size(3 * 2**29) == "1.5 GiB"
    amounts = [15 * 10**12, 15 * 10**8, 10**6 + 1, 131_072, 999, 1000, 10_050]
    assert [exact(count) for count in amounts] == ["15T", "1.5B", "1000001", "128Ki", "999", "1k", "10050"]


@given(st.one_of(st.integers(0, 10**16), st.builds(lambda n, e: n * 10**e, st.integers(0, 999), st.integers(0, 13))))
def test_an_exact_amount_can_be_typed_again(count: int) -> None:
    assert parse_count(exact(count)) == count
