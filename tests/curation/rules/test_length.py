"""How long a text is: bounds are inclusive."""

import pyarrow as pa

from curation.rules.length import length
from datapipe.schema import documents


def docs(*texts: str) -> pa.Table:
    return documents([{"text": text, "origin": f"o{index}"} for index, text in enumerate(texts)])


def test_length_bounds_are_inclusive() -> None:
    table = docs("ab", "äöü", "abcd", "")
    assert length(table, min_chars=2, max_chars=3).to_pylist() == [None, None, "length.long", "length.short"]
