import json
from fractions import Fraction
from itertools import combinations

import pyarrow as pa
import pytest

from synth.reasoning.difficulty import check, difficulty, label, pass_at, pass_rate


@pytest.mark.parametrize(("n", "c", "k"), [(5, 2, 1), (5, 2, 3), (6, 0, 2), (6, 6, 2), (7, 1, 7), (8, 5, 4)])
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(n: int, c: int, k: int) -> None:
    draws = list(combinations(range(n), k))
    assert pass_at(k, n, c) == Fraction(sum(any(place < c for place in draw) for draw in draws), len(draws))


def test_pass_at_more_than_were_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="pass@8 cannot be told from 4 samples"):
        pass_at(8, 4, 1)


@pytest.mark.parametrize(
    ("passed", "verified", "expected"),
    [
        ([True] * 8, True, "too_easy"),
        ([True] + [False] * 7, True, "moderate"),
        ([False] * 8, True, "unsolved"),
        ([False] * 8 + [True], True, "hard"),
        ([False] * 8 + [True], False, "unsolved"),
        ([True] * 8 + [False], True, "moderate"),
        ([], True, "unsolved"),
    ],
)
def test_labels(passed: list[bool], verified: bool, expected: str) -> None:
    assert label(passed, verified=verified) == expected


def test_the_rate_is_stored_with_its_estimates() -> None:
    rate = pass_rate([False] * 8 + [True] + [False] * 3, "numeric")
    assert rate == {
        "n": 12,
        "passed": 1,
        "first": 0,
        "verified_by": "numeric",
        "pass_at": {"1": round(1 / 12, 6), "8": round(8 / 12, 6)},
    }


def docs() -> pa.Table:
    tasks = [
        {"difficulty": "moderate", "pass_rate": {"verified_by": "numeric"}},
        {"difficulty": "too_easy", "pass_rate": {"verified_by": "numeric"}},
        {"difficulty": "moderate", "pass_rate": {"verified_by": "majority"}},
        {},
    ]
    return pa.table({"meta": [json.dumps({"task": task}) for task in tasks]})


def test_the_filter_keeps_labels() -> None:
    assert difficulty(docs()).to_pylist() == [None, "difficulty.too_easy", None, None]
    assert difficulty(docs(), keep=["too_easy"]).to_pylist() == [
        "difficulty.moderate",
        None,
        "difficulty.moderate",
        None,
    ]
    kept = difficulty(docs(), unlabelled=False, verified=True).to_pylist()
    assert kept == [None, "difficulty.too_easy", "difficulty.majority", "difficulty.unlabelled"]


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="labels are too_easy, moderate, hard, unsolved"):
        check(keep=["medium"])
    with pytest.raises(ValueError, match="medium"):
        difficulty(docs(), keep=["medium"])
