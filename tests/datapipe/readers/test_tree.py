import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datapipe import readers, store
from datapipe.readers.languages import LANGUAGES, language_of

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
        "alpha@1.2:a/empty.py": ("tree.empty", None, licence),
        "alpha@1.2:a/latin.py": ("tree.not_utf8", None, licence),
        "alpha@1.2:a/binary.py": ("tree.binary", None, licence),
        "alpha@1.2:a/big.py": ("tree.too_large", None, licence),
        "alpha@1.2:a/logo.png": ("tree.not_source", None, licence),
        "alpha@1.2:LICENSE": ("tree.not_source", None, licence),
    }
    core = next(row for row in rows if row["origin"].endswith("core.py"))
    assert (core["text"], core["kind"]) == ("print('ü')\n\n\n", "code")
    assert core["raw"] == {"file": "repos/alpha/a/core.py", "offset": 0, "length": 14}


def test_a_document_per_repository(tmp_path: Path, read_rows: ReadRows) -> None:
    write(str(tmp_path), ALPHA)
    (row,) = read_rows(tmp_path, **SOURCE, unit="repository", max_file_bytes=5000)
    assert (row["origin"], row["kind"], row["lang"], row["license"]) == ("alpha@1.2", "repo", "c", "MIT OR Apache-2.0")
    assert row["text"] == (
        "<!-- path: README.md -->\n# Alpha\n\n"
        "# path: pyproject.toml\n[project]\n\n"
        "# path: a/core.py\nprint('ü')\n\n"
        "// path: a/tagged.c\n/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */\nint x;\n\n"
        "# path: bin/run\n#!/usr/bin/env python3\n1\n"
    )
    skipped = {"binary": 1, "empty": 1, "not_source": 2, "not_utf8": 1, "too_large": 1}
    assert json.loads(row["meta"]) == {"files": 5, "skipped": skipped}


def test_repositories_that_are_no_document(tmp_path: Path, read_rows: ReadRows) -> None:
    write(str(tmp_path), {"repos/a/x.py": "x" * 600, "repos/a/y.py": "y" * 600, "repos/b/logo.png": "x"})
    rows = read_rows(tmp_path, **SOURCE, unit="repository", max_repository_bytes=1000)
    assert [(row["drop_reason"], row["text"]) for row in rows] == [("tree.too_large", ""), ("tree.empty", "")]


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


def test_links_are_not_followed(tmp_path: Path, read_rows: ReadRows) -> None:
    write(str(tmp_path), {"repos/x/a.py": "1", "secret.py": "2", "folder/b.py": "3"})
    os.symlink(tmp_path / "secret.py", tmp_path / "repos/x/link.py")
    os.symlink(tmp_path / "folder", tmp_path / "repos/x/folder")
    assert [row["text"] for row in read_rows(tmp_path, **SOURCE)] == ["1"]


def test_an_installed_package(read_rows: ReadRows) -> None:
    import jinja2

    folder = Path(jinja2.__file__).parent
    rows = read_rows("", reader="tree", paths=[str(folder)])
    kept = {row["origin"].partition(":")[2]: row["text"] for row in rows if not row["drop_reason"]}
    assert kept == {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.py")}


@pytest.mark.parametrize(
    ("path", "head", "name"),
    [
        ("a/b.py", b"", "python"),
        ("x.CPP", b"", "c++"),
        ("Makefile", b"", "makefile"),
        ("d/CMakeLists.txt", b"", "cmake"),
        ("run", b"#!/bin/sh\n", "shell"),
        ("run", b"#! /usr/bin/env -S node --x\n", "javascript"),
        ("run", b"#!/usr/local/bin/python3.11\n", "python"),
        ("run", b"#!/usr/bin/perl -w\n", "perl"),
        ("run", b"#!/usr/bin/unheard-of\n", None),
        ("run", b"print(1)\n", None),
        ("notes.txt", b"#!/bin/sh\n", "shell"),
        (".gitignore", b"", None),
    ],
)
def test_languages(path: str, head: bytes, name: str | None) -> None:
    language = language_of(path, head)
    assert (language.name if language else None) == name


def test_no_suffix_means_two_languages() -> None:
    suffixes = [suffix for language in LANGUAGES for suffix in language.suffixes]
    assert len(suffixes) == len(set(suffixes))
