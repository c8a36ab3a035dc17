"""Both engines see the same page, and say what the page says of itself."""

import sys

import pytest

from curation.extraction import engines
from curation.extraction.exchange import ENGINES

SENTENCE = "A sentence that belongs to the text of this page, with a comma. " * 5
OTHER = SENTENCE.replace("page", "site")
HEAD = (
    "<html lang='en-GB'><head><title> A\n title </title><meta name='Date' content='yesterday'>"
    "<meta property='article:published_time' content='2024-02-29T10:00:00Z'></head>"
)
FACTS = {"title": "A title", "html_lang": "en-GB", "published": "2024-02-29"}


def found(engine: str, page: str, max_elements: int = 100_000) -> engines.Found | None:
    return engines.load(engine, favor_precision=False, include_tables=True)(page, max_elements)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("extra", ["", "<pre>a\nb</pre>"])
def test_text_and_facts(engine: str, extra: str) -> None:
    pytest.importorskip("resiliparse")
    page = found(engine, f"{HEAD}<body><article><p>{SENTENCE}</p>{extra}<p>{OTHER}</p></article></body></html>")
    assert page is not None
    assert page.facts == FACTS
    assert page.kept.restore(page.text)[0].split() == (SENTENCE + extra[5:-6] + " " + OTHER).split()


@pytest.mark.parametrize("engine", ENGINES)
def test_lines_of_the_source_are_none_of_the_text_and_those_that_show_are(engine: str) -> None:
    pytest.importorskip("resiliparse")
    wrapped = SENTENCE.strip().replace(" the ", "\n   the ").replace("page", "<em>page</em>")
    page = found(
        engine, f"<html><body><article><p>\n{wrapped}\n</p><p>{OTHER}<br>The\nnext.</p><pre>a\n  b</pre></article>"
    )
    assert page is not None
    lines = [line.rstrip() for line in page.kept.restore(page.text)[0].splitlines() if line]
    assert lines == [SENTENCE.strip(), OTHER.strip(), "The next.", "a", "  b"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("page", ["", "no markup", "<html></html>", "\x00", "<html><head></head></html>"])
def test_pages_without_text(engine: str, page: str) -> None:
    pytest.importorskip("resiliparse")
    result = found(engine, page)
    assert result is not None
    assert result.text.strip() in ("", "no markup")


@pytest.mark.parametrize("engine", ENGINES)
def test_too_many_elements(engine: str) -> None:
    pytest.importorskip("resiliparse")
    page = f"<html><head></head><body>{'<p>x</p>' * 6_000}</body></html>"
    assert found(engine, page, 6_000) is None
    assert found(engine, page, 6_003) is not None


def test_where_resiliparse_drops_all_of_a_page_trafilatura_is_asked() -> None:
    extractor = pytest.importorskip("resiliparse.extract.html2text").extract_plain_text
    page = f"{HEAD}<body><div id='related-functions'><p>{SENTENCE}</p><p>{OTHER}</p></div></body></html>"
    assert extractor(page, main_content=True).strip() == ""
    result = found("fast", page)
    assert result is not None
    assert result.text.count("A sentence") == 10


def test_strange_facts_are_left_out() -> None:
    tree = engines.parse(
        "<html lang='x y'><head><title> </title><meta name=date content=2024></head><body><p>a</p><p>b</p></body></html>"
    )
    assert engines.facts_of(tree) == {}


def test_a_missing_engine_is_noticed_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resiliparse.extract.html2text", None)
    with pytest.raises(ImportError):
        engines.load("fast", favor_precision=False, include_tables=True)
