"""The one file that knows Ray: runs lists of tasks through a Ray Data pipeline, and never runs a finished one again.

A task is a module-level function and its arguments; its `output` names where it writes. When the function returns, its result (a small
JSON object) is written beside the output as `<output>.json`: that file is the mark of completion, so `kill -9` at any moment costs only
tasks in flight, and a task whose mark exists is answered from it. Results do not depend on how many tasks run at once.

Small inputs must feel small: Ray starts when the first pending task appears (3-5 s), a pipeline costs about half a second, so callers
hand over many tasks at a time; an unchanged build never starts Ray.
"""

import contextlib
import functools
import json
import logging
import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from datapipe import store

MARK = ".json"


class Task(NamedTuple):
    """`function(output=output, **arguments) -> dict`; everything must be picklable, the result JSON."""

    function: Callable[..., dict[str, Any]]
    output: str
    arguments: dict[str, Any]
    also: tuple[str, ...] = ()  # further files the function writes, without which it is not finished


class Engine(Protocol):
    """Something that runs tasks; `on_done` is called with the index of each finished task."""

    def run(self, tasks: Sequence[Task], on_done: Callable[[int], None]) -> list[dict[str, Any]]: ...

    def close(self) -> None: ...


def execute(task: Task) -> dict[str, Any]:
    """Run one task and leave its mark. An exception goes on with the task in its notes."""
    with contextlib.ExitStack() as on_error:
        on_error.push(functools.partial(_note_place, task))
        result = task.function(output=task.output, **task.arguments)
    store.write_bytes(task.output + MARK, (json.dumps(result, sort_keys=True) + "\n").encode())
    return result


def _note_place(task: Task, kind: object, error: BaseException | None, trace: object) -> None:
    if error is not None:
        error.add_note(f"in {task.function.__module__}.{task.function.__name__} for {task.output}")


def finished(tasks: Sequence[Task]) -> dict[int, dict[str, Any]]:
    """Results of the tasks that have their mark and all their files, by index; one listing per folder, whatever characters its name has."""
    wanted = [(task.output + MARK, *task.also) for task in tasks]
    folders = sorted({path.rpartition("/")[0] for paths in wanted for path in paths})
    there = {info.path for folder in folders for info in store.glob(folder)}
    return {
        index: json.loads(store.read_bytes(paths[0])) for index, paths in enumerate(wanted) if there.issuperset(paths)
    }


class InProcess:
    """Runs tasks one after the other in this process: for debugging, and for inputs smaller than Ray's start."""

    def run(self, tasks: Sequence[Task], on_done: Callable[[int], None]) -> list[dict[str, Any]]:
        results = finished(tasks)
        for index, task in enumerate(tasks):
            if index not in results:
                results[index] = execute(task)
            on_done(index)
        return [results[index] for index in range(len(tasks))]

    def close(self) -> None:
        """Nothing to close."""


class RayData:
    """Runs tasks on Ray Data: on this machine's cores, or on the cluster that RAY_ADDRESS names."""

    def __init__(self, num_cpus: int | None = None):
        self.num_cpus, self._started = num_cpus, False

    def run(self, tasks: Sequence[Task], on_done: Callable[[int], None]) -> list[dict[str, Any]]:
        results = finished(tasks)
        for index in results:
            on_done(index)
        pending = [index for index in range(len(tasks)) if index not in results]
        for index, result in self._stream(tasks, pending):
            results[index] = result
            on_done(index)
        return [results[index] for index in range(len(tasks))]

    def close(self) -> None:
        """Stop Ray if this engine started it."""
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def _stream(self, tasks: Sequence[Task], pending: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        if not pending:
            return
        self._start()
        import ray.data

        items = [{"index": index, "task": pickle.dumps(tasks[index])} for index in pending]
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map(_execute_row)
        try:
            for row in dataset.iter_rows():
                if row["error"]:
                    raise pickle.loads(row["error"])
                yield row["index"], json.loads(row["result"])
        except RuntimeError as error:
            # Ctrl-C while Ray waits on a lock comes out as "release unlocked lock"
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise

    def _start(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray
        from ray.data import DataContext

        for name in ("ray", "ray.data"):  # importing them has set their levels
            logging.getLogger(name).setLevel(logging.ERROR)
        if not ray.is_initialized():
            local = "RAY_ADDRESS" not in os.environ
            ray.init(
                num_cpus=self.num_cpus if local else None,
                object_store_memory=256 * 2**20 if local else None,  # rows are tasks and their small results
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                configure_logging=False,
            )
            self._started = True
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.enable_operator_progress_bars = False
        context.print_on_execution_start = False
        context.retried_io_errors = []


def _execute_row(row: dict[str, Any]) -> dict[str, Any]:
    """One task on a worker. An exception travels to the driver as it is, instead of as the text Ray would make of it."""
    carried: list[bytes] = []

    def carry(kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            error.add_note("on a worker:\n" + "".join(traceback.format_exception(error)))
            carried.append(pickle.dumps(error))
        return bool(carried)

    result: dict[str, Any] = {}
    with contextlib.ExitStack() as on_error:
        on_error.push(carry)
        result = execute(pickle.loads(row["task"]))
    return {"index": row["index"], "result": json.dumps(result), "error": b"".join(carried)}
