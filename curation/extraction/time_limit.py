"""A limit on the CPU seconds of a piece of work, by the process's own timer (ITIMER_VIRTUAL), so that a busy machine changes nothing.

The signal reaches Python between two of its instructions: what runs in C (a parser, an XPath) is interrupted when it returns, so the size
of its input must be bounded too. Signals reach the main thread only; in another one nothing is limited. User time of all threads counts.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Result = TypeVar("Result")

_REPEAT_SECONDS = 1.0


class OutOfTime(BaseException):
    """The work took longer than its limit. No `Exception`, because libraries catch those; raised again every second all the same."""


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What `work()` returns; OutOfTime after `seconds` of CPU (0: no limit). Two microseconds, and it owns SIGVTALRM meanwhile."""
    if not seconds or threading.current_thread() is not threading.main_thread():
        return work()
    armed = True

    def ring(number: int, frame: FrameType | None) -> None:
        if armed:
            raise OutOfTime

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _REPEAT_SECONDS)
    try:
        try:
            return work()
        finally:
            armed = False
    finally:  # reached even when the signal comes between the end of the work and the line above
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL if before is None else before)
