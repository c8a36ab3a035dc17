"""Macros that the author of a TeX source made, put in place of their names, so that a formula says what it shows.

Simple ones only: `\\newcommand`, `\\providecommand`, `\\def` with parameters `#1#2`, `\\DeclareMathOperator`, `\\let` to another
command, with up to nine arguments and a default for the first. A `\\renewcommand` counts for names that were defined here; that of a
command of LaTeX is layout or a matter of taste, and the command says the same without it. What builds names or tests conditions stays as
it is, and so does what macros define. Definitions are global: the last one of a name counts, wherever it stands, in verbatim text too.

Bounded in all that hostile sources could ask for: definitions, depth, expansions, characters (`TooMuch`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MAX_DEPTH = 20
MAX_EXPANSIONS = 200_000
MAX_MACROS = 5_000
MAX_BODY_CHARS = 10_000
_ESCAPED, _BRACES = re.compile(r"\\.", re.DOTALL), re.compile(r"[{}]")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[^{}]", re.DOTALL)
_SPACE = re.compile(r"[ \t]*\n?[ \t]*")
_DEFINITION = re.compile(
    r"\\(?:(?P<new>newcommand|renewcommand|providecommand|DeclareRobustCommand)\*?[ \t]*+\{?\s*+\\(?P<name>[A-Za-z]+)\s*+\}?"
    r"[ \t\n]*+(?:\[(?P<count>[0-9])\])?\s*+(?:\[(?P<default>[^\[\]{}]*)\])?\s*+(?=\{)"
    r"|(?:g|e|x)?def[ \t]*+\\(?P<defined>[A-Za-z]+)[ \t]*+(?P<places>(?:\#[1-9])*)[ \t]*+(?=\{)"
    r"|DeclareMathOperator(?P<star>\*?)[ \t]*+\{?\s*+\\(?P<operator>[A-Za-z]+)\s*+\}?\s*+(?=\{)"
    r"|let[ \t]*+\\(?P<alias>[A-Za-z]+)[ \t]*+=?[ \t]*+(?P<target>\\[A-Za-z]+))"
)
_NOT_SIMPLE = re.compile(
    r"##|@|\\(?:if\w*|else|fi|csname|expandafter|futurelet|catcode|def|edef|gdef|xdef|let|newcommand|renewcommand|the|number"
    r"|loop|repeat|read|write|input|include)(?![A-Za-z])"
)
_OPTION = re.compile(r"\s*\[([^\[\]]{0,1000})\]")
_ENDS_IN_COMMAND = re.compile(r"\\[A-Za-z]+\Z")
_PLACE = re.compile(r"#([1-9])")
# What the reader itself goes by, and what a definition of would be layout.
_KEPT = frozenset(
    {
        *(
            "begin",
            "end",
            "document",
            "documentclass",
            "usepackage",
            "input",
            "include",
            "subfile",
            "title",
            "author",
            "date",
        ),
        *(
            "abstract",
            "maketitle",
            "part",
            "chapter",
            "section",
            "subsection",
            "subsubsection",
            "paragraph",
            "cite",
            "ref",
        ),
        *("label", "item", "caption", "par", "footnote", "thanks", "bibliography", "bibitem"),
    }
)


class TooMuch(Exception):
    """The macros of a source expand further than any paper needs."""


class Macro(NamedTuple):
    num_args: int
    default: str | None  # of the first argument
    body: str


def closing_braces(text: str) -> dict[int, int]:
    """Where the brace that opens at a place closes; places of braces without their partner are missing."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACES.finditer(_ESCAPED.sub("  ", text)):
        place = match.start()
        if match[0] == "{":
            opened.append(place)
        elif opened:
            found[opened.pop()] = place
    return found


def argument(text: str, start: int, closing: Mapping[int, int]) -> tuple[str, int] | None:
    """What a command at the end of which `start` lies takes: the content of braces or one token, and the place behind it."""
    start = _SPACE.match(text, start).end()  # type: ignore[union-attr]
    if start in closing:
        return text[start + 1 : closing[start]], closing[start] + 1
    token = _TOKEN.match(text, start)
    return (token[0], token.end()) if token else None


def take_definitions(text: str) -> tuple[str, dict[str, Macro]]:
    """The text without the definitions that are simple, and these."""
    closing = closing_braces(text)
    macros: dict[str, Macro] = {}
    pieces, end = [], 0
    for match in _DEFINITION.finditer(text):
        if match.start() < end:
            continue  # within a definition
        after = match.end()
        if match["alias"]:
            name, macro = match["alias"], Macro(0, None, match["target"])
        elif after in closing:
            name, macro = _defined(match, text[after + 1 : closing[after]])
            after = closing[after] + 1
        else:
            continue
        if match["new"] == "renewcommand" and name not in macros:
            pieces.append(text[end : match.start()])  # what it says of a command of LaTeX is layout
        elif name in _KEPT or _NOT_SIMPLE.search(macro.body) or len(macro.body) > MAX_BODY_CHARS:
            continue
        else:
            pieces.append(text[end : match.start()])
            macros[name] = macro
        end = after
        if len(macros) > MAX_MACROS:
            raise TooMuch
    return "".join([*pieces, text[end:]]), macros


def _defined(match: re.Match[str], body: str) -> tuple[str, Macro]:
    if match["operator"]:
        return match["operator"], Macro(0, None, f"\\operatorname{match['star']}{{{body.strip()}}}")
    if match["defined"]:
        return match["defined"], Macro(len(match["places"]) // 2, None, body)
    return match["name"], Macro(int(match["count"] or 0), match["default"], body)


class Expander:
    """Puts bodies in place of names, with one budget for a whole paper."""

    def __init__(self, macros: Mapping[str, Macro], max_chars: int) -> None:
        self._macros, self._max_chars = macros, max_chars
        self._num_expansions = self._num_chars = 0

    def expand(self, text: str, depth: int = 0) -> str:
        """Raises TooMuch. A name that lacks an argument, or that lies deeper than 20 expansions, stays."""
        if depth > MAX_DEPTH or not self._macros or "\\" not in text:
            return text
        closing = closing_braces(text)
        pieces, end = [], 0
        for match in _COMMAND.finditer(text):
            macro = self._macros.get(match[1])
            if macro is None or match.start() < end or is_escaped(text, match.start()):
                continue
            taken = _arguments(macro, text, match.end(), closing)
            if taken is None:
                continue
            arguments, after = taken
            repeated = (macro.body.count(f"#{place}") * len(one) for place, one in enumerate(arguments, 1))
            self._num_expansions += 1
            self._num_chars += len(macro.body) + sum(repeated)
            if self._num_expansions > MAX_EXPANSIONS or self._num_chars > self._max_chars:
                raise TooMuch
            body = _filled(macro.body, arguments)
            pieces += [text[end : match.start()], self.expand(body, depth + 1)]
            end = after
        return _joined([*pieces, text[end:]])


def is_escaped(text: str, start: int) -> bool:
    """Whether the backslash at `start` is the second of a line break."""
    before = start
    while before and text[before - 1] == "\\":
        before -= 1
    return (start - before) % 2 == 1


def _filled(body: str, arguments: list[str]) -> str:
    """The body with the arguments in their places."""
    parts = _PLACE.split(body)  # text, number of a place, text, ...
    for index in range(1, len(parts), 2):
        place = int(parts[index])
        parts[index] = arguments[place - 1] if place <= len(arguments) else ""
    return _joined(parts)


def _joined(parts: Sequence[str]) -> str:
    """One text, with a space where a command would run into a letter: to TeX they were apart."""
    pieces: list[str] = []
    for part in filter(None, parts):
        if pieces and part[0].isalpha() and _ENDS_IN_COMMAND.search(pieces[-1][-40:]):
            pieces.append(" ")
        pieces.append(part)
    return "".join(pieces)


def _arguments(macro: Macro, text: str, start: int, closing: Mapping[int, int]) -> tuple[list[str], int] | None:
    """The arguments of a use, and the place behind them; None where they are not there."""
    found: list[str] = []
    if macro.default is not None:
        given = _OPTION.match(text, start)
        found, start = ([given[1]], given.end()) if given else ([macro.default], start)
    while len(found) < macro.num_args:
        taken = argument(text, start, closing)
        if taken is None:
            return None
        found.append(taken[0])
        start = taken[1]
    return found, start
