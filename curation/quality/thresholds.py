"""Buckets by fixed thresholds on one number: documents at or above one are learned more often, those below the last bound not at all.

GLM-4.5 up-samples documents on mathematics and science whose educational score lies above a threshold (GLM-4.5 report, section 2.2), and
long documents by their length (section 2.3); neither the thresholds nor the epochs are published, those here are ours. Unlike
`bucket.rank`, which gives every bucket its share of the corpus, this needs no look at the other documents: a map, with no exchange. How
large a bucket becomes is known only when it is counted.
"""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.quality.upsample import check_names
from curation.reasons import mark
from curation.steps import StepError
from datapipe.schema import with_column

CHARS = "chars"  # instead of a column: the length of the text
LEAST = {"high": 3.5, "medium": 2.0, "low": 0.0}
EPOCHS = {"high": 2.0, "medium": 1.0, "low": 0.0}


def threshold(
    docs: pa.Table,
    *,
    column: str = "educational",
    least: Mapping[str, float] = LEAST,
    epochs: Mapping[str, float] = EPOCHS,
) -> pa.Table:
    """Sets `bucket`, and `bucket.<label>` as the reason of those whose label has 0 epochs.

    `column`: a column of numbers, or `chars` for the characters of the text. `least`: labels, best first, with the least value of each;
    the last label also takes what lies below, and documents without a value. `epochs`: how often the documents of a label are learned;
    the mixture reads them, here only a zero matters. Raises StepError for a column that is not there or holds no numbers.
    """
    values_D = _values(docs, column)
    ascending = sorted(least.values())
    names = sorted(least, key=lambda label: least[label])
    place_D = np.searchsorted(ascending, values_D, side="right") - 1
    bucket = pa.array(names, pa.string()).take(pa.array(np.maximum(place_D, 0)))
    dropped = pc.is_in(bucket, pa.array([label for label, count in epochs.items() if count == 0], pa.string()))
    reasons = pc.if_else(dropped, pc.binary_join_element_wise("bucket", bucket, "."), pa.scalar(None, pa.string()))
    return mark(with_column(docs, "bucket", bucket), reasons)


def check(
    *,
    column: str = "educational",
    least: Mapping[str, float] = LEAST,
    epochs: Mapping[str, float] = EPOCHS,
) -> None:
    """ValueError for thresholds that do not fall, for epochs that are no counts, and for epochs of other labels."""
    if not column:
        raise ValueError("bucket.threshold: column is empty: type the name of a score, or chars for the length")
    if not isinstance(least, Mapping) or not least or not all(map(_is_number, least.values())):
        raise ValueError(
            f"bucket.threshold: least is {least!r}, but gives every label the least value it takes: type for instance {LEAST}"
        )
    values = list(least.values())
    if sorted(set(values), reverse=True) != values:
        raise ValueError(f"bucket.threshold: least is {dict(least)}, but its values fall, best label first: {LEAST}")
    if not isinstance(epochs, Mapping) or not all(_is_number(count) and count >= 0 for count in epochs.values()):
        raise ValueError(
            f"bucket.threshold: epochs is {epochs!r}, but gives every label a number of 0 or more: type for instance {EPOCHS}"
        )
    if set(epochs) != set(least):
        raise ValueError(
            f"bucket.threshold: epochs names {', '.join(epochs)} and least {', '.join(least)}: "
            "give every label, and no other, its epochs"
        )
    check_names("bucket.threshold", epochs)


def bucket_epochs(*, epochs: Mapping[str, float] = EPOCHS) -> dict[str, float]:
    """Epochs of every bucket that is kept, as `bucket.rank` tells them."""
    return {label: float(count) for label, count in epochs.items() if count > 0}


def expected_shares(*, least: Mapping[str, float] = LEAST) -> dict[str, float]:
    """Share of the characters of each bucket for a plan without data: equal parts, for nothing is known of them; adds up to 1."""
    return {label: 1 / len(least) for label in least}


def _values(docs: pa.Table, column: str) -> np.ndarray:
    """float64 (D,), minus infinity for a document without a value."""
    if column == CHARS:
        return pc.fill_null(pc.utf8_length(docs["text"]), 0).to_numpy().astype(np.float64)
    kind = docs.schema.field(column).type if column in docs.column_names else pa.null()
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise StepError(
            f"the documents have no column {column!r} of numbers: put a score step, such as score.educational, before it, name its "
            "column, or write `column: chars`"
        )
    values_D = docs[column].cast(pa.float64()).to_numpy()
    return np.where(np.isnan(values_D), -np.inf, values_D)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
