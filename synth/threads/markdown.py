"""Markdown as people write it in comments: what is code and what is prose.

Only what decides whether a word is text: fences of backticks or tildes, and code in a line. Code by indentation counts as prose.
"""

import re
from collections.abc import Callable, Iterator

_CODE = re.compile(
    r"^ {0,3}(`{3,}+(?=[^\n`]*+$)|~{3,}+)[^\n]*+(?:.*?\n {0,3}\1|.*\Z)|(?<!`)`[^`\n]+`(?!`)", re.MULTILINE | re.DOTALL
)


def _code(text: str) -> Iterator[re.Match[str]]:
    return _CODE.finditer(text) if "`" in text or "~~~" in text else iter(())


def prose(text: str) -> Iterator[str]:
    """The passages between code, in order."""
    start = 0
    for match in _code(text):
        yield text[start : match.start()]
        start = match.end()
    yield text[start:]


def in_prose(text: str, change: Callable[[str], str]) -> str:
    """`text` with every passage between code changed, and the code as it is."""
    parts, start = [], 0
    for match in _code(text):
        parts += [change(text[start : match.start()]), match[0]]
        start = match.end()
    return "".join([*parts, change(text[start:])])


def first_in_prose(text: str, pattern: re.Pattern[str]) -> int | None:
    """Where the pattern is first found outside code, None if nowhere."""
    code = [match.span() for match in _code(text)]
    for match in pattern.finditer(text):
        if not any(start <= match.start() < stop for start, stop in code):
            return match.start()
    return None
