"""`filter.score`: limits on a column of numbers that a step before it wrote, whatever it means."""

import math

import numpy as np
import pyarrow as pa

from curation.reasons import first_reason
from curation.steps import StepError


def score(docs: pa.Table, *, column: str = "quality", min: float = -math.inf, max: float = math.inf) -> pa.Array:
    """Drops documents whose `column` is below `min` (`score.low`) or above `max` (`score.high`), or has no value (`score.none`).

    StepError where the documents have no such column of numbers.
    """
    values = numbers(docs, column)
    failed = [("score.none", values != values), ("score.low", values < min), ("score.high", values > max)]
    return first_reason(len(values), failed)


def numbers(docs: pa.Table, column: str) -> np.ndarray:
    """float64 (D,), NaN for a document without a value. StepError where the documents have no such column of numbers."""
    kind = docs.schema.field(column).type if column in docs.column_names else pa.null()
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        numbers = [
            field.name for field in docs.schema if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        ]
        raise StepError(
            f"the documents have no column {column!r} of numbers (there are: {', '.join(numbers) or 'none'}): put the step that scores "
            "before it, or name its column"
        )
    return docs[column].cast(pa.float64()).to_numpy()


def check_score(*, column: str = "quality", min: float = -math.inf, max: float = math.inf) -> None:
    """Raises ValueError for limits that are none, or that no score meets."""
    if math.isinf(min) and math.isinf(max):
        raise ValueError(f"column {column!r} has no limit: give `min`, `max` or both")
    if not min <= max:
        raise ValueError(f"min {min} and max {max} leave nothing: min must not exceed max")
