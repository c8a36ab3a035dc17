"""A document cut into passages at ends of paragraphs, each no longer than a model is to be shown.

The passages cover the text without gap and in order. A fenced block of code is one paragraph; a paragraph that is too long alone is cut at
a line end, then at a sentence end, then at a space, then anywhere. (Nemotron-CC, arXiv 2412.02595, appendix, drops lines that are too
long instead.) 30 MB per CPU second.
"""

import re
from collections.abc import Iterator

Span = tuple[int, int]  # [begin, end) in characters

# A fenced block with what follows it, or anything up to behind a blank line; a line alone where no blank lines are.
_BLOCK = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^[ \t]*(?P=fence)[^\n]*(?:\n|\Z)|[^\n]*(?:(?P<blank>\n\s*\n)|\n|\Z)",
    re.M | re.S,
)
_ENDS = (re.compile(r"\n"), re.compile(r"[.!?。！？]['\")]*\s"), re.compile(r"\s"))
FENCED_CHARS = 20_000  # a fence that is not closed by then is a line like others


def passages(text: str, max_chars: int) -> list[Span]:
    """Spans of at most `max_chars` characters (at least 1) that make up `text`."""
    found: list[Span] = []
    begin = end = 0
    for _, stop in _paragraphs(text):
        if stop - begin > max_chars and end > begin:
            found.append((begin, end))
            begin = end
        while stop - begin > max_chars:
            cut = _cut(text, begin, begin + max_chars)
            found.append((begin, cut))
            begin = cut
        end = stop
    return [*found, (begin, end)] if end > begin else found


def _paragraphs(text: str) -> Iterator[Span]:
    """Runs of lines up to a blank line, or single lines in a text that has no blank ones; all of the text."""
    has_blank = "\n\n" in text
    begin = at = 0
    while at < len(text):
        block = _BLOCK.match(text, at, min(len(text), at + FENCED_CHARS))
        stop = block.end() if block and block.end() > at else min(len(text), at + FENCED_CHARS)
        ends = not has_blank or not block or block["blank"] or block["fence"]
        at = stop
        if ends:
            yield begin, stop
            begin = stop
    if begin < len(text):
        yield begin, len(text)


def _cut(text: str, begin: int, limit: int) -> int:
    """The last good place to cut in the second half of [begin, limit)."""
    for pattern in _ENDS:
        ends = [match.end() for match in pattern.finditer(text, begin + (limit - begin) // 2, limit)]
        if ends:
            return ends[-1]
    return limit
