"""A question taken through all verdicts in their order, up to the first that fails: one that was posed, or one that a reader has edited."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from synth.search.agent import Limits, Scripted, Trace, attempt
from synth.search.closed import closed_verdicts
from synth.search.engine import Engine
from synth.search.library import Library
from synth.search.open import difficulty, single_hop, solvable, unique_open
from synth.search.policy import Searcher
from synth.search.task import Task

Verdicts = dict[str, dict[str, Any]]


class Demands(NamedTuple):
    """What a question has to stand up to."""

    seed: int = 0  # of the searcher's words
    hits: int = 5  # of one search, that must not have the answer
    min_calls: int = 4
    max_calls: int = 40
    min_hops: int = 1


class Verified(NamedTuple):
    """What was found out; `trace` is the searcher's attempt, None where the question failed before it."""

    verdicts: Verdicts
    trace: Trace | None

    @property
    def passed(self) -> bool:
        return all(verdict["passed"] for verdict in self.verdicts.values())


def verified(
    task: Task,
    library: Library,
    engine: Engine,
    *,
    demands: Demands = Demands(),
    in_closed_world: Mapping[str, Mapping[str, Any]] | None = None,
) -> Verified:
    """Check `task`. `in_closed_world`: the verdicts of `synth.search.closed`, where they are known."""
    known = closed_verdicts(library.world, task) if in_closed_world is None else in_closed_world
    verdicts: Verdicts = {name: dict(verdict) for name, verdict in known.items()}
    found = Verified(verdicts, None)
    if not found.passed:
        return found
    verdicts["unique_open"] = unique_open(task, library, engine)
    if found.passed:
        verdicts["single_hop"] = single_hop(task, library, engine, hits=demands.hits)
    if not found.passed:
        return found
    searcher = Searcher(task.query, library, seed=demands.seed, name=task.name, max_calls=demands.max_calls)
    limits = Limits(calls=demands.max_calls)
    trace = asyncio.run(attempt(Scripted(searcher.moves()), task.question, engine, limits=limits))
    verdicts["solvable"] = solvable(task, trace)
    if found.passed:
        verdicts["difficulty"] = difficulty(task, library, trace, demands.min_calls, demands.min_hops)
        verdicts["difficulty"]["dead_ends"] = searcher.dead_ends
    return Verified(verdicts, trace)
