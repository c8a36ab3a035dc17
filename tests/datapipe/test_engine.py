"""Tasks run once: their marks make a second run, or a run after a crash, do only what is missing."""

import asyncio
import functools
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from datapipe.engine import Engine, InProcess, RayData, Task, shared
from datapipe.store import StoreError


def square(*, output: str, number: int, log: str) -> dict[str, Any]:
    with Path(log).open("a") as file:
        file.write(f"{number}\n")
    Path(output).write_text(str(number * number))
    return {"square": number * number}


def fail(*, output: str, kind: str) -> dict[str, Any]:
    raise (
        StoreError("s3://nowhere/x", "no such bucket", "Make it.")
        if kind == "store"
        else ZeroDivisionError("broken code")
    )


@pytest.fixture(params=["in process", "ray"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return InProcess() if request.param == "in process" else request.getfixturevalue("ray_engine")


def tasks(folder: Path, numbers: range) -> list[Task]:
    arguments = {"log": str(folder / "log.txt")}
    return [Task(square, str(folder / f"out-{n}"), {"number": n, **arguments}) for n in numbers]


def test_results_come_in_the_order_of_the_tasks(engine: Engine, tmp_path: Path) -> None:
    done: list[int] = []
    results = engine.run(tasks(tmp_path, range(5)), done.append)
    assert [result["square"] for result in results] == [0, 1, 4, 9, 16]
    assert sorted(done) == list(range(5))
    assert json.loads((tmp_path / "out-3.json").read_text()) == {"square": 9}


def test_only_unfinished_tasks_run_again(engine: Engine, tmp_path: Path) -> None:
    engine.run(tasks(tmp_path, range(3)), lambda index: None)
    (tmp_path / "out-1.json").unlink()
    results = engine.run(tasks(tmp_path, range(5)), lambda index: None)
    assert [result["square"] for result in results] == [0, 1, 4, 9, 16]
    assert sorted((tmp_path / "log.txt").read_text().split()) == ["0", "1", "1", "2", "3", "4"]


def test_a_task_whose_other_file_is_missing_is_not_finished(tmp_path: Path) -> None:
    first = tasks(tmp_path, range(1))
    InProcess().run(first, lambda index: None)
    InProcess().run([first[0]._replace(also=(str(tmp_path / "absent"),))], lambda index: None)
    assert (tmp_path / "log.txt").read_text().split() == ["0", "0"]


def test_errors_a_user_can_mend_keep_their_kind(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        engine.run([Task(fail, str(tmp_path / "x"), {"kind": "store"})], lambda index: None)


def test_broken_code_is_a_crash_that_names_the_task(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="broken code") as caught:
        engine.run([Task(fail, str(tmp_path / "x"), {"kind": "code"})], lambda index: None)
    assert "fail for" in "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_ray_is_not_started_for_nothing(tmp_path: Path) -> None:
    engine = RayData()
    InProcess().run(tasks(tmp_path, range(2)), lambda index: None)
    assert len(engine.run(tasks(tmp_path, range(2)), lambda index: None)) == 2
    assert not engine._started


def test_the_name_of_a_folder_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "out [1]*"
    folder.mkdir()
    for _ in range(2):
        InProcess().run(tasks(folder, range(2)), lambda index: None)
    assert (folder / "log.txt").read_text().split() == ["0", "1"]


class Count:
    """What tasks share: a number that every call raises."""

    def __init__(self, start: int) -> None:
        self.number = start

    def add(self, more: int) -> int:
        self.number += more
        return self.number


def count_together(*, output: str, times: int) -> dict[str, Any]:
    count = shared("count", functools.partial(Count, 100))

    async def run() -> int:
        for _ in range(times):
            number = await count("add", 1)
            await asyncio.sleep(0.002)
        return int(number)

    return {"last": asyncio.run(run()), "process": os.getpid()}


def test_tasks_that_wait_share_what_they_name_until_the_run_ends(engine: Engine, tmp_path: Path) -> None:
    for run in ("a", "b"):  # nothing is left of the first one
        waiting = [Task(count_together, str(tmp_path / f"{run}{n}"), {"times": 20}, waits=True) for n in range(4)]
        computing = tasks(tmp_path, range(3)) if run == "a" else []
        results = engine.run([*computing, *waiting], lambda index: None)
        assert [result["square"] for result in results[: len(computing)]] == [0, 1, 4][: len(computing)]
        assert max(result["last"] for result in results[len(computing) :]) == 100 + 4 * 20


class Clock:
    def __init__(self) -> None:
        self.ticks = 0

    def tick(self) -> None:
        self.ticks += 1

    def told(self) -> str:
        return f"{self.ticks} ticks" if self.ticks else ""


def tick(*, output: str) -> dict[str, Any]:
    async def run() -> None:
        clock, count = shared("clock", Clock), shared("count", functools.partial(Count, 1))
        for _ in range(3):
            await clock("tick")
            await count("add", 1)
            await asyncio.sleep(0.1)

    asyncio.run(run())
    return {}


def test_what_is_shared_tells_how_it_stands_while_tasks_run(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr("datapipe.engine.TELL_SECONDS", 0.02)
    monkeypatch.setattr(engine, "tell", told.append)
    engine.run([Task(tick, str(tmp_path / "out"), {}, waits=True)], lambda index: None)
    assert told[-1] == ["3 ticks"]
    assert all(len(lines) == 1 and lines[0].endswith(" ticks") for lines in told)
    assert len({lines[0] for lines in told}) > 1


def test_who_hears_is_told_nothing_of_tasks_that_share_nothing(tmp_path: Path) -> None:
    told: list[list[str]] = []
    InProcess(told.append).run(tasks(tmp_path, range(1)), lambda index: None)
    assert told == []


def test_outside_of_an_engine_what_is_shared_is_ones_own(tmp_path: Path) -> None:
    assert [count_together(output="", times=3)["last"] for _ in range(2)] == [103, 103]


def meet(*, output: str, folder: str, number: int, of: int) -> dict[str, Any]:
    """Ends when all others have begun too."""
    Path(folder, f"begun-{number}").touch()
    deadline = time.monotonic() + 30
    while len(list(Path(folder).glob("begun-*"))) < of:
        assert time.monotonic() < deadline, "the others were not begun"
        time.sleep(0.01)
    return {}


def test_tasks_that_wait_keep_no_core_from_others(ray_engine: RayData, tmp_path: Path) -> None:
    """Two cores: two tasks that wait and two that compute all run at once."""
    arguments = {"folder": str(tmp_path), "of": 4}
    together = [Task(meet, str(tmp_path / f"out-{n}"), {**arguments, "number": n}, waits=n < 2) for n in range(4)]
    assert ray_engine.run(together, lambda index: None) == [{}] * 4
