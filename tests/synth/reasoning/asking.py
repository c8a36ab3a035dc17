"""A model whose answers a function gives, without a server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from synth.teacher import Answer, Request, Teacher

T = TypeVar("T")


def answer(
    text: str, *, finish_reason: str = "stop", tokens: int = 10, failure: str | None = None, reasoning: str = ""
) -> Answer:
    return Answer(text, finish_reason, 5, tokens, failure, True, reasoning)


class FakeCrew:
    """As `synth.teacher.Crew`; `answers(question, sample)` says what comes back, `asked` holds what was asked."""

    model = "fake-1"

    def __init__(self, answers: Callable[[str, int], Answer]) -> None:
        self._answers = answers
        self.asked: list[Request] = []

    async def ask(self, request: Request) -> Answer:
        self.asked.append(request)
        return self._answers(request.messages[-1]["content"], request.sample)

    def run(self, work: Iterable[Callable[[Teacher], Awaitable[T]]]) -> list[T]:
        async def all_of_them() -> list[T]:
            return [await each(self) for each in work]

        return asyncio.run(all_of_them())

    @property
    def settings(self) -> Any:
        raise AssertionError("nobody needs them")
