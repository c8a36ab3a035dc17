"""Documents of a corpus in the folder of a build, and what is said where there are none."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curriculum.built import documents_of, parts_of
from curriculum.curate import folder
from curriculum.curating import CURATED
from datapipe.store import StoreError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A corpus of two parts, one of them with rejects beside it."""
    key = "0" * 64
    place = Path(folder(str(tmp_path), "web", "dedup.exact", key))
    place.mkdir(parents=True)
    for number in (1, 0):
        pq.write_table(pa.table({"text": [f"part {number}"]}), place / f"part-{number:05d}.parquet")
    pq.write_table(pa.table({"text": ["dropped"]}), place / "part-00000.parquet.rejects.parquet")
    steps = [{"step": "read", "key": "1" * 64}, {"step": "dedup.exact", "key": key}]
    (tmp_path / CURATED).write_text(json.dumps({"corpora": {"web": {"steps": steps}}}))
    return tmp_path


def test_parts_come_in_order_and_without_rejects(root: Path) -> None:
    assert [Path(path).name for path in parts_of(str(root), "web")] == ["part-00000.parquet", "part-00001.parquet"]
    assert [table["text"].to_pylist() for table in documents_of(str(root), "web")] == [["part 0"], ["part 1"]]


def test_errors_say_what_to_do(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(StoreError, match=r"holds no corpus 'wbe'"):
        parts_of(str(root), "wbe")
    with pytest.raises(StoreError, match=r"neither lock.json nor curated.json"):
        parts_of(str(tmp_path_factory.mktemp("empty")), "web")
    for path in parts_of(str(root), "web"):
        Path(path).unlink()
    with pytest.raises(StoreError, match="holds no documents"):
        parts_of(str(root), "web")
