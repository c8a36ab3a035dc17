"""Processes of a parallel run on this machine, for tests."""

import os
import subprocess
import sys
from pathlib import Path


def torchrun(script: str, processes: int, *arguments: str | Path, timeout: float = 120) -> None:
    """Run a script of this folder in `processes` processes that know each other; one that fails fails the test."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--rdzv-backend", "c10d"]
    command = [sys.executable, *launcher, "--rdzv-endpoint", "localhost:0", str(Path(__file__).with_name(script))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=environment
    )
    # The first process that fails says why; the others, and torchrun, say at length that it is gone.
    assert done.returncode == 0, done.stderr[max(done.stderr.find("Traceback"), 0) :][:4000]
