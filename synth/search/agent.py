"""An agent that answers a question with tools, one move after the other: the same loop for a scripted searcher and for a teacher.

A move is a thought with calls, or a thought with an answer. A call whose arguments do not fit the tool's schema ends the attempt with
nothing (the process format penalty of GLM-4.5's agentic RL); so do more calls or longer results than allowed, and an answer that was cut
off. A tool that reports an error is no fault: the agent reads it and goes on.
"""

import re
from collections.abc import Generator, Sequence
from typing import NamedTuple, Protocol

from synth.evidence import normalised
from synth.render import Call, Turn
from synth.search.engine import Engine
from synth.search.tools import TOOLS, Malformed, Result, call

ANSWERED = "answered"
MALFORMED, TOO_MANY_CALLS, TOO_LONG, SILENT = "malformed_call", "too_many_calls", "too_long", "no_answer"

_ANSWER = re.compile(r"(?:^|\n)\W*answer\W*:\s*(.+?)\s*\Z", re.IGNORECASE)


class Move(NamedTuple):
    """What an agent does next: calls, or, without any, an answer. With a `failure` the attempt is over."""

    think: str
    calls: tuple[Call, ...] = ()
    text: str = ""
    failure: str | None = None


class Policy(Protocol):
    async def move(self, turns: Sequence[Turn], results: Sequence[Result]) -> Move:
        """`turns`: the conversation so far; `results`: of the calls of the last move, none at first."""
        ...


class Limits(NamedTuple):
    """What an attempt may take."""

    calls: int = 40
    chars: int = 200_000  # of all results


class Trace(NamedTuple):
    """An attempt. `turns` end with the answer when it `ended` as `ANSWERED`."""

    turns: tuple[Turn, ...]
    ended: str
    results: tuple[Result, ...]

    @property
    def num_calls(self) -> int:
        return sum(len(turn.calls) for turn in self.turns)

    @property
    def text(self) -> str:
        """What the agent answered, or nothing."""
        return self.turns[-1].text if self.ended == ANSWERED else ""

    def pages(self) -> list[str]:
        """Ids of the pages that a result showed anything of, in order."""
        return list(dict.fromkeys(span.page for result in self.results for span in result.shown))


async def attempt(
    policy: Policy, question: str, engine: Engine, *, instructions: str = "", limits: Limits = Limits()
) -> Trace:
    """Let `policy` answer `question` with the tools of `engine`, which never show the question. `instructions`: a system turn."""
    turns = [
        Turn("system", tools=TOOLS),
        *([Turn("system", instructions)] if instructions else []),
        Turn("user", question),
    ]
    all_results: list[Result] = []
    results: list[Result] = []
    num_calls = num_chars = 0
    while True:
        move = await policy.move(turns, results)
        if move.failure:
            return Trace(tuple(turns), move.failure, tuple(all_results))
        turns.append(Turn("assistant", move.text, move.think, move.calls))
        if not move.calls:
            return Trace(tuple(turns), ANSWERED if move.text.strip() else SILENT, tuple(all_results))
        num_calls += len(move.calls)
        if num_calls > limits.calls:
            return Trace(tuple(turns), TOO_MANY_CALLS, tuple(all_results))
        try:
            results = [call(engine, asked, forbidden=(question,)) for asked in move.calls]
        except Malformed:
            return Trace(tuple(turns), MALFORMED, tuple(all_results))
        all_results += results
        num_chars += sum(len(result.text) for result in results)
        if num_chars > limits.chars:
            return Trace(tuple(turns), TOO_LONG, tuple(all_results))
        turns.append(Turn("observation", responses=tuple(result.text for result in results)))


def is_right(trace: Trace, answer: str) -> bool:
    """Whether the attempt ended with `answer`: alone, or after `Answer:` on its last line. Case, spacing and final marks do not count."""
    said = trace.text
    given = _ANSWER.search(said)
    wanted = normalised(answer)
    return trace.ended == ANSWERED and wanted in {_plain(said), _plain(given[1] if given else "")} - {""}


def _plain(text: str) -> str:
    return normalised(text.strip().strip("*_`\"“”'"))


class Scripted:
    """A policy written as a generator: it yields moves and is sent the results of each."""

    def __init__(self, moves: Generator[Move, Sequence[Result], None]) -> None:
        self._moves = moves
        self._is_started = False

    async def move(self, turns: Sequence[Turn], results: Sequence[Result]) -> Move:
        try:
            if self._is_started:
                return self._moves.send(results)
            self._is_started = True
            return next(self._moves)
        except StopIteration:
            return Move("", failure=SILENT)
