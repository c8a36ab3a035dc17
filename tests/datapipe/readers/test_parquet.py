from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datapipe import readers, store

ReadRows = Callable[..., list[dict[str, Any]]]
SOURCE = {"reader": "parquet", "paths": ["*.parquet"]}


def write(path: Path, num_rows: int, rows_per_group: int) -> None:
    table = pa.table(
        {
            "text": [f"words of row {number} " * 20 for number in range(num_rows)],
            "url": [f"http://x/{number}" for number in range(num_rows)],
            "spdx": ["MIT"] * num_rows,
            "other": [{"deep": [number]} for number in range(num_rows)],
        }
    )
    pq.write_table(table, path, row_group_size=rows_per_group)


def test_row_groups_are_split_and_joined(tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 2500, 100)
    write(tmp_path / "b.parquet", 30, 100)
    whole = read_rows(tmp_path, **SOURCE)
    assert [row["text"] for row in whole[:2500]] == [f"words of row {number} " * 20 for number in range(2500)]
    assert [row["origin"] for row in (whole[0], whole[2499], whole[2500])] == [
        "a.parquet#0",
        "a.parquet#2499",
        "b.parquet#0",
    ]
    for split_bytes in (1, 5000, 20_000):
        splits = readers.list_splits({**SOURCE, "split_bytes": split_bytes}, str(tmp_path))
        assert len(splits) == 26 if split_bytes == 1 else 1 < len(splits) < 26
        assert sum(one.count or 0 for split in splits for one in split.inputs) == 26
        assert read_rows(tmp_path, split_bytes=split_bytes, **SOURCE) == whole


def test_keys_and_columns(tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 3, 2)
    rows = read_rows(tmp_path, **SOURCE, origin_key="url", license_key="spdx")
    assert [(row["origin"], row["license"]) for row in rows] == [(f"http://x/{number}", "MIT") for number in range(3)]
    with pytest.raises(ValueError, match=r"a.parquet has no column 'txt'; did you mean 'text'\?"):
        read_rows(tmp_path, **SOURCE, text_key="txt")


def test_rows_without_text(tmp_path: Path, read_rows: ReadRows) -> None:
    pq.write_table(pa.table({"text": ["a", None, " ", "b"]}), tmp_path / "a.parquet")
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == [
        None,
        "parquet.no_text",
        "parquet.no_text",
        None,
    ]


def test_damage_is_counted_and_costs_a_row_group(tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 300, 100)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    group = pq.read_metadata(tmp_path / "a.parquet").row_group(1).column(0)
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + 200] = b"\xff" * 200
    (tmp_path / "a.parquet").write_bytes(data)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no table at all")
    (tmp_path / "c.parquet").write_bytes(b"")
    rows = read_rows(tmp_path, **SOURCE)
    assert [row["raw"]["offset"] for row in rows if not row["drop_reason"]] == [*range(100), *range(200, 300)]
    damaged = [row["origin"] for row in rows if row["drop_reason"] == "parquet.damaged"]
    assert damaged == ["a.parquet#row-group-1", "b.parquet", "c.parquet"]


def test_a_table_without_rows(tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 0, 10)
    assert read_rows(tmp_path, **SOURCE) == []


def test_s3(s3: str, tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 50, 20)
    store.write_bytes(f"{s3}/tables/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert read_rows(f"{s3}/tables", **SOURCE) == read_rows(tmp_path, **SOURCE)
