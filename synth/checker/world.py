"""Search questions asked again: of all facts of a world, by trying the pages of one variable on each circle and joining what is left.

Without circles, what a variable may be is its own conditions and, per neighbour, the pages beside those that the neighbour may be. A
circle of links is cut at the variable that may be fewest pages: each of them is tried (cutset conditioning, Dechter 1990), where the
generator narrows all variables together and then goes back and forth. Clues between one pair of variables have to hold for the same pages.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from synth.checker.conditions import meets, plain
from synth.checker.facts import LINK, Library
from synth.checker.ranking import Ranking

Clue = Mapping[str, Any]
MAX_KEPT = 4_096  # words that were looked for


class World:
    """The pages of a world and what they state; titles are values of the relation `title`."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.values: dict[str, dict[str, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )  # relation -> page -> values
        self.there: dict[tuple[str, str], set[str]] = defaultdict(
            set
        )  # (relation, page) -> pages it has the relation to
        self.back: dict[tuple[str, str], set[str]] = defaultdict(set)  # (relation, page) -> pages that have it to that
        for fact in library.facts():
            if fact.is_page:
                self.there[fact.relation, fact.subject].add(fact.object)
                self.back[fact.relation, fact.object].add(fact.subject)
            else:
                self.values[fact.relation][fact.subject].append(fact.object)
        for page in library.pages.values():
            self.values["title"][page.id].append(page.title)
        self.of_pages = {relation for relation, _ in self.there}  # relations that lead to pages
        self._met: dict[tuple[str, ...], frozenset[str]] = {}
        self.said = {
            page.id: " ".join(f"{page.title}\n{page.text}".split()).casefold() for page in library.pages.values()
        }  # title and text of each page, as it is searched for words
        self._saying: dict[str, frozenset[str]] = {}

    @functools.cached_property
    def ranking(self) -> Ranking:
        return Ranking(self.library.pages)

    @functools.cached_property
    def links(self) -> dict[str, frozenset[str]]:
        """The pages that any link of a page leads to, facts or not."""
        pages, find = self.library.pages, self.library.find
        found = {id: (find(link[2]) for link in LINK.finditer(page.text)) for id, page in pages.items()}
        return {id: frozenset(other for other in others if other) for id, others in found.items()}

    def saying(self, words: str) -> frozenset[str]:
        """The pages that have words one after the other, none of them cut."""
        wanted = " ".join(words.split()).casefold()
        if wanted not in self._saying:
            if len(self._saying) > MAX_KEPT:
                self._saying.clear()
            self._saying[wanted] = frozenset(page for page, text in self.said.items() if says(text, wanted))
        return self._saying[wanted]

    def has(self, subject: str, relation: str, object: str) -> bool:
        return object in self.there[relation, subject] or object in self.values[relation].get(subject, ())

    def states(self, subject: str, relation: str) -> bool:
        """Whether anything is stated of a page by a relation."""
        return bool(self.there.get((relation, subject)) or self.values[relation].get(subject))

    def fan_out(self, subject: str, relation: str) -> int:
        """How many pages and values a page has a relation to."""
        return len(self.there[relation, subject]) + len({*self.values[relation].get(subject, ())})

    def meeting(self, relation: str, condition: Sequence[str]) -> frozenset[str]:
        """The pages with a value of a relation that meets a condition."""
        key = (relation, *condition)
        if key not in self._met:
            how, args = condition[0], list(condition[1:])
            stated = self.values[relation].items()
            self._met[key] = frozenset(page for page, values in stated if any(meets(how, args, one) for one in values))
        return self._met[key]

    def answers(self, clues: Sequence[Clue], variables: int, target: int, asked: str) -> set[str]:
        """The answers by these clues, as they are compared."""
        pages = _Question(self, clues, variables).pages(target, {})
        return {plain(value) for page in pages for value in self.values[asked or "title"].get(page, ())}


def says(text: str, wanted: str) -> bool:
    """Whether a text has words, none of them cut; both on one line, in small letters."""
    if not wanted or wanted not in text:
        return False
    before, after = r"(?<![^\W_])" * wanted[0].isalnum(), r"(?![^\W_])" * wanted[-1].isalnum()
    return re.search(before + re.escape(wanted) + after, text) is not None


class _Question:
    def __init__(self, world: World, clues: Sequence[Clue], variables: int) -> None:
        self._world, self._variables = world, variables
        self._may: list[frozenset[str] | None] = [None] * variables  # None: any page
        self._links: dict[frozenset[int], list[Clue]] = defaultdict(list)
        for clue in clues:
            here = clue["subject"]
            if isinstance(clue["object"], int):
                self._links[frozenset((here, clue["object"]))].append(clue)
            else:
                met = world.meeting(clue["relation"], clue["object"])
                known = self._may[here]
                self._may[here] = met if known is None else known & met

    def pages(self, target: int, fixed: Mapping[int, str]) -> set[str]:
        """What the target may be, some variables being fixed."""
        if circle := self._circle(fixed):
            cut = min(circle, key=lambda variable: (len(self._own(variable, fixed)), variable))
            return set().union(*(self.pages(target, {**fixed, cut: page}) for page in self._own(cut, fixed)))
        for pair, clues in self._links.items():
            if pair <= fixed.keys():
                one, *rest = sorted(pair)
                if fixed[one] not in self._beside(
                    one, rest[0] if rest else one, {fixed[rest[0] if rest else one]}, clues
                ):
                    return set()
        seen: set[int] = set()
        found = self._joined(target, fixed, seen, None)
        for variable in range(self._variables):
            if variable not in seen and not self._joined(variable, fixed, seen, None):
                return set()
        return found

    def _own(self, variable: int, fixed: Mapping[int, str]) -> set[str]:
        """The pages that a variable may be by what is told of it alone, or is where it is fixed."""
        may = self._may[variable]
        if variable in fixed:
            return {fixed[variable]} if may is None or fixed[variable] in may else set()
        return set(self._world.library.pages if may is None else may)

    def _joined(self, variable: int, fixed: Mapping[int, str], seen: set[int], came: frozenset[int] | None) -> set[str]:
        """Those beside which its neighbours, and theirs, find a page; no way leads on behind a fixed one."""
        seen.add(variable)
        pages = self._own(variable, fixed)
        if variable in fixed and came is not None:
            return pages
        for pair, clues in self._links.items():
            if variable in pair and pair != came and len(pair) == 2:
                (other,) = pair - {variable}
                pages &= self._beside(variable, other, self._joined(other, fixed, seen, pair), clues)
        return pages

    def _beside(self, variable: int, other: int, pages: set[str], clues: Sequence[Clue]) -> set[str]:
        """The pages that all clues between the two variables lead to from one of `pages`, which the other one may be."""
        found: set[str] = set()
        for page in pages:
            sides = [
                (self._world.back if clue["object"] == other and clue["subject"] == variable else self._world.there)[
                    clue["relation"], page
                ]
                for clue in clues
            ]
            found |= set.intersection(*sides)
        return found

    def _circle(self, fixed: Mapping[int, str]) -> list[int]:
        """The variables on links that close a circle, none of them fixed; [] without one. A link of a variable to itself is one."""
        free = [pair for pair in self._links if not pair & fixed.keys()]
        if own := [pair for pair in free if len(pair) == 1]:
            return list(own[0])
        while free:
            ends = [variable for pair in free for variable in pair]
            kept = [pair for pair in free if all(ends.count(variable) > 1 for variable in pair)]
            if len(kept) == len(free):
                return sorted(set(ends))
            free = kept
        return []
