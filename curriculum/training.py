"""Starts the trainer in processes of their own and follows it: the trainer imports this floor, so this floor does not import it.

Rank 0 writes one line of JSON per step to its stdout; when this process dies, the next line breaks the pipe and ends it.
After SIGTERM or Ctrl-C the trainer gets one SIGTERM, upon which it saves and ends; a second one leaves it with a broken pipe.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from curriculum.launch import plan_launch

OBEYED = (signal.SIGINT, signal.SIGTERM)


class TrainingError(Exception):
    """The trainer ended with an error, which it has written to stderr."""

    exit_code = 1


class Terminated(TrainingError):
    """SIGTERM ended the run; the trainer was told, and has ended."""

    exit_code = 128 + signal.SIGTERM


def run_trainer(
    root: str,
    *,
    on_step: Callable[[dict[str, Any]], None],
    shards: str | None = None,
    site: str | None = None,
    threads: int | None = None,
    stop_after: int | None = None,
    weights: str | None = None,
    processes: int | None = None,
) -> list[dict[str, Any]]:
    """Train the plan in the local folder `root` to its end, or for `stop_after` more steps; returns all lines of metrics.jsonl.

    `site` is the path of a site file (`datapipe.site`); `processes` goes before what it says. More than one are started by
    torchrun, on this machine. Raises TrainingError, SiteError, LaunchError; KeyboardInterrupt when it has ended after Ctrl-C.
    """
    launch = plan_launch(
        root,
        shards=shards,
        site=site,
        threads=threads,
        stop_after=stop_after,
        weights=weights,
        processes=processes,
    )
    if launch.nodes > 1:
        raise TrainingError(
            f"the site file asks for {launch.nodes} nodes, and this command starts nothing on other machines: "
            f"`tokenloom train {root} --print` prints what to run on them"
        )
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads or 1)} if launch.processes > 1 else None
    # In a group of its own, so that a Ctrl-C at the terminal arrives once: through us.
    with (
        subprocess.Popen(
            [*launch.command(), "--steps-to-stdout"],
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
            env=environment,
        ) as process,
        _forwarding(process) as received,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            on_step(json.loads(line))
        process.wait()
    if signal.SIGTERM in received:
        raise Terminated("stopped by SIGTERM; the same command continues after the last checkpoint")
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    if process.returncode:
        raise TrainingError(f"the trainer ended with exit code {process.returncode}; its message stands above")
    return [json.loads(line) for line in Path(root, "metrics.jsonl").read_text().splitlines()]


@contextlib.contextmanager
def _forwarding(process: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """Hands SIGINT and SIGTERM on as SIGTERM, and says which came: SIGINT would end the trainer without a checkpoint.

    Python takes signals in the main thread only.
    """
    received: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        process.terminate()
        os.write(2, b"stopping: the trainer ends its step and saves; once more to stop at once\n")

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, hand_on) for number in OBEYED}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
