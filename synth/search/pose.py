"""Questions with one answer, from a formal query to its wording, each with the verdicts that a program can give.

A sketch (`synth.search.sample`) is told exactly at first. Then, while the answer stays one: the clues on the target are made so vague that
they alone fit several pages, every clue climbs its lattice as far as `obfuscation` allows, and clues that are not needed go, with all
that hung on them. What is left is needed: making a clue vaguer only adds answers, so a clue that was needed stays needed.

`pose` yields what failed as well, with the verdict that says why; what cannot be formed at all it passes over.
"""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from synth.draw import Draw
from synth.evidence import keyed, normalised
from synth.search.closed import MIN_ALONE, alone, closed_verdicts, connected
from synth.search.sample import Sketch, sketch
from synth.search.task import Clue, Condition, Query, Task
from synth.search.wording import worded
from synth.search.world import World

MIN_VARIABLES, MAX_VARIABLES = 2, 5
TURNS_PER_QUESTION = 50  # turns of a host that count as much as a question of it: it may have none to give
Verdicts = Mapping[str, Mapping[str, Any]]


class Posed(NamedTuple):
    task: Task
    verdicts: Verdicts  # `synth.search.closed`
    template: str


class _Level(NamedTuple):
    """A clue with the condition that it is told by now, and the vaguer ones that it may be told by."""

    clue: Clue
    vaguer: tuple[Condition, ...]

    def climbed(self) -> "_Level":
        return _Level(self.clue._replace(object=self.vaguer[0]), self.vaguer[1:])


def pose(
    world: World,
    *,
    seed: int,
    obfuscation: float = 0.7,
    min_variables: int = MIN_VARIABLES,
    max_variables: int = MAX_VARIABLES,
    tries: int = 20_000,
    taken: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Posed]:
    """Questions in the order of a keyed draw over pages, one at most per page and what is asked of it, after `tries` draws at the latest.

    Hosts take turns, so that a large site is not all there is asked about: the next turn is that of the host with the fewest so far, where
    a question in `taken`, in which the caller counts those that it keeps, is as good as `TURNS_PER_QUESTION`. `obfuscation`: how far each
    clue may climb, 0 (exact wherever that gives no name away) to 1. `min_variables`, `max_variables`: pages in a query, 2 to 5.
    """
    answered: set[tuple[str, str]] = set()
    for target, turn in itertools.islice(_targets(world, seed, taken), tries):
        draw = Draw(seed, target, turn)
        drawn = sketch(world, target, draw, min_variables, max_variables)
        if drawn is None or (target, drawn.asked) in answered:
            continue
        posed = _posed(world, drawn, draw, obfuscation)
        if all(verdict["passed"] for verdict in posed.verdicts.values()):
            answered.add((target, drawn.asked))
        yield posed


def host_of(world: World, page: str) -> str:
    return urlsplit(world.pages[page].url).netloc


def _targets(world: World, seed: int, taken: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Pages with how often each had its turn before; those of a host in the order of a keyed draw, again and again."""
    hosts: dict[str, list[str]] = defaultdict(list)
    for page in sorted(world.pages, key=lambda page: (keyed(seed, page, "start"), page)):
        hosts[host_of(world, page)].append(page)
    waiting = [(0, host, 0) for host in sorted(hosts)]  # a heap: turns and questions so far, host, turns
    while waiting:
        _, host, number = waiting[0]
        pages = hosts[host]
        yield pages[number % len(pages)], number // len(pages)
        heapq.heapreplace(waiting, (number + 1 + TURNS_PER_QUESTION * taken.get(host, 0), host, number + 1))


def check(*, obfuscation: float = 0.7, min_variables: int = MIN_VARIABLES, max_variables: int = MAX_VARIABLES) -> None:
    """Raises ValueError for parameters that `pose` has no use for."""
    if not 0 <= obfuscation <= 1:
        raise ValueError(
            f"obfuscation is {obfuscation}: type a number from 0 (exact) to 1 (as vague as one answer allows)"
        )
    if not MIN_VARIABLES <= max_variables <= MAX_VARIABLES:
        raise ValueError(f"max_variables is {max_variables}: type {MIN_VARIABLES} to {MAX_VARIABLES} pages in a query")
    if not MIN_VARIABLES <= min_variables <= max_variables:
        raise ValueError(f"min_variables is {min_variables}: type {MIN_VARIABLES} to max_variables, {max_variables}")


def _posed(world: World, drawn: Sketch, draw: Draw, obfuscation: float) -> Posed:
    query, pages = _obfuscated(world, drawn, draw, obfuscation)
    question, template = worded(world, query, drawn.answer, draw)
    task = Task(query, pages, question, drawn.answer, drawn.answer_spans)
    return Posed(task, closed_verdicts(world, task), template)


def _obfuscated(world: World, drawn: Sketch, draw: Draw, obfuscation: float) -> tuple[Query, tuple[str, ...]]:
    """The vaguest query with one answer that greedy search finds, and the pages of its variables."""
    links = [_Level(clue, ()) for clue in drawn.links]
    values = [
        _Level(told.clue, told.levels[1 : 1 + round(obfuscation * (len(told.levels) - 1))]) for told in drawn.told
    ]
    bare = Query(len(drawn.pages), (), 0, drawn.asked)
    wanted = {normalised(drawn.answer)}

    def is_unique(levels: Sequence[_Level]) -> bool:
        return world.answers(_query(bare, levels)) == wanted

    entrance = drawn.told[drawn.entrance].clue
    values = sorted(draw.shuffled(values, "climb"), key=lambda level: drawn.far[level.clue.subject])
    levels = _without_short_cut(world, bare, [*links, *values])
    if is_unique(levels):
        is_climbing = True
        while is_climbing:
            is_climbing = False
            for place, level in enumerate(levels):
                if level.vaguer and is_unique(tried := [*levels[:place], level.climbed(), *levels[place + 1 :]]):
                    levels, is_climbing = tried, True
        levels = _needed(levels, bare, drawn.far, entrance, is_unique)
    query = _query(bare, levels)
    kept = sorted(connected(query))
    places = {variable: place for place, variable in enumerate(kept)}
    return _renumbered(query, places), tuple(drawn.pages[variable] for variable in kept)


def _without_short_cut(world: World, bare: Query, levels: list[_Level]) -> list[_Level]:
    """What is told of the target made vaguer until it alone fits several pages; what cannot be goes."""
    kept = [level for level in levels if not _is_told_of(level, bare.target)]
    for level in (level for level in levels if _is_told_of(level, bare.target)):
        while alone(world, _query(bare, [*kept, level])) < MIN_ALONE and level.vaguer:
            level = level.climbed()
        if alone(world, _query(bare, [*kept, level])) >= MIN_ALONE:
            kept.append(level)
    return kept


def _is_told_of(level: _Level, variable: int) -> bool:
    return level.clue.subject == variable and isinstance(level.clue.object, Condition)


def _needed(
    levels: list[_Level],
    bare: Query,
    far: Sequence[int],
    entrance: Clue,
    is_unique: Callable[[Sequence[_Level]], bool],
) -> list[_Level]:
    """Without the clues whose loss changes nothing: first those on values, near the target, then links with what hangs on them.

    So a target is found by what is far from it, wherever that is enough. The entrance, and the links that lead there, go last.
    """

    def left_without(level: _Level, levels: Sequence[_Level]) -> list[_Level]:
        left = [other for other in levels if other is not level]
        reached = connected(_query(bare, left))
        return [other for other in left if other.clue.subject in reached]

    def rank(level: _Level) -> tuple[bool, bool, int, int]:
        keeps = any(_is_same(other.clue, entrance) for other in left_without(level, levels))
        return not keeps, isinstance(level.clue.object, int), far[level.clue.subject], -len(level.vaguer)

    for level in sorted(levels, key=rank):
        if level in levels and is_unique(left := left_without(level, levels)):
            levels = left
    return levels


def _is_same(clue: Clue, other: Clue) -> bool:
    """Whether two clues tell of the same value, in whatever words."""
    return clue.subject == other.subject and clue.relation == other.relation and isinstance(clue.object, Condition)


def _query(bare: Query, levels: Sequence[_Level]) -> Query:
    return bare._replace(clues=tuple(level.clue for level in levels))


def _renumbered(query: Query, places: Mapping[int, int]) -> Query:
    clues = sorted(
        (
            clue._replace(
                subject=places[clue.subject],
                object=places[clue.object] if isinstance(clue.object, int) else clue.object,
            )
            for clue in query.clues
        ),
        key=lambda clue: (clue.subject, not isinstance(clue.object, int), clue.relation, clue.value),
    )
    return query._replace(num_variables=len(places), clues=tuple(clues), target=places[query.target])
