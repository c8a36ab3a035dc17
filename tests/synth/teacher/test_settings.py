"""What a manifest may say of a teacher, and what its answers depend on."""

import math
from pathlib import Path
from typing import Any

import pytest

from synth.teacher import Request, Settings, read_prompt
from synth.teacher import settings as settings_module


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base_url": "localhost:8000"}, r"type the address of an API, e\.g\. http://localhost:8000/v1"),
        ({"model": ""}, r"teacher\.model is missing"),
        ({"max_token": 3}, "teacher has no 'max_token': type max_tokens"),
        ({"max_tokens": "3"}, r"teacher\.max_tokens is '3', but is a int"),
        ({"concurrency": 0}, "concurrency is 0, but must be above 0: the default is 16"),
        ({"price_in": -1}, "price_in is -1, but must be a number from 0 on"),
        ({"max_cost": math.nan}, "max_cost is nan, but must be a number from 0 on"),
        ({"max_cost": 5}, "nothing costs anything: type price_in and price_out"),
        ({"prompt": "nonsense"}, "type one of code, educational, .*, or the path"),
        ({"extra_body": 3}, r"teacher\.extra_body is 3, but is a mapping"),
        ({"record": 1}, r"teacher\.record is 1, but is a bool"),
        ({"backend": "vllm"}, "type one of openai, offline, scripted, cassette"),
        (
            {"backend": "scripted"},
            r"teacher\.function is missing: type for instance function: package\.module:function",
        ),
        ({"backend": "scripted", "function": "nowhere.at:all"}, r"type package\.module:function"),
        ({"backend": "scripted", "function": "json"}, r"type package\.module:function"),
        ({"backend": "cassette"}, r"teacher\.cassette is missing"),
        ({"backend": "cassette", "cassette": "a.jsonl"}, r"type a name that ends in \.answers\.jsonl"),
        ({"base_url": "", "backend": "cassette", "cassette": "a.answers.jsonl", "record": True}, "type whom to ask"),
    ],
)
def test_mistakes_say_what_to_type(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Settings.of({"base_url": "http://x/v1", "model": "m", **wrong})


def test_prompts(tmp_path: Path) -> None:
    for name in ("code", "educational", "educational_share", "knowledge", "thread"):
        assert "Score: N" in read_prompt(name)
    own = tmp_path / "own.txt"
    own.write_text("Judge {text}, I mean {text}")
    with pytest.raises(ValueError, match=r"has 2 places for the text: write \{text\} once"):
        read_prompt(str(own))
    own.write_text("Judge: {text}")
    given = Settings.of({"base_url": "http://x/v1", "model": "m", "prompt": str(own)})
    assert given.request("{text} {0}").messages == ({"role": "user", "content": "Judge: {text} {0}"},)


def test_the_identity_is_what_answers_depend_on() -> None:
    about = {"base_url": "http://x/v1", "model": "m"}
    first = Settings.of(about).identity
    assert Settings.of({**about, "base_url": "http://y/v1", "price_in": 3, "concurrency": 2}).identity == first
    for other in (
        {"model": "n"},
        {"prompt": "knowledge"},
        {"temperature": 1},
        {"extra_body": {"a": 1}},
        {"max_tokens": 9},
    ):
        assert Settings.of({**about, **other}).identity != first


def test_a_request_has_one_key_per_model_and_sample() -> None:
    about = {"base_url": "http://x/v1", "model": "m"}
    asked = Request(({"role": "user", "content": "a"},), 9)
    key = Settings.of(about).key(asked)
    assert key == Settings.of({**about, "base_url": "http://y/v1", "concurrency": 2}).key(asked)
    recorded = Settings.of({"backend": "cassette", "cassette": "a.answers.jsonl", "model": "m"})
    assert key == recorded.key(asked)  # a recording is of the model, whoever made it
    tool = {"name": "f"}
    others = [
        asked._replace(sample=1),
        asked._replace(tools=(tool,)),
        asked._replace(schema={}),
        asked._replace(temperature=1),
    ]
    keys = {Settings.of(about).key(each) for each in others}
    keys.add(Settings.of({**about, "model": "n"}).key(asked))
    assert len(keys - {key}) == 5


def test_a_prompt_is_never_longer_than_expected() -> None:
    texts = ["bee", "蜂" * 40, "\ud800", ""]
    for text in texts:
        plain = Request(({"role": "user", "content": text},), 9)
        assert plain.max_prompt_tokens >= len(text.encode("utf-8", "replace"))  # each a token, as digits may be
        assert len(text.encode("utf-8", "replace")) / 2 <= plain.likely_prompt_tokens <= plain.max_prompt_tokens
        called = plain._replace(messages=({"role": "assistant", "content": None, "tool_calls": [{"function": text}]},))
        assert called.max_prompt_tokens > len(text)
    assert plain._replace(tools=({"name": "f" * 99},)).max_prompt_tokens > 99


def test_answers_of_a_function_are_those_of_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    given = {"backend": "scripted", "function": "own_teacher:answer"}
    keys = set()
    for text in ("a", "b"):
        (tmp_path / "own_teacher.py").write_text(f"def answer(request): return {text!r}\n")
        settings_module._source.cache_clear()
        keys.add(Settings.of(given).key(Request(({"role": "user", "content": "a"},), 9)))
    assert len(keys) == 2
