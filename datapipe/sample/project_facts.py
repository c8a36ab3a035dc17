"""What an installed distribution says of itself beyond its description: people, topics, dependencies, commands, sizes.

All of it stands in the distribution's own files (METADATA, RECORD, WHEEL, entry_points.txt), as packaging tools wrote them. Addresses of
people are left out. 170 distributions take half a CPU second.
"""

import configparser
import csv
import re
from collections.abc import Iterable
from email.message import Message
from email.utils import getaddresses
from typing import NamedTuple, cast

from datapipe.sample.environment import Package, normalised

REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
EXTRA = re.compile(r"\bextra\s*==")
MAX_NAMES = 12
HOME_LABELS = frozenset({"homepage", "home", "website"})
SOURCE_LABELS = frozenset({"source", "repository", "source code", "github", "code", "github: repo", "sources"})
DOCUMENTATION_LABELS = frozenset({"documentation", "docs", "docs: rtd"})


class ProjectFacts(NamedTuple):
    """Of one distribution. Lists are in the order of its metadata, without repetitions."""

    authors: list[str]  # names
    maintainers: list[str]
    requires_python: str
    home_page: str  # addresses
    source: str
    documentation: str
    keywords: list[str]
    topics: list[str]  # `Internet :: WWW/HTTP`
    status: str  # of development
    audiences: list[str]
    dependencies: list[str]  # normalised names, of those that are always installed
    extras: list[str]
    commands: dict[str, str]  # -> the function that each runs, `module:function`
    import_names: list[str]
    size_bytes: int  # of all installed files but compiled ones
    num_files: int
    num_modules: int  # Python source files
    num_libraries: int  # compiled extension modules
    built_with: str


def project_facts(package: Package) -> ProjectFacts:
    """Read from the distribution's files; what it does not say is empty."""
    metadata = cast(Message, package.dist.metadata)
    links = dict(_link(line) for line in reversed(metadata.get_all("Project-URL", [])))
    classifiers = [line.partition(" :: ")[::2] for line in package.classifiers]
    rows = [row for row in csv.reader((package.dist.read_text("RECORD") or "").splitlines()) if _is_installed(row)]
    sources = [row[0] for row in rows if row[0].endswith(".py")]
    return ProjectFacts(
        authors=_people(metadata, "Author", "Author-email"),
        maintainers=_people(metadata, "Maintainer", "Maintainer-email"),
        requires_python=metadata.get("Requires-Python", ""),
        home_page=_of(links, HOME_LABELS) or metadata.get("Home-page", ""),
        source=_of(links, SOURCE_LABELS),
        documentation=_of(links, DOCUMENTATION_LABELS),
        keywords=_unique(word.strip() for word in re.split(r"[,;]", metadata.get("Keywords", "")))[:MAX_NAMES],
        topics=_unique(rest for kind, rest in classifiers if kind == "Topic"),
        status=next((rest.partition(" - ")[2] for kind, rest in classifiers if kind == "Development Status"), ""),
        audiences=_unique(rest for kind, rest in classifiers if kind == "Intended Audience"),
        dependencies=_dependencies(metadata.get_all("Requires-Dist", [])),
        extras=_unique(metadata.get_all("Provides-Extra", []))[:MAX_NAMES],
        commands=_commands(package.dist.read_text("entry_points.txt") or ""),
        import_names=_unique(name.partition("/")[0].removesuffix(".py") for name in sources if _is_public(name))[
            :MAX_NAMES
        ],
        size_bytes=sum(int(row[2]) for row in rows if row[2].isdecimal()),
        num_files=len(rows),
        num_modules=len(sources),
        num_libraries=sum(row[0].endswith((".so", ".pyd")) for row in rows),
        built_with=_generator(package.dist.read_text("WHEEL") or ""),
    )


def _is_installed(row: list[str]) -> bool:
    return (
        len(row) == 3 and not row[0].endswith(".pyc") and ".." not in row[0].split("/") and ".dist-info/" not in row[0]
    )


def _is_public(name: str) -> bool:
    return not name.startswith("_") and (name.endswith("/__init__.py") or "/" not in name)


def _people(metadata: Message, name: str, address: str) -> list[str]:
    """Names alone, from the field of names and from that of names and addresses."""
    plain = [part.strip() for part in re.split(r",| and |;", str(metadata.get(name, ""))) if "@" not in part]
    named = [display.strip() for display, _ in getaddresses([str(metadata.get(address, ""))])]
    return _unique(person for person in (*plain, *named) if re.fullmatch(r"[^\W\d_][\w .'’-]{2,60}", person))


def _dependencies(lines: list[str]) -> list[str]:
    always = (line for line in lines if not EXTRA.search(line))
    return _unique(normalised(name[0]) for line in always if (name := REQUIREMENT.match(line)))


def _commands(entry_points: str) -> dict[str, str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are written
    try:
        parser.read_string(entry_points)
    except configparser.Error:
        return {}
    return {name: target.partition("[")[0].strip() for name, target in _section(parser, "console_scripts")}


def _section(parser: configparser.ConfigParser, name: str) -> list[tuple[str, str]]:
    return sorted(parser.items(name)) if parser.has_section(name) else []


def _generator(wheel: str) -> str:
    found = re.search(r"^Generator: *([\w.-]+)", wheel, re.M)
    return found[1] if found else ""


def _link(line: str) -> tuple[str, str]:
    label, _, address = line.partition(",")
    return label.strip().lower(), address.strip()


def _of(links: dict[str, str], labels: frozenset[str]) -> str:
    return next((address for label, address in links.items() if label in labels and address.startswith("http")), "")


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word))
