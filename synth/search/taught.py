"""A model as a search agent, and what its attempts say of a question: too easy, known by heart, or in need of a human eye.

A question that every attempt answers is too easy (`too_easy`), one that is answered without any tool is no search question
(`closed_book`). One that no attempt answers may be hard or broken: nothing here can tell, so it is kept with the scripted trajectory
and marked for review (DeepDive keeps such questions unread, arXiv 2509.10446; GLM-4.5 trains on those that pass@512 shows to be possible).
Beside each pass@k stand the bounds that so many attempts speak for (`pass@k_95`). Of the right attempts the one with the fewest calls
becomes the row.
"""

import json
from collections.abc import Sequence
from functools import partial
from math import comb, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from synth.export.messages import chat_messages
from synth.render import Turn
from synth.search.agent import (
    ANSWERED,
    MALFORMED,
    SILENT,
    TOO_LONG,
    TOO_MANY_CALLS,
    Limits,
    Move,
    Trace,
    attempt,
    is_right,
)
from synth.search.engine import Engine
from synth.search.task import Task
from synth.search.tools import TOOLS, Result
from synth.teacher import Request

if TYPE_CHECKING:
    from synth.teacher import Crew, Teacher

INSTRUCTIONS = (
    "Answer the question with the tools you have. Search, open pages and check every condition of the question before you answer. "
    "The answer is a short text: a title, or a value as a page writes it. When you are sure, write it on a last line of its own that "
    "begins with “Answer:”."
)
CUT_OFF = "length"
Z_95 = 1.959964  # of the standard normal distribution
CLOSED_BOOK = "Answer the question from memory. End with a line that begins with “Answer:” and has only the answer."


OUTCOMES = frozenset({ANSWERED, MALFORMED, TOO_MANY_CALLS, TOO_LONG, SILENT, CUT_OFF})


class Tried(NamedTuple):
    """All attempts at one question."""

    traces: tuple[Trace, ...]
    from_memory: tuple[bool, ...]  # whether each answer without tools was right

    def verdicts(self, answer: str) -> dict[str, dict[str, Any]]:
        """An attempt that a failing server cut short says nothing; if all were, there is nothing to go by (`asked`)."""
        whole = [trace for trace in self.traces if trace.ended in OUTCOMES]
        n, right = len(whole), sum(is_right(trace, answer) for trace in whole)
        known = sum(self.from_memory)
        passes = {f"pass@{k}": round(pass_at_k(n, right, k), 4) for k in (1, 2, 4, 8, 16) if k <= n}
        low, high = wilson(n, right) if n else (0.0, 1.0)
        bounds = {
            f"{name}_95": [round(1 - (1 - rate) ** int(name.removeprefix("pass@")), 4) for rate in (low, high)]
            for name in passes
        }
        return {
            "asked": {"passed": n > 0, "samples": n, "cut_short": len(self.traces) - n},
            "closed_book": {"passed": not known, "samples": len(self.from_memory), "right": known},
            "too_easy": {"passed": right < n, "samples": n, "right": right, **passes, **bounds},
        }

    def best(self, answer: str) -> Trace | None:
        """The right attempt with the fewest calls; of equals the first."""
        right = [trace for trace in self.traces if is_right(trace, answer)]
        return min(right, key=lambda trace: trace.num_calls, default=None)


def about(crew: "Crew") -> dict[str, str]:
    """What a row says of the model that wrote it: its name, and the hash of what it was told before the question."""
    told = json.dumps([INSTRUCTIONS, TOOLS], sort_keys=True)
    return {"model": crew.model, "prompt": xxhash.xxh3_128_hexdigest(told.encode())}


def pass_at_k(n: int, right: int, k: int) -> float:
    """The chance that one of `k` attempts is right, estimated without bias from `n` of which some were (Chen et al. 2021, eq. 1)."""
    if not 0 <= right <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {right} right among {n} attempts: give 1 <= k <= n and 0 <= right <= n")
    return 1.0 - comb(n - right, k) / comb(n, k)


def wilson(n: int, right: int) -> tuple[float, float]:
    """The bounds of the rate that `right` of `n` attempts speak for, at 95 % (Wilson 1927): 4 of 4 may still be a rate of 0.51.

    The chance that one of k attempts is right grows with the rate, so 1 - (1 - bound)^k bounds it.
    """
    if not 0 <= right <= n or n < 1:
        raise ValueError(f"the rate of {right} right among {n} attempts: give n >= 1 and 0 <= right <= n")
    rate, squared = right / n, Z_95**2
    middle = rate + squared / (2 * n)
    reach = Z_95 * sqrt(rate * (1 - rate) / n + squared / (4 * n * n))
    low, high = ((middle + sign * reach) / (1 + squared / n) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def try_all(crew: "Crew", tasks: Sequence[Task], engine: Engine, *, samples: int, limits: Limits) -> list[Tried]:
    """`samples` attempts at each task with tools, and as many without; all of them at the crew's own pace."""
    with_tools = [partial(_attempt, task, engine, sample, crew, limits) for task in tasks for sample in range(samples)]
    without = [partial(_from_memory, task, sample, crew) for task in tasks for sample in range(samples)]
    traces, known = crew.run(with_tools), crew.run(without)
    return [
        Tried(tuple(traces[at : at + samples]), tuple(known[at : at + samples]))
        for at in range(0, len(tasks) * samples, samples)
    ]


async def _attempt(task: Task, engine: Engine, sample: int, crew: "Crew", limits: Limits, teacher: "Teacher") -> Trace:
    policy = Taught(teacher, crew.settings, sample)
    return await attempt(policy, task.question, engine, instructions=INSTRUCTIONS, limits=limits)


async def _from_memory(task: Task, sample: int, crew: "Crew", teacher: "Teacher") -> bool:
    turns = (Turn("system", CLOSED_BOOK), Turn("user", task.question))
    policy = Taught(teacher, crew.settings, sample, has_tools=False)
    move = await policy.move(turns, ())
    said = Trace((*turns, Turn("assistant", move.text, move.think)), move.failure or ANSWERED, ())
    return is_right(said, task.answer)


class Taught:
    """The policy that asks a teacher for every move."""

    def __init__(self, teacher: "Teacher", settings: Any, sample: int, has_tools: bool = True) -> None:
        self._teacher, self._settings, self._sample = teacher, settings, sample
        self._tools = TOOLS if has_tools else ()

    async def move(self, turns: Sequence[Turn], results: Sequence[Result]) -> Move:
        answer = await self._teacher.ask(
            Request(
                messages=chat_messages(turns),
                max_tokens=self._settings.max_tokens,
                temperature=self._settings.temperature,
                tools=self._tools,
                sample=self._sample,
            )
        )
        if not answer.is_whole:
            return Move("", failure=answer.failure or CUT_OFF)
        return Move(answer.reasoning, tuple(answer.calls), answer.text)
