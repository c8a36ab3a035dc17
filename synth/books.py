"""Books from documents that are a chapter each: files of one folder, pages of one book of web pages, records that name book and number.

What belongs together is read from the origin (`pattern`) or from a key of `meta` (`book`); a document that neither fits is a whole book
and stays as it is, and so does a book of one chapter. The order is that of `curation.books.chapter_order`, of the origin's part behind
the book's name or of a key of `meta` (`order`: a number, or a heading such as extract.html's `title`); where more of the files' names
have numbers than of the headings, theirs counts. Of equal places the origin decides. Chapters are joined by a blank line, without the
lines of links that a site has around them (`curation.books.chapter_edges`).

Told in `meta` and counted by nobody else: `chapters` (origin and first character of each, before later steps move it), `missing`
(numbers left out between two that are there, and from 1 on) and `repeated` (numbers that two chapters of different text have; both
stay). A chapter with the text of the one before it is dropped: `book.duplicate`.

All chapters of a book meet in one receiver. A book over `max_chars` becomes several documents of whole chapters, so no text is larger
than that or its one chapter. 80 MB per CPU second, of chapters of 13 KB. Not covered: a book that lies in two corpora, numbers that
start anew in every part and are not told apart by folders, chapters whose letters (`A.1`, `J.2`) are no appendices.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise, takewhile
from typing import Any

import pyarrow as pa
import xxhash

from curation.books.chapter_edges import without_furniture, without_shared_parts
from curation.books.chapter_order import AFTER, Part, numbers_of, place_of
from datapipe.schema import DOCUMENT, DROP
from synth.generators import Generator
from synth.joined import SEPARATOR, joined_row, provenance, text_sha

PATTERN = r"(?P<book>[^#]+)/(?P<chapter>[^/#]+)"  # the folder and the name in it, not a record of a file
TITLE_LINES = 3  # of a text, among which its title may stand: some begin with "Part I"
DUPLICATE = "book.duplicate"
CHAPTERS = pa.schema([*DOCUMENT, ("key", pa.uint64()), ("book", pa.string()), ("chapter", pa.string())])
MADE = pa.schema([*DOCUMENT, (DROP, pa.string())])


def emit(docs: pa.Table, *, pattern: str = PATTERN, book: str = "", order: str = "") -> pa.Table:
    """Every document with the book it belongs to (its own origin where that is not known) and what tells its place there.

    `pattern`: a regular expression that the whole origin matches, with a group `book` and maybe a group `chapter`. `book`: a key of `meta`
    instead. `order`: a key of `meta` that holds the place, a number or a heading; the chapter's name where it is absent.
    """
    check(pattern=pattern)
    matcher = re.compile(pattern)
    rows = docs.select(DOCUMENT.names)
    books, chapters = [], []
    for origin, meta in zip(rows["origin"].to_pylist(), rows["meta"].to_pylist(), strict=True):
        facts = json.loads(meta or "{}") if book or order else {}
        found = matcher.fullmatch(origin)
        groups = found.groupdict() if found else {}
        named = facts.get(book) if book else groups.get("book")
        books.append(origin if named is None else str(named))
        placed = facts.get(order) if order else None
        chapters.append(str(placed if placed is not None else groups.get("chapter") or origin))
    keys = [xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass")) for name in books]
    for name, values, kind in (
        ("key", keys, pa.uint64()),
        ("book", books, pa.string()),
        ("chapter", chapters, pa.string()),
    ):
        rows = rows.append_column(name, pa.array(values, kind))
    return rows.cast(CHAPTERS)


def reduce(rows: pa.Table, *, titles: bool = False, max_chars: int = 20_000_000) -> pa.Table:
    """The books of a receiver, and the chapters that repeat the one before them with a drop reason.

    `titles`: a chapter's `meta.title` goes before a text that does not begin with it (extraction takes headings for what surrounds a page).
    """
    ordered = rows.select(CHAPTERS.names).sort_by([("book", "ascending"), ("origin", "ascending")])
    made: list[dict[str, Any]] = []
    for name, chapters in groupby(ordered.to_pylist(), lambda row: row["book"]):
        made += _book(name, _placed(list(chapters)), titles, max_chars)
    return pa.Table.from_pylist(made, schema=MADE).sort_by([("id", "ascending"), (DROP, "ascending")])


def check(*, pattern: str = PATTERN, max_chars: int = 20_000_000) -> None:
    """Raises ValueError for a pattern that is none or names no book, and for a limit below 1."""
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(
            f"pattern is {pattern!r}, and no regular expression ({error}): type for instance {PATTERN!r}"
        ) from None
    if "book" not in groups:
        raise ValueError(f"pattern is {pattern!r}, and has no group `book`: type for instance {PATTERN!r}")
    if max_chars < 1:
        raise ValueError(f"max_chars is {max_chars}: type 1 or more, such as 20000000")


def missing(places: Sequence[tuple[Part, ...]]) -> list[str]:
    """Numbers below the largest that no chapter has, as `2.3`, or `appendix 1`: of those that agree in all numbers before the last."""
    seen: dict[tuple[Any, ...], set[int]] = {}
    for place in places:
        rank, numbers = numbers_of(place)
        for length in range(1, len(numbers) + 1):
            seen.setdefault((rank, place[:-1], numbers[: length - 1]), set()).add(numbers[length - 1])
    gaps = []
    for (rank, _, before), found in sorted(seen.items()):
        if max(found) < 10 * len(found) + 10:  # else they are no numbers of chapters: years, dates, identifiers
            named = "appendix " if rank == AFTER else ""
            gaps += [
                named + ".".join(map(str, (*before, number))) for number in range(1, max(found)) if number not in found
            ]
    return gaps


def _placed(chapters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the places: those that files' names say where more of them have numbers than of the headings."""
    headings = [place_of(one) for one in without_shared_parts([row["chapter"] for row in chapters])]
    paths = [row["origin"].split("/") for row in chapters]
    folders = [path[:-1] for path in paths]
    depth = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(min(folders), max(folders), strict=False)))
    names = [place_of("/".join(path[depth:])) for path in paths]  # below the folder that all of them lie in
    by_name = _num_numbered(names) > _num_numbered(headings)
    return [dict(row, place=place) for row, place in zip(chapters, names if by_name else headings, strict=True)]


def _num_numbered(places: Sequence[tuple[Part, ...]]) -> int:
    return sum(bool(numbers_of(place)[1]) for place in places)


def _book(name: str, chapters: list[dict[str, Any]], titles: bool, max_chars: int) -> Iterator[dict[str, Any]]:
    chapters.sort(key=lambda row: (row["place"], row["origin"]))
    kept = chapters[:1]
    for before, row in pairwise(chapters):
        if row["text"] == before["text"]:
            yield {**_document(row), DROP: DUPLICATE}
        else:
            kept.append(row)
    if len(kept) == 1:
        yield _document(kept[0])
        return
    about = {"missing": missing([row["place"] for row in kept]), "repeated": _repeated(kept)}
    texts = _texts(kept, titles)
    shown = [{**row, "sha": text_sha(row["text"]), "text": text} for row, text in zip(kept, texts, strict=True)]
    volumes = list(_volumes(shown, max_chars))
    for number, rows in enumerate(volumes, 1):
        origin = name if len(volumes) == 1 else f"{name}#volume-{number}-of-{len(volumes)}"
        texts = [row["text"] for row in rows]
        starts = _starts(texts)
        parts = [[row["origin"], start] for row, start in zip(rows, starts, strict=True)]
        made_from = provenance("book", ([row["id"], row["sha"]] for row in rows))
        yield joined_row(origin, rows, SEPARATOR.join(texts), {**made_from, **about, "chapters": parts})


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    return {column: row[column] for column in DOCUMENT.names}


def _volumes(rows: list[dict[str, Any]], max_chars: int) -> Iterator[list[dict[str, Any]]]:
    """Runs of chapters of at most `max_chars` together, or of one."""
    volume: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        if volume and size + len(row["text"]) > max_chars:
            yield volume
            volume, size = [], 0
        volume.append(row)
        size += len(row["text"])
    yield volume


def _texts(rows: Sequence[Mapping[str, Any]], titles: bool) -> list[str]:
    """The chapters without what the site put around them, each with its title before it unless it begins with it."""
    texts = without_furniture([row["text"].strip("\n") for row in rows])
    named = [str(json.loads(row["meta"] or "{}").get("title") or "") for row in rows] if titles else [""] * len(rows)
    return [_titled(title, text) for title, text in zip(without_shared_parts(named), texts, strict=True)]


def _titled(title: str, text: str) -> str:
    title = " ".join(title.split())
    lines = [" ".join(line.split()) for line in text.lstrip("\n").split("\n", TITLE_LINES)[:TITLE_LINES]]
    has_title = any(line.lstrip("# ").startswith(title) or line.endswith(title) for line in lines)
    return text if has_title else f"{title}{SEPARATOR}{text}"


def _starts(texts: Sequence[str]) -> list[int]:
    """First character of each text after joining."""
    starts, place = [], 0
    for text in texts:
        starts.append(place)
        place += len(text) + len(SEPARATOR)
    return starts


def _repeated(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the chapters at the place of the one before them."""
    return [row["chapter"] for before, row in pairwise(rows) if row["place"] == before["place"]]


BOOK = Generator(emit, reduce, check)
