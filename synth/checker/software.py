"""Software tasks: the tree is built from the documents, patched by another applier, and the tests run in the sandbox by plain pytest.

In the buggy tree every test of FAIL_TO_PASS fails and every one of PASS_TO_PASS passes; with the gold patch, and with the answer's, all
pass. A trajectory's calls are made again on texts in memory: listings, searches, views and edits have to read as they are shown, and the
edits have to come to the answer's patch. What `run_tests` shows is compared by its counts, before the first edit and after the last one.
The issue names no file, line, function or test of the bug. Not checked again: flakiness, the wording of failures, suspicion. Two or three
runs of pytest per row, one CPU second.
"""

import ast
import difflib
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from synth.checker.conversation import arguments
from synth.checker.row import Document, Documents, Row
from synth.software import sandbox

Files = Mapping[str, str]
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_PYTEST = """
import json, os, sys
sys.path[:0] = [path for path in ("/box/src", "/box") if os.path.isdir(path)]
import pytest
told = json.load(sys.stdin)
class Told:
    outcomes = {}
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.nodeid in told]
    def pytest_runtest_logreport(self, report):
        if report.failed or report.when == "call":
            self.outcomes.setdefault(report.nodeid, report.outcome)
            if report.failed:
                self.outcomes[report.nodeid] = "failed"
out = os.dup(1)
os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
files = sorted({name.partition("::")[0] for name in told})
options = ["-q", "--rootdir", "/box", "-c", "/dev/null", "--tb=no", "-W", "ignore", "-p", "no:cacheprovider"]
pytest.main([*options, "--continue-on-collection-errors", *files], plugins=[Told()])
os.write(out, ("\\n" + json.dumps(Told.outcomes)).encode())
os._exit(0)
"""
_LIMITS = sandbox.Limits(cpu_seconds=120, wall_seconds=300, memory_mb=2048, output_bytes=16 << 20)
MIN_LINE_CHARS = 8  # of a line that is anybody's
MAX_LISTED, MAX_HITS, MAX_LINES, MAX_CHARS = 60, 30, 120, 200  # of what the tools show, as the row's tools say


class Unfit(ValueError):
    """A patch does not fit its files."""


def checked(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of generator `software`."""
    task = row.task
    place = _place(task, documents)
    clean = _original(row, documents, place)
    if clean is None:
        yield "the documents are another tree than the one that the bug was put into"
        return
    try:
        buggy = patched(patched(clean, task["bug_patch"]), task["test_patch"])
        gold = patched(buggy, task["patch"])
        answer = patched(buggy, task["answer_patch"])
    except Unfit as error:
        yield f"a patch does not fit: {error}"
        return
    if _content_hash(buggy) != task["base_commit"] and task["bug_patch"]:
        yield "the buggy tree has another hash"
    if task["problem_statement"] not in row.asked:
        yield "the row does not ask for the issue"
    if task["bug_patch"]:
        failing, passing = len(task["FAIL_TO_PASS"]), len(task["PASS_TO_PASS"])
        if failing > passing:
            yield "more than half of the tests fail"
        told = row.meta["verdicts"]["fails_before"]
        if (told["failing"], told["tests"]) != (failing, failing + passing):
            yield f"{failing} of {failing + passing} tests fail, not {told['failing']} of {told['tests']}"
    yield from _told(task, buggy, gold)
    yield from _tests(task, buggy, [gold] if gold == answer else [gold, answer])
    if task["how"] == "patch":
        if f"```diff\n{task['answer_patch']}```" not in row.answered:
            yield "the row does not answer with the patch"
    else:
        yield from _replayed(row, buggy, answer)


def _place(task: Mapping[str, Any], documents: Documents) -> str:
    """How the origins of its tree begin; those of a real pull request have a host before its name, and the commit as their version."""
    if task["bug_patch"]:
        return f"{task['repo']}@{task['version']}:"
    for document in documents.values():
        name, _, version = document.origin.partition(":")[0].rpartition("@")
        if f"/{name}".endswith(f"/{task['repo']}") and len(version) >= 7 and task["base_commit"].startswith(version):
            return f"{name}@{version}:"
    return f"{task['repo']}@{task['base_commit']}:"


def _told(task: Mapping[str, Any], buggy: Files, gold: Files) -> Iterator[str]:
    """What the issue tells and may not: files and lines of the patch, its functions, failing tests, by names that those do not use.

    People who report a bug name what they like: of an imported pull request only new lines are looked for.
    """
    issue = task["problem_statement"]
    paths = sorted({name.partition("::")[0] for name in task["FAIL_TO_PASS"]})
    used = set(re.findall(r"\w+", "\n".join(gold.get(path, "") for path in paths)))
    secrets = {*paths, *(name.partition("[")[0].split("::")[-1] for name in task["FAIL_TO_PASS"])}
    lines: set[str] = set()
    for path in sorted(path for path in {*buggy, *gold} if buggy.get(path) != gold.get(path)):
        old, new = (files.get(path, "").split("\n") for files in (buggy, gold))
        edits = difflib.SequenceMatcher(None, old, new, False).get_opcodes()
        for first, last, begin, end in (places for tag, *places in edits if tag != "equal"):
            lines |= {*new[begin:end], *(old[first:last] if task["bug_patch"] else ())}
            secrets |= {
                name for name in _around(buggy.get(path, ""), first + 1, max(first + 1, last)) if name not in used
            }
        module = path.removesuffix(".py").replace("/", ".")
        secrets |= {path, path.split("/")[-1]} | ({module} if set(module.split(".")) - used else set())
    folded = " ".join(issue.split())
    for secret in sorted(secrets) if task["bug_patch"] else ():
        if re.search(rf"(?<![\w.]){re.escape(secret)}(?!\w)", issue):
            yield f"the issue says {secret!r}"
    for line in sorted({" ".join(line.split()) for line in lines}):
        if len(line) >= MIN_LINE_CHARS and line in folded:
            yield f"the issue shows {line!r}"


def _around(source: str, first: int, last: int) -> Iterator[str]:
    """Names of the functions that have some of these lines."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.lineno <= last
            and first <= (node.end_lineno or 0)
        ):
            yield node.name


def _original(row: Row, documents: Documents, place: str) -> dict[str, str] | None:
    """The tree without the bug, from the corpora that give its hash; of a real pull request, whose hash is git's, from any."""
    for corpora in documents.origins(row):
        found: dict[str, str] = documents.once((place, corpora), lambda: _tree(place, documents.of(corpora)))  # noqa: B023
        if _content_hash(found) == row.task["environment_setup_commit"] or not row.task["bug_patch"]:
            return found
    return None


def patched(files: Files, patch: str) -> dict[str, str]:
    """The files with a unified diff applied, each hunk where its old lines stand. Unfit."""
    made = dict(files)
    head, *parts = re.split(r"(?m)^(?=--- .*\n\+\+\+ )", patch)
    if patch and not parts:
        raise Unfit(f"{head[:60]!r} is no diff")
    for part in parts:
        head, _, body = part.partition("@@ ")
        old, new = (line[4:].split("\t")[0] for line in head.split("\n")[:2])
        path = (new if new != "/dev/null" else old)[2:]
        lines = _LINE.findall(made.get(path, "")) if old != "/dev/null" else []
        shift = 0
        for hunk in re.split(r"(?m)^@@ ", body):
            lines, shift = _with_hunk(path, lines, hunk, shift)
        made[path] = "".join(lines)
        if new == "/dev/null":
            del made[path]
    return made


def _with_hunk(path: str, lines: list[str], hunk: str, shift: int) -> tuple[list[str], int]:
    header, *rest = _LINE.findall(hunk)
    place = re.match(r"-(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", header)
    if place is None:
        raise Unfit(f"{path}: {header[:60]!r}")
    before, after = [], []
    for index, line in enumerate(rest):
        if line.startswith("diff --git "):
            break
        ends = index + 1 < len(rest) and rest[index + 1].startswith("\\")
        text = line[1:].removesuffix("\n") if ends else line[1:]
        before += [text] if line[0] in " -" else []
        after += [text] if line[0] in " +" else []
    at = max(0, int(place[1]) - (place[2] != "0")) + shift
    if lines[at : at + len(before)] != before:
        raise Unfit(f"{path}: line {at + 1} is not as the patch has it")
    return [*lines[:at], *after, *lines[at + len(before) :]], shift + len(after) - len(before)


def _tree(place: str, documents: Iterable[Document]) -> dict[str, str]:
    """The files of a repository: safe paths, of two documents with one path the smaller text, no file that is a folder of others."""
    found: dict[str, str] = {}
    for document in documents:
        if document.origin.startswith(place):
            path = document.origin[len(place) :]
            if _is_safe(path) and (path not in found or document.text < found[path]):
                found[path] = document.text
    folders = {path[: match.start()] for path in found for match in re.finditer("/", path)}
    kept = {path: text for path, text in found.items() if path not in folders}
    return _with_empty_packages(kept)


def _with_empty_packages(files: dict[str, str]) -> dict[str, str]:
    """Empty files are no documents: a folder of modules gets its `__init__.py` back beneath a package, or if one imports relatively."""
    modules: dict[tuple[str, ...], list[str]] = {}
    for path, text in files.items():
        *place, name = path.split("/")
        if place and name.endswith(".py"):
            modules.setdefault(tuple(place), []).append(text)
    for folder, texts in sorted(modules.items()):
        init, above = ("/".join([*parts, "__init__.py"]) for parts in (folder, folder[:-1]))
        is_relative = any(re.match(r"\s*from\s+\.", line) for text in texts for line in text.split("\n"))
        if init not in files and ((len(folder) > 1 and above in files) or is_relative):
            files[init] = ""
    return files


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    is_short = len(path.encode("utf-8", "replace")) <= 240 and len(parts) <= 20
    is_plain = path.isprintable() and not set(path) & set('\\:*?"<>|')
    return is_short and is_plain and not set(parts) & {"", ".", "..", ".git", "__pycache__"}


def _content_hash(files: Files) -> str:
    told = "".join(f"{path}\0{len(text)}\0{text}" for path, text in sorted(files.items()))
    return hashlib.sha1(told.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _tests(task: Mapping[str, Any], buggy: Files, repaired: list[dict[str, str]]) -> Iterator[str]:
    fail, keep = set(task["FAIL_TO_PASS"]), set(task["PASS_TO_PASS"])
    before = outcomes(buggy, fail | keep)
    if not fail:
        yield "no test fails before"
    if wrong := sorted(name for name in fail if before.get(name) != "failed"):
        yield f"{wrong[0]} does not fail with the bug"
    if wrong := sorted(name for name in keep if before.get(name) != "passed"):
        yield f"{wrong[0]} does not pass with the bug"
    for tree in repaired:
        after = outcomes(tree, fail | keep)
        if wrong := sorted(name for name in fail | keep if after.get(name) != "passed"):
            yield f"{wrong[0]} does not pass with the patch"


def outcomes(files: Files, tests: set[str]) -> dict[str, str]:
    """What tests do: `passed`, `failed` or `skipped` by name, in the sandbox; nothing of what did not run."""
    folder = Path(tempfile.mkdtemp(prefix="tokenloom-check-"))
    try:
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode("utf-8", "surrogatepass"))
        ended = sandbox.run(
            [sys.executable, "-s", "-P", "-c", _PYTEST],
            folder,
            limits=_LIMITS,
            stdin=json.dumps(sorted(tests)),
            environment={"PYTHONHASHSEED": "5", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TZ": "UTC"},
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        told = json.loads(ended.out.rpartition("\n")[2])
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _replayed(row: Row, buggy: Files, answer: Files) -> Iterator[str]:
    files, pending = dict(buggy), True
    for turn, after in zip(row.turns, [*row.turns[1:], None], strict=True):
        for number, call in enumerate(turn.calls):
            if after is None or number >= len(after.responses):
                yield f"the call of {call.name} has no response"
                return
            shown, given = after.responses[number], arguments(row.turns, call)
            if call.name == "run_tests":
                yield from _counted(row.task, shown, given["path"], files == buggy and pending, files == answer)
            elif shown != (expected := _shown(call.name, given, files)):
                yield f"{call.name} shows {shown[:60]!r}, not {expected[:60]!r}"
            pending = pending and call.name != "edit"
    if files != answer:
        yield "the edits are not the patch of the answer"


def _counted(task: Mapping[str, Any], shown: str, path: str, is_buggy: bool, is_repaired: bool) -> Iterator[str]:
    """The counts of a run on a tree whose outcomes are known."""
    fail, keep = (
        [name for name in task[which] if not path or name.partition("::")[0] == path]
        for which in ("FAIL_TO_PASS", "PASS_TO_PASS")
    )
    if not fail and not keep:
        return
    failed = len(fail) if is_buggy else 0
    passed = len(fail) + len(keep) - failed
    expected = f"{failed} failed, {passed} passed" if failed else f"{passed} passed"
    if (is_buggy or is_repaired) and shown.split("\n")[0] != expected:
        yield f"run_tests shows {shown.splitlines()[0][:60]!r}, and it is {expected!r}"


def _shown(name: str, given: Mapping[str, Any], files: dict[str, str]) -> str:
    """What a tool answers; an edit changes `files`."""
    path = given["path"].strip("/") if name in ("list_files", "grep") else given["path"]
    match name:
        case "list_files":
            below = [one for one in files if not path or one.startswith(f"{path}/")]
            inside = [one[len(path) + 1 if path else 0 :] for one in below]
            lines = sorted({part.split("/")[0] + "/" * ("/" in part) for part in inside})
            return _bounded(lines, MAX_LISTED, "more") if lines else f"There is no folder {given['path']!r}."
        case "grep":
            lines = []
            for one in sorted(files):
                if not path or one == path or one.startswith(f"{path}/"):
                    for number, line in enumerate(files[one].split("\n"), start=1):
                        if given["text"] in line:
                            lines.append(f"{one}:{number}: {_cut(line.strip())}")
            return _bounded(lines, MAX_HITS, "more lines") if lines else f"No line contains {given['text']!r}."
    if path not in files:
        return f"There is no file {path!r}."
    if name == "view":
        first, lines = max(1, given["line"]), files[path].split("\n")
        last = first - 1 + min(max(1, given["count"]), MAX_LINES)
        window = lines[first - 1 : last]
        numbered = [f"{number}\t{_cut(line)}" for number, line in enumerate(window, start=first)]
        return "\n".join(numbered) if window else f"{path} has {len(lines)} lines."
    times = files[path].count(given["old"]) if given["old"] else 0
    if times != 1:
        return f"The old text occurs {times} times in {path}: it must occur once. Nothing was changed."
    files[path] = files[path].replace(given["old"], given["new"])
    return f"{path} was changed."


def _bounded(lines: list[str], most: int, rest: str) -> str:
    return "\n".join([*lines[:most], *([f"and {len(lines) - most} {rest}"] if len(lines) > most else [])])


def _cut(line: str) -> str:
    return line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 1]}…"
