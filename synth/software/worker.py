"""Runs tests inside the sandbox: a program of its own, with the standard library and pytest alone. Jobs and results are JSON.

A job is a run of some tests with some files replaced. The program imports pytest once and forks for every job, so that each sees fresh
modules and costs what its imports and tests cost. A changed file gets a time of change of its own, so that no cached bytecode of another
job fits it; caches of unchanged files are kept. After each job everything is as it was: processes that tests left are ended, what is in
/tmp is removed, and files they changed come back from `/given`. No code of the repository runs in this process, and a job holds no
descriptor of it, so that a job can say what it likes of its own tests alone.

    job     {files: {path: text or null}, tests: {path: [names] or null}, order: int, trace: bool, max_calls: int, cpu: seconds,
             variants: [{path, line, scopes, source}], first: [tests]}
    result  {status, outcomes: {test: passed, failed, error, skipped}, failures: {test: ...}, calls: {test: ...}, errors: [...],
             variants: [int]}

A job with `variants`, which are functions in other words, collects its tests once and forks for each variant, in which the function
gets the other code: 15 ms instead of the 250 of a job. What the module computed with the function when it was imported stays, so that
whoever believes a variant runs it again as a file. A variant's number is how many of the tests `first` pass with it before one fails, plus
one where all tests pass, -1 where it has no number; the last one tried is the first with which all pass.
"""

import __future__

import ast
import contextlib
import ctypes
import functools
import gc
import hashlib
import itertools
import json
import operator
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
from _pytest.runner import runtestprotocol

ROOT = "/box/"
GIVEN = "/given/"  # the folder as it was given, read-only
OWN: list[str] = []  # where modules of the repository are found, and where others are
FOREIGN = sys.path[:]
MAX_REPR, MAX_MESSAGE, MAX_FRAMES = 400, 1500, 12
MAX_RESULT_BYTES = 32 << 20
MAX_FILES = 4096  # descriptors
VARIANT_CPU = 1  # seconds of one variant; 4 of wall time
MAX_SLEPT = 2  # jobs that ran out of time without using it; those after them are not tried
NO_NUMBER = 255  # as an exit code
FUTURE = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
Functions = dict[tuple[str, int], list[types.FunctionType]]
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


class Chooser:
    """A plugin that chooses and orders the tests."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.errors: list[list[str]] = []
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

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        random.seed(self.job["order"])
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(self.job["order"] & 0xFFFFFFFF)

    def told(self) -> dict[str, Any]:
        """The result, less its status."""
        return {"errors": self.errors[:20]}


class Variants(Chooser):
    """Instead of running the tests, runs them once for each variant of a function, in a fork that has it."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        self.numbers: list[int] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        first = set(self.job["first"])
        leading = [item for item in session.items if item.nodeid in first]
        others = [item for item in session.items if item.nodeid not in first]
        functions = functions_by_place()
        gc.freeze()  # or each fork copies what its collector looks at
        for variant in self.job["variants"]:
            self.numbers.append(self._number(variant, functions, leading, others))
            used = os.times()
            if self.numbers[-1] > len(leading) or used.children_user + used.children_system > self.job["cpu"]:
                break
        return True

    def _number(
        self, variant: dict[str, Any], functions: Functions, leading: list[pytest.Item], others: list[pytest.Item]
    ) -> int:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(4 * VARIANT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (VARIANT_CPU, VARIANT_CPU))
            number = NO_NUMBER
            try:
                replace(functions, variant)
                number = sum(1 for _ in itertools.takewhile(passes, leading))
                number += number == len(leading) and all(map(passes, others))
            finally:
                os._exit(min(number, NO_NUMBER))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status if 0 <= status < NO_NUMBER else -1

    def told(self) -> dict[str, Any]:
        return {**super().told(), "variants": self.numbers}


def functions_by_place() -> Functions:
    """The repository's functions by file and first line, decorated ones too."""
    found: Functions = {}
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and thing.__code__.co_filename.startswith(ROOT):
            place = (thing.__code__.co_filename.removeprefix(ROOT), thing.__code__.co_firstlineno)
            found.setdefault(place, []).append(thing)
    return found


def replace(functions: Functions, variant: dict[str, Any]) -> None:
    """Gives functions the code and the defaults of a variant. Whatever is raised says that it has none that fits."""
    path, line, scopes, source = (variant[name] for name in ("path", "line", "scopes", "source"))
    live = functions[path, line]
    head = [f"{' ' * depth}class {scope}:" for depth, scope in enumerate(scopes)] or ["if 1:"] * source[:1].isspace()
    tree = ast.parse("\n".join([*head, source]))
    ast.increment_lineno(tree, line - 1 - len(head))
    node: Any = tree
    for _ in (*head, source):
        node = node.body[0]
    node.decorator_list, node.returns = [], None
    for inner in ast.walk(node.args):
        if isinstance(inner, ast.arg):
            inner.annotation = None
    code = compile(tree, "", "exec", flags=live[0].__code__.co_flags & FUTURE, dont_inherit=True)
    names: Any = dict(live[0].__globals__)
    exec(code, names)  # in the process of the variant, which runs code of the repository anyway
    for scope in scopes:
        names = vars(names[scope])
    made = names[node.name]
    for function in live:
        function.__defaults__, function.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
    codes = [(line, made.__code__)]  # and what it has made before, when it was imported
    for _, outer in codes:
        codes += [(one.co_firstlineno, one) for one in outer.co_consts if isinstance(one, types.CodeType)]
    for at, code in codes:
        for function in functions.get((path, at), []):
            if function.__code__.co_name == code.co_name:
                function.__code__ = code


def passes(item: pytest.Item) -> bool:
    reports = runtestprotocol(item, log=False, nextitem=None)
    return any(report.when == "call" and report.passed for report in reports) and not any(
        report.failed for report in reports
    )


class Recorder(Chooser):
    """Writes down what the tests did."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        self.outcomes: dict[str, str] = {}
        self.failures: dict[str, dict[str, Any]] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.compared: list[str] | None = None

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        self.compared = [op, shown(saferepr(left, MAX_REPR), MAX_REPR), shown(saferepr(right, MAX_REPR), MAX_REPR)]

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

    def told(self) -> dict[str, Any]:
        return {
            **super().told(),
            "outcomes": self.outcomes,
            "failures": self.failures,
            "calls": self.calls,
        }


def run_tests(job: dict[str, Any]) -> dict[str, Any]:
    """One job, in a process of its own."""
    known = set(sys.modules)
    plugin = Variants(job) if job["variants"] else Recorder(job)
    pytest.main([*OPTIONS, *sorted(job["tests"])], plugins=[plugin])
    return {
        "status": "collect" if plugin.errors else "ran",
        **plugin.told(),
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
    for folder in ("/tmp", "/dev/shm"):  # the second is the first, but not in a container
        for name in os.listdir(folder):
            remove(f"{folder}/{name}")
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
        slept: list[int] = []

        def end(number: int, frame: object) -> None:
            slept.append(number)
            os.kill(child, signal.SIGKILL)

        signal.signal(signal.SIGALRM, end)
        signal.alarm(4 * job["cpu"] + 10)  # a machine may be busy
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
    return {"status": "timeout" if status in (-signal.SIGXCPU, -signal.SIGKILL) else "crash", "slept": bool(slept)}


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
    num_slept = 0
    for number, job in enumerate(jobs):
        result = attempt(number, job, belongs) if num_slept < MAX_SLEPT else {"status": "timeout"}
        num_slept += bool(result.pop("slept", False))
        imported = result.pop("imported", None)
        import_ahead([name for name in imported if isinstance(name, str)] if isinstance(imported, list) else [])
        results.write(json.dumps(result) + "\n")
        results.flush()


if __name__ == "__main__":
    main()
