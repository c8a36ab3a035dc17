"""A searcher that follows a script, and really searches: it knows what the question asks for, not where it is.

It has the formal reading of the question (a `Query` whose clues have lost their true values and spans) and nothing else: it searches with
the words of the clues, opens what it finds, checks each clue against the facts that the text it was shown states, follows links in both
directions, steps back from dead ends, and answers when every clue is met by some choice of pages, no two of them the same. So whether it
gets to the answer says something about the question.

What it thinks is composed from what it just saw (`synth.search.voice`). It is stiffer than a person and reads better than one: facts are
mined from the shown text, not understood. Cost: 2 ms per call, most of it the tools'.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from synth.search import phrases
from synth.search.agent import Move
from synth.search.desk import Desk, Doing, GivenUp
from synth.search.generalise import holds
from synth.search.knowledge import reading
from synth.search.library import SAID, UNLABELLED, Library, query_words
from synth.search.task import TITLE, Clue, Condition, Query
from synth.search.voice import Voice

MAX_READ = 12  # candidates from one place; those that are out by what is known already do not count
MAX_BLIND = 3  # results of a search that are read though their passages show nothing of what was looked for
MANY_LINKS = 4  # from so many on a search comes first
STARTS = (1, 9, 17)  # results that a search may show first
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")

Value = tuple[str, Condition]  # a relation, and what is said of its value


class Searcher:
    """One attempt at one question; `moves` is the script."""

    def __init__(self, query: Query, library: Library, *, seed: int, name: str, max_calls: int) -> None:
        self._query = reading(query)
        self._say = Voice(seed, name)
        self._desk = Desk(library, self._say, max_calls=max_calls)
        self._known = self._desk.known
        self._near_misses = 0  # pages of the last search that met some clues and not all
        self.dead_ends = 0  # choices that were taken back

    def moves(self) -> Doing[None]:
        """The moves to the answer; they end without one when nothing is left to try."""
        try:
            self._plan()
            chosen = yield from self._assign({})
            if chosen is not None:
                yield from self._answer(chosen)
        except GivenUp:
            return

    def _assign(self, chosen: dict[int, str]) -> Doing[dict[int, str] | None]:
        """Choose a page for each variable that has none: all of them, or None when no choice satisfies the query."""
        if len(chosen) == self._query.num_variables:
            return chosen
        tried: dict[int, set[str]] = defaultdict(lambda: set(chosen.values()))
        for variable, candidates in self._attempts(chosen):
            num_read = 0
            for page in (yield from candidates):
                if page in tried[variable] or num_read == MAX_READ:
                    continue
                tried[variable].add(page)
                before = self._desk.calls_left
                fits = yield from self._fits(variable, page, chosen)
                num_read += self._desk.calls_left < before
                if fits:
                    found = yield from self._assign(chosen | {variable: page})
                    if found is not None:
                        return found
                    self.dead_ends += 1
                    self._desk.note("dead_end", page=self._desk.title(page), wanted=self._called(variable))
        return None

    def _attempts(self, chosen: Mapping[int, str]) -> Iterator[tuple[int, Doing[list[str]]]]:
        """Variables with ways to candidates: of the one to look for next, at the beginning of all of them in turn."""
        order = self._order(chosen)
        sources = [
            [(variable, way) for way in self._sources(variable, chosen)] for variable in order[: 1 if chosen else None]
        ]
        for ways in itertools.zip_longest(*sources):
            yield from filter(None, ways)

    def _order(self, chosen: Mapping[int, str]) -> list[int]:
        """The variables to look for: those linked to one that is found, the best described first."""
        free = [variable for variable in range(self._query.num_variables) if variable not in chosen]
        near = [variable for variable in free if self._links(variable, chosen)]
        return sorted(near or free, key=lambda variable: (-self._num_words(variable), variable))

    def _links(self, variable: int, chosen: Mapping[int, str]) -> list[Clue]:
        """Clues that link a variable to one that is chosen."""
        clues = [clue for clue in self._query.clues if isinstance(clue.object, int)]
        return [
            clue
            for clue in clues
            if (clue.subject == variable and clue.object in chosen)
            or (clue.object == variable and clue.subject in chosen)
        ]

    def _values(self, variable: int) -> list[Value]:
        """What is said of a variable alone."""
        clues = [clue for clue in self._query.clues if clue.subject == variable]
        return [(clue.relation, clue.object) for clue in clues if isinstance(clue.object, Condition)]

    def _num_words(self, variable: int) -> int:
        """How much a search for the variable has to go by: words that a fitting page has on it count most."""
        values = self._values(variable)
        return 4 * sum(len(condition.args) for _, condition in values if condition.how in SAID) + len(values)

    # Where candidates come from

    def _sources(self, variable: int, chosen: Mapping[int, str]) -> list[Doing[list[str]]]:
        """Ways to candidates, in the order in which they are tried."""
        links = self._links(variable, chosen)
        to = [self._linked(clue, variable, chosen) for clue in links if clue.object == variable]
        if to:
            return to  # what is linked is listed where the link is
        since = [clue for clue in links if clue.subject == variable]
        sources = [self._referring(clue, variable, chosen, start) for start in STARTS for clue in since]
        queries = self._queries(variable)
        if since and not any(condition.how in SAID for _, condition in self._values(variable)):
            queries = []  # the names of relations alone lead to nobody in particular
        return [*sources, *(self._hits(query, start, variable) for query in queries for start in STARTS)]

    def _queries(self, variable: int) -> list[str]:
        """What to search for: words that a fitting page has on it, with and without the names of their relations; then all and each."""
        values = self._values(variable)
        said = [(relation, condition) for relation, condition in values if condition.how in SAID]
        queries = [
            " ".join(query_words(*value) for value in said),
            " ".join(" ".join(condition.args) for _, condition in said),
            " ".join(query_words(*value) for value in values),
            *(query_words(*value) for value in values),
        ]
        return [query for query in (" ".join(query.split()) for query in dict.fromkeys(queries)) if query]

    def _promising(self, found: Sequence[str], variable: int) -> list[str]:
        """Results by how much of what is said of the variable their passages show; of those that show nothing only the first few."""
        values = self._values(variable)
        shown = {page: sum(self._meets(page, value) for value in values) for page in found}
        blind = [page for page in found if not shown[page]][:MAX_BLIND]
        return [*sorted((page for page in found if shown[page]), key=lambda page: -shown[page]), *blind]

    def _hits(self, query: str, start: int, variable: int) -> Doing[list[str]]:
        """What a search finds from number `start` on; more than the first are looked at where those before were near misses."""
        if (query, start) in self._desk.searched or (start > 1 and not self._near_misses):
            return []
        self._near_misses = 0
        again = "search_on" if start > 1 else "search_again" if self._desk.searched else "search"
        found = yield from self._desk.search(query, self._say(again, query=query, start=start), start)
        return self._promising(found, variable)

    def _linked(self, clue: Clue, variable: int, chosen: Mapping[int, str]) -> Doing[list[str]]:
        """Pages that a chosen one has the clue's relation to; where they are many, those first that a search finds, too."""
        origin = chosen[clue.subject]
        linked = yield from self._desk.look_through(origin, clue.relation)
        query = next(iter(self._queries(variable)), "")
        if len(linked) >= MANY_LINKS and query and (query, 1) not in self._desk.searched:
            about = {"origin": self._desk.title(origin), "count": len(linked), "relation": clue.relation}
            found = yield from self._desk.search(query, self._say("narrow", query=query, **about))
            both = [page for page in found if page in linked]
            if both:
                self._desk.note("narrowed", both=phrases.listed([self._desk.title(page) for page in both]))
            linked = both + [page for page in linked if page not in both]
        return linked

    def _referring(self, clue: Clue, variable: int, chosen: Mapping[int, str], start: int) -> Doing[list[str]]:
        """Pages that have the clue's relation to a chosen one: those known to, and what a search for its title finds."""
        assert isinstance(clue.object, int)
        page = chosen[clue.object]
        said = [
            word for relation, condition in self._values(variable) if condition.how in SAID for word in condition.args
        ]
        label = [] if clue.relation in UNLABELLED else [clue.relation]
        query = " ".join([self._desk.title(page), *label, *said])
        known = self._known.linking(clue.relation, page)
        if (query, start) in self._desk.searched or (start > 1 and not self._near_misses):
            return known
        self._near_misses = 0
        about = {"page": self._desk.title(page), "wanted": self._called(variable), "query": query, "start": start}
        what = "search_on" if start > 1 else "search_referring"
        found = yield from self._desk.search(query, self._say(what, **about), start)
        return list(dict.fromkeys([*self._known.linking(clue.relation, page), *found]))

    # Whether a page fits

    def _fits(self, variable: int, page: str, chosen: Mapping[int, str]) -> Doing[bool]:
        """Whether what the query says of the variable, alone and with those chosen, holds for `page`, as far as could be read."""
        values, links = self._values(variable), self._links(variable, chosen)
        to = [clue for clue in links if clue.object == variable]
        since = [
            (clue.relation, chosen[clue.object]) for clue in links if isinstance(clue.object, int) and clue not in to
        ]
        for clue in to:
            if page not in self._known.linked(chosen[clue.subject], clue.relation):
                return self._reject(page, f"not under “{clue.relation}” of {self._desk.title(chosen[clue.subject])}")
        for value in values:
            if self._known.is_told(page, value[0]) and not self._meets(page, value):
                return self._reject(page, self._difference(page, value), values, since)
        asked = [self._query.asked] if variable == self._query.target and self._query.asked else []
        relations = dict.fromkeys([relation for relation, _ in (*values, *since)] + asked)
        why, via = ("open_link", to[0].relation) if to else ("open_hit", "")
        yield from self._desk.look(page, list(relations), why, via)
        for value in values:
            if not self._meets(page, value):
                return self._reject(page, self._difference(page, value), values, since)
        for relation, other in since:
            if other not in self._known.linked(page, relation):
                yield from self._desk.find(page, [self._desk.title(other)])
            if other not in self._known.linked(page, relation):
                return self._reject(page, f"it has no “{relation}” that leads to {self._desk.title(other)}", values)
        if asked and not self._known.values(page, asked[0]):
            return self._reject(page, f"it states no {phrases.quoted_label(asked[0])}, which is what I need")
        self._praise(page, variable, values, since)
        return True

    def _meets(self, page: str, value: Value) -> bool:
        relation, condition = value
        return any(holds(condition, one) for one in self._known.values(page, relation))

    def _difference(self, page: str, value: Value) -> str:
        relation, condition = value
        values = self._known.values(page, relation)
        noun, is_one_of = self._noun(relation, phrases.is_number(condition))
        if not values:
            return f"it states no {phrases.quoted_label(relation)}"
        wanted = phrases.meets(condition, self._pick)
        if is_one_of:
            return f"among its {noun} ({_short(', '.join(values))}) none {wanted}"
        return f"its {noun} is “{_short(values[0])}”, and the one I want {wanted}"

    def _reject(
        self, page: str, reason: str, values: Sequence[Value] = (), links: Sequence[tuple[str, str]] = ()
    ) -> bool:
        """Rule a page out. It was a near miss if one of `values` or `links` holds for it."""
        is_linked = any(other in self._known.linked(page, relation) for relation, other in links)
        self._near_misses += is_linked or any(self._meets(page, value) for value in values)
        self._desk.rule_out(page, reason)
        return False

    def _praise(self, page: str, variable: int, values: Sequence[Value], links: Sequence[tuple[str, str]]) -> None:
        reasons = []
        for relation, condition in values:
            met = next(one for one in self._known.values(page, relation) if holds(condition, one))
            noun, is_one_of = self._noun(relation, phrases.is_number(condition))
            reasons.append(f"one of the {noun} is “{_short(met)}”" if is_one_of else f"the {noun} is “{_short(met)}”")
        reasons += [f"“{relation}” leads to {self._desk.title(other)}" for relation, other in links]
        told = phrases.listed(reasons) if reasons else ""
        what = "fits" if reasons else "only_linked"
        self._desk.note(what, page=self._desk.title(page), reasons=told, wanted=self._called(variable))

    # Saying

    def _plan(self) -> None:
        anchor = self._order({})[0]
        told = []
        for relation, condition in self._values(anchor):
            noun, is_one_of = self._noun(relation, phrases.is_number(condition))
            told.append(f"{'one of its' if is_one_of else 'its'} {noun} {phrases.meets(condition, self._pick)}")
        count, called = self._query.num_variables, self._called(anchor)
        pages = "one page" if count == 1 else f"{count} pages"
        clues = phrases.listed(told) if told else "nothing but links"
        self._desk.note("plan", pages=pages, anchor=called, Anchor=called.capitalize(), clues=clues)

    def _answer(self, chosen: Mapping[int, str]) -> Doing[None]:
        """Say what is asked of the target, in half of the cases after a second look at the place."""
        target, asked = chosen[self._query.target], self._query.asked
        page = self._desk.title(target)
        if asked in ("", TITLE):
            yield Move(self._desk.thought(self._say("answer_title", page=page)), text=page)
            return
        fact = next(fact for fact in self._known.facts(target, asked) if not fact.is_page)
        if fact.span.page == target and self._say.draw("check", 2) == 0:
            yield from self._desk.find(target, [" ".join(fact.object.split()[:6])], "check")
        noun, _ = self._noun(asked, phrases.is_whole(fact.object))
        said = self._say("answer_value", page=page, asked=noun, answer=fact.object)
        yield Move(self._desk.thought(said), text=fact.object)

    def _called(self, variable: int) -> str:
        """A name for what is not found yet."""
        if self._query.num_variables == 1:
            return "the page in question"
        if variable == self._query.target:
            return "the page that is asked about"
        others = [other for other in range(self._query.num_variables) if other != self._query.target]
        return f"the {ORDINALS[others.index(variable)]} page" if len(others) > 1 else "the other page"

    def _noun(self, relation: str, is_number: bool) -> tuple[str, bool]:
        """What a value of the relation is called, and whether a page may have several."""
        return phrases.noun_of(phrases.Relation(relation, self._known.is_many(relation)), is_number=is_number)

    def _pick(self, options: Sequence[str]) -> str:
        return options[self._say.draw("phrase", len(options))]


def _short(text: str, limit: int = 80) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1].rsplit(" ", 1)[0] + " …"
