"""Candidates: documents that one of several scores speaks for.

GLM-4.5 takes a page for one on code when its HTML has code tags, or when a classifier says so (GLM-4.5 report, section 2.2): two ways to
be found, and missing one costs nothing.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from curation.reasons import first_reason
from curation.rules.score_limits import numbers

_NONE: Mapping[str, float] = {}


def any_score(docs: pa.Table, *, least: Mapping[str, float] = _NONE) -> pa.Array:
    """One reason per row, null = keep: `any_score.none` where no score reaches its least. A score that is null reaches nothing.

    StepError where the documents have no such column of numbers.
    """
    check(least=least)
    found_D = np.zeros(docs.num_rows, bool)
    for column, value in least.items():
        found_D |= numbers(docs, column) >= value
    return first_reason(docs.num_rows, [("any_score.none", ~found_D)])


def check(*, least: Mapping[str, float] = _NONE) -> None:
    """Raises ValueError for what is no mapping from columns to numbers."""
    if not isinstance(least, Mapping) or not least or not all(_is_number(value) for value in least.values()):
        raise ValueError(
            f"least is {least!r}: type scores and the least of each, such as {{code_tags: 1, quality: 0.5}}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
