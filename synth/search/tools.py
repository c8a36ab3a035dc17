"""The tools of a search agent: `search`, `open` and `find`, as functions of an engine and their arguments.

A result is text that an agent reads, and beside it, for those that check what could be read, the spans of pages that it shows. Pages are
shown line by line, with numbers, in windows; a long line counts as several. What is in `forbidden` is never shown: a page that holds one of
these texts, such as the question itself, is as if it did not exist (DeepDive's guard, arXiv 2509.10446). Whatever a caller does wrong with
right arguments (a page that is not there, a query without a word) is a result that says so; arguments that do not fit the schema are
`Malformed`. Names and arguments follow the browsing tools that GLM's models were trained with.
"""

import bisect
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from synth.evidence import fold
from synth.render import Call
from synth.search.engine import Engine, snippet
from synth.search.task import Page, Span

MAX_HITS = 8
MAX_START = 41  # of a search: nobody reads further
MAX_FOUND = 8  # lines that `find` shows
MAX_LINES = 30  # of a window
MAX_WINDOW_CHARS = 3_000
LINE_CHARS = 500  # longer lines are folded
MAX_QUERY_CHARS = 2_000

TOOLS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "search",
        "description": f"Search the pages by words. Returns at most {MAX_HITS} results: title, address, and the passage that fits best.",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "Words to look for; no operators."},
                "start": {
                    "type": "integer",
                    "description": "Number of the first result to show; 1, the best, if not given.",
                },
            },
            "required": ["query"],
            "additionalProperties": False,
        },
    },
    {
        "name": "open",
        "description": f"Open a page and read at most {MAX_LINES} numbered lines of it.",
        "parameters": {
            "type": "object",
            "properties": {
                "page": {"type": "string", "description": "Address of a page, as a result or a link has it."},
                "line": {"type": "integer", "description": "Line to begin with; 1, the first, if not given."},
            },
            "required": ["page"],
            "additionalProperties": False,
        },
    },
    {
        "name": "find",
        "description": f"Find a text in a page. Shows the first {MAX_FOUND} lines that have it, with their numbers; case does not count.",
        "parameters": {
            "type": "object",
            "properties": {
                "pattern": {"type": "string", "description": "The text to find, taken literally."},
                "page": {"type": "string", "description": "Address of the page."},
            },
            "required": ["pattern", "page"],
            "additionalProperties": False,
        },
    },
)


class Malformed(ValueError):
    """A call that names no tool, or whose arguments do not fit the tool's schema."""


class Result(NamedTuple):
    """What a call returns: the text, and what of which pages it shows."""

    text: str
    shown: tuple[Span, ...] = ()
    listed: tuple[str, ...] = ()  # ids of the pages that a search lists, best first
    is_error: bool = False


def call(engine: Engine, asked: Call, *, forbidden: Sequence[str] = ()) -> Result:
    """The result of one call. Malformed as above."""
    _check(asked)
    return _FUNCTIONS[asked.name](engine, **asked.arguments, forbidden=forbidden)


def search(engine: Engine, query: str, start: int = 1, *, forbidden: Sequence[str] = ()) -> Result:
    if not query.strip():
        return _error("The query is empty. Give some words to look for.")
    if len(query) > MAX_QUERY_CHARS:
        return _error(f"The query has {len(query)} characters, more than {MAX_QUERY_CHARS}. Give fewer words.")
    if not 1 <= start <= MAX_START:
        return _error(
            f"Results begin with number 1 and end with {MAX_START}; there is no start {start}. Try other words."
        )
    best = engine.ranked(query, start - 1 + 2 * MAX_HITS)
    pages = [page for page, _ in best if not _is_hidden(page, forbidden)][start - 1 : start - 1 + MAX_HITS]
    if not pages:
        said = "has any of the words of" if start == 1 else f"is left from number {start} on for"
        return _error(f"No page {said} “{fold(query)[:200]}”.")
    terms = engine.terms(query)
    passages = [snippet(page, terms) for page in pages]
    parts = [f"Results {start} to {start - 1 + len(pages)}:"]
    for number, (page, span) in enumerate(zip(pages, passages, strict=True), start):
        before, after = "… " * (span.start > 0), " …" * (_end(span) < len(page.text))
        parts.append(f"{number}. {page.title}\n{page.url}\n{before}{fold(_text(page, span))}{after}")
    return Result("\n\n".join(parts), tuple(passages), tuple(page.id for page in pages))


def open_page(engine: Engine, page: str, line: int = 1, *, forbidden: Sequence[str] = ()) -> Result:
    found = engine.page(page)
    if found is None or _is_hidden(found, forbidden):
        return _no_page(page)
    all_lines = lines(found.text)
    if not 1 <= line <= len(all_lines):
        return _error(f"The page has lines 1 to {len(all_lines)}, no line {line}.")
    last, chars = line - 1, 0
    for begin, end in all_lines[line - 1 : line - 1 + MAX_LINES]:
        chars += end - begin
        if chars > MAX_WINDOW_CHARS:
            break
        last += 1
    window = all_lines[line - 1 : last]
    head = f"{found.title}\n{found.url}\nLines {line} to {last} of {len(all_lines)}"
    body = "\n".join(f"{number}: {found.text[begin:end]}" for number, (begin, end) in enumerate(window, line))
    return Result(f"{head}\n\n{body}", (Span(found.id, window[0][0], window[-1][1] - window[0][0]),))


def find(engine: Engine, pattern: str, page: str, *, forbidden: Sequence[str] = ()) -> Result:
    found = engine.page(page)
    if found is None or _is_hidden(found, forbidden):
        return _no_page(page)
    if not pattern.strip():
        return _error("The pattern is empty. Give a text to find.")
    all_lines = lines(found.text)
    starts = [begin for begin, _ in all_lines]
    matches = re.finditer(re.escape(pattern), found.text, re.IGNORECASE)
    distinct = (
        number for number, _ in itertools.groupby(bisect.bisect_right(starts, match.start()) for match in matches)
    )
    numbers = list(itertools.islice(distinct, MAX_FOUND + 1))
    if not numbers:
        return _error(f"“{pattern}” does not occur in {found.title}.")
    many = f"The first {MAX_FOUND} lines with" if len(numbers) > MAX_FOUND else "Lines with"
    shown = [(number, *all_lines[number - 1]) for number in numbers[:MAX_FOUND]]
    body = "\n".join(f"{number}: {found.text[begin:end]}" for number, begin, end in shown)
    text = f"{many} “{pattern}” in {found.title}, of {len(all_lines)} lines:\n{body}"
    return Result(text, tuple(Span(found.id, begin, end - begin) for _, begin, end in shown))


def lines(text: str) -> list[tuple[int, int]]:
    """(start, end) of the lines that a page is shown in, at least one; those of over `LINE_CHARS` are folded, at a space if they can."""
    found = []
    begin = 0
    while begin <= len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        while end - begin > LINE_CHARS:
            at = text.rfind(" ", begin + LINE_CHARS // 2, begin + LINE_CHARS) + 1 or begin + LINE_CHARS
            found.append((begin, at))
            begin = at
        found.append((begin, end))
        begin = end + 1
    return found


def line_of(text: str, position: int) -> int:
    """The number of the line, counted from 1, that has the character at `position`."""
    return bisect.bisect_right([begin for begin, _ in lines(text)], position)


def _check(asked: Call) -> None:
    tool = next((tool for tool in TOOLS if tool["name"] == asked.name), None)
    if tool is None:
        raise Malformed(f"there is no tool {asked.name!r}: it is one of {', '.join(_FUNCTIONS)}")
    properties, required = tool["parameters"]["properties"], tool["parameters"]["required"]
    missing = [name for name in required if name not in asked.arguments]
    if missing:
        raise Malformed(f"{asked.name} lacks {', '.join(missing)}")
    for name, value in asked.arguments.items():
        if name not in properties:
            raise Malformed(f"{asked.name} has no argument {name!r}: it has {', '.join(properties)}")
        kind = properties[name]["type"]
        if not isinstance(value, {"string": str, "integer": int}[kind]) or isinstance(value, bool):
            raise Malformed(f"{name} of {asked.name} is of type {kind}, not {value!r:.100}")


def _is_hidden(page: Page, forbidden: Sequence[str]) -> bool:
    lower = page.text.casefold() if forbidden else ""
    hidden = [fold(one).casefold() for one in forbidden]
    near = [
        one for one in hidden if max(one.split(), key=len, default="") in lower
    ]  # folding a page costs ten times as much
    return bool(near) and any(one in fold(lower) for one in near)


def _text(page: Page, span: Span) -> str:
    return page.text[span.start : _end(span)]


def _end(span: Span) -> int:
    return span.start + span.length


def _no_page(name: str) -> Result:
    return _error(f"There is no page “{fold(name)[:200]}”. Open an address from a search result or a link.")


def _error(text: str) -> Result:
    return Result(text, is_error=True)


_FUNCTIONS: Mapping[str, Callable[..., Result]] = {"search": search, "open": open_page, "find": find}
