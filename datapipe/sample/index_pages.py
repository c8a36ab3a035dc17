"""The pages by which a package index is browsed: people, topics, licences, commands, build tools, each with the projects that belong there.

They are what a question needs that goes from one project to another. A page exists where something is said of a project, never without.
"""

import html
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from datapipe.sample.environment import Package, normalised, stable_rank
from datapipe.sample.project_facts import ProjectFacts, project_facts
from datapipe.sample.site_pages import listing_page
from datapipe.sample.warc import Capture

INDEX = "https://packages.example/"
Row = tuple[str, str]  # name and normalised name of a project


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
        projects = [(*project, "author") for project in written[person]] + [
            (*project, "maintainer") for project in kept[person]
        ]
        rows = [[_link("project", key, name), role] for name, key, role in projects]
        yield _capture(
            "user",
            person,
            "Contributes to projects on the index.",
            {"Projects": [str(len({row[1] for row in projects}))]},
            ["Project", "Role"],
            rows,
        )
    topics = _by(told, lambda facts: facts.topics)
    for topic in sorted(topics):
        parent = topic.rpartition(" :: ")[0]
        facts = {"Part of": [_link("topic", parent)] if parent in topics else [], "Projects": [str(len(topics[topic]))]}
        yield _capture("topic", topic, "Projects that name this topic.", facts, ["Project"], _rows(topics[topic]))
    for builder, built in sorted(_by(told, lambda facts: [facts.built_with]).items()):
        facts = {"Projects": [str(len(built))]}
        yield _capture(
            "builder", builder, "Wheels on the index that were made by this tool.", facts, ["Project"], _rows(built)
        )
    for package, about in told:
        for command, target in about.commands.items():
            module, _, function = target.partition(":")
            facts = {
                "Installed by": [_link("project", normalised(package.name), package.name)],
                "Module": _texts([module]),
                "Function": _texts([function]),
            }
            yield _capture("command", command, "A command for the shell.", facts, [], [])


def _by(
    told: Iterable[tuple[Package, ProjectFacts]], values: Callable[[ProjectFacts], list[str]]
) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for package, facts in told:
        for value in values(facts):
            if value:
                found[value].append((package.name, normalised(package.name)))
    return found


def _capture(
    kind: str, name: str, summary: str, facts: dict[str, list[str]], header: list[str], rows: list[list[str]]
) -> Capture:
    return Capture(f"{INDEX}{kind}/{slug(name)}/", listing_page(name, summary, facts, header, rows).encode())


def _rows(projects: list[Row]) -> list[list[str]]:
    return [[_link("project", key, name)] for name, key in projects]


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
