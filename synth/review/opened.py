"""A review of search questions over the pages that they are about: everything that the page needs, from documents."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from synth.review.log import Log
from synth.review.session import Item, Session
from synth.rows import Parent
from synth.search.engine import Engine
from synth.search.generator import Asking, Place
from synth.search.pages import pages_of
from synth.search.task import Task
from synth.search.verified import Demands
from synth.search.world import World

GENERATOR = "search"


class ReviewError(Exception):
    """There is nothing to review; says what is missing."""


def items_of(tables: Iterable[pa.Table]) -> list[Item]:
    """The search questions among documents."""
    found = []
    for table in tables:
        for row in table.to_pylist():
            meta = json.loads(row["meta"] or "{}")
            if meta.get("generator") == GENERATOR:
                found.append(Item(row, meta, Task.from_json(meta["task"])))
    return found


@contextlib.contextmanager
def opened(questions: Iterable[pa.Table], documents: Iterable[pa.Table], log: Log, reviewer: str) -> Iterator[Session]:
    """A session. `documents`: all pages of the corpora that the questions were generated from. Raises ReviewError when either is empty."""
    items = items_of(questions)
    if not items:
        raise ReviewError("no search question is among the documents: name a corpus of `generator: search`")
    pages, shas = [], {}
    for table in documents:
        pages += pages_of(table)
        given = zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
        shas.update({id: Parent.of(id, text or "", None).sha for id, text in given})
    world = World(pages)
    if missing := [id for item in items for id in item.task.pages if id not in world.pages]:
        raise ReviewError(
            f"page {missing[0]} of a question is not among the pages: name the corpora that the questions come from"
        )
    with Engine(world.pages.values()) as engine:

        def verify(task: Task, world: World) -> Mapping[str, Any]:
            about = items[0].meta["task"]
            demands = Demands(about["seed"], about["hits"], min_calls=1, max_calls=about["max_calls"])
            return Asking(Place(about["world"], world, shas), engine, demands, None, 1).judged(task)

        def find(query: str) -> list[str]:
            return [page.id for page, _ in engine.ranked(query, 20)]

        yield Session(items, world, log, reviewer, verify=verify, find=find)
