"""A function as a teacher: for tests, and for teachers that follow rules. It goes through the same file of answers as any other."""

import importlib
from collections import Counter
from collections.abc import Callable

from synth.teacher.protocol import BYTES_PER_TOKEN, Answer, Request


class Scripted:
    """`function` is package.module:function, a pure function from a Request to the text of its answer."""

    def __init__(self, function: str, asked: Counter[str]) -> None:
        self.name, self.asked = function, asked

    async def __aenter__(self) -> "Scripted":
        module, _, attribute = self.name.partition(":")
        self._function: Callable[[Request], str] = getattr(importlib.import_module(module), attribute)
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Nothing to close."""

    async def answer(self, request: Request, key: str) -> Answer:
        self.asked["requests"] += 1
        text = self._function(request)
        tokens = -(-len(text.encode()) // BYTES_PER_TOKEN)
        return Answer(text, "stop", request.likely_prompt_tokens, tokens, model=self.name)
