"""What other pages, and one search, would answer: `unique_open` and `single_hop`, over all pages of the world.

A rival is a page that meets every clue on the target as far as a reader could tell, and would give another answer. Where nothing is
stated of the relation of a clue, its words may stand anywhere on the page. A link is any link, or the mere title, among the `NEAREST` pages
by rank, as the generator has it. All other pages, at which it does not look, are taken at their word: what they state of the relation, else
a link or title in one line with the relation's name; and one that gives no answer is no rival. Not proven: that no page says it in other
words. Cost: 5 ms a question in a world of 1,000 pages.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from synth.checker.conditions import meets, plain
from synth.checker.facts import LINK
from synth.checker.world import Clue, World, says

NEAREST = 50
Task = Mapping[str, Any]
_WORDED = frozenset({"equals", "mentions", "under", "year"})  # conditions that can be searched for
_UNNAMED = frozenset({"description", "links to", "title"})  # relations whose names stand nowhere


def rivals(task: Task, world: World) -> set[str]:
    """Pages that may be taken for the target, and would give another answer."""
    target, pages = task["target"], task["pages"]
    clues = [clue for clue in task["clues"] if target in (clue["subject"], clue["object"])]
    words = [_searched(clue) for clue in clues if isinstance(clue["object"], list)]
    near = world.ranking.surely_among(" ".join(words) or task["question"], NEAREST)
    found = set(world.library.pages) - {pages[target]}
    for clue in sorted(clues, key=lambda clue: isinstance(clue["object"], int)):
        found &= _meeting(clue, task, world, found, frozenset(near))
    told = world.values[task["asked"] or "title"]
    own = {plain(task["answer"])}
    return {
        page
        for page in found
        if {plain(value) for value in told.get(page, ())} not in ([own] if page in near else [own, set()])
    }


def _meeting(clue: Clue, task: Task, world: World, among: set[str], near: frozenset[str]) -> set[str]:
    relation, condition = clue["relation"], clue["object"]
    if isinstance(condition, list):
        silent = {page for page in among if not world.states(page, relation)}
        return (among & world.meeting(relation, condition)) | _saying(condition, world, silent)
    is_subject = clue["subject"] == task["target"]
    end = task["pages"][condition if is_subject else clue["subject"]]
    found = set()
    for page in among - {end}:
        one, other = (page, end) if is_subject else (end, page)
        if page not in near and world.states(one, relation):
            leads = other in world.there.get((relation, one), ())
        else:
            leads = _leads(one, other, world) and (page in near or _leads_by(one, relation, other, world))
        if leads:
            found.add(page)
    return found


def _saying(condition: list[str], world: World, among: set[str]) -> set[str]:
    how, *args = condition
    if how == "equals":
        return {page for page in world.saying(args[0]) if page in among}
    if how == "mentions":
        near = among.intersection(*(world.saying(word) for word in args))
        return {page for page in near if meets("mentions", args, world.said[page])}
    return set()


def _leads(page: str, other: str, world: World) -> bool:
    title = world.library.pages[other].title
    is_name = re.fullmatch(r"[a-z]+", title) is None  # `types` says nothing of the module
    return other in world.links[page] or (is_name and says(world.said[page], " ".join(title.split()).casefold()))


def _leads_by(page: str, relation: str, other: str, world: World) -> bool:
    """Whether a line has the name of the relation, and a link to the other page or its title."""
    title = " ".join(world.library.pages[other].title.split()).casefold()
    lines = [
        line for line in world.library.pages[page].text.split("\n") if relation in " ".join(line.split()).casefold()
    ]
    linked = (world.library.find(link[2]) for line in lines for link in LINK.finditer(line))
    return any(says(" ".join(line.split()).casefold(), title) for line in lines) or other in linked


def given_away(task: Task, world: World) -> Iterator[str]:
    """Searches that have a page with the answer among their first `hits`: the question, each clue, each two of them."""
    clues = [_searched(clue) for clue in task["clues"] if isinstance(clue["object"], list)]
    pairs = [f"{one} {other}" for one, other in itertools.combinations(clues, 2)]
    for query in [task["question"], *clues, *pairs]:
        shown = world.ranking.surely_among(query, task["hits"])
        if any(_answers(page, task, world) for page in shown):
            yield query


def _answers(page: str, task: Task, world: World) -> bool:
    if not task["asked"]:
        return bool(page == task["pages"][task["target"]])
    return says(world.said[page], " ".join(task["answer"].split()).casefold())


def _searched(clue: Clue) -> str:
    how, *args = clue["object"]
    named = [] if clue["relation"] in _UNNAMED else [clue["relation"]]
    return " ".join([*named, *(args if how in _WORDED else ())])
