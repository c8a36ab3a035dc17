import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from datapipe import readers, s3_reads, store
from datapipe.readers import path_lists
from datapipe.readers.split import pattern

ReadRows = Callable[..., list[dict[str, Any]]]
NAMES = [f"crawl/segment-{number // 5}/{number:02}.jsonl" for number in range(20)]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Twenty files below `mirror/`, and a list of them beside it."""
    for name in NAMES:
        path = tmp_path / "mirror" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": name}) + "\n")
    (tmp_path / "all.paths").write_text("# a comment\n\n" + "\r\n".join(NAMES))
    return tmp_path


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("name", ["warc.paths", "warc.paths.gz", "warc.paths.zst"])
def test_lines_below_a_base(mirror: Path, read_rows: ReadRows, pack: Callable[[bytes], bytes], name: str) -> None:
    (mirror / name).write_bytes(pack("\n".join(NAMES).encode()))
    rows = read_rows(mirror, reader="jsonl", paths=[name], base="mirror")
    assert texts(rows) == NAMES
    assert [row["raw"]["file"] for row in rows] == NAMES


def test_the_base_is_the_data_folder_unless_told(mirror: Path, read_rows: ReadRows) -> None:
    assert texts(read_rows(mirror / "mirror", reader="jsonl", paths=[f"{mirror}/all.paths"])) == NAMES
    source = {"reader": "jsonl", "paths": ["../all.paths"], "split_bytes": 1}
    assert len(readers.list_splits(source, str(mirror / "mirror"))) == 20


def test_absolute_lines_are_named_by_what_follows_the_base(mirror: Path, read_rows: ReadRows) -> None:
    (mirror / "own.paths").write_text("\n".join(f"{mirror}/mirror/{name}" for name in NAMES))
    rows = read_rows(mirror, reader="jsonl", paths=["own.paths"], base=f"{mirror}/mirror/")
    assert [row["raw"]["file"] for row in rows] == NAMES
    with pytest.raises(store.StoreError, match=r"line 1 is .*not below .*\n.*set `base`"):
        read_rows(mirror, reader="jsonl", paths=["own.paths"], base="elsewhere")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"first": 3}, NAMES[:3]),
        ({"every": 7}, NAMES[::7]),
        ({"every": 7, "first": 2}, NAMES[:8:7]),
        ({"first": 99}, NAMES),
    ],
)
def test_a_part_of_a_list(mirror: Path, read_rows: ReadRows, options: dict[str, int], expected: list[str]) -> None:
    source = {"reader": "jsonl", "paths": ["all.paths"], "base": "mirror", **options}
    assert texts(read_rows(mirror, **source)) == expected


def test_several_lists_and_files_at_once(mirror: Path, read_rows: ReadRows) -> None:
    for number in range(2):
        (mirror / f"part-{number}.paths").write_text("\n".join(NAMES[number * 8 :]))
    paths = ["part-*.paths", f"mirror/{NAMES[0]}"]
    found = texts(read_rows(mirror, reader="jsonl", paths=paths, base="mirror", first=2))
    assert found == [*NAMES[:2], *NAMES[8:10], NAMES[0]]  # the last is another file to the manifest: mirror/...


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"crawl/segment-0/00.jsonl\n\n#x\ncrawl/segment-0/none.jsonl\n", "line 4 names .*none.jsonl: no such file"),
        (b"https://x.org/a.gz\n", "line 1 is https://x.org/a.gz, in a store that is not read"),
        (b"crawl/segment-0\n", "line 1 names .*segment-0: Is a directory"),
        (b"\xff\xfe\n", "line 1 is no path"),
        (b"x" * 10_000, "line 1 is no path"),
        (gzip.compress(b"a\n" * 99, mtime=0)[:-9], "is truncated: what begins at byte 0 does not decompress"),
        (b"\n# nothing\n", "no line of it names a file"),
    ],
)
def test_a_bad_list_names_the_line(mirror: Path, content: bytes, message: str) -> None:
    (mirror / "bad.paths").write_bytes(content)
    with pytest.raises(store.StoreError, match=message) as refusal:
        readers.list_splits({"reader": "jsonl", "paths": ["bad.paths"], "base": "mirror"}, str(mirror))
    assert refusal.value.path.endswith("bad.paths")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"reader": "tree", "paths": ["x.paths"]}, "lists files, and reader 'tree' reads folders"),
        ({"reader": "warc", "paths": ["x"], "first": 3}, "first: is about a list of paths, and `paths` names none"),
        ({"reader": "warc", "paths": ["x.paths"], "every": 0}, "every: 0 is below 1"),
        ({"reader": "warc", "paths": ["x.paths"], "base": 3}, "base: 3 is not of type str; type a text"),
        ({"reader": "warc", "paths": ["x.paths"], "base": "https://x/"}, "base: 'https://x/' is in a store that is not read"),
    ],
)  # fmt: skip
def test_bad_options(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refusal:
        readers.check_source(source)
    assert message in str(refusal.value)


def test_s3_is_listed_by_folder(s3: str, mirror: Path, read_rows: ReadRows, monkeypatch: pytest.MonkeyPatch) -> None:
    names = NAMES[:10]
    for name in names:
        store.write_bytes(f"{s3}/mirror/{name}", (mirror / "mirror" / name).read_bytes())
    store.write_bytes(f"{s3}/all.paths.gz", gzip.compress("\n".join(names).encode()))
    asked: list[str] = []
    look_up = s3_reads.stat
    monkeypatch.setattr(s3_reads, "stat", lambda path, **_: asked.append(path) or look_up(path))
    for limit, num_single in ((20, 10), (4, 0)):
        monkeypatch.setattr(path_lists, "MAX_SINGLE_LOOKUPS", limit)
        asked.clear()
        found = path_lists.find(pattern("all.paths.gz", s3), f"{s3}/mirror", None, 1)
        assert [one.name for one in found] == names
        assert len(asked) == num_single + 1  # the list itself
        assert all(one.fingerprint and one.size_bytes > 30 for one in found)
    rows = read_rows(s3, reader="jsonl", paths=["all.paths.gz"], base=f"{s3}/mirror/")
    assert texts(rows) == names
    local = read_rows(mirror, reader="jsonl", paths=["all.paths"], base="mirror", first=10)
    assert [row["id"] for row in rows] == [row["id"] for row in local]
    store.write_bytes(f"{s3}/bad.paths", b"crawl/none.jsonl")
    with pytest.raises(store.StoreError, match=r"line 1 names .*/none.jsonl: NoSuchKey"):
        read_rows(s3, reader="jsonl", paths=["bad.paths"], base="mirror")
