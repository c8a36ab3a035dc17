"""What a program can prove of a question in its closed world, verdict by verdict.

    unique_closed_world  the query has one answer there, and it is the task's                  answers
    clues_needed         without any one clue it has more                                      needed, clues
    structure            two pages and two clues or more, all connected; no clue twice; no value of the target told exactly; no value told
                         or asked of a relation that also links to pages, where a reader would count these too       mixed
                         and what is told of the target alone fits `MIN_ALONE` pages or more   variables, links, alone
                         and a search can begin somewhere else (`is_entrance`)                 entrances
    leak                 neither the answer nor the name of a page is in the question          leaked
    prior                the answer is not the commonest value of what is asked                share, of all pages with the relation
    evidence             every span contains what it stands for                                spans, missing

The rule on the target is that of WebShaper (arXiv 2507.15061, section 3): a constant beside the target is a short cut past the rest.
"""

from collections.abc import Callable
from typing import Any

from synth.evidence import normalised
from synth.search.leaks import leaked, names_of
from synth.search.markdown import LINK, plain
from synth.search.task import TITLE, Clue, Condition, Query, Span, Task
from synth.search.values import number
from synth.search.world import World

MIN_ALONE = 3
MAX_ENTRANCE_PAGES = 8
_SEARCHED_FOR = frozenset({"equals", "mentions", "under", "year"})
Verdict = dict[str, Any]


def closed_verdicts(world: World, task: Task) -> dict[str, Verdict]:
    """The verdicts in the order above, up to the first that did not pass."""
    checks: dict[str, Callable[[World, Task], Verdict]] = {
        "unique_closed_world": unique,
        "clues_needed": clues_needed,
        "structure": structure,
        "leak": leak,
        "prior": prior,
        "evidence": evidence,
    }
    verdicts: dict[str, Verdict] = {}
    for name, check in checks.items():
        verdicts[name] = check(world, task)
        if not verdicts[name]["passed"]:
            break
    return verdicts


def unique(world: World, task: Task) -> Verdict:
    found = world.answers(task.query)
    return {"passed": found == {normalised(task.answer)}, "answers": len(found)}


def clues_needed(world: World, task: Task) -> Verdict:
    query = task.query
    base = len(world.answers(query))
    needed = sum(len(world.answers(without(query, number))) > base for number in range(len(query.clues)))
    return {"passed": needed == len(query.clues), "needed": needed, "clues": len(query.clues)}


def without(query: Query, number: int) -> Query:
    """The query less one of its clues."""
    return query._replace(clues=query.clues[:number] + query.clues[number + 1 :])


def structure(world: World, task: Task) -> Verdict:
    query = task.query
    links = [clue for clue in query.clues if isinstance(clue.object, int)]
    told = [clue for clue in query.clues if clue.subject == query.target and isinstance(clue.object, Condition)]
    is_exact = any(clue.object.how == "equals" for clue in told if isinstance(clue.object, Condition))
    distinct = {(clue.subject, clue.relation, clue.object) for clue in query.clues}
    spoken = {query.asked, *(clue.relation for clue in query.clues if isinstance(clue.object, Condition))}
    mixed = sum(map(world.names_pages, spoken))
    num_alone = alone(world, query)
    entrances = sum(clue.subject != query.target and is_entrance(world, clue) for clue in query.clues)
    passed = (
        query.num_variables >= 2
        and len(query.clues) >= 2
        and len(connected(query)) == query.num_variables
        and len(distinct) == len(query.clues)
        and not is_exact
        and not mixed
        and num_alone >= MIN_ALONE
        and entrances > 0
    )
    return {
        "passed": passed,
        "variables": query.num_variables,
        "links": len(links),
        "mixed": mixed,
        "alone": num_alone,
        "entrances": entrances,
    }


def alone(world: World, query: Query) -> int:
    """How many pages meet what is told of the target without any other page."""
    own = tuple(clue for clue in query.clues if clue.subject == query.target and isinstance(clue.object, Condition))
    return len(
        world.targets(query._replace(clues=tuple(clue._replace(subject=0) for clue in own), num_variables=1, target=0))
    )


def is_entrance(world: World, clue: Clue) -> bool:
    """Whether a clue has words that a search engine finds few pages by: a value, two words of a text, a place, a year.

    A number is none: to look for the page with exactly 1,004 lines is no way to begin, even where it works.
    """
    condition = clue.object
    if not isinstance(condition, Condition) or condition.how not in _SEARCHED_FOR:
        return False
    if condition.how == "mentions" and len(condition.args) < 2:
        return False
    if condition.how == "equals" and number(condition.args[0]) is not None:
        return False
    return len(world.meeting(clue.relation, condition)) <= MAX_ENTRANCE_PAGES


def connected(query: Query) -> set[int]:
    """The variables that links lead to from the target, in either direction."""
    reached = {query.target}
    for _ in range(query.num_variables):
        for clue in query.clues:
            if isinstance(clue.object, int) and {clue.subject, clue.object} & reached:
                reached |= {clue.subject, clue.object}
    return reached


def leak(world: World, task: Task) -> Verdict:
    hidden = names_of(world.pages[page] for page in task.pages)
    found = leaked(task.question, [*hidden, task.answer])
    return {"passed": not found, "leaked": len(found)}


def prior(world: World, task: Task) -> Verdict:
    """A value that a single page has is nobody's guess, however few others there are."""
    counts = world.value_counts(task.query.asked or TITLE)
    count = counts[normalised(task.answer)]
    return {
        "passed": count == 1 or count < max(counts.values(), default=0),
        "share": round(count / max(1, world.num_subjects(task.query.asked or TITLE)), 4),
    }


def evidence(world: World, task: Task) -> Verdict:
    wanted = [(clue, span) for clue in task.query.clues for span in clue.spans]
    missing = sum(not states(world, span, clue) for clue, span in wanted) + sum(
        not clue.spans for clue in task.query.clues
    )
    missing += sum(not contains(world, span, task.answer) for span in task.answer_spans) + (not task.answer_spans)
    return {"passed": not missing, "spans": len(wanted) + len(task.answer_spans), "missing": missing}


def states(world: World, span: Span, clue: Clue) -> bool:
    """Whether a span holds the value of a clue, or a link to its page or the title of it."""
    if isinstance(clue.object, Condition):
        return contains(world, span, clue.value)
    return span.page in world.pages and clue.value in _linked(world, span)


def contains(world: World, span: Span, value: str) -> bool:
    """Whether the words at a span contain a value, white space and case aside."""
    page = world.pages.get(span.page)
    return page is not None and normalised(value) in normalised(plain(page.text[span.start : span.start + span.length]))


def _linked(world: World, span: Span) -> list[str | None]:
    text = world.pages[span.page].text[span.start : span.start + span.length]
    return [world.named(text), *(world.find(link[2]) for link in LINK.finditer(text))]
