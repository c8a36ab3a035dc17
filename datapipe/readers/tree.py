"""Source trees: each folder that a path matches is one repository, and gives a document per file, or one for all of it.

`file`: one document per source file, of origin `name@version:path/in/it`. `repository`: its source files in one text, README and package
metadata first, then in path order, each after a comment line with its path. Folders inside a matched folder are part of it, even if
they match as well. Name, version and licence come from package metadata (repository.py); a version that nobody states is the start of the
tree's content hash. A file's own `SPDX-License-Identifier` goes before the licence of its repository.

What is no document is counted: `tree.not_source` (by name and shebang), `tree.binary` (a NUL byte), `tree.too_large`,
`tree.not_utf8`, `tree.empty`. Version control, caches, vendored packages and symbolic links are not looked at. Not covered: history,
other charsets than UTF-8.
"""

import collections
import json
import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

import xxhash

from datapipe import store
from datapipe.readers import licenses, repository
from datapipe.readers.languages import Language, language_of
from datapipe.readers.repository import Repository
from datapipe.readers.split import Input, Pattern, Row

SKIPPED_FOLDERS = {
    *(
        ".git",
        ".hg",
        ".svn",
        "__pycache__",
        "node_modules",
        ".tox",
        ".nox",
        ".venv",
        ".eggs",
        ".mypy_cache",
        ".pytest_cache",
    ),
    *(".ruff_cache", ".idea", ".vscode", "bower_components"),
}
FIRST_FILES = (
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "package.json",
    "cargo.toml",
    "go.mod",
    "pom.xml",
    "gemfile",
)  # after README*
NOT_CODE = {"markdown", "restructuredtext", "json", "yaml", "toml", "ini", "html", "xml", "css", "tex"}


class Source(NamedTuple):
    """A file of a tree, read: either its text or the reason why it has none."""

    path: str  # relative to the tree
    size_bytes: int
    text: str = ""
    language: Language | None = None
    reason: str | None = None


def find(pattern: Pattern) -> list[Input]:
    """One input per matched folder."""
    return [_input(folder, pattern.name(folder)) for folder in store.folders(pattern.path)]


def _input(folder: str, name: str) -> Input:
    infos = _list(folder)
    content = xxhash.xxh3_128()
    for path, info in infos.items():
        content.update(f"{path}\0{store.fingerprint(info)}\0".encode("utf-8", "surrogateescape"))
    return Input(folder, name, sum(info.size_bytes for info in infos.values()), content.hexdigest())


def _list(folder: str) -> dict[str, store.FileInfo]:
    """The files of a tree by their path in it, sorted."""
    infos = {info.path.removeprefix(folder).lstrip("/"): info for info in store.glob(folder)}
    return {
        path: infos[path]
        for path in sorted(infos)
        if SKIPPED_FOLDERS.isdisjoint(path.split("/")[:-1]) and not os.path.islink(infos[path].path)
    }


def read(
    source: Input,
    *,
    unit: Literal["file", "repository"] = "file",
    max_file_bytes: int = 1 << 20,
    max_repository_bytes: int = 64 << 20,
) -> Iterator[Row]:
    """The documents of one tree. A repository over `max_repository_bytes` of source text is `tree.too_large`."""
    infos = _list(source.path)
    about = repository.describe(infos, lambda path: _text(infos[path], max_file_bytes))
    about = Repository(
        about.name or source.name.rpartition("/")[2], about.version or source.fingerprint[:12], about.license
    )
    sources = (_read(path, info, max_file_bytes) for path, info in infos.items() if path != repository.COLLECTOR_FILE)
    if unit == "repository":
        yield _as_one(source, about, sources, max_repository_bytes)
    else:
        yield from (_as_file(source.name, about, one) for one in sources)


def _text(info: store.FileInfo, max_bytes: int) -> str:
    with store.open_input(info.path) as stream:
        return stream.read(max_bytes).decode("utf-8", "replace")


def _read(path: str, info: store.FileInfo, max_bytes: int) -> Source:
    language = language_of(path)
    is_readme = path.lower().startswith("readme")
    if language is None and not is_readme and "." in os.path.basename(path):
        return Source(path, info.size_bytes, reason="not_source")
    if info.size_bytes > max_bytes:
        return Source(path, info.size_bytes, reason="too_large")
    data = store.read_bytes(info.path)
    language = language or language_of(path, data[:200])
    if language is None and not is_readme:
        return Source(path, info.size_bytes, reason="not_source")
    if not data.strip():
        return Source(path, info.size_bytes, reason="empty")
    if b"\0" in data:
        return Source(path, info.size_bytes, reason="binary")
    try:
        return Source(path, info.size_bytes, data.decode("utf-8-sig"), language)
    except UnicodeDecodeError:
        return Source(path, info.size_bytes, reason="not_utf8")


def _as_file(tree: str, about: Repository, one: Source) -> Row:
    return {
        "origin": f"{about.name}@{about.version}:{one.path}",
        "text": one.text,
        "lang": one.language.name if one.language else None,
        "license": licenses.from_tag(one.text) or about.license,
        "raw": {"file": f"{tree}/{one.path}", "offset": 0, "length": one.size_bytes},
        "drop_reason": f"tree.{one.reason}" if one.reason else None,
    }


def _as_one(tree: Input, about: Repository, sources: Iterator[Source], max_bytes: int) -> Row:
    skipped: collections.Counter[str] = collections.Counter()
    kept: list[Source] = []
    kept_bytes = 0
    for one in sources:
        if one.reason:
            skipped[one.reason] += 1
            continue
        kept_bytes += one.size_bytes
        if kept_bytes <= max_bytes:
            kept.append(one)
    reason = "tree.empty" if not kept_bytes else "tree.too_large" if kept_bytes > max_bytes else None
    meta = {"files": len(kept), "skipped": dict(sorted(skipped.items()))}
    return {
        "origin": f"{about.name}@{about.version}",
        "text": "" if reason else "\n".join(map(_with_header, sorted(kept, key=_place))),
        "kind": "repo",
        "lang": _main_language(kept),
        "license": about.license,
        "raw": {"file": tree.name, "offset": 0, "length": tree.size_bytes},
        "drop_reason": reason,
        "meta": json.dumps(meta),
    }


def _place(one: Source) -> tuple[int, str]:
    """README first, then what says how the package is built, then by path."""
    name = one.path.lower()
    if name.startswith("readme"):
        return 0, one.path
    return (1 if name in FIRST_FILES else 2), one.path


def _with_header(one: Source) -> str:
    before, after = one.language.comment if one.language else ("# ", "")
    return f"{before}path: {one.path}{after}\n{one.text.rstrip()}\n"


def _main_language(kept: list[Source]) -> str | None:
    """The programming language with the most bytes; of equals the first by name."""
    sizes: collections.Counter[str] = collections.Counter()
    for one in kept:
        if one.language and one.language.name not in NOT_CODE:
            sizes[one.language.name] += one.size_bytes
    return min(sizes, key=lambda name: (-sizes[name], name), default=None)
