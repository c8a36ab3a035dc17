"""The books part of the sample: long documents, one JSON object per line with "text", "title", "origin" and "license".

Three kinds: the language reference, the long descriptions, histories and notices that come with distributions, and manuals put
together from the docstrings of a package, module by module. Docstrings with formulas are left to the math part, descriptions
that appear here to no other. A document is cut into volumes at section ends.
"""

import gzip
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from platform import python_version
from typing import NamedTuple

from datapipe.sample.budget import Account
from datapipe.sample.docstrings import docstrings
from datapipe.sample.environment import PYTHON_LICENSE, Package, read_text, stable_rank, stdlib_files
from datapipe.sample.formulas import MATH_MODULES, has_formula, module_name
from datapipe.sample.language_reference import reference_sections
from datapipe.sample.warc import LEVEL, write_file

FILES = 4
MIN_CHARS = 20_000  # a shorter text is an article
DESCRIPTION_CHARS = 40_000  # a description of this length is a history of releases, no longer a web page
MAX_VOLUME_CHARS = 512 * 1024
MIN_VOLUME_CHARS = 60_000  # even a small sample has documents of more than 50,000 characters
DOCUMENTED_SHARE = 0.25  # of a file lies between triple quotes, or parsing it costs more than it gives
PROSE_SUFFIXES = (".txt", ".md", ".rst", "")
PROSE_NAME = re.compile(r"(licen[cs]e|notice|copying|history|change|news|readme|third.party)", re.IGNORECASE)
LICENSE_NAME = re.compile(r"(licen[cs]e|notice|copying)", re.IGNORECASE)
PYTHON_TEXTS = ("idlelib", "lib2to3")  # packages of the standard library with long histories


class Book(NamedTuple):
    """A document before it is cut into volumes."""

    title: str
    origin: str
    license: str | None
    sections: list[str]


class Module(NamedTuple):
    """A source file with its dotted name."""

    name: str
    path: Path


def write_books(folder: Path, account: Account, packages: Sequence[Package]) -> list[Path]:
    """Write volumes until the budget is spent, into files of nearly equal size."""
    shelves: list[list[bytes]] = [[] for _ in range(FILES)]
    for book in books(packages):
        if account.spent:
            break
        for line in book_lines(book, volume_chars(account), max_bytes=account.max_bytes // 4):
            if not account.fits(len(line)):
                continue
            min(shelves, key=lambda shelf: sum(map(len, shelf))).append(line)
            account.take(len(line), book.license)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"books-{number:03d}.jsonl.gz" for number in range(FILES)]
    for path, lines in zip(paths, shelves, strict=True):
        write_file(path, gzip.compress(b"".join(lines), LEVEL, mtime=0))
    return paths


def volume_chars(account: Account) -> int:
    """The length at which a volume ends: it follows the budget, so that a small sample still has several books."""
    return min(MAX_VOLUME_CHARS, max(MIN_VOLUME_CHARS, account.max_bytes // 16))


def book_lines(book: Book, max_chars: int, *, max_bytes: int) -> Iterator[bytes]:
    """A JSON line per volume; a book ends after `max_bytes`, and a last volume too short to be one is left out."""
    size_bytes = 0
    for number, text in enumerate(volumes(book.sections, max_chars), 1):
        if len(text) < MIN_CHARS and number > 1:
            return
        part = "" if number == 1 else f", volume {number}"
        origin = book.origin if number == 1 else f"{book.origin}#volume-{number}"
        record = {"text": text, "title": book.title + part, "origin": origin, "license": book.license}
        line = json.dumps(record, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace") + b"\n"
        size_bytes += len(line)
        if size_bytes > max_bytes:
            return
        yield line


def volumes(sections: Sequence[str], max_chars: int) -> Iterator[str]:
    """Sections joined to texts of about `max_chars` characters; a section stays whole."""
    volume: list[str] = []
    length = 0
    for section in sections:
        if volume and length + len(section) > max_chars:
            yield "\n\n\n".join(volume) + "\n"
            volume, length = [], 0
        volume.append(section)
        length += len(section)
    if volume:
        yield "\n\n\n".join(volume) + "\n"


def books(packages: Sequence[Package]) -> Iterator[Book]:
    """All long documents of the installation: the reference, texts as they are, manuals of the standard library, then of packages."""
    reference = reference_sections()
    if reference:
        yield Book(
            f"The Python {python_version()} reference",
            f"python-{python_version()}:pydoc_data/topics.py",
            PYTHON_LICENSE,
            reference,
        )
    texts = [*descriptions(packages), *package_texts(packages), *stdlib_texts()]
    yield from sorted(texts, key=lambda book: stable_rank(book.origin))
    groups = [*stdlib_groups(), *package_groups(packages)]
    for group in sorted(groups, key=lambda group: (group.package is not None, stable_rank(group.name))):
        sections = list(manual_sections(group))
        if sum(map(len, sections)) >= MIN_CHARS:
            yield Book(f"{group.name} {group.version} manual", group.origin, group.license, sections)


def descriptions(packages: Sequence[Package]) -> Iterator[Book]:
    for package in packages:
        if is_long(package):
            origin = f"{package.name}-{package.version}:METADATA"
            yield Book(f"{package.name} {package.version}", origin, package.license, [package.description.strip()])


def is_long(package: Package) -> bool:
    """Whether the long description is a book; the web part leaves it out then."""
    return len(package.description) >= DESCRIPTION_CHARS


def package_texts(packages: Sequence[Package]) -> Iterator[Book]:
    """Licence collections, notices, histories and the like among the files of distributions."""
    for package in packages:
        for name, path in package.files:
            base = name.rpartition("/")[2]
            if os.path.splitext(base)[1].lower() in PROSE_SUFFIXES and PROSE_NAME.search(base):
                text = _long_text(path)
                if text:
                    origin = f"{package.name}-{package.version}:{name}"
                    # The text of a licence is not under the licence that it states.
                    license = None if LICENSE_NAME.search(base) else package.license
                    yield Book(f"{package.name} {package.version}: {base}", origin, license, [text])


def stdlib_texts() -> Iterator[Book]:
    """Histories that come with the standard library."""
    for name, path in stdlib_files():
        if name.partition("/")[0] in PYTHON_TEXTS and os.path.splitext(name)[1] in PROSE_SUFFIXES:
            text = _long_text(path)
            if text:
                yield Book(f"Python: {name}", f"python-{python_version()}:{name}", PYTHON_LICENSE, [text])


def _long_text(path: Path) -> str | None:
    if not path.is_file() or path.stat().st_size < MIN_CHARS:
        return None
    text = read_text(path)
    return text.strip() if text and len(text) >= MIN_CHARS else None


class Group(NamedTuple):
    """The modules that make one manual: a package, or a sub-package of a large one."""

    name: str
    version: str
    license: str | None
    package: str | None  # the distribution; None for the standard library
    modules: list[Module]

    @property
    def origin(self) -> str:
        return f"{self.package or 'python'}-{self.version}:{self.name}"


def stdlib_groups() -> list[Group]:
    modules = [Module(module_name(name), path) for name, path in stdlib_files() if name.endswith(".py")]
    left_out = (*MATH_MODULES, "test", "pydoc_data", "idlelib")
    groups = _grouped((module for module in modules if module.name.partition(".")[0] not in left_out), depth=1)
    return [Group(name, python_version(), PYTHON_LICENSE, None, found) for name, found in groups.items()]


def package_groups(packages: Sequence[Package]) -> Iterator[Group]:
    for package in packages:
        sources = ((name, path) for name, path in package.files if name.endswith(".py") and "tests/" not in name)
        groups = _grouped((Module(module_name(name), path) for name, path in sources), depth=2)
        for name, found in groups.items():
            yield Group(name, package.version, package.license, package.name, found)


def _grouped(modules: Iterable[Module], *, depth: int) -> dict[str, list[Module]]:
    """Modules by the first `depth` parts of their package's name."""
    groups: dict[str, list[Module]] = {}
    for module in modules:
        is_package = str(module.path).endswith("__init__.py")
        package = module.name if is_package or depth == 1 else module.name.rpartition(".")[0] or module.name
        groups.setdefault(".".join(package.split(".")[:depth]), []).append(module)
    return groups


def manual_sections(group: Group) -> Iterator[str]:
    """One section per documented object: heading, signature, text."""
    for module in group.modules:
        source = read_text(module.path) or ""
        if sum(map(len, source.split('"""')[1::2])) < DOCUMENTED_SHARE * len(source):
            continue
        for doc in docstrings(source):
            if group.package is None or not has_formula(doc.text, group.package):
                name = f"{module.name}.{doc.name}" if doc.name else module.name
                underline = "=" if not doc.name else "-"
                yield f"{name}{doc.signature}\n{underline * len(name)}\n\n{doc.text}"
