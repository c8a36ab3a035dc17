"""Processes of a parallel run on this machine, for tests."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil


@contextlib.contextmanager
def started(*command: str | Path, processes: int) -> Iterator["subprocess.Popen[str]"]:
    """torchrun with `command` (a script with its arguments, or -m and a module) in processes that know each other.

    None of them is left behind, whatever happens meanwhile.
    """
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--rdzv-backend", "c10d"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, *launcher, "--rdzv-endpoint", "localhost:0", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        _kill(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill torchrun with its workers, each of which is in a session of its own, and so in no group with it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.communicate()
