"""Passages that must survive extraction as they are: each leaves the page, a mark stands in its place, and the text gets it back.

Extractors trim lines, join words and drop empty lines; a mark is one word to all of them. It is a number between two signs of Linear A,
which are letters to Unicode, are no white space, and have no composed form; a page that writes such a number itself gets a passage
twice, nothing worse. Behind the mark stand about as many letters as the passage is long (up to 500): extractors weigh blocks by length.
"""

import re
from collections import Counter
from typing import NamedTuple

_OPEN, _CLOSE, _FILL = "\U00010600", "\U00010601", "\U00010602"
_FILL_WORD = " " + _FILL * 6
_MAX_FILL_WORDS = 500 // len(_FILL_WORD)
_MARK = re.compile(rf"{_OPEN}([0-9]{{1,7}}){_CLOSE}(?: ?{_FILL}+)*")
_NO_PROSE = re.compile(r"[-*|\s]*")  # what an item or a row leaves of a line when its block moves to lines of its own


class _Passage(NamedTuple):
    text: str
    counts: Counter[str]  # what it is, and what it holds
    block: bool


class Kept:
    """The passages of one page."""

    def __init__(self) -> None:
        self._passages: list[_Passage] = []

    def mark(self, text: str, what: str, *, block: bool) -> str:
        """Keeps a passage and returns what to write in its place. `block`: it stands on lines of its own. It may hold marks itself."""
        text, inner = self.restore(text, in_line=True)
        self._passages.append(_Passage(text, inner + Counter([what]), block))
        words = min(len(text) // len(_FILL_WORD), _MAX_FILL_WORDS)
        return f"{_OPEN}{len(self._passages) - 1}{_CLOSE}{_FILL_WORD * words}"

    def restore(self, text: str, *, in_line: bool = False) -> tuple[str, Counter[str]]:
        """`text` with the passages in place of their marks, and how many of each kind came back. `in_line`: blocks stay on their line."""
        pieces: list[str] = []
        counts: Counter[str] = Counter()
        end, after_block = 0, False
        for mark in _MARK.finditer(text) if self._passages and _OPEN in text else ():
            if int(mark[1]) >= len(self._passages):
                continue
            passage = self._passages[int(mark[1])]
            block = passage.block and not in_line
            between = text[end : mark.start()]
            if after_block:
                between = _below(between)
            if block:
                between = _above(between, at_start=not pieces)
            pieces += [between, passage.text]
            counts += passage.counts
            end, after_block = mark.end(), block
        pieces.append(_below(text[end:]).rstrip("\n") if after_block else text[end:])
        return "".join(pieces), counts


def _below(text: str) -> str:
    """What follows a block: the rest of its line starts a new one, unless that is the end of a row or an item."""
    line, feed, rest = text.partition("\n")
    return "\n" + rest if _NO_PROSE.fullmatch(line) else "\n" + line.lstrip(" ") + feed + rest


def _above(text: str, *, at_start: bool) -> str:
    """What precedes a block: its last line ends, unless it is the start of a row or an item."""
    start = text.rfind("\n") + 1
    if (start or at_start) and _NO_PROSE.fullmatch(text, start):
        return text[:start]
    return text.rstrip(" ") + "\n"
