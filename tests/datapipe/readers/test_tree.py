import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe import readers, store

ReadRows = Callable[..., list[dict[str, Any]]]
Files = dict[str, bytes | str]
SOURCE = {"reader": "tree", "paths": ["repos/*"]}


def write(root: str, files: Files) -> None:
    for path, content in files.items():
        store.write_bytes(store.join(root, path), content.encode() if isinstance(content, str) else content)


ABOUT = json.dumps({"name": "alpha", "version": "1.2", "license": "MIT OR Apache-2.0"})
ALPHA: Files = {
    "repos/alpha/repo.json": ABOUT,
    "repos/alpha/README.md": "# Alpha\n",
    "repos/alpha/pyproject.toml": "[project]\n",
    "repos/alpha/a/core.py": "print('ü')\n\n\n",
    "repos/alpha/a/tagged.c": "/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */\nint x;\n",
    "repos/alpha/bin/run": "#!/usr/bin/env python3\n1\n",
    "repos/alpha/a/empty.py": "",
    "repos/alpha/a/latin.py": "ö".encode("latin-1"),
    "repos/alpha/a/binary.py": b"x\0y",
    "repos/alpha/a/big.py": "x = 1\n" * 2000,
    "repos/alpha/a/logo.png": b"\x89PNG",
    "repos/alpha/LICENSE": "Permission is hereby granted",
    "repos/alpha/.git/config.py": "hidden",
    "repos/alpha/node_modules/x/index.js": "vendored",
    "repos/alpha/a/__pycache__/core.py": "cached",
}


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_document_per_file(tmp_path: Path, request: pytest.FixtureRequest, read_rows: ReadRows, kind: str) -> None:
    root = str(tmp_path) if kind == "local" else f"{request.getfixturevalue('s3')}/trees"
    write(root, ALPHA)
    rows = read_rows(root, **SOURCE, max_file_bytes=5000)
    found = {row["origin"]: (row["drop_reason"], row["lang"], row["license"]) for row in rows}
    licence = "MIT OR Apache-2.0"
    assert found == {
        "alpha@1.2:README.md": (None, "markdown", licence),
        "alpha@1.2:pyproject.toml": (None, "toml", licence),
        "alpha@1.2:a/core.py": (None, "python", licence),
        "alpha@1.2:a/tagged.c": (None, "c", "GPL-2.0-only WITH Linux-syscall-note"),
        "alpha@1.2:bin/run": (None, "python", licence),
        "alpha@1.2:a/empty.py": ("file.empty", None, None),
        "alpha@1.2:a/latin.py": ("file.not_utf8", None, None),
        "alpha@1.2:a/binary.py": ("file.binary", None, None),
        "alpha@1.2:a/big.py": ("file.too_large", None, None),
        "alpha@1.2:a/logo.png": ("file.not_source", None, None),
        "alpha@1.2:LICENSE": (None, "text", licence),
    }
    core = next(row for row in rows if row["origin"].endswith("core.py"))
    assert (core["text"], core["kind"]) == ("print('ü')\n\n\n", "code")
    assert core["raw"] == {"file": "repos/alpha/a/core.py", "offset": 0, "length": 14}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b" \t\r\n\x0b\x0c", ("file.empty", "")),
        (b" \n\x1c", (None, " \n\x1c")),  # a separator that only Unicode calls white space
        (b"\xef\xbb\xbfx = 1\n", (None, "x = 1\n")),
        (b"\xef\xbb\xbf\xef\xbb\xbfx", (None, "\ufeffx")),  # the second one is text
        (b"\xef\xbb\xbf", (None, "")),
        (b"x\xef\xbb", ("file.not_utf8", "")),
    ],
)
def test_white_space_and_byte_order_marks(
    tmp_path: Path, read_rows: ReadRows, data: bytes, expected: tuple[str | None, str]
) -> None:
    write(str(tmp_path), {"repos/a/x.py": data})
    [row] = read_rows(str(tmp_path), **SOURCE)
    assert (row["drop_reason"], row["text"]) == expected


def test_what_divides_an_origin_is_replaced_in_names_and_kept_in_paths(tmp_path: Path, read_rows: ReadRows) -> None:
    write(str(tmp_path), {"repos/a/repo.json": '{"name": "@x/y", "version": "1:2"}', "repos/a/x/y/b@c:d.py": "1"})
    assert [row["origin"] for row in read_rows(str(tmp_path), **SOURCE)] == ["_x/y@1_2:x/y/b@c:d.py"]


def test_a_repository_in_a_repository_is_part_of_it(tmp_path: Path) -> None:
    write(str(tmp_path), {"repos/a/x.py": "1", "repos/a/sub/y.py": "2", "repos/ab/z.py": "3"})
    (split,) = readers.list_splits({"reader": "tree", "paths": ["repos/**"]}, str(tmp_path))
    assert [one.name for one in split.inputs] == ["repos"]
    (split,) = readers.list_splits({"reader": "tree", "paths": ["repos/*", "repos/*/sub/"]}, str(tmp_path))
    assert [one.name for one in split.inputs] == ["repos/a", "repos/ab"]


def test_ids_are_the_same_in_every_folder(tmp_path: Path, read_rows: ReadRows) -> None:
    for place in ("one", "two"):
        write(str(tmp_path / place), {"repos/x/a.py": "1\n", "repos/x/b.py": "2\n"})
    one, two = (read_rows(tmp_path / place, **SOURCE) for place in ("one", "two"))
    assert one == two
    absolute = read_rows("/elsewhere", reader="tree", paths=[f"{tmp_path}/one/repos/x"])
    assert [row["id"] for row in absolute] == [row["id"] for row in one]
    assert all(str(tmp_path) not in json.dumps(row) for row in one + absolute)


def test_an_unstated_version_follows_the_content(tmp_path: Path, read_rows: ReadRows) -> None:
    write(str(tmp_path), {"repos/x/a.py": "1"})
    before = read_rows(tmp_path, **SOURCE)[0]["origin"]
    write(str(tmp_path), {"repos/x/a.py": "2"})
    after = read_rows(tmp_path, **SOURCE)[0]["origin"]
    assert before.startswith("x@")
    assert before != after


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("repo.json", "[" * 100_000),
        ("package.json", "[" * 100_000),
        ("Cargo.toml", "a = " + "[" * 10_000),
        ("pyproject.toml", "a = " + "1" * 5_000),
    ],
)
def test_metadata_made_to_break_a_parser_says_nothing(
    tmp_path: Path, read_rows: ReadRows, file: str, content: str
) -> None:
    write(str(tmp_path), {"repos/x/a.py": "1", f"repos/x/{file}": content})
    assert read_rows(tmp_path, **SOURCE)[0]["origin"].startswith("x@")


def test_links_are_counted_and_not_followed(tmp_path: Path, read_rows: ReadRows) -> None:
    write(str(tmp_path), {"repos/x/a.py": "1", "repos/x/b/c.py": "4", "secret.py": "2", "folder/b.py": "3"})
    for name, target in {
        "link.py": "secret.py",
        "folder": "folder",
        "broken.py": "nowhere",
        "b/loop": "repos/x",
    }.items():
        os.symlink(tmp_path / target, tmp_path / "repos/x" / name)
    os.mkfifo(tmp_path / "repos/x/pipe.py")
    rows = read_rows(tmp_path, **SOURCE)
    links = dict.fromkeys(("b/loop", "broken.py", "folder", "link.py"), ("file.link", ""))
    found = {row["origin"].partition(":")[2]: (row["drop_reason"], row["text"]) for row in rows}
    assert found == {"a.py": (None, "1"), "b/c.py": (None, "4"), **links}


def test_prose_and_package_metadata_are_documents(tmp_path: Path, read_rows: ReadRows) -> None:
    prose = ["README", "CHANGES.txt", "docs/guide.txt", "docs/a.rst", "notes.md"]
    metadata = ["go.mod", "requirements.txt", "pom.xml", "package.json", "pyproject.toml", "Cargo.toml"]
    write(
        str(tmp_path),
        {
            f"repos/x/{path}": "Some words of a guide, in whole sentences. They end here.\n" * 5
            for path in [*prose, *metadata, "notes.xyz", "Readme.png"]
        },
    )
    rows = {row["origin"].partition(":")[2]: row for row in read_rows(tmp_path, **SOURCE)}
    assert {path for path in rows if rows[path]["drop_reason"]} == {"notes.xyz", "Readme.png"}
    roles = {path: json.loads(row["meta"]).get("role") for path, row in rows.items()}
    assert {roles[path] for path in prose} == {"documentation"}
    assert {roles[path] for path in metadata} == {"configuration"}


def test_names_that_are_no_utf8_stay_apart(tmp_path: Path, read_rows: ReadRows) -> None:
    write(str(tmp_path), {f"repos/x/{os.fsdecode(name)}": name for name in (b"caf\xe9.py", b"caf\xe8.py")})
    rows = read_rows(tmp_path, **SOURCE)
    assert [row["origin"].partition(":")[2] for row in rows] == ["caf\\xe8.py", "caf\\xe9.py"]


def test_a_file_of_any_size_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_rows: ReadRows) -> None:
    write(str(tmp_path), {"repos/x/a.py": "1"})
    with open(tmp_path / "repos/x/min.js", "wb") as file:
        file.truncate(500_000_000)
    monkeypatch.setattr(store, "fingerprint", lambda info: str(info.size_bytes))  # listing it reads it in pieces
    tracemalloc.start()
    rows = read_rows(tmp_path, **SOURCE)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row["drop_reason"] for row in rows] == [None, "file.too_large"]
    assert peak_bytes < 10_000_000


def test_an_installed_package(read_rows: ReadRows) -> None:
    import jinja2

    folder = Path(jinja2.__file__).parent
    rows = read_rows("", reader="tree", paths=[str(folder)])
    kept = {row["origin"].partition(":")[2]: row["text"] for row in rows if row["lang"] == "python"}
    assert kept == {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.py")}


def test_a_folder_that_cannot_be_listed_is_counted(tmp_path: Path, read_rows: ReadRows) -> None:
    """Deeper than a path can be long: it can only be made step by step."""
    top = tmp_path / "repos/x"
    top.mkdir(parents=True)
    (top / "a.py").write_text("x = 1\n")
    handle = os.open(top, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=handle)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(os.open("deep.py", os.O_CREAT, dir_fd=handle))
    os.close(handle)
    assert [row["drop_reason"] for row in read_rows(tmp_path, **SOURCE)] == [None, "file.damaged"]
