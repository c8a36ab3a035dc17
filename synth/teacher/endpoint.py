"""An endpoint of OpenAI's chat completions (vLLM, SGLang, GLM's API and most services speak it): tries, pauses, and what an answer is.

What happens to what can go wrong:

    429             all workers pause for as long as Retry-After says, else as below, and fewer ask at a time; such a try does not count
    5xx, 408, timeout, connection lost, no JSON     tried again after 1, 2, 4, ... s (at most 60), less up to half by the request's key
    400, 413, 422   an answer with the failure `http_400` and what the server said. It costs nothing and is not kept: the next server may
                    have room for it. Where nothing else has come for two rounds, TeacherError: some say so of a wrong model
    401 to 405, 410 TeacherError at once: key, address or model are wrong, or the account is empty
    refusals, content_filter, length, calls that are no JSON    an answer, kept; whoever asked decides
    500 to one request again and again      after `SURELY_SEEN` tries no sign of a server that is down: the request breaks it
    many tries lost in a row        the breaker of `synth.teacher.account` opens, for all workers; meanwhile no request is given up

The jitter is a function of request and attempt, so that a run that is repeated waits as long. Money is set aside before a try is sent.

Not covered: services that bill requests whose answer never arrived.
"""

import asyncio
import email.utils
import json
import os
import time
import urllib.request
from collections import Counter
from typing import Any, NamedTuple

import aiohttp
import xxhash
from yarl import URL

from datapipe.engine import Shared
from synth.render import Call
from synth.teacher.account import LONGEST_PAUSE_SECONDS, MOST_FAILURES, Limits
from synth.teacher.gate import Gate, Ticket
from synth.teacher.protocol import Answer, Request, TeacherError
from synth.teacher.settings import Settings

REJECTED, WRONG = (400, 413, 422), (401, 402, 403, 404, 405, 410)
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode  # halves of surrogate pairs, which models write, break servers
MAY_HAVE_WORKED = ("timeout", "bad_json")  # a try that was lost after the server took it: its tokens may count there
TOO_MANY = "http_429"
SURELY_SEEN = 3
MOST_SAID = 300  # characters of a server's complaint
MOST_BYTES = 64 << 20  # of an answer


class Trouble(NamedTuple):
    """Why there is no answer yet."""

    kind: str
    retry_after: float | None = None
    is_of_request: bool = False  # perhaps: the server is there, and says that it broke


class Endpoint:
    """A back end (`synth.teacher.crew.Backend`). `account` is the book of all workers, `asked` counts tries."""

    def __init__(self, settings: Settings, account: Shared, limits: Limits, asked: Counter[str]) -> None:
        self.settings, self.first_pause, self.asked = settings, limits.first_pause, asked
        self.gate = Gate(account, limits)
        self._has_taken = False  # any request, in this run
        self._rejected = 0

    async def __aenter__(self) -> "Endpoint":
        self._url = URL(self.settings.base_url.rstrip("/") + "/chat/completions")
        headers = {"Content-Type": "application/json", **_authorisation(self.settings.api_key_env)}
        await self.gate.__aenter__()
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.settings.timeout_seconds),
            connector=aiohttp.TCPConnector(limit=self.settings.concurrency),
            headers=headers,
            proxy=_proxy(self.settings.base_url),  # `trust_env` would look for it, and for a .netrc, with every request
        )
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self._session.close()
        await self.gate.__aexit__(kind, error, trace)

    async def answer(self, request: Request, key: str) -> Answer:
        """The answer, or after all tries a failure. Raises TeacherError when no request can be answered."""
        body = _ENCODE(_body(request, self.settings)).encode("utf-8", "replace")
        most = Ticket(
            request.likely_prompt_tokens + request.max_tokens,
            self.settings.cost(request.max_prompt_tokens, request.max_tokens),
        )
        attempt = 0
        while True:
            found = await self._try(request, body, most, key, attempt)
            if isinstance(found, Answer):
                return found
            self.asked[f"tries_lost.{found.kind}"] += 1
            attempt += found.kind != TOO_MANY
            if attempt >= self.settings.max_attempts and not await self.gate.is_server_down():
                return Answer("", "", 0, 0, failure=found.kind, is_final=False)
            if found.kind != TOO_MANY:
                pause = pause_seconds(self.first_pause, key, attempt)
                await asyncio.sleep(max(pause, found.retry_after or 0.0))

    async def _try(self, request: Request, body: bytes, most: Ticket, key: str, attempt: int) -> Answer | Trouble:
        """One try, from the gate and back; `most` it can use."""
        await self.gate.enter(most)
        self.asked["requests"] += 1
        found: Answer | Trouble = Trouble("ended")
        try:
            found = await self._post(body, request)
        finally:
            self._leave(most, found, key, attempt)
        return found

    def _leave(self, ticket: Ticket, found: Answer | Trouble, key: str, attempt: int) -> None:
        if isinstance(found, Answer):
            cost = self.settings.cost(found.prompt_tokens, found.completion_tokens)
            self.gate.leave(ticket, tokens=found.prompt_tokens + found.completion_tokens, cost=cost)
            return
        wait = None
        if found.kind == TOO_MANY:
            wait = found.retry_after
            if wait is None:
                wait = pause_seconds(self.first_pause, key, attempt + 1)
        tokens = ticket.tokens if found.kind in MAY_HAVE_WORKED else 0
        is_lost = not found.is_of_request or attempt < SURELY_SEEN
        self.gate.leave(ticket, tokens=tokens, cost=0.0, trouble=found.kind, wait=wait, is_lost=is_lost)

    async def _post(self, body: bytes, request: Request) -> Answer | Trouble:
        try:
            async with self._session.post(self._url, data=body) as response:
                data = await _bounded(response.content)
                status, headers = response.status, response.headers
        except TimeoutError:
            return Trouble("timeout")
        except aiohttp.ClientError:
            return Trouble("connection")
        if status in WRONG:
            raise TeacherError(_wrong(self.settings, status, data))
        if status in REJECTED:
            return self._reject(status, data)
        if status != 200:
            kind = f"http_{status}" if status < 500 else "http_5xx"
            return Trouble(kind, _retry_after(headers.get("Retry-After")), is_of_request=status == 500)
        self._has_taken = True
        return _parsed(data, request)

    def _reject(self, status: int, data: bytes) -> Answer:
        """For its row alone; TeacherError when the server takes none at all."""
        self._rejected += 1
        if not self._has_taken and self._rejected > max(MOST_FAILURES, 2 * self.settings.concurrency):
            raise TeacherError(
                f"{_wrong(self.settings, status, data)} It has taken none of {self._rejected} requests: look at `extra_body` too."
            )
        return Answer(_said(data), "", 0, 0, failure="http_400", is_final=False)


def pause_seconds(first_pause: float, key: str, attempt: int) -> float:
    """Before attempt 1, 2, ...: twice as long each time, less up to half."""
    seconds = min(LONGEST_PAUSE_SECONDS, first_pause * 2 ** min(attempt - 1, 16))
    return seconds * (1 - xxhash.xxh3_64_intdigest(key.encode(), attempt) / 2**65)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """The body, or what is more than it may be: no JSON then."""
    parts, size = [], 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            return b""
    return b"".join(parts)


def _body(request: Request, settings: Settings) -> dict[str, Any]:
    """The JSON that is posted."""
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [dict(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.tools:
        body["tools"] = [{"type": "function", "function": dict(tool)} for tool in request.tools]
    if request.schema is not None:
        schema = {"name": "answer", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return {**body, **settings.extra_body}


def _parsed(data: bytes, request: Request) -> Answer | Trouble:
    """The answer in a body; trouble where that is not a chat completion."""
    try:
        whole = json.loads(data)
        choice = whole["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content") or "", message.get("refusal")
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        usage = whole.get("usage") or {}
        sent, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
        answer = Answer(
            text=text,
            finish_reason=str(choice.get("finish_reason") or "stop"),
            prompt_tokens=max(0, int(request.max_prompt_tokens if sent is None else sent)),
            completion_tokens=max(0, int(request.max_tokens if made is None else made)),
            reasoning=reasoning,
            model=str(whole.get("model") or ""),
            cached_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
            reasoning_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
        )
        calls = _calls(message.get("tool_calls") or [])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return Trouble("bad_json")
    if not isinstance(text, str) or not isinstance(reasoning, str):
        return Trouble("bad_json")
    if refusal or answer.finish_reason == "content_filter":
        return answer._replace(failure="refused")
    return answer._replace(failure="bad_call") if calls is None else answer._replace(calls=calls)


def _detail(usage: dict[str, Any], details: str, name: str) -> int:
    return max(0, int((usage.get(details) or {}).get(name) or 0))


def _calls(given: list[Any]) -> tuple[Call, ...] | None:
    """Calls of tools; None where the model wrote arguments that are no JSON object. Some servers hand the object over as it is."""
    calls = []
    for each in given:
        function = each["function"]
        arguments = function.get("arguments") or {}
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        if not isinstance(arguments, dict):
            return None
        calls.append(Call(str(function["name"]), arguments))
    return tuple(calls)


def _proxy(base_url: str) -> str | None:
    """That the environment names for such addresses, as other programs take it."""
    scheme, _, rest = base_url.partition("://")
    if urllib.request.proxy_bypass(rest.partition("/")[0]):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(scheme) or proxies.get("all")


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
    return f"{settings.base_url}: {settings.model}: HTTP {status} ({_said(data)}): {remedy}."


def _said(data: bytes) -> str:
    """The beginning of a server's complaint, on one line."""
    return " ".join(data[:MOST_SAID].decode("utf-8", "replace").split())


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
