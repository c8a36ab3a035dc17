"""The code part of the sample: installed distributions and the packages of the standard library, as source trees.

OUT/repos/<name>-<version>/ holds the text sources at their paths, licence files and the long description at the root, and
repo.json {"name", "version", "license", "summary"}. The budget is shared by a square-root law under a cap: large projects stay
larger than small ones, yet do not crowd them out. Inside a project whole folders are chosen, the top one first and copies of other
projects (`_vendor`) next: near-duplicates across repositories are what a code pipeline has to find.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from datapipe.sample.budget import Account
from datapipe.sample.environment import PYTHON_LICENSE, Package, read_text, stable_rank, stdlib_files
from datapipe.sample.warc import write_file

SUFFIXES = frozenset(
    (".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".js", ".md", ".pxd", ".py", ".pyi", ".pyx", ".rst", ".toml", ".txt")
)
ROOT_FILE = re.compile(r"(licen[cs]e|copying|notice|authors|readme|change|history|news)", re.IGNORECASE)
MAX_FILE_BYTES = 512 * 1024
CAP_SHARE = 1 / 15  # of the budget at most for one repository: 1.5 MB of 22 MB
NEARLY_FULL = 0.95
VENDORED = ("_vendor", "vendored", "_distutils", "third_party")
DESCRIPTION_NAMES = {"text/markdown": "README.md", "text/x-rst": "README.rst"}
SINGLE_MODULES = "python-stdlib"  # the repository of the standard library's single files
LEFT_OUT = ("ensurepip", "test")


class SourceFile(NamedTuple):
    """A file of a repository: where it belongs, where it lies here, its size in bytes."""

    name: str
    path: Path
    size_bytes: int


class Repository(NamedTuple):
    name: str
    version: str
    license: str | None
    summary: str
    readme: tuple[str, str]  # file name and text; an empty text writes nothing
    files: tuple[SourceFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files) + len(self.readme[1].encode())


def write_repositories(folder: Path, account: Account, packages: Sequence[Package]) -> None:
    """Write the source trees."""
    found = [*distribution_repositories(packages, account), *stdlib_repositories(account)]
    limits = allotments([repo.size_bytes for repo in found], account.max_bytes, int(account.max_bytes * CAP_SHARE))
    for repo, limit_bytes in zip(found, limits, strict=True):
        size_bytes = write_repository(folder / f"{repo.name}-{repo.version}", repo, limit_bytes, account)
        if size_bytes:
            account.take(size_bytes, repo.license)


def allotments(sizes: Sequence[int], total: int, cap: int) -> list[int]:
    """Bytes for each repository: min(size, cap, c * sqrt(size)) with the largest c whose sum stays within `total`."""
    low, high = 0.0, math.sqrt(max(sizes, default=1) + 1)
    for _ in range(50):
        middle = (low + high) / 2
        if sum(_allotment(size, cap, middle) for size in sizes) <= total:
            low = middle
        else:
            high = middle
    return [_allotment(size, cap, low) for size in sizes]


def _allotment(size: int, cap: int, factor: float) -> int:
    return int(min(size, cap, factor * math.sqrt(size)))


def distribution_repositories(packages: Sequence[Package], account: Account) -> Iterator[Repository]:
    """Every installed distribution that holds sources; `*.dist-info` gives its licence files."""
    for package in packages:
        files = list(source_files(((repository_path(name), path) for name, path in package.files), account))
        readme = (DESCRIPTION_NAMES.get(package.description_type, "README.txt"), package.description)
        if any(file.name.endswith(".py") for file in files):
            yield Repository(package.name, package.version, package.license, package.summary, readme, tuple(files))


def repository_path(name: str) -> str:
    """Where an installed file lies in its repository: licences and the like of `*.dist-info` at the root, "" for the rest of it."""
    head, _, tail = name.partition("/")
    if not head.endswith((".dist-info", ".data", ".egg-info")):
        return name
    tail = tail.removeprefix("licenses/")
    return tail if ROOT_FILE.match(tail.rpartition("/")[2]) else ""


def stdlib_repositories(account: Account) -> Iterator[Repository]:
    """The top-level packages of the standard library, and one repository with its single modules."""
    from platform import python_version

    groups: dict[str, list[tuple[str, Path]]] = {}
    for name, path in stdlib_files():
        group = name.partition("/")[0] if "/" in name else SINGLE_MODULES
        groups.setdefault(group, []).append((name, path))
    for group, files in sorted(groups.items()):
        if group not in LEFT_OUT:
            summary = "single modules" if group == SINGLE_MODULES else f"the package {group}"
            sources = tuple(source_files(files, account))
            yield Repository(
                group,
                python_version(),
                PYTHON_LICENSE,
                f"Python standard library: {summary}",
                ("README.txt", ""),
                sources,
            )


def source_files(
    files: Iterator[tuple[str, Path]] | Sequence[tuple[str, Path]], account: Account
) -> Iterator[SourceFile]:
    """The text sources among `files`, in the order in which they are chosen."""
    found = []
    for name, path in files:
        base = name.rpartition("/")[2]
        if not name or not (os.path.splitext(base)[1] in SUFFIXES or ROOT_FILE.match(base)):
            continue
        try:
            size_bytes = path.stat().st_size
        except FileNotFoundError:  # listed as installed, removed since
            continue
        if size_bytes > MAX_FILE_BYTES:
            account.skipped["file over 512 KiB"] += 1
        elif size_bytes:
            found.append(SourceFile(name, path, size_bytes))
    return iter(sorted(found, key=_choice_order))


def _choice_order(file: SourceFile) -> tuple[int, str, str]:
    """Files of the top folders first, vendored folders next, then folder by folder in pseudo-random but stable order."""
    folder, _, _ = file.name.rpartition("/")
    if folder.count("/") == 0:
        return 0, folder, file.name
    vendored = any(part in VENDORED for part in folder.split("/"))
    return (1 if vendored else 2), "" if vendored else stable_rank(folder), file.name


def write_repository(folder: Path, repo: Repository, limit_bytes: int, account: Account) -> int:
    """Write the files that fit into the limit and repo.json; returns their bytes, 0 when nothing fits."""
    chosen: dict[str, bytes] = {}
    used = 0
    name, text = repo.readme
    if text.strip() and len(text.encode()) <= limit_bytes // 4:
        chosen[name] = text.encode()
        used += len(chosen[name])
    for file in repo.files:
        # Once the share is nearly full, small files of many folders would be all that fits: whole folders are worth more.
        if used + file.size_bytes > limit_bytes or used > NEARLY_FULL * limit_bytes:
            account.skipped["file beyond its repository's share"] += 1
            continue
        source = read_text(file.path)
        if source is None:
            account.skipped["file not UTF-8 text"] += 1
            continue
        chosen[file.name] = source.encode()
        used += len(chosen[file.name])
    if not chosen:
        return 0
    facts = {"name": repo.name, "version": repo.version, "license": repo.license, "summary": repo.summary}
    chosen["repo.json"] = (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()
    for name, data in chosen.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, data)
    account.file_count += len(chosen)
    return used + len(chosen["repo.json"])
