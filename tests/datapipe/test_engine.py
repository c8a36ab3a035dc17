"""Tasks run once: their marks make a second run, or a run after a crash, do only what is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from datapipe.engine import Engine, InProcess, RayData, Task
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
