"""The history part of the sample: git repositories of distributions that are installed in two releases, one of them vendored by another.

pip and setuptools carry older releases of packages that are installed by themselves too. OUT/history/<name>.bundle holds such a package as
a repository: a first commit with the vendored release, then one commit for every file that the installed release changed. The code and its
changes are real; that a release came file by file, its messages and its dates are not. git's `fast-import` writes the objects.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from datapipe.sample.budget import Account, SampleError
from datapipe.sample.environment import LICENSE_FILE, Package, read_text

VENDOR = "/_vendor/"
SUFFIXES = (".py", ".pyi", ".md", ".rst", ".toml")
FIRST_SECOND = 1_577_836_800  # 2020-01-01T00:00:00Z; a commit an hour
AUTHOR = "Sample <sample@example.org>"
Files = dict[str, str]  # path -> text


class Release(NamedTuple):
    """A package as it was vendored, and as it is installed."""

    package: Package
    vendored: Files
    installed: Files


def write_history(folder: Path, account: Account, packages: Sequence[Package]) -> list[Path]:
    """Write the bundles. Raises SampleError where there is no git."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for release in releases(packages):
        history = list(commits(release))
        size_bytes = sum(len(text.encode()) for commit in history for text in commit.changes.values())
        if not account.fits(size_bytes):
            continue
        path = folder / f"{release.package.name}.bundle"
        write_bundle(path, history)
        account.take(size_bytes, release.package.license)
        written.append(path)
    return written


def releases(packages: Sequence[Package]) -> Iterator[Release]:
    """What is installed and vendored, and differs, by name of the installed package."""
    vendored: dict[str, dict[str, Path]] = {}
    for package in packages:
        for name, path in package.files:
            _, separator, inner = name.partition(VENDOR)
            if separator and inner.endswith(SUFFIXES):
                vendored.setdefault(inner.partition("/")[0], {}).setdefault(inner, path)
    for package in packages:
        mine = {name: path for name, path in package.files if name.endswith(SUFFIXES) and VENDOR not in name}
        tops = {name.partition("/")[0] for name in mine} & vendored.keys()
        if not tops:
            continue
        old = {name: path for top in sorted(tops) for name, path in vendored[top].items()}
        new = {name: path for name, path in mine.items() if name.partition("/")[0] in tops}
        legal = {
            path.name: path for name, path in package.files if ".dist-info/" in name and LICENSE_FILE.match(path.name)
        }
        release = Release(package, _texts({**old, **legal}), _texts({**new, **legal}))
        if release.vendored != release.installed:
            yield release


def _texts(paths: dict[str, Path]) -> Files:
    found = {name: read_text(path) for name, path in sorted(paths.items())}
    return {name: text for name, text in found.items() if text}


class Commit(NamedTuple):
    message: str
    changes: Files


def commits(release: Release) -> Iterator[Commit]:
    """The vendored release at once, then what the installed one changed in it, a file at a time."""
    name, old, new = release.package.name, release.vendored, release.installed
    yield Commit(f"Import {name}\n\n{release.package.summary}\n", old)
    for path in sorted(old.keys() & new.keys()):
        if old[path] != new[path]:
            yield Commit(f"Update {path}\n\nAs of {name} {release.package.version}.\n", {path: new[path]})


def write_bundle(path: Path, commits: Sequence[Commit]) -> None:
    """A bundle whose branch `main` has these commits."""
    git = shutil.which("git")
    if git is None:
        raise SampleError("git: no such program, and the history of packages needs it; install git")
    with tempfile.TemporaryDirectory() as folder:
        run = [git, "-C", folder, "-c", "init.defaultBranch=main", "-c", "pack.threads=1"]
        subprocess.run([*run, "init", "--quiet", "--bare"], check=True)
        subprocess.run([*run, "fast-import", "--quiet"], input=b"".join(_stream(commits)), check=True)
        subprocess.run([*run, "symbolic-ref", "HEAD", "refs/heads/main"], check=True)
        subprocess.run([*run, "bundle", "create", "--quiet", str(path.absolute()), "HEAD", "main"], check=True)


def _stream(commits: Sequence[Commit]) -> Iterator[bytes]:
    """The input of `git fast-import`."""
    for number, commit in enumerate(commits):
        yield f"commit refs/heads/main\ncommitter {AUTHOR} {FIRST_SECOND + 3600 * number} +0000\n".encode()
        yield _data(commit.message)
        for path, text in commit.changes.items():
            yield b"M 100644 inline " + path.encode() + b"\n" + _data(text)


def _data(text: str) -> bytes:
    raw = text.encode()
    return b"data %d\n%s\n" % (len(raw), raw)
