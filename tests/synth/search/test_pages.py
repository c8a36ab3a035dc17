import json

import pytest

from datapipe.schema import documents
from synth.search.pages import address, bounded, by_address, pages_of, title_of
from synth.search.task import Page


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Host.example/a/", "http://host.example/a"),
        ("https://host.example/a/index.html#part", "https://host.example/a"),
        ("https://host.example:443/a", "https://host.example/a"),
        ("https://host.example", "https://host.example/index.htm"),
    ],
)
def test_addresses_of_one_page_are_alike(one: str, other: str) -> None:
    assert address(one) == address(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://h.example/a?p=1", "https://h.example/a?p=2"),
        ("https://h.example/A", "https://h.example/a"),
        ("https://h.example:8080/", "https://h.example/"),
    ],
)
def test_addresses_of_two_pages_are_not(one: str, other: str) -> None:
    assert address(one) != address(other)


@pytest.mark.parametrize("url", ["", "mailto:a@b.example", "https://[::1", "file:///etc", "https://host:port/"])
def test_what_is_no_address_names_no_page(url: str) -> None:
    assert address(url) == ""


@pytest.mark.parametrize(
    ("text", "window", "wanted"),
    [
        ("# Jinja2 3.1\n", "Jinja2 · The index", "Jinja2"),
        ("# [json](https://x.example/).decoder\n", "json.decoder — Python documentation", "json.decoder"),
        ("text\n\n# 1. Overview\n", "SELECT", "SELECT"),
        ("# Elm Bridge\n", "Elm Bridge - The bridges", "Elm Bridge"),
        ("## Only heading\n", "", "Only heading"),
        ("no heading", "", ""),
    ],
)
def test_a_title_is_what_heading_and_window_agree_on(text: str, window: str, wanted: str) -> None:
    assert title_of(text, window) == wanted


def test_documents_become_pages_by_id_and_long_ones_end_at_a_line() -> None:
    docs = documents(
        [
            {"text": "# B\n" + "word\n" * 100, "origin": "https://h.example/b", "license": "MIT"},
            {"text": "nothing", "origin": "https://h.example/c"},
            {"text": "# D", "origin": "file.txt#3"},
            {"text": "words", "origin": "https://h.example/a", "meta": json.dumps({"title": "A"})},
        ]
    )
    found = pages_of(docs, max_chars=30)
    assert [page.title for page in sorted(found, key=lambda page: page.url)] == ["A", "B"]
    assert found == sorted(found)
    longest = max(found, key=lambda page: len(page.text))
    assert longest.text == "# B\n" + "word\n" * 5
    assert longest.license == "MIT"
    assert bounded("a" * 50, 30) == ""


def test_a_page_stands_at_its_canonical_address_unless_another_one_does() -> None:
    [moved] = pages_of(
        documents(
            [{"text": "# M", "origin": "https://h.example/old", "meta": '{"canonical": "https://h.example/new/"}'}]
        )
    )
    taken = Page("0", "https://h.example/new", "N", "", None)
    assert by_address([moved]) == {"h.example/old": moved.id, "h.example/new": moved.id}
    assert by_address([moved, taken])["h.example/new"] == "0"


def test_of_two_pages_at_one_address_the_smaller_id_is_meant() -> None:
    pages = [Page(id, "https://h.example/a", "A", "", None) for id in ("2", "1")]
    assert by_address(pages) == {"h.example/a": "1"}
