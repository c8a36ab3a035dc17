"""Many jobs, few pipelines: jobs are generators that yield lists of tasks; all that are ready run together as one wave.

A job reads as straight code (`results = yield Phase(...)`), may wait for another one (`books = yield After("books")`), and returns its
result. Waves keep the number of Ray Data pipelines at the depth of the deepest job, whatever the number of corpora.

What makes shards takes turns by stage of the curriculum: those of the first stage are packed while those of the second are shuffled, and
so on, so that a trainer can begin.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from datapipe.engine import Engine, Task


class Phase(NamedTuple):
    """Tasks that a job wants done before it goes on; it is sent their results in order."""

    label: str
    tasks: list[Task]
    stage: int = (
        0  # of the curriculum, the first one that needs them: in a wave, its tasks come before those of later ones
    )
    turn: int | None = (
        None  # a phase waits while another one that is ready has a lower turn; without one it never waits
    )


class After(NamedTuple):
    """A job that must have ended before this one goes on; this one is sent its result."""

    job: str


Job = Generator[Phase | After, Any, Any]
Observer = Callable[[str, str, int, int], None]
"""Called with job, phase, finished tasks and all tasks whenever a task ends; phase is empty when the job has ended."""


def run_jobs(jobs: Mapping[str, Job], engine: Engine, observe: Observer) -> dict[str, Any]:
    """Run all jobs to their ends; results by name. An exception of a task or of a job ends the run."""
    results: dict[str, Any] = {}
    requests: dict[str, Phase | After] = {}

    def advance(name: str, value: Any) -> None:
        try:
            requests[name] = jobs[name].send(value)
        except StopIteration as end:
            requests.pop(name, None)
            results[name] = end.value
            observe(name, "", 0, 0)

    for name in jobs:
        advance(name, None)
    while requests:
        while freed := {n: r.job for n, r in requests.items() if isinstance(r, After) and r.job in results}:
            for name, job in freed.items():
                advance(name, results[job])
        ready = {name: request for name, request in requests.items() if isinstance(request, Phase)}
        if requests and not ready:
            stuck = ", ".join(f"{name} waits for {request[0]}" for name, request in requests.items())
            raise ValueError(f"jobs wait for each other: {stuck}")
        turn = min((phase.turn for phase in ready.values() if phase.turn is not None), default=None)
        wave = {name: phase for name, phase in ready.items() if phase.turn in (None, turn)}
        for name, outcomes in _run_wave(wave, engine, observe).items():
            advance(name, outcomes)
    return results


def _run_wave(wave: Mapping[str, Phase], engine: Engine, observe: Observer) -> dict[str, list[dict[str, Any]]]:
    # Of each stage the first task of every job, then the second of every job: a trainer that follows a build needs the first shard of
    # each source.
    owners = sorted(
        ((name, number) for name, phase in wave.items() for number in range(len(phase.tasks))),
        key=lambda owner: (wave[owner[0]].stage, owner[1]),
    )
    done = dict.fromkeys(wave, 0)

    def on_done(index: int) -> None:
        name, _ = owners[index]
        done[name] += 1
        observe(name, wave[name].label, done[name], len(wave[name].tasks))

    for name, phase in wave.items():
        observe(name, phase.label, 0, len(phase.tasks))
    outcomes = dict(zip(owners, engine.run([wave[name].tasks[k] for name, k in owners], on_done), strict=True))
    return {name: [outcomes[name, k] for k in range(len(phase.tasks))] for name, phase in wave.items()}
