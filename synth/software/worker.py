"""Runs tests inside the sandbox: a program of its own, with the standard library and pytest alone. Jobs and results are JSON.

A job is a run of some tests with some files replaced. The program imports pytest once and forks for every job, so that each sees fresh
modules and costs what its imports and tests cost. A changed file gets a time of change of its own, so that no cached bytecode of another
job fits it; caches of unchanged files are kept. After each job everything is as it was: files that tests left are removed.

    job     {files: {path: text or null}, tests: {path: [names] or null}, order: int, trace: bool, max_calls: int, cpu: seconds,
             stop: bool, until: str}
    result  {status, outcomes: {test: passed, failed, error, skipped}, failures: {test: ...}, calls: {test: ...}, errors: [...]}

`stop` ends a job at its first failure. Jobs with the same non-empty `until` are tried until one of them passes all its tests; the others
have the status `untried`.
"""

import gc
import hashlib
import json
import os
import random
import re
import resource
import signal
import sys
import types
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest._io.saferepr import saferepr

ROOT = "/box/"
Texts = dict[str, tuple[str, int] | None]  # by path: text and time of change; None: there is no such file
MAX_REPR, MAX_MESSAGE, MAX_FRAMES = 400, 1500, 12
MAX_RESULT_BYTES = 32 << 20
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
    """Imports what jobs will import anyway, once for all; nothing that imports the repository itself, as another package may do."""
    names = [name for name in names if name not in sys.modules]
    if names and can_import(names):
        chosen = names
    else:
        chosen = [name for name in names if can_import([name])]
    for name in chosen:
        __import__(name)
    gc.freeze()


def can_import(names: list[str]) -> bool:
    """Whether these modules can be imported without one of the repository: tried in a process of its own."""
    child = os.fork()
    if child == 0:
        silence()
        code = 1
        try:
            for name in names:
                __import__(name)
            found = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
            code = int(any(path.startswith(ROOT) for path in found))
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def silence() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def listing() -> dict[str, tuple[int, int, int]]:
    found = {}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = os.path.join(folder, name)
            about = os.lstat(path)
            found[path] = (about.st_size, about.st_mtime_ns, about.st_mode)
    return found


def put(path: str, text: str, changed: int) -> None:
    """Writes a file, with a time of change of its own."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(text)
    os.utime(path, (changed, changed))


def attempt(number: int, job: dict[str, Any], texts: Texts) -> dict[str, Any]:
    """Forks, waits, and puts everything back. `texts` are the files as they belong, as far as jobs have changed them."""
    for path, text in job["files"].items():
        full = ROOT + path
        if path not in texts:
            texts[path] = None
            if os.path.exists(full):
                with open(full, encoding="utf-8", errors="surrogatepass", newline="") as file:
                    texts[path] = (file.read(), int(os.stat(full).st_mtime))
        if text is None:
            os.unlink(full)
        else:
            put(full, text, 1_000_000_000 + number)
    before = listing()
    place = f"/tmp/result-{number}"
    child = os.fork()
    if child == 0:
        sys.dont_write_bytecode = bool(job["files"])
        resource.setrlimit(resource.RLIMIT_CPU, (job["cpu"], job["cpu"] + 1))
        silence()
        result = json.dumps(run_tests(job)).encode()
        with open(place, "wb") as file:
            file.write(result)
        os._exit(0)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(4 * job["cpu"] + 10)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(0)
    for path in listing().keys() - before.keys():
        os.unlink(path)
    for path in job["files"]:
        was = texts[path]
        if was is None:
            os.unlink(ROOT + path)
        else:
            put(ROOT + path, *was)
    if status != 0 or not os.path.exists(place) or os.path.getsize(place) > MAX_RESULT_BYTES:
        return {"status": "timeout" if status in (-signal.SIGXCPU, -signal.SIGKILL) else "crash"}
    with open(place, "rb") as file:
        result = json.load(file)
    os.unlink(place)
    return result


def main() -> None:
    jobs = json.load(sys.stdin)
    results = os.fdopen(os.dup(1), "w")
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    pytest.main([*OPTIONS, "--version"])  # imports its plugins
    os.chdir(ROOT)
    sys.path[:0] = [folder for folder in (ROOT + "src", ROOT.rstrip("/")) if os.path.isdir(folder)]
    texts: Texts = {}
    passed: set[str] = set()
    for number, job in enumerate(jobs):
        if job["until"] and job["until"] in passed:
            result: dict[str, Any] = {"status": "untried"}
        else:
            result = attempt(number, job, texts)
            import_ahead(result.pop("imported", ()))
            outcomes = result.get("outcomes") or {"": "failed"}
            if job["until"] and set(outcomes.values()) == {"passed"}:
                passed.add(job["until"])
        results.write(json.dumps(result) + "\n")
        results.flush()


if __name__ == "__main__":
    main()
