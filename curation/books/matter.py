"""Front and back matter of books: headers of text archives, title and copyright pages, contents, lists of figures, indexes, adverts.

A heading alone removes nothing: what follows it must look like its kind, line by line, and goes as far as it does. Contents are lines
that end in page numbers, begin with chapter numbers, or come again later as headings; the first of them that does come again is where
the book begins. An index is lines that end in numbers. Copyright pages are single blocks near the ends that say so. Prefaces,
dedications, notes, glossaries and bibliographies are text and stay. Nothing is removed when it would be more than a given number of
characters.

30 MB per CPU second. The headings are English, French, German, Spanish, Italian and Chinese. Not covered: contents of one paragraph,
indexes in columns.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from curation.books.chapter_order import DIVISIONS

LEAST_HEAD_CHARS = 3_000
HEAD_SHARE, FRONT_SHARE = 0.1, 0.2  # where copyright pages and adverts lie, and where contents need no further evidence
TAIL_SHARE = 0.1  # where adverts and a copyright page at the end lie
INDEX_SHARE = 0.4  # the index lies in the last two fifths
MOST_SECTIONS, SECTION_LINES = 100, 20_000  # of contents and indexes that are looked at, and of each
LEAST_ENTRIES, LEAST_INDEX_ENTRIES = 3, 8
ADVERT_CHARS = 300  # of a title with its price and what a paper said
HEADING_CHARS, BLOCK_LINES, BLOCK_CHARS = 60, 18, 1_800
_COLUMN_HEADS = frozenset({"page", "chapter", "seite"})
KINDS = ("archive", "metadata", "title", "copyright", "contents", "index", "advertisement")

_CONTENTS = frozenset(
    [
        "contents",
        "table of contents",
        "list of figures",
        "list of tables",
        "list of illustrations",
        "list of plates",
        "list of maps",
        "illustrations",
        "detailed contents",
        "brief contents",
        "table des matières",
        "sommaire",
        "liste des figures",
        "liste des tableaux",
        "inhalt",
        "inhaltsverzeichnis",
        "abbildungsverzeichnis",
        "tabellenverzeichnis",
        "índice general",
        "contenido",
        "indice",
        "sommario",
        "目录",
        "目錄",
    ]
)
_INDEX = frozenset(
    [
        "index",
        "general index",
        "subject index",
        "index of names",
        "name index",
        "author index",
        "index of subjects",
        "sachregister",
        "register",
        "personenregister",
        "stichwortverzeichnis",
        "índice alfabético",
        "indice analitico",
        "索引",
    ]
)
_ADVERTS = re.compile(
    r"(?:also (?:by|available from)|(?:other )?books by|(?:other )?works by|by the same author|novels by|advertisements?|"
    r"du même auteur|vom selben autor|other titles (?:in|from)|about the publisher)\b",
    re.I,
)
_COPYRIGHT = re.compile(
    r"©\s*(?:copyright\s*)?(?:\d{4}|by)|copyright\s*(?:©|\(c\))|\bISBN(?:-1[03])?[\s:]*\d|all rights reserved|"
    r"library of congress (?:catalog|control)|cataloging[- ]in[- ]publication|no part of this (?:book|publication|work)|"
    r"tous droits réservés|dépôt légal|alle rechte vorbehalten|todos los derechos reservados|版权所有",
    re.I,
)
# What running text says too: counts where a block begins, or behind a line that no wrapped text has.
_MAYBE_COPYRIGHT = re.compile(
    r"\W*(?:Copyright\s*,?\s*(?:by\b|\d{4})|First (?:published|edition|printing)\b.*\d{4}|"
    r"Printed in (?:the )?(?:U\.?S\.?A|United|Great Britain|England|China))"
)
_TITLE_LINE = 29  # characters: a full line has more (`wrapping`)
_ARCHIVE_START = re.compile(
    r"^(?:\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG EBOOK|\*END\*? ?THE SMALL PRINT)", re.M | re.I
)
_ARCHIVE_END = re.compile(
    r"^(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG EBOOK|End of (?:the )?Project Gutenberg)", re.M | re.I
)
_CREDITS = re.compile(
    r"(?:Produced|Transcribed|E-text prepared|This e-?text was (?:prepared|produced)) (?:by|from)\b", re.I
)
_METADATA = re.compile(r"\A---\n(?:.*\n){1,2000}?---.*\n")
_ENDS_IN_PAGE = re.compile(r"[\s.…,](?:\d{1,4}|[ivxlc]{1,6})$")
_LEADERS = re.compile(r"(?:\.\.\.|…|\. \. \.|\t|   )\s?(?:\d{1,4}|[ivxlc]{1,6})$")
_APART = re.compile(r"(?:\.\s?){4}$|^\d[\d.]*$|^[ivxlc]+$")  # number, title and page on lines of their own
_DIVISION = re.compile(rf"(?:{'|'.join(sorted(DIVISIONS))})\b|[IVXLC]+[.:]\s|第.{{1,4}}[章节回卷]", re.I)
_NUMBERED = re.compile(r"\d{1,2}(?:\.\d+)*[.:)]?\s")
_LINK = re.compile(r"(?:[-*+]\s+)?\[[^\]]+\]\([^)]*\)")
_INDEX_ENTRY = re.compile(r"[,\s]\s*\d{1,4}(?:\s*[-–—]\s*\d{1,4})?[nf]{0,2}\.?\s*$|,\s*see (?:also )?\S|^[A-Z]$")
_SENTENCE_END = re.compile(r"[.!?]['\"”’)]*$")
_SENTENCE_WORDS = 4
_TRIM = " \t#*_=-–—.:~|"


class Cut(NamedTuple):
    """Lines [start, end) that go, and as what."""

    start: int
    end: int
    kind: str


def without_matter(text: str, most_chars: float) -> tuple[str, Counter[str]]:
    """(the text without front and back matter, counts: characters of each of `KINDS`).

    Where more than `most_chars` would go, what text archives add left out, the text stays: counts are `matter_refused`.
    """
    lines = text.split("\n")
    cuts = _merged([*_archive(text, lines), *_sections(lines), *_pages(lines)])
    cuts = _merged([*cuts, *_title(lines, cuts)])
    gone = Counter[str]()
    for cut in cuts:
        gone[f"{cut.kind}_chars"] += sum(len(line) + 1 for line in lines[cut.start : cut.end])
    if not cuts:
        return text, gone
    if sum(gone.values()) - gone["archive_chars"] > most_chars:
        return text, Counter(matter_refused=1)
    kept, place = [], 0
    for cut in cuts:
        kept += lines[place : cut.start]
        place = cut.end
    return "\n".join([*kept, *lines[place:]]).strip("\n"), gone


def _merged(cuts: Sequence[Cut]) -> list[Cut]:
    """In order, without overlaps: of two that do, the first keeps what it has."""
    found: list[Cut] = []
    for cut in sorted(cuts):
        start = max(cut.start, found[-1].end if found else 0)
        if start < cut.end:
            found.append(cut._replace(start=start))
    return found


def _archive(text: str, lines: Sequence[str]) -> Iterator[Cut]:
    """What a text archive put around a book, and the metadata block of a Markdown file."""
    start = max(_ARCHIVE_START.finditer(text, 0, 100_000), key=lambda found: found.start(), default=None)
    first = 0
    if start:
        first = text.count("\n", 0, start.start()) + 1
        while first < len(lines) and lines[first].strip() and "***" not in lines[first - 1].strip()[3:]:
            first += 1  # a marker of two lines
        yield Cut(0, first, "archive")
    ends = [found.start() for found in _ARCHIVE_END.finditer(text) if found.start() > len(text) // 2 or start]
    if ends:
        yield Cut(text.count("\n", 0, ends[0]), len(lines), "archive")
    for begin, end in _blocks(lines, first, min(len(lines), first + 40)):
        if _CREDITS.match(lines[begin].strip()) and end - begin <= 6:
            yield Cut(begin, end, "archive")
    metadata = _METADATA.match(text)
    if metadata:
        yield Cut(0, metadata[0].count("\n"), "metadata")


def _sections(lines: Sequence[str]) -> Iterator[Cut]:
    """Contents and lists, indexes, adverts: a heading and what follows it, as far as that is of its kind."""
    ends = list(accumulate(len(line) + 1 for line in lines))
    headings: Counter[str] | None = None
    num_sections = 0
    for index, line in enumerate(lines):
        if not line or len(line) > 2 * HEADING_CHARS:
            continue
        name = line.strip(_TRIM)
        if not name or len(name) > HEADING_CHARS or not _stands_alone(lines, index):
            continue
        folded = name.casefold()
        at = ends[index] / ends[-1]
        num_sections += folded in _CONTENTS or folded in _INDEX
        if num_sections > MOST_SECTIONS:
            continue
        if folded in _CONTENTS:
            headings = headings or Counter(_folded(each) for each in lines if each and len(each) <= 2 * HEADING_CHARS)
            yield from _contents(lines, index, headings, is_certain=at < FRONT_SHARE)
        if folded in _INDEX and at > 1 - INDEX_SHARE:
            yield from _index(lines, index)
        if (at < HEAD_SHARE or at > 1 - TAIL_SHARE) and _ADVERTS.match(name):
            yield from _adverts(lines, index, is_last=at > 1 - TAIL_SHARE)


def _stands_alone(lines: Sequence[str], index: int) -> bool:
    """Whether a blank line, the edge of the text or a rule is before it."""
    return index == 0 or not lines[index - 1].strip(_TRIM)


def _contents(lines: Sequence[str], heading: int, headings: Counter[str], *, is_certain: bool) -> Iterator[Cut]:
    """`headings`: how often every short line of the text is there. Where it is not certain, half of the entries must come again."""
    entries: list[str] = []
    end = heading + 1
    strangers = 0
    for index in range(heading + 1, min(len(lines), heading + SECTION_LINES)):
        line = lines[index].strip()
        if not line:
            continue
        folded = _folded(line) if len(line) <= 2 * HEADING_CHARS else ""
        is_under_number = end == index and bool(_DIVISION.match(lines[index - 1].strip()))
        if folded in entries[:LEAST_ENTRIES] and (is_under_number or _stands_alone(lines, index)):
            end -= is_under_number
            break  # the first heading of the book itself, maybe below its "Chapter 1"
        if _is_entry(line) or (folded and headings[folded] > 1):
            entries += [folded] if folded.strip("0123456789.ivxlc") else []
            end, strangers = index + 1, 0
        elif line.casefold() not in _COLUMN_HEADS and folded not in _CONTENTS:
            strangers += 1
            if strangers > 2 or len(line) > 100 or _is_sentence(line):
                break
    again = sum(headings[entry] > 1 for entry in entries)
    if len(entries) >= LEAST_ENTRIES and (is_certain or again * 2 >= len(entries)):
        yield Cut(heading, end, "contents")


def _is_entry(line: str) -> bool:
    if _LINK.match(line) or _LEADERS.search(line) or _APART.search(line):
        return True
    if len(line) > 2 * HEADING_CHARS:
        return False
    return bool(_DIVISION.match(line)) or (
        not _is_sentence(line) and bool(_NUMBERED.match(line) or _ENDS_IN_PAGE.search(line))
    )


def _is_sentence(line: str) -> bool:
    return bool(_SENTENCE_END.search(line[-8:])) and len(line.split(None, _SENTENCE_WORDS)) >= _SENTENCE_WORDS


def _folded(line: str) -> str:
    """A heading and its entry in the contents have this in common: no page number, no mark-up."""
    return " ".join(_ENDS_IN_PAGE.sub("", line.rstrip()).strip(_TRIM + "…,").casefold().split())


def _index(lines: Sequence[str], heading: int) -> Iterator[Cut]:
    """As far as at least half of every ten lines are entries."""
    end, entries = heading + 1, 0
    recent: list[bool] = []
    for index in range(heading + 1, min(len(lines), heading + SECTION_LINES)):
        line = lines[index].strip()
        if not line:
            continue
        is_entry = bool(_INDEX_ENTRY.search(line)) and not _is_sentence(line)
        recent = [*recent[-9:], is_entry]
        if sum(recent) * 2 < len(recent) and len(recent) >= 5:
            break
        entries += is_entry
        if is_entry:
            end = index + 1
    if entries >= LEAST_INDEX_ENTRIES:
        yield Cut(heading, end, "index")


def _adverts(lines: Sequence[str], heading: int, *, is_last: bool) -> Iterator[Cut]:
    """Short blocks that are no sentences; at the end of the book all short ones, up to a paragraph."""
    end = heading + 1
    for begin, stop in _blocks(lines, heading + 1, len(lines) if is_last else min(len(lines), heading + 60)):
        block = lines[begin:stop]
        if is_last and sum(map(len, block)) > ADVERT_CHARS:
            break
        if not is_last and (any(_is_sentence(line) or len(line) > 80 for line in block) or _begins_book(block[0])):
            break
        end = stop
    if end > heading + 1:
        yield Cut(heading, end, "advertisement")


def _begins_book(line: str) -> bool:
    name = line.strip(_TRIM)
    return bool(_DIVISION.match(name) or _NUMBERED.match(name)) or name.casefold() in _CONTENTS or line.startswith("#")


def _pages(lines: Sequence[str]) -> Iterator[Cut]:
    """Blocks of a copyright page."""
    head, tail = _edges(lines)
    for begin, end in [*_blocks(lines, 0, head), *_blocks(lines, max(head, tail), len(lines))]:
        block = "\n".join(lines[begin:end])
        if end - begin > BLOCK_LINES or len(block) > BLOCK_CHARS:
            continue
        if _COPYRIGHT.search(block) or any(
            _MAYBE_COPYRIGHT.match(lines[index]) and (index == begin or len(lines[index - 1]) <= _TITLE_LINE)
            for index in range(begin, end)
        ):
            yield Cut(begin, end, "copyright")


def _edges(lines: Sequence[str]) -> tuple[int, int]:
    """The line at which the head ends (`HEAD_SHARE` of the text, at least 3,000 characters), and the one at which the tail begins."""
    ends = list(accumulate(len(line) + 1 for line in lines))
    head = max(HEAD_SHARE * ends[-1], LEAST_HEAD_CHARS)
    return min(bisect_left(ends, head) + 1, len(lines)), bisect_left(ends, ends[-1] - LEAST_HEAD_CHARS)


def _title(lines: Sequence[str], cuts: Sequence[Cut]) -> Iterator[Cut]:
    """The short blocks before and between copyright pages and contents; nothing as soon as one is none."""
    head, _ = _edges(lines)
    ends = [cut.end for cut in cuts if cut.kind in ("copyright", "contents") and cut.start < head]
    if not ends:
        return
    first = next((cut.end for cut in cuts if cut.kind in ("archive", "metadata") and cut.start == 0), 0)
    gone = {index for cut in cuts for index in range(cut.start, cut.end)}
    for begin, end in _blocks(lines, first, max(ends)):
        if begin in gone:
            continue
        block = [line.strip() for line in lines[begin:end]]
        if len(block) > 6 or any(len(line) > 70 or _is_sentence(line) for line in block) or _begins_book(block[0]):
            return
        yield Cut(begin, end, "title")


def _blocks(lines: Sequence[str], first: int, last: int) -> Iterator[tuple[int, int]]:
    """[start, end) of the runs of lines with text that begin in [first, last)."""
    index = first
    while index < last:
        if not lines[index].strip():
            index += 1
            continue
        end = index
        while end < len(lines) and lines[end].strip():
            end += 1
        yield index, end
        index = end
