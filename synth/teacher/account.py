"""The one book of all workers that ask a model: how many requests each may have under way, at which share of the rates, with which money.

A worker (`synth.teacher.gate`) renews its lease a few times a second and asks nobody in between. What is leased never adds up to more than
there is: a worker that comes gets only what the others have handed back, so for up to a renewal it may get nothing.

    requests at a time   by demand; equal parts where they do not suffice. A server that says 429 gets fewer, and more again
                         as it answers. One that says nothing else for `LONGEST_WAIT_SECONDS` ends the run: some say so of an account
                         that is empty
    rates                the same part of the requests and tokens per minute as of the requests at a time
    money                set aside before a request is sent; what a worker that died had set aside counts as spent while others live
    breaker              `MOST_FAILURES` lost tries in a row, whoever made them, stop all. After a pause that doubles each time one worker
                         tries one request: its answer closes the breaker, `MOST_PROBES` lost in a row end the run

There is one book for all corpora whose `teacher:` says the same of address, model and limits: a plain object, which on Ray lives in an
actor (`datapipe.engine.shared`), else beside the only worker.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

MOST_FAILURES, MOST_PROBES = 20, 10
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3600.0
NARROWER, NARROW_SECONDS = 0.7, 1.0  # after a 429 requests at a time shrink by the one, at most once in the other
ANSWERS_PER_SLOT = 8  # and grow by one per so many answers
LEASE_SECONDS = 60.0  # a worker that has not renewed for so long gets nothing kept free


class Limits(NamedTuple):
    """Of the whole run; 0 is none."""

    model: str
    concurrency: int
    requests_per_minute: int
    tokens_per_minute: int
    max_cost: float
    first_pause: float  # seconds, of the breaker


class Report(NamedTuple):
    """What a worker tells of the time since its last report."""

    worker: str
    wanted: int  # requests that are under way or wait, at most
    under_way: int
    answered: int  # tries
    lost: int  # tries, since the last one that was answered
    told_to_wait: float | None  # seconds, by a 429
    trouble: str  # the last one
    spent: float
    reserved: float  # of requests that are under way
    kept: float  # beside that
    needed: float  # to send what waits
    needed_first: float  # to send the first of what waits
    tokens: int = 0  # of answers and their prompts
    leaves: bool = False


class Lease(NamedTuple):
    """What a worker may do until it renews."""

    slots: int  # requests at a time
    part: float  # of the rates
    money: float  # more
    pause: float  # seconds in which nothing may start
    is_open: bool = False  # the breaker: the server answers nobody
    end: str = ""  # why no request will ever be sent again


NOTHING = Lease(0, 0.0, 0.0, 0.0)


class _Worker:
    def __init__(self) -> None:
        self.slots, self.part, self.money = 0, 0.0, 0.0
        self.wanted = 0
        self.seen = 0.0


class Account:
    """`spent` is what earlier runs have paid. `clock` gives seconds."""

    def __init__(self, limits: Limits, spent: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self.spent, self._clock = limits, spent, clock
        self._answered = self._tokens = 0
        self._workers: dict[str, _Worker] = {}
        self._width = float(limits.concurrency)  # requests at a time that the server bears
        self._narrowed_at = -NARROW_SECONDS
        self._lost = self._probes = 0
        self._is_open = False  # the breaker: no current flows
        self._prober = ""
        self._paused_until = 0.0
        self._told_to_wait_at: float | None = None  # first, since the last answer
        self._end = ""

    def renew(self, report: Report) -> Lease:
        """Takes a report and gives a lease."""
        now = self._clock()
        worker = self._workers.setdefault(report.worker, _Worker())
        worker.seen, worker.wanted = now, report.wanted
        self._judge(report, now)
        self.spent += report.spent
        self._answered += report.answered
        self._tokens += report.tokens
        worker.money = report.reserved + report.kept
        if report.leaves:
            del self._workers[report.worker]
            return NOTHING
        others = [each for name, each in self._workers.items() if name != report.worker]
        for each in others:
            if now - each.seen > LEASE_SECONDS:
                each.slots, each.part, each.wanted = 0, 0.0, 0
        money = self._grant(worker, others, report, now)
        slots = self._slots(others, report, now)
        worker.slots = max(slots, report.under_way)  # what is under way cannot be called back
        worker.part = self._part(worker, others)
        return Lease(slots, worker.part, money, max(0.0, self._paused_until - now), self._is_open, self._end)

    def told(self) -> str:
        """How things stand, on one line; "" before there is anything to tell. `spent` is of earlier runs too, the rest is of this one."""
        state = ", server does not answer" if self._is_open else ""
        if self._told_to_wait_at is not None:
            state += f", told to wait (HTTP 429) for {self._clock() - self._told_to_wait_at:.0f} s"
        if not (self._answered or state):
            return ""
        cost = f", cost {self.spent:.4g}" if self.spent else ""
        budget = f" of {self.limits.max_cost:g}" if self.limits.max_cost else ""
        return f"{self.limits.model}: {self._answered:,} answers, {self._tokens:,} tokens{cost}{budget}{state}"

    def _slots(self, others: list[_Worker], report: Report, now: float) -> int:
        if self._is_open:
            if self._prober == report.worker and not report.wanted:  # it waits to try again, or has other things to do
                self._prober = ""
            prober = self._workers.get(self._prober)
            if prober and self._prober != report.worker and now - prober.seen <= LEASE_SECONDS:
                return 0
            if now < self._paused_until or not report.wanted:
                return 0
            self._prober = report.worker
            return 1
        width = max(1, int(self._width))
        free = width - sum(each.slots for each in others)
        fair = max(1, width // (len(others) + 1))
        slots = min(report.wanted, free)
        if any(each.slots < min(each.wanted, fair) for each in others):
            slots = min(slots, fair)
        return max(0, slots)

    def _part(self, worker: _Worker, others: list[_Worker]) -> float:
        if not (self.limits.requests_per_minute or self.limits.tokens_per_minute):
            return 1.0
        total = worker.slots + sum(each.slots for each in others)
        free = 1.0 - sum(each.part for each in others)
        return max(0.0, min(worker.slots / total, free)) if total else 0.0

    def _grant(self, worker: _Worker, others: list[_Worker], report: Report, now: float) -> float:
        """More money for a worker; `end` is set when what it needs will never be there."""
        if not self.limits.max_cost:
            return 0.0
        left = self.limits.max_cost - self.spent - worker.money - sum(each.money for each in others)
        money = max(0.0, min(report.needed + report.reserved - report.kept, left))
        if report.needed_first > report.kept + money:
            living = [each for each in others if now - each.seen <= LEASE_SECONDS]
            if not report.reserved and not any(each.money for each in living):
                self._end = (
                    f"{self.limits.model}: answers have cost {self.spent:.4g} of max_cost {self.limits.max_cost:g}, and the next may cost "
                    f"{report.needed_first:.4g}. What was answered is kept: raise max_cost and go on, or ask for less."
                )
        worker.money += money
        return money

    def _judge(self, report: Report, now: float) -> None:
        """The breaker, and how much the server bears."""
        if report.told_to_wait is not None:
            if now >= self._narrowed_at + NARROW_SECONDS:  # all requests of a burst are told so: one reason
                self._width, self._narrowed_at = max(1.0, self._width * NARROWER), now
            self._paused_until = max(self._paused_until, now + report.told_to_wait)
            self._wait(now)
        if report.answered:
            self._told_to_wait_at = None
            self._width = min(float(self.limits.concurrency), self._width + report.answered / ANSWERS_PER_SLOT)
            self._lost, self._probes, self._is_open, self._prober = report.lost, 0, False, ""
        elif not self._is_open:
            self._lost += report.lost
        elif report.lost and report.worker == self._prober:
            self._pause(report, now)
        if self._lost >= MOST_FAILURES and not self._is_open:
            self._is_open = True
            self._pause(report, now)

    def _wait(self, now: float) -> None:
        """Somebody was told to wait."""
        if self._told_to_wait_at is None:
            self._told_to_wait_at = now
        seconds = now - self._told_to_wait_at
        if seconds >= LONGEST_WAIT_SECONDS and not self._end:
            self._end = (
                f"{self.limits.model}: told to wait (HTTP 429) for {seconds:.0f} s, and nothing was answered meanwhile. Look whether the "
                f"account is empty or another one uses up its rates, and run again: what was answered is kept."
            )

    def _pause(self, report: Report, now: float) -> None:
        """The breaker opens, or a try at the open breaker was lost."""
        if self._probes >= MOST_PROBES and not self._end:
            self._end = (
                f"{self.limits.model}: {self._lost} tries in a row were lost, and after that {self._probes} more, with growing pauses (the "
                f"last: {report.trouble}). Look at the server, lower concurrency, and run again: what was answered is kept."
            )
        seconds = min(LONGEST_PAUSE_SECONDS, self.limits.first_pause * 2**self._probes)
        self._paused_until = max(self._paused_until, now + seconds)
        self._probes += 1
        self._prober = ""
