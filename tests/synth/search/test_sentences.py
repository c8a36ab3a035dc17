import gzip
import json
from pathlib import Path

import pytest

from synth.search.sentences import stated
from synth.search.task import Page

TITLES = {"Nabil Ayouch": "n", "The Gentle Gunman": "g", "Mektoub": "m"}


def facts(text: str, title: str = "Mektoub") -> set[tuple[str, str]]:
    page = Page("m", "https://h.example/m", title, f"# {title}\n\n{text}\n", None)
    found = list(stated(page, TITLES.get))
    for fact in found:
        written = page.text[fact.span.start : fact.span.start + fact.span.length]
        assert TITLES.get(written) == fact.object if fact.is_page else written.startswith(fact.object)
    return {(fact.relation, fact.object) for fact in found}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "Ann Moe (8 July 1894 – 4 January 1998) was an Italian film director.",
            {("born", "8 July 1894"), ("died", "4 January 1998"), ("kind", "Italian film director")},
        ),
        (
            "Ann Moe( born May 20, 1990 in Oslo) is a Dane.",
            {("born", "May 20, 1990"), ("born in", "Oslo"), ("kind", "Dane")},
        ),
        ("Ann( died 875) was a queen of Lotharingia.", {("kind", "queen")}),
        (
            "Mektoub is a 1997 drama film directed by Nabil Ayouch.",
            {("kind", "1997 drama film"), ("year", "1997"), ("directed by", "n")},
        ),
        (
            "It stars Ann Moe and J. R. Doe. It was released on May 4, 2001.",
            {("starring", "Ann Moe"), ("starring", "J. R. Doe"), ("released", "May 4, 2001")},
        ),
        ("Mektoub (1957–1998) was a currency of Sudan.", {("kind", "currency")}),  # nobody was born
        ("He was the eldest son of King Umberto II of Italy.", {("child of", "Umberto II of Italy")}),
        ("He praised The Gentle Gunman and Mektoub.", {("mentions", "g")}),
        ("She was a daughter of peasants.", set()),
        ("This value is a pointer (born 20 May 1990).", set()),
    ],
)
def test_sentences_of_encyclopedias(text: str, wanted: set[tuple[str, str]]) -> None:
    assert facts(text, "Ann Moe" if text.startswith("Ann") else "Mektoub") == wanted


def test_only_the_opening_is_read() -> None:
    assert facts("x\n\n## Career\n\nIt was directed by Nabil Ayouch.") == set()
    assert facts("word " * 400 + "directed by Nabil Ayouch.") == set()


def test_words_of_links_are_left_to_the_links() -> None:
    assert facts("A story directed by [Nabil Ayouch](https://h.example/n).") == set()


@pytest.mark.data
def test_passages_of_an_encyclopedia(shared_data: Path) -> None:
    with gzip.open(shared_data / "multihop" / "2wiki_corpus.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    titles = {row["title"]: str(number) for number, row in enumerate(rows)}
    found = [
        fact
        for number, row in enumerate(rows[:600])
        for fact in stated(Page(str(number), "", row["title"], row["text"], None), titles.get)
    ]
    relations = {fact.relation for fact in found}
    assert {"born", "died", "kind", "year", "directed by", "starring", "child of"} <= relations
    assert len(found) > 1_200
    assert sum(fact.is_page for fact in found) > 30
