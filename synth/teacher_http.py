"""An endpoint of OpenAI's chat completions as a teacher: retries, rates, budget, and a file of what was answered.

What happens to what can go wrong:

    429             all requests pause for as long as Retry-After says, else as below; tried again
    5xx, 408, timeout, connection lost, no JSON     tried again after 1, 2, 4, ... s (at most 60), less up to half by the request's key
    400, 413, 422   an answer with the failure `http_400`, kept: the server will not take this request another time either
    401 to 405, 410 TeacherError at once: key, address or model are wrong, or the account is empty
    refusals, content_filter, length    an answer, kept; whoever asked decides
    `MOST_FAILURES` requests in a row without an answer after all tries: TeacherError

The jitter is a function of request and attempt, so that a run that is repeated waits as long.
"""

import asyncio
import email.utils
import json
import os
import time
from typing import Any, NamedTuple

import aiohttp
import xxhash

from synth.teacher import Answer, Request, Settings, TeacherError
from synth.teacher_answers import Answers
from synth.teacher_limits import Ledger, Pace

MOST_FAILURES = 20
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
REJECTED, WRONG = (400, 413, 422), (401, 402, 403, 404, 405, 410)
MAY_HAVE_WORKED = ("timeout", "bad_json")  # a try that was lost after the server took it: its tokens may count there


class Trouble(NamedTuple):
    """Why there is no answer yet."""

    kind: str
    retry_after: float | None = None


class Endpoint:
    """A teacher behind `settings.base_url`; an asynchronous context. `first_pause` is the pause after a first failure, in seconds."""

    def __init__(self, settings: Settings, answers: Answers, *, first_pause: float = FIRST_PAUSE_SECONDS) -> None:
        self.settings, self.answers, self.first_pause = settings, answers, first_pause
        self.pace = Pace(settings.requests_per_minute, settings.tokens_per_minute)
        self.ledger = Ledger(settings, answers.found)
        self._failures_in_a_row = 0

    async def __aenter__(self) -> "Endpoint":
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.settings.timeout_seconds),
            connector=aiohttp.TCPConnector(limit=self.settings.concurrency),
            headers=_authorisation(self.settings.api_key_env),
            trust_env=True,
        )
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self._session.close()

    async def ask(self, request: Request) -> Answer:
        """The answer, from the file if it was given before. Raises TeacherError when no request can be answered."""
        key = self.settings.key(request)
        if key in self.answers.found:
            self.ledger.counts["cached"] += 1
            return self.answers.found[key]
        reserved = await self.ledger.reserve(request)
        answer: Answer | None = None
        try:
            answer = await self._answer(request, key)
        finally:
            self.ledger.settle(reserved, answer)
        if answer.is_final:
            self.answers.add(key, answer)
        return answer

    async def _answer(self, request: Request, key: str) -> Answer:
        body = self.settings.body(request)
        expected = request.max_prompt_tokens + request.max_tokens
        trouble = Trouble("")
        for attempt in range(self.settings.max_attempts):
            if attempt:
                await self._pause(trouble, key, attempt)
            await self.pace.wait(expected)
            self.ledger.counts["requests"] += 1
            found = await self._post(body, request)
            if isinstance(found, Answer):
                self.pace.correct(expected, found.prompt_tokens + found.completion_tokens)
                self._failures_in_a_row = 0
                return found
            trouble = found
            if trouble.kind not in MAY_HAVE_WORKED:
                self.pace.correct(expected, 0)
            self.ledger.counts[f"tries_lost.{trouble.kind}"] += 1
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= MOST_FAILURES:
            raise TeacherError(
                f"{self.settings.base_url}: {self._failures_in_a_row} requests in a row had no answer in {self.settings.max_attempts} "
                f"tries (the last: {trouble.kind}). Look at the server, lower concurrency, and run again: what was answered is kept."
            )
        return Answer("", "", 0, 0, failure=trouble.kind, is_final=False)

    async def _pause(self, trouble: Trouble, key: str, attempt: int) -> None:
        seconds = pause_seconds(self.first_pause, key, attempt)
        if trouble.retry_after is not None:
            seconds = max(seconds, trouble.retry_after)
        if trouble.kind == "http_429":
            self.pace.pause(seconds)
        else:
            await asyncio.sleep(seconds)

    async def _post(self, body: dict[str, Any], request: Request) -> Answer | Trouble:
        try:
            async with self._session.post(
                self.settings.base_url.rstrip("/") + "/chat/completions", json=body
            ) as response:
                data = await response.read()
                status, headers = response.status, response.headers
        except TimeoutError:
            return Trouble("timeout")
        except aiohttp.ClientError:
            return Trouble("connection")
        if status in WRONG:
            raise TeacherError(_wrong(self.settings, status, data))
        if status in REJECTED:
            return Answer("", "", 0, 0, failure="http_400")
        if status != 200:
            return Trouble(f"http_{status}" if status < 500 else "http_5xx", _retry_after(headers.get("Retry-After")))
        return _parsed(data, request)


def pause_seconds(first_pause: float, key: str, attempt: int) -> float:
    """Before attempt 1, 2, ...: twice as long each time, less up to half."""
    seconds = min(LONGEST_PAUSE_SECONDS, first_pause * 2 ** (attempt - 1))
    return seconds * (1 - xxhash.xxh3_64_intdigest(key.encode(), attempt) / 2**65)


def _parsed(data: bytes, request: Request) -> Answer | Trouble:
    """The answer in a body; trouble where that is not a chat completion."""
    try:
        whole = json.loads(data)
        choice = whole["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content") or "", message.get("refusal")
        usage = whole.get("usage") or {}
        prompt_tokens = max(0, int(usage.get("prompt_tokens", request.max_prompt_tokens)))
        completion_tokens = max(0, int(usage.get("completion_tokens", request.max_tokens)))
        reason = str(choice.get("finish_reason") or "stop")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return Trouble("bad_json")
    if not isinstance(text, str):
        return Trouble("bad_json")
    refused = "refused" if refusal or reason == "content_filter" else None
    return Answer(text, reason, prompt_tokens, completion_tokens, refused)


def _authorisation(api_key_env: str) -> dict[str, str]:
    if not api_key_env:
        return {}
    key = os.environ.get(api_key_env)
    if not key:
        raise TeacherError(
            f"teacher.api_key_env names {api_key_env}, which is not set: export {api_key_env}=... and run again."
        )
    return {"Authorization": f"Bearer {key}"}


def _wrong(settings: Settings, status: int, data: bytes) -> str:
    key = (
        f"check the key in {settings.api_key_env}"
        if settings.api_key_env
        else "name the variable with the key: api_key_env"
    )
    remedies = {401: key, 402: "the account has to be paid for", 403: "check that the key may use this model"}
    remedy = remedies.get(status, f"check base_url and that the server has the model {settings.model}")
    said = " ".join(data[:200].decode("utf-8", "replace").split())
    return f"{settings.base_url}: {settings.model}: HTTP {status} ({said}): {remedy}."


def _retry_after(value: str | None) -> float | None:
    """Seconds from now, of a number of seconds or a date; at most ten minutes, None for neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(0.0, seconds), 600.0)
