"""Front and back matter: each kind goes as far as it looks like its kind."""

from collections import Counter

import pytest

from curation.books.matter import without_matter

SENTENCE = "This sentence is a part of the book and stays where it is, whatever stands around it."
BODY = "\n\n".join(
    f"{name}\n\n{SENTENCE} {SENTENCE}\n\n{SENTENCE}" for name in ("The Sea", "The Ship", "The Shore", "Home")
)
CONTENTS = {
    "leaders": "The Sea ..... 1\nThe Ship ..... 2\nThe Shore . . . . 3\nHome\t4",
    "spaces": "The Sea        1\nThe Ship      22\nThe Shore     33\nHome          44",
    "headings": "The Sea\nThe Ship\nThe Shore\nHome",
    "links": "- [The Sea](#sea)\n- [The Ship](#ship)\n- [The Shore](#shore)",
    "numbered": "1. Of the sea\n2. Of the ship\n2.1 Of its mast\n3. Of the shore",
    "apart": "1\nThe Sea\n1\n1.1\nIts shores . . . . . .\n3\n2\nThe Ship\n12\n2.1\nIts mast . . . . . .\n14",
    "chapters": "PAGE\n\nCHAPTER I. In which we see the sea.\n\nCHAPTER II. In which we board a ship.\n\nCHAPTER III. In which we land.",
}


def cleaned(text: str) -> str:
    return without_matter(text, 0.5 * len(text))[0]


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", ["Contents", "TABLE OF CONTENTS", "# Contents", "Inhaltsverzeichnis", "目录"])
def test_contents_go(kind: str, name: str) -> None:
    text = f"{name}\n\n{CONTENTS[kind]}\n\n{BODY}"
    kept, counts = without_matter(text, len(text))
    assert kept == BODY
    assert counts == Counter(contents_chars=len(text) - len(BODY) - 1)  # and a blank line


def test_a_heading_alone_removes_nothing() -> None:
    for name in ("Contents", "Index", "List of Figures"):
        text = f"{name}\n\n{SENTENCE}\n\n{BODY}\n\n{name}\n\n{SENTENCE}"
        assert cleaned(text) == text


def test_contents_end_before_the_number_of_the_first_chapter() -> None:
    text = f"Contents\n\nThe Sea . . . . 1\nThe Ship . . . . 2\nThe Shore . . . . 3\n\nChapter 1\nThe Sea\n\n{SENTENCE}\n\n{BODY}"
    assert cleaned(text) == f"Chapter 1\nThe Sea\n\n{SENTENCE}\n\n{BODY}"


def test_contents_end_at_the_first_long_line() -> None:
    long = "a line of a book that was wrapped somewhere and is longer than any entry of contents, " * 2
    text = f"Contents\n\n{CONTENTS['numbered']}\n...\n---\n{long}\n7\n{long}\n\n{BODY}"
    assert cleaned(text) == f"...\n---\n{long}\n7\n{long}\n\n{BODY}"


def test_contents_far_inside_need_headings_that_come_again() -> None:
    inside = f"{BODY}\n\nContents\n\n1. Bread\n2. Wine\n3. Salt\n\n{BODY}"
    assert cleaned(inside) == inside
    again = f"{BODY}\n\nContents\n\n1. Bread\n2. Wine\n3. Salt\n\n" + "\n\n".join(
        f"{name}\n\n{SENTENCE}" for name in ("1. Bread", "2. Wine", "3. Salt")
    )
    assert "Contents" not in cleaned(again)
    assert cleaned(again).endswith(f"3. Salt\n\n{SENTENCE}")


def test_an_index_at_the_end_goes_and_text_behind_it_stays() -> None:
    index = "\n".join(f"{letter}nts, {number}, {number + 1}–{number + 9}" for number, letter in enumerate("abcdefghij"))
    assert cleaned(f"{BODY}\n\nINDEX\n\n{index}\n") == BODY
    early = f"Index\n\n{index}\n\n" + "\n\n".join([BODY] * 3)
    assert cleaned(early) == early
    end = "\n\n".join([SENTENCE] * 6) + "\n\nAnno 1999"
    assert cleaned(f"{BODY}\n\nINDEX\n\n{index}\n\n{end}") == f"{BODY}\n\n\n{end}"


def test_copyright_pages_go_at_the_edges_alone() -> None:
    page = "Copyright © 2001 by Nobody\nAll rights reserved.\n\nISBN 1-234"
    middle = "\n\n".join([BODY] * 4)
    inside = f"{middle}\n\nCopyright 1999 by X is what the sign said.\n\n{middle}"
    assert cleaned(f"{page}\n\n{inside}") == inside
    lines = "Copyright 1999 by X.\n" + "and another line\n" * 20
    assert cleaned(f"{lines}\n{middle}") == f"{lines}\n{middle}"
    long = "Copyright 1999 by X. " + SENTENCE * 30
    assert cleaned(f"{long}\n\n{middle}") == f"{long}\n\n{middle}"


@pytest.mark.parametrize(
    "said",
    [
        "The book on the origin of species, first published in London in 1859, changed how naturalists thought.",
        "She spent three summers in the Library of Congress, reading the letters of the two brothers.",
        "Every book has an ISBN, and the number tells the language, the publisher and the title.",
        "The paper was printed in England until the presses were moved to Lyon.",
        "In 1710 the law of copyright by statute gave authors fourteen years.",
        "The poems that follow are those of the\nfirst edition of 1611, as the printer left them.",
    ],
)
def test_a_book_may_speak_of_books(said: str) -> None:
    text = f"{SENTENCE}\n\n{said}\n\n" + "\n\n".join([BODY] * 4)
    assert cleaned(text) == text


def test_what_stands_behind_adverts_and_is_none_stays() -> None:
    body = "\n\n".join([BODY] * 20)
    end = "\n\n".join([SENTENCE * 4] * 3)
    assert cleaned(f"{body}\n\nWorks by Another\n\n{end}") == f"{body}\n\nWorks by Another\n\n{end}"
    assert cleaned(f"{body}\n\nBOOKS BY A. WRITER\n\nThe First Tale\n\n{end}") == f"{body}\n\n\n{end}"


def test_a_title_goes_only_before_what_proves_it() -> None:
    title = "A TALE\n\nby Nobody\n\n"
    assert cleaned(title + BODY) == title + BODY
    assert cleaned(f"{title}Copyright 2001 Nobody\n\n{BODY}") == BODY
    prose = f"{SENTENCE}\n\nCopyright 2001 Nobody\n\n{BODY}"
    assert cleaned(prose) == f"{SENTENCE}\n\n\n{BODY}"


def test_adverts_at_either_end_go() -> None:
    advert = "Also by A. Writer\n\nThe First Tale\nThe Second Tale\n\n"
    body = "\n\n".join([BODY] * 4)
    assert cleaned(f"{advert}Chapter 1\n\n{body}") == f"Chapter 1\n\n{body}"
    assert cleaned(body + "\n\nBOOKS BY A. WRITER\n\nThe First Tale. 12mo, cloth, 6s.") == body


def test_too_much_is_refused_and_told() -> None:
    text = f"Contents\n\n{CONTENTS['numbered']}\n\n{SENTENCE}"
    assert without_matter(text, 50) == (text, Counter(matter_refused=1))


@pytest.mark.parametrize(
    "start", ["*** START OF THIS PROJECT GUTENBERG EBOOK A\nTALE ***", "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN*"]
)
def test_archives_of_all_ages(start: str) -> None:
    assert (
        cleaned(f"Header\n\n{start}\n\n{BODY}\n\nEnd of the Project Gutenberg EBook of A Tale\n\n{SENTENCE * 20}")
        == BODY
    )
