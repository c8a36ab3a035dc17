"""Hard-wrapped text: what is joined, what is not, and how words at line ends are written."""

import textwrap
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.books.wrapping import joined_paragraphs, without_ligatures

LONG = "the quick brown fox jumps over the lazy dog while nobody in particular watches and " * 6
PARAGRAPHS = [LONG.strip() + f" {number}." for number in range(6)]


def wrap(text: str, width: int = 60, **options: str) -> str:
    return textwrap.fill(text, width, break_on_hyphens=False, **options)  # type: ignore[arg-type]


WRAPPED = "\n\n".join(map(wrap, PARAGRAPHS))


def joined(text: str) -> str:
    return joined_paragraphs(text)[0]


@pytest.mark.parametrize("width", [40, 60, 78, 110])
def test_paragraphs_are_joined_at_any_width(width: int) -> None:
    assert joined("\n\n".join(wrap(each, width) for each in PARAGRAPHS)) == "\n\n".join(PARAGRAPHS)


def test_indented_paragraphs_without_blank_lines_are_told_apart() -> None:
    text = "\n".join(wrap(each, initial_indent="   ") for each in PARAGRAPHS)
    assert joined(text) == "\n".join(PARAGRAPHS)
    block = "\n".join(wrap(each, 50) for each in PARAGRAPHS)
    assert joined(block) == "\n".join(PARAGRAPHS)


@pytest.mark.parametrize(
    "kept",
    [
        "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\nRough winds do shake the darling buds of May,",
        "def f(x):\n    y = x + 1;\n    return y;",
        "name        age     place of birth and of residence here\nAnna        12      Rome the capital of Italy\nBo          44      Oslo",
        "- one\n- two\n- three",
        "| a | b | which is a table of two columns with long cells |\n| 1 | 2 | which is another row of this table and so on |",
        "Title\nof two lines",
    ],
)
def test_verse_code_tables_and_lists_stay(kept: str) -> None:
    assert joined(f"{WRAPPED}\n\n{kept}\n\n{WRAPPED}") == "\n\n".join([*PARAGRAPHS, kept, *PARAGRAPHS])


def test_items_of_lists_are_joined_one_by_one() -> None:
    items = "\n".join(
        wrap(PARAGRAPHS[0], initial_indent=mark, subsequent_indent="   ") for mark in ("1. ", "2. ", "-  ")
    )
    assert joined(f"{WRAPPED}\n\n{items}").split("\n")[-3:] == [
        f"{mark}{PARAGRAPHS[0]}" for mark in ("1. ", "2. ", "-  ")
    ]


def test_markdown_and_text_that_is_not_wrapped_stay() -> None:
    markdown = f"# One\n\n{WRAPPED}\n\n# Two\n\n{WRAPPED}\n\n## Three\n"
    assert joined(markdown) == markdown
    fenced = f"```\nx\n```\n\n{WRAPPED}\n\n```\ny\n```"
    assert joined(fenced) == fenced
    shell = f"{WRAPPED}\n\n# one\n# two\n# three"
    assert joined(shell) == "\n\n".join([*PARAGRAPHS, "# one\n# two\n# three"])
    mixed = WRAPPED + "\n\n" + "\n\n".join(PARAGRAPHS * 2)
    assert joined(mixed) == mixed


@pytest.mark.parametrize(
    ("before", "after", "elsewhere", "expected"),
    [
        ("an exam-", "ple of it", "", "an example of it"),
        ("a hop-by-", "hop thing", "hop-by-hop", "a hop-by-hop thing"),
        ("well-", "known here", "well-known", "well-known here"),
        ("Franco-", "German", "", "Franco-German"),
        ("pages 12-", "14 of it", "", "pages 12- 14 of it"),
        ("exam\u00ad", "ple", "exam-ple", "example"),
        ("a dash -", "like so", "", "a dash - like so"),
    ],
)
def test_hyphens_at_line_ends(before: str, after: str, elsewhere: str, expected: str) -> None:
    filler = "x" * 20 + " "
    text = f"{WRAPPED}\n\n{(filler * 4)[: 58 - len(before)]} {before}\n{after} {elsewhere} {filler}\n"
    assert f" {expected} " in joined(text).replace("\n", " ")


def test_what_most_words_do_decides_for_those_that_stand_nowhere_else() -> None:
    pad = "x" * 50
    kept = f"{WRAPPED}\n\n{pad} one-\ntwo {pad}\n{pad} six-\nten\n\none-two"
    assert "six-ten" in joined(kept)
    gone = f"{WRAPPED}\n\n{pad} one-\ntwo {pad}\n{pad} six-\nten\n\nonetwo"
    assert "sixten" in joined(gone)


def test_ligatures_become_letters() -> None:
    assert without_ligatures("eﬃcient ﬁre, oﬀ, ﬂow, soft\u00adhyphen") == (
        "efficient fire, off, flow, softhyphen",
        Counter(ligatures=4),
    )


@given(st.lists(st.sampled_from(["", "a b c", LONG[:60], LONG[:30], "- x", "    y", "end."]), max_size=30))
def test_joining_changes_only_white_space_and_hyphens(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert "".join(joined(text).split()) == "".join(text.split())
