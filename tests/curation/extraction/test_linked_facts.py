"""What pages say of themselves in links, and what they do not."""

import json

import pytest

from curation.extraction.linked import linked
from curation.extraction.linked_facts import spdx_of
from datapipe.schema import documents

URL = "https://site.example/docs/page.html"
TEXT = "<main><p>A page of some words, so that there is a text.</p></main>"
CC = "https://creativecommons.org/licenses"


@pytest.mark.parametrize(
    ("address", "spdx"),
    [
        (f"{CC}/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("http://www.creativecommons.org/licenses/by/3.0", "CC-BY-3.0"),
        (f"{CC}/by-nc-nd/4.0/deed.de", "CC-BY-NC-ND-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0-1.0"),
        ("https://spdx.org/licenses/PSF-2.0.html", "PSF-2.0"),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("https://www.apache.org/licenses/LICENSE-2.0.txt", "Apache-2.0"),
        ("https://opensource.org/license/apache-2-0", ""),  # no SPDX id
        ("https://opensource.org/licenses/category", ""),
        (f"{CC}/by-sa/3.0/de/", ""),  # of one country
        (f"{CC}/by-sa/9.0/", ""),
        ("https://site.example/creativecommons.org/licenses/by/4.0/", ""),
        ("https://site.example/terms", ""),
        ("", ""),
    ],
)
def test_an_address_names_a_license_or_none(address: str, spdx: str) -> None:
    assert spdx_of(address) == spdx


@pytest.mark.parametrize(
    ("head", "known", "license"),
    [
        (f'<link rel="license" href="{CC}/by/4.0/">', None, "CC-BY-4.0"),
        (f'<link rel="nofollow license" href="{CC}/by/4.0/">', None, "CC-BY-4.0"),
        (f'<link rel="license" href="{CC}/by/4.0/">', "MIT", "MIT"),  # the reader knew
        (f'<link rel="license" href="{CC}/by/4.0/"><link rel="license" href="{CC}/by-sa/4.0/">', None, None),
        ('<link rel="license" href="/terms">', None, None),
        (f'<link rel="license-of-icons" href="{CC}/by/4.0/">', None, None),
        ("", None, None),
    ],
)
def test_a_page_has_the_license_that_it_links_to(head: str, known: str | None, license: str | None) -> None:
    page = {"text": f"<html><head>{head}</head><body>{TEXT}</body></html>", "origin": URL, "license": known}
    assert linked(documents([page]))["license"].to_pylist() == [license]


@pytest.mark.parametrize(
    ("head", "canonical"),
    [
        ('<link rel="canonical" href="/guide">', "https://site.example/guide"),
        (f'<link rel="canonical" href="{URL}">', None),
        ('<meta http-equiv="refresh" content="0; url=new.html">', "https://site.example/docs/new.html"),
        ('<meta http-equiv="refresh" content="300">', None),  # a page that reloads itself
        ('<link rel="canonical" href="/a"><link rel="canonical" href="/b">', None),
        ('<link rel="canonical" href="javascript:x">', None),
    ],
)
def test_a_page_says_where_it_is_to_be_found(head: str, canonical: str | None) -> None:
    page = {"text": f"<html><head>{head}</head><body>{TEXT}</body></html>", "origin": URL}
    [meta] = linked(documents([page]))["meta"].to_pylist()
    assert json.loads(meta).get("canonical") == canonical
