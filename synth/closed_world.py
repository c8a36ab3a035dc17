"""One question, one answer: what a receiver decides when it sees every candidate of the corpus that asks the same.

A question that the corpus answers differently, in rows or in questions that were not selected, is dropped wherever it was asked
(`synth.ambiguous`); asked again with the same answer, by a copy of a page or a page that quotes another, the row with the smallest id
stays (`synth.duplicate`). The world is the corpus: an answer may still be one of several outside of it.
"""

from collections import defaultdict

import pyarrow as pa

from datapipe.schema import DROP, with_column
from synth.candidates import CANDIDATES, NOT_SELECTED

AMBIGUOUS, DUPLICATE = "synth.ambiguous", "synth.duplicate"
_ORDER = [("id", "ascending"), ("question", "ascending"), ("answer", "ascending"), (DROP, "ascending")]


def settle(rows: pa.Table) -> pa.Table:
    """Documents sorted by id from candidate rows in any order; dropped ones carry their reason."""
    rows = rows.select(CANDIDATES.names).sort_by(_ORDER)
    questions, answers = rows["question"].to_pylist(), rows["answer"].to_pylist()
    reasons = rows[DROP].to_pylist()
    known: dict[str, set[str]] = defaultdict(set)
    for question, answer, reason in zip(questions, answers, reasons, strict=True):
        if reason in (None, NOT_SELECTED):
            known[question].add(answer)
    seen: set[str] = set()
    for index, question in enumerate(questions):
        if reasons[index] is None:
            if len(known[question]) > 1:
                reasons[index] = AMBIGUOUS
            elif question in seen:
                reasons[index] = DUPLICATE
            seen.add(question)
    return with_column(rows, DROP, pa.array(reasons, pa.string())).drop_columns(["key", "question", "answer"])
