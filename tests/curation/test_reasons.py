import numpy as np
import pyarrow as pa

from curation.reasons import first_reason, mark


def test_the_first_broken_rule_is_the_reason() -> None:
    failed = [("a", np.array([True, False, False])), ("b", np.array([True, True, False]))]
    assert first_reason(3, failed).to_pylist() == ["a", "b", None]
    assert first_reason(0, []).type == pa.string()


def test_a_reason_stays_once_it_is_set() -> None:
    table = pa.table({"id": ["x", "y", "z"]})
    marked = mark(table, pa.array(["first", None, None], pa.string()))
    again = mark(marked, pa.array(["second", "second", None], pa.string()))
    assert again["drop_reason"].to_pylist() == ["first", "second", None]
