"""What the tools of a search agent show of pages: `open` and `find` are done again, results are ranked again and looked up."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from synth.checker.facts import Library, Page, address
from synth.checker.ranking import Ranking

MAX_LINES, MAX_CHARS, LINE_CHARS, MAX_FOUND, MAX_HITS = 30, 3_000, 500, 8, 8  # as the tools' descriptions in a row say


class Shown(NamedTuple):
    pages: frozenset[str]  # of which something is shown
    wrong: tuple[str, ...] = ()


def shown_by(
    name: str, given: Mapping[str, Any], response: str, library: Library, ranking: Ranking, hidden: Collection[str] = ()
) -> Shown:
    """What a call shows, and how that differs from what it should. `hidden`: pages that no tool shows."""
    if name == "search":
        return _results(given, response, library, ranking, hidden)
    page = library.pages.get(given["page"].strip()) or library.pages.get(library.find(given["page"].strip()) or "")
    if page is None:
        wrong = () if response.startswith("There is no page “") else (f"{given['page']!r} is no page, and is shown",)
        return Shown(frozenset(), wrong)
    expected = _opened(page, given.get("line", 1)) if name == "open" else _found(page, given["pattern"])
    if expected is None:
        return Shown(
            frozenset(), () if response.startswith(_REFUSALS) else (f"{name} of {page.url} shows {response[:60]!r}",)
        )
    if response != expected:
        return Shown(frozenset(), (f"{name} of {page.url} shows {response[:60]!r}, not {expected[:60]!r}",))
    return Shown(frozenset({page.id}))


_REFUSALS = ("The page has lines 1 to ", "The pattern is empty", "“", "There is no page “")


def folded(text: str) -> list[tuple[int, str]]:
    """(place, line) of what a page is shown in: a line of over 500 characters is several, cut behind a space of its later half."""
    lines, at = [], 0
    for line in text.split("\n"):
        while len(line) > LINE_CHARS:
            space = line[:LINE_CHARS].rfind(" ", LINE_CHARS // 2)
            cut = space + 1 if space >= 0 else LINE_CHARS
            lines.append((at, line[:cut]))
            at, line = at + cut, line[cut:]
        lines.append((at, line))
        at += len(line) + 1
    return lines


def _opened(page: Page, first: int) -> str | None:
    lines = folded(page.text)
    if not 1 <= first <= len(lines):
        return None
    window, chars = [], 0
    for number, (_, line) in enumerate(lines[first - 1 : first - 1 + MAX_LINES], start=first):
        chars += len(line)
        if chars > MAX_CHARS:
            break
        window.append(f"{number}: {line}")
    head = f"{page.title}\n{page.url}\nLines {first} to {first + len(window) - 1} of {len(lines)}"
    return head + "\n\n" + "\n".join(window)


def _found(page: Page, pattern: str) -> str | None:
    if not pattern.strip():
        return None
    lines = folded(page.text)
    ends = [place for place, _ in lines[1:]] + [len(page.text) + 1]
    numbers: list[int] = []
    line = 0
    for match in re.finditer(re.escape(pattern), page.text, re.I):
        while match.start() >= ends[line]:
            line += 1
        if not numbers or numbers[-1] != line + 1:
            numbers.append(line + 1)
    if not numbers:
        return None
    head = f"The first {MAX_FOUND} lines with" if len(numbers) > MAX_FOUND else "Lines with"
    shown = [f"{number}: {lines[number - 1][1]}" for number in numbers[:MAX_FOUND]]
    return "\n".join([f"{head} “{pattern}” in {page.title}, of {len(lines)} lines:", *shown])


def _results(
    given: Mapping[str, Any], response: str, library: Library, ranking: Ranking, hidden: Collection[str]
) -> Shown:
    """Numbered from `start`, the pages that rank there, each with a passage of it."""
    query, start = given["query"], given.get("start", 1)
    if response.startswith(("The query ", "Results begin with")):
        return Shown(frozenset())
    if response.startswith(("No page has any of", "No page is left")):
        return Shown(frozenset(), tuple(filter(None, [ranking.misplaced(query, (), start, MAX_HITS, hidden)])))
    head, *parts = response.split("\n\n")
    wrong: list[str] = []
    if head != f"Results {start} to {start + len(parts) - 1}:" or len(parts) > MAX_HITS:
        wrong.append(f"a search shows {head[:60]!r} of {len(parts)} results")
    pages = []
    for number, part in enumerate(parts, start=start):
        title, _, rest = part.partition("\n")
        url, _, passage = rest.partition("\n")
        page = library.pages.get(library.find(url) or "") if address(url) else None
        if page is None or page.url != url or title != f"{number}. {page.title}":
            wrong.append(f"result {number} is no page: {part[:60]!r}")
            continue
        pages.append(page.id)
        words = passage.removeprefix("… ").removesuffix(" …")
        if words not in " ".join(page.text.split()):
            wrong.append(f"result {number} shows {words[:60]!r}, which does not stand on {page.url}")
    if len(set(pages)) != len(pages):
        wrong.append("a search shows a page twice")
    wrong += filter(None, [ranking.misplaced(query, pages, start, MAX_HITS, hidden)])
    return Shown(frozenset(pages), tuple(wrong))
