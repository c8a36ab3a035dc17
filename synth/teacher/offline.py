"""A model that vLLM runs on the GPUs of a Ray cluster (`ray.data.llm`): for much to ask at once, such as one question per document.

All rows ask at the same time, and what they ask goes through one pipeline together, as soon as for `QUIET_SECONDS` none has asked more.
A pipeline loads the model, which takes minutes: rows of several turns cost that for each turn, and an endpoint serves them better. A
hundred thousand rows go together, some kilobytes of memory each. Answers are kept when their pipeline has ended: a kill costs what it
was at.

Not covered: tools, `extra_body`, rates and budget (nobody sends a bill). Where vLLM and GPUs are not at hand, as where this was written,
it is tested against a stand-in with the documented interface.
"""

import asyncio
import functools
import json
from collections import Counter
from typing import Any

from datapipe.engine import generate_texts
from synth.teacher.protocol import Answer, Request, TeacherError
from synth.teacher.settings import Settings

QUIET_SECONDS = 5.0
END_OF_THOUGHTS = "</think>"
_Waiting = tuple[Request, "asyncio.Future[Answer]"]


class Offline:
    """Collects requests and answers them together."""

    def __init__(self, settings: Settings, asked: Counter[str]) -> None:
        self.settings, self.asked = settings, asked
        self._waiting: list[_Waiting] = []
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> "Offline":
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if self._timer:
            self._timer.cancel()

    async def answer(self, request: Request, key: str) -> Answer:
        """One of a pipeline's answers. Raises TeacherError for a request with tools, and where vLLM is missing."""
        if request.tools:
            raise TeacherError("backend offline cannot call tools: name an endpoint, `teacher: {base_url: ...}`.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, future))
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_later(QUIET_SECONDS, self._start)
        return await future

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, []
        task = asyncio.create_task(self._answer_all(waiting))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(functools.partial(_crash, waiting))

    async def _answer_all(self, waiting: "list[_Waiting]") -> None:
        rows = [_row(number, request) for number, (request, _) in enumerate(waiting)]
        self.asked["requests"] += len(rows)
        try:
            texts = await asyncio.to_thread(generate_texts, self.settings.model, rows, **self.settings.offline)
        except ImportError as error:
            said = f"backend offline needs vLLM ({error}): pip install 'ray[llm]', or name an endpoint."
            for _, future in waiting:
                future.set_exception(TeacherError(said))
            return
        found = {int(text["number"]): text for text in texts if "number" in text}
        for number, (request, future) in enumerate(waiting):
            future.set_result(_answer(found.get(number), request, self.settings.model))


def _crash(waiting: "list[_Waiting]", task: "asyncio.Task[None]") -> None:
    """A pipeline that broke takes with it whoever waits for it."""
    error = None if task.cancelled() else task.exception()
    for _, future in waiting:
        if error and not future.done():
            future.set_exception(error)


def _row(number: int, request: Request) -> dict[str, Any]:
    sampling: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature}
    if request.sample:
        sampling["seed"] = request.sample
    if request.schema is not None:
        # as text: in a column of structs each schema would get the fields of all others
        sampling["structured_outputs"] = {"json": json.dumps(request.schema)}
    return {"number": number, "messages": [dict(message) for message in request.messages], "sampling_params": sampling}


def _answer(row: dict[str, Any] | None, request: Request, model: str) -> Answer:
    """Of a row of the pipeline. It does not say why a text ended: one of `max_tokens` was cut off."""
    if row is None:
        return Answer("", "", 0, 0, failure="lost", is_final=False)
    if row.get("__inference_error__"):
        return Answer("", "", 0, 0, failure="rejected", is_final=False)
    thoughts, _, text = row["generated_text"].rpartition(END_OF_THOUGHTS)
    used = int(row["num_generated_tokens"])
    reason = "length" if used >= request.max_tokens else "stop"
    return Answer(
        text, reason, int(row["num_input_tokens"]), used, reasoning=thoughts.removeprefix("<think>"), model=model
    )
