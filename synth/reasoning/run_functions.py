"""Calls of functions, really run: many per sandbox, each batch twice with unlike hash seeds, and only what agrees is believed.

A start of the sandbox costs 0.1 CPU seconds and a function 5 ms beyond what it computes, so batches are large. A function has 1 CPU second
for all of its calls, and `MAX_LINES` lines for one.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth.software import sandbox

MAX_LINES = 2_000  # executed in one call
MAX_EVENTS = 160  # kept of one call
MAX_VALUE_CHARS = 300
BATCH = 48  # functions per sandbox
IMPORT_SECONDS = 20  # of wall time, for a module
HASH_SEEDS = ("1", "2")
_LIMITS = sandbox.Limits(
    cpu_seconds=120, wall_seconds=240, memory_mb=1024, file_mb=4, processes=8, output_bytes=64 << 20
)


class Job(NamedTuple):
    source: str
    calls: tuple[str, ...]  # expressions, such as `pad('ab', 3)`: of literals alone


class Event(NamedTuple):
    line: int  # of the source, from 1
    depth: int  # calls that are open
    values: Mapping[str, str]  # variables that the line changed, as `repr` shows them; of a return under ""
    what: str  # line, call, return, raise


class Outcome(NamedTuple):
    """What a call did, the same in all runs, or why there is nothing to say: `error`."""

    value: str = ""  # repr, which reads back to an equal value
    lines: int = 0  # executed
    events: tuple[Event, ...] = ()
    error: str = ""


def run(jobs: Sequence[Job], *, as_shown: bool = False, modules: Sequence[str] = ()) -> list[tuple[Outcome, ...]]:
    """What the calls of every job did. A call that differs between the runs has the error `unstable`. SandboxError where there is none.

    as_shown   a value needs no literal for its repr
    modules    imported once for all jobs, because some take longer than a job may
    """
    outcomes = []
    for start in range(0, len(jobs), BATCH):
        batch = jobs[start : start + BATCH]
        runs = [_once(batch, seed, as_shown, modules) for seed in HASH_SEEDS]
        for job, *told in zip(batch, *runs, strict=True):
            outcomes.append(tuple(_agreed([each[place] for each in told]) for place in range(len(job.calls))))
    return outcomes


def _agreed(told: Sequence[Mapping[str, Any]]) -> Outcome:
    first, *others = told
    if any(other != first for other in others):
        return Outcome(error="unstable")
    if "error" in first:
        return Outcome(error=str(first["error"]))
    events = tuple(Event(line, depth, values, what) for line, depth, values, what in first["events"])
    return Outcome(first["value"], first["lines"], events)


def _once(jobs: Sequence[Job], hash_seed: str, as_shown: bool, modules: Sequence[str]) -> list[list[Mapping[str, Any]]]:
    """One run. Jobs that the sandbox did not come to have the error `ended` for all calls."""
    given = {
        "jobs": [job._asdict() for job in jobs],
        "cpu_seconds": 1,
        "max_lines": MAX_LINES,
        "max_events": MAX_EVENTS,
        "max_chars": MAX_VALUE_CHARS,
        "as_shown": as_shown,
        "modules": list(modules),
        "import_seconds": IMPORT_SECONDS,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(Path(__file__).with_name("harness.py"), folder / "harness.py")
        command = [sys.executable, "-s", "-P", "harness.py"]
        environment = {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        ended = sandbox.run(command, folder, limits=_LIMITS, stdin=json.dumps(given), environment=environment)
    told = [_read(line) for line in ended.out.split("\n")]
    told += [None] * (len(jobs) - len(told))
    nothing: Mapping[str, Any] = {"error": "ended"}
    return [
        answer if _is_answer(answer, job) else [nothing] * len(job.calls)
        for job, answer in zip(jobs, told, strict=False)
    ]


def _read(line: str) -> Any:
    """The JSON of a line; None for what is none, such as a line that was cut."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_answer(answer: Any, job: Job) -> bool:
    """Whether the line has the form that it should have: it comes from where untrusted code ran."""
    return (
        isinstance(answer, list)
        and len(answer) == len(job.calls)
        and all(isinstance(told, dict) and ("error" in told or _is_outcome(told)) for told in answer)
    )


def _is_outcome(told: Mapping[str, Any]) -> bool:
    events = told.get("events")
    return (
        isinstance(told.get("value"), str)
        and isinstance(told.get("lines"), int)
        and isinstance(events, list)
        and all(isinstance(event, list) and [type(part) for part in event] == [int, int, dict, str] for event in events)
    )
