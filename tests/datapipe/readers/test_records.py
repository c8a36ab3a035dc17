"""`text_key: "*"`: a whole record is a document, of JSON Lines and of Parquet, and what cannot be one is dropped with a reason."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import readers
from datapipe.readers import parquet
from datapipe.readers.records import whole

ReadRows = Callable[..., list[dict[str, Any]]]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
CALL = {"name": "search", "arguments": {"year": 1843, "author": "Ada"}}
TALK = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada — it's her"}], "id": 7}


def source(reader: str, **more: Any) -> dict[str, Any]:
    return {"reader": reader, "paths": [f"*.{reader}"], "text_key": "*", **more}


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=4))
def test_a_record_is_its_own_text(record: dict[str, Any]) -> None:
    text = whole(record)
    assert text is not None
    assert "\n" not in text
    assert json.loads(text) == record
    assert list(json.loads(text)) == list(record)  # the order of keys is kept
    assert whole(json.loads(json.dumps(record, indent=3))) == text  # white space and escapes are not


def test_a_line_becomes_a_document_and_is_found_again(tmp_path: Path, read_rows: ReadRows) -> None:
    lines = [json.dumps(TALK, indent=None), "{}", "[1]", "[" * 5000, json.dumps({"call": CALL})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    rows = read_rows(tmp_path, **source("jsonl", id_key="id"))
    assert [row["drop_reason"] for row in rows] == [None, "jsonl.no_text", "jsonl.invalid", "jsonl.invalid", None]
    assert json.loads(rows[0]["text"]) == TALK
    assert rows[0]["origin"] == "a.jsonl#7"
    assert rows[4]["text"] == '{"call":{"name":"search","arguments":{"year":1843,"author":"Ada"}}}'
    again = readers.read_raw_rows(source("jsonl", id_key="id"), str(tmp_path), [rows[4], rows[0]])
    assert again == [rows[4]["text"], rows[0]["text"]]


def test_what_is_nested_too_deep_to_be_written_is_dropped() -> None:
    record: dict[str, Any] = {}
    for _ in range(100_000):
        record = {"in": record}
    assert whole(record) is None


def test_a_row_of_parquet_is_the_record_that_was_written(tmp_path: Path, read_rows: ReadRows) -> None:
    """A field that only another row has is null there, and no field of this one."""
    records = [TALK, {"messages": [{"role": "user", "content": "Q", "calls": [CALL]}], "id": 8}]
    table = pa.Table.from_pylist(records).append_column("when", pa.array([datetime.date(1843, 9, 1), None]))
    table = table.append_column("picture", pa.array([b"\xff", None]))
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read_rows(tmp_path, **source("parquet", id_key="id"))
    assert json.loads(rows[0]["text"]) == {**TALK, "when": "1843-09-01", "picture": None}
    assert json.loads(rows[1]["text"]) == records[1]
    assert [row["origin"] for row in rows] == ["a.parquet#7", "a.parquet#8"]
    again = readers.read_raw_rows(source("parquet", id_key="id"), str(tmp_path), rows)
    assert again == [row["text"] for row in rows]


def test_a_row_over_the_limit_costs_itself(
    tmp_path: Path, read_rows: ReadRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"a": ["x", "y" * 900, "z"], "b": [1, 2, 3]}), tmp_path / "a.parquet")
    given = source("parquet", max_text_bytes=800)
    assert [row["drop_reason"] for row in read_rows(tmp_path, **given)] == [None, "parquet.too_long", None]
    whole_batches = read_rows(tmp_path, **source("parquet"))
    monkeypatch.setattr(parquet, "BATCH_BYTES", 16)
    assert read_rows(tmp_path, **source("parquet")) == whole_batches  # a row at a time
    assert {row["drop_reason"] for row in read_rows(tmp_path, **source("parquet", max_text_bytes=9))} == {
        "parquet.too_long"
    }


def test_a_named_column_has_to_be_there(tmp_path: Path, read_rows: ReadRows) -> None:
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"no column 'url'"):
        read_rows(tmp_path, **source("parquet", origin_key="url"))


@pytest.mark.data
def test_real_records(shared_data: Path, read_rows: ReadRows) -> None:
    given = {"reader": "jsonl", "paths": ["BFCL_v4_simple_python.json"], "text_key": "*", "id_key": "id"}
    rows = read_rows(shared_data / "tooluse" / "bfcl", **given)
    assert len(rows) == 400
    assert all("function" in json.loads(row["text"]) for row in rows)
