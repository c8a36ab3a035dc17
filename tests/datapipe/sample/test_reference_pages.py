"""The works of reference of the sample: an atlas and a table of characters."""

import re
from dataclasses import replace

from datapipe.sample.atlas_pages import ATLAS, atlas_captures, data_license
from datapipe.sample.character_pages import CHARACTERS, character_captures
from datapipe.sample.environment import packages
from datapipe.sample.warc import Capture

LINK = re.compile(r'href="(/[a-z]+/[^"/]+/)"')
INSTALLED = [package for package in packages() if package.name == "babel"]
ALL_OF_IT = 10**8


def by_path(captures: list[Capture], site: str) -> dict[str, str]:
    pages = {capture.uri.removeprefix(site.rstrip("/")): capture.body.decode() for capture in captures}
    assert len(pages) == len(captures)  # one page per address
    return pages


def test_an_atlas_says_what_the_repository_has() -> None:
    captures = list(atlas_captures(INSTALLED, max_bytes=ALL_OF_IT))
    pages = by_path(captures, ATLAS)
    assert {capture.license for capture in captures} == {"Unicode-3.0"}
    swiss, mark = pages["/territory/switzerland/"], pages["/currency/finnish-markka/"]
    assert "<th>Territory code</th><td>CH</td>" in swiss
    assert "<li>Schweiz</li>" in swiss
    assert '<a href="/language/romansh/">Romansh</a>, 0.5 % of the people' in swiss
    assert '<a href="/territory/finland/">Finland</a>, from 1963 to 2002' in mark
    assert "<th>Withdrawn</th><td>2002-02-28</td>" in mark
    assert '<li><a href="/language/russian/">Russian</a></li>' in pages["/script/cyrillic-script/"]
    assert "is money in Japan and" in pages["/currency/japanese-yen/"]  # no more in Micronesia, which comes first


def test_every_link_of_a_work_of_reference_has_a_page() -> None:
    for captures, site in (
        (list(atlas_captures(INSTALLED, max_bytes=ALL_OF_IT)), ATLAS),
        (list(character_captures(max_bytes=ALL_OF_IT)), CHARACTERS),
    ):
        pages = by_path(captures, site)
        assert {path for page in pages.values() for path in LINK.findall(page)} <= pages.keys()


def test_a_character_is_told_by_case_parts_and_encodings() -> None:
    pages = by_path(list(character_captures(max_bytes=ALL_OF_IT)), CHARACTERS)
    page = pages["/character/latin-small-letter-e-with-acute/"]
    assert "<th>Code point</th><td>U+00E9</td>" in page
    assert "<th>HTML name</th><td>eacute</td>" in page
    assert '<th>Uppercase form</th><td><a href="/character/latin-capital-letter-e-with-acute/">' in page
    assert '<th>Base letter</th><td><a href="/character/latin-small-letter-e/">' in page
    assert '<a href="/encoding/dos-437/">DOS 437</a>, as 0x82' in page
    assert "The character e is in ASCII and all that add to it, and" in pages["/character/latin-small-letter-e/"]


def test_works_of_reference_keep_to_their_budget_and_a_larger_one_adds_pages() -> None:
    for make in (
        lambda size: list(atlas_captures(INSTALLED, max_bytes=size)),
        lambda size: list(character_captures(max_bytes=size)),
    ):
        few, more = make(20_000), make(60_000)
        assert 0 < len(few) < len(more)
        assert few == more[: len(few)]
        assert sum(len(capture.body) for capture in few) <= 20_000


def test_without_the_repository_there_is_no_atlas() -> None:
    assert list(atlas_captures([], max_bytes=ALL_OF_IT)) == []


def test_data_without_a_license_of_their_own_have_that_of_the_distribution() -> None:
    bare = replace(INSTALLED[0], license="BSD-3-Clause")
    bare.__dict__["files"] = ()
    assert data_license(bare) == "BSD-3-Clause"
