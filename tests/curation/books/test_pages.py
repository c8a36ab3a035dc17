"""Page furniture: what is recognised, and what only looks like it."""

import random
from collections import Counter

import pytest

from curation.books.pages import without_furniture

WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "pi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "chi",
    "psi",
    "omega",
]
RANDOM = random.Random(5)


def flow(count: int) -> list[str]:
    """Lines of one long sentence: whatever stands between two of them interrupts it."""
    return [" ".join(RANDOM.choices(WORDS, k=9)) for _ in range(count)]


def paged(header: str, lines: list[str], *, page: int, form_feed: str) -> str:
    """`{n}` in the header is the number of the page."""
    parts = [
        [header.format(n=number), *lines[start : start + page]]
        for number, start in enumerate(range(0, len(lines), page), 7)
    ]
    return f"\n{form_feed}".join("\n".join(part) for part in parts)


@pytest.mark.parametrize("form_feed", ["\f", ""])
@pytest.mark.parametrize(
    "header", ["THE SEA", "12 of 90", "THE SEA   {n}", "{n}", "Page {n}", "[{n}]", "Chapter 3. The Sea  {n}"]
)
def test_headers_at_page_distance_go(header: str, form_feed: str) -> None:
    lines = flow(400)
    text, counts = without_furniture(paged(header, lines, page=40, form_feed=form_feed))
    assert text == "\n".join(lines)
    assert counts["furniture_lines"] == 10
    assert counts["form_feeds"] == (9 if form_feed else 0)


@pytest.mark.parametrize("heading", ["CHAPTER {n}", "Canto {n}", "XII", "Part iv"])
def test_headings_that_end_sentences_stay(heading: str) -> None:
    chapters = [[heading.format(n=number), "", *flow(39), RANDOM.choice(WORDS) + " end.", ""] for number in range(12)]
    text = "\n".join(line for chapter in chapters for line in chapter)
    assert without_furniture(text) == (text, Counter())


def test_a_refrain_and_a_list_stay() -> None:
    verse = "\n".join(
        line
        for number in range(12)
        for line in (*(f"Verse {number} line {each}," for each in range(19)), "Quoth the raven.", "")
    )
    assert without_furniture(verse)[0] == verse
    rows = "\n".join(f"item {number}\nvalue" for number in range(200))
    assert without_furniture(rows)[0] == rows


def test_chapter_headings_at_the_top_of_pages_stay() -> None:
    pages = []
    for number in range(60):
        top = [f"CHAPTER {number // 10 + 1}", ""] if number % 10 == 0 else []
        pages.append("\n".join(["A BOOK", *top, *flow(30)]))
    text, counts = without_furniture("\n\f".join(pages))
    assert counts["furniture_lines"] == 60
    assert [line for line in text.split("\n") if line.startswith("CHAPTER")] == [
        f"CHAPTER {number}" for number in range(1, 7)
    ]


def test_headings_of_any_word_that_rise_slower_than_the_pages_stay() -> None:
    pages = [
        "\n".join([*([f"Story {number // 10 + 1}"] if number % 10 == 0 else []), *map(str.title, flow(30))])
        for number in range(60)
    ]
    text, counts = without_furniture("\n\f".join(pages))
    assert counts["furniture_lines"] == 0
    assert text.count("Story") == 6


@pytest.mark.parametrize("form_feed", ["\f", ""])
def test_left_and_right_pages_have_headers_of_their_own(form_feed: str) -> None:
    lines = flow(1_200)
    pages = [
        "\n".join([f"THE SEA {at}" if at % 2 else f"{at} A. WRITER", *lines[at * 40 : at * 40 + 40]])
        for at in range(30)
    ]
    assert without_furniture(f"\n{form_feed}".join(pages))[0] == "\n".join(lines)


def test_a_paragraph_across_a_page_is_whole_again_and_one_behind_it_apart() -> None:
    pages = [
        "Head\n\nit goes on and on\n\n1",
        "Head\n\nand ends here.\n\n2",
        "Head\n\nAnother begins.\n\n3",
        "Head\n\nAnd so on\n\n4",
    ]
    assert (
        without_furniture("\f".join(pages))[0] == "it goes on and on\nand ends here.\n\nAnother begins.\n\nAnd so on\n"
    )


def test_a_line_that_mostly_stands_inside_pages_is_text_at_their_edges_too() -> None:
    pages = [
        "\n".join(["HEAD", *flow(10), "Errors: none", *flow(10), *(["Errors: none"] if number % 3 == 0 else [])])
        for number in range(12)
    ]
    text, counts = without_furniture("\n\f".join(pages))
    assert counts["furniture_lines"] == 12
    assert text.count("Errors: none") == 16


def test_what_is_outside_must_be_furniture_first() -> None:
    pages = ["\n".join([flow(1)[0], "INNER", *map(str.title, flow(30)), f"{number}"]) for number in range(9)]
    text, counts = without_furniture("\n\f".join(pages))
    assert (counts["furniture_lines"], text.count("INNER")) == (9, 9)


def test_one_form_feed_is_a_page_break_and_no_evidence() -> None:
    assert without_furniture("a\n\fb")[0] == "a\nb"
    assert without_furniture("") == ("", Counter())
