"""Source files in the shapes of The Stack, The Stack v2 and GitHub Code."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datapipe.readers import stack

ReadRows = Callable[..., list[dict[str, Any]]]
SOURCE = {"reader": "stack", "paths": ["*.parquet"]}
BLOB = "a1b2c3d4" * 5


def write(folder: Path, rows: list[dict[str, Any]], name: str = "a.parquet") -> None:
    pq.write_table(pa.Table.from_pylist(rows), folder / name)


def test_the_first_stack(tmp_path: Path, read_rows: ReadRows) -> None:
    repository = {"max_stars_repo_name": "o/r", "max_stars_repo_head_hexsha": "abc", "max_stars_count": 7.0}
    common = {**repository, "max_stars_repo_licenses": ["MIT OR GPL-2.0-only", "ISC"]}
    rows = [
        {"content": "import a\n", "max_stars_repo_path": "x/a.py", **common},
        {"content": "# SPDX-License-Identifier: Apache-2.0\nimport b\n", "max_stars_repo_path": "x/b.py", **common},
        {"content": "x" * 2000, "max_stars_repo_path": "big.py", **common},
        {"content": " ", "max_stars_repo_path": "empty.py", **common},
        {"content": "\0", "max_stars_repo_path": "binary.py", **common},
        {"content": "x", "max_stars_repo_path": None, **common},
        {"content": None, "max_stars_repo_path": "none.py", **common},
    ]
    write(tmp_path, rows)
    found = read_rows(tmp_path, **SOURCE, max_file_bytes=1000)
    assert [row["drop_reason"] for row in found] == [
        None, None, "parquet.too_long", "file.empty", "file.binary", "file.no_path", "file.missing",
    ]  # fmt: skip
    first, second = found[:2]
    assert (first["origin"], first["text"], first["lang"], first["license"]) == (
        "o/r@abc:x/a.py",
        "import a\n",
        "python",
        "ISC AND (MIT OR GPL-2.0-only)",
    )
    assert json.loads(first["meta"]) == {
        "license_confidence": 1.0,
        "license_from": "dataset",
        "role": "source",
        "stars": 7,
    }
    assert (second["license"], json.loads(second["meta"])["license_from"]) == ("Apache-2.0", "header")
    assert first["raw"] == {"file": "a.parquet", "offset": 0, "length": None}


def test_github_code_has_one_licence_and_no_version(tmp_path: Path, read_rows: ReadRows) -> None:
    write(tmp_path, [{"code": "int a;\n", "repo_name": "o/r", "path": "a.c", "license": "mit"}])
    (row,) = read_rows(tmp_path, **SOURCE)
    assert (row["origin"], row["lang"], row["license"]) == ("o/r@:a.c", "c", "mit")


def second(blob: str, path: str, **more: Any) -> dict[str, Any]:
    """A row of The Stack v2."""
    repository = {"repo_name": "o/r", "revision_id": "f" * 40, "detected_licenses": ["MIT"], "star_events_count": 3}
    file = {"blob_id": blob, "path": path, "src_encoding": "UTF-8", "is_vendor": False, "is_generated": False}
    return {**repository, **file, "committer_date": "2023-05-06 07:08:09", **more}


def test_contents_of_the_second_stack_are_fetched(tmp_path: Path, read_rows: ReadRows) -> None:
    (tmp_path / "contents").mkdir()
    (tmp_path / "contents" / BLOB).write_bytes(gzip.compress("é = 1\n".encode("latin-1")))
    (tmp_path / "contents" / "broken").write_bytes(gzip.compress(b"x")[:8] + b"\xff\xff")
    (tmp_path / "contents" / "large").write_bytes(gzip.compress(b"x" * 5_000_000))
    rows = [
        second(BLOB, "a.py", src_encoding="ISO-8859-1", is_generated=True),
        second("absent", "b.py"),
        second("broken", "c.py"),
        second("large", "d.py"),
        second(BLOB, "e.py", src_encoding="no-such"),
        second("../secret", "f.py"),
    ]
    write(tmp_path, rows * 50)
    found = read_rows(tmp_path, **SOURCE, contents=str(tmp_path / "contents"))
    reasons = [None, "file.missing", "file.damaged", "file.too_large", "file.not_utf8", "file.missing"]
    assert [row["drop_reason"] for row in found] == reasons * 50
    assert found[0]["text"] == "é = 1\n"
    meta = json.loads(found[0]["meta"])
    assert (meta["role"], meta["stars"], meta["date"]) == ("generated", 3, "2023-05-06")


def test_of_a_content_no_more_is_read_than_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    small, large = (random.Random(1).randbytes(size).hex().encode() for size in (500_000, 5_000_000))
    (tmp_path / "small").write_bytes(gzip.compress(small, 0))
    (tmp_path / "large").write_bytes(gzip.compress(large, 0))
    about = {"repo_name": ["o/r"] * 2, "path": ["a.py", "b.py"], "blob_id": ["small", "large"]}
    pq.write_table(pa.table(about), tmp_path / "x.parquet")
    num_read: list[int] = []
    unpacked = stack._unpacked

    def counted(packed: bytes, max_bytes: int) -> bytes:
        num_read.append(len(packed))
        return unpacked(packed, max_bytes)

    monkeypatch.setattr(stack, "_unpacked", counted)
    rows = read_rows(tmp_path, reader="stack", paths=["*.parquet"], contents=str(tmp_path), max_file_bytes=1_000_000)
    assert [row["drop_reason"] for row in rows] == [None, "file.too_large"]
    assert max(num_read) < 1_100_000


def test_a_row_may_be_a_repository(tmp_path: Path, read_rows: ReadRows) -> None:
    (tmp_path / BLOB).write_text("package main\n")
    files = [{"blob_id": BLOB, "path": f"{name}.go", "detected_licenses": [], "is_vendor": False} for name in "ab"]
    write(
        tmp_path,
        [
            {"repo_name": "o/r", "revision_id": "1", "files": files},
            {"repo_name": "o/s", "revision_id": "2", "files": []},
        ],
    )
    found = read_rows(tmp_path, **SOURCE, contents=str(tmp_path))
    assert [row["origin"] for row in found] == ["o/r@1:a.go", "o/r@1:b.go"]
    assert [(row["text"], row["license"]) for row in found] == [("package main\n", None)] * 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"content": "x", "path": "a"},
            r"a.parquet has no column for the repository \(max_stars_repo_name or repo_name\)",
        ),
        ({"content": "x", "repo_name": "a"}, "has no column for the path"),
        ({"repo_name": "a", "path": "a"}, r"has neither texts \(content or code or text\) nor ids of contents"),
        (
            {"repo_name": "a", "path": "a", "blob_id": "b"},
            "say where those lie, `contents: s3://softwareheritage/content`",
        ),
    ],
)
def test_what_is_no_set_of_source_files_is_told(
    tmp_path: Path, read_rows: ReadRows, row: dict[str, str], said: str
) -> None:
    write(tmp_path, [row])
    with pytest.raises(ValueError, match=said):
        read_rows(tmp_path, **SOURCE)


def test_a_file_that_is_no_parquet_is_damaged(tmp_path: Path, read_rows: ReadRows) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing")
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == ["parquet.damaged"]


def test_lists_of_any_kind_and_what_github_says_of_the_licence(tmp_path: Path, read_rows: ReadRows) -> None:
    files = [
        {"blob_id": BLOB, "path": "/src/a.py", "content": "a = 1\n", "detected_licenses": []},
        {"blob_id": BLOB, "path": "/src/b.py", "content": "b = 1\n", "detected_licenses": ["ISC"]},
    ]
    listed = pa.array([files])
    large = listed.cast(pa.large_list(listed.type.value_type))
    for kind in (listed, large):
        columns = {"repo_name": ["o/r"], "revision_id": ["abc"], "gha_license_id": ["MIT"], "files": kind}
        unknown = {**columns, "gha_license_id": ["NOASSERTION"]}  # as GitHub says it
        pq.write_table(pa.table(unknown), tmp_path / "a.parquet")
        assert [row["license"] for row in read_rows(tmp_path, **SOURCE)] == [None, "ISC"]
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        found = [(row["origin"], row["license"]) for row in read_rows(tmp_path, **SOURCE)]
        assert found == [("o/r@abc:src/a.py", "MIT"), ("o/r@abc:src/b.py", "ISC")]
