"""What an agent works with: the files of a repository in memory, and tools to list, search, read and edit them, and to run tests.

Only `run_tests` runs code, and that in the sandbox. Every tool answers a wrong call in words, for a model has to read it; every answer is
bounded. A search is for plain text, so that no pattern can take for ever.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from synth.render import Call
from synth.software.localise import functions, suspects
from synth.software.suite import Result

MAX_LISTED, MAX_HITS, MAX_LINES, MAX_LINE_CHARS = 60, 30, 120, 200
MAX_FAILURES, MAX_MESSAGE_CHARS, MAX_SUSPECTS = 5, 500, 6

_PATH = {"type": "string", "description": "Path of a file, from the root of the repository."}
TOOLS: tuple[dict[str, Any], ...] = (
    {
        "name": "list_files",
        "description": f"List the files and folders in a folder, at most {MAX_LISTED}.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "Folder; empty for the root of the repository."}},
            "required": ["path"],
        },
    },
    {
        "name": "grep",
        "description": f"Find a text in all files beneath a path: the first {MAX_HITS} lines that contain it.",
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "Text to look for; case matters."},
                "path": {"type": "string", "description": "File or folder; empty for the whole repository."},
            },
            "required": ["text", "path"],
        },
    },
    {
        "name": "view",
        "description": f"Show lines of a file with their numbers, at most {MAX_LINES}.",
        "parameters": {
            "type": "object",
            "properties": {
                "path": _PATH,
                "line": {"type": "integer", "description": "Number of the first line."},
                "count": {"type": "integer", "description": "How many lines."},
            },
            "required": ["path", "line", "count"],
        },
    },
    {
        "name": "edit",
        "description": "Replace a text in a file by another one. The old text must occur there exactly once.",
        "parameters": {
            "type": "object",
            "properties": {
                "path": _PATH,
                "old": {"type": "string", "description": "The text as it stands in the file, with its line breaks."},
                "new": {"type": "string", "description": "What takes its place."},
            },
            "required": ["path", "old", "new"],
        },
    },
    {
        "name": "run_tests",
        "description": "Run the repository's tests and show what fails, and the functions that failing tests call more than others.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "A test file; empty for all tests."}},
            "required": ["path"],
        },
    },
)
Run = Callable[[Mapping[str, str], Sequence[str]], Result]  # (changed files, tests) -> what they did


class Ran(NamedTuple):
    """A call of `run_tests`, for whoever looks at what an agent did."""

    tests: int
    failed: int


class Workspace:
    """`files` as the agent has made them; `tests` are all that `run_tests` knows."""

    def __init__(self, files: Mapping[str, str], tests: Sequence[str], run: Run) -> None:
        self._before = files
        self.changed: dict[str, str] = {}
        self.tests = tuple(tests)
        self.ran: list[Ran] = []
        self._run = run

    @property
    def files(self) -> dict[str, str]:
        return {**self._before, **self.changed}

    def text(self, path: str) -> str | None:
        return self.changed.get(path, self._before.get(path))

    def call(self, call: Call) -> str:
        """What a tool answers."""
        tool = {tool["name"]: tool for tool in TOOLS}.get(call.name)
        if tool is None:
            return f"There is no tool {call.name!r}; the tools are {', '.join(tool['name'] for tool in TOOLS)}."
        properties = tool["parameters"]["properties"]
        for name, schema in properties.items():
            kind = {"string": str, "integer": int}[schema["type"]]
            if name not in call.arguments or not isinstance(call.arguments[name], kind):
                return f"{call.name} needs {name!r}, a {schema['type']}."
        return getattr(self, call.name)(**{name: call.arguments[name] for name in properties})

    def list_files(self, path: str) -> str:
        folder = path.strip("/") + "/" if path.strip("/") else ""
        names = {name[len(folder) :] for name in self._before if name.startswith(folder)}
        if not names:
            return f"There is no folder {path!r}."
        listed = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in names})
        left = [f"and {len(listed) - MAX_LISTED} more"] if len(listed) > MAX_LISTED else []
        return "\n".join(listed[:MAX_LISTED] + left)

    def grep(self, text: str, path: str) -> str:
        if not text or "\n" in text:
            return "Type a text of one line to look for."
        files = self.files
        inside = path.strip("/")
        beneath = [name for name in sorted(files) if not inside or name == inside or name.startswith(inside + "/")]
        if not beneath:
            return f"There is no file or folder {path!r}."
        hits = [
            f"{name}:{number}: {_cut(line.strip())}"
            for name in beneath
            if text in files[name]
            for number, line in enumerate(files[name].split("\n"), 1)
            if text in line
        ]
        shown = hits[:MAX_HITS] + ([f"and {len(hits) - MAX_HITS} more lines"] if len(hits) > MAX_HITS else [])
        return "\n".join(shown) if hits else f"No line contains {text!r}."

    def view(self, path: str, line: int, count: int) -> str:
        text = self.text(path)
        if text is None:
            return f"There is no file {path!r}."
        lines = text.split("\n")
        begin = max(1, line)
        shown = lines[begin - 1 : begin - 1 + min(max(1, count), MAX_LINES)]
        if not shown:
            return f"{path} has {len(lines)} lines."
        return "\n".join(f"{number}\t{_cut(text)}" for number, text in enumerate(shown, begin))

    def edit(self, path: str, old: str, new: str) -> str:
        text = self.text(path)
        if text is None:
            return f"There is no file {path!r}."
        times = text.count(old) if old else 0
        if times != 1:
            return f"The old text occurs {times} times in {path}: it must occur once. Nothing was changed."
        self.changed[path] = text.replace(old, new)
        return f"{path} was changed."

    def run_tests(self, path: str) -> str:
        chosen = [test for test in self.tests if not path or test.partition("::")[0] == path]
        if not chosen:
            files = sorted({test.partition("::")[0] for test in self.tests})
            return f"{path} holds no tests that run here; some do in {', '.join(files[:8])}."
        result = self._run(self.changed, chosen)
        self.ran.append(Ran(len(chosen), len(chosen) - len(result.passed)))
        return report(result, len(chosen), self.files)


def report(result: Result, num_tests: int, files: Mapping[str, str]) -> str:
    """What a run of tests did, in words."""
    if result.status in ("timeout", "crash"):
        return {
            "timeout": "The tests took too long and were ended.",
            "crash": "The tests ended before they were done.",
        }[result.status]
    failed = sorted(result.failed)
    missing = max(0, num_tests - len(result.outcomes))
    counts = (
        [f"{len(failed)} failed"] * bool(failed)
        + [f"{len(result.passed)} passed"]
        + [f"{missing} not found"] * bool(missing)
    )
    parts = [", ".join(counts)]
    parts += [f"ERROR {path}\n{_indented(message)}" for path, message in result.errors[:MAX_FAILURES]]
    for test in failed[:MAX_FAILURES]:
        failure = result.failures.get(test)
        parts.append(f"FAILED {test}")
        if failure:
            parts += [f"    {path}:{line} in {name}" for path, line, name in failure.frames]
            parts.append(_indented(f"{failure.kind}: {failure.message}"))
    if len(failed) > MAX_FAILURES:
        parts.append(f"and {len(failed) - MAX_FAILURES} more failures")
    if failed and result.calls:
        parts.append("Called by failing tests (share of failing tests and of passing ones):")
        num_passing = max(1, len(result.passed))
        for one in suspects(result)[:MAX_SUSPECTS]:
            known = functions(files.get(one.path, "")).get(one.line)
            name = known.name if known else "?"
            parts.append(
                f"    {one.path}:{one.line} {name} ({one.failing / len(failed):.0%}, {one.passing / num_passing:.0%})"
            )
    return "\n".join(parts)


def _cut(line: str) -> str:
    return line if len(line) <= MAX_LINE_CHARS else line[: MAX_LINE_CHARS - 1] + "…"


def _indented(message: str) -> str:
    cut = message if len(message) <= MAX_MESSAGE_CHARS else message[: MAX_MESSAGE_CHARS - 1] + "…"
    return "\n".join(f"    {line}" for line in cut.split("\n"))
