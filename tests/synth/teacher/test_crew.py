"""Rows of a crew: their order, what a failure costs, conversations, recorded answers, and a kill in the middle."""

import asyncio
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth.teacher import Answer, Crew, Request, Settings, Teacher, TeacherError
from synth.teacher.answers import Answers
from tests.synth.chat_server import Reply, serving
from tests.synth.teacher.asking import ask, asking, request, settings
from tests.synth.teacher.scripts import CALLS

ROOT = Path(__file__).resolve().parents[3]
SCRIPTED = {"backend": "scripted", "function": "tests.synth.teacher.scripts:upper"}


def test_a_function_answers_once(tmp_path: Path) -> None:
    CALLS.clear()
    given = Settings.of(SCRIPTED)
    for run in range(2):
        with Crew(given, str(tmp_path)) as crew:
            assert crew.model == SCRIPTED["function"]
            answers = crew.run(map(asking, [request("a"), request("b"), request("a")._replace(sample=1)]))
            assert [answer.text for answer in answers] == ["A 0", "B 0", "A 1"]
            assert crew.asked == ({"kept": 3} if run else {"requests": 3})
            assert crew.used()["answers"] == 3
    assert len(CALLS) == 3


def test_equal_questions_at_once_are_asked_once(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(delay=0.02)) as server:
        answers, counts = ask(settings(server), tmp_path, *[request("a")] * 5)
        assert len(answers) == 5
        assert len(server.requests) == 1
        assert counts == {"requests": 1, "kept": 4}


def test_rows_are_conversations_and_failures_are_theirs(tmp_path: Path) -> None:
    async def row(teacher: Teacher, name: str) -> list[str | None]:
        said = []
        messages: tuple[dict[str, str], ...] = ()
        for turn in range(3):
            messages = (*messages, {"role": "user", "content": f"{name}{turn}"})
            answer = await teacher.ask(Request(messages, 10))
            said.append(answer.failure or answer.text)
            messages = (*messages, {"role": "assistant", "content": answer.text})
        return said

    def reply(prompt: str, times: int) -> Reply:
        return Reply(status=400) if prompt == "b1" else Reply(prompt * 2, delay=0.02 if prompt[0] == "a" else 0)

    with serving(reply) as server, Crew(settings(server), str(tmp_path)) as crew:
        found = crew.run([lambda teacher: row(teacher, "a"), lambda teacher: row(teacher, "b")])
        assert found == [["a0a0", "a1a1", "a2a2"], ["b0b0", "http_400", "b2b2"]]


def test_no_more_rows_are_begun_than_at_a_time(tmp_path: Path) -> None:
    begun = ended = 0

    async def row(teacher: Teacher) -> None:
        nonlocal begun, ended
        begun += 1
        assert begun - ended <= 3
        await asyncio.sleep(0)
        ended += 1

    with Crew(Settings.of({**SCRIPTED, "concurrency": 3}), str(tmp_path)) as crew:
        assert crew.run(row for _ in range(10)) == [None] * 10
        assert crew.run([]) == []


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_so_many_rows_are_accepted_and_the_same_ones(tmp_path: Path, concurrency: int) -> None:
    """Rows end in another order than they begin, and there is no end of them."""
    begun: list[int] = []

    async def row(teacher: Teacher, index: int) -> tuple[int, bool]:
        begun.append(index)
        await asyncio.sleep(0.001 * (7 * index % 5))
        return index, index % 4 > 1

    def rows() -> Iterator[object]:
        index = 0
        while True:
            yield lambda teacher, index=index: row(teacher, index)
            index += 1

    with Crew(Settings.of({**SCRIPTED, "concurrency": concurrency}), str(tmp_path)) as crew:
        for accept, tried in ((1, 3), (5, 11), (6, 12), (40, 80)):
            begun.clear()
            found = crew.run(rows(), accept=accept, is_accepted=lambda row: row[1])  # type: ignore[arg-type]
            assert [index for index, _ in found] == list(range(tried))
            assert len(begun) <= 2 * tried + 3  # a guess by what came of the first


def test_a_teacher_that_cannot_go_on_ends_all_and_keeps_what_is_under_way(tmp_path: Path) -> None:
    def reply(prompt: str, times: int) -> Reply:
        return Reply(status=401) if prompt == "3" else Reply(delay=0.1)

    with serving(reply) as server:
        with pytest.raises(TeacherError, match="HTTP 401"):
            ask(settings(server, concurrency=4), tmp_path, *(request(str(index)) for index in range(50)))
        assert len(server.requests) <= 5
    assert len(Answers(str(tmp_path), "m").found) >= 3


def test_only_rows_that_count_have_used_answers(tmp_path: Path) -> None:
    given = Settings.of({"backend": "scripted", "function": "tests.synth.teacher.scripts:is_good", "concurrency": 50})

    async def row(teacher: Teacher, index: int) -> bool:
        await asyncio.sleep(0.001 * (7 * index % 5))
        return (await teacher.ask(request(f"text {index}"))).text == "yes"

    with Crew(given, str(tmp_path)) as crew:
        rows = crew.run([lambda teacher, i=i: row(teacher, i) for i in range(50)], accept=8)  # type: ignore[misc]
        assert len(rows) == crew.used()["answers"] == 11
        assert crew.asked["requests"] > 11


def test_nobody_is_asked_more_when_answers_can_no_longer_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("synth.teacher.answers.os.write", full)
    with serving() as server, pytest.raises(OSError, match="No space left"):
        ask(settings(server, concurrency=1), tmp_path, *(request(str(index)) for index in range(20)))
    assert len(server.requests) <= 2


def test_broken_code_is_a_crash(tmp_path: Path) -> None:
    async def row(teacher: Teacher) -> None:
        raise ZeroDivisionError("broken")

    with pytest.raises(ZeroDivisionError), Crew(Settings.of(SCRIPTED), str(tmp_path)) as crew:
        crew.run([row, asking(request("a"))])  # type: ignore[list-item]


def test_the_collector_is_as_it_was_when_rows_have_ended(tmp_path: Path) -> None:
    usual = gc.get_threshold()

    async def row(teacher: Teacher) -> int:
        return gc.get_threshold()[0]

    with Crew(Settings.of(SCRIPTED), str(tmp_path)) as crew:
        assert crew.run([row])[0] > usual[0]
    assert gc.get_threshold() == usual


def test_a_cassette_plays_what_was_recorded(tmp_path: Path) -> None:
    cassette = {"backend": "cassette", "cassette": str(tmp_path / "tape.answers.jsonl"), "model": "m"}
    with serving() as server:
        record = Settings.of({**cassette, "record": True, "base_url": server.base_url})
        recorded, _ = ask(record, tmp_path / "unused", request("a"), request("b"))
        assert len(server.requests) == 2
    played, counts = ask(Settings.of(cassette), tmp_path / "unused", request("a"), request("b"), request("c"))
    assert played[:2] == recorded
    assert counts == {"kept": 2}
    key = Settings.of(cassette).key(request("c"))
    assert played[2].failure == "not_recorded"
    assert f"no answer to {key}: record it with `record: true`" in played[2].text
    assert not (tmp_path / "unused").exists()
    scripted = {**cassette, "record": True, "function": SCRIPTED["function"]}
    answers, _ = ask(Settings.of(scripted), tmp_path, request("a"), request("c"))
    assert [answer.text for answer in answers] == ["Score: 3", "C 0"]


def test_recorded_and_scripted_answers_are_held_to_a_schema(tmp_path: Path) -> None:
    given = Settings.of({"backend": "scripted", "function": "tests.synth.teacher.scripts:as_json"})
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}}
    answers, _ = ask(given, tmp_path, request("x")._replace(schema=schema), request("y")._replace(schema=schema))
    assert [answer.failure for answer in answers] == [None, "off_schema"]


def test_storms_lose_no_row_and_charge_none_twice(tmp_path: Path) -> None:
    """Of the tries one in two meets something: too many, broken, cut off, no JSON. An answer that was cut off at its length is one."""
    troubles = [
        Reply(status=429, headers={"Retry-After": "0.01"}),
        Reply(status=500),
        Reply(cut=True),
        Reply(body=b'{"choices": [{"mess'),
        Reply(status=503),
    ]

    def reply(prompt: str, times: int) -> Reply:
        number = int(prompt) * 7 + times * 3
        return (
            Reply(f"about {prompt}", finish_reason="length" if int(prompt) % 9 == 0 else "stop")
            if (number % 2 or times > 4)
            else troubles[number // 2 % 5]
        )

    requests = [request(str(index)) for index in range(300)]
    with serving(reply) as server:
        given = settings(server, concurrency=30, price_out=1e6, max_cost=3_100)
        with Crew(given, str(tmp_path), first_pause=0.005) as crew:
            answers = crew.run(map(asking, requests))
            assert [answer.text for answer in answers] == [f"about {index}" for index in range(300)]
            assert sum(answer.finish_reason == "length" for answer in answers) == 34
            assert crew.used()["cost"] == 3_000
            asked = len(server.requests)
            assert crew.asked["requests"] == asked > 400
            assert sum(crew.asked.values()) - asked == asked - 300
        answers, counts = ask(given, tmp_path, *requests)
        assert counts == {"kept": 300}
        assert len(server.requests) == asked


CHILD = """
import sys
from synth.teacher import Crew, Settings
from tests.synth.teacher.asking import asking, request
with Crew(Settings.of({"base_url": sys.argv[1], "model": "m", "concurrency": 8}), sys.argv[2]) as crew:
    print("begun", flush=True)
    crew.run(map(asking, (request(str(index)) for index in range(200))))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_and_again_costs_one_pass(tmp_path: Path, how: signal.Signals) -> None:
    killed = threading.Event()

    def reply(prompt: str, times: int) -> Reply:  # after 120 requests it answers nobody before the kill
        return Reply(delay=0.02 if killed.is_set() or len(server.requests) <= 120 else 60)

    with serving(reply) as server:
        child = [sys.executable, "-c", CHILD, server.base_url, str(tmp_path)]
        process = subprocess.Popen(child, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(server.requests) < 100 and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(process.pid, how)
        assert process.wait(20)
        killed.set()
        asked = len(server.requests)
        assert 100 <= asked < 200
        answers, counts = ask(settings(server), tmp_path, *(request(str(index)) for index in range(200)))
        assert all(isinstance(answer, Answer) and answer.is_whole for answer in answers)
        assert len(server.requests) <= 200 + 8  # what was under way
        assert counts["kept"] >= asked - 8
