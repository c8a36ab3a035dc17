"""The pages by which a package index is browsed: people, topics, licences, commands, build tools, each with the projects that belong there.

They are what a question needs that goes from one project to another. A page exists where something is said of a project, never without.
All of it stands in the metadata of the projects that it lists, so their licences hold together for the page; one that is unknown makes
that of the page unknown.
"""

import html
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from datapipe.readers import licenses
from datapipe.sample.environment import Package, normalised, stable_rank
from datapipe.sample.project_facts import ProjectFacts, project_facts
from datapipe.sample.site_pages import listing_page
from datapipe.sample.warc import Capture

INDEX = "https://packages.example/"


class Row(NamedTuple):
    """A project in a list."""

    name: str
    key: str  # the name, normalised
    license: str | None

    @classmethod
    def of(cls, package: Package) -> "Row":
        return cls(package.name, normalised(package.name), package.license)


def sidebar(facts: ProjectFacts, projects: frozenset[str]) -> dict[str, list[str]]:
    """What the page of a project says beside its description, name -> values as HTML. `projects`: those that have a page."""
    return {
        "Author": [_link("user", person) for person in facts.authors],
        "Maintainer": [_link("user", person) for person in facts.maintainers],
        "Requires Python": _texts([facts.requires_python]),
        "Development status": _texts([facts.status]),
        "Home page": _address(facts.home_page),
        "Source": _address(facts.source),
        "Documentation": _address(facts.documentation),
        "Keywords": _texts(facts.keywords),
        "Topic": [_link("topic", topic) for topic in facts.topics],
        "Audience": _texts(facts.audiences),
        "Depends on": [
            _link("project", name) if name in projects else html.escape(name) for name in facts.dependencies
        ],
        "Extras": _texts(facts.extras),
        "Commands": [_link("command", name) for name in facts.commands],
        "Import names": _texts(facts.import_names),
        "Installed size": [_size(facts.size_bytes)] if facts.size_bytes else [],
        "Installed files": [f"{facts.num_files:,}"] if facts.num_files else [],
        "Python modules": [f"{facts.num_modules:,}"] if facts.num_modules else [],
        "Compiled libraries": [f"{facts.num_libraries:,}"] if facts.num_libraries else [],
        "Built with": [_link("builder", facts.built_with)] if facts.built_with else [],
    }


def listing_captures(packages: Sequence[Package], *, max_bytes: int) -> Iterator[Capture]:
    """Pages of what projects share, up to `max_bytes`, in stable pseudo-random order."""
    size_bytes = 0
    for capture in sorted(_listings(packages), key=lambda capture: stable_rank(capture.uri)):
        size_bytes += len(capture.body)
        if size_bytes > max_bytes:
            return
        yield capture


def _listings(packages: Sequence[Package]) -> Iterator[Capture]:
    told = [(package, project_facts(package)) for package in packages]
    written = _by(told, lambda facts: facts.authors)
    kept = _by(told, lambda facts: facts.maintainers)
    for person in sorted({*written, *kept}):
        projects = [(row, "author") for row in written[person]] + [(row, "maintainer") for row in kept[person]]
        distinct = list(dict.fromkeys(row for row, _ in projects))
        cells = [[_link("project", row.key, row.name), role] for row, role in projects]
        facts = {"Projects": [str(len(distinct))]}
        yield _capture(
            "user", person, "Contributes to projects on the index.", facts, ["Project", "Role"], cells, distinct
        )
    topics = _by(told, lambda facts: facts.topics)
    for topic, named in sorted(topics.items()):
        parent = topic.rpartition(" :: ")[0]
        facts = {"Part of": [_link("topic", parent)] if parent in topics else [], "Projects": [str(len(named))]}
        yield _capture("topic", topic, "Projects that name this topic.", facts, ["Project"], _cells(named), named)
    for builder, built in sorted(_by(told, lambda facts: [facts.built_with]).items()):
        facts = {"Projects": [str(len(built))]}
        summary = "Wheels on the index that were made by this tool."
        yield _capture("builder", builder, summary, facts, ["Project"], _cells(built), built)
    for package, about in told:
        for command, target in about.commands.items():
            module, _, function = target.partition(":")
            row = Row.of(package)
            facts = {
                "Installed by": [_link("project", row.key, row.name)],
                "Module": _texts([module]),
                "Function": _texts([function]),
            }
            yield _capture("command", command, "A command for the shell.", facts, [], [], [row])


def _by(
    told: Iterable[tuple[Package, ProjectFacts]], values: Callable[[ProjectFacts], list[str]]
) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for package, facts in told:
        for value in values(facts):
            if value:
                found[value].append(Row.of(package))
    return found


def _capture(
    kind: str,
    name: str,
    summary: str,
    facts: dict[str, list[str]],
    header: list[str],
    cells: list[list[str]],
    projects: list[Row],
) -> Capture:
    page = listing_page(name, summary, facts, header, cells)
    return Capture(f"{INDEX}{kind}/{slug(name)}/", page.encode(), license=_license_of_all(projects))


def _license_of_all(projects: list[Row]) -> str | None:
    """The licences of all projects together, each once; None where one of them has none that is known."""
    stated = [row.license for row in projects if row.license]
    if len(stated) < len(projects):
        return None
    terms = {term for license in stated for term in ([license] if " OR " in license else license.split(" AND "))}
    return licenses.join(sorted(terms), " AND ")


def _cells(projects: list[Row]) -> list[list[str]]:
    return [[_link("project", row.key, row.name)] for row in projects]


def slug(name: str) -> str:
    """A name in an address: lower case, what is no letter or digit is a hyphen."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-")


def _link(kind: str, name: str, words: str | None = None) -> str:
    return f'<a href="/{kind}/{slug(name)}/">{html.escape(words or name)}</a>'


def _address(address: str) -> list[str]:
    return [f'<a href="{html.escape(address)}" rel="nofollow">{html.escape(address)}</a>'] if address else []


def _texts(values: list[str]) -> list[str]:
    return [html.escape(value) for value in values if value]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
