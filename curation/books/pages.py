"""Page furniture of printed and scanned books: running headers and footers, page numbers, form feeds.

Two kinds of evidence. Where form feeds mark the pages, a line is furniture if its shape (digits and Roman numerals alone made equal)
stands at the same edge of several pages. Where nothing marks them, a shape must recur at page distance and stand in the middle of
sentences: after it the text goes on in lower case. A refrain or a heading does not. In both cases a number in the line must stay, or
rise with the pages: the headings CHAPTER 1, CHAPTER 2 at the top of pages rise slower.

6 to 16 MB per CPU second. Not covered: headers that change on every page, pages without form feeds in scripts without letter case.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from curation.books.chapter_order import DIVISIONS

FORM_FEED = "\f"
EDGE_LINES = 4  # so many lines with text at either end of a page may be furniture
MAX_CHARS = 120  # of a line of furniture
LEAST_PAGES, LEAST_SHARE = 3, 0.03  # with form feeds: on so many pages, and so large a share of them
LEAST_TIMES, PAGE_LINES = 5, (15, 130)  # without: how often, and how many lines apart in the median
LEAST_AT_EDGE = 0.75  # share of all places of a shape that are this edge of a page; numbers alone are everywhere
MOST_LONG = 0.02  # share of lines longer than that in a text of printed lines
NEAR = (0.8, 1.25)  # a distance is regular within so many medians
LEAST_REGULAR = 0.7  # share of the regular distances, and of numbers that behave
LEAST_INTERRUPTING = 0.4  # share of the places at which the text goes on in lower case
FULL = (
    0.85  # of the length that a tenth of the lines have: such a line that ends no sentence goes on behind a page's end
)
_NUMBER = re.compile("[0-9]+")
_DIGITS = str.maketrans("123456789", "0" * 9)
_ZEROS = re.compile("00+")
_ROMAN_ALONE = re.compile(r"[ivxlc]+")
_ENDS_SENTENCE = re.compile(r"""[.!?:;…。！？][)\]"'”’»]*\s*$""")


class _Seen(NamedTuple):
    line: int
    page: int


def without_furniture(text: str) -> tuple[str, Counter[str]]:
    """(the text without page furniture, counts: `furniture_lines`, `form_feeds`). What goes on across a page is one paragraph."""
    counts = Counter[str]()
    while True:
        lines = text.replace(FORM_FEED, f"\n{FORM_FEED}\n").split("\n")
        breaks = [index for index, line in enumerate(lines) if line == FORM_FEED]
        gone = _at_edges(lines, breaks) if len(breaks) >= LEAST_PAGES else set()
        gone |= _running(lines, gone.union(breaks))
        if not gone and not breaks:
            return text, counts
        counts += Counter(furniture_lines=len(gone), form_feeds=len(breaks))
        text = _closed(lines, gone.union(breaks))


def _shape(line: str) -> str:
    """The line with its digits as 0; `roman` for one that is a numeral alone."""
    folded = " ".join(line.split()).casefold().translate(_DIGITS)
    if len(folded) < 12 and _ROMAN_ALONE.fullmatch(folded.strip("-–—[]. ")):
        return "roman"
    return _ZEROS.sub("0", folded) if "00" in folded else folded


def _at_edges(lines: Sequence[str], breaks: Sequence[int]) -> set[int]:
    """Lines of furniture, given the lines that end pages: from the edges inwards, as long as what is outside is furniture too."""
    everywhere = Counter(_shape(line) for line in lines if len(line) <= MAX_CHARS)
    bounds = list(itertools.pairwise([-1, *breaks, len(lines)]))
    gone: set[int] = set()
    for step in (1, -1):
        edges = [[index for index in range(start + 1, end)[::step] if lines[index].strip()] for start, end in bounds]
        outside = set(range(len(bounds)))  # pages of which everything outside is furniture
        for depth in range(EDGE_LINES):
            seen: dict[str, list[_Seen]] = defaultdict(list)
            for page in sorted(outside):
                if depth < len(edges[page]) and len(lines[edges[page][depth]]) <= MAX_CHARS:
                    seen[_shape(lines[edges[page][depth]])].append(_Seen(edges[page][depth], page))
            least = max(LEAST_PAGES, LEAST_SHARE * len(bounds))
            found = [
                each
                for shape, on_pages in seen.items()
                if len(on_pages) >= max(least, LEAST_AT_EDGE * everywhere[shape] * (shape != "0"))
                and not _is_heading(shape)
                and _numbers_behave(lines, on_pages)
                for each in on_pages
            ]
            gone.update(each.line for each in found)
            outside = {each.page for each in found}
    return gone


def _running(lines: Sequence[str], skipped: set[int]) -> set[int]:
    """Lines of furniture where nothing marks the pages; none in a text whose lines are paragraphs and not lines of print."""
    if sum(len(line) > MAX_CHARS for line in lines) > MOST_LONG * len(lines):
        return set()
    seen: dict[str, list[_Seen]] = defaultdict(list)
    for index, line in enumerate(lines):
        if line and not line.isspace() and len(line) <= MAX_CHARS and index not in skipped:
            seen[_shape(line)].append(_Seen(index, 0))
    regular: list[list[_Seen]] = []
    for shape, found in seen.items():
        if len(found) < LEAST_TIMES or _is_heading(shape):
            continue
        gaps = [after.line - before.line for before, after in itertools.pairwise(found)]
        middle = median(gaps)
        near = sum(NEAR[0] * middle <= gap <= NEAR[1] * middle for gap in gaps)
        if PAGE_LINES[0] <= middle <= PAGE_LINES[1] and near >= LEAST_REGULAR * len(gaps):
            paged = [each._replace(page=round((each.line - found[0].line) / middle)) for each in found]
            if _numbers_behave(lines, paged):
                regular.append(paged)
    candidates = skipped.union(each.line for found in regular for each in found)
    return {each.line for found in regular if _interrupts(lines, found, candidates) for each in found}


def _is_heading(shape: str) -> bool:
    """A word for a division and its number, alone."""
    words = shape.split()
    return len(words) == 2 and words[0] in DIVISIONS and words[1].strip(".:") in {"0", *"ivxlc"}


def _numbers_behave(lines: Sequence[str], found: Sequence[_Seen]) -> bool:
    """Whether every number of a shape stays the same from one place to the next, or rises by the pages between (or twice as much)."""
    numbers = [[int(number[:15]) for number in _NUMBER.findall(lines[each.line])] for each in found]
    pages = [after.page - before.page for before, after in itertools.pairwise(found)]
    for values in zip(*numbers, strict=True):
        steps = [(after - before, apart) for before, after, apart in zip(values, values[1:], pages, strict=False)]
        best = max(sum(step in (0, apart * factor) for step, apart in steps) for factor in (1, 2))
        if best < LEAST_REGULAR * len(steps):
            return False
    return True


def _interrupts(lines: Sequence[str], found: Iterable[_Seen], candidates: set[int]) -> bool:
    going_on = total = 0
    for each in found:
        before, after = _neighbour(lines, each.line, -1, candidates), _neighbour(lines, each.line, 1, candidates)
        if before is not None and after is not None:
            total += 1
            going_on += _goes_on(lines[before], lines[after])
    return going_on >= max(1, LEAST_INTERRUPTING * total)


def _goes_on(before: str, after: str) -> bool:
    return after.lstrip("\"'“‘(").lstrip()[:1].islower() and not _ENDS_SENTENCE.search(before)


def _neighbour(lines: Sequence[str], index: int, step: int, candidates: set[int]) -> int | None:
    index += step
    while 0 <= index < len(lines) and (index in candidates or not lines[index].strip()):
        index += step
    return index if 0 <= index < len(lines) else None


def _closed(lines: Sequence[str], gone: set[int]) -> str:
    """The other lines. Where some went, the blank lines around become one, or none where the text goes on."""
    kept: list[str] = []
    lengths = sorted(len(line) for line in lines if line.strip())
    full = FULL * lengths[len(lengths) * 9 // 10] if lengths else 0
    hole = False
    blanks = 0
    for index, line in enumerate(lines):
        if index in gone:
            hole = True
        elif not line.strip():
            blanks += 1
            if not hole:
                kept.append(line)
        else:
            if hole:
                while kept and not kept[-1].strip():
                    kept.pop()
                is_cut = kept and len(kept[-1]) >= full and not _ENDS_SENTENCE.search(kept[-1])
                if kept and blanks and not is_cut and not _goes_on(kept[-1], line):
                    kept.append("")
            kept.append(line)
            hole, blanks = False, 0
    return "\n".join(kept)
