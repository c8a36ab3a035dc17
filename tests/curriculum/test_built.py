"""Documents of a corpus in the folder of a build, and what is said where there are none."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curriculum.built import documents_of, parts_of
from curriculum.curating import CURATED
from datapipe.store import StoreError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A corpus of two parts."""
    names = [f"part-{number:05d}.parquet" for number in range(2)]
    for name in names:
        pq.write_table(pa.table({"text": [name]}), tmp_path / name)
    (tmp_path / CURATED).write_text(json.dumps({"corpora": {"web": {"parts": names}}}))
    return tmp_path


def test_parts_come_in_order(root: Path) -> None:
    assert [Path(path).name for path in parts_of(str(root), "web")] == ["part-00000.parquet", "part-00001.parquet"]
    assert [table["text"].to_pylist() for table in documents_of(str(root), "web")] == [
        ["part-00000.parquet"],
        ["part-00001.parquet"],
    ]


def test_errors_say_what_to_do(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(StoreError, match=r"holds no corpus 'wbe'\n.*web"):
        parts_of(str(root), "wbe")
    with pytest.raises(StoreError, match=r"curated.json: no such file"):
        parts_of(str(tmp_path_factory.mktemp("empty")), "web")
