"""Hard-wrapped text joined into paragraphs, with the hyphenation of line ends undone, and ligatures written out.

A text is joined only if it is evidently hard-wrapped: more than half of its characters stand in blocks of lines that are as full as they
can be, so that the first word of the next line would not have fitted. Verse, tables and code are not full; Markdown is left alone, its
readers join lines themselves. Then nothing of it is left that could be joined a second time.

A hyphen at a line's end goes if the text has the joined word elsewhere, stays if it has the hyphened one, and else follows what most of
the text's known ones do. 4 to 8 MB per CPU second. Not covered: scripts that write no spaces.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
SOFT_HYPHEN = "\u00ad"
LEAST_WRAPPED = 0.5  # share of the characters in full blocks that makes a text hard-wrapped
WIDTHS = range(35, 161)  # characters of the longest lines of such a text
FULL = 0.85  # of that width; lines of one typeset text differ by so much
SHORT = 0.6  # of the width: a line so short ends its paragraph
MAX_UNFULL = 0.1  # share of a block's lines that may be shorter
MARKDOWN_LINES = 3  # so many headings and fences make a text Markdown
_MARKDOWN = re.compile(r"(?:\A|\n\n)#{1,6} +\S[^\n]*(?=\n(?:\n|\Z))|^(?:```|~~~)", re.M)  # not a shell's `# command`
_SENTENCE_END = re.compile(r"""[.!?:][)\]"'”’»]*$""")
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_INVISIBLE = re.compile(rf"{SOFT_HYPHEN}(?!\n)")
_ITEM = re.compile(r"\s*(?:[-*•‣◦–o]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlc]{1,5})[.)])\s+\S")
_COLUMNS = ("   ", "\t", "|", "....", "____", "====", "----")  # inside a line: no running text
_CODE_ENDS = (";", "{", "}", "\\")
_SPLIT_WORD = re.compile(r"((?:[^\W\d_]+[-‐])*[^\W\d_]+)[-‐\u00ad]$")
_HYPHEN_END = re.compile(r"[^\W\d_][-‐]$")
_LOWER = re.compile(r"[^\W\d_]+")


class Block(NamedTuple):
    """Lines [start, end) that are one paragraph, or part of none."""

    start: int
    end: int
    is_full: bool


def without_ligatures(text: str) -> tuple[str, Counter[str]]:
    """(the text with ligatures as letters and without soft hyphens inside lines, counts: `ligatures`)."""
    text, ligatures = _LIGATURE.subn(lambda found: LIGATURES[found[0]], text)
    return _INVISIBLE.sub("", text), +Counter(ligatures=ligatures)


def joined_paragraphs(text: str) -> tuple[str, Counter[str]]:
    """(the text with hard-wrapped paragraphs on one line each, counts: `lines_joined`, `hyphens_removed`)."""
    counts = Counter[str]()
    if len(_MARKDOWN.findall(text)) >= MARKDOWN_LINES:
        return text, counts
    lines = [line.rstrip() for line in text.split("\n")]
    width = _width(lines)
    if width not in WIDTHS:
        return text, counts
    blocks = list(_blocks(lines, width))
    full = sum(len(line) for block in blocks if block.is_full for line in lines[block.start : block.end])
    if full <= LEAST_WRAPPED * sum(map(len, lines)):
        return text, counts
    spelled = _Spelling.of(text, lines, blocks)
    joined: list[str] = []
    for block in blocks:
        if block.is_full:
            joined.append(_joined(lines[block.start : block.end], spelled, counts))
        else:
            joined += lines[block.start : block.end]
    return "\n".join(joined), counts


def _width(lines: Sequence[str]) -> int:
    """Characters that all but the longest twentieth of the lines that another line follows do not exceed."""
    lengths = sorted(len(line) for line, after in itertools.pairwise(lines) if line and after)
    return lengths[len(lengths) * 19 // 20] if lengths else 0


def _blocks(lines: Sequence[str], width: int) -> Iterator[Block]:
    """All lines in order. A block ends before a blank line, an item of a list, a line indented like a new paragraph, and behind a
    sentence that leaves its line half empty."""
    start = 0
    while start < len(lines):
        end = start + 1
        if lines[start]:
            hangs = bool(_ITEM.match(lines[start]))
            while end < len(lines) and lines[end] and not _begins(lines, start, end, width, hangs=hangs):
                end += 1
        yield Block(start, end, _is_full(lines[start:end], width))
        start = end


def _begins(lines: Sequence[str], start: int, at: int, width: int, *, hangs: bool) -> bool:
    """Whether the line `at` begins a paragraph of its own."""
    if _ITEM.match(lines[at]):
        return not _is_word_in_text(lines[at - 1], lines[at])
    if _has_room(lines[at - 1], lines[at], width):
        is_short = len(lines[at - 1]) < SHORT * width and not lines[at].lstrip()[:1].islower()  # a heading, or a row
        if is_short or _SENTENCE_END.search(lines[at - 1]):
            return True
    deeper = _indent(lines[at]) - _indent(lines[at - 1])
    if at == start + 1:
        return deeper > 0 and not hangs
    return deeper > 0


def _is_word_in_text(before: str, line: str) -> bool:
    """`o ` and `a) ` may begin a line of running text: then the line before ends in a letter and is indented alike."""
    return line.lstrip()[:1].islower() and before[-1:].isalpha() and _indent(line) == _indent(before)


def _is_full(lines: Sequence[str], width: int) -> bool:
    """Whether every line but the last is as long as the first word of the next one allows."""
    if len(lines) < 2 or any(len(line) > width * 1.1 for line in lines):
        return False
    inner = {_indent(line) for line in lines[1:]}
    if len(inner) > 1:
        return False
    unfull = columns = 0
    for line, after in itertools.pairwise(lines):
        unfull += _has_room(line, after, width)
        columns += line.endswith(_CODE_ENDS) or any(mark in line.lstrip() for mark in _COLUMNS)
    num_inner = len(lines) - 1
    return unfull <= MAX_UNFULL * num_inner and columns <= 0.25 * num_inner


def _has_room(line: str, after: str, width: int) -> bool:
    """Whether the first word of the next line would have fitted, by far."""
    return len(line) + 1 + len(after.split(None, 1)[0]) < FULL * width


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


class _Spelling(NamedTuple):
    """How the words at line ends are written elsewhere."""

    whole: frozenset[str]
    hyphened: frozenset[str]
    joins: bool  # what happens to those that stand nowhere else

    @staticmethod
    def of(text: str, lines: Sequence[str], blocks: Sequence[Block]) -> "_Spelling":
        pairs = [
            pair
            for block in blocks
            if block.is_full
            for index in range(block.start, block.end - 1)
            if (pair := _halves(lines[index], lines[index + 1]))
        ]
        if not pairs:
            return _Spelling(frozenset(), frozenset(), True)
        folded = text.casefold()
        words = frozenset(re.findall(r"[^\W\d_]+(?:[-‐][^\W\d_]+)*", folded))
        whole = frozenset(first + second for first, second in pairs) & words
        hyphened = frozenset(f"{first}-{second}" for first, second in pairs) & words
        return _Spelling(whole, hyphened, len(whole) >= len(hyphened))

    def together(self, first: str, second: str) -> bool:
        """Whether the two halves are one word without a hyphen."""
        if first + second in self.whole:
            return True
        is_compound = "-" in first or f"{first}-{second}" in self.hyphened
        return self.joins and not is_compound


def _halves(line: str, after: str) -> tuple[str, str] | None:
    """(the letters before the hyphen that ends the line, the lower-case letters that begin the next one), in lower case."""
    if not line.endswith(("-", "‐", SOFT_HYPHEN)):
        return None
    first, second = _SPLIT_WORD.search(line), _LOWER.match(after.lstrip())
    if not first or not second or not second[0][0].islower():
        return None
    return first[1].casefold(), second[0].casefold()


def _joined(lines: Sequence[str], spelled: _Spelling, counts: Counter[str]) -> str:
    parts = [lines[0] if _ITEM.match(lines[0]) else lines[0].lstrip()]
    for before, line in itertools.pairwise(lines):
        counts["lines_joined"] += 1
        halves = _halves(before, line)
        if halves and (before.endswith(SOFT_HYPHEN) or spelled.together(*halves)):
            counts["hyphens_removed"] += 1
            parts[-1] = parts[-1][:-1]
        elif not _HYPHEN_END.search(before):
            parts.append(" ")
        parts.append(line.lstrip())
    return "".join(parts)
