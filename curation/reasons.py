"""Setting drop reasons: what filters return and how maps mark rows that are on their way out."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe.schema import DROP, with_column


def first_reason(num_rows: int, failed: Iterable[tuple[str, np.ndarray]]) -> pa.Array:
    """A reason per row: the first whose flags (bool (num_rows,)) hold there, null where none does."""
    reasons = np.full(num_rows, None, object)
    for reason, failed_D in reversed(list(failed)):
        reasons[failed_D] = reason
    return pa.array(reasons, pa.string())


def mark(docs: pa.Table, reasons: pa.Array | pa.ChunkedArray) -> pa.Table:
    """`docs` with the reasons set; a reason that a row already had stays."""
    if DROP in docs.column_names:
        reasons = pc.coalesce(docs[DROP], reasons)
    return with_column(docs, DROP, reasons)
