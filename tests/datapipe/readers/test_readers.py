import dataclasses
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe import readers, store
from datapipe.readers import split
from datapipe.schema import DOCUMENT, document_id

ReadRows = Callable[..., list[dict[str, Any]]]

KNOWN = ", ".join(readers.READERS)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Nine JSONL files of 100 bytes, in two folders."""
    for name in ("b/4", "a/1", "a/3", "a/2", "b/1", "b/2", "b/3", "b/5", "b/6"):
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"text": name}).ljust(99) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"paths": ["x"]}, f"names no reader; add `reader:` with one of {KNOWN}"),
        ({"reader": "wrac", "paths": ["x"]}, "reader: 'wrac' is unknown; did you mean 'warc'?"),
        ({"reader": "csv", "paths": ["x"]}, f"reader: 'csv' is unknown; use one of {KNOWN}"),
        ({"reader": ["warc"], "paths": ["x"]}, "reader: ['warc'] is unknown; did you mean 'warc'?"),
        ({"reader": "warc", "paths": ["a", "https://x/y.gz"]}, "paths: 'https://x/y.gz' is in a store that is not read"),
        ({"reader": "warc", "paths": ["s3://"]}, "paths: 's3://' names no bucket; write s3://bucket/folder"),
        ({"reader": "warc", "paths": ["s3://*/a.gz"]}, "paths: 's3://*/a.gz' names no bucket"),
        ({"reader": "warc"}, "paths: None is no list of paths"),
        ({"reader": "warc", "paths": []}, "paths: [] is no list of paths"),
        ({"reader": "warc", "paths": "x"}, "paths: 'x' is no list of paths"),
        ({"reader": "jsonl", "paths": ["x"], "txt_key": "a"}, "txt_key: reader 'jsonl' has no such option; did you mean 'text_key'?"),
        ({"reader": "warc", "paths": ["x"], "text_key": "a"}, "text_key: reader 'warc' has no such option"),
        ({"reader": "warc", "paths": ["x"], "kind": "wbe"}, "kind: 'wbe' is unknown; did you mean 'web'?"),
        ({"reader": "warc", "paths": ["x"], "split_bytes": "1Gi"}, "split_bytes: '1Gi' is not of type int; type a whole number"),
        ({"reader": "warc", "paths": ["x"], "max_record_bytes": 0}, "max_record_bytes: 0 is below 1"),
        ({"reader": "warc", "paths": ["x"], "max_record_bytes": True}, "max_record_bytes: True is not of type int"),
        ({"reader": "jsonl", "paths": ["x"], "id_key": 3}, "id_key: 3 is not of type str; type a text"),
        ({"reader": "tree", "paths": ["x"], "unit": "repository"}, "unit: reader 'tree' has no such option"),
        ({"reader": "git", "paths": ["x"], "unit": "repo"}, "unit: 'repo' is unknown; use one of file, commit"),
        ({"reader": "git", "paths": ["x.paths"]}, "paths: 'x.paths' lists files, and reader 'git' reads folders"),
    ],
)  # fmt: skip
def test_a_bad_source_is_refused_before_any_data_is_touched(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refusal:
        readers.check_source(source)
    assert message in str(refusal.value)
    with pytest.raises(ValueError, match=r"\w"):
        readers.list_splits(source, "/nonexistent")


def test_a_good_source_passes() -> None:
    readers.check_source(
        {"reader": "jsonl", "paths": ["x"], "kind": "math", "split_bytes": 1, "text_key": "t", "id_key": None}
    )
    readers.check_source({"reader": "git", "paths": ["x"], "unit": "commit", "history": "all"})


def test_inputs_are_sorted_and_grouped(files: Path) -> None:
    def names(**source: Any) -> list[list[str]]:
        splits = readers.list_splits({"reader": "jsonl", "paths": ["b/*", "a/*.jsonl", "a"], **source}, str(files))
        assert [each.index for each in splits] == list(range(len(splits)))
        return [[one.name.removesuffix(".jsonl") for one in each.inputs] for each in splits]

    everything = ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3", "b/4", "b/5", "b/6"]
    assert names() == [everything[:3], everything[3:]]
    assert names(split_bytes=250) == [everything[:3], everything[3:6], everything[6:]]
    assert names(split_bytes=1) == [[name] for name in everything]


@pytest.mark.parametrize(
    ("least", "most", "sizes"), [(1 << 20, 1 << 20, [3, 6]), (100, 1 << 20, [2, 1, 2, 2, 2]), (1, 100, [1] * 9)]
)
def test_splits_are_smaller_where_there_is_little(
    files: Path, monkeypatch: pytest.MonkeyPatch, least: int, most: int, sizes: list[int]
) -> None:
    """900 bytes, for 5 splits: 180 each, within limits."""
    for name, value in {"NUM_SPLITS": 5, "LEAST_SPLIT_BYTES": least, "SPLIT_BYTES": most}.items():
        monkeypatch.setattr(readers, name, value)
    splits = readers.list_splits({"reader": "jsonl", "paths": ["a", "b"]}, str(files))
    assert [len(split.inputs) for split in splits] == sizes


def test_a_split_is_of_one_entry_of_paths(files: Path) -> None:
    def paths(*entries: str) -> dict[str, int]:
        splits = readers.list_splits({"reader": "jsonl", "paths": list(entries)}, str(files))
        return {split.path: len(split.inputs) for split in splits}

    assert paths("b/*", "a/*.jsonl", "a") == {"a/*.jsonl": 3, "b/*": 6}, "what two name counts to the first"
    assert paths("b/2.jsonl", "a/1.jsonl", "b/1.jsonl") == {"a/1.jsonl": 1, "b/1.jsonl": 1, "b/2.jsonl": 1}
    again = ["b/1.jsonl"] * readers.MAX_ENTRIES
    assert paths("b/2.jsonl", "a/1.jsonl", *again) == {"a/": 1, "b/": 2}, "many single files are one split per folder"


def test_a_split_travels_as_pickle_and_json(files: Path) -> None:
    (whole,) = readers.list_splits({"reader": "jsonl", "paths": ["a"]}, str(files))
    assert pickle.loads(pickle.dumps(whole)) == whole
    again = json.loads(json.dumps(dataclasses.asdict(whole)))
    inputs = tuple(readers.Input(**one) for one in again.pop("inputs"))
    assert readers.Split(inputs=inputs, **again) == whole


def test_nothing_of_this_machine_in_a_split_or_its_rows(files: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "deep"
    files.joinpath("a").rename(elsewhere)
    (elsewhere.parent / "a").symlink_to(elsewhere)
    for root, paths in (
        (elsewhere.parent, ["./a/*.jsonl"]),
        (elsewhere, [f"{elsewhere.parent}/*/3.jsonl"]),
        (Path("."), [f"{elsewhere}"]),
    ):
        for each in readers.list_splits({"reader": "jsonl", "paths": paths}, str(root)):
            rows = [table.to_pylist() for table in readers.read(each, "c")]
            assert str(elsewhere.parent) not in json.dumps([rows, each.identity()])


def test_names_of_relative_absolute_and_remote_paths() -> None:
    name = lambda written, root, path: split.pattern(written, root).name(path)  # noqa: E731
    assert name("./x/*.gz", "/data", "/data/x/a.gz") == "x/a.gz"
    assert name("../x/a.gz", "/data", "/data/../x/a.gz") == "../x/a.gz"
    assert name("x/a.gz", "", "x/a.gz") == "x/a.gz"
    assert name("x/a.gz", ".", "./x/a.gz") == "x/a.gz"
    assert name("x/a.gz", "s3://b/base", "s3://b/base/x/a.gz") == "x/a.gz"
    assert name("/cc/*/warc/*.gz", "/data", "/cc/2024/warc/a.gz") == "2024/warc/a.gz"
    assert name("/cc/a.gz", "/data", "/cc/a.gz") == "a.gz"
    assert name("s3://b/cc/*.gz", "/data", "s3://b/cc/a.gz") == "s3://b/cc/a.gz"


def test_names_that_clash_are_refused(files: Path) -> None:
    with pytest.raises(ValueError, match=r"would both be named 1\.jsonl; use relative paths"):
        readers.list_splits({"reader": "jsonl", "paths": [f"{files}/a/1.jsonl", f"{files}/b/1.jsonl"]}, "")


@pytest.mark.parametrize(
    ("reader", "path"), [("jsonl", "a/*.json"), ("jsonl", "empty"), ("tree", "a/*"), ("git", "a/*"), ("html", "none/*")]
)
def test_a_path_that_matches_nothing(files: Path, reader: str, path: str) -> None:
    (files / "empty").mkdir()
    with pytest.raises(store.StoreError, match="nothing to read matches") as refusal:
        readers.list_splits({"reader": reader, "paths": [path]}, str(files))
    assert refusal.value.path == path


def test_a_folder_of_other_files_is_not_said_to_be_missing(files: Path) -> None:
    with pytest.raises(store.StoreError, match=r"files match, such as .*\.jsonl, and none ends in \.warc") as refusal:
        readers.list_splits({"reader": "warc", "paths": ["a"]}, str(files))
    assert refusal.value.path == "a"
    assert "reader" in refusal.value.remedy


def test_a_missing_bucket(s3: str) -> None:
    with pytest.raises(store.StoreError, match="NoSuchBucket"):
        readers.list_splits({"reader": "warc", "paths": ["s3://no-such-bucket/*.warc.gz"]}, "")


@pytest.mark.parametrize("name", ["warc", "html", "jsonl"])
def test_an_empty_file(tmp_path: Path, read_rows: ReadRows, name: str) -> None:
    (tmp_path / f"x.{name}").touch()
    rows = read_rows(tmp_path, reader=name, paths=[f"x.{name}"])
    assert [row["drop_reason"] for row in rows] == (["html.empty"] if name == "html" else [])


def test_tables_are_bounded_and_of_one_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"text": "x" * 1000}, {}] * 1500
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (whole,) = readers.list_splits({"reader": "jsonl", "paths": ["x.jsonl"]}, str(tmp_path))
    tables = list(readers.read(whole, "c"))
    assert [table.num_rows for table in tables] == [1000, 1000, 1000]
    monkeypatch.setattr(split, "TABLE_BYTES", 100_000)
    tables = list(readers.read(whole, "c"))
    assert {table.num_rows for table in tables[:-1]} <= {199, 200}
    assert {tuple(table.schema.names) for table in tables} == {(*DOCUMENT.names, "drop_reason")}


def test_columns(files: Path, read_rows: ReadRows) -> None:
    row = read_rows(files, reader="jsonl", paths=["a/1.jsonl"])[0]
    assert row == {
        "id": document_id("a/1.jsonl#0"),
        "text": "a/1",
        "origin": "a/1.jsonl#0",
        "corpus": "test",
        "kind": "web",
        "lang": None,
        "license": None,
        "raw": {"file": "a/1.jsonl", "offset": 0, "length": 100},
        "meta": "{}",
        "drop_reason": None,
    }
    assert read_rows(files, reader="jsonl", paths=["a/1.jsonl"], kind="book")[0]["kind"] == "book"


@pytest.mark.parametrize("reader", ["jsonl", "html", "tree"])
def test_a_file_name_that_is_no_unicode(tmp_path: Path, read_rows: ReadRows, reader: str) -> None:
    suffix = {"jsonl": b".jsonl", "html": b".html", "tree": b".py"}[reader]
    (tmp_path / "x").mkdir()
    with open(os.fsencode(tmp_path / "x") + b"/caf\xe9" + suffix, "wb") as file:
        file.write(b'{"text": "a page"}')
    [row] = read_rows(tmp_path, reader=reader, paths=["x"])
    assert ("caf\\xe9" if reader == "tree" else "caf\ufffd") in row["raw"]["file"]
    assert row["drop_reason"] is None


def test_labels_with_lone_surrogates_and_nul(tmp_path: Path, read_rows: ReadRows) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a", "license": "M\\ud800IT", "lang": "e\\u0000n"}\n')
    [row] = read_rows(tmp_path, reader="jsonl", paths=["x.jsonl"], license_key="license", lang_key="lang")
    assert (row["license"], row["lang"]) == ("M\ufffd\ufffd\ufffdIT", "en")


def test_import_is_cheap() -> None:
    heavy = {"ray", "polars", "s3fs", "fastwarc", "torch", "charset_normalizer", "zstandard"}
    program = f"import sys, datapipe.readers; sys.exit(' '.join({heavy} & set(sys.modules)) or None)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
