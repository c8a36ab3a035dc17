"""Mail programs, templates and logs are taken away, code and what people say stay."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.threads import clean
from synth.threads.markdown import first_in_prose, in_prose, prose


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\n\n\n \n\nb  \n", "a\n\nb"),
        ("<!-- Please\n fill in -->\nIt fails.<!-- x -->", "It fails."),
        ("<!-- never closed", "<!-- never closed"),
        ("```html\n<!-- kept -->\n```", "```html\n<!-- kept -->\n```"),
        ("`<!-- kept -->` <!-- gone -->x", "`<!-- kept -->` x"),
        ("Yes.\n\nOn Mon, Jan 2, 2017 at 5:00 PM, Mona <m@x.org> wrote:\n\n> old\n> older", "Yes."),
        ("On Mon, 2 Jan 2017, Mona <\nnotifications@github.com> wrote:\n> old\n>\n> older\n\nYes.", "Yes."),
        ("Am 2.1. schrieb Mona:\n> alt\nJa.", "Ja."),
        ("On Windows it works.\n> cited\nno", "On Windows it works.\n> cited\nno"),
        ("Yes.\n\n—\nReply to this email directly, view it on GitHub", "Yes."),
        ("Yes.\n-----Original Message-----\nFrom: x", "Yes."),
        ("Yes.\nFrom: Mona\nSent: Monday\nold", "Yes."),
        ("```\nFrom: Mona\nSent: Monday\n```\nx", "```\nFrom: Mona\nSent: Monday\n```\nx"),
        ("Yes.\n-- \nMona\nACME Ltd", "Yes."),
        ("```sql\n-- \nselect 1\n```", "```sql\n--\nselect 1\n```"),
        ("As Mona wrote:\nOn top she wrote:\nyes", "As Mona wrote:\nOn top she wrote:\nyes"),
        ("Yes.\n\nSent from my iPhone", "Yes."),
        ("> q\n" * 3 + "a", "> q\n> q\n> q\na"),
        ("> q\n" * 20 + "a", "> q\n" * 12 + "> [8 lines not shown]\na"),
        ("# What\n\n# Steps\nrun\n\n## More\n\n### Even more\n", "# Steps\nrun"),
        ("# What\n## How\ntext", "# What\n## How\ntext"),
        ("**Version**\n\n**Steps:**\nrun", "**Steps:**\nrun"),
        ("### Logs\n\n_No response_\n\n### What\nx", "### What\nx"),
        ("```\n# comment\n```", "```\n# comment\n```"),
        ("Why.\n\nSigned-off-by: Mona Lisa <m@x.org>\nStand-by: all", "Why.\n\nStand-by: all"),
    ],
)
def test_messages(text: str, expected: str) -> None:
    assert clean.message(text) == expected


def test_trailers_of_commits() -> None:
    message = "Fix it\n\nBecause.\n\nSigned-off-by: Mona <m@x>\nCo-authored-by: Ann <a@x>\nChange-Id: I12\nNote: kept"
    assert clean.commit(message) == "Fix it\n\nBecause.\n\nNote: kept"


def test_a_log_loses_its_middle() -> None:
    limits = {"max_lines": 100, "last_lines": 20, "max_chars": 20_000, "max_word_chars": 1_000}
    lines = clean.cut("\n".join(map(str, range(1000))), **limits).split("\n")
    assert lines == [*map(str, range(80)), "[900 lines not shown]", *map(str, range(980, 1000))]
    assert clean.cut("\n".join(map(str, range(100))), **limits).count("\n") == 99
    assert clean.cut("x" * 1500 + " y", **limits) == "x" * 1000 + " [500 characters not shown] y"
    assert clean.cut("word " * 1500, **limits) == "word " * 1500


@given(st.text(max_size=300), st.integers(5, 50), st.integers(1, 4), st.integers(20, 200))
def test_what_is_cut_is_bounded_and_begins_and_ends_alike(text: str, max_lines: int, last: int, max_chars: int) -> None:
    shown = clean.cut(text, max_lines=max_lines, last_lines=last, max_chars=max_chars, max_word_chars=1000)
    assert len(shown) <= max_chars + 40
    assert shown[:4] == text[:4] or text.count("\n") >= max_lines
    if len(text) <= max_chars and text.count("\n") < max_lines:
        assert shown == text


markdown = st.lists(
    st.sampled_from(
        ["a", "`b`", "\n```\nc\n```\n", "\n~~~\nd\n~~~\n", "```", "\n", "`", "# h\n", "<!--", "-->", "> q\n"]
    )
)


@given(markdown.map("".join))
def test_code_is_told_from_prose(text: str) -> None:
    assert in_prose(text, lambda passage: passage) == text
    assert sum(map(len, prose(text))) <= len(text)
    cleaned = clean.message(text)
    assert clean.message(cleaned).split() == clean.message(clean.message(cleaned)).split()
    assert set(cleaned) <= set(text) | set("> [0123456789 lines not shown]")


def test_the_first_in_prose() -> None:
    assert first_in_prose("`x` x", re.compile("x")) == 4
    assert first_in_prose("`x`", re.compile("x")) is None


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 60_000 + ">",
        "`" * 60_000,
        "```\n" * 15_000,
        "<!--" * 15_000,
        "\n-- \n" + "ab" * 30_000,
        "On " * 20_000,
        "> x\n" * 15_000,
        "# h\n" * 15_000,
        "On x wrote:\n" * 5_000,
        "-" * 60_000,
    ],
)
def test_hostile_messages_cost_little(text: str) -> None:
    start = time.process_time()
    clean.message(text)
    assert time.process_time() - start < 1.0
