"""A teacher on bad days: what is tried again and what not, rates, budget, and that no answer is paid twice."""

import asyncio
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from curation.steps import StepError
from synth.teacher import PROMPTS, Answer, Request, Settings, TeacherError, read_prompt
from synth.teacher_answers import SUFFIX, TOGETHER, Answers
from synth.teacher_http import MOST_FAILURES, Endpoint, pause_seconds
from tests.synth.chat_server import ChatServer, Reply, serving


def settings(server: ChatServer, **about: Any) -> Settings:
    return Settings.of({"base_url": server.base_url, "model": "m", **about})


def request(text: str = "What is a bee?", max_tokens: int = 10) -> Request:
    return Request((("user", text),), max_tokens)


def ask(given: Settings, folder: Path, *requests: Request) -> tuple[list[Answer], dict[str, Any]]:
    """All at once, on a new endpoint."""

    async def run() -> tuple[list[Answer], dict[str, Any]]:
        with Answers(str(folder), "m") as answers:
            async with Endpoint(given, answers, first_pause=0.01) as teacher:
                found = await asyncio.gather(*(teacher.ask(each) for each in requests))
                return list(found), teacher.ledger.summary()

    return asyncio.run(run())


def test_an_answer_is_asked_for_once(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(f"about {prompt}")) as server:
        given = settings(server, extra_body={"top_k": 1})
        (first,), counts = ask(given, tmp_path, request())
        assert first == Answer("about What is a bee?", "stop", 3, 10)
        assert counts == {"requests": 1, "prompt_tokens": 3, "completion_tokens": 10, "cost": 0}
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
        assert counts["cached"] == counts["requests"] == 1
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
            assert found[4][2:4] == (16, 10)  # without usage the most that was reserved
        assert len(server.requests) == 5


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


def test_a_server_that_is_down_ends_it(tmp_path: Path) -> None:
    with serving() as server:
        given = settings(server, max_attempts=1)
    with pytest.raises(
        TeacherError, match=rf"{MOST_FAILURES} requests in a row had no answer in 1 tries \(the last: connection\)"
    ):
        ask(given, tmp_path, *(request(str(index)) for index in range(MOST_FAILURES)))


def test_some_without_an_answer_do_not_end_it(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(status=500 if int(prompt) % 2 else 200)) as server:
        requests = [request(str(index)) for index in range(2 * MOST_FAILURES + 2)]

        async def one_by_one() -> list[Answer]:
            with Answers(str(tmp_path), "m") as answers:
                async with Endpoint(settings(server, max_attempts=1), answers, first_pause=0.01) as teacher:
                    return [await teacher.ask(each) for each in requests]

        assert sum(answer.failure == "http_5xx" for answer in asyncio.run(one_by_one())) == MOST_FAILURES + 1


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


@pytest.mark.parametrize("limit", [{"requests_per_minute": 1200}, {"tokens_per_minute": 1200 * 27}])
def test_rates_are_kept(tmp_path: Path, limit: dict[str, int]) -> None:
    """Ten at 20 per second (of 27 tokens each, nine tenths of them expected from the length of the prompt)."""
    with serving(lambda prompt, times: Reply(usage=False)) as server:
        ask(settings(server, **limit), tmp_path, *(request(str(index), max_tokens=11) for index in range(10)))
        assert server.times[-1] - server.times[0] >= 0.43


def test_tokens_that_were_not_used_are_given_back(tmp_path: Path) -> None:
    async def run() -> float:
        with Answers(str(tmp_path), "m") as answers:
            async with Endpoint(settings(server, tokens_per_minute=60_000), answers) as teacher:
                start = time.monotonic()
                for index in range(3):
                    await teacher.ask(request(str(index), max_tokens=5_000))
                return time.monotonic() - start

    with serving() as server:
        assert asyncio.run(run()) < 5  # five seconds each if what was expected had counted


@pytest.mark.parametrize(
    ("lost", "is_given_back"),
    [
        (Reply(status=500), True),
        (Reply(status=429, headers={"Retry-After": "0"}), True),
        (Reply(cut=True), True),
        (Reply(body=b"<html>"), False),  # the model may have worked
    ],
)
def test_tokens_of_a_lost_try_are_given_back(tmp_path: Path, lost: Reply, is_given_back: bool) -> None:
    """Each try sets aside half a second's tokens."""

    async def run() -> float:
        with Answers(str(tmp_path), "m") as answers:
            async with Endpoint(settings(server, tokens_per_minute=600_000), answers, first_pause=0.01) as teacher:
                start = time.monotonic()
                await teacher.ask(request(max_tokens=5_000))
                return time.monotonic() - start

    with serving(lambda prompt, times: lost if times < 2 else Reply()) as server:
        seconds = asyncio.run(run())
        assert len(server.requests) == 3
        assert (seconds < 0.9) == is_given_back


def test_one_that_is_told_to_wait_makes_all_wait(tmp_path: Path) -> None:
    with serving(
        lambda prompt, times: (
            Reply(status=429, headers={"Retry-After": "0.4"}) if prompt == "0" and not times else Reply()
        )
    ) as server:

        async def run() -> None:
            with Answers(str(tmp_path), "m") as answers:
                async with Endpoint(settings(server), answers, first_pause=0.01) as teacher:
                    told = asyncio.create_task(teacher.ask(request("0")))
                    await asyncio.sleep(0.15)
                    await asyncio.gather(told, *(teacher.ask(request(str(index))) for index in range(1, 4)))

        asyncio.run(run())
        assert len(server.times) == 5
        assert min(server.times[1:]) - server.times[0] >= 0.4


def test_a_budget_is_never_passed_and_what_was_paid_is_kept(tmp_path: Path) -> None:
    """Ten completion tokens each at 1 per token."""
    requests = [request(str(index)) for index in range(20)]
    with serving() as server:
        given = settings(server, price_out=1e6, max_cost=75)
        for each in requests[:7]:
            ask(given, tmp_path, each)
        with pytest.raises(TeacherError, match=r"cost 70 of max_cost 75, and the next may cost 10\. .* raise max_cost"):
            ask(given, tmp_path, requests[7])
        assert len(server.requests) == 7
        with pytest.raises(TeacherError, match="have cost 70 of max_cost 75"):
            ask(given, tmp_path, *requests)
        _, counts = ask(settings(server, price_out=1e6, max_cost=200), tmp_path, *requests)
        assert counts["cost"] == 200
        assert counts["requests"] == 13
        assert len(server.requests) == 20


def test_a_budget_counts_what_is_under_way(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(delay=0.05)) as server:
        given = settings(server, price_out=1e6, max_cost=75)
        with pytest.raises(TeacherError, match="have cost 70 of max_cost 75"):
            ask(given, tmp_path, *(request(str(index)) for index in range(20)))
        assert len(server.requests) == 7


def test_a_budget_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """The most that requests can cost is five times what they do: all fit, if one after the other."""
    with serving() as server:
        found, counts = ask(
            settings(server, price_out=1e6, max_cost=90),
            tmp_path,
            *(request(str(index), max_tokens=50) for index in range(5)),
        )
        assert len(found) == 5
        assert counts["cost"] == 50


def test_a_cut_line_costs_one_answer(tmp_path: Path) -> None:
    requests = [request(str(index)) for index in range(3)]
    with serving() as server:
        ask(settings(server), tmp_path, *requests)
        (file,) = tmp_path.iterdir()
        assert file.name == f"m{SUFFIX}"
        file.write_bytes(file.read_bytes()[:-20])
        ask(settings(server), tmp_path, *requests)
        assert len(server.requests) == 4
        ask(settings(server), tmp_path, *requests)
        assert len(server.requests) == 4


def test_answers_of_a_model_with_a_longer_name_are_not_its_own(tmp_path: Path) -> None:
    for name in ("m-mini", "m", "m[1]"):
        with Answers(str(tmp_path), name) as answers:
            answers.add(name, Answer("a", "stop", 1, 2))
    assert [list(Answers(str(tmp_path), name).found) for name in ("m", "m-mini", "m[1]")] == [
        ["m"],
        ["m-mini"],
        ["m[1]"],
    ]


def test_answers_in_an_object_store(s3: str) -> None:
    folder = f"{s3}/answers"
    with Answers(folder, "m") as answers:
        for index in range(TOGETHER + 3):
            answers.add(f"{index}", Answer(f"été \ud800 {index}", "stop", 1, 2))
        assert len(Answers(folder, "m").found) == TOGETHER
    again = Answers(folder, "m").found
    assert len(again) == TOGETHER + 3
    assert again["7"].completion_tokens == 2
    assert Answers(folder, "other").found == {}
    with Answers(folder, "org%2Fm") as answers:
        answers.add("a", Answer("a", "stop", 1, 2))
    assert list(Answers(folder, "org%2Fm").found) == ["a"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base_url": "localhost:8000"}, r"type the address of an API, e\.g\. http://localhost:8000/v1"),
        ({"model": ""}, r"teacher\.model is missing"),
        ({"max_token": 3}, "teacher has no 'max_token': type max_tokens"),
        ({"max_tokens": "3"}, r"teacher\.max_tokens is '3', but is a int"),
        ({"concurrency": 0}, "concurrency is 0, but must be above 0: the default is 16"),
        ({"price_in": -1}, "price_in is -1, but cannot be negative"),
        ({"max_cost": 5}, "nothing costs anything: type price_in and price_out"),
        ({"prompt": "nonsense"}, "type one of code, educational, educational_share, knowledge, thread, or the path"),
        ({"extra_body": 3}, r"teacher\.extra_body is 3, but is a mapping"),
    ],
)
def test_mistakes_say_what_to_type(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Settings.of({"base_url": "http://x/v1", "model": "m", **wrong})


def test_prompts(tmp_path: Path) -> None:
    for file in PROMPTS.glob("*.txt"):
        assert "Score: N" in read_prompt(file.stem)
    own = tmp_path / "own.txt"
    own.write_text("Judge {text}, I mean {text}")
    with pytest.raises(ValueError, match=r"has 2 places for the text: write \{text\} once"):
        read_prompt(str(own))
    own.write_text("Judge: {text}")
    given = Settings.of({"base_url": "http://x/v1", "model": "m", "prompt": str(own)})
    assert given.request("{text} {0}").messages == (("user", "Judge: {text} {0}"),)


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
