"""What the chapters of a book have around them because they were pages of a site: lines of links at both ends, the site's name in titles.

A line at an end is furniture when half of the chapters have it there, and lines of bracketed links alone (`[ << Pitches ] [Top]`) when
`LEAST_CHAPTERS` have them, whatever the links say. Furniture is taken away from the outside in, up to the first line that is none:
fences and braces of code and rows of tables never are, however many chapters end with them, nor is all of a chapter. What more than half
of the titles begin or end with, up to a colon, dash or bar or in brackets, says nothing of one chapter, unless it is a number.

Not covered: words that half of the chapters share at an end (an "Amen.") and that a person wrote there.
"""

import re
from collections import Counter
from collections.abc import Sequence

from curation.books.chapter_order import numbers_of, place_of

LEAST_CHAPTERS = 5
EDGE_LINES = 12  # at either end of a chapter, blank ones among them
LINE_CHARS = 300  # a longer line is a paragraph
_LINK = re.compile(r"\[[^\[\]]*\]")
_LINKS_ALONE = re.compile(r"[\s|<>]*(?:\[\][\s|<>]*){2,}")
_RULE_OR_WORDS = re.compile(r"[-=*_ ]+|(?!```|~~~|\|.*\|$).*[^\W\d_]{2}.*")
_BEGINNING = re.compile(r".{1,80}?(?::| [-–—|]) +(?=\S)")
_ENDING = re.compile(r"(?<=\S) +(?:[-–—|] .{1,80}|\([^()]{1,80}\))$")


def without_furniture(texts: Sequence[str]) -> list[str]:
    """The texts of the chapters of one book without furniture at their ends."""
    texts = [text.strip("\n") for text in texts]
    if len(texts) >= LEAST_CHAPTERS:
        texts = ["\n".join(lines) for lines in _peeled([text.split("\n", EDGE_LINES) for text in texts])]
        ends = [text.rsplit("\n", EDGE_LINES)[::-1] for text in texts]
        texts = ["\n".join(lines[::-1]) for lines in _peeled(ends)]
    return texts


def without_shared_parts(titles: Sequence[str]) -> list[str]:
    """The titles of a book's chapters without what most of them begin or end with."""
    for pattern in (_BEGINNING, _ENDING):
        parts = [
            match[0] if (match := (pattern.match if pattern is _BEGINNING else pattern.search)(title)) else ""
            for title in titles
        ]
        common = {part for part, count in Counter(parts).items() if part and 2 * count > len(titles)}
        shared = {part for part in common if not numbers_of(place_of(part.strip(" ()|:-–—")))[1]}  # "Part 1: "
        titles = [
            title.replace(part, "", 1) if part in shared else title for title, part in zip(titles, parts, strict=True)
        ]
    return list(titles)


def _folded(line: str) -> str:
    """What lines of links have in common."""
    return line if len(line) > LINE_CHARS else " ".join(_LINK.sub("[]", line).split())


def _peeled(chapters: Sequence[list[str]]) -> list[list[str]]:
    """Lines from the outside in, at most `EDGE_LINES` and what is left, without those that are furniture."""
    folded = [[_folded(line) for line in lines[:EDGE_LINES]] for lines in chapters]
    shared = Counter(line for lines in folded for line in set(lines))

    def is_furniture(line: str) -> bool:
        links = shared[line] >= LEAST_CHAPTERS and _LINKS_ALONE.fullmatch(line) is not None
        is_common = 2 * shared[line] >= len(chapters) and _RULE_OR_WORDS.fullmatch(line) is not None
        return not line or links or is_common

    inner = [
        next((place for place, line in enumerate(lines) if not is_furniture(line)), EDGE_LINES) for lines in folded
    ]
    return [lines[place:] or lines for lines, place in zip(chapters, inner, strict=True)]
