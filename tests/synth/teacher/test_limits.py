"""Rates, budget and breaker, as a worker meets them; what many workers make of them is in `test_account`."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from synth.teacher import Answer, Crew, Teacher, TeacherError
from synth.teacher.account import MOST_FAILURES, NOTHING, Lease, Limits, Report
from synth.teacher.gate import CATCH_UP_SECONDS, SPREAD_CATCH_UP_SECONDS, SPREAD_SECONDS, Gate, Ticket
from tests.synth.chat_server import Reply, serving
from tests.synth.teacher.asking import ask, asking, request, settings


def test_a_server_that_is_down_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.account.MOST_PROBES", 4)
    with serving() as server:
        given = settings(server, max_attempts=1)
    told = r"m: \d+ tries in a row were lost, and after that 4 more.*\(the last: connection\)"
    with pytest.raises(TeacherError, match=told):
        ask(given, tmp_path, *(request(str(index)) for index in range(100)))


def test_a_server_that_comes_back_costs_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the breaker is open requests wait, whatever they have tried, and one at a time asks."""
    monkeypatch.setattr("synth.teacher.account.MOST_PROBES", 99)
    monkeypatch.setattr("synth.teacher.account.LONGEST_PAUSE_SECONDS", 0.02)
    at_once = []

    def reply(prompt: str, times: int) -> Reply:
        at_once.append(server._at_once)
        return Reply(status=503 if len(server.requests) < 80 else 200)

    with serving(reply) as server:
        given = settings(server, max_attempts=8, concurrency=16)
        answers, counts = ask(given, tmp_path, *(request(str(index)) for index in range(64)))
        assert all(answer.is_whole for answer in answers)
        assert counts["tries_lost.http_5xx"] == 79
        assert max(at_once[:16]) > 1
        assert max(at_once[60:79]) == 1  # of tries before the breaker opened, all have ended


def test_some_without_an_answer_do_not_end_it(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(status=500 if int(prompt) % 2 else 200)) as server:
        requests = [request(str(index)) for index in range(2 * MOST_FAILURES + 2)]
        answers, _ = ask(settings(server, max_attempts=1, concurrency=1), tmp_path, *requests)
        assert sum(answer.failure == "http_5xx" for answer in answers) == MOST_FAILURES + 1


def test_requests_that_break_the_server_fail_alone(tmp_path: Path) -> None:
    """The last ones of a run: nobody else is answered any more, and they have thirty tries."""
    with serving(lambda prompt, times: Reply(status=500)) as server:
        answers, counts = ask(settings(server), tmp_path, *map(request, "abc"))
        assert [answer.failure for answer in answers] == ["http_5xx"] * 3
        assert counts == {"requests": 30, "tries_lost.http_5xx": 30}


def test_a_server_that_breaks_at_everything_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.account.MOST_PROBES", 2)
    with serving(lambda prompt, times: Reply(status=500)) as server, pytest.raises(TeacherError, match="2 more"):
        ask(settings(server), tmp_path, *(request(str(index)) for index in range(100)))


@pytest.mark.parametrize("limit", [{"requests_per_minute": 1200}, {"tokens_per_minute": 1200 * 27}])
def test_rates_are_kept(tmp_path: Path, limit: dict[str, int]) -> None:
    """Ten at 20 per second (of 27 tokens each, nine tenths of them expected from the length of the prompt)."""
    with serving(lambda prompt, times: Reply(usage=False)) as server:
        ask(settings(server, **limit), tmp_path, *(request(str(index), max_tokens=11) for index in range(10)))
        assert server.times[-1] - server.times[0] >= 0.45 - CATCH_UP_SECONDS


def seconds_of(given: Any, folder: Path, *requests: Any) -> float:
    """Of one request after the other."""

    async def row(teacher: Teacher) -> float:
        start = time.monotonic()
        for each in requests:
            await teacher.ask(each)
        return time.monotonic() - start

    with Crew(given, str(folder), first_pause=0.01) as crew:
        return crew.run([row])[0]


def test_tokens_that_were_not_used_are_given_back(tmp_path: Path) -> None:
    with serving() as server:
        given = settings(server, tokens_per_minute=60_000)
        requests = [request(str(index), max_tokens=5_000) for index in range(3)]
        assert seconds_of(given, tmp_path, *requests) < 5  # five seconds each if what was expected had counted


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
    with serving(lambda prompt, times: lost if times < 2 else Reply()) as server:
        given = settings(server, tokens_per_minute=600_000)
        seconds = seconds_of(given, tmp_path, request(max_tokens=5_000))
        assert len(server.requests) == 3
        assert (seconds < 0.9) == is_given_back


def test_one_that_is_told_to_wait_makes_all_wait(tmp_path: Path) -> None:
    busy = Reply(status=429, headers={"Retry-After": "0.4"})

    async def later(teacher: Teacher) -> Answer:
        await asyncio.sleep(0.15)
        return await teacher.ask(request("later"))

    with serving(lambda prompt, times: busy if prompt == "0" and not times else Reply()) as server:
        with Crew(settings(server), str(tmp_path), first_pause=0.01) as crew:
            crew.run([asking(request("0")), later])
        assert len(server.times) == 3
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
        assert counts["requests"] == 13
        assert len(server.requests) == 20


def test_a_budget_counts_what_is_under_way(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(delay=0.05)) as server:
        given = settings(server, price_out=1e6, max_cost=75)
        told = r"have cost 70 of max_cost 75.* 7 rows have ended so far; their answers: stop 7\."
        with pytest.raises(TeacherError, match=told):
            ask(given, tmp_path, *(request(str(index)) for index in range(20)))
        assert len(server.requests) == 7


def test_a_budget_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """The most that requests can cost is five times what they do: all fit, if one after the other."""
    with serving() as server:
        requests = [request(str(index), max_tokens=50) for index in range(5)]
        with Crew(settings(server, price_out=1e6, max_cost=90), str(tmp_path)) as crew:
            assert len(crew.run(map(asking, requests))) == 5
            assert crew.used() == {
                "answers": 5,
                "prompt_tokens": 0,
                "cached_tokens": 0,
                "completion_tokens": 50,
                "reasoning_tokens": 0,
                "cost": 50.0,
            }


def test_nothing_is_set_aside_when_nothing_is_under_way() -> None:
    """What rounding leaves would look like a request that may give money back: all would wait for it for ever."""
    reports = []

    async def shared(method: str, report: Report) -> Lease:
        reports.append(report)
        return Lease(9, 1.0, 1.0, 0.0)

    async def run() -> None:
        async with Gate(shared, Limits("m", 9, 0, 0, 9.0, 1.0)) as gate:
            tickets = [Ticket(1, money) for money in (0.1, 0.2, 0.3)]
            for ticket in tickets:
                await gate.enter(ticket)
            for ticket in tickets:
                gate.leave(ticket, tokens=1, cost=0.1)

    asyncio.run(run())
    assert 0.1 + 0.2 + 0.3 - 0.1 - 0.2 - 0.3 != 0
    assert reports[-1].reserved == 0


def test_a_gate_closes_whatever_it_was_about_to_report() -> None:
    """Cancelled in the very round in which it wakes up to renew its lease, or some rounds later."""

    async def shared(method: str, report: Report) -> Lease:
        return NOTHING

    async def run(rounds: int) -> None:
        async with Gate(shared, Limits("m", 9, 0, 0, 0.0, 1.0)) as gate:
            await asyncio.sleep(0.002)
            gate._renew.set()
            for _ in range(rounds):
                await asyncio.sleep(0)

    async def bounded(rounds: int) -> None:
        await asyncio.wait([task := asyncio.create_task(run(rounds))], timeout=2)
        is_closed = task.done()
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        assert is_closed

    for rounds in range(6):
        asyncio.run(bounded(rounds))


def test_nobody_waits_at_the_pace_of_a_smaller_part() -> None:
    """A worker that comes late gets what is free of the rates, next to nothing, and a moment later its part."""
    leases = iter([Lease(9, 1e-16, 0.0, 0.0)])

    async def shared(method: str, report: Report) -> Lease:
        return next(leases, Lease(9, 0.5, 0.0, 0.0))

    async def run() -> None:
        async with Gate(shared, Limits("m", 9, 1_200, 1_200, 0.0, 1.0)) as gate:
            for _ in range(2):
                await asyncio.wait_for(gate.enter(Ticket(1, 0.0)), 5)

    asyncio.run(run())


def test_what_is_lost_while_nobody_is_answered_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.account.MOST_FAILURES", 1)
    with serving(lambda prompt, times: Reply(status=503 if times < 4 else 200)) as server:
        (answer,), counts = ask(settings(server, max_attempts=1), tmp_path, request())
        assert answer.is_whole
        assert counts == {"requests": 5, "tries_lost.http_5xx": 4}


def test_after_the_one_try_of_an_open_breaker_none_starts_before_the_account_has_heard() -> None:
    ticket = Ticket(1, 0.0)
    answering = asyncio.Event()

    async def shared(method: str, report: Report) -> Lease:
        if report.lost:
            await answering.wait()
        return Lease(1, 1.0, 0.0, 0.0)

    async def run() -> None:
        async with Gate(shared, Limits("m", 9, 0, 0, 0.0, 1.0)) as gate:
            await gate.enter(ticket)
            second = asyncio.create_task(gate.enter(ticket))
            await asyncio.sleep(0)
            gate.leave(ticket, tokens=0, cost=0.0, trouble="http_5xx")
            await asyncio.sleep(0.05)
            assert not second.done()
            answering.set()
            await asyncio.wait_for(second, 5)

    asyncio.run(run())


def test_an_account_that_breaks_ends_who_waits() -> None:
    async def shared(method: str, report: Report) -> Lease:
        if report.leaves:
            return Lease(0, 0.0, 0.0, 0.0)
        raise ZeroDivisionError("broken")

    async def run() -> None:
        async with Gate(shared, Limits("m", 9, 0, 0, 0.0, 1.0)) as gate:
            await asyncio.wait_for(gate.enter(Ticket(1, 0.0)), 5)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


def test_starts_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came at once is drawn out: of a hundred all but a few of the first start later than the one before."""

    async def shared(method: str, report: Report) -> Lease:
        return Lease(100, 1.0, 0.0, 0.0)

    async def run(number: int) -> float:
        loop = asyncio.get_running_loop()
        async with Gate(shared, Limits("m", 100, 0, 0, 0.0, 1.0)) as gate:
            start = loop.time()
            await asyncio.gather(*(gate.enter(Ticket(1, 0.0)) for _ in range(number)))
            return loop.time() - start

    assert asyncio.run(run(100)) >= 100 * SPREAD_SECONDS - SPREAD_CATCH_UP_SECONDS
    monkeypatch.setattr("synth.teacher.gate.SPREAD_SECONDS", 0.0)
    assert asyncio.run(run(100)) < 100 * SPREAD_SECONDS - SPREAD_CATCH_UP_SECONDS


def test_what_is_no_longer_leased_is_told_when_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.gate.RENEW_SECONDS", 60.0)
    reports: list[Report] = []

    async def shared(method: str, report: Report) -> Lease:
        reports.append(report)
        return Lease(3 if len(reports) == 1 else 1, 1.0, 0.0, 0.0)

    async def run() -> None:
        async with Gate(shared, Limits("m", 9, 0, 0, 0.0, 1.0)) as gate:
            await asyncio.gather(*(gate.enter(Ticket(1, 0.0)) for _ in range(3)))
            await gate.is_server_down()  # it renews: two of the three are too many now
            assert [report.under_way for report in reports] == [0, 3]
            for _ in range(2):
                gate.leave(Ticket(1, 0.0), tokens=0, cost=0.0)
                await asyncio.sleep(0.01)
            assert [report.under_way for report in reports] == [0, 3, 1]

    asyncio.run(run())


def test_a_worker_that_may_do_nothing_asks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.gate.RENEW_SECONDS", 60.0)
    leases = iter([Lease(0, 0.0, 0.0, 0.0)] * 3)

    async def shared(method: str, report: Report) -> Lease:
        return next(leases, Lease(1, 1.0, 0.0, 0.0))

    async def run() -> None:
        async with Gate(shared, Limits("m", 9, 0, 0, 0.0, 1.0)) as gate:
            await asyncio.wait_for(gate.enter(Ticket(1, 0.0)), 5)

    asyncio.run(run())
