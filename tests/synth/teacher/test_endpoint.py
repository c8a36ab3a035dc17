"""A teacher on bad days: what is tried again and what not, rates, budget, and that no answer is paid twice."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from curation.steps import StepError
from synth.render import Call
from synth.teacher import Answer, TeacherError
from synth.teacher.endpoint import pause_seconds
from tests.synth.chat_server import Reply, serving
from tests.synth.teacher.asking import ask, request, settings


def test_an_answer_is_asked_for_once(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(f"about {prompt}")) as server:
        given = settings(server, extra_body={"top_k": 1})
        (first,), counts = ask(given, tmp_path, request())
        assert first == Answer("about What is a bee?", "stop", 3, 10, model="served")
        assert counts == {"requests": 1}
        assert server.requests == [
            {
                "model": "m",
                "messages": [{"role": "user", "content": "What is a bee?"}],
                "max_tokens": 10,
                "temperature": 0.0,
                "top_k": 1,
            }
        ]
        (again, other), counts = ask(given, tmp_path, request(), request(max_tokens=11))
        assert again == first
        assert other == first
        assert counts == {"kept": 1, "requests": 1}
        ask(settings(server), tmp_path, request())  # without the extra it is another question
        assert len(server.requests) == 3


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    script = [
        Reply(status=500),
        Reply(status=429, headers={"Retry-After": "0"}),
        Reply(body=b"<html>busy</html>"),
        Reply(body=b'{"choices": []}'),
        Reply(body=b"[" * 100_000),
        Reply(body=b'{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 1e999}}'),
        Reply(cut=True),
        Reply(delay=2.0),
        Reply("at last"),
    ]
    with serving(lambda prompt, times: script[times]) as server:
        (answer,), counts = ask(settings(server, max_attempts=9, timeout_seconds=1.5), tmp_path, request())
        lost = {
            name.removeprefix("tries_lost."): count for name, count in counts.items() if name.startswith("tries_lost.")
        }
        assert answer.text == "at last"
        assert lost == {"http_5xx": 1, "http_429": 1, "bad_json": 4, "connection": 1, "timeout": 1}
        assert counts["requests"] == 9


def test_waits_grow_and_are_the_same_each_time(tmp_path: Path) -> None:
    waits = [pause_seconds(2.0, "a", attempt) for attempt in range(1, 9)]
    for attempt, wait in enumerate(waits):
        assert 0.5 * min(60, 2 * 2**attempt) <= wait <= min(60, 2 * 2**attempt)
    assert waits == [pause_seconds(2.0, "a", attempt) for attempt in range(1, 9)]
    assert len({pause_seconds(2.0, key, 8) for key in "abcdefgh"}) == 8
    with serving(lambda prompt, times: Reply(status=500)) as server:
        ask(settings(server, max_attempts=4), tmp_path, request())
        between = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
        assert len(between) == 3
        assert all(wait >= 0.005 * 2**attempt for attempt, wait in enumerate(between))


def test_what_stays_without_an_answer_is_asked_another_day(tmp_path: Path) -> None:
    broken = True
    with serving(lambda prompt, times: Reply(status=503 if broken else 200)) as server:
        given = settings(server, max_attempts=2)
        assert ask(given, tmp_path, request())[0] == [Answer("", "", 0, 0, "http_5xx", is_final=False)]
        broken = False
        assert ask(given, tmp_path, request())[0][0].text == "Score: 3"


def test_refusals_and_rejections_are_answers(tmp_path: Path) -> None:
    script = {
        "a": Reply(status=400, body=b"too long"),
        "b": Reply("", refusal="I would rather not"),
        "c": Reply("", finish_reason="content_filter"),
        "d": Reply("It is", finish_reason="length"),
        "e": Reply(usage=False),
    }
    with serving(lambda prompt, times: script[prompt]) as server:
        for _ in range(2):
            found, _ = ask(settings(server), tmp_path, *map(request, script))
            assert [answer.failure for answer in found] == ["http_400", "refused", "refused", None, None]
            assert found[3].finish_reason == "length"
            assert found[4][2:4] == (17, 10)  # without usage the most that was reserved
            assert [answer.is_whole for answer in found] == [False, False, False, False, True]
        assert found[0].text == "too long"
        assert len(server.requests) == 6  # what was rejected is asked again


def test_a_server_that_takes_nothing_ends_it(tmp_path: Path) -> None:
    """Some say of a wrong model what others say of a row."""
    requests = [request(str(index)) for index in range(90)]
    with serving(lambda prompt, times: Reply(status=400, body=b"no model n here")) as server:
        with pytest.raises(TeacherError, match=r"HTTP 400 \(no model n here\).* has taken none of 21 requests"):
            ask(settings(server, concurrency=4), tmp_path, *requests)
        assert len(server.requests) <= 21 + 4
        assert (
            ask(settings(server), tmp_path, *requests[:20])[0]
            == [Answer("no model n here", "", 0, 0, "http_400", is_final=False)] * 20
        )
    with serving(lambda prompt, times: Reply(status=400 if int(prompt) else 200)) as server:
        answers, _ = ask(settings(server, concurrency=1), tmp_path, *requests)
        assert sum(answer.is_whole for answer in answers) == 1


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "api_key_env"),
        (402, "has to be paid for"),
        (403, "may use this model"),
        (404, "has the model m"),
        (405, "check base_url"),
        (410, "check base_url"),
    ],
)
def test_what_cannot_work_ends_at_once(tmp_path: Path, status: int, remedy: str) -> None:
    with serving(lambda prompt, times: Reply(status=status, body=b"no such thing")) as server:
        with pytest.raises(StepError, match=rf"m: HTTP {status} \(no such thing\): .*{remedy}") as caught:
            ask(settings(server), tmp_path, request())
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # it comes from a worker
        assert len(server.requests) == 1


def test_half_a_surrogate_pair_is_sent_as_something_that_servers_can_read(tmp_path: Path) -> None:
    with serving() as server:
        ask(settings(server), tmp_path, request("b\ud800e 蜂 \U0001f41d"))
        assert server.prompts == ["b?e 蜂 \U0001f41d"]


def test_a_usage_that_does_not_count_is_what_was_reserved(tmp_path: Path) -> None:
    nothing = {"prompt_tokens": None, "completion_tokens": None}
    with serving(lambda prompt, times: Reply(details=nothing)) as server:
        (answer,), _ = ask(settings(server), tmp_path, request("e"))
        assert answer[2:4] == (17, 10)


def test_the_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        given = settings(server, api_key_env="TEACHER_KEY")
        monkeypatch.delenv("TEACHER_KEY", raising=False)
        with pytest.raises(TeacherError, match=r"export TEACHER_KEY=\.\.\. and run again"):
            ask(given, tmp_path, request())
        monkeypatch.setenv("TEACHER_KEY", "very-secret")
        ask(given, tmp_path, request())
        assert server.authorisations == {"Bearer very-secret"}
        assert b"very-secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_tools_schema_and_thoughts_go_both_ways(tmp_path: Path) -> None:
    said = {
        "reasoning_content": "I look it up.",
        "tool_calls": [{"id": "1", "function": {"name": "find", "arguments": '{"word": "bee", "most": 3}'}}],
    }
    details = {"prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 7}}
    tool = {"name": "find", "description": "Find a word.", "parameters": {"type": "object"}}
    schema = {"type": "object", "required": ["a"]}
    reply = Reply("", finish_reason="tool_calls", message=said, details=details)
    with serving(lambda prompt, times: reply) as server:
        (answer,), _ = ask(settings(server), tmp_path, request()._replace(tools=(tool,), schema=schema))
        assert answer.calls == (Call("find", {"word": "bee", "most": 3}),)
        assert answer.reasoning == "I look it up."
        assert (answer.model, answer.cached_tokens, answer.reasoning_tokens) == ("served", 2, 7)
        assert answer.failure is None  # calls are no answer yet, of whatever schema
        assert server.requests[0]["tools"] == [{"type": "function", "function": tool}]
        assert server.requests[0]["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize("arguments", ["{", "[1]", "3", "[" * 100_000])
def test_calls_that_are_no_json_object(tmp_path: Path, arguments: str) -> None:
    call = {"function": {"name": "find", "arguments": arguments}}
    with serving(lambda prompt, times: Reply("", message={"tool_calls": [call]})) as server:
        (answer,), _ = ask(settings(server), tmp_path, request())
        assert (answer.failure, answer.calls) == ("bad_call", ())
        assert answer.completion_tokens == 10  # it was paid for
        ask(settings(server), tmp_path, request())
        assert len(server.requests) == 1


@pytest.mark.parametrize("message", [{"content": 3}, {"reasoning_content": [1]}, {"tool_calls": [{"id": 1}]}])
def test_a_message_of_another_form_is_tried_again(tmp_path: Path, message: dict[str, Any]) -> None:
    with serving(lambda prompt, times: Reply() if times else Reply(message=message)) as server:
        (answer,), counts = ask(settings(server), tmp_path, request())
        assert answer.text == "Score: 3"
        assert counts["tries_lost.bad_json"] == 1


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ('{"a": 1}', None),
        ('{"a": "x"}', "off_schema"),
        ("{}", "off_schema"),
        ("a is 1", "off_schema"),
        ("[" * 99_999, "off_schema"),
    ],
)
def test_an_answer_is_held_to_its_schema(tmp_path: Path, text: str, failure: str | None) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    with serving(lambda prompt, times: Reply(text)) as server:
        (answer,), _ = ask(settings(server), tmp_path, request()._replace(schema=schema))
        assert answer.failure == failure


def test_an_answer_without_end_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.endpoint.MOST_BYTES", 1_000)
    with serving(lambda prompt, times: Reply("a" * 2_000)) as server:
        (answer,), _ = ask(settings(server, max_attempts=2), tmp_path, request())
        assert answer.failure == "bad_json"


def test_being_told_to_wait_costs_no_try(tmp_path: Path) -> None:
    busy = Reply(status=429, headers={"Retry-After": "0"})
    with serving(lambda prompt, times: busy if times < 9 else Reply()) as server:
        (answer,), counts = ask(settings(server, max_attempts=1), tmp_path, request())
        assert answer.failure is None
        assert counts == {"requests": 10, "tries_lost.http_429": 9}
