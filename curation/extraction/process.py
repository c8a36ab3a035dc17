"""Pages through the engines in a process of their own, so that the worst a page can do is to end that process.

One process per worker process, started at the first page (0.25 s of CPU) and kept for all tables. Pages go there one by one, so the one at
work when it dies is known; it costs its record, and a new process goes on with the next. A page that crashed, ran out of memory or
was refused has its verdict from a process that had seen no page before, so that it depends on nothing but the page. A process that was
killed from outside (by somebody, a job that ends, the kernel for want of memory) costs no page: another one is asked, three at most.

The process sees the end of its socket when the worker ends, however that ends: when it waits at once, else when its page is done or out
of time. It has the worker's `sys.path`, none of its threads, locks and signal handlers, and hashes strings alike in every run.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from typing import IO, NamedTuple

from curation.extraction.exchange import CRASHED, FAILED, NOT_LOADED, TIMEOUT, Link, Page, Settings
from curation.steps import StepError

MODULE = "curation.extraction.serve"

_SAMPLE = b"<html><body><p>" + b"A sentence of a page, and all is well with it. " * 5 + b"</p></body></html>"
_KILLED = "killed"  # no drop reason: by a signal that no page sends
_ENDS: dict[int, str] = {
    **dict.fromkeys((signal.SIGPROF, signal.SIGALRM), TIMEOUT),
    **dict.fromkeys((signal.SIGKILL, signal.SIGTERM, signal.SIGHUP), _KILLED),
}
_MOST_KILLED = 3  # processes, for one page: it may be what memory runs out for
_DYING_SECONDS = 10.0
_LOG_BYTES = 500
_MAX_ANSWER_BYTES = 1 << 28  # 50 times the largest page that is allowed by default


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    link: Link


class PageProcess:
    """The process, and what it takes to have one again. Calls from several threads wait for each other."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Knows of no process any more: for a fork of the worker, whose process is not its own."""
        self._lock = threading.Lock()
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, None when there is none now."""
        return self._child.process.pid if self._child else None

    def extract(self, settings: Settings, source: bytes) -> Page:
        """What comes of a page (UTF-8). StepError when no process can be had in which an ordinary page goes well."""
        with self._lock:
            is_fresh = self._child is None
            page = self._answer(settings, source)
            if page.reason in (CRASHED, FAILED) and not is_fresh:
                self.close()
                page = self._answer(settings, source)
            return page

    def close(self) -> None:
        """Ends the process."""
        if self._child is None:
            return
        (process, link), self._child = self._child, None
        link.close()
        process.kill()
        process.wait()

    def _answer(self, settings: Settings, source: bytes) -> Page:
        """The answer of a process that nobody killed, if there can be one."""
        for _ in range(_MOST_KILLED):
            page = self._ask(self._child or self._start(settings), settings, source)
            if page.reason != _KILLED:
                return page
        return Page(reason=CRASHED)

    def _start(self, settings: Settings) -> _Child:
        """A process in which an ordinary page goes well."""
        for _ in range(_MOST_KILLED):
            with tempfile.TemporaryFile() as log:  # under Ray nobody would see its stderr
                self._child = child = _spawned(log)
                page = self._ask(child, Settings(*settings[:3]), _SAMPLE)  # six minutes on the wall, with the imports
                if page.reason is None:
                    return child
                said = _end_of(log)
            if page.reason != _KILLED:
                break
        else:
            raise StepError(
                f"the process of engine {settings.engine} was killed {_MOST_KILLED} times while it started, by the kernel or by somebody: "
                "look at the memory of this machine, and run again with fewer --cpus"
            )
        self.close()
        raise StepError(
            f"engine {settings.engine} fails on an ordinary page ({page.reason}); the end of what its process wrote: {said}. "
            f"Try: {sys.executable} -c 'import trafilatura, lxml.html, {MODULE}'"
        )

    def _ask(self, child: _Child, settings: Settings, source: bytes) -> Page:
        """The answer to a page. Afterwards there is a process that waits, or none."""
        page, status = None, 0
        try:
            child.link.send(settings.pack())
            child.link.send(source)
            page = Page.unpack(child.link.receive(_MAX_ANSWER_BYTES))
        except ValueError:  # what it says makes no sense
            pass
        except (EOFError, OSError):  # it died
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = child.process.wait(_DYING_SECONDS)
        finally:  # on Ctrl-C too: the answer to this page must not be taken for another's
            if page is None:
                self.close()
        if page is None:
            return Page(reason=_ENDS.get(-status, CRASHED))
        if page.reason == NOT_LOADED:
            raise StepError(page.text)
        return page


def _end_of(log: IO[bytes]) -> str:
    """On one line."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
    return " ".join(log.read().decode(errors="replace").split()) or "nothing"


def _spawned(log: IO[bytes]) -> _Child:
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # "" is the working directory
    try:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
                pass_fds=[theirs.fileno()],
            )
    except OSError as error:  # too many processes or files
        raise StepError(
            f"no process for pages can be started ({error}): look at the limits of this machine (`ulimit -a`), and run again with fewer "
            "--cpus"
        ) from error
    return _Child(process, Link(ours))


PROCESS = PageProcess()
atexit.register(PROCESS.close)
os.register_at_fork(after_in_child=PROCESS.forget)
