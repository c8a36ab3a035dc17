"""Measures of agreement against their plain definitions, and intervals against a bootstrap."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.quality.agreement import (
    agreement,
    auc,
    auc_difference,
    auc_interval,
    f1,
    midranks,
    spearman,
    weighted_kappa,
)

VALUES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs, np.float64)
    return table[:, 0], table[:, 1]


@given(VALUES)
def test_area_is_the_chance_that_a_good_one_is_higher(pairs: list[tuple[int, int]]) -> None:
    scores, labels = columns(pairs)
    good = labels >= 3
    wins = [float(a > b) + (a == b) / 2 for a in scores[good] for b in scores[~good]]
    assert auc(scores, good) == pytest.approx(np.mean(wins)) if wins else math.isnan(auc(scores, good))


@given(VALUES)
def test_kappa_is_one_minus_weighted_disagreement_over_chance(pairs: list[tuple[int, int]]) -> None:
    first, second = columns(pairs)
    weights = (np.arange(6)[:, None] - np.arange(6)) ** 2
    seen = np.zeros((6, 6))
    np.add.at(seen, (first.astype(int), second.astype(int)), 1 / len(pairs))
    chance = float((weights * np.outer(seen.sum(1), seen.sum(0))).sum())
    if chance:
        assert weighted_kappa(first, second) == pytest.approx(1 - (weights * seen).sum() / chance, abs=1e-9)
    else:
        assert math.isnan(weighted_kappa(first, second))


@given(VALUES)
def test_rank_correlation_is_that_of_ranks(pairs: list[tuple[int, int]]) -> None:
    first, second = columns(pairs)
    ranks = [
        [sum(o < v for o in column) + (sum(o == v for o in column) + 1) / 2 for v in column]
        for column in (first, second)
    ]
    assert midranks(first).tolist() == ranks[0]
    found = spearman(first, second)
    if len(set(first.tolist())) == 1 or len(set(second.tolist())) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(*ranks)[0, 1])


@given(VALUES)
def test_f1_of_sets(pairs: list[tuple[int, int]]) -> None:
    first, second = (column >= 3 for column in columns(pairs))
    both = int((first & second).sum())
    found = f1(first, second)
    if both:
        precision, recall = both / first.sum(), both / second.sum()
        assert found == pytest.approx(2 * precision * recall / (precision + recall))
    else:
        assert found == 0 or not (first.any() or second.any())


def test_intervals_are_as_wide_as_a_bootstrap_says() -> None:
    rng = np.random.default_rng(3)
    good = np.arange(200) % 5 == 0
    better, worse = good + rng.normal(0, 1, 200), good + rng.normal(0, 2, 200)
    draws = [rng.integers(0, 200, 200) for _ in range(2_000)]
    drawn = np.array([(auc(better[d], good[d]), auc(worse[d], good[d])) for d in draws])
    one, two = auc_interval(better, good), auc_difference(better, worse, good)
    assert one.value == auc(better, good)
    assert two.value == pytest.approx(auc(better, good) - auc(worse, good))
    assert [one.low, one.high] == pytest.approx(np.percentile(drawn[:, 0], [2.5, 97.5]), abs=0.012)
    assert [two.low, two.high] == pytest.approx(np.percentile(drawn[:, 0] - drawn[:, 1], [2.5, 97.5]), abs=0.015)
    assert auc_interval(better, good, confidence=0.5).low > one.low
    assert auc_difference(better, better * 2, good)[:] == (0, 0, 0)


def test_an_interval_stays_a_share_and_needs_two_of_each() -> None:
    good = np.array([True, True, True, False, False])
    assert auc_interval(np.array([2.0, 3, 5, 1, 4]), good).high == 1
    assert auc_interval(np.array([2.0, 3, 5, 1, 0]), good) == (1, 1, 1)
    with pytest.raises(ValueError, match="1 good and 4 bad documents: an interval needs two of each"):
        auc_interval(np.arange(5.0), np.arange(5) > 3)
    with pytest.raises(ValueError, match=r"type for instance 0\.95"):
        auc_interval(np.arange(5.0), good, confidence=95)


def test_agreement_rounds_within_the_scale() -> None:
    found = agreement(np.array([-0.7, 2.6, 3.1, 9.0]), np.array([0.0, 3, 3, 5]), threshold=3)
    assert found[0] == 4
    assert found.kappa == 1
    assert found.spearman == pytest.approx(0.9487, abs=1e-4)
    assert (found.f1, found.auc) == (0.8, 1)
