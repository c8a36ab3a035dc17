"""The `teacher:` of a manifest: who is asked, at what pace and price."""

import dataclasses
import difflib
import functools
import hashlib
import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth.teacher.protocol import Request

PROMPTS = Path(__file__).resolve().parents[2] / "manifests" / "prompts"
PLACEHOLDER = "{text}"
OPENAI, OFFLINE, SCRIPTED, CASSETTE = "openai", "offline", "scripted", "cassette"
CASSETTE_SUFFIX = ".answers.jsonl"
NEEDED = {
    OPENAI: {"base_url": "http://localhost:8000/v1", "model": "glm-4.5-air"},
    OFFLINE: {"model": "zai-org/GLM-4.5-Air"},
    SCRIPTED: {"function": "package.module:function"},
    CASSETTE: {"cassette": "recorded.answers.jsonl", "model": "glm-4.5-air"},
}
"""Back ends, and what each cannot do without, with an example."""
_ENCODE = json.JSONEncoder(sort_keys=True).encode


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of these, `identity` is what the answers depend on; the rest is how to get them."""

    backend: str = OPENAI
    base_url: str = ""  # up to and with /v1
    model: str = ""
    function: str = ""  # package.module:function, from a Request to the text of its answer
    cassette: str = ""  # a file of answers, as the folder `answers` of a build has them
    record: bool = False  # what the cassette does not hold is asked for at `base_url` or `function`, and added to it
    offline: Mapping[str, Any] = dataclasses.field(
        default_factory=dict
    )  # arguments of ray.data.llm's vLLMEngineProcessorConfig, such as {concurrency: 4, accelerator_type: H100}
    prompt: str = ""  # for labels: a file of manifests/prompts without .txt, or the path of another one
    max_tokens: int = 512  # of the answer, thoughts included
    temperature: float = 0.0
    extra_body: Mapping[str, Any] = dataclasses.field(
        default_factory=dict
    )  # such as {chat_template_kwargs: {enable_thinking: false}}
    api_key_env: str = ""  # the environment variable that holds the key; a server of one's own needs none
    concurrency: int = 16  # requests at a time, of all workers together
    requests_per_minute: int = 0  # 0: as many as `concurrency` lets through
    tokens_per_minute: int = 0  # of prompts and answers together
    timeout_seconds: float = 120.0
    max_attempts: int = 10  # of a request that meets errors; being told to wait does not count
    price_in: float = 0.0  # per million tokens of prompts, in whatever currency `max_cost` is
    price_out: float = 0.0
    max_cost: float = 0.0  # the run ends before it costs more; 0: no limit

    def __post_init__(self) -> None:
        if self.backend not in NEEDED:
            raise ValueError(f"backend is {self.backend!r}: type one of {', '.join(NEEDED)}")
        example = ", ".join(f"{name}: {value}" for name, value in NEEDED[self.backend].items())
        for name in NEEDED[self.backend]:
            if not getattr(self, name):
                raise ValueError(f"teacher.{name} is missing: type for instance {example}")
        self._check_numbers()
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(
                f"base_url is {self.base_url!r}: type the address of an API, e.g. http://localhost:8000/v1"
            )
        if self.cassette and not self.cassette.endswith(CASSETTE_SUFFIX):
            raise ValueError(f"cassette is {self.cassette!r}: type a name that ends in {CASSETTE_SUFFIX}")
        if self.record and bool(self.base_url) == bool(self.function):
            raise ValueError("record is true: type whom to ask, either `base_url` or `function`")
        if self.function:
            _source(self.function)
        if self.prompt:
            read_prompt(self.prompt)

    def _check_numbers(self) -> None:
        for name in ("max_tokens", "concurrency", "max_attempts", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but must be above 0: the default is {_default(name)}"
                )
        for name in ("requests_per_minute", "tokens_per_minute", "price_in", "price_out", "max_cost", "temperature"):
            if not 0 <= getattr(self, name) < math.inf:  # NaN would be no limit
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but must be a number from 0 on: the default is {_default(name)}"
                )
        if self.max_cost and not (self.price_in or self.price_out):
            raise ValueError(
                f"max_cost is {self.max_cost}, but nothing costs anything: type price_in and price_out, per million tokens"
            )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Settings":
        """From a manifest's mapping. Raises ValueError for keys it does not know, lacks, or that have the wrong type."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in given.items():
            if name not in fields:
                near = difflib.get_close_matches(name, fields, 1)
                raise ValueError(f"teacher has no {name!r}: type {near[0] if near else 'one of ' + ', '.join(fields)}")
            kinds = _kinds(fields[name])
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise ValueError(
                    f"teacher.{name} is {value!r}, but is a {'mapping' if Mapping in kinds else kinds[-1].__name__}"
                )
        return cls(**given)

    @property
    def name(self) -> str:
        """Who answers: the model, of a scripted teacher its function."""
        return self.model or self.function

    def request(self, text: str) -> Request:
        """The prompt with `text` in its place."""
        content = read_prompt(self.prompt).replace(PLACEHOLDER, text)
        return Request(({"role": "user", "content": content},), self.max_tokens, self.temperature)

    @property
    def identity(self) -> dict[str, Any]:
        """What answers depend on: belongs into the key of a step. Addresses, rates and prices do not."""
        prompt = {"prompt": hashlib.sha256(read_prompt(self.prompt).encode()).hexdigest()} if self.prompt else {}
        return {**prompt, "max_tokens": self.max_tokens, "temperature": self.temperature, **self._answering()}

    def key(self, request: Request) -> str:
        """32 hex digits that name a request to this model."""
        return hashlib.sha256(_ENCODE([*request, self._answering()]).encode()).hexdigest()[:32]

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6

    def _answering(self) -> dict[str, Any]:
        """A function is what its module says; a recording is of the model, whoever made it."""
        scripted = {"function": _source(self.function)} if self.backend == SCRIPTED else {}
        return {"model": self.name, "extra_body": dict(self.extra_body), **scripted}


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


@functools.lru_cache(maxsize=16)
def _source(function: str) -> str:
    """Hash of the module that holds a function. Raises ValueError when it cannot be found."""
    module, _, attribute = function.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if not attribute.isidentifier() or spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise ValueError(f"function is {function!r}: type package.module:function of a module that can be imported")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _kinds(field: dataclasses.Field[Any]) -> tuple[type, ...]:
    """What a manifest may write for a field."""
    if field.type in (str, int, bool):
        return (field.type,)
    return (int, float) if field.type is float else (Mapping,)


def _default(name: str) -> Any:
    return next(field.default for field in dataclasses.fields(Settings) if field.name == name)
