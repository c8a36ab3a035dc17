"""`clean.book` on a real book, printed and cleaned: what comes back, what is counted, and that nothing else changes."""

import json
import re
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation.books.clean import COUNTED, book, clean
from curation.steps import COUNTS
from datapipe.schema import documents, with_column
from tests.curation.books.real_books import handbook_paragraphs, printed

PROSE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of "
    "belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, and so on."
)
FRONT = """A TALE OF SOMETHING

by A. Writer

Copyright © 1999 A. Writer
All rights reserved. ISBN 0-00-000000-0

CONTENTS

Chapter I. The Beginning ........ 1
Chapter II. The Middle ........ 12
Chapter III. The End ........ 99

Preface

"""


def chapters(count: int = 3, paragraphs: int = 12) -> str:
    names = ("The Beginning", "The Middle", "The End")
    return "\n\n".join(
        "\n\n".join(
            [
                f"Chapter {'I' * (number + 1)}. {names[number % 3]}",
                *(f"{number}.{each} {PROSE}" for each in range(paragraphs)),
            ]
        )
        for number in range(count)
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("language", "form_feeds", "hyphens"),
    [("en-US", True, True), ("en-US", False, False), ("fr-FR", False, True), ("fr-FR", True, False)],
)
def test_a_printed_book_comes_back(shared_data: Path, language: str, form_feeds: bool, hyphens: bool) -> None:
    paragraphs = handbook_paragraphs(shared_data, language)[:250]
    cleaned, counts = clean(printed(paragraphs, form_feeds=form_feeds, hyphens=hyphens))
    back = [line for line in cleaned.split("\n") if line]
    assert len(set(back) & set(paragraphs)) >= 0.97 * len(paragraphs)
    lost = Counter(" ".join(paragraphs).split()) - Counter(cleaned.split())
    assert sum(lost.values()) <= 0.001 * sum(len(each.split()) for each in paragraphs)
    pages = counts["furniture_lines"] // 2
    assert counts["form_feeds"] == (pages - 1 if form_feeds else 0)
    assert "THE HANDBOOK" not in cleaned
    assert not re.search(r"^- \d+ -$", cleaned, re.M)
    assert clean(cleaned)[0] == cleaned


@pytest.mark.data
def test_real_markdown_loses_its_metadata_and_nothing_else(shared_data: Path) -> None:
    with tarfile.open(shared_data / "books" / "quic-rfcs.tar.gz") as archive:
        for member in archive.getmembers():
            if member.name.endswith(".md"):
                text = archive.extractfile(member).read().decode()  # type: ignore[union-attr]
                cleaned, counts = clean(text)
                assert text.strip("\n").endswith(cleaned)
                assert text.removesuffix(cleaned + "\n").rstrip().endswith("--- abstract")
                assert {name for name, count in counts.items() if count} == {"metadata_chars"}
                assert clean(cleaned)[0] == cleaned


@pytest.mark.data
def test_paragraphs_that_were_never_printed_stay(shared_data: Path) -> None:
    text = "\n\n".join(handbook_paragraphs(shared_data, "en-US"))
    assert clean(text)[0] == text


def test_front_and_back_matter_go_and_the_book_stays() -> None:
    index = "\n".join(
        f"{word}, {number}, {number + 3}–{number + 5}"
        for number, word in enumerate(["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis"], 3)
    )
    body = "Preface\n\n" + PROSE + "\n\n" + chapters()
    text = FRONT.removesuffix("Preface\n\n") + body + "\n\nINDEX\n\n" + index + "\n"
    cleaned, counts = clean(text)
    assert cleaned == body
    assert counts["title_chars"] + counts["copyright_chars"] + counts["contents_chars"] + counts["index_chars"] > 300
    assert all(counts[f"{kind}_chars"] for kind in ("title", "copyright", "contents", "index"))


def test_a_text_archive_header_and_licence_go() -> None:
    text = (
        "The Project Gutenberg eBook of A Tale\n\nThis eBook is for anyone\n\n*** START OF THE PROJECT GUTENBERG EBOOK A TALE ***\n\n"
        f"Produced by Some Body\n\n{chapters()}\n\n*** END OF THE PROJECT GUTENBERG EBOOK A TALE ***\n\nSection 1. General Terms of Use\n\n"
        + PROSE
    )
    assert clean(text)[0] == chapters()


def test_each_part_can_be_left_out() -> None:
    text = FRONT + chapters()
    assert clean(text, front_matter=False)[0] == text
    wrapped = "\n".join(PROSE[start : start + 60] for start in range(0, len(PROSE), 60))
    assert clean(printed([PROSE] * 40), furniture=False)[0].count("THE HANDBOOK") > 2
    assert "\n" in clean(wrapped, join_lines=False)[0]


def test_the_step_counts_what_went_and_keeps_rows() -> None:
    docs = documents(
        [{"origin": "a", "text": FRONT + chapters()}, {"origin": "b", "text": PROSE}, {"origin": "c", "text": "\f\f\n"}]
    )
    out = book(docs)
    assert out["id"].to_pylist() == docs["id"].to_pylist()
    assert out["text"][1].as_py() == PROSE
    assert out["drop_reason"].to_pylist() == [None, None, "clean.empty"]
    counts = json.loads(out.schema.metadata[COUNTS])
    assert set(COUNTED) == set(counts)
    assert counts["documents_changed"] == 2
    assert counts["chars_removed"] == len(FRONT) - len("Preface\n\n") + 3


def test_loss_spans_are_refused() -> None:
    spans = pa.array(
        [[{"start": 0, "length": 1}]], pa.list_(pa.struct([("start", pa.int64()), ("length", pa.int64())]))
    )
    with pytest.raises(ValueError, match="loss spans"):
        book(with_column(documents([{"origin": "a", "text": "x"}]), "loss_spans", spans))


LINES = st.sampled_from(
    ["", "", PROSE[:64], PROSE[64:120], "THE HEAD", "12", "- 13 -", "Contents", "1. One",
     "2. Two", "Chapter I", "INDEX", "ant, 12", "\f", "exam-", "ple of it",
     "Copyright 1999 by X", "    code();", "a | b", "Also by", "*** START OF THE PROJECT GUTENBERG EBOOK X ***", "# Head", "end."]
)  # fmt: skip


@given(st.lists(LINES, max_size=60), st.booleans())
@example([PROSE[:64], PROSE[:64], "", "Copyright 1999 by X"], False)  # a title, for as long as its lines are apart
def test_cleaning_twice_is_cleaning_once(lines: list[str], repeats: bool) -> None:
    text = "\n".join(lines * (6 if repeats else 1))
    once, _ = clean(text)
    assert clean(once)[0] == once
