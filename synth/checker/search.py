"""Search questions: their world is mined again, they are asked again of it, and read again along the trajectory.

Independent: the reading of pages (`facts`), the conditions (`conditions`), the answers to the query (`world`), evidence, leaks, the most
frequent value, all pages as rivals and what single searches give away (`rivals`), the rank of every result (`ranking`), and what the tools
show (`windows`). Not proven: `dead_ends` of the difficulty, the passage of a result being the best one. Facts in sentences are not mined
again: a question that uses a relation which they may state is asked of the other facts, where it may have no other answer; the verdicts
that need those facts are left undecided. The world is built once: 2.5 seconds per 1,000 pages; a row takes 10 ms.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from synth.checker.conditions import meets, plain
from synth.checker.conversation import arguments
from synth.checker.facts import IN_SENTENCES, LINK, Library, address, words
from synth.checker.rivals import given_away, rivals
from synth.checker.row import Documents, Row, Undecided
from synth.checker.windows import shown_by
from synth.checker.world import Clue, World

Task = Mapping[str, Any]
MIN_ALONE, MAX_ENTRANCE_PAGES = 3, 8  # as `synth.search.closed` states them
_SPELLED = re.compile(r"[^\W_]+")
_NO_NAMES = frozenset({"default", "home", "index", "main", "page", "view", "wiki"})


def checked(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of generator `search`, or of one that was reviewed."""
    task = row.task
    world = _world(row, documents)
    if world is None:
        yield f"no world of {task['pages_in_world']} pages holds the parents: name the corpora that it was made from"
        return
    is_partly_known = bool({task["asked"], *(clue["relation"] for clue in task["clues"])} & IN_SENTENCES)
    yield from _unique(task, world, is_partly_known=is_partly_known)
    if is_partly_known:
        yield from map(Undecided, ("unique_closed_world", "clues_needed", "structure", "unique_open", "difficulty"))
    else:
        yield from _structure(task, world)
        if found := sorted(rivals(task, world)):
            yield f"the page {found[0]} may be the one that is asked about, too"
        yield from _difficulty(row, world)
    for query in given_away(task, world):
        yield f"a search for {query[:60]!r} gives the answer away"
    yield from _evidence(task, world)
    yield from _leaks(task, world)
    yield from _common_value(task, world)
    yield from _worded(row)
    yield from _trajectory(row, world)


def _world(row: Row, documents: Documents) -> World | None:
    """The world that a question was asked in, from the corpora that give as many pages."""
    host = row.task["world"]
    for corpora in documents.origins(row):
        world: World = documents.once(
            ("world", corpora, host),
            lambda: World(Library(one for one in documents.of(corpora) if host in ("all", _host(one.origin)))),  # noqa: B023
        )
        if len(world.library.pages) == row.task["pages_in_world"]:
            return world
    return None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _unique(task: Task, world: World, *, is_partly_known: bool) -> Iterator[str]:
    clues = task["clues"]
    for clue in clues:
        value, pages = clue["value"], task["pages"]
        if isinstance(clue["object"], int):
            if value != pages[clue["object"]]:
                yield f"a clue leads to {value}, which is not the page of its variable"
        elif not meets(clue["object"][0], clue["object"][1:], value):
            yield f"{value[:60]!r} is not {clue['object']}"
        if clue["relation"] not in IN_SENTENCES and not world.has(pages[clue["subject"]], clue["relation"], value):
            yield f"no page states {clue['relation']} = {value[:60]!r} of {pages[clue['subject']]}"
    about = task["variables"], task["target"], task["asked"]
    found = world.answers(clues, *about)
    if found != {plain(task["answer"])} and (found or not is_partly_known):
        yield f"the question has the answers {sorted(found)[:3]}"
    if is_partly_known:
        return
    for number in range(len(clues)):
        if len(world.answers([*clues[:number], *clues[number + 1 :]], *about)) <= len(found):
            yield f"clue {number} is not needed"


def _structure(task: Task, world: World) -> Iterator[str]:
    """All connected, no constant beside the target, what is told of it fits several pages, and a search can begin elsewhere."""
    clues, target = task["clues"], task["target"]
    told = [clue for clue in clues if isinstance(clue["object"], list)]
    alone = [clue for clue in told if clue["subject"] == target]
    if any(clue["object"][0] == "equals" for clue in alone):
        yield "the target is told by a constant"
    if len(_hops(clues, target)) < task["variables"] or task["variables"] < 2 or len(clues) < 2:
        yield "a variable is not connected with the target"
    if len({str([clue["subject"], clue["relation"], clue["object"]]) for clue in clues}) < len(clues):
        yield "a clue is told twice"
    pages = set(world.library.pages).intersection(*(world.meeting(one["relation"], one["object"]) for one in alone))
    if len(pages) < MIN_ALONE:
        yield f"what is told of the target alone fits {len(pages)} pages"
    spoken = {task["asked"], *(clue["relation"] for clue in told)}
    if mixed := sorted(spoken & world.of_pages):
        yield f"{mixed[0]} is asked for as a value, and leads to pages, too"
    if not any(clue["subject"] != target and _is_entrance(clue, world) for clue in told):
        yield "no clue can be searched for"


def _is_entrance(clue: Clue, world: World) -> bool:
    how, *args = clue["object"]
    has_words = how in ("equals", "under", "year") or (how == "mentions" and len(args) > 1)
    return has_words and len(world.meeting(clue["relation"], clue["object"])) <= MAX_ENTRANCE_PAGES


def _difficulty(row: Row, world: World) -> Iterator[str]:
    task, stated = row.task, row.task["difficulty"]
    links = [clue for clue in task["clues"] if isinstance(clue["object"], int)]
    fans = [world.fan_out(task["pages"][clue["subject"]], clue["relation"]) for clue in links]
    found = {
        "links": len(links),
        "clues": len(task["clues"]),
        "hops": max(_hops(task["clues"], task["target"]).values()),
        "fan_out": round(sum(fans) / len(fans), 2) if fans else 0.0,
        "distractors": len(world.library.pages) - len({*task["pages"]}),
    }
    for name, value in found.items():
        if stated[name] != value:
            yield f"its {name} is {value}, not {stated[name]}"


def _hops(clues: Sequence[Clue], target: int) -> dict[int, int]:
    """How many links there are between the target and each variable that is connected with it, in either direction."""
    found, waiting = {target: 0}, [target]
    for at in waiting:
        pairs = [(clue["subject"], clue["object"]) for clue in clues if isinstance(clue["object"], int)]
        for other in sorted({other for pair in pairs if at in pair for other in pair} - set(found)):
            found[other] = found[at] + 1
            waiting.append(other)
    return found


def _evidence(task: Task, world: World) -> Iterator[str]:
    for clue in task["clues"]:
        if not clue["spans"]:
            yield f"the clue on {clue['relation']} has no evidence"
        for page, start, length in clue["spans"]:
            text = world.library.pages[page].text[start : start + length]
            if isinstance(clue["object"], int):
                linked = {world.library.find(link[2]) for link in LINK.finditer(text)}
                if clue["value"] not in linked and text != world.library.pages[clue["value"]].title:
                    yield f"a span of the clue on {clue['relation']} does not lead to {clue['value']}"
            elif plain(clue["value"]) not in plain(words(text)):
                yield f"a span of the clue on {clue['relation']} does not say {clue['value'][:60]!r}"
    if not task["answer_spans"]:
        yield "the answer has no evidence"
    for page, start, length in task["answer_spans"]:
        if plain(task["answer"]) not in plain(words(world.library.pages[page].text[start : start + length])):
            yield "the span of the answer does not say it"


def _leaks(task: Task, world: World) -> Iterator[str]:
    names = {task["answer"]}
    for page in (world.library.pages[page] for page in task["pages"]):
        step = re.sub(r"\.\w{2,5}\Z", "", address(page.url).split("/")[-1])
        names |= {page.title} | ({step} if len(step) > 3 and step not in _NO_NAMES and not step.isdecimal() else set())
    said = _spelled(task["question"])
    for name in sorted(names):
        if (spelled := _spelled(name).strip()) and f" {spelled} " in said:
            yield f"the question says {name!r}"


def _spelled(text: str) -> str:
    return f" {' '.join(_SPELLED.findall(text.casefold()))} "


def _common_value(task: Task, world: World) -> Iterator[str]:
    """The answer is not the value that most pages have, unless one page alone has it."""
    if task["asked"] in IN_SENTENCES:
        yield Undecided("prior")
        return
    counts: dict[str, set[str]] = {}
    for page, values in world.values[task["asked"] or "title"].items():
        for value in values:
            counts.setdefault(plain(value), set()).add(page)
    own = len(counts.get(plain(task["answer"]), ()))
    if own != 1 and own >= max(map(len, counts.values()), default=0):
        yield "the answer is the most frequent value"


def _worded(row: Row) -> Iterator[str]:
    """The question says what can be searched for, word by word."""
    said = row.asked.casefold()
    if row.task["question"] != row.asked:
        yield "the row does not ask the question of its task"
    for clue in row.task["clues"]:
        if isinstance(clue["object"], list) and clue["object"][0] in ("equals", "mentions", "year"):
            for word in clue["object"][1:]:
                if word.casefold() not in said:
                    yield f"the question does not say {word!r}"


def _trajectory(row: Row, world: World) -> Iterator[str]:
    task, parents = row.task, {parent for parent, _ in row.parents}
    if missing := sorted({*task["pages"]} - parents):
        yield f"the page {missing[0]} of the question is no parent"
    hidden = world.saying(task["question"])
    num_calls, pages = 0, set[str]()
    for turn, after in zip(row.turns, [*row.turns[1:], None], strict=True):
        for number, call in enumerate(turn.calls):
            num_calls += 1
            if after is None or number >= len(after.responses):
                yield f"a call of {call.name} has no response"
                return
            given = arguments(row.turns, call)
            found = shown_by(call.name, given, after.responses[number], world.library, world.ranking, hidden)
            yield from found.wrong
            pages |= found.pages
            if missing := sorted(found.pages - parents):
                yield f"the page {missing[0]} is shown and no parent"
    if row.meta["author"] == "scripted" and num_calls != task["difficulty"]["calls"]:
        yield f"{num_calls} calls, not {task['difficulty']['calls']}"
    if row.meta["author"] == "scripted" and len(pages) != task["difficulty"]["pages_read"]:
        yield f"{len(pages)} pages are read, not {task['difficulty']['pages_read']}"
    if num_calls > task["max_calls"]:
        yield f"{num_calls} calls, more than {task['max_calls']}"
    last = re.split(r"(?:\A|\n)\W*answer\W*:", row.answered, flags=re.I)[-1]
    if plain(task["answer"]) not in (plain(row.answered.strip("*_`\"“”' \n")), plain(last.strip().strip("*_`\"“”'"))):
        yield f"the row answers {row.answered[:60]!r}"
