"""Addresses and words that are listed, and their neighbours that are not."""

import pyarrow as pa
import pytest

from curation.rules.blocklist import blocked_words, url
from datapipe.schema import documents


def pages(*origins: str) -> pa.Table:
    return documents([{"text": "", "origin": origin} for origin in origins])


def texts(*texts: str) -> pa.Table:
    return documents([{"text": text, "origin": f"o{index}"} for index, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("address", "blocked"),
    [
        ("https://example.com/page", True),
        ("http://www.Example.COM:8080/?q=1", True),
        ("https://user:name@deep.sub.example.com./", True),
        ("https://myexample.com/", False),
        ("https://example.com.org/", False),
        ("https://other.org/example.com", False),
        ("repo@abc:example.com/file.py", False),
        ("file#12", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_a_domain_stands_for_what_is_below_it(address: str, blocked: bool) -> None:
    assert url(pages(address), domains=["example.com"]).to_pylist() == ["url.domain" if blocked else None]


def test_words_and_parts_of_an_address() -> None:
    table = pages(
        "https://a.org/free-CASINO-games",
        "https://casinoroyale.org/film",
        "https://a.org/my-sexy/hot_pictures",
        "https://essex.org/hot",
        "https://a.org/por-n.html",
    )
    assert url(table, words=["casino"]).to_pylist() == ["url.word", None, None, None, None]
    assert url(table, soft_words=["sexy", "hot", "free"]).to_pylist() == [None, None, "url.soft_words", None, None]
    assert url(table, soft_words=["hot"], max_soft_words=0).to_pylist()[2:4] == ["url.soft_words"] * 2
    assert url(table, substrings=["casino", "porn"]).to_pylist() == ["url.substring"] * 2 + [
        None,
        None,
        "url.substring",
    ]
    assert url(table).to_pylist() == [None] * 5
    assert url(table[:0], words=["casino"]).to_pylist() == []


def test_listed_words_of_a_text() -> None:
    table = texts("Buy V1agra now", "buy, now: cheap\nPILLS!", "buypills", "", "a BUY", "İstanbul buy")
    assert blocked_words(table, words=["cheap pills", "v1agra"]).to_pylist() == ["words.blocked"] * 2 + [None] * 4
    assert (
        blocked_words(table, words=["Buy"]).to_pylist() == ["words.blocked"] * 2 + [None, None] + ["words.blocked"] * 2
    )
    assert blocked_words(table).to_pylist() == [None] * 6


def test_a_word_may_occur_so_often() -> None:
    table = texts("bad " * 2 + "word " * 8, "bad " * 3 + "word " * 7, "bad " * 3 + "word " * 12)
    assert blocked_words(table, words=["bad"], max_count=2).to_pylist() == [None, "words.blocked", "words.blocked"]
    both = blocked_words(table, words=["bad"], max_count=2, max_share=0.2)
    assert both.to_pylist() == [None, "words.blocked", None]


def test_entries_in_a_script_without_spaces_match_anywhere() -> None:
    table = texts("我们去网上赌博吧", "网上很好,赌博不好")
    assert blocked_words(table, words=["网上赌博"]).to_pylist() == ["words.blocked", None]


def test_each_language_has_its_list() -> None:
    table = documents(
        [
            {"text": "gift", "origin": "1", "lang": "en"},
            {"text": "gift", "origin": "2", "lang": "de"},
            {"text": "gift", "origin": "3"},
        ]
    )
    found = blocked_words(table, languages={"de": {"words": ["gift"]}})
    assert found.to_pylist() == [None, "words.blocked", None]
