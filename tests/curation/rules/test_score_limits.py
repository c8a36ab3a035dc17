"""Limits on any column of numbers: inclusive, one reason each, and what cannot be meant is said before data is touched."""

import pyarrow as pa
import pytest

from curation.rules.score_limits import any_score, check_score, score
from curation.steps import StepError
from datapipe.schema import documents, with_column

DOCS = with_column(
    documents([{"origin": str(n), "text": "x"} for n in range(5)]),
    "odd",
    pa.array([1.0, 2, 3, None, float("nan")], pa.float32()),
)


def test_limits_are_inclusive_and_a_missing_score_goes() -> None:
    assert score(DOCS, column="odd", min=2, max=2).to_pylist() == [
        "score.low",
        None,
        "score.high",
        "score.none",
        "score.none",
    ]
    assert score(DOCS, column="odd", max=2.5).to_pylist()[:3] == [None, None, "score.high"]
    assert score(DOCS.slice(0, 0), column="odd", max=1).to_pylist() == []


def test_whole_numbers_are_numbers_and_texts_are_not() -> None:
    sized = with_column(DOCS, "cluster_size", pa.array([1, 2, 3, 4, None], pa.int32()))
    assert score(sized, column="cluster_size", min=3).to_pylist() == [
        "score.low",
        "score.low",
        None,
        None,
        "score.none",
    ]
    for column in ("text", "absent"):
        with pytest.raises(StepError, match=f"'{column}' of numbers .there are: odd, cluster_size"):
            score(sized, column=column, max=1)


def test_limits_that_cannot_be_meant() -> None:
    with pytest.raises(ValueError, match="no limit"):
        check_score(column="odd")
    for low, high in ((2, 1), (float("nan"), 1)):
        with pytest.raises(ValueError, match="leave nothing"):
            check_score(column="odd", min=low, max=high)
    check_score(column="odd", max=1)


def test_one_score_is_enough() -> None:
    docs = pa.table(
        {"tags": pa.array([0, 1, 0, None, 5], pa.float32()), "good": pa.array([0.5, 0, 0.4, None, 1], pa.float32())}
    )
    reasons = any_score(docs, least={"tags": 1, "good": 0.5}).to_pylist()
    assert reasons == [None, None, "any_score.none", "any_score.none", None]


def test_no_document_has_no_reason() -> None:
    assert len(any_score(pa.table({"tags": pa.array([], pa.float32())}), least={"tags": 1})) == 0


@pytest.mark.parametrize("least", [{}, {"tags": "1"}, {"tags": True}, ["tags"], None])
def test_what_is_no_least_is_refused(least: object) -> None:
    with pytest.raises(ValueError, match=r"least is .*: type scores and the least of each"):
        any_score(pa.table({"tags": [1.0]}), least=least)  # type: ignore[arg-type]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(StepError, match=r"no column 'good' of numbers \(there are: tags\)"):
        any_score(pa.table({"tags": [1.0], "lang": ["en"]}), least={"tags": 1, "good": 1})
