import pyarrow as pa
import pytest

from curation.rules.any_score import any_score
from curation.steps import StepError


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
