"""Runs tests inside the sandbox: a program of its own, with the standard library and pytest alone. Jobs and results are JSON.

A job is a run of some tests with some files replaced. The program imports pytest once and forks for every job, so that each sees fresh
modules and costs what its imports and tests cost. A changed file gets a time of change of its own, so that no cached bytecode of another
job fits it; caches of unchanged files are kept. After each job everything is as it was: processes that tests left are ended, what is in
/tmp is removed, and files they changed come back from `/given`. No code of the repository runs in this process, and a job holds no
descriptor of it, so that a job can say what it likes of its own tests alone.

    job     {files: {path: text or null}, tests: {path: [names] or null}, order: int, trace: bool, max_calls: int, cpu: seconds,
             stop: bool, until: str}
    result  {status, outcomes: {test: passed, failed, error, skipped}, failures: {test: ...}, calls: {test: ...}, errors: [...]}

`stop` ends a job at its first failure. Jobs with the same non-empty `until` are tried until one of them passes all its tests; the others
have the status `untried`.
"""

import contextlib
import ctypes
import gc
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import types
from collections.abc import Generator, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NoReturn

import pytest
from _pytest._io.saferepr import saferepr

ROOT = "/box/"
GIVEN = "/given/"  # the folder as it was given, read-only
OWN: list[str] = []  # where modules of the repository are found, and where others are
FOREIGN = sys.path[:]
MAX_REPR, MAX_MESSAGE, MAX_FRAMES = 400, 1500, 12
MAX_RESULT_BYTES = 32 << 20
MAX_FILES = 4096  # descriptors
PR_SET_DUMPABLE = 4
libc = ctypes.CDLL(None)
LEFT_OUT = (
    "cacheprovider",
    "faulthandler",
    "unraisableexception",
    "threadexception",
)  # plugins; the last two collect garbage twice
OPTIONS = ["-q", "--rootdir", ROOT, "-c", "/dev/null", "--tb=no", "--continue-on-collection-errors", "-W", "ignore"]
OPTIONS += [option for name in LEFT_OUT for option in ("-p", f"no:{name}")]
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")


def shown(text: str, limit: int) -> str:
    """`text` without addresses in memory, cut."""
    text = ADDRESS.sub("0x...", text.encode("utf-8", "replace").decode())
    return text if len(text) <= limit else text[: limit - 1] + "…"


class TooSlow(BaseException):
    """Raised in a test that makes more calls than it may."""


class Recorder:
    """A plugin that chooses and orders the tests, and writes down what they did."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.outcomes: dict[str, str] = {}
        self.failures: dict[str, dict[str, Any]] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.errors: list[list[str]] = []
        self.compared: list[str] | None = None
        files = [ROOT + path for path in job["tests"]]
        self.on_the_way = {file[:at] for file in files for at, letter in enumerate(file) if letter == "/"} | set(files)

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Saves the look at every other file of a large repository: half of what a job of one test costs."""
        return None if str(collection_path) in self.on_the_way else True

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = self.job["tests"]
        chosen = []
        for item in items:
            path, _, name = item.nodeid.partition("::")
            names = wanted.get(path)
            if path in wanted and (names is None or name in names):
                chosen.append(item)
        order = self.job["order"]

        def place(item: pytest.Item) -> list[bytes]:
            path = item.nodeid.partition("::")[0]
            return [hashlib.blake2b(f"{order} {text}".encode()).digest() for text in (path, item.nodeid)]

        items[:] = sorted(chosen, key=place) if order else chosen

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append([report.nodeid, shown(str(report.longrepr)[-MAX_MESSAGE:], MAX_MESSAGE)])

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        self.compared = [op, shown(saferepr(left, MAX_REPR), MAX_REPR), shown(saferepr(right, MAX_REPR), MAX_REPR)]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        random.seed(self.job["order"])
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(self.job["order"] & 0xFFFFFFFF)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self.compared = None
        if not self.job["trace"]:
            yield
            return
        called: set[types.CodeType] = set()
        count, is_over = 0, False

        def trace(frame: types.FrameType, event: str, argument: object) -> None:
            nonlocal count, is_over
            count += 1
            if count > self.job["max_calls"]:
                sys.settrace(None)
                raise TooSlow(f"more than {self.job['max_calls']} calls")
            code = frame.f_code
            if code.co_filename.startswith(ROOT) and not is_over:
                called.add(code)
            elif code.co_name in (
                "_saferepr",
                "safe_repr",
            ):  # an assertion has failed, its values are shown
                is_over = True

        sys.settrace(trace)
        yield
        sys.settrace(None)
        named = [code for code in called if not code.co_name.startswith("<")]  # no module, lambda, comprehension
        places = sorted({(code.co_filename.removeprefix(ROOT), code.co_firstlineno) for code in named})
        self.calls[item.nodeid] = {"count": count, "functions": places}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        outcome = yield
        report = outcome.get_result()
        before = self.outcomes.get(item.nodeid)
        if report.failed:
            self.outcomes[item.nodeid] = "failed" if report.when == "call" else "error"
            if item.nodeid not in self.failures:
                self.failures[item.nodeid] = self.failure(report, call)
        elif report.skipped and before is None:
            self.outcomes[item.nodeid] = "skipped"
        elif report.when == "call" and before is None:
            self.outcomes[item.nodeid] = "skipped" if hasattr(report, "wasxfail") else "passed"

    def failure(self, report: pytest.TestReport, call: pytest.CallInfo[None]) -> dict[str, Any]:
        """What is known of a failure: the exception, the frames in the repository, and what an assertion compared."""
        if call.excinfo is None:  # a strict xfail that passed
            return {
                "kind": "Failed",
                "message": shown(str(report.longrepr), MAX_MESSAGE),
                "frames": [],
                "compared": None,
            }
        frames = [
            [str(entry.path).removeprefix(ROOT), entry.lineno + 1, entry.name]
            for entry in call.excinfo.traceback
            if str(entry.path).startswith(ROOT)
        ]
        return {
            "kind": call.excinfo.typename,
            "message": shown(str(call.excinfo.value), MAX_MESSAGE),
            "frames": frames[:2] + frames[2:][-MAX_FRAMES:],
            "compared": self.compared,
        }


def run_tests(job: dict[str, Any]) -> dict[str, Any]:
    """One job, in a process of its own."""
    known = set(sys.modules)
    recorder = Recorder(job)
    options = OPTIONS + (["-x"] if job["stop"] else [])
    pytest.main([*options, *sorted(job["tests"])], plugins=[recorder])
    return {
        "status": "collect" if recorder.errors else "ran",
        "outcomes": recorder.outcomes,
        "failures": recorder.failures,
        "calls": recorder.calls,
        "errors": recorder.errors[:20],
        "imported": sorted(name for name in set(sys.modules) - known if is_foreign(name)),
    }


def is_foreign(name: str) -> bool:
    """Whether a module is a package of this Python, and so the same for every job."""
    path = getattr(sys.modules[name], "__file__", None)
    return "." not in name and path is not None and not path.startswith(ROOT)


def import_ahead(names: list[str]) -> None:
    """Imports what jobs will import anyway, once for all, if it can be done without the repository: none of its code runs here."""
    wanted = [name for name in names if name not in sys.modules and not is_of_repository(name)]
    together = bool(wanted) and can_import(wanted)
    path, sys.path[:] = sys.path[:], FOREIGN
    for name in wanted:
        if together or can_import([name]):
            __import__(name)
    sys.path[:] = path
    gc.freeze()


def is_of_repository(name: str) -> bool:
    """Whether the repository has a module of this name, by which it would replace that of the package."""
    return PathFinder.find_spec(name.partition(".")[0], OWN) is not None


def can_import(names: list[str]) -> bool:
    """Whether these packages can be imported without the repository's modules: tried in a process of its own."""
    child = os.fork()
    if child == 0:
        silence()
        sys.path[:] = FOREIGN
        known, code = set(sys.modules), 1
        try:
            for name in names:
                __import__(name)
            code = int(any(is_of_repository(name) for name in set(sys.modules) - known))
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def silence() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def listing() -> dict[str, tuple[int, ...]]:
    """What stands in the folder; the time of the last change to a file's data or status cannot be set by whoever changes it."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in folders:
            found[os.path.join(folder, name)] = (os.lstat(os.path.join(folder, name)).st_mode,)
        for name in names:
            path = os.path.join(folder, name)
            found[path] = stamp(path)
    return found


def stamp(path: str) -> tuple[int, ...]:
    about = os.lstat(path)
    return (about.st_mode,) if stat.S_ISDIR(about.st_mode) else (about.st_mode, about.st_size, about.st_ctime_ns)


def remove(path: str) -> None:
    """Removes whatever is there; a tree too deep for that stays."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, RecursionError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def put(path: str, text: str, changed: int) -> None:
    """Writes a file, with a time of change of its own."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "x", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(text)
    os.utime(path, (changed, changed))


def put_back(belongs: dict[str, tuple[int, ...]]) -> None:
    """Makes everything as it was; `belongs` is the listing of that, and is kept up to date."""
    for name in os.listdir("/tmp"):
        remove(f"/tmp/{name}")
    found = listing()
    for path in sorted(found.keys() | belongs.keys()):  # folders before what is in them
        if found.get(path) != belongs.get(path):
            remove(path)
            if path in belongs:
                given = GIVEN + path.removeprefix(ROOT)
                if os.path.isdir(given):
                    os.mkdir(path)
                    shutil.copystat(given, path)
                else:
                    shutil.copy2(given, path)
                belongs[path] = stamp(path)


def end_others() -> None:
    """Ends all processes that a job has left: every one but this and the first, which collects them."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(-1, signal.SIGKILL)
            time.sleep(0.001)


def attempt(number: int, job: dict[str, Any], belongs: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Forks, waits, and puts everything back."""
    for path, text in job["files"].items():
        remove(ROOT + path)
        if text is not None:
            put(ROOT + path, text, 1_000_000_000 + number)
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            run_apart(job, answer.fileno())
        signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
        signal.alarm(4 * job["cpu"] + 10)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        signal.alarm(0)
        end_others()
        put_back(belongs)
        answer.seek(0)
        told = answer.read(MAX_RESULT_BYTES + 1)
    if status == 0 and len(told) <= MAX_RESULT_BYTES:
        with contextlib.suppress(ValueError, RecursionError):
            result = json.loads(told)
            if isinstance(result, dict):
                return result
    return {"status": "timeout" if status in (-signal.SIGXCPU, -signal.SIGKILL) else "crash"}


def run_apart(job: dict[str, Any], answer: int) -> NoReturn:
    """The process of a job: it holds no file of this program but the one for its own answer."""
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.closerange(3, answer)
    os.closerange(answer + 1, MAX_FILES)
    sys.dont_write_bytecode = bool(job["files"])
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu"], job["cpu"] + 1))
    silence()
    result = json.dumps(run_tests(job)).encode()
    with os.fdopen(answer, "wb") as file:
        file.write(result)
    os._exit(0)


def main() -> None:
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # what jobs run cannot open our files by /proc
    jobs = json.load(sys.stdin)
    results = os.fdopen(os.dup(1), "w")
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    pytest.main([*OPTIONS, "--version"])  # imports its plugins
    os.chdir(ROOT)
    OWN.extend(folder for folder in (ROOT + "src", ROOT.rstrip("/")) if os.path.isdir(folder))
    sys.path[:0] = OWN
    belongs = listing()
    passed: set[str] = set()
    for number, job in enumerate(jobs):
        if job["until"] and job["until"] in passed:
            result: dict[str, Any] = {"status": "untried"}
        else:
            result = attempt(number, job, belongs)
            imported = result.pop("imported", None)
            import_ahead([name for name in imported if isinstance(name, str)] if isinstance(imported, list) else [])
            if job["until"] and all_passed(result.get("outcomes")):
                passed.add(job["until"])
        results.write(json.dumps(result) + "\n")
        results.flush()


def all_passed(outcomes: object) -> bool:
    return isinstance(outcomes, dict) and bool(outcomes) and all(told == "passed" for told in outcomes.values())


if __name__ == "__main__":
    main()
