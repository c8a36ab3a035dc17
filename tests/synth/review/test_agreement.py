"""Agreement of reviewers against worked examples, and the order of the queue."""

import pytest

from synth.review.agreement import kappa, pairs, queue, summary, wilson
from synth.review.log import Entry


def test_kappa_of_a_worked_example() -> None:
    """50 items: 20 both yes, 5 yes/no, 10 no/yes, 15 both no: observed 0.7, by chance 0.5."""
    read = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert kappa(read) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ([], None),
        ([("a", "a"), ("r", "r")], 1.0),
        ([("a", "a")] * 3, 1.0),
        ([("a", "r"), ("r", "a")], -1.0),
        ([("a", "a"), ("a", "r"), ("r", "a"), ("r", "r")], 0.0),
    ],
)
def test_kappa_at_its_ends(read: list[tuple[str, str]], expected: float | None) -> None:
    assert kappa(read) == expected


def test_wilson_of_published_values() -> None:
    """10 of 10: (0.722, 1); 0 of 10: (0, 0.278); 81 of 263: (0.255, 0.366) (Newcombe 1998, table I, method 3)."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def entry(number: int, reviewer: str, item: str, action: str) -> Entry:
    return Entry(number, "", reviewer, item, action)  # type: ignore[arg-type]


def test_pairs_are_items_that_two_people_read() -> None:
    decided = {
        "one": {"bob": entry(0, "bob", "one", "accept"), "ada": entry(1, "ada", "one", "reject")},
        "two": {"ada": entry(2, "ada", "two", "accept")},
    }
    assert pairs(decided) == {("ada", "bob"): [("reject", "accept")]}


def test_summary_counts_by_generator_version() -> None:
    decided = {
        "one": {"ada": entry(0, "ada", "one", "accept"), "bob": entry(1, "bob", "one", "edit")},
        "two": {"ada": entry(2, "ada", "two", "reject")},
        "three": {"ada": entry(3, "ada", "three", "unsure")},
        "new": {"ada": entry(4, "ada", "new", "new")},
    }
    told = summary(decided, {"one": "search 1", "two": "search 1", "three": "search 1"})
    assert told["decisions"] == {"accept": 1, "edit": 1, "new": 1, "reject": 1, "unsure": 1}
    [row] = told["acceptance"]
    assert (row["generator"], row["read"], row["accepted"]) == ("search 1", 3, 2)
    assert told["agreement"] == [{"reviewers": ["ada", "bob"], "items": 1, "kappa": 0.0}]


def test_flagged_items_come_first_and_draws_decide_the_rest() -> None:
    assert queue(["a", "b", "c", "d"], ["d"], {"a": 3, "b": 1, "c": 2, "d": 9}) == ["d", "b", "c", "a"]
