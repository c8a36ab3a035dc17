"""Where the code of a text is: comments and strings, found by one regular expression per family of languages.

An import is first looked for by its words, and only then is it asked whether these stand in a comment or a string: the text is read as
far as the last candidate, which for most files is its head. Every repetition is possessive and every comment and string may end with
the text, so that time is linear and nothing is stacked whatever the text. Not covered: strings within the braces of a template or an
f-string that hold their own quotes.
"""

import bisect
import re
from collections.abc import Iterable, Sequence

MAX_BEFORE = 200

_QUOTED = r""""(?:[^"\\\n]++|\\.)*+"?|'(?:[^'\\\n]++|\\.)*+'?"""
_BLOCK = r"/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"
_TRIPLE = r'''"""(?:[^"\\]++|\\.|"(?!""))*+(?:"""|\Z)'''

PYTHON = re.compile(
    rf"#[^\n]*+|{_TRIPLE}|{_TRIPLE.replace(chr(34), chr(39))}|{_QUOTED}",
    re.DOTALL,
)
C = re.compile(rf'//[^\n]*+|{_BLOCK}|R"([^(\s\\]{{0,16}})\((?:(?!\)\1").)*+(?:\)\1"|\Z)|{_QUOTED}', re.DOTALL)
C_SHARP = re.compile(rf'//[^\n]*+|{_BLOCK}|{_TRIPLE}|\$?@\$?"(?:[^"]++|"")*+"?|{_QUOTED}', re.DOTALL)
JAVA = re.compile(rf"//[^\n]*+|{_BLOCK}|{_TRIPLE}|{_QUOTED}", re.DOTALL)
GO = re.compile(rf"//[^\n]*+|{_BLOCK}|`[^`]*+`?|{_QUOTED}", re.DOTALL)
# A lifetime 'a is no string: of single quotes only a character counts.
RUST = re.compile(
    rf"""//[^\n]*+|{_BLOCK}|r(#{{1,16}})"(?:(?!"\1).)*+(?:"\1|\Z)|"(?:[^"\\]++|\\.)*+"?|'(?:[^'\\\n]|\\[^\n]{{1,8}}?)'""",
    re.DOTALL,
)
# A slash after an operator or an opening bracket begins a regular expression, any other one divides.
JAVASCRIPT = re.compile(
    rf"//[^\n]*+|{_BLOCK}|`(?:[^`\\]++|\\.)*+`?|{_QUOTED}"
    r"|(?:[=(,:;!&|?{}\[+*%~^<>-]|\breturn)\s*+/(?![*/])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.){0,200}+\]){1,500}+/",
    re.DOTALL,
)


def in_code(
    text: str, found: Sequence[re.Match[str]], hidden: re.Pattern[str], *, group: str | int = 0
) -> list[re.Match[str]]:
    """Those of the matches, in text order, of which `group` begins outside comments and strings."""
    if not found:
        return []
    spans = [match.span() for match in hidden.finditer(text, 0, found[-1].end())]
    starts = [begin for begin, _ in spans]
    return [match for match in found if not _is_within(match.start(group), spans, starts)]


def before(text: str, place: int) -> str:
    """The line up to `place`, of a long one the last `MAX_BEFORE` characters: enough to tell whether it is more than indentation."""
    return text[max(text.rfind("\n", max(0, place - MAX_BEFORE), place) + 1, place - MAX_BEFORE) : place]


def _is_within(place: int, spans: Sequence[tuple[int, int]], starts: Sequence[int]) -> bool:
    before = bisect.bisect_left(starts, place) - 1
    return before >= 0 and place < spans[before][1]


def without_hidden(text: str, hidden: re.Pattern[str]) -> str:
    """The code of a text: each comment and string becomes a space."""
    return hidden.sub(" ", text)


def _spaced(kept: str) -> bytes:
    return bytes(code if code >= 128 or chr(code).isalnum() or chr(code) in kept else ord(" ") for code in range(256))


_CAPITALISED = re.compile(r"^[A-Z]\w*+", re.MULTILINE)
_WORDS, _DOTTED = _spaced("_"), _spaced("_.")


def words(code: str, *, dotted: bool = False) -> str:
    """The identifiers of a text without comments and strings, with `dotted` as far as dots join them: one per line, each once."""
    found = set(code.encode("utf-8", "replace").translate(_DOTTED if dotted else _WORDS).split())
    return b"\n".join(found).decode("utf-8", "replace")


def capitalised(code: str) -> list[str]:
    """The identifiers that begin with a capital letter, sorted. Some 130 MB of code per CPU second."""
    return sorted(_CAPITALISED.findall(words(code)))


def in_order(strings: Iterable[str]) -> list[str]:
    """Sorted, each once."""
    return sorted(set(strings))
