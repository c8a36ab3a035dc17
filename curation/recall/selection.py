"""What rounds of recall found stays, the rest goes."""

import pyarrow as pa

from curation.reasons import first_reason
from curation.recall.rounds import RECALLED, round_of
from curation.steps import StepError


def recalled(docs: pa.Table) -> pa.Array:
    """`recall.not_found` for what no round recalled. Raises StepError without a round before it."""
    if RECALLED not in docs.column_names:
        raise StepError(f"the documents have no column {RECALLED}: put recall.round before it")
    return first_reason(docs.num_rows, [("recall.not_found", round_of(docs) == 0)])
