"""The one file that knows Ray: runs lists of tasks through a Ray Data pipeline, and never runs a finished one again.

A task is a module-level function and its arguments; its `output` names where it writes. When the function returns, its result (a small
JSON object) is written beside the output as `<output>.json`: that file is the mark of completion, so `kill -9` at any moment costs only
tasks in flight, and a task whose mark exists is answered from it. Results do not depend on how many tasks run at once.

A task that waits for others most of its time (a model that answers) is no reason for a core to rest: it is counted as none, and as many of
them run as there are cores, beside those that compute. An actor pool would take 6 s to start and give nothing for it: each task has
hundreds of requests under way in an event loop of its own, and keeps its mark and its place in the pipeline.

Small inputs must feel small: Ray starts when the first pending task appears (3-5 s), a pipeline costs about half a second, so callers
hand over many tasks at a time; an unchanged build never starts Ray.
"""

import contextlib
import functools
import json
import logging
import os
import pickle
import threading
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from datapipe import store

MARK = ".json"
TELL_SECONDS = 2.0


class Task(NamedTuple):
    """`function(output=output, **arguments) -> dict`; everything must be picklable, the result JSON."""

    function: Callable[..., dict[str, Any]]
    output: str
    arguments: dict[str, Any]
    also: tuple[str, ...] = ()  # further files the function writes, without which it is not finished
    waits: bool = False  # most of its time for answers from elsewhere; it may use what is `shared`


class Engine(Protocol):
    """Something that runs tasks; `on_done` is called with the index of each finished task."""

    def run(self, tasks: Sequence[Task], on_done: Callable[[int], None]) -> list[dict[str, Any]]: ...

    def close(self) -> None: ...


Shared = Callable[..., Awaitable[Any]]
"""`await shared_object("method", *arguments)`: the method's result."""


Tell = Callable[[list[str]], None]
"""Called every `TELL_SECONDS` while tasks run, from a thread: what the objects that they share have to say (`told()`, a line or "")."""


class _Holder:
    """Objects by name, made when they are first asked for."""

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}

    def call(self, name: str, make: Callable[[], Any], method: str, arguments: tuple[Any, ...]) -> Any:
        if name not in self._objects:
            self._objects[name] = make()
        return getattr(self._objects[name], method)(*arguments)

    def told(self) -> list[str]:
        return [line for each in list(self._objects.values()) if hasattr(each, "told") and (line := each.told())]


_holder: Any = None  # of the tasks that run now: a `_Holder`, or the handle of an actor of that class


def shared(name: str, make: Callable[[], Any]) -> Shared:
    """An object that all waiting tasks of one `Engine.run` share by name: one for the machine or cluster. `make()` makes it.

    Its methods must not block. A call takes about 1 ms on Ray, nothing elsewhere. Outside of an engine it is the caller's own.
    """
    holder = _holder or _Holder()

    async def call(method: str, *arguments: Any) -> Any:
        if isinstance(holder, _Holder):
            return holder.call(name, make, method, arguments)
        return await holder.call.remote(name, make, method, arguments)

    return call


@contextlib.contextmanager
def _sharing(holder: Any) -> Iterator[None]:
    global _holder
    before, _holder = _holder, holder
    try:
        yield
    finally:
        _holder = before


@contextlib.contextmanager
def _telling(ask: Callable[[], list[str]], tell: Tell | None) -> Iterator[None]:
    """While the block lasts, `tell` hears what is `ask`ed for; and once more at its end."""
    if tell is None:
        yield
        return
    ended = threading.Event()

    def listen() -> None:
        is_last = False
        while not is_last:
            is_last = ended.wait(TELL_SECONDS)
            if lines := ask():
                tell(lines)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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

    def __init__(self, tell: Tell | None = None) -> None:
        self.tell = tell

    def run(self, tasks: Sequence[Task], on_done: Callable[[int], None]) -> list[dict[str, Any]]:
        results = finished(tasks)
        holder = _Holder()
        with _sharing(holder), _telling(holder.told, self.tell):
            for index, task in enumerate(tasks):
                if index not in results:
                    results[index] = execute(task)
                on_done(index)
        return [results[index] for index in range(len(tasks))]

    def close(self) -> None:
        """Nothing to close."""


class RayData:
    """Runs tasks on Ray Data: on this machine's cores, or on the cluster that RAY_ADDRESS names."""

    def __init__(self, num_cpus: int | None = None, tell: Tell | None = None) -> None:
        self.num_cpus, self.tell, self._started = num_cpus, tell, False

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
        import ray

        holder = f"shared-{uuid.uuid4().hex}"
        waiting = [index for index in pending if tasks[index].waits]
        held = ray.remote(_Holder).options(name=holder, num_cpus=0).remote() if waiting else None
        try:
            with _telling(functools.partial(_told, held), self.tell if held else None):
                for row in _pipeline(tasks, pending, holder).iter_rows():
                    if row["error"]:
                        raise pickle.loads(row["error"])
                    yield row["index"], json.loads(row["result"])
        except RuntimeError as error:
            # Ctrl-C while Ray waits on a lock comes out as "release unlocked lock"
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise
        finally:
            del held  # the actor ends with its last handle

    def _start(self) -> None:
        _no_telemetry()
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


def _no_telemetry() -> None:
    """Off unless asked for, in this process and those that it starts: Ray's, and that of the vLLM it may run."""
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("VLLM_NO_USAGE_STATS", "1")):
        os.environ.setdefault(name, value)


def _pipeline(tasks: Sequence[Task], pending: Sequence[int], holder: str) -> Any:
    """A dataset whose rows are the outcomes of tasks, as they end."""
    import ray
    import ray.data

    def rows(indices: Sequence[int]) -> Any:
        items = [{"index": index, "task": pickle.dumps(tasks[index]), "holder": holder} for index in indices]
        return ray.data.from_items(items, override_num_blocks=len(items))

    waiting = [index for index in pending if tasks[index].waits]
    if not waiting:
        return rows(pending).map(_execute_row)
    at_once = min(len(waiting), max(2, int(ray.cluster_resources().get("CPU", 0))))
    waits = rows(waiting).map(_execute_row, num_cpus=0, compute=ray.data.TaskPoolStrategy(size=at_once))
    computing = [index for index in pending if not tasks[index].waits]
    return rows(computing).map(_execute_row).union(waits) if computing else waits


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
        task: Task = pickle.loads(row["task"])
        on_error.enter_context(_sharing(_actor(row["holder"]) if task.waits else None))
        result = execute(task)
    return {"index": row["index"], "result": json.dumps(result), "error": b"".join(carried)}


def _told(held: Any) -> list[str]:
    """What the shared objects say; nothing where their actor is busy or gone: in that case its tasks will say so."""
    import ray

    try:
        lines: list[str] = ray.get(held.told.remote(), timeout=TELL_SECONDS)
    except ray.exceptions.RayError:
        return []
    return lines


def _actor(name: str) -> Any:
    import ray

    return ray.get_actor(name)


def generate_texts(model: str, rows: Sequence[Mapping[str, Any]], **config: Any) -> list[dict[str, Any]]:
    """Texts of a model that vLLM runs on the GPUs of the cluster: a pipeline of `ray.data.llm`, one row per row, in any order.

    rows    number, messages (as OpenAI's API has them) and sampling_params (of vLLM)
    config  further arguments of `vLLMEngineProcessorConfig`

    A row has `number`, `generated_text`, `num_input_tokens` and `num_generated_tokens`, or says why not in `__inference_error__`: a
    prompt that is too long costs its row alone. Raises ImportError where vLLM is not installed.
    """
    import ray.data
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    _no_telemetry()
    settings = vLLMEngineProcessorConfig(model_source=model, should_continue_on_error=True, **config)
    processor = build_processor(settings, postprocess=_generated)
    items = [dict(row) for row in rows]
    return list(processor(ray.data.from_items(items)).iter_rows())


def _generated(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("number", "generated_text", "num_input_tokens", "num_generated_tokens")}
