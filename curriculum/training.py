"""Starts the trainer in a process of its own and follows it: the trainer imports this floor, so this floor does not import it.

The trainer writes one line of JSON per step to its stdout; when this process dies, the next line breaks the pipe and ends it.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class TrainingError(Exception):
    """The trainer ended with an error, which it has written to stderr."""


def run_trainer(
    root: str,
    *,
    on_step: Callable[[dict[str, Any]], None],
    shards: str | None = None,
    site: str | None = None,
    threads: int | None = None,
    stop_after: int | None = None,
) -> list[dict[str, Any]]:
    """Train the plan in the local folder `root` to its end, or for `stop_after` more steps; returns all lines of metrics.jsonl.

    `site` is the path of a site file (`datapipe.site`).
    """
    command = [sys.executable, "-m", "trainer.run", "--root", root, "--steps-to-stdout"]
    command += ["--shards", shards] if shards else []
    command += ["--site", site] if site else []
    command += ["--threads", str(threads)] if threads else []
    command += ["--stop-after", str(stop_after)] if stop_after else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            on_step(json.loads(line))
    if process.returncode:
        raise TrainingError(f"the trainer ended with exit code {process.returncode}; its message stands above")
    return [json.loads(line) for line in Path(root, "metrics.jsonl").read_text().splitlines()]
