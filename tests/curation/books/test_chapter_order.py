"""Chapters sort as a reader would: numbers as numbers, in digits, Roman or in words; front matter first, appendices last."""

import random

import pytest

from curation.books.chapter_order import numbers_of, place_of

ORDERED = (
    ("ch1.md", "ch2.md", "ch10.md", "ch11.md"),
    ("cover.html", "index.html", "title.html", "dedication.html", "preface.html", "introduction.html", "ch01.html", "epilogue.html",
     "appendix-a.html", "appendix-b.html", "glossary.html", "bibliography.html"),
    ("Chapter I", "Chapter II", "Chapter IV", "Chapter IX", "Chapter XL", "Chapter XC"),
    ("chapter-one.txt", "chapter-two.txt", "Chapter Twelve.txt"),
    ("part1/ch1.md", "part1/ch2.md", "part2/ch1.md", "part10/ch1.md"),
    ("Part II - Chapter 3", "Part II - Chapter 12", "Part III - Chapter 1"),
    ("Preface", "Chapter 4. Installation", "4.1. Methods", "4.2. Steps", "4.10. After", "Chapter 5. Packages", "Appendix A. Derivatives",
     "A.1. Census", "A.10. More", "Appendix B. Course"),
    ("i.md", "ii.md", "iii.md", "iv.md", "v.md"),
    ("1", "2", "10"),
    ("a.md", "b.md", "c.md", "d.md"),
    ("001_start.txt.gz", "002_next.txt.gz"),
    ("pr01.html", "ch01.html", "ch01s01.html", "ch01s01s02.html", "ch01s02.html", "ch01s10.html", "ch02.html", "apa.html"),
    ("Contents", "Preface", "Chapter 1. Sets", "Appendix A. Names", "Bibliography", "Index"),
    ("lesson about sets 2", "lesson about sets 10", "lesson about sums 1"),
)  # fmt: skip


@pytest.mark.parametrize("names", ORDERED, ids=lambda names: names[0])
def test_the_order_of_a_book(names: tuple[str, ...]) -> None:
    mixed = list(names)
    random.Random(2).shuffle(mixed)
    assert sorted(mixed, key=place_of) == list(names)


def test_numbers_are_those_at_the_beginning() -> None:
    assert numbers_of(place_of("Chapter 15. Conclusion: 2 views")) == (1, (15,))
    assert numbers_of(place_of("part2/4.2. Steps")) == (1, (4, 2))
    assert numbers_of(place_of("A.3. Images")) == (2, (1, 3))
    assert numbers_of(place_of("Civil mix")) == (1, ())
    assert numbers_of(place_of("")) == (1, ())


def test_a_word_is_no_numeral_and_a_huge_number_no_trouble() -> None:
    assert numbers_of(place_of("Chapter Mix")) == (1, ())
    assert numbers_of(place_of("Chapter IIII")) == (1, ())
    assert place_of("ch" + "9" * 10_000) == place_of("ch" + "9" * 18)


def test_a_letter_alone_keeps_its_place_in_a_dictionary() -> None:
    names = [f"{letter}.html" for letter in "abmrstz"]
    assert sorted(names, key=place_of) == names
