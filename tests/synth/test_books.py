"""Books joined from chapters: order, gaps, copies, what stays alone; the Debian handbook's pages as its own links order them."""

import itertools
import json
import random
import re
import tarfile
import time
from pathlib import Path

import pyarrow as pa
import pytest

from curation.books.chapter_order import place_of
from curation.extraction.extract import html
from datapipe.schema import documents
from synth.books import BOOK, check, missing


def chapters(texts: dict[str, str], **columns: str) -> pa.Table:
    return documents(
        [{"origin": origin, "text": text, "kind": "book", "corpus": "c", **columns} for origin, text in texts.items()]
    )


def titled(chapters: dict[str, tuple[str, str]]) -> pa.Table:
    """Chapters by origin, each a title and a text."""
    common = {"kind": "book", "corpus": "c"}
    return documents(
        [
            {**common, "origin": origin, "text": text, "meta": json.dumps({"title": title})}
            for origin, (title, text) in chapters.items()
        ]
    )


def made(docs: pa.Table, titles: bool = False, max_chars: int = 10**6, **params: str) -> list[dict]:
    rows = BOOK.emit(docs, **params)
    order = list(range(rows.num_rows))
    random.Random(3).shuffle(order)
    return BOOK.reduce(rows.take(order), titles=titles, max_chars=max_chars).to_pylist()


def test_chapters_of_a_folder_become_one_text_in_order() -> None:
    docs = chapters(
        {f"b/one/ch{number}.md": f"\nChapter {number}.\n" for number in (10, 2, 1)}, license="MIT", lang="en"
    )
    [book] = made(docs)
    assert book["text"] == "Chapter 1.\n\nChapter 2.\n\nChapter 10."
    assert (book["origin"], book["license"], book["lang"], book["kind"], book["drop_reason"]) == (
        "b/one",
        "MIT",
        "en",
        "book",
        None,
    )
    meta = json.loads(book["meta"])
    assert meta["missing"] == ["3", "4", "5", "6", "7", "8", "9"]
    for origin, start in meta["chapters"]:
        assert book["text"][start:].startswith(f"Chapter {re.findall(r'[0-9]+', origin)[0]}.")


def test_books_stay_apart_and_what_is_alone_stays_as_it_is() -> None:
    docs = chapters({"b/one/1.md": "a", "b/one/2.md": "b", "b/two/1.md": "c", "whole.txt": "d"})
    assert {(row["origin"], row["text"]) for row in made(docs)} == {
        ("b/one", "a\n\nb"),
        ("b/two/1.md", "c"),
        ("whole.txt", "d"),
    }


def test_records_name_book_and_number() -> None:
    rows = [{"origin": f"books.jsonl#{at}", "text": text, "meta": json.dumps({"isbn": book, "n": n})}
            for at, (book, n, text) in enumerate([("x", 10, "last"), ("y", 1, "other"), ("x", 9, "first"), ("y", 2, "end")])]  # fmt: skip
    found = made(documents(rows), book="isbn", order="n")
    assert {(row["origin"], row["text"]) for row in found} == {("x", "first\n\nlast"), ("y", "other\n\nend")}


def test_copies_go_and_are_counted_and_other_texts_of_one_number_stay() -> None:
    docs = chapters({"b/ch1.md": "a", "b/ch01.md": "a", "b/ch2.md": "b", "b/chapter-2.md": "other"})
    rows = made(docs)
    [book] = [row for row in rows if row["drop_reason"] is None]
    [gone] = [row for row in rows if row["drop_reason"]]
    assert book["text"] == "a\n\nb\n\nother"
    assert (gone["drop_reason"], gone["text"], gone["origin"]) == ("book.duplicate", "a", "b/ch1.md")
    assert json.loads(book["meta"])["repeated"] == ["chapter-2.md"]


def test_titles_go_before_texts_that_lack_them() -> None:
    docs = chapters({"b/1.html": "Text.", "b/2.html": "# Two\nText."})
    docs = docs.set_column(
        docs.schema.get_field_index("meta"), "meta", pa.array([json.dumps({"title": t}) for t in ("One", "Two")])
    )
    [book] = made(docs, titles=True)
    assert book["text"] == "One\n\nText.\n\n# Two\nText."


def test_titles_that_are_there_are_not_said_twice() -> None:
    texts = {"4.1. Sets | Book": "4.1.\xa0Sets\nA", "Maps | Book": "Chapter 2 - Maps\nB", "War | Book": "The war\nC"}
    [book] = made(titled({f"b/{n}.html": both for n, both in enumerate(texts.items())}), titles=True)
    assert book["text"] == "4.1.\xa0Sets\nA\n\nChapter 2 - Maps\nB\n\nWar\n\nThe war\nC"


def test_what_a_site_has_around_its_pages_goes() -> None:
    docs = chapters({f"b/{n}.html": f"[ << ] [ >> ]\nText {n}.\nmade by a tool" for n in range(1, 6)})
    [book] = made(docs)
    assert book["text"] == "\n\n".join(f"Text {n}." for n in range(1, 6))


def test_the_order_is_the_files_where_more_of_them_have_numbers() -> None:
    headings = {
        "ch01": "Chapter 1. Start",
        "ch01s01": "Why",
        "ch01s02": "How",
        "ch02": "Chapter 2. End",
        "ch02s01": "And now",
        "pr01": "Preface",
    }
    docs = titled({f"b/{name}.html": (title, name) for name, title in headings.items()})
    [book] = made(docs, order="title")
    assert book["text"].split() == ["pr01", "ch01", "ch01s01", "ch01s02", "ch02", "ch02s01"]


def test_what_all_headings_begin_with_does_not_hide_their_numbers() -> None:
    headings = [f"Manual: {number} Title" for number in ("1", "1.1", "1.2", "1.10", "2", "10")]
    docs = titled({f"b/{9 - n}x": (title, title) for n, title in enumerate(headings)})
    [book] = made(docs, order="title")
    assert book["text"].split("\n\n") == headings
    assert json.loads(book["meta"])["missing"] == [*map(str, range(3, 10)), *(f"1.{n}" for n in range(3, 10))]


def test_parts_that_most_headings_or_files_name_keep_their_order() -> None:
    parts = ["Part 1: Chapter 1", "Part 1: Chapter 2", "Part 1: Chapter 3", "Part 2: Chapter 1"]
    [book] = made(titled({f"b/{9 - n}x": (title, title) for n, title in enumerate(parts)}), order="title")
    assert book["text"].split("\n\n") == parts
    files = {
        f"b/part{part}/ch{n}.md": (title, title)
        for part, n, title in [(1, 1, "Z"), (1, 2, "Y"), (2, 1, "B"), (2, 2, "A")]
    }
    [book] = made(titled(files), pattern="(?P<book>b)/.*", order="title")
    assert book["text"].split() == ["Z", "Y", "B", "A"]


def test_a_folder_of_many_files_takes_linear_time() -> None:
    docs = chapters({f"b/{n}.txt": f"Text {n}." for n in range(20_000)})
    start = time.process_time()
    [book] = made(docs)
    assert time.process_time() - start < 3
    assert book["text"].count("Text") == 20_000


def test_volumes_are_cleaned_by_what_the_whole_book_shares() -> None:
    docs = chapters({f"b/{n}.txt": f"{n}" * 90 + "\nmade by a tool" for n in range(1, 7)})
    assert {row["text"] for row in made(docs, max_chars=100)} == {f"{n}" * 90 for n in range(1, 7)}


def test_a_large_book_becomes_volumes_of_whole_chapters() -> None:
    docs = chapters({f"b/{number:02}.txt": str(number % 10) * 400 for number in range(1, 8)})
    rows = sorted(made(docs, max_chars=1_000), key=lambda row: row["origin"])
    assert [row["origin"] for row in rows] == [f"b#volume-{number}-of-4" for number in range(1, 5)]
    assert "".join(row["text"].replace("\n", "") for row in rows) == "".join(
        str(number) * 400 for number in range(1, 8)
    )


def test_licences_are_joined_and_unknown_as_soon_as_one_is() -> None:
    docs = [
        chapters({f"b/{number}.txt": str(number)}, license=name)
        for number, name in enumerate(["MIT", "GPL-2.0 OR BSD-3-Clause", "MIT"])
    ]
    assert made(pa.concat_tables(docs))[0]["license"] == "(GPL-2.0 OR BSD-3-Clause) AND MIT"
    docs.append(chapters({"b/9.txt": "9"}))
    assert made(pa.concat_tables(docs))[0]["license"] is None


def test_missing_numbers_at_every_depth_and_none_of_years() -> None:
    assert missing([place_of(name) for name in ("1.1", "1.2", "1.4", "3")]) == ["2", "1.3"]
    assert missing([place_of(name) for name in ("Appendix A", "Appendix C", "1")]) == ["appendix 2"]
    assert missing([place_of(name) for name in ("1999.md", "2004.md")]) == []


def test_bad_parameters_are_refused() -> None:
    for pattern, said in (("(", "no regular expression"), ("(.*)", "no group `book`")):
        with pytest.raises(ValueError, match=said):
            check(pattern=pattern)
    with pytest.raises(ValueError, match="max_chars"):
        check(max_chars=0)


@pytest.mark.data
def test_the_pages_of_a_real_book_come_in_the_order_of_its_own_links(shared_data: Path) -> None:
    """The links to the next page are the truth. Only the sections of its foreword, which number themselves anew, go wrong."""
    pages: dict[str, str] = {}
    with tarfile.open(shared_data / "books" / "debian-handbook-en-fr.tar.gz") as archive:
        for member in archive:
            if member.name.startswith("./en-US/") or member.name.startswith("en-US/"):
                file = archive.extractfile(member)
                if file and member.name.endswith(".html"):
                    pages[member.name.rpartition("/")[2]] = file.read().decode()
    following = {
        name: found[1] for name, page in pages.items() if (found := re.search(r'accesskey="n" href="([^"]+)"', page))
    }
    titles = {
        name: " ".join(re.sub("<[^>]+>", "", re.search(r"<title[^>]*>(.*?)</title>", page, re.S)[1]).split())
        for name, page in pages.items()
    }
    rows = [
        {"origin": f"handbook/{name}", "text": name, "meta": json.dumps({"title": title})}
        for name, title in titles.items()
    ]
    [book] = made(documents(rows), order="title")
    order = book["text"].split("\n\n")
    assert sorted(order) == sorted(pages)
    right = sum(following.get(before) == after for before, after in itertools.pairwise(order))
    assert right >= 0.88 * (len(order) - 1)
    body = [name for name in order if re.match(r"Chapter|Appendix|\d+\.\d|[A-H]\.\d", titles[name])]
    wrong = [(before, after) for before, after in itertools.pairwise(body) if following.get(before) != after]
    assert wrong == []


def test_extraction_gives_the_title_that_orders() -> None:
    page = (
        "<html><head><title>Chapter 2. More</title></head><body><p>"
        + "A sentence that is long enough to be kept. " * 20
        + "</p></body></html>"
    )
    [row] = html(documents([{"origin": "b/x.html", "text": page}])).to_pylist()
    assert json.loads(row["meta"])["title"] == "Chapter 2. More"
