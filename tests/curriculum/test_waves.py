"""Jobs advance together, wait for each other, and get their own results."""

from typing import Any

import pytest

from curriculum.waves import After, Job, Phase, run_jobs
from datapipe.engine import Task


class Recorder:
    """An engine that returns each task's argument and remembers the waves."""

    def __init__(self) -> None:
        self.waves: list[list[str]] = []

    def run(self, tasks: list[Task], on_done: Any) -> list[dict[str, Any]]:
        self.waves.append([task.output for task in tasks])
        for index in range(len(tasks)):
            on_done(index)
        return [{"value": task.output} for task in tasks]

    def close(self) -> None: ...


def task(name: str) -> Task:
    return Task(dict, name, {})


def test_ready_jobs_share_a_wave() -> None:
    def job(name: str, depth: int) -> Job:
        values = []
        for index in range(depth):
            values += yield Phase("step", [task(f"{name}{index}")])
        return [value["value"] for value in values]

    engine = Recorder()
    results = run_jobs({"a": job("a", 2), "b": job("b", 1)}, engine, lambda *call: None)
    assert results == {"a": ["a0", "a1"], "b": ["b0"]}
    assert engine.waves == [["a0", "b0"], ["a1"]]


def test_what_earlier_stages_need_comes_first() -> None:
    def pack(name: str, stage: int, lays_out: int) -> Job:
        for number in range(lays_out):
            yield Phase("lay out", [task(f"{name} lay out {number}")])
        yield Phase("shuffle", [task(f"{name} shuffle {number}") for number in range(2)], stage, stage)
        yield Phase("pack", [task(f"{name} pack {number}") for number in range(2)], stage, stage + 1)

    engine = Recorder()
    jobs = {"late": pack("late", 2, 2), "a": pack("a", 0, 1), "middle": pack("middle", 1, 1), "b": pack("b", 0, 1)}
    run_jobs(jobs, engine, lambda *call: None)
    assert engine.waves == [
        ["late lay out 0", "a lay out 0", "middle lay out 0", "b lay out 0"],
        ["late lay out 1", "a shuffle 0", "b shuffle 0", "a shuffle 1", "b shuffle 1"],
        ["a pack 0", "b pack 0", "a pack 1", "b pack 1", "middle shuffle 0", "middle shuffle 1"],
        ["middle pack 0", "middle pack 1", "late shuffle 0", "late shuffle 1"],
        ["late pack 0", "late pack 1"],
    ]


def test_nothing_but_turns_waits_for_a_turn() -> None:
    """The first stage is packed while what later ones need is still read."""

    def packed(name: str, stage: int, depth: int) -> Job:
        for number in range(depth):
            yield Phase("read", [task(f"{name} read {number}")])
        yield Phase("shuffle", [task(f"{name} shuffle")], stage, stage)
        yield Phase("pack", [task(f"{name} pack")], stage, stage + 1)

    engine = Recorder()
    run_jobs({"web": packed("web", 0, 1), "late": packed("late", 1, 4)}, engine, lambda *call: None)
    assert engine.waves == [
        ["web read 0", "late read 0"],
        ["web shuffle", "late read 1"],
        ["web pack", "late read 2"],
        ["late read 3"],
        ["late shuffle"],
        ["late pack"],
    ]


def test_whoever_waits_goes_on_before_the_next_wave() -> None:
    def waits(job: str) -> Job:
        yield After(job)
        yield Phase("work", [task(f"after {job}")])

    def chained(job: str) -> Job:
        yield After(job)

    def works() -> Job:
        yield Phase("work", [task("c")])

    engine = Recorder()
    run_jobs({"a": waits("b"), "b": chained("c"), "c": works()}, engine, lambda *call: None)
    assert engine.waves == [["c"], ["after b"]]


def test_a_job_is_sent_the_result_it_waited_for() -> None:
    def first() -> Job:
        yield Phase("work", [task("x")])
        return 42

    def second() -> Job:
        value = yield After("first")
        again = yield After("first")
        return value + again

    assert run_jobs({"second": second(), "first": first()}, Recorder(), lambda *call: None)["second"] == 84


def test_jobs_without_tasks_end_too() -> None:
    def nothing() -> Job:
        return "done"
        yield

    def waits() -> Job:
        return (yield After("nothing"))

    assert run_jobs({"waits": waits(), "nothing": nothing()}, Recorder(), lambda *call: None)["waits"] == "done"


def test_a_circle_is_an_error() -> None:
    def waits(other: str) -> Job:
        yield After(other)

    with pytest.raises(ValueError, match="wait for each other"):
        run_jobs({"a": waits("b"), "b": waits("a")}, Recorder(), lambda *call: None)


def test_progress_counts_per_job() -> None:
    def job() -> Job:
        yield Phase("work", [task("x"), task("y")])

    calls: list[tuple[Any, ...]] = []
    run_jobs({"a": job()}, Recorder(), lambda *call: calls.append(call))
    assert calls == [("a", "work", 0, 2), ("a", "work", 1, 2), ("a", "work", 2, 2), ("a", "", 0, 0)]
