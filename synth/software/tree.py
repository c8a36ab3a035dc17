"""A repository as its documents have it: the files of one version, under paths that may be written to a folder."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from synth.rows import Parent

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
_SUPPORT = re.compile(
    r"(?:^|/)(?:_?tests?|testing|docs?|examples?|benchmarks?)/|(?:^|/)(?:conftest|setup|test_[^/]*|[^/]*_test)\.py$"
)
_RELATIVE = re.compile(r"(?m)^[ \t]*from[ \t]+\.")
MAX_PATH, MAX_PARTS = 240, 20


class Repository(NamedTuple):
    """Files by path, and the document that each came from."""

    name: str
    version: str
    files: Mapping[str, str]
    parents: Mapping[str, Parent]  # by path

    @property
    def test_files(self) -> list[str]:
        """Files that pytest finds by itself, by path."""
        return sorted(path for path in self.files if TEST_FILE.search(path))

    @property
    def source_files(self) -> list[str]:
        """Python files that are neither tests nor made for them."""
        return sorted(path for path in self.files if path.endswith(".py") and not _SUPPORT.search(path))

    def parents_of(self, paths: Sequence[str]) -> list[Parent]:
        return [self.parents[path] for path in sorted(set(paths)) if path in self.parents]


def safe_path(path: str) -> bool:
    """Whether a path of a document names a file beneath a folder, on any file system, and none that git or Python would act upon."""
    parts = path.split("/")
    return (
        0 < len(path.encode("utf-8", "replace")) <= MAX_PATH
        and len(parts) <= MAX_PARTS
        and not _FORBIDDEN.search(path)
        and all(part not in ("", ".", "..", ".git", "__pycache__") for part in parts)
        and path.isprintable()
    )


def without_clashes(files: Mapping[str, str]) -> dict[str, str]:
    """The files with safe paths, less those whose name is also a folder of others."""
    safe = sorted(path for path in files if safe_path(path))
    folders = {path[:at] for path in safe for at in range(len(path)) if path[at] == "/"}
    return {path: files[path] for path in safe if path not in folders}


def with_packages(files: Mapping[str, str]) -> dict[str, str]:
    """The files with an empty `__init__.py` in each folder that was a package: readers give no document for an empty file.

    A package is a folder of Python files in another package, or one with a relative import.
    """
    made = dict(files)
    inits = {path.rpartition("/")[0] for path in files if path.rpartition("/")[2] == "__init__.py"}
    by_folder: dict[str, list[str]] = {}
    for path, text in files.items():
        if path.endswith(".py") and "/" in path:
            by_folder.setdefault(path.rpartition("/")[0], []).append(text)
    for folder in sorted(by_folder):  # outer ones first
        if folder not in inits and (
            folder.rpartition("/")[0] in inits or any(_RELATIVE.search(text) for text in by_folder[folder])
        ):
            inits.add(folder)
            made[f"{folder}/__init__.py"] = ""
    return made
