"""Gathered documents are the long ones, unchanged, in one order."""

import pyarrow as pa
import pytest

from curation.steps import StepError
from datapipe.schema import documents, with_column
from synth.gather import GATHER

DOCS = documents(
    [{"origin": str(length), "text": "ä" * length, "corpus": "web", "license": "MIT"} for length in (3, 10, 9, 30)]
)


def test_long_documents_come_as_they_are() -> None:
    rows = GATHER.emit(with_column(DOCS, "quality", pa.array([0.5] * 4)), min_chars=10)
    made = GATHER.reduce(rows.take(pa.array([1, 0])))
    assert made.drop_columns("drop_reason").equals(DOCS.filter(pa.array([False, True, False, True])).sort_by("id"))
    assert made["drop_reason"].null_count == 2
    assert GATHER.reduce(rows).equals(made)
    assert len(set(rows["key"].to_pylist())) == 2


def test_nothing_is_nothing_and_loss_spans_are_refused() -> None:
    assert GATHER.reduce(GATHER.emit(DOCS, min_chars=100)).num_rows == 0
    spans = pa.array([[{"start": 0, "length": 1}]] * 4)
    with pytest.raises(StepError, match="loss spans"):
        GATHER.emit(with_column(DOCS, "loss_spans", spans))
