"""A closed world of pages and what they state, and the answers that a query has in it.

Evaluation is a semi-join: the pages that each variable may be are cut down along the clues until nothing changes, which is exact for
queries without cycles (Yannakakis 1981); for one with a cycle each candidate left is tried by backtracking. Two variables may be the
same page, so that the answers counted are never fewer than those of a reader who takes "another page" at its word.

1,000 pages with 14,000 facts take 0.6 CPU seconds; 500 questions with all their queries (`synth.search.pose`) take 6.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from synth.evidence import normalised
from synth.search.generalise import holds, words_of
from synth.search.mine import mine
from synth.search.pages import address, by_address
from synth.search.sentences import stated
from synth.search.task import TITLE, Condition, Fact, Page, Query, Span

MAX_STEPS = 10_000  # of backtracking per candidate; one that takes more counts as an answer
_NONE: frozenset[str] = frozenset()


class World:
    """Pages and facts, with the indexes that queries need. Nothing in it depends on the order of its input."""

    def __init__(
        self, pages: Iterable[Page], more: Iterable[Fact] = (), *, mined: Iterable[Fact] | None = None
    ) -> None:
        """`more`: facts of an extractor or a reader, beside those that are mined here; `mined`: these, where they are known already."""
        self.pages: Mapping[str, Page] = {page.id: page for page in sorted(pages)}
        self._addresses = by_address(self.pages.values())
        self._titles = _unique_titles(self.pages.values())
        known = self._mined() if mined is None else mined
        unique = {fact[:3]: fact for fact in sorted((*known, *more), reverse=True) if fact.subject in self.pages}
        self.facts: Sequence[Fact] = tuple(sorted(unique.values()))
        self._facts: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        self._about: dict[str, list[Fact]] = defaultdict(list)
        self._naming: dict[str, list[Fact]] = defaultdict(list)
        self._targets: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._sources: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for fact in self.facts:
            self._facts[fact.subject, fact.relation].append(fact)
            self._about[fact.subject].append(fact)
            if fact.is_page:
                self._naming[fact.object].append(fact)
                self._targets[fact.relation][fact.subject].add(fact.object)
                self._sources[fact.relation][fact.object].add(fact.subject)
            else:
                self._values[fact.relation][fact.subject].append(fact.object)
        for page in self.pages.values():
            self._values[TITLE][page.id].append(page.title)
        self._met: dict[tuple[str, Condition], frozenset[str]] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._words: dict[str, Counter[str]] = {}
        self._many: dict[str, bool] = {}
        self._identifying: dict[str, bool] = {}
        self._compared: dict[str, dict[str, frozenset[str]]] = {}
        self._num_subjects: dict[str, int] = {}
        self.title_spans: dict[str, Span | None] = {}  # by page, as `synth.search.sample` finds them

    def _mined(self) -> list[Fact]:
        mined = [fact for page in self.pages.values() for fact in mine(page, self.find)]
        shown = {(fact.subject, fact.relation) for fact in mined}  # and needs no sentence to say it again
        said = [fact for page in self.pages.values() for fact in stated(page, self.named) if fact[:2] not in shown]
        return mined + said

    def with_facts(self, more: Iterable[Fact]) -> "World":
        """The same world with more facts."""
        return World(self.pages.values(), more, mined=self.facts)

    def find(self, url: str) -> str | None:
        """The id of the page at a URL."""
        return self._addresses.get(address(url))

    def named(self, title: str) -> str | None:
        """The id of the only page with a title."""
        return self._titles.get(title)

    def facts_about(self, page: str) -> Sequence[Fact]:
        return self._about.get(page, ())

    def facts_naming(self, page: str) -> Sequence[Fact]:
        """Those whose object is the page."""
        return self._naming.get(page, ())

    def facts_of(self, subject: str, relation: str) -> Sequence[Fact]:
        return self._facts.get((subject, relation), ())

    def objects(self, subject: str, relation: str) -> list[str]:
        """Values, and ids of pages, sorted."""
        titles = [self.pages[subject].title] if relation == TITLE and subject in self.pages else []
        return sorted({*titles, *(fact.object for fact in self.facts_of(subject, relation))})

    def subjects(self, relation: str, object: str) -> list[str]:
        """Ids of the pages that have `relation` to a value (compared as `normalised`) or to a page, sorted."""
        linked = self._sources.get(relation, {}).get(object, _NONE)
        return sorted({*linked, *self.meeting(relation, Condition("equals", (object,)))})

    def meeting(self, relation: str, condition: Condition) -> frozenset[str]:
        """The pages with a value of `relation` that meets the condition."""
        key = relation, condition
        if key not in self._met:
            values = self._values.get(relation, {})
            self._met[key] = frozenset(
                page for page, given in values.items() if any(holds(condition, value) for value in given)
            )
        return self._met[key]

    def num_subjects(self, relation: str) -> int:
        """How many pages have the relation to something."""
        if relation not in self._num_subjects:
            self._num_subjects[relation] = len({*self._values.get(relation, ()), *self._targets.get(relation, ())})
        return self._num_subjects[relation]

    def names_pages(self, relation: str) -> bool:
        """Whether some page has the relation to a page. What its values say is not all there is then: "imports os" may be a link."""
        return bool(self._targets.get(relation))

    def is_many(self, relation: str) -> bool:
        """Whether more than one page in twenty that has the relation has it to several objects."""
        if relation not in self._many:
            num_objects: Counter[str] = Counter(fact.subject for fact in self.facts if fact.relation == relation)
            self._many[relation] = 20 * sum(count > 1 for count in num_objects.values()) > len(num_objects)
        return self._many[relation]

    def identifies(self, relation: str) -> bool:
        """Whether a value is as good as a name: pages have one, and nine in ten a value that no other has."""
        if relation not in self._identifying:
            counts = self.value_counts(relation)
            num_own = sum(count == 1 for count in counts.values())
            self._identifying[relation] = not self.is_many(relation) and 10 * num_own >= 9 * counts.total()
        return self._identifying[relation]

    def value_counts(self, relation: str) -> Counter[str]:
        """How many pages have each value of a relation, the values normalised."""
        if relation not in self._counts:
            values = self._values.get(relation, {}).values()
            self._counts[relation] = Counter(value for given in values for value in {normalised(one) for one in given})
        return self._counts[relation]

    def word_counts(self, relation: str) -> Counter[str]:
        """In how many values of a relation each word occurs."""
        if relation not in self._words:
            values = self._values.get(relation, {}).values()
            self._words[relation] = Counter(word for given in values for one in given for word in set(words_of(one)))
        return self._words[relation]

    def answers(self, query: Query) -> set[str]:
        """The answers of a query, normalised."""
        asked = query.asked or TITLE
        if asked not in self._compared:
            given = self._values.get(asked, {})
            self._compared[asked] = {page: frozenset(map(normalised, values)) for page, values in given.items()}
        values = self._compared[asked]
        return {value for page in self.targets(query) if page in values for value in values[page]}

    def answers_at(self, query: Query, page: str) -> list[str]:
        """What is asked of the target, if it is this page: values as written."""
        return self._values.get(query.asked or TITLE, {}).get(page, [])

    def targets(self, query: Query) -> frozenset[str]:
        """The pages that the target may be."""
        domains = self._domains(query)
        if domains is None:
            return _NONE
        found = frozenset(domains[query.target])
        if _is_tree(query):
            return found
        return frozenset(page for page in found if self._has_binding(query, domains, page))

    def bindings(self, query: Query, limit: int) -> list[tuple[str, ...]]:
        """At most `limit` instances of a query, in order: a page per variable. Variables may stand for the same page."""
        domains = self._domains(query)
        return (
            []
            if domains is None
            else list(itertools.islice(self._search(query, domains, {}, itertools.count()), limit))
        )

    def _has_binding(self, query: Query, domains: list[set[str]], page: str) -> bool:
        if page not in self._options(query, domains, {}, query.target):
            return False
        steps = itertools.count()
        found = next(self._search(query, domains, {query.target: page}, steps), None)
        return found is not None or next(steps) > MAX_STEPS

    def _domains(self, query: Query) -> list[set[str]] | None:
        """Which pages each variable may be, cut down along the clues; None when one of them can be none."""
        domains: list[set[str] | None] = [None] * query.num_variables
        for clue in query.clues:
            if isinstance(clue.object, Condition):
                met = self.meeting(clue.relation, clue.object)
                known = domains[clue.subject]
                domains[clue.subject] = set(met) if known is None else known & met
        links = [(clue.subject, clue.relation, clue.object) for clue in query.clues if isinstance(clue.object, int)]
        changed = True
        while changed:
            changed = False
            for subject, relation, object in links:
                for here, there, reach, ends in (
                    (subject, object, self._sources[relation], self._targets[relation]),
                    (object, subject, self._targets[relation], self._sources[relation]),
                ):
                    kept = _reached(domains[here], domains[there], reach, ends)
                    changed |= kept != domains[here]
                    domains[here] = kept
        cut = [set(self.pages) if domain is None else domain for domain in domains]
        return cut if all(cut) else None

    def _search(
        self, query: Query, domains: list[set[str]], chosen: Mapping[int, str], steps: Iterator[int]
    ) -> Iterator[tuple[str, ...]]:
        """Instances that extend `chosen`, until so many steps were made."""
        free = [variable for variable in range(query.num_variables) if variable not in chosen]
        if not free:
            yield tuple(chosen[variable] for variable in range(query.num_variables))
            return
        options = {variable: self._options(query, domains, chosen, variable) for variable in free}
        variable = min(free, key=lambda variable: (len(options[variable]), variable))
        for page in sorted(options[variable]):
            if next(steps) > MAX_STEPS:
                return
            yield from self._search(query, domains, {**chosen, variable: page}, steps)

    def _options(self, query: Query, domains: list[set[str]], chosen: Mapping[int, str], variable: int) -> set[str]:
        left = domains[variable]
        for clue in query.clues:
            if clue.subject == variable == clue.object:
                left = {page for page in left if page in self._targets[clue.relation].get(page, ())}
            elif clue.subject == variable and isinstance(clue.object, int) and clue.object in chosen:
                left = left & self._sources[clue.relation].get(chosen[clue.object], set())
            elif clue.object == variable and clue.subject in chosen:
                left = left & self._targets[clue.relation].get(chosen[clue.subject], set())
        return left


def _unique_titles(pages: Iterable[Page]) -> dict[str, str]:
    ids: dict[str, list[str]] = defaultdict(list)
    for page in pages:
        ids[page.title].append(page.id)
    return {title: found[0] for title, found in ids.items() if len(found) == 1}


def _reached(
    here: set[str] | None, there: set[str] | None, reach: Mapping[str, set[str]], ends: Mapping[str, set[str]]
) -> set[str]:
    """The pages of `here` from which one of `there` is reached; None stands for all pages. `ends`: `reach`, turned round."""
    found = set(ends) if there is None else set().union(*(reach[page] for page in there if page in reach))
    return found if here is None else here & found


def _is_tree(query: Query) -> bool:
    """Whether no cycle of links is among the clues; two links between the same variables are one."""
    groups = list(range(query.num_variables))
    for clue in query.clues:
        if isinstance(clue.object, int):
            one, other = groups[clue.subject], groups[clue.object]
            if one == other:
                return False
            groups = [one if group == other else group for group in groups]
    return True
