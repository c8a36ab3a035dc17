"""What stands near what: tests after the file they test, documentation after the module it is named like, the rest with its folder.

Names decide: `test_x.py`, `x_test.go`, `XTest.java`, `x.spec.ts`, `__tests__/x.js` test a file of stem x; `docs/a.b.x.rst` or `x.md`
is about one. Of several files with that stem, the one whose folders share most names with the companion's; of more than
`MAX_CANDIDATES` only as many are looked at, first those that share the rarest of these names. Names that say nothing (index,
readme, main) are not looked for.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from synth.repository.file import Edge, File, folder, upwards

MAX_CANDIDATES = 64
ANY = "*"
FIRST_NAMES = frozenset(  # in lower case, beside README
    (
        *("pyproject.toml", "setup.cfg", "setup.py", "package.json", "cargo.toml", "go.mod", "pom.xml", "build.gradle"),
        *("build.gradle.kts", "gemfile", "composer.json", "cmakelists.txt", "meson.build", "pkg-info", "metadata"),
    )
)

_TEST = re.compile(
    r"(?:test|tests|spec)[_-](?P<a>.+)|(?P<b>.+?)[_.-](?:test|tests|spec|unittest)|(?P<c>.+?)(?:Tests?|Spec|IT|TestCase)|Test(?P<d>[A-Z].*)"
)
_TEST_FOLDERS = frozenset(("test", "tests", "__tests__", "spec", "testing"))
_PACKAGE_FILES = frozenset(("__init__", "index", "mod", "lib"))  # they stand for their folder
_SAYING_NOTHING = frozenset(("index", "readme", "main", "changelog", "license", "contributing", "conftest", "setup"))


def rank_key(path: str) -> tuple[list[str], bool, str]:
    """Folder by folder, README and package metadata first in each."""
    *folders, name = path.split("/")
    return folders, not _is_first(name), name


def _is_first(name: str) -> bool:
    return name.lower().startswith("readme") or name.lower() in FIRST_NAMES


def is_test(file: File) -> bool:
    return file.role == "test" or _tested(file) is not None


def companions(files: Sequence[File]) -> set[Edge]:
    """(file, companion) of every test and documentation file that is named like another file."""
    by_stem: dict[tuple[str, str | None], list[int]] = defaultdict(list)  # with a language, for tests, and with any
    by_step: dict[tuple[str, str | None], dict[str, list[int]]] = {}  # of stems of many files, by the name of a folder
    tests = [is_test(file) for file in files]
    for number in sorted(range(len(files)), key=lambda number: files[number].path):
        if not tests[number] and files[number].role in ("source", "vendored", "generated"):
            for lang in (files[number].lang, ANY):
                by_stem[_stem(files[number].path), lang].append(number)
    for key, numbers in by_stem.items():
        if len(numbers) > MAX_CANDIDATES:
            steps = by_step[key] = defaultdict(list)
            for number in numbers:
                for step in sorted(set(folder(files[number].path).split("/"))):
                    steps[step].append(number)
    found = set()
    for number, file in enumerate(files):
        name = _tested(file) if tests[number] else _described(file)
        key = (name or "").lower(), file.lang if tests[number] else ANY
        if name and key in by_stem and key[0] not in _SAYING_NOTHING:
            found.add((_closest(files, number, by_stem[key], by_step.get(key, {})), number))
    return found


def _stem(path: str) -> str:
    name = path.rpartition("/")[2].rpartition(".")[0].lower()
    return folder(path).rpartition("/")[2].lower() if name in _PACKAGE_FILES else name


def _tested(file: File) -> str | None:
    """The stem of the file that a test is named after."""
    steps = file.path.split("/")
    name = steps[-1].rpartition(".")[0]
    if file.role not in ("source", "test") or file.lang is None:
        return None
    if match := _TEST.fullmatch(name):
        return next(filter(None, match.groups()))
    return name if not _TEST_FOLDERS.isdisjoint(steps[:-1]) else None


def _described(file: File) -> str | None:
    """The stem of the file that documentation is named after: the last part of a dotted name."""
    if file.role != "documentation":
        return None
    return file.path.rpartition("/")[2].rpartition(".")[0].rpartition(".")[2]


def _closest(
    files: Sequence[File], number: int, candidates: Sequence[int], by_step: Mapping[str, Sequence[int]]
) -> int:
    mine = frozenset(re.split(r"[/.]", folder(files[number].path)))
    rarest = sorted((len(by_step[step]), step) for step in mine if step in by_step)
    looked_at = itertools.chain(*(by_step[step] for _, step in rarest), candidates)

    def rank(other: int) -> tuple[int, int, str]:
        path = files[other].path
        return -len(mine.intersection(folder(path).split("/"))), len(path), path

    return min(itertools.islice(looked_at, MAX_CANDIDATES), key=rank)


def with_folders(files: Sequence[File], labels: Sequence[int], edges: Iterable[Edge]) -> list[int]:
    """`labels` (a component per file) where every file without edges joins the largest component of its folder, or the nearest above."""
    linked = {number for edge in edges for number in edge}
    within: dict[str, Counter[int]] = defaultdict(Counter)
    for number in sorted(linked):
        for above in upwards(folder(files[number].path)):
            within[above][labels[number]] += 1
    largest = {above: min(counts, key=lambda label: (-counts[label], label)) for above, counts in within.items()}
    joined = list(labels)
    for number, file in enumerate(files):
        if number not in linked:
            joined[number] = next((largest[above] for above in upwards(folder(file.path)) if above in largest), -1)
    return joined
