"""A small package with tests, in which every kind of bug can be made."""

from typing import Any

import pyarrow as pa

from datapipe.schema import documents

SOURCE = '''"""Shelves of numbered boxes."""


class ShelfError(ValueError):
    """A box does not fit."""


class Shelf:
    def __init__(self, size, is_open=True):
        self.size = size
        self.is_open = is_open
        self.boxes = []

    def put(self, box, weight=1):
        if not self.is_open or len(self.boxes) >= self.size:
            raise ShelfError("no room")
        if weight <= 0:
            raise ShelfError("too light")
        self.boxes.append((box, weight))
        return len(self.boxes)

    def heavy(self, limit):
        """Boxes that weigh more than `limit`."""
        return [box for box, weight in self.boxes if weight > limit]


def total(shelves, factor=1):
    result = 0
    for shelf in shelves:
        for _, weight in shelf.boxes:
            result = result + weight * factor
    return result


def middle(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def without(values, unwanted):
    kept = list(values)
    while unwanted in kept:
        kept.remove(unwanted)
    return kept


def first_after(values, start):
    for value in values:
        if value > start and value % 2 == 0:
            return value
    return None
'''
TESTS = """import pytest

from shelves.core import Shelf, ShelfError, first_after, middle, total, without


def filled(*weights):
    shelf = Shelf(5)
    for number, weight in enumerate(weights):
        shelf.put(f"box {number}", weight)
    return shelf


def test_put_counts():
    shelf = Shelf(2)
    assert shelf.put("a") == 1
    assert shelf.put("b") == 2


def test_put_refuses():
    shelf = Shelf(1)
    shelf.put("a")
    with pytest.raises(ShelfError):
        shelf.put("b")


def test_closed():
    with pytest.raises(ShelfError):
        Shelf(3, is_open=False).put("a")


def test_light():
    with pytest.raises(ShelfError):
        Shelf(3).put("a", 0)


def test_heavy():
    shelf = Shelf(5)
    shelf.put("small", 2)
    shelf.put("large", 7)
    assert shelf.heavy(2) == ["large"]


def test_total():
    assert total([filled(1, 2), filled(4)]) == 7
    assert total([filled(1, 2)], factor=3) == 9


def test_middle_odd():
    assert middle([5, 1, 3]) == 3


def test_middle_even():
    assert middle([4, 1, 3, 2]) == 2.5


def test_without():
    values = [1, 2, 1, 3]
    assert without(values, 1) == [2, 3]
    assert values == [1, 2, 1, 3]


def test_first_after():
    assert first_after([1, 4, 6], 4) == 6
    assert first_after([1, 3], 0) is None


class TestMore:
    def test_nothing(self):
        assert total([]) == 0

    @pytest.mark.parametrize("value", [2, 8])
    def test_single(self, value):
        assert middle([value]) == value
"""
FILES = {
    "shelves/__init__.py": "",
    "shelves/core.py": SOURCE,
    "shelves/tests/__init__.py": "",
    "shelves/tests/test_core.py": TESTS,
    "LICENSE": "MIT",
}


def table(files: dict[str, str] = FILES, place: str = "shelves@1.2") -> pa.Table:
    rows: list[dict[str, Any]] = [
        {"origin": f"{place}:{path}", "text": text, "corpus": "packages", "kind": "code", "license": "MIT"}
        for path, text in files.items()
    ]
    return documents(rows)
