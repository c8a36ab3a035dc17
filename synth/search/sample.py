"""A sketch of a question: pages that are linked to each other, what is asked of the first, and what could be told of each.

Shapes: a path from the target (chain), several pages around it (intersection), any tree, a cycle. The next page is drawn by relation first
and page second, so that a relation with thousands of links is not all there is.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from synth.draw import Draw
from synth.evidence import normalised
from synth.search.closed import is_entrance
from synth.search.generalise import lattice
from synth.search.leaks import leaked, names_of, title_words
from synth.search.markdown import lines
from synth.search.mine import DESCRIPTION, LINKS_TO
from synth.search.sentences import MENTIONS
from synth.search.task import TITLE, Clue, Condition, Fact, Span
from synth.search.values import number, path
from synth.search.world import World

MIN_SUBJECTS = 3  # pages that have a relation, before a question speaks of it: a label that occurs once is no relation
MAX_ANSWER_CHARS, MIN_ANSWER_CHARS = 60, 3
SIZES = (2, 3, 3, 3, 4, 4, 4, 5, 5)  # variables, drawn evenly
SHAPES = ("chain", "chain", "intersection", "tree", "cycle")
_BARE = frozenset({LINKS_TO, MENTIONS})
VALUES_AT_TARGET, VALUES_ELSEWHERE = 2, 3


class Told(NamedTuple):
    """A clue about the value of one page, and the conditions that it may be told by, from exact to vague."""

    clue: Clue
    levels: tuple[Condition, ...]


class Sketch(NamedTuple):
    """An instance before anything is generalised. The target is variable 0."""

    pages: tuple[str, ...]  # by variable
    links: tuple[Clue, ...]
    told: tuple[Told, ...]
    asked: str
    answer: str
    answer_spans: tuple[Span, ...]
    far: tuple[int, ...]  # by variable: how many links lead to it from the target
    entrance: int  # which of `told` a search can begin with, however vague the others get


def sketch(world: World, target: str, draw: Draw, min_variables: int, max_variables: int) -> Sketch | None:
    """A sketch around a page, None where the drawn shape, an answer or an entrance cannot be had there."""
    size = max(min_variables, min(draw.pick(SIZES, "size"), max_variables))
    grown = _grown(world, target, size, draw.pick(SHAPES, "shape"), draw)
    asked = _asked(world, target, draw)
    if grown is None or asked is None:
        return None
    pages, links = grown
    relation, answer, spans = asked
    hidden = [*names_of(world.pages[page] for page in pages), answer]
    avoid = title_words(world.pages[page] for page in pages)
    told: list[Told] = []
    for variable, page in enumerate(pages):
        told += _told(world, variable, page, relation, hidden, avoid, draw)
    far = _distances(len(pages), links)
    entrances = [
        (far[one.clue.subject], -place) for place, one in enumerate(told) if one.clue.subject and _entrance(world, one)
    ]
    if not entrances:
        return None
    place = -max(entrances)[1]
    told[place] = _entrance(world, told[place]) or told[place]
    return Sketch(pages, links, tuple(told), relation, answer, spans, far, place)


def _entrance(world: World, told: Told) -> Told | None:
    """The clue, told only in ways that a search can begin with; None where there is none."""
    ways = tuple(level for level in told.levels if is_entrance(world, told.clue._replace(object=level)))
    return Told(told.clue._replace(object=ways[0]), ways) if ways else None


def _distances(num_pages: int, links: Sequence[Clue]) -> tuple[int, ...]:
    far = [0] + [num_pages] * (num_pages - 1)
    for _ in range(num_pages):
        for link in links:
            assert isinstance(link.object, int)
            near = min(far[link.subject], far[link.object]) + 1
            far[link.subject], far[link.object] = min(far[link.subject], near), min(far[link.object], near)
    return tuple(far)


def _grown(
    world: World, target: str, size: int, shape: str, draw: Draw
) -> tuple[tuple[str, ...], tuple[Clue, ...]] | None:
    pages = [target]
    links: list[Clue] = []
    for variable in range(1, size):
        at = {"intersection": 0, "tree": draw.below(variable, f"parent {variable}")}.get(shape, variable - 1)
        neighbours = _neighbours(world, pages[at], pages)
        closes = shape == "cycle" and variable == size - 1 and variable > 1
        if closes:
            back = {fact.subject if fact.object == target else fact.object for fact in _edges(world, target)}
            neighbours = {
                key: kept
                for key, facts in neighbours.items()
                if (kept := [fact for fact in facts if _other(fact, pages[at]) in back])
            }
        if not neighbours:
            return None
        key = draw.pick(sorted(neighbours), f"relation {variable}")
        fact = draw.pick(neighbours[key], f"page {variable}")
        pages.append(_other(fact, pages[at]))
        links.append(_link(fact, at, variable, pages))
        if closes:
            ring = [fact for fact in _edges(world, target) if _other(fact, target) == pages[-1]]
            links.append(_link(draw.pick(ring, "ring"), 0, variable, pages))
    return tuple(pages), tuple(links)


def _edges(world: World, page: str) -> list[Fact]:
    """Links of relations that are worth speaking of, from and to a page, to other pages of the world."""
    facts = [fact for fact in world.facts_about(page) if fact.is_page] + list(world.facts_naming(page))
    return [fact for fact in facts if world.num_subjects(fact.relation) >= MIN_SUBJECTS and fact.subject != fact.object]


def _neighbours(world: World, page: str, taken: Sequence[str]) -> dict[tuple[str, bool], list[Fact]]:
    """Links by relation and direction; those that say nothing but that there is one (`_BARE`) only where there is no other."""
    found: dict[tuple[str, bool], list[Fact]] = defaultdict(list)
    for fact in _edges(world, page):
        if _other(fact, page) not in taken:
            found[fact.relation, fact.subject == page].append(fact)
    return {key: facts for key, facts in found.items() if key[0] not in _BARE} or found


def _other(fact: Fact, page: str) -> str:
    return fact.object if fact.subject == page else fact.subject


def _link(fact: Fact, one: int, other: int, pages: Sequence[str]) -> Clue:
    subject, object = (one, other) if fact.subject == pages[one] else (other, one)
    return Clue(subject, fact.relation, object, fact.object, (fact.span,))


def _asked(world: World, target: str, draw: Draw) -> tuple[str, str, tuple[Span, ...]] | None:
    """What is asked of the target: a relation with one value that is no guess, or its title. (relation, answer, spans)"""
    values: dict[str, list[Fact]] = defaultdict(list)
    for fact in world.facts_about(target):
        if _is_value(world, fact) and fact.relation != DESCRIPTION:
            values[fact.relation].append(fact)
    options = [
        (facts[0].relation, facts[0].object, (facts[0].span,))
        for facts in values.values()
        if len(facts) == 1 and _is_answer(world, facts[0])
    ]
    title = world.pages[target].title
    span = title_span(world, target)
    if span and MIN_ANSWER_CHARS <= len(title) <= MAX_ANSWER_CHARS and (not options or draw.below(3, "title") == 0):
        return "", title, (span,)
    return draw.pick(sorted(options), "asked") if options else None


def _is_value(world: World, fact: Fact) -> bool:
    """Whether a fact is a value of a relation that has values alone, and is worth speaking of."""
    return not world.names_pages(fact.relation) and world.num_subjects(fact.relation) >= MIN_SUBJECTS


def _is_answer(world: World, fact: Fact) -> bool:
    """Short, no address, no small number, and not the commonest value of its relation."""
    amount = number(fact.object)
    counts = world.value_counts(fact.relation)
    count = counts[normalised(fact.object)]
    return (
        (MIN_ANSWER_CHARS <= len(fact.object) <= MAX_ANSWER_CHARS if amount is None else amount.value >= 10)
        and not path(fact.object)
        and not leaked(fact.object, names_of([world.pages[fact.subject]]))
        and (count == 1 or count < max(counts.values()))
    )


def title_span(world: World, page: str) -> Span | None:
    """Where a page says its title: its first heading, or the first place that it stands at."""
    if page not in world.title_spans:
        world.title_spans[page] = _title_span(world, page)
    return world.title_spans[page]


def _title_span(world: World, page: str) -> Span | None:
    text, title = world.pages[page].text, world.pages[page].title
    heading = next((line for line in lines(text[:5_000]) if line.kind == "heading"), None)
    if heading and normalised(title) in normalised(heading.name):
        return Span(page, heading.start, heading.length)
    start = text.find(title)
    return Span(page, start, len(title)) if start >= 0 else None


def _told(
    world: World, variable: int, page: str, asked: str, hidden: Sequence[str], avoid: frozenset[str], draw: Draw
) -> list[Told]:
    """Clues on the values of a page, with an entrance where it has one: at most one per relation, and none that gives a name away."""
    is_target = variable == 0
    facts = [fact for fact in world.facts_about(page) if _is_value(world, fact)]
    facts = draw.shuffled(sorted(facts), f"told {variable}")
    span = title_span(world, page)
    if span and not is_target:
        place = draw.pick((1, len(facts), len(facts)), f"title {variable}")  # mostly where there is little else to tell
        facts.insert(place, Fact(page, TITLE, world.pages[page].title, False, span, TITLE))
    limit = VALUES_AT_TARGET if is_target else VALUES_ELSEWHERE
    entrance = None
    found: dict[str, Told] = {}
    for fact in facts:
        if fact.relation in found or (is_target and fact.relation == asked):
            continue
        levels = [
            condition
            for condition in lattice(fact.object, fact.relation, world, avoid=avoid)
            if not leaked(" ".join(condition.args), hidden) and not (is_target and condition.how == "equals")
        ]
        if levels:
            told = Told(Clue(variable, fact.relation, levels[0], fact.object, (fact.span,)), tuple(levels))
            found[fact.relation] = told
            if entrance is None and not is_target and _entrance(world, told):
                entrance = told
        if len(found) >= limit and (entrance or is_target):
            break
    others = [told for told in found.values() if told is not entrance]
    return [entrance, *others[: limit - 1]] if entrance else others[:limit]
