"""Verdicts with the search engine, which sees the texts and not only the facts that were mined from them.

    unique_open   no other page could be the one that is asked about: of the 50 pages that a search for the target's clues ranks first,
                  and of all that have its links, none but the target meets them all, where a clue of words is met by words that stand
                  anywhere on the page, and a link by any link or by the mere title (if that is no plain word such as `types`), unless
                  a page says something else of the same relation
    single_hop    one search does not give it away: no page among the first for the question, for one clue or for two clues together
                  has the answer on it
    solvable      the scripted searcher gets to the answer, `calls` after the start
    difficulty    not too easy by these numbers: calls of tools, hops from the page furthest from the target, pages at each hop, and other
                  pages than those of the question: in the world, and among the results that the searcher saw

Each verdict holds its numbers; ranks count from 1, 0 is "not found". Cost per question: 2 ms for the first two.
"""

import itertools
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from synth.evidence import normalised
from synth.search.agent import Trace, is_right
from synth.search.engine import Engine
from synth.search.generalise import holds
from synth.search.library import Library, contains, query_words
from synth.search.task import Clue, Condition, Query, Task
from synth.search.world import World

UNIQUE_AMONG = 50
Verdict = dict[str, Any]


def unique_open(task: Task, library: Library, engine: Engine) -> Verdict:
    target = task.pages[task.query.target]
    clues = clue_words(task.query, task.query.target) or [task.question]
    ranked = [page.id for page, _ in engine.ranked(" ".join(clues), UNIQUE_AMONG)]
    looked = [page for page in dict.fromkeys([*ranked, *_with_links(task, library.world)]) if page != target]
    rivals = [page for page in looked if _could_be_target(page, task, library)]
    return {"passed": not rivals, "looked_at": len(looked), "rivals": rivals[:3]}


def single_hop(task: Task, library: Library, engine: Engine, *, hits: int) -> Verdict:
    """Ranks of the first page with the answer, among `hits`: for the whole question, the best single clue, the best pair of clues."""
    clues = [words for variable in range(task.query.num_variables) for words in clue_words(task.query, variable)]
    pairs = [f"{one} {other}" for one, other in itertools.combinations(clues, 2)]
    rank_of = {
        name: min((rank for query in queries if (rank := _answer_rank(query, task, library, engine, hits))), default=0)
        for name, queries in (("question", [task.question]), ("clue", clues), ("pair", pairs))
    }
    return {"passed": not any(rank_of.values()), "hits": hits, **rank_of}


def solvable(task: Task, trace: Trace) -> Verdict:
    return {"passed": is_right(trace, task.answer), "ended": trace.ended, "calls": trace.num_calls}


def difficulty(task: Task, library: Library, trace: Trace, min_calls: int, min_hops: int) -> Verdict:
    links = [clue for clue in task.query.clues if isinstance(clue.object, int)]
    hops = _hops(task.query)
    fan_out = [len(library.world.objects(task.pages[clue.subject], clue.relation)) for clue in links]
    return {
        "passed": trace.num_calls >= min_calls and hops >= min_hops,
        "calls": trace.num_calls,
        "pages_read": len(trace.pages()),
        "hops": hops,
        "links": len(links),
        "clues": len(task.query.clues),
        "fan_out": round(fmean(fan_out), 2) if fan_out else 0.0,
        "distractors": len(library.pages) - len(set(task.pages)),
        "distractors_listed": len({page for result in trace.results for page in result.listed} - {*task.pages}),
    }


def clue_words(query: Query, variable: int) -> list[str]:
    """What to search for, for each clue on a value of `variable`."""
    return [
        query_words(clue.relation, clue.object)
        for clue in query.clues
        if clue.subject == variable and isinstance(clue.object, Condition)
    ]


def _with_links(task: Task, world: World) -> list[str]:
    """The pages that have every link of the target, as they state it; none where it has no link. Words do not rank them."""
    pages, target = task.pages, task.query.target
    sides = [
        world.subjects(clue.relation, pages[clue.object])
        if clue.subject == target
        else world.objects(pages[clue.subject], clue.relation)
        for clue in task.query.clues
        if isinstance(clue.object, int) and target in (clue.subject, clue.object)
    ]
    return sorted(set(sides[0]).intersection(*sides[1:]) & world.pages.keys()) if sides else []


def _could_be_target(page: str, task: Task, library: Library) -> bool:
    """Whether a reader may take `page` for the target, and would then give another answer."""
    query = task.query
    told = library.world.answers_at(query, page)
    if told and {normalised(one) for one in told} == {normalised(task.answer)}:
        return False
    return all(
        _could_hold(clue, page, task, library) for clue in query.clues if query.target in (clue.subject, clue.object)
    )


def _could_hold(clue: Clue, page: str, task: Task, library: Library) -> bool:
    """Whether a clue on the target could be said of `page`."""
    if isinstance(clue.object, int):
        ends = [
            page if variable == task.query.target else task.pages[variable] for variable in (clue.subject, clue.object)
        ]
        one, other = ends
        title = library.pages[other].title
        is_mention = not (title.isalpha() and title.islower()) and contains(library.plain(one), title)
        return one != other and (library.has_link(one, other) or is_mention)
    known = library.world.objects(page, clue.relation)
    if known:
        return any(holds(clue.object, value) for value in known)
    if clue.object.how == "equals":
        return contains(library.plain(page), clue.object.args[0])
    return clue.object.how == "mentions" and holds(clue.object, library.plain(page))


def _answer_rank(query: str, task: Task, library: Library, engine: Engine, hits: int) -> int:
    """The rank of the first of so many hits that has the answer on it. Where a title is the answer, that is the page itself."""
    for rank, (page, _) in enumerate(engine.ranked(query, hits), 1):
        if (
            page.id == task.pages[task.query.target]
            if not task.query.asked
            else contains(library.plain(page.id), task.answer)
        ):
            return rank
    return 0


def _hops(query: Query) -> int:
    """Links between the target and the variable that is furthest from it."""
    near: dict[int, int] = {query.target: 0}
    edges: Sequence[tuple[int, int]] = [
        (clue.subject, clue.object) for clue in query.clues if isinstance(clue.object, int)
    ]
    for _ in range(query.num_variables):
        for one, other in [*edges, *((other, one) for one, other in edges)]:
            if one in near:
                near[other] = min(near.get(other, len(edges)), near[one] + 1)
    return max(near.values())
