"""How well a score agrees with somebody's judgement: area under the ROC curve with its interval, rank correlation, weighted kappa, F1.

Plain numpy, no randomness. Intervals and comparisons of areas are DeLong's (DeLong et al. 1988), which treat the scores as given: for
cross-validated scores they leave out that another division would have trained other models (a standard deviation of 0.003 for the 254
pages of `curation.bench quality`). Not covered: weights, missing values.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A figure and the interval that holds it with the asked confidence."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """Of predictions with numeric labels; NaN where a figure is not defined, as for labels that are all the same."""

    examples: int
    spearman: float
    kappa: float  # quadratic weights, of predictions rounded to whole labels
    f1: float  # of predictions and labels at or above the threshold
    auc: float  # of predictions for labels at or above the threshold


def agreement(predicted: np.ndarray, labels: np.ndarray, *, threshold: float) -> Agreement:
    """What is usual for educational scores: FineWeb-Edu reports F1 at a label of 3 (Penedo et al. 2024, section 4)."""
    good = labels >= threshold
    whole = np.clip(np.rint(predicted), np.rint(labels.min()), np.rint(labels.max()))
    return Agreement(
        len(labels),
        spearman(predicted, labels),
        weighted_kappa(whole, np.rint(labels)),
        f1(predicted >= threshold, good),
        auc(predicted, good),
    )


def auc(scores: np.ndarray, good: np.ndarray) -> float:
    """The chance that a good document has a higher score than a bad one, ties for half. NaN without either kind."""
    wins, losses = int(good.sum()), int((~good).sum())
    if not wins or not losses:
        return math.nan
    return float((midranks(scores)[good].sum() - wins * (wins + 1) / 2) / (wins * losses))


def auc_interval(scores: np.ndarray, good: np.ndarray, *, confidence: float = 0.95) -> Estimate:
    """The area with DeLong's interval, cut off at 0 and 1."""
    areas, covariance = _delong([scores], good)
    half = _quantile(confidence) * math.sqrt(covariance[0, 0])
    return Estimate(float(areas[0]), max(0.0, float(areas[0]) - half), min(1.0, float(areas[0]) + half))


def auc_difference(scores: np.ndarray, others: np.ndarray, good: np.ndarray, *, confidence: float = 0.95) -> Estimate:
    """How much larger the area of `scores` is than that of `others` on the same documents; paired, so common luck cancels."""
    areas, covariance = _delong([scores, others], good)
    difference = float(areas[0] - areas[1])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    half = _quantile(confidence) * math.sqrt(max(0.0, variance))
    return Estimate(difference, difference - half, difference + half)


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of the ranks, NaN where all of either are the same."""
    x, y = (ranks - ranks.mean() for ranks in (midranks(first), midranks(second)))
    norm = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / norm if norm else math.nan


def weighted_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968): 1 - squared distances over those of independent judges, NaN where those are 0."""
    x, y = first.astype(np.float64), second.astype(np.float64)
    chance = float((x * x).mean() + (y * y).mean() - 2 * x.mean() * y.mean())
    return 1 - float(((x - y) ** 2).mean()) / chance if chance > 0 else math.nan


def f1(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Harmonic mean of precision and recall; NaN where nothing is either."""
    total = int(predicted.sum()) + int(actual.sum())
    return 2 * int((predicted & actual).sum()) / total if total else math.nan


def midranks(values: np.ndarray) -> np.ndarray:
    """float64 ranks from 1 up, equal values share the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[group]


def _delong(scores: Sequence[np.ndarray], good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(areas, their covariance) of several scores of the same documents, in the form by ranks of Sun and Xu (2014)."""
    wins, losses = int(good.sum()), int((~good).sum())
    if min(wins, losses) < 2:
        raise ValueError(f"{wins} good and {losses} bad documents: an interval needs two of each")
    areas, of_good, of_bad = [], [], []
    for each in scores:
        among_all = midranks(each)
        of_good.append((among_all[good] - midranks(each[good])) / losses)
        of_bad.append(1 - (among_all[~good] - midranks(each[~good])) / wins)
        areas.append(of_good[-1].mean())
    return np.array(areas), np.atleast_2d(np.cov(of_good)) / wins + np.atleast_2d(np.cov(of_bad)) / losses


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but it is a share: type for instance 0.95")
    return NormalDist().inv_cdf((1 + confidence) / 2)
