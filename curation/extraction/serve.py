"""The process that the engines run in: answers pages one by one until the socket closes (`curation.extraction.process` starts it).

The kernel keeps the limits, so they hold in C too, and when the parent is no more. CPU and time on the wall: timers of this process
(ITIMER_PROF, ITIMER_REAL) whose signals end it. Memory: what it may grow by since its engine was loaded (RLIMIT_DATA, private memory;
Linux), beyond which allocations fail, and the process dies or a parser gives up.
Whatever a page raises that is no sign of a bad page ends the process as well, with a traceback on stderr.
"""

import contextlib
import functools
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from curation.extraction.exchange import LINKED, NOT_LOADED, Link, Page, Settings

if TYPE_CHECKING:
    from curation.extraction.engines import MainText

_LIMITS = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}
_WALL_SECONDS, _WALL_PER_CPU = 60.0, 30.0  # for a page that waits for something, not for a machine that is busy


def main() -> None:
    """Serves the socket whose number is the first argument."""
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    for number in _LIMITS.values():  # the parent might have blocked or ignored them
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    with contextlib.suppress(EOFError, ConnectionError):  # the parent has ended or wants no more
        while True:
            settings, source = Settings.unpack(link.receive()), link.receive()
            page = answer(settings, source)
            for timer in _LIMITS:
                signal.setitimer(timer, 0)
            link.send(page.pack())


def answer(settings: Settings, source: bytes) -> Page:
    """What comes of a page (UTF-8). Sets its limits; the timers run on."""
    wall_seconds = _WALL_SECONDS + _WALL_PER_CPU * settings.max_seconds if settings.max_seconds else 0
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)
    try:
        main_text: MainText = engine(settings.engine, settings.favor_precision, settings.include_tables)
        if settings.engine == LINKED:
            main_text = functools.partial(main_text, url=settings.url)  # type: ignore[call-arg]
    except ImportError as missing:
        package = (missing.name or settings.engine).partition(".")[0]
        other = ", or use trafilatura" if package == "resiliparse" else ""
        return Page(
            f"engine: {settings.engine} cannot be loaded ({missing}): pip install {package}{other}", reason=NOT_LOADED
        )
    from curation.extraction.page import extract_page

    limit_memory(settings.max_memory_mb)
    signal.setitimer(signal.ITIMER_PROF, settings.max_seconds)
    return extract_page(source.decode(), main_text, settings.max_elements)


@functools.cache
def engine(name: str, favor_precision: bool, include_tables: bool) -> "MainText":
    """An engine, loaded once."""
    from curation.extraction import engines

    return engines.load(name, favor_precision=favor_precision, include_tables=include_tables)


def limit_memory(megabytes: int) -> None:
    """Lets the process grow by so much since the first call, 0 for as much as it was allowed when it started."""
    if sys.platform == "linux":
        start, hard = _memory_at_start()
        allowed = start + megabytes * 2**20
        no_limit = not megabytes or 0 <= hard < allowed
        resource.setrlimit(resource.RLIMIT_DATA, (hard if no_limit else allowed, hard))


@functools.cache
def _memory_at_start() -> tuple[int, int]:
    """Bytes of private memory now (of the first call), and the limit that cannot be raised (-1: none)."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    return pages * resource.getpagesize(), resource.getrlimit(resource.RLIMIT_DATA)[1]


if __name__ == "__main__":
    main()
