import contextlib
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import readers, store

ReadRows = Callable[..., list[dict[str, Any]]]
ROOT = Path(__file__).resolve().parents[3]
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


LABELS = st.one_of(st.none(), st.sampled_from(["", "x", "a\0b", "é"]))
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["words", "", " \x1c", "\u00a0", "中文", "a\0b", "x" * 60, None]),
        LABELS,
        st.none() | st.integers(0, 9),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from([pa.string(), pa.large_string()]), st.booleans())
def test_batches_become_the_tables_that_their_rows_would(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], kind: pa.DataType, is_plain: bool
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    rows = [("words", *row[1:]) for row in rows] if is_plain else rows
    texts, urls, numbers = zip(*rows, strict=True)
    columns = {"text": pa.array(texts, kind), "url": pa.array(urls, kind), "n": pa.array(numbers, pa.int32())}
    pq.write_table(pa.table(columns), path)
    keys = {"origin_key": "url", "id_key": "n", "lang_key": "n", "license_key": "url", "max_text_bytes": 50}
    (split,) = readers.list_splits({**SOURCE, **keys}, str(path.parent))
    fast = [row for table in readers.read(split, "c") for row in table.to_pylist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers.parquet, "_as_table", lambda *_: None)
        slow = [row for table in readers.read(split, "c") for row in table.to_pylist()]
    assert fast == slow


def test_a_plain_batch_is_not_taken_apart(tmp_path: Path, read_rows: ReadRows, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", 30, 10)
    monkeypatch.delattr(readers.parquet, "_records")
    rows = read_rows(tmp_path, **SOURCE, origin_key="url", license_key="spdx")
    assert [row["origin"] for row in rows] == [f"http://x/{number}" for number in range(30)]
    assert {row["license"] for row in rows} == {"MIT"}


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
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a.parquet has 2 columns 'text': write it anew"):
        read_rows(tmp_path, **SOURCE)


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


def test_a_damaged_footer_costs_its_file(tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 10, 10)
    write(tmp_path / "b.parquet", 10, 10)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    data[footer : footer + 20] = b"\xff" * 20  # the decoder raises an OSError for this
    (tmp_path / "a.parquet").write_bytes(data)
    rows = read_rows(tmp_path, **SOURCE)
    assert [row["origin"] for row in rows if row["drop_reason"] == "parquet.damaged"] == ["a.parquet"]
    assert len(rows) == 11


def flip_bits(folder: Path) -> None:
    """Reads `folder`/a.parquet with every fifth bit of its footer flipped, one at a time; says what was found."""
    path = folder / "a.parquet"
    sound = path.read_bytes()
    footer = len(sound) - 8 - int.from_bytes(sound[-8:-4], "little")
    reasons = Counter[str]()
    for bit in range(0, 8 * (len(sound) - 8 - footer), 5):
        data = bytearray(sound)
        data[footer + bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        source = readers.split.Input(str(path), "a", len(data), "")
        with contextlib.suppress(ValueError):  # a letter of a column's name
            for one in readers.parquet.cut(source):
                for found in readers.parquet.read(one):
                    reasons[found["drop_reason"] if isinstance(found, dict) else "none"] += 1
    print(json.dumps(reasons))


def test_no_flipped_bit_of_a_footer_ends_the_process(tmp_path: Path) -> None:
    """In a process of its own: a C++ exception that nothing catches would end this one."""
    pq.write_table(pa.table({"text": ["a", "b"], "deep": [[1], [2, 3]]}), tmp_path / "a.parquet", store_schema=False)
    code = f"from pathlib import Path; from {__name__} import flip_bits; flip_bits(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    reasons = json.loads(done.stdout)
    assert reasons["parquet.damaged"] > 100
    assert reasons["none"] > 100


def test_a_name_that_is_not_utf8_and_a_wrong_page_checksum(tmp_path: Path, read_rows: ReadRows) -> None:
    pq.write_table(pa.table({"text": ["words"], "names": [1]}), tmp_path / "a.parquet", store_schema=False)
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data.replace(b"names", b"nam\xff\xff"))
    texts = pa.table({"text": ["some words"]})
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(texts, tmp_path / "b.parquet", write_page_checksum=True, **plain)
    data = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(data.replace(b"some", b"same", 1))
    rows = read_rows(tmp_path, **SOURCE)
    assert [(row["origin"], row["drop_reason"]) for row in rows] == [
        ("a.parquet", "parquet.damaged"),
        ("b.parquet#row-group-0", "parquet.damaged"),
    ]


def test_a_table_without_rows(tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 0, 10)
    assert read_rows(tmp_path, **SOURCE) == []


def test_s3(s3: str, tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path / "a.parquet", 50, 20)
    store.write_bytes(f"{s3}/tables/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert read_rows(f"{s3}/tables", **SOURCE) == read_rows(tmp_path, **SOURCE)


def test_texts_over_the_limit(tmp_path: Path, read_rows: ReadRows) -> None:
    texts = ["a", "b" * 1001, None, "ü" * 501, "c" * 1000]
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        pq.write_table(pa.table({"text": pa.array(texts, pa.string()).cast(kind)}), tmp_path / "a.parquet")
        rows = read_rows(tmp_path, **SOURCE, max_text_bytes=1000)
        assert [row["drop_reason"] for row in rows] == [
            None, "parquet.too_long", "parquet.no_text", "parquet.too_long", None,
        ]  # fmt: skip
        assert [json.loads(rows[number]["meta"]) for number in (1, 3)] == [{"text_bytes": 1001}, {"text_bytes": 1002}]


def test_a_row_group_of_huge_texts_is_not_decoded(
    tmp_path: Path, read_rows: ReadRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = pa.array([str(number) * 1_000_000 for number in range(10, 14)])
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", compression="none", use_dictionary=False)
    monkeypatch.delattr(readers.parquet, "_records")
    rows = read_rows(tmp_path, **SOURCE, max_text_bytes=1000)
    assert [(row["drop_reason"], row["raw"]["offset"]) for row in rows] == [
        ("parquet.too_long", number) for number in range(4)
    ]


def test_many_rows_that_share_one_large_text(tmp_path: Path) -> None:
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"text": shared}), tmp_path / "a.parquet")
    (one,) = readers.list_splits(SOURCE, str(tmp_path))
    tracemalloc.start()
    num_rows = sum(
        found.num_rows if isinstance(found, pa.Table) else 1 for found in readers.parquet.read(one.inputs[0])
    )
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_rows == 300
    assert peak_bytes < 20 << 20


def test_a_string_that_is_not_utf8(tmp_path: Path, read_rows: ReadRows) -> None:
    offsets = pa.array([0, 1, 3, 4], pa.int32()).buffers()[1]
    bad = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"a\xff\xfeb"))
    pq.write_table(pa.table({"text": bad, "url": ["u", "v", "w"]}), tmp_path / "a.parquet")
    rows = read_rows(tmp_path, **SOURCE, origin_key="url")
    assert [row["drop_reason"] or row["text"] for row in rows] == ["a", "parquet.not_utf8", "b"]


def test_a_column_with_a_dot_and_a_struct(tmp_path: Path, read_rows: ReadRows) -> None:
    pq.write_table(pa.table({"a.b": ["words"], "deep": [{"text": "x"}]}), tmp_path / "a.parquet")
    assert [row["text"] for row in read_rows(tmp_path, **SOURCE, text_key="a.b")] == ["words"]
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE, text_key="deep")] == ["parquet.no_text"]


def test_the_first_of_several_text_columns_counts(tmp_path: Path, read_rows: ReadRows) -> None:
    pq.write_table(pa.table({"problem": ["p"], "other": ["o"]}), tmp_path / "a.parquet")
    assert [row["text"] for row in read_rows(tmp_path, **SOURCE, text_key="question|problem")] == ["p"]
    with pytest.raises(ValueError, match="no column 'question'"):
        read_rows(tmp_path, **SOURCE, text_key="question|answer")
