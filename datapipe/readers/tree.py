"""Source trees: each folder that a path matches is one repository, and gives a document per file (source_file.py).

Folders inside a matched folder are part of it, even if they match as well. Name, version and licence come from package metadata
(repository.py); a name that nobody states is the folder's, such a version the start of the tree's content hash. Version control, caches
and installed dependencies are not looked at; links are counted and not followed; a folder that cannot be listed is one `file.damaged`.
Listing reads every file once, to know its content.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from datapipe import store
from datapipe.readers import repository, source_file
from datapipe.readers.repository import Repository
from datapipe.readers.source_file import File
from datapipe.readers.split import Input, Pattern, Row

SKIPPED_FOLDERS = {
    *(".git", ".hg", ".svn", "__pycache__", "node_modules", "bower_components", ".tox", ".nox", ".venv", ".eggs"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode"),
}


class Entry(NamedTuple):
    """A file of a tree as its listing shows it; what has no `info` has its reason."""

    path: str  # relative to the tree
    info: store.FileInfo | None
    reason: str = ""


def find(pattern: Pattern, options: Mapping[str, Any]) -> list[Input]:
    """One input per matched folder."""
    return [_input(folder, pattern.name(folder)) for folder in store.folders(pattern.path)]


def _input(folder: str, name: str) -> Input:
    entries = _list(folder)
    content = xxhash.xxh3_128()
    for path, info, reason in entries:
        content.update(f"{path}\0{store.fingerprint(info) if info else reason}\0".encode())
    return Input(folder, name, sum(info.size_bytes for _, info, _ in entries if info), content.hexdigest())


def _list(folder: str) -> list[Entry]:
    """The files and links of a tree, sorted by path."""
    if store.is_s3(folder):
        found = [(info.path.removeprefix(f"{folder}/"), info) for info in store.glob(folder)]
        entries = [Entry(path, info) for path, info in found if SKIPPED_FOLDERS.isdisjoint(path.split("/")[:-1])]
    else:
        entries = list(_walk(folder))
    return sorted(entries, key=lambda entry: entry.path)


def _walk(folder: str) -> Iterator[Entry]:
    left = [(folder, "")]
    while left:
        place, path = left.pop()
        try:
            with os.scandir(place) as entries:
                found = list(entries)
        except OSError:  # not allowed, or a path that is too long for the system
            yield Entry(path, None, "damaged")
            continue
        prefix = f"{path}/" if path else ""
        for entry in found:
            name = entry.name if entry.name.isascii() else source_file.readable(os.fsencode(entry.name))
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED_FOLDERS:
                    left.append((entry.path, prefix + name))
            elif listed := _listed(entry, prefix + name):
                yield listed


def _listed(entry: os.DirEntry[str], path: str) -> Entry | None:
    """A link or a file; None for a pipe, socket or device."""
    if entry.is_symlink():
        return Entry(path, None, "link")
    try:
        info = entry.stat()
    except OSError:  # gone, or a path that is too long for the system
        return Entry(path, None, "damaged")
    return Entry(path, store.FileInfo(entry.path, info.st_size)) if stat.S_ISREG(info.st_mode) else None


def read(source: Input, *, max_file_bytes: int = 1 << 20) -> Iterator[Row]:
    """The documents of one tree."""
    entries = _list(source.path)
    infos = {path: info for path, info, _ in entries if info}
    said = repository.describe(infos, lambda path: _text(infos[path]))
    name, version = said.name or source.name.rpartition("/")[2], said.version or source.fingerprint[:12]
    files = (_read(entry, max_file_bytes) for entry in entries if entry.path != repository.COLLECTOR_FILE)
    return source_file.rows(files, Repository(name, version, said.license), source.name)


def _text(info: store.FileInfo) -> str:
    with store.open_input(info.path) as stream:
        return stream.read(repository.MAX_FILE_BYTES).decode("utf-8", "replace")


def _read(entry: Entry, max_bytes: int) -> File:
    path, info, reason = entry
    if info is None:
        return File(path, 0, reason=reason)
    if unread := source_file.unread(path, info.size_bytes, max_bytes):
        return File(path, info.size_bytes, reason=unread)
    return File(path, info.size_bytes, store.read_bytes(info.path))
