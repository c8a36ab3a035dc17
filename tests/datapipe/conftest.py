"""A reader to the end."""

from collections.abc import Callable
from typing import Any

import pytest

from datapipe import readers

Rows = list[dict[str, Any]]


@pytest.fixture
def read_rows() -> Callable[..., Rows]:
    """All rows of a source, as dicts: read_rows(root, reader=..., paths=[...], options...)."""

    def rows(root: object, **source: Any) -> Rows:
        splits = readers.list_splits(source, str(root))
        return [row for split in splits for table in readers.read(split, "test") for row in table.to_pylist()]

    return rows
