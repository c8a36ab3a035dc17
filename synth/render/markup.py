"""Markup in payloads: a special token of the chat template that stands in somebody's words gets a backslash behind its first character.

`<|user|>` becomes `<\\|user|>`, and `<\\|user|>` becomes `<\\\\|user|>`, so that nothing is lost. The published template leaves such
words as they are, where they turn into tokens: a page could end its tool response and speak as the user.
"""

import re

from datapipe.tokenize import SPECIAL_TOKENS


def _pattern(backslashes: str) -> re.Pattern[str]:
    """First character of a special token and backslashes, before the rest of the token."""
    rests: dict[str, list[str]] = {}
    for token in SPECIAL_TOKENS:
        rests.setdefault(token[0], []).append(re.escape(token[1:]))
    return re.compile("|".join(f"{re.escape(first)}{backslashes}(?={'|'.join(rest)})" for first, rest in rests.items()))


_MARKUP, _ESCAPED = _pattern(r"\\*"), _pattern(r"\\+")


def escape(payload: str) -> str:
    """`payload` without any special token: each has one backslash more after its first character."""
    return _MARKUP.sub(r"\g<0>\\", payload)


def unescape(payload: str) -> str:
    """Undo `escape`."""
    return _ESCAPED.sub(lambda match: match[0][:-1], payload)
