from dataclasses import replace
from email.message import Message
from importlib.metadata import Distribution
from typing import Any

import pytest

from datapipe.sample.environment import Package, normalised, packages
from datapipe.sample.index_pages import INDEX, listing_captures, sidebar, slug
from datapipe.sample.project_facts import project_facts

METADATA = {
    "Author": "Ann Moe, Bo Doe",
    "Author-email": '"Ann Moe" <ann@h.example>, Cy Roe <cy@h.example>',
    "Maintainer-email": "team@h.example",
    "Requires-Python": ">=3.9",
    "Keywords": "bridges, rivers,,bridges",
}
LISTS = {
    "Project-URL": ["Homepage, https://h.example/", "Source Code, https://code.example/p", "Odd, x"],
    "Requires-Dist": ["Other.Thing>=2", 'extra-thing; extra == "x"', "gone (>1) ; python_version < '3'"],
    "Provides-Extra": ["x"],
}
FILES = {
    "RECORD": "thing/__init__.py,sha256=a,1000\nthing/core.so,sha256=b,2000000\n../bin/thing,,30\nthing/__pycache__/x.pyc,,\n"
    "thing-1.dist-info/METADATA,sha256=c,7\n_hidden.py,sha256=d,50\n",
    "WHEEL": "Wheel-Version: 1.0\nGenerator: flit 3.9\n",
    "entry_points.txt": "[console_scripts]\nThing-it = thing.core:main [x]\n[other]\na = b:c\n",
}


class Installed(Distribution):
    """A distribution without files on disk."""

    @property
    def metadata(self) -> Any:
        message = Message()
        for name, value in METADATA.items():
            message[name] = value
        for name, values in LISTS.items():
            for value in values:
                message[name] = value
        return message

    def read_text(self, filename: str) -> str | None:
        return FILES.get(filename)

    def locate_file(self, path: Any) -> Any:
        return path


CLASSIFIERS = (
    "Topic :: Text",
    "Topic :: Text :: Markup",
    "Development Status :: 4 - Beta",
    "Intended Audience :: Developers",
)
THING = Package("Thing", "1", "MIT", "", CLASSIFIERS, "", "text/plain", Installed())
OTHER = replace(THING, name="Other.Thing")


def test_facts_are_read_from_the_files_of_a_distribution() -> None:
    facts = project_facts(THING)
    assert facts.authors == ["Ann Moe", "Bo Doe", "Cy Roe"]
    assert facts.maintainers == []
    assert facts.keywords == ["bridges", "rivers"]
    assert (facts.home_page, facts.source, facts.documentation) == ("https://h.example/", "https://code.example/p", "")
    assert facts.dependencies == ["other-thing", "gone"]
    assert facts.topics == ["Text", "Text :: Markup"]
    assert (facts.status, facts.audiences) == ("Beta", ["Developers"])
    assert facts.commands == {"Thing-it": "thing.core:main"}
    assert facts.import_names == ["thing"]
    assert (facts.size_bytes, facts.num_files, facts.num_modules, facts.num_libraries) == (2_001_050, 3, 2, 1)
    assert facts.built_with == "flit"


def test_entry_points_that_are_none_give_no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "entry_points.txt", "no section = 1")
    monkeypatch.delitem(FILES, "RECORD")
    facts = project_facts(THING)
    assert (facts.commands, facts.num_files) == ({}, 0)


def test_a_sidebar_links_to_pages_that_there_are() -> None:
    told = sidebar(project_facts(THING), frozenset({"other-thing"}))
    assert told["Depends on"] == ['<a href="/project/other-thing/">other-thing</a>', "gone"]
    assert told["Author"][0] == '<a href="/user/ann-moe/">Ann Moe</a>'
    assert told["Installed size"] == ["2.0 MB"]
    assert told["Documentation"] == []
    assert "@" not in str(told)


def test_listings_say_what_projects_share() -> None:
    pages = {capture.uri: capture.body.decode() for capture in listing_captures([THING, OTHER], max_bytes=10**6)}
    assert f"{INDEX}user/ann-moe/" in pages
    assert pages[f"{INDEX}topic/text-markup/"].count('href="/project/') == 2
    assert '<a href="/topic/text/">Text</a>' in pages[f"{INDEX}topic/text-markup/"]
    assert "<dt>Projects</dt><dd>2</dd>" in pages[f"{INDEX}builder/flit/"]
    assert "<dt>Function</dt><dd>main</dd>" in pages[f"{INDEX}command/thing-it/"]


def test_a_listing_has_the_licenses_of_all_that_it_lists() -> None:
    other = replace(OTHER, license="MIT AND (Apache-2.0 OR ISC) AND BSD-3-Clause", name="Other")
    unknown = replace(OTHER, license=None, classifiers=("Topic :: Text",), name="Unknown")
    free = replace(THING, license="MIT OR ISC", name="Free", classifiers=("Topic :: Games",))

    def licenses(*listed: Package) -> dict[str, str | None]:
        return {
            capture.uri.removeprefix(INDEX): capture.license for capture in listing_captures(listed, max_bytes=10**6)
        }

    assert licenses(THING, free)["builder/flit/"] == "MIT AND (MIT OR ISC)"
    assert licenses(THING, free)["topic/games/"] == "MIT OR ISC"
    assert licenses(THING, replace(THING, license="MIT AND BSD-3-Clause"))["topic/text/"] == "BSD-3-Clause AND MIT"
    found = licenses(THING, unknown)
    assert found["topic/text/"] is None
    assert found["topic/text-markup/"] == "MIT"
    assert licenses(THING, other)["topic/text/"] == "MIT AND (MIT AND (Apache-2.0 OR ISC) AND BSD-3-Clause)"


def test_listings_keep_to_their_budget_and_a_larger_one_adds_pages() -> None:
    few, all_of_them = (list(listing_captures([THING, OTHER], max_bytes=size)) for size in (5_000, 10**6))
    assert 0 < len(few) < len(all_of_them)
    assert sum(len(capture.body) for capture in few) <= 5_000
    assert few == all_of_them[: len(few)]


def test_every_link_of_a_real_sidebar_has_a_page() -> None:
    installed = packages()
    names = frozenset(normalised(package.name) for package in installed)
    listed = {capture.uri for capture in listing_captures(installed, max_bytes=10**8)}
    for package in installed:
        facts = project_facts(package)
        for kind, named in (
            ("user", facts.authors + facts.maintainers),
            ("topic", facts.topics),
            ("command", list(facts.commands)),
        ):
            assert {f"{INDEX}{kind}/{slug(name)}/" for name in named} <= listed
        assert all(
            "/project/" not in link or link.split("/")[2] in names for link in sidebar(facts, names)["Depends on"]
        )
