"""Facts in the documentation of functions and classes: what they do, return, raise, and what their parameters mean.

Parameters are read in the three usual styles: reStructuredText fields, Google sections and numpydoc sections. Private names (with a
leading underscore) are left out.
"""

import re
from collections.abc import Iterator

from synth.docstrings import Docstring
from synth.evidence import Fact, FactKind
from synth.prose import Span, sentences

MIN_CHARS = 15
MAX_CHARS = 400

_TO_BLOCK_END = r"(?P<text>\S.*?)(?=\n\s*\n|\n[ \t]*:(?!(?:\w+:)+`)|\n[ \t]*\.\.|\Z)"
_FIELDS: tuple[tuple[FactKind, str], ...] = (
    ("parameter", r"(?:param|parameter|arg)(?: [^:\n]+)? \*{0,2}(?P<name>\w+)"),
    ("returns", r"returns?"),
    ("raises", r"raises? (?P<name>[\w.]+)"),
)
_FIELD_PATTERNS = [(kind, re.compile(rf"^[ \t]*:{name}:[ \t]+{_TO_BLOCK_END}", re.M | re.S)) for kind, name in _FIELDS]
_EXCEPTION = r"`{0,2}(?P<name>[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt|Iteration))`{0,2}"
_RAISES_IF = re.compile(rf"\b[Rr]aises? (?:an? )?{_EXCEPTION}(?: exception)? (?P<text>(?:if|when)\s.+)", re.S)
_SECTION = re.compile(
    r"^(?P<indent>[ \t]*)(?P<title>Args|Arguments|Parameters|Returns?|Yields|Raises)(?::[ \t]*\n|[ \t]*\n[ \t]*-{3,}[ \t]*\n)",
    re.M,
)
_SECTION_END = re.compile(r"\n[ \t]*\n(?=[ \t]*[A-Z][\w ]*(?::[ \t]*\n|\n[ \t]*-{3,}))")
_GOOGLE_ENTRY = re.compile(
    r"^(?P<indent>[ \t]+)\*{0,2}(?P<name>\w+)(?: ?\([^)\n]*\))?:[ \t]+(?P<text>\S[^\n]*(?:\n(?P=indent)[ \t]+\S[^\n]*)*)",
    re.M,
)
_NUMPY_ENTRY = re.compile(
    r"^(?P<indent>[ \t]*)\*{0,2}(?P<name>\w+)(?: ?:[^\n]*)?\n(?P=indent)[ \t]+(?P<text>\S[^\n]*(?:\n(?P=indent)[ \t]+\S[^\n]*)*)",
    re.M,
)
_RETURN = re.compile(r"Returns?\s+(?P<text>(?:an?|the|all|each|whether|[Tt]rue|None|how|number|list|if|any)\b.+)", re.S)
# The sentence does, on a line with an indentation that no style has.
_GOES_ON = re.compile(r"\n[ \t]*(?!\w+(?: ?\([^)\n]*\))? ?:)[a-z(]")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def api_facts(text: str, docstring: Docstring) -> Iterator[Fact]:
    """What one docstring states about its function or class."""
    if not docstring.name or docstring.name.startswith("_") or "._" in docstring.name:
        return
    yield from _summary(text, docstring)
    begin, end = docstring.region
    for kind, pattern in _FIELD_PATTERNS:
        for match in pattern.finditer(text, begin, end):
            yield from _entry(text, docstring, kind, match)
    for section in _SECTION.finditer(text, begin, end):
        stop = _SECTION_END.search(text, section.end(), end)
        yield from _section(text, docstring, section, (section.end(), stop.start() if stop else end))


def _summary(text: str, docstring: Docstring) -> Iterator[Fact]:
    """The first sentence: what it returns, when it raises, or what it does."""
    begin, end = docstring.region
    while begin < end and text[begin].isspace():
        begin += 1
    blank = _BLANK_LINE.search(text, begin, end)
    paragraph = (begin, blank.start() if blank else end)
    for index, (start, stop) in enumerate(sentences(text, paragraph)):
        raises = _RAISES_IF.search(text, start, stop)
        returns = _RETURN.match(text, start, stop)
        if raises:
            yield from _entry(text, docstring, "raises", raises, (start, stop))
        elif returns and index == 0:
            yield from _entry(text, docstring, "returns", returns, (start, stop))
        elif index == 0:
            yield from _fact(docstring, "summary", "", (start, stop), (start, stop))


def _section(text: str, docstring: Docstring, section: re.Match[str], body: Span) -> Iterator[Fact]:
    """Entries of a Google section ("x (int): text") or a numpydoc section ("x : int", then text further in)."""
    numpydoc = "-" in section.group()
    if section["title"][:6] in ("Return", "Yields"):
        if numpydoc and (match := _NUMPY_ENTRY.match(text, *body)):
            yield from _entry(text, docstring, "returns", match)
        return
    kind: FactKind = "raises" if section["title"] == "Raises" else "parameter"
    for match in (_NUMPY_ENTRY if numpydoc else _GOOGLE_ENTRY).finditer(text, *body):
        if len(match["indent"]) <= len(section["indent"]) + (0 if numpydoc else 8):
            yield from _entry(text, docstring, kind, match)


def _entry(
    text: str, docstring: Docstring, kind: FactKind, match: re.Match[str], evidence: Span | None = None
) -> Iterator[Fact]:
    """A fact from the first sentence of the group `text` of `match`, or all of it when no sentence ends there."""
    begin, end = match.span("text")
    while end > begin and text[end - 1].isspace():
        end -= 1
    first = next(sentences(text, (begin, end)), None)
    if first is None and _GOES_ON.match(text, end):
        return
    first = first or (begin, end)
    name = match.groupdict().get("name") or ""
    whole = evidence or (match.start() + len(match.group()) - len(match.group().lstrip()), first[1])
    yield from _fact(docstring, kind, name, first, whole)


def _fact(docstring: Docstring, kind: FactKind, detail: str, span: Span, evidence: Span) -> Iterator[Fact]:
    if MIN_CHARS <= span[1] - span[0] <= MAX_CHARS:
        start, length = span[0], span[1] - span[0]
        yield Fact(start, length, kind, docstring.call, detail, evidence[0], evidence[1] - evidence[0])
