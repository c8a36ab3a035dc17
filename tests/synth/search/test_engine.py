"""The search engine: what it finds, in which order, and that no query can harm it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.search.engine import MAX_TERMS, Engine, snippet
from synth.search.task import Page
from tests.synth.search.shipping import SITE, ships


@pytest.fixture(scope="module")
def engine():
    with Engine(ships()) as engine:
        yield engine


def text_of(page: Page, span) -> str:
    return page.text[span.start : span.start + span.length]


def test_the_page_with_the_words_comes_first(engine: Engine) -> None:
    page = next(page for page in ships() if page.title == "Hesper")
    description = next(line for line in page.text.split("\n") if "barque" in line)
    assert engine.ranked(description, 3)[0][0] == page
    assert engine.ranked("hesper", 3)[0][0] == page  # a title counts more than a mention


def test_stems_and_accents_do_not_matter(engine: Engine) -> None:
    titles = [
        [page.title for page, _ in engine.ranked(query, 5)]
        for query in ("carrying wools", "carried wool", "CÀRRIED wool!")
    ]
    assert titles[0]
    assert titles[0] == titles[1] == titles[2]


def test_the_order_of_the_pages_given_changes_nothing(engine: Engine) -> None:
    pages = ships()
    random.Random(1).shuffle(pages)
    with Engine(pages) as other:
        for query in ("barque", "wool and timber", "Her best known master was", "iron hulls"):
            assert other.ranked(query, 20) == engine.ranked(query, 20)


def test_ties_go_by_id() -> None:
    pages = [Page(f"{n:032x}", f"{SITE}/{n}", "Same", "the very same words", None) for n in (7, 3, 5, 1)]
    with Engine(pages) as engine:
        found = engine.ranked("words", 4)
        assert len({score for _, score in found}) == 1
        assert [page.id for page, _ in found] == sorted(page.id for page in pages)
        assert [page.id for page, _ in engine.ranked("words", 2)] == sorted(page.id for page in pages)[:2]


@settings(deadline=None, max_examples=60)
@given(query=st.text(max_size=200))
def test_any_query_is_just_words(engine: Engine, query: str) -> None:
    found = engine.ranked(query, 5)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


@pytest.mark.parametrize(
    "query", ['"(wool AND [timber] TO *', "text:wool^9 -barque", "\\", "wool~2 'nymph\"", "\ud800 wool", "\x00wool"]
)
def test_operators_are_no_operators(engine: Engine, query: str) -> None:
    assert ("wool" in query) == any("wool" in page.text for page, _ in engine.ranked(query, 5))


def test_a_long_query_is_its_rarest_words(engine: Engine) -> None:
    words = [f"filler{number}" for number in range(10_000)]
    assert engine.terms(" ".join([*words, "hesper"])) == ["hesper"]
    everything = " ".join(page.text for page in ships())
    terms = engine.terms(everything)
    assert len(terms) == MAX_TERMS
    counts = [engine._searcher.doc_freq("text", term) for term in terms]
    assert counts == sorted(counts)
    left_out = set(engine._words.analyze(everything)) - set(terms)
    assert left_out
    assert counts[-1] <= min(engine._searcher.doc_freq("text", term) for term in left_out)


def test_nothing_to_look_for_finds_nothing(engine: Engine) -> None:
    assert engine.ranked("", 5) == engine.ranked("the of and", 5) == engine.ranked("zyzzyva", 5) == []
    assert engine.ranked("wool", 0) == []


def test_a_page_is_known_by_id_and_address(engine: Engine) -> None:
    page = ships()[0]
    for name in (
        page.id,
        page.url,
        page.url + "#top",
        page.url + "/",
        page.url.replace("https", "http"),
        f" {page.url}\n",
    ):
        assert engine.page(name) == page
    assert engine.page(f"{SITE}/nowhere") is engine.page("") is None


def test_a_snippet_shows_most_of_the_words() -> None:
    filler = "nothing to see here and on it goes " * 50
    page = Page("1", SITE, "T", f"wool once. {filler}The wool, the timber and the anchor. {filler}", None)
    shown = text_of(page, snippet(page, ["anchor", "timber", "wool"]))
    assert "wool, the timber and the anchor" in shown
    assert text_of(page, snippet(page, ["zebra"])).startswith("wool once.")


@settings(deadline=None, max_examples=100)
@given(
    text=st.text(alphabet="ab İßé\n.", max_size=900),
    terms=st.lists(st.sampled_from(["a", "ab", "ss", "i̇"]), max_size=3),
)
def test_a_snippet_is_a_part_of_the_page_and_cuts_no_word(text: str, terms: list[str]) -> None:
    span = snippet(Page("1", SITE, "T", text, None), terms)
    assert 0 <= span.start <= span.start + span.length <= len(text)
    before, after = text[span.start - 1 : span.start], text[span.start + span.length : span.start + span.length + 1]
    shown = text[span.start : span.start + span.length]
    if span.start and any(sign.isspace() for sign in shown):
        assert before.isspace() or not shown[0].strip()
    assert not after or after.isspace() or not any(sign.isspace() for sign in shown.strip())


def test_nothing_is_left_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Engine(ships()) as engine:
        assert engine.ranked("wool", 1)
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
