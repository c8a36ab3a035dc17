"""A model that answers requests: the protocol that everything asking one is written against, and what a manifest says about it.

    async def ask(request) -> Answer

`synth.teacher_http` is an endpoint that speaks the chat completions of OpenAI's API (vLLM, SGLang and most services do). What was answered
once is never asked and never paid again: answers are kept in a file keyed by model and request (`synth.teacher_answers`). Rates and costs
are kept to by `synth.teacher_limits`.

Not covered: streaming, tools, images, services that bill requests whose answer never arrived.
"""

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from curation.steps import StepError

PROMPTS = Path(__file__).resolve().parent.parent / "manifests" / "prompts"
PLACEHOLDER = "{text}"
BYTES_PER_TOKEN = 2  # to reserve by, before the answer tells: no tokenizer in use needs more tokens for ordinary text


class TeacherError(StepError):
    """The teacher cannot go on: what happened, and what to do."""


class Request(NamedTuple):
    """One question. What it does not say (model, server) is the teacher's."""

    messages: tuple[tuple[str, str], ...]  # (role, content)
    max_tokens: int
    temperature: float = 0.0

    @property
    def max_prompt_tokens(self) -> int:
        return sum(len(content.encode("utf-8", "replace")) for _, content in self.messages) // BYTES_PER_TOKEN + 16


class Answer(NamedTuple):
    """What came back. With a `failure` there is no text to trust: `refused`, `http_400`, or, after all tries, what the last one met."""

    text: str
    finish_reason: str  # stop, length (cut off at max_tokens), content_filter, or what else the server says
    prompt_tokens: int
    completion_tokens: int
    failure: str | None = None
    is_final: bool = True  # False: asking again another day may help


class Teacher(Protocol):
    async def ask(self, request: Request) -> Answer: ...


@dataclasses.dataclass(frozen=True)
class Settings:
    """The `teacher:` of a manifest. Of these, `identity` is what the answers depend on; the rest is how to get them."""

    base_url: str  # up to and with /v1
    model: str
    prompt: str = "educational"  # a file of manifests/prompts without .txt, or the path of another one
    max_tokens: int = 512  # of the answer, thoughts included
    temperature: float = 0.0
    extra_body: Mapping[str, Any] = dataclasses.field(
        default_factory=dict
    )  # such as {chat_template_kwargs: {enable_thinking: false}}
    api_key_env: str = ""  # the environment variable that holds the key; a server of one's own needs none
    concurrency: int = 16  # requests at a time
    requests_per_minute: int = 0  # 0: as many as `concurrency` lets through
    tokens_per_minute: int = 0  # of prompts and answers together
    timeout_seconds: float = 120.0
    max_attempts: int = 6
    price_in: float = 0.0  # per million tokens of prompts, in whatever currency `max_cost` is
    price_out: float = 0.0
    max_cost: float = 0.0  # labelling ends before it costs more; 0: no limit

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(
                f"base_url is {self.base_url!r}: type the address of an API, e.g. http://localhost:8000/v1"
            )
        for name in ("max_tokens", "concurrency", "max_attempts", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but must be above 0: the default is {_default(name)}"
                )
        for name in ("requests_per_minute", "tokens_per_minute", "price_in", "price_out", "max_cost", "temperature"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but cannot be negative: the default is {_default(name)}"
                )
        if self.max_cost and not (self.price_in or self.price_out):
            raise ValueError(
                f"max_cost is {self.max_cost}, but nothing costs anything: type price_in and price_out, per million tokens"
            )
        read_prompt(self.prompt)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Settings":
        """From a manifest's mapping. Raises ValueError for keys it does not know, lacks, or that have the wrong type."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in given.items():
            if name not in fields:
                near = difflib.get_close_matches(name, fields, 1)
                raise ValueError(f"teacher has no {name!r}: type {near[0] if near else 'one of ' + ', '.join(fields)}")
            kinds = _kinds(fields[name])
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(
                    f"teacher.{name} is {value!r}, but is a {'mapping' if Mapping in kinds else kinds[-1].__name__}"
                )
        for name in ("base_url", "model"):
            if not given.get(name):
                raise ValueError(
                    f"teacher.{name} is missing: type for instance base_url: http://localhost:8000/v1, model: glm-4.5-air"
                )
        return cls(**given)

    def request(self, text: str) -> Request:
        """The prompt with `text` in its place."""
        content = read_prompt(self.prompt).replace(PLACEHOLDER, text)
        return Request((("user", content),), self.max_tokens, self.temperature)

    @property
    def identity(self) -> dict[str, Any]:
        """What answers depend on: belongs into the key of a step. Addresses, rates and prices do not."""
        prompt = hashlib.sha256(read_prompt(self.prompt).encode()).hexdigest()
        return {"prompt": prompt, "max_tokens": self.max_tokens, "temperature": self.temperature, **self._model()}

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON that is posted."""
        messages = [{"role": role, "content": content} for role, content in request.messages]
        return {
            "model": self.model,
            "messages": messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            **self.extra_body,
        }

    def key(self, request: Request) -> str:
        """32 hex digits that name a request to this model."""
        return hashlib.sha256(json.dumps([*request, self._model()], sort_keys=True).encode()).hexdigest()[:32]

    def _model(self) -> dict[str, Any]:
        return {"model": self.model, "extra_body": dict(self.extra_body)}


def read_prompt(name: str) -> str:
    """The text of a prompt by name or path. Raises ValueError when there is none, or when it has not one place for the text."""
    path = PROMPTS / f"{name}.txt" if "/" not in name and not name.endswith(".txt") else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROMPTS.glob("*.txt")))
        raise ValueError(f"prompt {name!r}: no such file: type one of {known}, or the path of a file of your own")
    try:
        prompt = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"prompt {name!r} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    if prompt.count(PLACEHOLDER) != 1:
        raise ValueError(
            f"prompt {name!r} has {prompt.count(PLACEHOLDER)} places for the text: write {PLACEHOLDER} once"
        )
    return prompt


def _kinds(field: dataclasses.Field[Any]) -> tuple[type, ...]:
    """What a manifest may write for a field."""
    if field.type in (str, int):
        return (field.type,)
    return (int, float) if field.type is float else (Mapping,)


def _default(name: str) -> Any:
    return next(field.default for field in dataclasses.fields(Settings) if field.name == name)
