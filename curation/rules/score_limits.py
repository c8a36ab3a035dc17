"""Limits on columns of numbers that steps before wrote: `filter.score` on one of them, `filter.any_score` on the best of several.

GLM-4.5 takes a page for one on code when its HTML has code tags, or when a classifier says so (GLM-4.5 report, section 2.2): two ways to
be found, and missing one costs nothing.
"""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from curation.reasons import first_reason
from curation.steps import StepError

_NONE: Mapping[str, float] = {}


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


def any_score(docs: pa.Table, *, least: Mapping[str, float] = _NONE) -> pa.Array:
    """One reason per row, null = keep: `any_score.none` where no score reaches its least. A score that is null reaches nothing.

    StepError where the documents have no such column of numbers.
    """
    check_any_score(least=least)
    found_D = np.zeros(docs.num_rows, bool)
    for column, value in least.items():
        found_D |= numbers(docs, column) >= value
    return first_reason(docs.num_rows, [("any_score.none", ~found_D)])


def check_any_score(*, least: Mapping[str, float] = _NONE) -> None:
    """Raises ValueError for what is no mapping from columns to numbers."""
    if not isinstance(least, Mapping) or not least or not all(_is_number(value) for value in least.values()):
        raise ValueError(
            f"least is {least!r}: type scores and the least of each, such as {{code_tags: 1, quality: 0.5}}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
