"""What a searcher knows: no more than what its tools have shown it."""

from collections.abc import Mapping, Sequence

from synth.search.library import Library
from synth.search.task import TITLE, Fact, Page, Query, Span
from synth.search.tools import Result, line_of

MIN_LABELLED = 3  # values with labels that are a list


def reading(query: Query) -> Query:
    """The query as the question tells it: without what is true of the hidden instance."""
    return query._replace(clues=tuple(clue._replace(value="", spans=()) for clue in query.clues))


class Knowledge:
    """Facts whose characters were shown, titles that were listed, and which lines of which pages were read."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._facts: dict[tuple[str, str], list[Fact]] = {}
        self._linking: dict[tuple[str, str], list[str]] = {}
        self._seen: dict[str, list[tuple[int, int]]] = {}
        self._num_labelled: dict[str, int] = {}  # values of a page that stand beside their labels

    @property
    def pages(self) -> Mapping[str, Page]:
        return self._library.pages

    def learn(self, result: Result) -> None:
        for span in result.shown:
            self._seen[span.page] = _joined([*self._seen.get(span.page, ()), (span.start, span.start + span.length)])
            for fact in self._library.stated(span.page):
                known = self._facts.setdefault((fact.subject, fact.relation), [])
                if fact not in known and self._has_seen(fact.span):
                    known.append(fact)
                    if fact.how == "infobox" and fact.subject == span.page:
                        self._num_labelled[span.page] = self._num_labelled.get(span.page, 0) + 1
                    if fact.is_page:
                        self._linking.setdefault((fact.relation, fact.object), []).append(fact.subject)

    def facts(self, page: str, relation: str) -> Sequence[Fact]:
        return self._facts.get((page, relation), ())

    def values(self, page: str, relation: str) -> list[str]:
        """Values of a relation, as written. A title is known of every page that there is talk of."""
        if relation == TITLE:
            return [self.pages[page].title]
        return [fact.object for fact in self.facts(page, relation) if not fact.is_page]

    def linked(self, page: str, relation: str) -> list[str]:
        """Pages that a page is known to have a relation to."""
        return list(dict.fromkeys(fact.object for fact in self.facts(page, relation) if fact.is_page))

    def linking(self, relation: str, page: str) -> list[str]:
        """Pages known to have a relation to a page."""
        return list(dict.fromkeys(self._linking.get((relation, page), ())))

    def is_many(self, relation: str) -> bool:
        """Whether pages have the relation to several values: a matter of grammar, not of what is true here."""
        return self._library.world.is_many(relation)

    def is_told(self, page: str, relation: str) -> bool:
        """Whether anything is known of the relation."""
        return relation == TITLE or bool(self.facts(page, relation))

    def unread_line(self, page: str) -> int | None:
        """The first line of a page that was not shown, None after the last."""
        text, end = self.pages[page].text, 0
        for begin, stop in self._seen.get(page, ()):
            if begin > end + 1:
                break
            end = max(end, stop)
        return None if end + 1 >= len(text) else line_of(text, end + 1 if end else 0)

    def has_labels(self, page: str) -> bool:
        """Whether a list of labelled values of the page was shown, so that what is not in it is probably nowhere."""
        return self._num_labelled.get(page, 0) >= MIN_LABELLED

    def goes_on(self, page: str, relation: str) -> bool:
        """Whether the last thing that was read in a row has to do with the relation, so that more of it may follow."""
        last = max((sum(fact.span[1:]) for fact in self.facts(page, relation) if fact.span.page == page), default=-1)
        text = self.pages[page].text
        return any(
            begin <= last <= stop and text.count("\n", last, stop) <= 1 for begin, stop in self._seen.get(page, ())
        )

    def _has_seen(self, span: Span) -> bool:
        end = span.start + span.length
        return any(begin <= span.start and end <= stop for begin, stop in self._seen.get(span.page, ()))


def _joined(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted parts, those that touch or are a line break apart as one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(parts):
        if found and begin <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found
