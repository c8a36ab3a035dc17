"""Wording: names of sources, phrasings keyed by the document, one canonical question whatever the phrasing."""

import pytest

from synth.evidence import Fact
from synth.wording import QUESTIONS, THOUGHTS, ask, canonical, source_title, think

TEXT = "A zone is a region.\n"
FACT = Fact(10, 8, "definition", "zone", "is a zone", 0, 19)


@pytest.mark.parametrize(
    ("origin", "kind", "text", "meta", "title"),
    [
        ("jobs@1:jobs/queue.py", "code", "", "{}", "`jobs/queue.py`"),
        ("jobs@1:README.md", "code", "", "{}", "`README.md` of jobs"),
        ("https://x.example/lib/io.html", "web", "Many words.", '{"title": "io — Streams"}', "“io”"),
        ("https://x.example/lib/io.html", "web", "# Streams\nwords", "{}", "“Streams”"),
        ("https://x.example/lib/io.html", "web", "A whole sentence stands first.\nMore.", "{}", "“io”"),
        ("https://x.example/project/rich/", "web", "[![badge](b)](c)\n", "{}", "“rich”"),
        ("books/b.jsonl.gz#1024", "book", "Names\n=====\n", "{}", "“Names”"),
        ("books/b.jsonl.gz#1024", "book", "middle of a chapter\nand on\n", "{}", ""),
    ],
)
def test_source_titles(origin: str, kind: str, text: str, meta: str, title: str) -> None:
    assert source_title(origin, kind, text, meta) == title


def test_phrasings_vary_with_the_document_and_mean_the_same() -> None:
    asked = {ask(FACT, "“Names”", seed=0, document=str(n)) for n in range(40)}
    assert asked == {"What is a zone, according to “Names”?", "According to “Names”, what is a zone?"}
    assert canonical(FACT, "“Names”") == "what is a zone, according to “names”"
    assert ask(FACT, "t", seed=3, document="d") == ask(FACT, "t", seed=3, document="d")


def test_thoughts_quote_the_evidence() -> None:
    thoughts = {think(TEXT, FACT, "“{subject}”", seed=0, document=str(n)) for n in range(40)}
    assert len(thoughts) == len(THOUGHTS["definition"])
    assert all("“A zone is a region.”" in thought and "“{subject}”" in thought for thought in thoughts)


def test_an_entry_of_a_manual_names_itself() -> None:
    fact = Fact(0, 5, "returns", "jobs.load(path)", "", 0, 5, scope="jobs.load")
    assert canonical(fact, "“Chapter 3”") == "what does `jobs.load(path)` return"


def test_sessions_import_what_their_project_takes_for_granted() -> None:
    fact = Fact(0, 1, "example", "np.sum(x)", ">>> x = [1]\n>>> np.sum(x)", 0, 1)
    assert ">>> import numpy as np\n>>> x = [1]\n>>> np.sum(x)\n" in ask(fact, "t", seed=0, document="d")


def test_every_kind_has_words() -> None:
    assert QUESTIONS.keys() == THOUGHTS.keys()
