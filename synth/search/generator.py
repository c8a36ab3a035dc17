"""Search questions with trajectories: an agent searches, opens and reads pages of a corpus until it knows the answer.

`emit` sends each page to its world. `reduce` mines the facts of each world, poses questions on them (`synth.search.pose`), and proves each
by program: in the closed world of the facts (`synth.search.closed`), against the texts with the engine (`synth.search.open`), and by a
scripted searcher that has to find the answer with the tools. What the searcher did becomes the row, of kind `agent`, author `scripted`.
With a teacher, each question that passed is tried `samples` times with tools and as often without (`synth.search.taught`); the shortest
right attempt becomes the row, and a question that no attempt answers stays with the searcher's trajectory and `review: true`.

World: everything in one receiver (`all`), for corpora of up to some 100,000 pages, or the pages of each host by themselves (`host`).
In `task`, beside `synth.search.task.Task.as_json`: `world` (`all` or the host), `template` of the wording, `difficulty` (numbers of the
verdict), `pages_in_world`, `review`, `seed`, `hits` and `max_calls`. With the pages of the same corpora a checker can build the world and
the engine again; the questions alone (for reinforcement learning) are `question` and `answer` there. Parents: all pages of which the row
shows anything, and those that the question was made from; their licences hold together.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import xxhash

from synth.generators import Generator
from synth.rows import Made, Parent, documents
from synth.search import taught
from synth.search.agent import Limits, Trace
from synth.search.engine import Engine
from synth.search.library import Library
from synth.search.pages import pages_of
from synth.search.pose import MAX_VARIABLES, MIN_VARIABLES, Posed, host_of, pose
from synth.search.pose import check as check_posed
from synth.search.task import Page, Task
from synth.search.verified import Demands, Verified, verified
from synth.search.world import World

if TYPE_CHECKING:
    from synth.teacher import Crew

ALL, HOST = "all", "host"
EDITED = "edited"  # in place of a template
TAUGHT_AT_ONCE = 32  # questions
PAGES = pa.schema(
    [
        ("key", pa.uint64()),  # of the world
        ("world", pa.string()),
        *((name, pa.string()) for name in ("id", "url", "title", "canonical")),
        ("text", pa.large_string()),
        ("license", pa.string()),
        ("sha", pa.string()),  # of the document's text, which may be longer
    ]
)


def check(
    *,
    world: str = ALL,
    max_page_chars: int = 200_000,
    obfuscation: float = 0.7,
    min_variables: int = MIN_VARIABLES,
    max_variables: int = MAX_VARIABLES,
    min_hops: int = 1,
    hits: int = 5,
    min_calls: int = 4,
    max_calls: int = 40,
    samples: int = 4,
    tries: int = 60_000,
    accept: int = 0,
) -> None:
    """Raises ValueError for parameters that cannot be meant."""
    if world not in (ALL, HOST):
        raise ValueError(f"world {world!r} is none: type {ALL} (all pages together) or {HOST} (each host by itself)")
    check_posed(obfuscation=obfuscation, min_variables=min_variables, max_variables=max_variables)
    if not 1 <= min_hops < max_variables:
        raise ValueError(f"min_hops {min_hops} is not between 1 and {max_variables - 1}, one less than max_variables")
    if not 1 <= min_calls <= max_calls:
        raise ValueError(f"min_calls {min_calls} is not between 1 and max_calls {max_calls}: type 4")
    for name, value, least in (
        ("max_page_chars", max_page_chars, 1_000),
        ("hits", hits, 1),
        ("samples", samples, 1),
        ("tries", tries, 1),
        ("accept", accept, 0),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}: type {least} or more")


def emit(docs: pa.Table, *, world: str = ALL, max_page_chars: int = 200_000) -> pa.Table:
    """One row per document that is a page."""
    texts = dict(zip(docs["id"].to_pylist(), docs["text"].to_pylist(), strict=True))
    rows = []
    for page in pages_of(docs, max_chars=max_page_chars):
        name = ALL if world == ALL else (urlsplit(page.url).hostname or "")
        sha = Parent.of(page.id, texts[page.id], page.license).sha
        rows.append({"key": xxhash.xxh3_64_intdigest(name.encode()), "world": name, "sha": sha, **page._asdict()})
    return pa.Table.from_pylist(rows, schema=PAGES)


def reduce(
    rows: pa.Table,
    *,
    seed: int = 0,
    obfuscation: float = 0.7,
    min_variables: int = MIN_VARIABLES,
    max_variables: int = MAX_VARIABLES,
    min_hops: int = 1,
    hits: int = 5,
    min_calls: int = 4,
    max_calls: int = 40,
    samples: int = 4,
    tries: int = 60_000,
    accept: int = 0,
    teacher: "Crew | None" = None,
) -> pa.Table:
    """The rows of all worlds received, one world after the other, until `accept` are accepted (0: all that `tries` draws in each give)."""
    made: list[dict[str, Any]] = []
    num_accepted = 0
    demands = Demands(seed, hits, min_calls, max_calls, min_hops)
    draw = functools.partial(
        pose, seed=seed, obfuscation=obfuscation, min_variables=min_variables, max_variables=max_variables, tries=tries
    )
    for place in _places(rows):
        with Engine(place.world.pages.values()) as engine:
            asking = Asking(place, engine, demands, teacher, samples)
            for row in asking.rows(draw(place.world, taken=asking.taken)):
                made.append(row)
                num_accepted += row["drop_reason"] is None
                if num_accepted == accept > 0:
                    return documents(made)
    return documents(made)


class Place(NamedTuple):
    """A world with what rows say of its pages."""

    name: str
    world: World
    shas: Mapping[str, str]


def _places(rows: pa.Table) -> Iterator[Place]:
    """Worlds in the order of their names."""
    names = rows["world"].to_pylist()
    for name in sorted(set(names)):
        received = rows.filter(pa.array([other == name for other in names])).to_pylist()
        pages = [Page(*(row[field] for field in Page._fields)) for row in received]
        yield Place(name, World(pages), {row["id"]: row["sha"] for row in received})


class Asking:
    """Makes rows of the questions of one world."""

    def __init__(self, place: Place, engine: Engine, demands: Demands, teacher: "Crew | None", samples: int) -> None:
        self._place, self._engine, self._demands = place, engine, demands
        self._teacher, self._samples = teacher, samples
        self._library = Library(place.world)
        self.taken: Counter[str] = Counter()  # questions that passed, by host of the target

    def judged(self, task: Task) -> dict[str, Any]:
        """The row of a question that a person edited or composed, accepted or not."""
        return self._row(task, verified(task, self._library, self._engine, demands=self._demands), EDITED)

    def rows(self, posed: Iterable[Posed]) -> Iterator[dict[str, Any]]:
        """A row for each question, accepted or not, in their order; one that was posed before has none."""
        seen: set[str] = set()
        proven = self._proven(item for item in posed if item.task.name not in seen and not seen.add(item.task.name))  # type: ignore[func-returns-value]
        if self._teacher is None:
            for task, found, template in proven:
                yield self._row(task, found, template)
            return
        while batch := list(itertools.islice(proven, TAUGHT_AT_ONCE)):
            passed = [task for task, found, _ in batch if found.passed]
            limits = Limits(calls=self._demands.max_calls)
            tried = taught.try_all(self._teacher, passed, self._engine, samples=self._samples, limits=limits)
            by_name = dict(zip((task.name for task in passed), tried, strict=True))
            for task, found, template in batch:
                yield self._row(task, found, template, by_name.get(task.name))

    def _proven(self, posed: Iterable[Posed]) -> Iterator[tuple[Task, Verified, str]]:
        for task, closed, template in posed:
            found = verified(task, self._library, self._engine, demands=self._demands, in_closed_world=closed)
            self.taken[host_of(self._place.world, task.pages[task.query.target])] += found.passed
            yield task, found, template

    def _row(self, task: Task, found: Verified, template: str, tried: taught.Tried | None = None) -> dict[str, Any]:
        trace, made = found.trace, Made("search", self._demands.seed)
        verdicts = found.verdicts
        about = task.as_json() | {
            "world": self._place.name,
            "template": template,
            "pages_in_world": len(self._place.world.pages),
            "seed": self._demands.seed,
            "hits": self._demands.hits,
            "max_calls": self._demands.max_calls,
            "difficulty": {name: value for name, value in verdicts.get("difficulty", {}).items() if name != "passed"},
            "review": False,
        }
        if tried is not None and self._teacher is not None:
            verdicts = verdicts | tried.verdicts(task.answer)
            best = tried.best(task.answer)
            about["review"] = best is None
            if best is not None:
                trace, made = best, made._replace(author=self._teacher.model, teacher=taught.about(self._teacher))
        parents = self._parents(task, trace)
        if trace is None or not found.passed:
            return made.reject(task.name, task.question, kind="agent", parents=parents, task=about, verdicts=verdicts)
        return made.row(task.name, trace.turns, kind="agent", parents=parents, task=about, verdicts=verdicts)

    def _parents(self, task: Task, trace: Trace | None) -> list[Parent]:
        shown = trace.pages() if trace else []
        pages = [self._place.world.pages[name] for name in dict.fromkeys([*task.pages, *shown])]
        return [Parent(page.id, self._place.shas[page.id], page.license) for page in pages]


SEARCH = Generator(emit, reduce, check)
