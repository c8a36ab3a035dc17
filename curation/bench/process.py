"""A command measured from outside: CPU seconds of it and of all it started, and the peak of their memory together.

CPU time is what the kernel accounts to the finished process and the descendants that were waited for; of daemons that nobody waits for
(Ray's), what was last seen of each while it ran, so up to `SAMPLE_S` of each is missed. Memory is looked at every `SAMPLE_S` seconds:
a shorter peak goes unseen. PSS divides every shared page among the processes that map it, so shared memory counts once; the sum of RSS
counts it in each. A look costs 1 ms per process, which falls to this process and not to the one measured. Linux only.
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

SAMPLE_S = 0.5
LOG_TAIL = 2_000  # characters of its output that the error of a failed command shows
# One thread for arithmetic in every library that has a pool of its own, nothing looked up elsewhere, and bytecode that is kept.
SINGLE = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
    **dict.fromkeys(("RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "ARROW_NUM_THREADS"), "1"),
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONDONTWRITEBYTECODE": "",  # modules of ours are compiled once, like those that were installed
}


class Usage(NamedTuple):
    cpu_s: float
    wall_s: float
    peak_pss_bytes: int  # 0 when memory was not watched
    peak_rss_bytes: int


class CommandFailed(Exception):
    """A measured command ended with an error: which, and the end of what it printed."""


def run(
    command: Sequence[str], log: Path, *, one_core: bool = False, watch: bool = False, env: Mapping[str, str] = SINGLE
) -> Usage:
    """Run to its end, output into `log`. `one_core`: on one core alone. `watch`: memory, and CPU time of daemons, too."""
    allowed = os.sched_getaffinity(0)
    start = time.perf_counter()
    watched = _Tree()
    with log.open("wb") as output:
        os.sched_setaffinity(0, {min(allowed)} if one_core else allowed)
        try:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **env})
        finally:
            os.sched_setaffinity(0, allowed)
        try:
            if watch:
                watched.follow(process.pid)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:  # interrupted
                process.kill()
    if process.returncode:
        end = log.read_text(errors="replace")[-LOG_TAIL:]
        raise CommandFailed(f"{' '.join(command)} ended with {process.returncode}; the end of {log}:\n{end}")
    cpu_s = max(used.ru_utime + used.ru_stime, watched.cpu_s)
    return Usage(cpu_s, time.perf_counter() - start, watched.peak_pss_bytes, watched.peak_rss_bytes)


class _Tree:
    """A process and all its descendants, also those that have lost their parent since."""

    def __init__(self) -> None:
        self.known: dict[psutil.Process, float] = {}  # CPU seconds when last seen
        self.peak_pss_bytes = self.peak_rss_bytes = 0

    @property
    def cpu_s(self) -> float:
        return sum(self.known.values())

    def follow(self, pid: int) -> None:
        """Until the process has ended; leaves it to be waited for."""
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            self._look(pid)
            time.sleep(SAMPLE_S)

    def _look(self, pid: int) -> None:
        for process in [*self.known, psutil.Process(pid)]:
            try:
                for each in (process, *process.children(recursive=True)):
                    self.known.setdefault(each, 0.0)
            except psutil.NoSuchProcess:
                continue
        pss = rss = 0
        for process in self.known:
            try:
                times = process.cpu_times()
                self.known[process] = times.user + times.system
                memory = process.memory_full_info()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            pss, rss = pss + memory.pss, rss + memory.rss
        self.peak_pss_bytes, self.peak_rss_bytes = max(self.peak_pss_bytes, pss), max(self.peak_rss_bytes, rss)
