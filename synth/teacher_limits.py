"""How fast a teacher may be asked, and what it may cost."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from synth.teacher import Answer, Request, Settings, TeacherError


class Pace:
    """Spaces requests so that no minute has more of them, or of tokens, than allowed; a pause holds for all."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int) -> None:
        self._seconds_per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._seconds_per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_request = self._next_token = self._paused_until = 0.0

    async def wait(self, tokens: int) -> None:
        """Until a request of so many tokens may start."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_request, self._next_token)
        self._next_request = start + self._seconds_per_request
        self._next_token = start + self._seconds_per_token * tokens
        while (now := asyncio.get_running_loop().time()) < max(start, self._paused_until):
            await asyncio.sleep(max(start, self._paused_until) - now)

    def correct(self, expected: int, used: int) -> None:
        """A request that should have used so many tokens used another number."""
        self._next_token += self._seconds_per_token * (used - expected)

    def pause(self, seconds: float) -> None:
        """No request starts for so long: the server said that it has too many."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)


class Ledger:
    """What answers have cost, the kept ones of earlier runs among them. What is under way counts at the most it can cost."""

    def __init__(self, settings: Settings, answers: Mapping[str, Answer]) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.spent = sum(self.cost(answer.prompt_tokens, answer.completion_tokens) for answer in answers.values())
        self._reserved, self._under_way = 0.0, 0
        self._settled = asyncio.Event()

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.settings.price_in + completion_tokens * self.settings.price_out) / 1e6

    async def reserve(self, request: Request) -> float:
        """Sets aside the most that the request can cost. Raises TeacherError when that is more than will be left."""
        most = self.cost(request.max_prompt_tokens, request.max_tokens)
        limit = self.settings.max_cost
        while limit and self.spent + self._reserved + most > limit:
            if not self._under_way:
                raise TeacherError(
                    f"{self.settings.model}: answers have cost {self.spent:.4g} of max_cost {limit:g}, and the next may cost {most:.4g}. "
                    "What was answered is kept: raise max_cost and go on, or lower max_examples."
                )
            self._settled.clear()
            await self._settled.wait()
        self._reserved += most
        self._under_way += 1
        return most

    def settle(self, reserved: float, answer: Answer | None) -> None:
        """The request is over; the server tells what it used."""
        self._reserved -= reserved
        self._under_way -= 1
        if answer is not None:
            self.spent += self.cost(answer.prompt_tokens, answer.completion_tokens)
            self.counts.update(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
        self._settled.set()

    def summary(self) -> dict[str, Any]:
        """Counts of this run, and the cost of all."""
        return {**dict(sorted(self.counts.items())), "cost": round(self.spent, 6)}
