"""A limit on CPU time that nothing swallows, and that leaves nothing behind."""

import signal
import threading
import time

import pytest

from curation.extraction.time_limit import OutOfTime, within


def spin(seconds: float) -> str:
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
    return "done"


def test_work_within_its_time_returns() -> None:
    assert within(5.0, lambda: spin(0.01)) == "done"
    assert within(0, lambda: spin(0.01)) == "done"


def test_work_beyond_its_time_ends() -> None:
    start = time.process_time()
    with pytest.raises(OutOfTime):
        within(0.05, lambda: spin(3))
    assert time.process_time() - start < 1


def test_waiting_costs_no_cpu() -> None:
    assert within(0.05, lambda: time.sleep(0.2)) is None


def test_a_library_that_catches_everything_is_asked_again() -> None:
    caught = []

    def stubborn() -> None:
        try:
            spin(3)
        except BaseException as error:  # noqa: BLE001
            caught.append(error)
        spin(3)

    with pytest.raises(OutOfTime):
        within(0.05, stubborn)
    assert len(caught) == 1


def test_handler_and_timer_are_as_before() -> None:
    def handler(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGVTALRM, handler)
    try:
        with pytest.raises(KeyError):
            within(5.0, lambda: {}["missing"])
        with pytest.raises(OutOfTime):
            within(0.02, lambda: spin(3))
        assert signal.getsignal(signal.SIGVTALRM) is handler
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def test_other_threads_have_no_limit() -> None:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(within(0.01, lambda: spin(0.1))))
    thread.start()
    thread.join()
    assert results == ["done"]
