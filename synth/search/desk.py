"""What a scripted searcher does with its tools, and what it notes down: the moves of `synth.search.policy`, one by one.

Each step is a generator: it yields the move and is sent the results. What was noted since the last move, pages that were ruled out among
it, becomes the beginning of the next thought.
"""

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from synth.render import Call
from synth.search import phrases
from synth.search.agent import Move
from synth.search.knowledge import Knowledge
from synth.search.library import UNLABELLED, Library
from synth.search.mine import LINKS_TO
from synth.search.tools import Result, line_of
from synth.search.voice import Voice

T = TypeVar("T")
Doing = Generator[Move, Sequence[Result], T]

MAX_WINDOWS = 3  # of a page that are read in order
MAX_FINDS = 3  # at once
MAX_NAMED = 4  # pages in one sentence


class GivenUp(Exception):
    """The searcher has no more calls."""


class Desk:
    def __init__(self, library: Library, say: Voice, *, max_calls: int) -> None:
        self.known, self.say = Knowledge(library), say
        self.calls_left = max_calls
        self.opened: set[str] = set()
        self.searched: set[tuple[str, int]] = set()  # (query, start)
        self._notes: list[str] = []
        self._out: list[tuple[str, str]] = []  # (title, why not)

    def title(self, page: str) -> str:
        return self.known.pages[page].title

    def note(self, what: str, **values: Any) -> None:
        self._flush()
        self._notes.append(self.say(what, **values))

    def rule_out(self, page: str, reason: str) -> None:
        self._out.append((self.title(page), reason))

    def thought(self, said: str) -> str:
        """All notes since the last thought, and what is said now."""
        self._flush()
        notes, self._notes = self._notes, []
        return " ".join([*notes, said])

    def search(self, query: str, said: str, start: int = 1) -> Doing[list[str]]:
        """Ids of the pages that a search lists."""
        self.searched.add((query, start))
        arguments: dict[str, Any] = {"query": query}
        results = yield from self._do(said, [Call("search", arguments | ({"start": start} if start > 1 else {}))])
        found = [page for result in results for page in result.listed]
        if found:
            many = "one result" if len(found) == 1 else f"{len(found)} results"
            self.note("results", results=many, page=self.title(found[0]))
        else:
            self.note("nothing")
        return found

    def open(self, page: str, what: str, line: int = 1, **values: Any) -> Doing[None]:
        self.opened.add(page)
        said = self.say(what, page=self.title(page), line=line, **values)
        arguments: dict[str, Any] = {"page": self.known.pages[page].url}
        yield from self._do(said, [Call("open", arguments | ({"line": line} if line > 1 else {}))])

    def find(self, page: str, patterns: Sequence[str], what: str = "find", **values: Any) -> Doing[Sequence[Result]]:
        calls = [Call("find", {"pattern": pattern, "page": self.known.pages[page].url}) for pattern in patterns]
        quoted = phrases.listed([f"“{pattern}”" for pattern in patterns])
        return (yield from self._do(self.say(what, patterns=quoted, page=self.title(page), **values), calls))

    def look(self, page: str, relations: Sequence[str], why: str = "open_hit", via: str = "") -> Doing[None]:
        """Read `page` until it has told all of `relations`, or has been read as far as is sensible.

        Its beginning comes first. A relation that has a label is then found by it, unless a list of such labels was there without it; for
        links that have none it is read on. `via`: the link that led here.
        """

        def missing() -> list[str]:
            return [relation for relation in relations if not self.known.is_told(page, relation)]

        if missing() and page not in self.opened:
            yield from self.open(page, why, relation=via)
        labels = [relation for relation in missing() if relation not in UNLABELLED]
        if labels and self.known.unread_line(page) is not None and not self.known.has_labels(page):
            results = yield from self.find(page, labels[:MAX_FINDS])
            text = self.known.pages[page].text
            heads = [span.start for result in results for span in result.shown if text[span.start] in "#|"]
            if heads and missing():
                yield from self.open(page, "open_there", line_of(text, heads[0]))
        for _ in range(MAX_WINDOWS - 1):
            line = self.known.unread_line(page)
            if line is None or LINKS_TO not in missing():
                break
            yield from self.open(page, "read_on", line)

    def look_through(self, page: str, relation: str) -> Doing[list[str]]:
        """Open `page` and read what it has `relation` to, to the end of that list where it is not too long; the pages there."""
        if page not in self.opened:
            yield from self.open(page, "open_found")
        yield from self.look(page, [relation])
        for _ in range(MAX_WINDOWS - 1):
            line = self.known.unread_line(page)
            if line is None or not self.known.goes_on(page, relation):
                break
            yield from self.open(page, "read_on", line)
        return self.known.linked(page, relation)

    def _do(self, said: str, calls: Sequence[Call]) -> Doing[Sequence[Result]]:
        if len(calls) > self.calls_left:
            raise GivenUp
        self.calls_left -= len(calls)
        results = yield Move(self.thought(said), tuple(calls))
        for result in results:
            self.known.learn(result)
        return results

    def _flush(self) -> None:
        """Turn the pages that were ruled out since the last note into one, by reason."""
        by_reason: dict[str, list[str]] = {}
        for title, reason in self._out:
            by_reason.setdefault(reason, []).append(title)
        self._out = []
        if len(by_reason) == 1:
            [(reason, titles)] = by_reason.items()
            what = "differ_alike" if len(titles) > 1 else "differs"
            self._notes.append(self.say(what, page=titles[0], pages=_some(titles), reason=reason))
        elif by_reason:
            out = [f"{_some(titles)} ({reason})" for reason, titles in by_reason.items()]
            self._notes.append(self.say("differ", count=sum(map(len, by_reason.values())), pages=_some(out)))


def _some(names: Sequence[str]) -> str:
    """Names as a list; of many the first."""
    if len(names) <= MAX_NAMED + 1:
        return phrases.listed(names)
    return phrases.listed([*names[:MAX_NAMED], f"{len(names) - MAX_NAMED} more"])
