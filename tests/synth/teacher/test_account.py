"""The book of many workers: whatever they report and in whatever order, no more is leased than there is."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from synth.teacher.account import (
    ANSWERS_PER_SLOT,
    LEASE_SECONDS,
    LONGEST_WAIT_SECONDS,
    MOST_FAILURES,
    MOST_PROBES,
    NARROWER,
    NOTHING,
    Account,
    Lease,
    Limits,
    Report,
)

LIMITS = Limits("m", 20, 0, 0, 0.0, 1.0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def report(worker: str, **about: object) -> Report:
    silent = Report(worker, 0, 0, 0, 0, None, "", 0.0, 0.0, 0.0, 0.0, 0.0)
    return silent._replace(**about)  # type: ignore[arg-type]


def test_one_worker_gets_what_it_wants_and_two_get_equal_parts() -> None:
    account = Account(LIMITS._replace(requests_per_minute=60), 0.0, Clock())
    assert account.renew(report("a", wanted=15))[:2] == (15, 1.0)
    assert account.renew(report("a", wanted=50))[:2] == (20, 1.0)
    assert account.renew(report("b", wanted=50))[:2] == (0, 0.0)  # nothing is free
    assert account.renew(report("a", wanted=50, under_way=20))[:2] == (10, 1.0)  # twenty are under way still
    assert account.renew(report("b", wanted=50))[:2] == (0, 0.0)
    assert account.renew(report("a", wanted=50, under_way=10)).slots == 10
    assert account.renew(report("b", wanted=50)).slots == 10
    account.renew(report("a", wanted=50, under_way=10))
    assert account.renew(report("b", wanted=50))[:2] == (10, 0.5)
    assert account.renew(report("a", wanted=3, under_way=3)).slots == 3
    assert account.renew(report("b", wanted=50)).slots == 17
    account.renew(report("a", leaves=True))
    assert account.renew(report("b", wanted=50))[:2] == (20, 1.0)


def test_a_worker_that_is_gone_keeps_no_place_but_what_it_may_have_spent() -> None:
    clock = Clock()
    account = Account(LIMITS._replace(max_cost=100.0), 0.0, clock)
    assert account.renew(report("a", wanted=20, needed=60.0, needed_first=3.0)) == Lease(20, 1.0, 60.0, 0.0)
    assert account.renew(report("b", wanted=20, needed=60.0, needed_first=50.0))[:3] == (0, 1.0, 40.0)
    clock.now = LEASE_SECONDS + 1
    lease = account.renew(report("b", wanted=20, kept=40.0, needed=60.0, needed_first=50.0))
    assert (lease.slots, lease.money) == (20, 0.0)
    assert "have cost 0 of max_cost 100, and the next may cost 50" in lease.end


def test_who_could_get_money_back_from_others_waits() -> None:
    account = Account(LIMITS._replace(max_cost=12.0), 0.0, Clock())
    assert account.renew(report("a", wanted=1, needed=6.0, needed_first=6.0)).money == 6
    assert account.renew(report("b", wanted=1, needed=6.0, needed_first=6.0)).money == 6
    lease = account.renew(report("b", wanted=1, needed=10.0, needed_first=10.0))  # gives back what is too little
    assert (lease.money, lease.end) == (6.0, "")
    assert account.renew(report("a", wanted=0)).money == 0
    assert account.renew(report("b", wanted=1, needed=10.0, needed_first=10.0)).money == 10
    lease = account.renew(report("a", wanted=1, needed=3.0, needed_first=3.0))
    assert (lease.money, lease.end) == (2.0, "")  # b may not use all of its ten
    account.renew(report("b", spent=9.5, leaves=True))
    assert account.renew(report("a", wanted=1, kept=2.0, needed=3.0, needed_first=3.0)).end


def test_a_breaker_opens_lets_one_try_and_closes_again() -> None:
    clock = Clock()
    account = Account(LIMITS, 0.0, clock)
    account.renew(report("b", wanted=9, lost=MOST_FAILURES - 5))
    assert account.renew(report("a", wanted=9, lost=4)).slots
    account.renew(report("b", wanted=9, lost=3, answered=1))  # an answer in between
    assert account.renew(report("a", wanted=9, lost=MOST_FAILURES - 4)).slots
    assert account.renew(report("b", wanted=9, lost=1, trouble="http_5xx")) == Lease(0, 1.0, 0.0, 1.0, True)
    clock.now = 0.5
    assert account.renew(report("a", wanted=9)) == Lease(0, 1.0, 0.0, 0.5, True)
    clock.now = 1.0
    assert account.renew(report("a", wanted=9)).slots == 1
    assert account.renew(report("b", wanted=9)).slots == 0
    assert account.renew(report("a", wanted=9, under_way=1)).slots == 1
    assert account.renew(report("b", wanted=9, lost=3)).slots == 0  # was under way before
    assert account.renew(report("a", wanted=9, lost=1)) == Lease(0, 1.0, 0.0, 2.0, True)
    clock.now = 3.0
    assert account.renew(report("b", wanted=9)).slots == 1
    assert account.renew(report("b", wanted=9, answered=1)).slots == 9
    assert account.renew(report("a", wanted=9)).slots == 9


def test_a_breaker_whose_tries_are_all_lost_ends_the_run() -> None:
    clock = Clock()
    account = Account(LIMITS, 0.0, clock)
    lease = account.renew(report("a", wanted=9, lost=MOST_FAILURES))
    pauses = []
    while not lease.end:
        pauses.append(lease.pause)
        clock.now += lease.pause
        assert account.renew(report("a", wanted=9)).slots == 1
        lease = account.renew(report("a", wanted=9, lost=1, trouble="connection"))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert len(pauses) == MOST_PROBES
    assert "20 tries in a row were lost, and after that 10 more" in lease.end
    assert account.renew(report("b", wanted=1)).end == lease.end


def test_a_prober_that_leaves_makes_room_for_another() -> None:
    clock = Clock()
    account = Account(LIMITS, 0.0, clock)
    account.renew(report("a", wanted=9, lost=MOST_FAILURES))
    clock.now = 1.0
    assert account.renew(report("a", wanted=9)).slots == 1
    assert account.renew(report("b", wanted=9)).slots == 0
    account.renew(report("a", leaves=True))
    assert account.renew(report("b", wanted=9)).slots == 1
    clock.now += LEASE_SECONDS + 1  # b was killed
    assert account.renew(report("c", wanted=9)).slots == 1


def test_a_prober_that_has_nothing_to_try_makes_room_for_another() -> None:
    """Its request may wait ten minutes before it is tried again."""
    clock = Clock()
    account = Account(LIMITS, 0.0, clock)
    account.renew(report("a", wanted=9, lost=MOST_FAILURES))
    clock.now = 1.0
    assert account.renew(report("a", wanted=1)).slots == 1
    assert account.renew(report("a", wanted=1, under_way=1)).slots == 1
    assert account.renew(report("b", wanted=9)).slots == 0
    assert account.renew(report("a", wanted=0)).slots == 0
    assert account.renew(report("b", wanted=9)).slots == 1
    assert account.renew(report("a", wanted=9)).slots == 0


def test_a_server_that_says_nothing_but_429_ends_the_run() -> None:
    """Some say so of an account that is empty."""
    clock = Clock()
    account = Account(LIMITS, 0.0, clock)
    account.renew(report("a", wanted=9, told_to_wait=600.0))
    clock.now = 600.0
    assert account.told() == "m: 0 answers, 0 tokens, told to wait (HTTP 429) for 600 s"
    account.renew(report("a", wanted=9, answered=1))
    assert account.told() == "m: 1 answers, 0 tokens"
    for clock.now in (1_000.0, 1_000.0 + LONGEST_WAIT_SECONDS - 1):
        assert not account.renew(report("a", wanted=9, told_to_wait=600.0)).end
    clock.now += 1
    told = account.renew(report("a", wanted=9, told_to_wait=600.0)).end
    assert "told to wait (HTTP 429) for 3600 s" in told
    assert account.renew(report("b", wanted=9)).end == told


def test_a_server_that_says_429_is_asked_less_and_then_more_again() -> None:
    clock = Clock()
    account = Account(LIMITS, 0.0, clock)
    lease = account.renew(report("a", wanted=99, told_to_wait=5.0, lost=1))
    assert (lease.slots, lease.pause) == (int(20 * NARROWER), 5.0)
    assert account.renew(report("b", told_to_wait=4.0, lost=1)).pause == 5  # of the same burst
    clock.now = 5.0
    assert account.renew(report("a", wanted=99)).slots == int(20 * NARROWER)
    assert account.renew(report("a", wanted=99, answered=3 * ANSWERS_PER_SLOT)).slots == int(20 * NARROWER) + 3
    assert account.renew(report("a", wanted=99, answered=99 * ANSWERS_PER_SLOT)).slots == 20


def test_it_tells_how_things_stand() -> None:
    account = Account(LIMITS._replace(max_cost=20.0), 0.5)
    account.renew(report("a", wanted=1))
    assert account.told() == ""
    account.renew(report("a", answered=1_200, tokens=5_000, spent=0.25))
    account.renew(report("b", answered=34, tokens=1))
    assert account.told() == "m: 1,234 answers, 5,001 tokens, cost 0.75 of 20"
    account.renew(report("b", lost=MOST_FAILURES))
    assert account.told().endswith(", server does not answer")
    free = Account(LIMITS, 0.0)
    free.renew(report("a", answered=1, tokens=9))
    assert free.told() == "m: 1 answers, 9 tokens"


@dataclasses.dataclass
class Worker:
    """As a gate keeps its books, with a word for what it does next."""

    name: str
    lease: Lease = NOTHING
    free: float = 0.0
    under_way: int = 0
    spent: float = 0.0


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["renew", "ask", "ask", "end", "leave"]), st.integers(0, 9)),
    max_size=150,
)


@given(price=st.sampled_from([1.0, 7.0]), steps=STEPS)
@settings(max_examples=120, deadline=None)
def test_what_is_leased_never_adds_up_to_more_than_there_is(price: float, steps: list[tuple[str, str, int]]) -> None:
    clock = Clock()
    limits = Limits("m", 6, 600, 0, 40.0, 1.0)
    account = Account(limits, 3.0, clock)
    workers = {name: Worker(name) for name in "abc"}
    paid = 3.0
    for name, action, number in steps:
        worker = workers[name]
        clock.now += 0.1
        if action == "renew" or action == "leave":
            leaves = action == "leave" and not worker.under_way
            needed = 0.0 if leaves else number * price
            wanted = 0 if leaves else worker.under_way + number
            if needed and worker.free < price:
                worker.free = 0.0
            told = report(
                name,
                wanted=wanted,
                under_way=worker.under_way,
                spent=worker.spent,
                reserved=worker.under_way * price,
                kept=worker.free,
                needed=needed,
                needed_first=price if needed else 0.0,
                leaves=leaves,
            )
            worker.lease, worker.spent = account.renew(told), 0.0
            worker.free = 0.0 if leaves else worker.free + worker.lease.money
        elif action == "ask" and worker.under_way < worker.lease.slots and worker.free >= price:
            worker.under_way, worker.free = worker.under_way + 1, worker.free - price
        elif action == "end" and worker.under_way:
            cost = price * number / 9
            worker.under_way, worker.free = worker.under_way - 1, worker.free + price - cost
            worker.spent += cost
            paid += cost
        assert sum(each.under_way for each in workers.values()) <= 6
        assert sum(each.lease.part for each in workers.values()) <= 1 + 1e-9
        assert paid + sum(each.under_way * price + each.free for each in workers.values()) <= 40 + 1e-9
