"""Buckets by thresholds: who gets which label, what goes, and manifests that cannot be meant."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.quality.thresholds import EPOCHS, LEAST, bucket_epochs, check, expected_shares, threshold
from curation.steps import StepError
from datapipe.schema import documents, with_column


def scored(scores: Sequence[float | None]) -> pa.Table:
    docs = documents([{"origin": str(index), "text": "x"} for index in range(len(scores))])
    return with_column(docs, "educational", pa.array(scores, pa.float32()))


def test_a_document_has_the_best_label_that_it_reaches() -> None:
    found = threshold(scored([4.2, 3.5, 3.4, 2.0, 1.9, 0.0, -0.7, None, float("nan")]))
    assert found["bucket"].to_pylist() == ["high"] * 2 + ["medium"] * 2 + ["low"] * 5
    assert found["drop_reason"].to_pylist() == [None] * 4 + ["bucket.low"] * 5


def test_long_documents_are_told_by_their_characters() -> None:
    docs = documents([{"origin": str(size), "text": "é" * size} for size in (9, 10, 100)])
    found = threshold(
        docs, column="chars", least={"long": 100, "middle": 10, "short": 0}, epochs={"long": 3, "middle": 1, "short": 1}
    )
    assert found["bucket"].to_pylist() == ["short", "middle", "long"]
    assert found["drop_reason"].null_count == 3


def test_a_reason_from_before_stays() -> None:
    docs = with_column(scored([1.0, 4.0]), "drop_reason", pa.array(["other", "other"]))
    assert threshold(docs)["drop_reason"].to_pylist() == ["other", "other"]


@given(st.lists(st.floats(width=32), max_size=20), st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True))
def test_no_label_above_the_score(scores: list[float], bounds: list[int]) -> None:
    least = {f"b{bound}": float(bound) for bound in sorted(bounds, reverse=True)}
    found = threshold(scored(scores), least=least, epochs=dict.fromkeys(least, 1))
    for score, bucket in zip(scores, found["bucket"].to_pylist(), strict=True):
        reached = [bound for bound in bounds if score >= bound]
        assert bucket == f"b{max(reached) if reached else min(bounds)}"


def test_a_missing_column_and_one_of_texts_are_errors() -> None:
    for column in ("quality", "text"):
        with pytest.raises(StepError, match=f"no column '{column}'"):
            threshold(scored([1.0]), column=column)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"column": ""}, "column is empty"),
        ({"least": [3, 2]}, "gives every label"),
        ({"least": {}}, "gives every label"),
        ({"least": {"high": "3"}, "epochs": {"high": 1}}, "gives every label"),
        ({"least": {"high": float("nan")}, "epochs": {"high": 1}}, "gives every label"),
        ({"least": {"low": 0, "high": 3}, "epochs": {"low": 1, "high": 1}}, "values fall"),
        ({"least": {"high": 1, "low": 1}, "epochs": {"low": 1, "high": 1}}, "values fall"),
        ({"epochs": {"high": -1, "medium": 1, "low": 0}}, "0 or more"),
        ({"epochs": {"high": True, "medium": 1, "low": 0}}, "0 or more"),
        ({"epochs": {"high": 2, "medium": 1}}, "no other"),
        ({"epochs": {"high": 0, "medium": 0, "low": 0}}, "nothing would be kept"),
        ({"least": {"a/b": 1}, "epochs": {"a/b": 1}}, "'a/b' is a label, and a folder is named by it"),
        ({"least": {"..": 1}, "epochs": {"..": 1}}, "a folder is named by it"),
    ],
)
def test_what_cannot_be_meant_is_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(**params)


def test_the_mixture_reads_epochs_and_shares() -> None:
    check()
    assert bucket_epochs() == {"high": 2.0, "medium": 1.0}
    assert list(bucket_epochs(epochs={"long": 4, "short": 0.5})) == ["long", "short"]
    assert sum(expected_shares().values()) == pytest.approx(1)
    assert list(expected_shares()) == list(LEAST) == list(EPOCHS)
