"""Whole packages with their tests: installed pure-Python distributions that ship tests, as source trees whose tests can be run.

OUT/packages/<name>-<version>/ holds every source of the package, so that it can be imported, its licence files, and its tests: all of them
of a small package, of a large one those that a stable draw gives until they fill a share of its size. Chosen by rule: no compiled part, a
known licence, at least one test file, at most `MAX_SOURCE_BYTES`; small ones first. That their tests pass here and run quickly is for
whoever runs them to find out: a sample reads files and runs nothing. What a package depends on is found where it is installed.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datapipe.sample.budget import Account
from datapipe.sample.environment import Package, stable_rank
from datapipe.sample.repositories import Repository, SourceFile, repository_path, source_files, write_repository

MAX_SOURCE_BYTES = 4_500_000  # without tests
MAX_TEST_BYTES = 64 * 1024  # of one file: larger ones are mostly tables of cases, and slow
ALL_TESTS_BYTES, TEST_SHARE = 120_000, 0.2  # tests of a package: so many bytes, or this share of its sources
ROOM = 1.1  # of a limit that shall not bind (`write_repository` stops short of it)
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
_TESTS = re.compile(r"(?:^|/)_?tests?/")


class Chosen(NamedTuple):
    """A package, the files of it that are written, and their size in bytes."""

    package: Package
    files: tuple[SourceFile, ...]
    size_bytes: int


def write_packages(folder: Path, account: Account, packages: Sequence[Package]) -> None:
    """Write the packages that fit, the smallest first."""
    found = [chosen for package in packages if (chosen := choose(package, account)) is not None]
    for package, files, size_bytes in sorted(found, key=lambda chosen: (chosen.size_bytes, chosen.package.name)):
        if account.fits(size_bytes):
            repo = Repository(
                package.name, package.version, package.license, package.summary, ("README.txt", ""), files
            )
            written = write_repository(
                folder / f"{package.name}-{package.version}", repo, int(size_bytes * ROOM), account
            )
            account.take(written, package.license)


def choose(package: Package, account: Account) -> Chosen | None:
    """The files of a package that comes into question, None for any other."""
    if package.license is None or any(name.endswith(_COMPILED) for name, _ in package.files):
        return None
    if not any(_TEST_FILE.search(name) for name, _ in package.files):
        return None
    named = [(repository_path(name), path) for name, path in package.files]
    files = sorted(source_files(named, account), key=lambda file: file.name)
    tests = [file for file in files if _TEST_FILE.search(file.name)]
    rest = [file for file in files if file not in tests]
    support = [file for file in rest if _TESTS.search(file.name)]  # conftest.py, data, and what tests share
    size_bytes = sum(file.size_bytes for file in rest) - sum(file.size_bytes for file in support)
    limit = max(ALL_TESTS_BYTES, int(TEST_SHARE * size_bytes))
    taken = _first_that_fit([file for file in tests if file.size_bytes <= MAX_TEST_BYTES], limit)
    if size_bytes > MAX_SOURCE_BYTES or not taken or sum(file.size_bytes for file in support) > limit:
        return None
    chosen = tuple(sorted([*rest, *taken], key=lambda file: file.name))
    return Chosen(package, chosen, sum(file.size_bytes for file in chosen))


def _first_that_fit(files: Sequence[SourceFile], limit: int) -> list[SourceFile]:
    taken, used = [], 0
    for file in sorted(files, key=lambda file: stable_rank(file.name)):
        if used + file.size_bytes <= limit:
            taken.append(file)
            used += file.size_bytes
    return taken
