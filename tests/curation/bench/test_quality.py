"""The bench of quality scorers: pages are scored by what never saw them, and the product beats the length."""

from pathlib import Path

import numpy as np
import pytest

from curation.bench.quality import FOLDS, by_length, by_regression, predictions, read_pages
from curation.quality.agreement import auc_difference, auc_interval


def test_no_page_is_scored_by_what_learned_it() -> None:
    keep_N = np.arange(95) % 3 == 0
    asked_with: list[tuple[set[int], set[int]]] = []

    def scorer(trained: np.ndarray, asked: np.ndarray) -> np.ndarray:
        asked_with.append((set(trained.tolist()), set(asked.tolist())))
        return asked.astype(np.float64)

    assert predictions(scorer, keep_N, 0).tolist() == list(range(95))
    assert len(asked_with) == FOLDS
    assert all(not trained & asked and len(trained | asked) == 95 for trained, asked in asked_with)
    kept = [int(keep_N[list(asked)].sum()) for _, asked in asked_with]
    assert max(kept) - min(kept) <= 1
    first = [asked for _, asked in asked_with]
    asked_with.clear()
    predictions(scorer, keep_N, 1)
    assert [asked for _, asked in asked_with] != first


@pytest.mark.data
def test_style_beats_length(shared_data: Path) -> None:
    pages = read_pages(shared_data)
    assert (len(pages.texts), int(pages.keep_N.sum())) == (254, 142)
    lengths = predictions(by_length(pages), pages.keep_N, 0)
    style = predictions(by_regression(pages, ngrams=False), pages.keep_N, 0)
    assert auc_interval(lengths, pages.keep_N).value == pytest.approx(0.745, abs=0.001)
    assert auc_interval(style, pages.keep_N).value > 0.88
    assert auc_difference(style, lengths, pages.keep_N).low > 0.05
