"""Runs functions in a sandbox and writes down what they did: a script of the standard library alone, never imported by us.

Started as `python -s -P harness.py`, with one JSON object on stdin:

    {"jobs": [{"source": text, "calls": [text, ...]}, ...], "cpu_seconds": 1, "max_lines": 2000, "max_events": 200, "max_chars": 400,
     "as_shown": false, "modules": [], "import_seconds": 20}

and for every job, in order, one line of JSON on stdout: null where its process was ended before it told, or a list with, per call,

    {"value": repr, "lines": executed, "events": [[line, depth, {variable: repr}, "line" | "call" | "return" | "raise"], ...]}
    {"error": name}      the exception it raised (`TooManyLinesError` is ours), or `not_literal`, `too_long`

Every job has a process of its own with limits of its own, because a power or a pattern in C cannot be interrupted otherwise. An event of
kind `line` names the variables that this line changed. Only lines of named functions of the source are events.
"""

import ast
import contextlib
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from types import CodeType, FrameType
from typing import Any

FILE = "<function>"
MAX_SHOWN = 80  # characters of a variable's value
MAX_ANSWER_BYTES = 1 << 20


class TooManyLinesError(BaseException):
    """Raised in the function, or the import, when it has executed enough."""


class Trace:
    def __init__(self, max_lines: int, max_events: int) -> None:
        self.lines = 0
        self.events: list[tuple[Any, ...]] = []
        self.max_lines, self.max_events = max_lines, max_events
        # id of a frame -> [depth, line executed last, {variable: repr} before it, whether it raised there]
        self.frames: dict[int, list[Any]] = {}

    def __call__(self, frame: FrameType, what: str, value: Any) -> "Trace | None":
        if frame.f_code.co_filename != FILE or frame.f_code.co_name[:1] == "<":
            return None
        if what == "call":
            known = shown(frame)
            self.frames[id(frame)] = [len(self.frames), frame.f_lineno, known, False]
            self.note(frame.f_lineno, len(self.frames) - 1, known, "call")
        elif what == "line":
            self.lines += 1
            if self.lines > self.max_lines:
                raise TooManyLinesError
            self.after_line(frame)
            self.frames[id(frame)][1::2] = frame.f_lineno, False
        elif what == "exception":
            self.frames[id(frame)][3] = True
        elif what == "return":
            self.after_line(frame)
            depth, line, _, raised = self.frames.pop(id(frame))
            self.note(line, depth, {} if raised else {"": short(value)}, "raise" if raised else "return")
        return self

    def after_line(self, frame: FrameType) -> None:
        depth, line, before, _ = self.frames[id(frame)]
        now = shown(frame)
        changed = {name: value for name, value in now.items() if before.get(name) != value}
        self.frames[id(frame)][2] = now
        if line != frame.f_code.co_firstlineno:
            self.note(line, depth, changed, "line")

    def note(self, *event: Any) -> None:
        if len(self.events) < self.max_events:
            self.events.append(event)


def shown(frame: FrameType) -> dict[str, str]:
    return {name: short(value) for name, value in frame.f_locals.items() if name[:1] != "."}


def short(value: Any) -> str:
    """Its repr, where that is quick and short, else its type."""
    if isinstance(value, (list, tuple, dict, set, frozenset, str, bytes)) and len(value) > MAX_SHOWN:
        return f"<{type(value).__name__} of {len(value)}>"
    if isinstance(value, int) and value.bit_length() > 4 * MAX_SHOWN:
        return "<large int>"
    if isinstance(value, (set, frozenset)) and value:  # in an order that no hash decides
        text = f"{{{', '.join(sorted(map(repr, value)))}}}"
    else:
        text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"<{type(value).__name__}>"


class Caught:
    """A block whose exceptions are its result: `error` is the name of what it raised, "" for nothing."""

    def __init__(self, trace: Trace | None = None) -> None:
        self.trace, self.error = trace, ""

    def __enter__(self) -> "Caught":
        sys.settrace(self.trace)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        sys.settrace(None)
        self.error = kind.__name__ if kind else ""
        return kind is not None and issubclass(kind, (Exception, TooManyLinesError))


def outcome(call: str, source: CodeType, given: dict[str, Any]) -> dict[str, Any]:
    """What one call does in a module that is made for it."""
    names: dict[str, Any] = {"__name__": "function"}
    trace, value = Trace(given["max_lines"], given["max_events"]), None
    code = compile(call, "<call>", "eval")
    with Caught() as loaded:
        exec(source, names)
    with Caught(None if given["as_shown"] else trace) as called:
        value = eval(code, names)
    if loaded.error or called.error:
        return {"error": loaded.error or called.error}
    if isinstance(value, int) and value.bit_length() > given["max_chars"]:
        return {"error": "too_long"}
    text = ""
    with Caught() as read_back:
        text = repr(value)
        if not given["as_shown"]:
            same = ast.literal_eval(text[: given["max_chars"] + 1])
            if type(same) is not type(value) or same != value:
                raise ValueError
    if len(text) > given["max_chars"]:
        return {"error": "too_long"}
    return (
        {"error": "not_literal"} if read_back.error else {"value": text, "lines": trace.lines, "events": trace.events}
    )


def apart(job: dict[str, Any], given: dict[str, Any]) -> Any:
    """All calls of a job in a process of its own; None where it did not tell."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (given["cpu_seconds"], given["cpu_seconds"]))
        os.closerange(3, writing)  # our stdout among them
        told = b"null"
        try:
            source = compile(job["source"], FILE, "exec", dont_inherit=True)
            told = json.dumps([outcome(call, source, given) for call in job["calls"]]).encode()
        finally:
            with os.fdopen(writing, "wb") as file:
                file.write(told[:MAX_ANSWER_BYTES])
            os._exit(0)
    os.close(writing)
    parts, deadline = [], time.monotonic() + 4 * given["cpu_seconds"]
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        parts.append(os.read(reading, 1 << 16))
        if not parts[-1]:
            break
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return json.loads(b"".join(parts))
    except ValueError:
        return None


def stop(number: int, frame: FrameType | None) -> None:
    raise TooManyLinesError


def main() -> None:
    given = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what functions print is not for us
    signal.signal(signal.SIGALRM, stop)
    for name in given["modules"]:  # as sessions name them: some run a program and exit, or wait for somebody
        with Caught(), contextlib.suppress(SystemExit):
            signal.alarm(given["import_seconds"])
            importlib.import_module(name)
        signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    sys.setrecursionlimit(300)
    for job in given["jobs"]:
        out.write(json.dumps(apart(job, given)) + "\n")
        out.flush()


main()
