"""A worker's share of what all may ask (`synth.teacher.account`): requests wait here, and no request waits for a message to the account.

A lease is renewed every `RENEW_SECONDS`, and at once when what waits could get more or another worker gets what this one no longer may
have. Requests start in the order in which they came.

What comes together does not go out together. Answers that arrive at once keep an event loop busy for a while, the next requests of all of
them leave in one burst, and from a server that takes as long for each their answers arrive at once again: 200 requests at a time would
each wait for the work of the 199 others, round after round. `SPREAD_SECONDS` between two starts is what a request costs a process anyway,
and draws a burst out to 50 ms.
"""

import asyncio
import contextlib
import uuid
from collections import deque
from typing import NamedTuple

from datapipe.engine import Shared
from synth.teacher.account import NOTHING, Lease, Limits, Report
from synth.teacher.protocol import TeacherError

RENEW_SECONDS, SOON_SECONDS = 0.1, 0.05  # the other while nothing may start
CATCH_UP_SECONDS = 0.1  # of a pace that the event loop could not keep
SPREAD_SECONDS, SPREAD_CATCH_UP_SECONDS = 0.00025, 0.002  # timers wake a loop every millisecond at most


class Ticket(NamedTuple):
    """What a try can use at most, and what is set aside for it."""

    tokens: int
    money: float


class _Waiting(NamedTuple):
    ticket: Ticket
    future: "asyncio.Future[None]"


class Gate:
    """An asynchronous context. `shared` is the `Account`."""

    def __init__(self, shared: Shared, limits: Limits) -> None:
        self._shared, self._limits = shared, limits
        self._name = uuid.uuid4().hex  # a name among workers; nothing else depends on it
        self._lease, self._rates = NOTHING, self._paces(NOTHING)
        self._waiting: deque[_Waiting] = deque()
        self._next_start = self._next_request = self._next_token = self._paused_until = 0.0
        self._under_way, self._reserved, self._money, self._spent = 0, 0.0, 0.0, 0.0
        self._wanted = self._told = 0  # requests at once, since the last report; in the last report
        self._answered = self._lost = self._tokens = 0
        self._told_to_wait: float | None = None
        self._trouble = ""
        self._error: BaseException | None = None  # why nothing will start any more
        self._renew = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> "Gate":
        self._renewed = asyncio.get_running_loop().create_future()
        self._renewing = asyncio.create_task(self._keep_renewing())
        self._renewing.add_done_callback(self._stopped)
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self._renewing.cancel()
        await asyncio.wait([self._renewing])
        if self._timer:
            self._timer.cancel()
        await self._shared("renew", self._report(leaves=True))

    async def enter(self, ticket: Ticket) -> None:
        """Until a try of at most so many tokens and so much money may start. Raises TeacherError when none ever will."""
        waiting = _Waiting(ticket, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._start()
        try:
            await waiting.future
        except asyncio.CancelledError:
            if waiting.future.done() and not waiting.future.cancelled():
                self.leave(ticket, tokens=0, cost=0.0)
            raise

    def leave(
        self,
        ticket: Ticket,
        *,
        tokens: int,
        cost: float,
        trouble: str = "",
        wait: float | None = None,
        is_lost: bool = True,
    ) -> None:
        """A try is over.

        It has used `tokens` and `cost`. trouble: why there is no answer; is_lost: then, whether that may be the server's state, which an
        open breaker takes it for in any case. wait: seconds in which nobody shall start, if the server said that.
        """
        self._under_way -= 1
        self._reserved = (
            self._reserved - ticket.money if self._under_way else 0.0
        )  # what rounding leaves would look like a try
        self._money += ticket.money - cost
        self._spent += cost
        if self._rates[1]:
            self._next_token += (tokens - ticket.tokens) * self._rates[1]
        if trouble:
            self._lost, self._trouble = self._lost + (is_lost or self._lease.is_open), trouble
            if self._lease.slots == 1:  # it may have been the one try that an open breaker allows
                self._lease = self._lease._replace(slots=0)
        else:
            self._answered, self._tokens, self._lost = self._answered + 1, self._tokens + tokens, 0
        if wait is not None:
            self._told_to_wait = max(wait, self._told_to_wait or 0.0)
            self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + wait)
        is_given_back = self._under_way == self._lease.slots  # there were more than it is leased by now
        if trouble or is_given_back or (self._waiting and self._lacks_money(self._waiting[0].ticket)):
            self._renew.set()
        self._start()

    async def is_server_down(self) -> bool:
        """Whether the breaker is open, by what all workers know, this one's last tries included."""
        renewed = self._renewed
        self._renew.set()
        await asyncio.wait([renewed, self._renewing], return_when=asyncio.FIRST_COMPLETED)
        return self._lease.is_open

    def _paces(self, lease: Lease) -> tuple[float, float]:
        """Seconds per request, and per token; 0 where there is no limit."""
        part = lease.part or 1.0
        requests, tokens = self._limits.requests_per_minute, self._limits.tokens_per_minute
        return 60 / requests / part if requests else 0.0, 60 / tokens / part if tokens else 0.0

    def _start(self) -> None:
        """Lets those start that may, in their order."""
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()
        wanted = self._under_way + len(self._waiting)
        if wanted > max(self._wanted, self._told):
            self._renew.set()
        self._wanted = max(self._wanted, wanted)
        while self._waiting:
            ticket, future = self._waiting[0]
            if self._error:
                future.set_exception(self._error)
            elif self._may_start(ticket):
                self._under_way += 1
                self._reserved += ticket.money
                self._money -= ticket.money
                future.set_result(None)
            else:
                return
            self._waiting.popleft()

    def _may_start(self, ticket: Ticket) -> bool:
        """Whether a try may start now, and then counts for the pace."""
        if self._under_way >= self._lease.slots or not self._lease.part:
            return False
        if self._lacks_money(ticket):
            return False
        now = asyncio.get_running_loop().time()
        if (at := max(self._next_start, self._next_request, self._next_token, self._paused_until)) > now:
            self._wake(at, now)
            return False
        per_request, per_token = self._rates
        self._next_start = max(self._next_start, now - SPREAD_CATCH_UP_SECONDS) + SPREAD_SECONDS
        self._next_request = _from(self._next_request, now) + per_request
        self._next_token = _from(self._next_token, now) + per_token * ticket.tokens
        return True

    def _lacks_money(self, ticket: Ticket) -> bool:
        return self._limits.max_cost > 0 and self._money < ticket.money

    def _stopped(self, renewing: "asyncio.Task[None]") -> None:
        """Renewing never ends, unless it is told to or cannot go on."""
        if not renewing.cancelled():
            self._error = renewing.exception()
            self._start()

    def _wake(self, at: float, now: float) -> None:
        if self._timer:
            if now < self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._start)

    async def _keep_renewing(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    self._until_renewal()
                ):  # `wait_for` swallows a cancellation that comes with the event
                    await self._renew.wait()
            self._renew.clear()
            renewed, self._renewed = self._renewed, asyncio.get_running_loop().create_future()
            self._take(await self._shared("renew", self._report()))
            renewed.set_result(None)
            self._start()

    def _until_renewal(self) -> float:
        left = self._paused_until - asyncio.get_running_loop().time()
        if left > 0:
            return min(left, RENEW_SECONDS)
        return SOON_SECONDS if self._waiting and not self._lease.slots else RENEW_SECONDS

    def _report(self, leaves: bool = False) -> Report:
        needed = [waiting.ticket.money for waiting in self._waiting]
        if needed and self._money < needed[0]:  # too little to start any: others may need it
            kept, self._money = 0.0, 0.0
        else:
            kept = self._money = max(0.0, min(self._money, sum(needed) + self._reserved))
        report = Report(
            worker=self._name,
            wanted=self._wanted,
            under_way=self._under_way,
            answered=self._answered,
            lost=self._lost,
            told_to_wait=self._told_to_wait,
            trouble=self._trouble,
            spent=self._spent,
            reserved=self._reserved,
            kept=kept,
            needed=sum(needed),
            needed_first=needed[0] if needed else 0.0,
            tokens=self._tokens,
            leaves=leaves,
        )
        self._told, self._wanted = self._wanted, self._under_way + len(self._waiting)
        self._answered = self._lost = self._tokens = 0
        self._spent, self._told_to_wait = 0.0, None
        return report

    def _take(self, lease: Lease) -> None:
        before, self._lease, self._rates = self._rates, lease, self._paces(lease)
        now = asyncio.get_running_loop().time()
        self._next_request = _rescaled(self._next_request, now, before[0], self._rates[0])
        self._next_token = _rescaled(self._next_token, now, before[1], self._rates[1])
        if lease.end:
            self._error = TeacherError(lease.end)
        self._money += lease.money
        self._paused_until = max(self._paused_until, now + lease.pause)


def _rescaled(planned: float, now: float, before: float, pace: float) -> float:
    """When the next may start at another pace: who had a hundredth of the rate for the last one waits less with half of it."""
    return now + (planned - now) * pace / before if before and planned > now else planned


def _from(planned: float, now: float) -> float:
    """When the pace says that the last request should have started, if that was just now."""
    return planned if now - planned < CATCH_UP_SECONDS else now
