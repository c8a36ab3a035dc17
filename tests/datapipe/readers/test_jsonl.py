import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datapipe import readers
from datapipe.readers import jsonl
from datapipe.readers.split import Input

ReadRows = Callable[..., list[dict[str, Any]]]


def read(path: Path, **options: Any) -> list[dict[str, Any]]:
    return list(jsonl.read(Input(str(path), path.name, path.stat().st_size, "print"), **options))


def read_bytes(folder: Path, data: bytes, **options: Any) -> list[dict[str, Any]]:
    path = folder / "x.jsonl"
    path.write_bytes(data)
    return read(path, **options)


def outcomes(rows: list[dict[str, Any]]) -> list[str]:
    """The text of a document, the reason of a bad line."""
    return [row.get("drop_reason") or row["text"] for row in rows]


LINES = [json.dumps({"text": f"words ü {number}"}).encode() for number in range(2000)]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
def test_every_compression(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    whole, without_end = b"\n".join(LINES) + b"\n", b"\r\n\r\n".join(LINES)
    for data in (whole, without_end):
        rows = read_bytes(tmp_path, compress(data))
        assert outcomes(rows) == [f"words ü {number}" for number in range(2000)]
        for row in rows[::500]:
            raw = row["raw"]
            assert json.loads(data[raw["offset"] :][: raw["length"]])["text"] == row["text"]


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (b'{"text": "ok"}', "ok"),
        (b'\xef\xbb\xbf{"text": "with a mark"}', "with a mark"),
        (b'{"text": "ok"', "jsonl.invalid"),
        (b"plain words", "jsonl.invalid"),
        (b'["text"]', "jsonl.invalid"),
        (b"[" * 100_000, "jsonl.invalid"),
        (b'{"text": ' + b"1" * 10_000 + b"}", "jsonl.invalid"),
        (b'{"text": "sch\xf6n"}', "jsonl.not_utf8"),
        (b'{"body": "ok"}', "jsonl.no_text"),
        (b'{"text": null}', "jsonl.no_text"),
        (b'{"text": 3}', "jsonl.no_text"),
        (b'{"text": " \\n"}', "jsonl.no_text"),
        (b'{"text": "' + b"x" * 5000 + b'"}', "jsonl.too_long"),
    ],
)
def test_a_bad_line_costs_no_other(tmp_path: Path, line: bytes, outcome: str) -> None:
    rows = read_bytes(
        tmp_path,
        b"\n".join([LINES[0], line, b"  ", LINES[1]]),
        max_line_bytes=1 << 20 if b"[[" in line or b"11" in line else 4000,
    )
    assert outcomes(rows) == ["words ü 0", outcome, "words ü 1"]
    assert rows[1]["origin"] == f"x.jsonl#{len(LINES[0]) + 1}"


def test_keys(tmp_path: Path) -> None:
    record = {"body": "words", "url": "http://x", "n": 7, "spdx": "MIT", "l": "en", "empty": "", "list": []}
    line = json.dumps(record).encode()
    (row,) = read_bytes(tmp_path, line, text_key="body", origin_key="url", license_key="spdx", lang_key="l")
    assert (row["text"], row["origin"], row["license"], row["lang"]) == ("words", "http://x", "MIT", "en")
    (row,) = read_bytes(tmp_path, line, text_key="body", id_key="n", license_key="list", lang_key="empty")
    assert (row["origin"], row["license"], row["lang"]) == ("x.jsonl#7", None, None)
    (row,) = read_bytes(tmp_path, line, text_key="body", origin_key="absent")
    assert row["origin"] == "x.jsonl#0"


def test_an_id_does_not_move_with_its_line(tmp_path: Path) -> None:
    one, two = (json.dumps({"text": name, "id": name}).encode() for name in ("a", "b"))
    origins = [
        {row["text"]: row["origin"] for row in read_bytes(tmp_path, data, id_key="id")}
        for data in (one + b"\n" + two, two + b"\n" + one)
    ]
    assert origins[0] == origins[1]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bz2.compress])
def test_a_cut_file_keeps_the_lines_before(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    first, second = compress(b"\n".join(LINES[:1000]) + b"\n"), compress(b"\n".join(LINES[1000:]))
    rows = read_bytes(tmp_path, first + second[: len(second) // 2])
    assert outcomes(rows)[:1000] == [f"words ü {number}" for number in range(1000)]
    assert outcomes(rows)[-1] == "jsonl.truncated"
    assert json.loads(rows[-1]["meta"]) == {"file_offset": len(first)}
    rows = read_bytes(tmp_path, first + b"junk")
    assert outcomes(rows)[1000:] == ["jsonl.damaged"]


def test_lines_around_the_limit(tmp_path: Path) -> None:
    limit = 3 * jsonl.PIECE_BYTES
    for length in (
        jsonl.PIECE_BYTES - 1,
        jsonl.PIECE_BYTES,
        jsonl.PIECE_BYTES + 1,
        limit - 1,
        limit,
        limit + 1,
        2 * limit,
    ):
        line = b'{"text": "' + b"x" * (length - 13) + b'"}\n'
        assert len(line) == length
        rows = read_bytes(tmp_path, LINES[0] + b"\n" + line + LINES[1], max_line_bytes=limit)
        assert [row.get("drop_reason") for row in rows] == [None, "jsonl.too_long" if length > limit else None, None]
        assert rows[1]["raw"] == {"file": "x.jsonl", "offset": len(LINES[0]) + 1, "length": length}


@pytest.mark.parametrize("opener", [open, gzip.open], ids=["plain", "gzip"])
def test_a_line_of_200_mb_costs_64_mb(tmp_path: Path, opener: Callable[..., Any]) -> None:
    path = tmp_path / "x.jsonl"
    with opener(path, "wb") as stream:
        stream.write(LINES[0] + b"\n" + b'{"text": "')
        for _ in range(200):
            stream.write(b"x" * 1_000_000)
        stream.write(b'"}\n' + LINES[1])
    tracemalloc.start()
    rows = read(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcomes(rows) == ["words ü 0", "jsonl.too_long", "words ü 1"]
    assert rows[1]["raw"]["length"] == 200_000_013
    assert peak_bytes < 64 << 20


def test_lone_surrogates_and_nuls_become_valid_text(tmp_path: Path, read_rows: ReadRows) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"text": "a\\ud83db\\u0000c \\ud83d\\ude00", "url": "u\\udfff"}')
    (row,) = read_rows(tmp_path, reader="jsonl", paths=["x.jsonl"], origin_key="url")
    assert row["text"] == "a���bc 😀"
    assert row["origin"] == "u���"


@pytest.mark.parametrize(
    ("pattern", "key"),
    [("gsm8k*.gz", "question"), ("math_test*", "problem"), ("mbpp*", "text"), ("humaneval-python*", "prompt")],
)
def test_real_files(shared_data: Path, read_rows: ReadRows, pattern: str, key: str) -> None:
    expected = []
    for path in sorted((shared_data / "evals").glob(pattern)):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            expected += [json.loads(line)[key] for line in lines]
    rows = read_rows(shared_data, reader="jsonl", paths=[f"evals/{pattern}"], text_key=key, kind="math")
    assert [row["text"] for row in rows] == expected
    assert len({row["id"] for row in rows}) == len(rows)
    assert {row["kind"] for row in rows} == {"math"}


@given(
    st.lists(
        st.sampled_from([b"", b"{}", b"junk", b'{"text": "a"}', b'{"text": "' + b"long " * 9 + b'"}']), max_size=12
    ),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(1, 90),
    st.booleans(),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_together_are_the_file(
    tmp_path: Path, lines: list[bytes], end: bytes, range_bytes: int, has_last_end: bool
) -> None:
    data = end.join(lines) + (end if has_last_end else b"")
    whole = read_bytes(tmp_path, data, max_line_bytes=40)
    file = Input(str(tmp_path / "x.jsonl"), "x.jsonl", len(data), "print")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "RANGE_BYTES", range_bytes)
        patch.setattr(jsonl, "PIECE_BYTES", 7)
        parts = jsonl.cut(file)
    assert len(parts) == (1 if len(data) < 2 * range_bytes else -(-len(data) // range_bytes))
    assert sum(part.size_bytes for part in parts) == len(data)
    assert [row for part in parts for row in jsonl.read(part, max_line_bytes=40)] == whole


def test_a_large_file_is_read_by_many_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows
) -> None:
    content = b"\n".join(LINES) + b"\n"
    (tmp_path / "x.jsonl").write_bytes(content)
    (tmp_path / "y.jsonl.gz").write_bytes(gzip.compress(content))
    source: dict[str, Any] = {"reader": "jsonl", "paths": ["*"]}
    whole = read_rows(tmp_path, **source)
    monkeypatch.setattr(jsonl, "RANGE_BYTES", 5000)
    for split_bytes, num_splits in ((5000, 12), (12_000, 4), (1 << 20, 1)):
        splits = readers.list_splits({**source, "split_bytes": split_bytes}, str(tmp_path))
        assert len(splits) >= num_splits
        assert read_rows(tmp_path, **source, split_bytes=split_bytes) == whole


def test_one_endless_line_costs_each_range_its_own_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"text": "' + b"x" * 1_000_000)
    monkeypatch.setattr(jsonl, "RANGE_BYTES", 100_000)
    monkeypatch.setattr(jsonl, "PIECE_BYTES", 1000)
    parts = jsonl.cut(Input(str(tmp_path / "x.jsonl"), "x.jsonl", 1_000_010, "print"))
    rows = [[row["drop_reason"] for row in jsonl.read(part, max_line_bytes=5000)] for part in parts]
    assert rows == [["jsonl.too_long"], *[[]] * 10]
    with open(tmp_path / "x.jsonl", "rb") as stream:
        jsonl._bounds(stream, parts[3])
        assert stream.tell() < 402_000


def test_the_first_of_several_text_keys_counts(tmp_path: Path, read_rows: ReadRows) -> None:
    (tmp_path / "a.jsonl").write_text('{"problem": "p"}\n{"question": "q", "problem": "p"}\n{"other": "x"}\n')
    rows = read_rows(tmp_path, reader="jsonl", paths=["a.jsonl"], text_key="question|problem")
    assert [row["text"] for row in rows] == ["p", "q", ""]
