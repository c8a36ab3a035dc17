"""What a teacher is asked and what it answers: the protocol that everything asking a model is written against.

    async def ask(request) -> Answer

Not covered: streaming, images.
"""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import fastjsonschema

from curation.steps import StepError
from synth.render import Call

BYTES_PER_TOKEN = 2  # or more, in ordinary text, with every tokenizer in use
TOKENS_PER_REQUEST = 16  # of the chat template, for a message or two


class TeacherError(StepError):
    """The teacher cannot go on: what happened, and what to do."""


class Request(NamedTuple):
    """One question. What it does not say (model, server) is the teacher's."""

    messages: tuple[Mapping[str, Any], ...]  # as OpenAI's API has them: role, content, tool_calls, tool_call_id
    max_tokens: int  # of the answer, thoughts included
    temperature: float = 0.0
    tools: tuple[Mapping[str, Any], ...] = ()  # name, description, parameters
    schema: Mapping[str, Any] | None = None  # the answer shall be JSON of this JSON schema
    sample: int = 0  # the n-th of several answers to one question

    @property
    def max_prompt_tokens(self) -> int:
        """No fewer than the prompt has: a token is a byte at least. Budgets go by it."""
        texts = [message.get("content") or "" for message in self.messages]
        others = [{**message, "content": ""} for message in self.messages if len(message) > 2]
        more = json.dumps([others, self.tools, self.schema]) if others or self.tools or self.schema else ""
        return sum(len(text.encode("utf-8", "replace")) for text in (*texts, more)) + TOKENS_PER_REQUEST

    @property
    def likely_prompt_tokens(self) -> int:
        """Hardly fewer than the prompt has, unless it is all digits. Rates go by it until the answer says how many there were."""
        return (self.max_prompt_tokens - TOKENS_PER_REQUEST) // BYTES_PER_TOKEN + TOKENS_PER_REQUEST


class Answer(NamedTuple):
    """What came back.

    With a `failure` there is no text to trust: `refused`, `http_400` (the server will not take the request), `bad_call` (arguments that are
    no JSON object), `off_schema`, `not_recorded`, or, after all tries, what the last one met.
    """

    text: str
    finish_reason: str  # stop, tool_calls, length (cut off at max_tokens), content_filter, or what else the server says
    prompt_tokens: int
    completion_tokens: int
    failure: str | None = None
    is_final: bool = True  # False: asking again another day may help
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    model: str = ""  # that the server says has answered
    cached_tokens: int = 0  # of the prompt, that the server knew already
    reasoning_tokens: int = 0  # of the completion

    @property
    def is_whole(self) -> bool:
        """Whether it is an answer, and not cut off."""
        return self.failure is None and self.finish_reason != "length"


class Teacher(Protocol):
    async def ask(self, request: Request) -> Answer: ...


def held_to_schema(answer: Answer, request: Request) -> Answer:
    """The answer, with the failure `off_schema` where it should be JSON of a schema and is not: not every server looks."""
    if request.schema is None or not answer.is_whole or answer.calls:
        return answer
    try:
        _validator(json.dumps(request.schema, sort_keys=True))(json.loads(answer.text))
    except (ValueError, RecursionError, fastjsonschema.JsonSchemaValueException):
        return answer._replace(failure="off_schema")
    return answer


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Callable[[Any], Any]:
    compiled: Callable[[Any], Any] = fastjsonschema.compile(json.loads(schema))
    return compiled
