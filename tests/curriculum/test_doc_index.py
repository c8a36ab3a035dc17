"""Pieces are found by their document's hash, in one record batch; damage there is told, damage elsewhere does no harm."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curriculum import doc_index
from curriculum.doc_index import Found
from datapipe.store import StoreError

NUM_DOCS = 150_000  # two slices


@pytest.fixture
def orders() -> np.ndarray:
    return np.array([doc_index.document_order(f"{number:032x}", 7) for number in range(NUM_DOCS)], np.uint64)


def write(folder: Path, orders: np.ndarray) -> Path:
    """Every document has a piece, every tenth another one in the next row."""
    order = np.concatenate([orders, orders[::10]])
    columns = {field.name: np.zeros(order.size, field.type.to_pandas_dtype()) for field in doc_index.INDEX}
    columns |= {"order": order, "row": np.concatenate([np.arange(NUM_DOCS), np.arange(0, NUM_DOCS, 10) + 1])}
    columns["offset"] = np.repeat([0, 64], [NUM_DOCS, order.size - NUM_DOCS])
    arrays = [pa.array(columns[field.name].astype(field.type.to_pandas_dtype())) for field in doc_index.INDEX]
    path = folder / doc_index.FILE
    sha256 = doc_index.write_index(str(path), pa.table(arrays, schema=doc_index.INDEX), ["web/all", "code/all"])
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    return path


def test_every_piece_of_a_document_is_found(tmp_path: Path, orders: np.ndarray) -> None:
    write(tmp_path, orders)
    for number in (1, 77, 149_999):
        assert doc_index.find(str(tmp_path), int(orders[number])) == [Found("web/all", 0, 0, number, 0, 0, 0)]
    assert [(found.row, found.offset) for found in doc_index.find(str(tmp_path), int(orders[40]))] == [
        (40, 0),
        (41, 64),
    ]
    assert doc_index.find(str(tmp_path), doc_index.document_order("another", 7)) == []


def test_an_index_of_nothing_finds_nothing(tmp_path: Path) -> None:
    doc_index.write_index(str(tmp_path / doc_index.FILE), doc_index.INDEX.empty_table(), ["web/all"])
    assert doc_index.find(str(tmp_path), 5) == []


@pytest.mark.parametrize(("old", "new"), [(b'["web/all"', b'["web/all,'), (b"slices", b"slides")])
def test_damaged_notes_are_told(tmp_path: Path, orders: np.ndarray, old: bytes, new: bytes) -> None:
    path = write(tmp_path, orders)
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(StoreError, match=r"index\.arrow: is damaged"):
        doc_index.find(str(tmp_path), int(orders[0]))


def test_damage_is_told_where_it_matters(tmp_path: Path, orders: np.ndarray) -> None:
    path = write(tmp_path, orders)
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1  # in the first of two slices
    path.write_bytes(data)
    lowest, highest = int(orders.min()), int(orders.max())
    assert doc_index.find(str(tmp_path), highest)
    with pytest.raises(StoreError, match=r"index\.arrow: is damaged \(.*record batch 0 is damaged.*\n.*Delete it"):
        doc_index.find(str(tmp_path), lowest)
    path.unlink()
    with pytest.raises(StoreError, match=r"index\.arrow: no such file"):
        doc_index.find(str(tmp_path), lowest)
