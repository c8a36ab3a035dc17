"""A repository's tests, run in the sandbox: trees in, outcomes out.

A `Checkout` is a folder with the files of a repository; each call of `run` is one sandbox in which a small program (`worker.py`) forks for
every job. Measured on networkx: 0.25 CPU seconds for a job of one test, of which the imports are two thirds.
"""

import contextlib
import hashlib
import json
import py_compile
import shutil
import sys
import tempfile
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from synth.software import sandbox

_WORKER = Path(__file__).with_name("worker.py")
MAX_JOBS = 200  # per sandbox
OUTPUT_BYTES = 64 << 20
MAX_COMPILED_CHARS = 20_000_000
PASSED = "passed"
OUTCOMES = (PASSED, "failed", "error", "skipped")
STATUSES = ("ran", "collect", "timeout", "crash")


class Job(NamedTuple):
    """Tests to run with some files replaced."""

    tests: Mapping[str, Sequence[str] | None]  # by test file: names in it, None: all
    files: Mapping[str, str | None] = {}  # None: removed
    order: int = 0  # tests run in an order drawn from it; 0: as they stand
    trace: bool = False  # which functions of the repository each test calls
    max_calls: int = 1_000_000  # of Python functions by one traced test, which fails where it makes more
    cpu_seconds: int = 10
    variants: Sequence[
        "Variant"
    ] = ()  # instead of a run: which of them pass, in order, up to the first with which all tests do
    first: Sequence[str] = ()  # tests that a variant runs first; their number counts


class Variant(NamedTuple):
    """A function in other words."""

    path: str
    line: int  # of its first line, decorators included: as its code object has it
    scopes: tuple[str, ...]  # classes around it
    source: str  # with its indentation


class Failure(NamedTuple):
    """What is known of a test that failed."""

    kind: str  # of exception
    message: str
    frames: tuple[tuple[str, int, str], ...]  # (file, line, function) in the repository, outermost first
    compared: tuple[str, str, str] | None  # of a failed assertion: operator, left, right as `repr` shows them


class Called(NamedTuple):
    num_calls: int  # calls of Python functions, anywhere: how much a test does, whatever the machine
    functions: frozenset[tuple[str, int]]  # (file, first line) in the repository


class Result(NamedTuple):
    """`status`: ran; collect (a test file could not be imported); timeout; crash."""

    status: str
    outcomes: Mapping[str, str] = {}  # by test (`file::name`): passed, failed, error, skipped
    failures: Mapping[str, Failure] = {}
    calls: Mapping[str, Called] = {}
    errors: tuple[tuple[str, str], ...] = ()  # of collection: (file, message)
    variants: tuple[
        int, ...
    ] = ()  # of those tried: how many of the `first` tests pass before one fails, one more where all do, -1: unknown

    def with_outcome(self, *outcomes: str) -> set[str]:
        return {test for test, outcome in self.outcomes.items() if outcome in outcomes}

    def of(self, tests: Collection[str]) -> "Result":
        """What it says of some of its tests."""
        return self._replace(
            outcomes={test: told for test, told in self.outcomes.items() if test in tests},
            failures={test: told for test, told in self.failures.items() if test in tests},
            calls={test: told for test, told in self.calls.items() if test in tests},
        )

    @property
    def passed(self) -> set[str]:
        return self.with_outcome(PASSED)

    @property
    def failed(self) -> set[str]:
        return self.with_outcome("failed", "error")


class Checkout:
    """Files in a folder that code of theirs may run in; removed at the end of a `with` block.

    Paths must be safe (`synth.software.tree`). Nothing is read back from the folder and nothing written to it after the first run.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)
        self._folder = Path(tempfile.mkdtemp(prefix="tokenloom-"))

    def __enter__(self) -> "Checkout":
        for path, text in self.files.items():
            target = self._folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode("utf-8", "surrogatepass"))
        self._compile()
        return self

    def _compile(self) -> None:
        """Bytecode beside the files, checked by their hashes: without it every sandbox would compile all that its tests import."""
        by_hash = py_compile.PycInvalidationMode.CHECKED_HASH
        left = MAX_COMPILED_CHARS
        with warnings.catch_warnings(action="ignore"):
            for path in sorted(path for path in self.files if path.endswith(".py")):
                left -= len(self.files[path])
                if left < 0:
                    return
                with contextlib.suppress(py_compile.PyCompileError, OSError):  # also of a name that gets too long
                    file = str(self._folder / path)
                    py_compile.compile(file, dfile=f"/box/{path}", doraise=True, invalidation_mode=by_hash)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(
            self._folder, ignore_errors=True
        )  # not TemporaryDirectory, whose clean-up changes modes through links

    def run(self, jobs: Sequence[Job], *, hash_seed: int = 0) -> list[Result]:
        """The result of every job, in order. A job that takes its sandbox down with it is a `crash`, and so are those after it."""
        results: list[Result] = []
        for begin in range(0, len(jobs), MAX_JOBS):
            results += self._run(jobs[begin : begin + MAX_JOBS], hash_seed)
        return results

    def _run(self, jobs: Sequence[Job], hash_seed: int) -> list[Result]:
        cpu_seconds = sum(job.cpu_seconds for job in jobs) + 10
        ended = sandbox.run(
            [sys.executable, "-s", "-P", "-c", _WORKER.read_text()],
            self._folder,
            limits=sandbox.Limits(
                cpu_seconds=cpu_seconds,
                wall_seconds=4 * cpu_seconds + 60,
                memory_mb=2048,
                output_bytes=OUTPUT_BYTES,
            ),
            stdin=json.dumps([_job(job) for job in jobs]),
            environment={"PYTHONHASHSEED": str(hash_seed), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TZ": "UTC"},
        )
        results = [_result(line, job) for line, job in zip(ended.out.splitlines(), jobs, strict=False)]
        return results + [Result("crash")] * (len(jobs) - len(results))


def _job(job: Job) -> dict[str, Any]:
    tests = {path: None if names is None else list(names) for path, names in job.tests.items()}
    about = {
        "trace": job.trace,
        "max_calls": job.max_calls,
        "cpu": job.cpu_seconds,
        "variants": [variant._asdict() for variant in job.variants],
        "first": list(job.first),
    }
    return {"files": dict(job.files), "tests": tests, "order": job.order, **about}


def _result(line: str, job: Job) -> Result:
    """What a line says, if it is what the worker writes of this job. It comes from where untrusted code ran."""
    try:
        told = json.loads(line)
        outcomes = {_test(test, job): _one_of(OUTCOMES, outcome) for test, outcome in told.get("outcomes", {}).items()}
        failures = {
            _test(test, job): Failure(
                _text(failure["kind"]),
                _text(failure["message"]),
                tuple((_text(path), _number(line), _text(name)) for path, line, name in failure["frames"]),
                _compared(failure["compared"]),
            )
            for test, failure in told.get("failures", {}).items()
        }
        calls = {
            _test(test, job): Called(
                _number(called["count"]), frozenset((_text(path), _number(line)) for path, line in called["functions"])
            )
            for test, called in told.get("calls", {}).items()
        }
        errors = tuple((_text(path), _text(message)) for path, message in told.get("errors", ()))
        variants = tuple(_number(number) for number in told.get("variants", ()))[: len(job.variants)]
        return Result(_one_of(STATUSES, told["status"]), outcomes, failures, calls, errors, variants)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Result("crash")


def _test(test: str, job: Job) -> str:
    path, _, name = test.partition("::")
    names = job.tests[path]
    if names is not None and name not in names:
        raise ValueError
    return test


def _one_of(known: Collection[str], value: str) -> str:
    if value not in known:
        raise ValueError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _compared(value: Sequence[object] | None) -> tuple[str, str, str] | None:
    if not value:
        return None
    operator, left, right = map(_text, value)
    return operator, left, right


def by_file(tests: Sequence[str] | set[str]) -> dict[str, list[str]]:
    """Tests as `Job` names them."""
    files: dict[str, list[str]] = {}
    for test in sorted(tests):
        path, _, name = test.partition("::")
        files.setdefault(path, []).append(name)
    return files


def content_hash(files: Mapping[str, str]) -> str:
    """40 hex digits that stand for a state of all files, as a commit does."""
    made = hashlib.sha1(usedforsecurity=False)
    for path in sorted(files):
        made.update(f"{path}\0{len(files[path])}\0{files[path]}".encode("utf-8", "surrogatepass"))
    return made.hexdigest()
