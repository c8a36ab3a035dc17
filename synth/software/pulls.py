"""Real pull requests as tasks: rows in SWE-bench's form with the documents of their base commits, proven here before they are believed.

    source: {generator: pulls, from: [pull_trees], pulls: pulls.jsonl}

`pulls` is a JSON Lines file in that form: SWE-bench's own, what other tools mine from histories, what `tokenloom synth export --to
swebench` writes. The tree of a row is what the reader `git` gives of `repo` at `base_commit`: a corpus of `reader: git` with `ref:` for
each base commit. With the test patch applied the tests to fail must fail, in three runs, and those to pass must pass; with the gold patch
as well, all must pass, three times. A test that is missing from a run counts as neither: a pull request whose new tests import what it
adds is dropped as `synth.collects`. Rows without FAIL_TO_PASS get theirs from these runs. There is no trajectory without a model: the row
is the problem statement and the gold patch. All trees that are named meet in one receiver: hundreds of commits, not all of GitHub.
"""

import importlib.util
import json
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from curation.steps import StepError
from datapipe import store
from datapipe.schema import code_place
from synth.generators import Generator
from synth.render import Turn
from synth.rows import Made, Parent, documents
from synth.software import issue, patch, validate
from synth.software.suite import Checkout, Job, by_file
from synth.software.task import Task
from synth.software.tree import TEST_FILE, Repository, with_packages, without_clashes

NAMES = ("instance_id", "repo", "base_commit", "patch", "test_patch", "problem_statement")
KEPT = ("hints_text", "created_at", "version", "environment_setup_commit")
CPU_SECONDS = 120  # of one run of a row's tests
KEY = 0
MIN_HEX = 7  # digits of a commit that tell it from others


class Pull(NamedTuple):
    """A row of the other's data set."""

    about: Mapping[str, str]
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]


def read(lines: Iterable[str]) -> list[Pull]:
    """Rows of a JSON Lines file. ValueError with the number of the line for one that is not in the form."""
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            about = {name: str(row[name]) for name in NAMES} | {name: str(row.get(name) or "") for name in KEPT}
            tests = [_list(row.get(name)) for name in ("FAIL_TO_PASS", "PASS_TO_PASS")]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"line {number} is no row of SWE-bench: {error!r}; it needs {', '.join(NAMES)}") from error
        found.append(Pull(about, *tests))
    return found


def _list(value: Any) -> tuple[str, ...]:
    """A list, or one as a JSON text, as the published data set has it."""
    return tuple(json.loads(value) if isinstance(value, str) else value or ())


def check(*, pulls: str = "") -> None:
    """ValueError where no file is named, or pytest is not installed."""
    if not pulls:
        raise ValueError("pulls is missing: type the path of a JSON Lines file in SWE-bench's form")
    if importlib.util.find_spec("pytest") is None:
        raise ValueError("the tests of repositories are run by pytest, which is not installed: pip install pytest")


def emit(docs: pa.Table, *, pulls: str) -> pa.Table:
    """The files of the commits that are named, to one receiver."""
    wanted = _load(pulls)
    kept = [
        place is not None and any(_is_of(place[0], place[1], pull) for pull in wanted)
        for place in map(code_place, docs["origin"].to_pylist())
    ]
    found = docs.select(["origin", "text", "id", "license"]).filter(pa.array(kept, pa.bool_()))
    return found.append_column("key", pa.array([KEY] * found.num_rows, pa.uint64()))


def reduce(rows: pa.Table, *, pulls: str, seed: int = 0) -> pa.Table:
    """A document for each row of the file: accepted, or with the reason why not."""
    trees = _trees(rows)
    return documents(_row(pull, _tree(trees, pull), seed) for pull in _load(pulls))


def _load(path: str) -> list[Pull]:
    try:
        return read(store.read_bytes(path).decode("utf-8", "replace").split("\n"))
    except ValueError as error:
        raise StepError(f"{path}: {error}") from error


def _trees(docs: pa.Table) -> dict[tuple[str, str], Repository]:
    files: dict[tuple[str, str], dict[str, tuple[str, Parent]]] = defaultdict(dict)
    columns = (docs[name].to_pylist() for name in ("origin", "text", "id", "license"))
    told = [row for row in zip(*columns, strict=True) if row[1] is not None]
    for origin, text, id, license in sorted(told, key=lambda row: (row[1], row[2]), reverse=True):
        place = code_place(origin)
        if place is not None:
            files[place[:2]][place[2]] = (text, Parent.of(id, text, license))  # of one path the smallest text counts
    return {
        (name, version): Repository(
            name,
            version,
            with_packages(without_clashes({path: text for path, (text, _) in found.items()})),
            {path: parent for path, (_, parent) in found.items()},
        )
        for (name, version), found in files.items()
    }


def _tree(trees: Mapping[tuple[str, str], Repository], pull: Pull) -> Repository | None:
    """The documents of the row's commit; the reader puts a host before `owner/name`."""
    named = [tree for (name, version), tree in sorted(trees.items()) if _is_of(name, version, pull)]
    return named[0] if named else None


def _is_of(name: str, version: str, pull: Pull) -> bool:
    repo = pull.about["repo"]
    return (
        (name == repo or name.endswith("/" + repo))
        and len(version) >= MIN_HEX
        and pull.about["base_commit"].startswith(version)
    )


def _row(pull: Pull, tree: Repository | None, seed: int) -> dict[str, Any]:
    made, about = Made("pulls", seed), pull.about
    verdicts: dict[str, dict[str, Any]] = {"has_tree": {"passed": tree is not None}}
    parents: list[Parent] = []
    if tree is not None:
        try:
            tested = _with(tree.files, about["test_patch"])
            repaired = _with(tested, about["patch"])
        except patch.PatchError as error:
            verdicts["applies"] = {"passed": False, "error": str(error)}
        else:
            verdicts["applies"] = {"passed": True}
            pull, proof = _proven(pull, tested, repaired)
            verdicts |= proof
            parents = tree.parents_of([path for path in tree.files if tree.files[path] != repaired.get(path)])
    failed = not all(verdict["passed"] for verdict in verdicts.values())
    task = _task(pull).as_json()
    if failed:
        text = about["problem_statement"]
        return made.reject(about["instance_id"], text, kind="agent", parents=parents, task=task, verdicts=verdicts)
    turns = [
        Turn("user", f"{about['problem_statement']}\n\nAnswer with a patch in the unified format."),
        Turn("assistant", f"```diff\n{about['patch']}```"),
    ]
    return made.row(about["instance_id"], turns, kind="agent", parents=parents, task=task, verdicts=verdicts)


def _with(files: Mapping[str, str], changes: str) -> dict[str, str]:
    made = {**files, **patch.apply(changes, files)}
    return {path: text for path, text in made.items() if text is not None}


def _proven(
    pull: Pull, tested: Mapping[str, str], repaired: Mapping[str, str]
) -> tuple[Pull, dict[str, dict[str, Any]]]:
    """Both sides in three runs; the tests of the row, or those of the test patch's files."""
    given = {*pull.fail_to_pass, *pull.pass_to_pass}
    touched = sorted(path for path in patch.paths(pull.about["test_patch"]) if TEST_FILE.search(path))
    tests: Mapping[str, Sequence[str] | None] = by_file(given) if given else dict.fromkeys(touched)
    sides = []
    for files in (tested, repaired):
        with Checkout(without_clashes(files)) as checkout:
            sides.append([_outcomes(checkout, tests, run) for run in range(validate.RUNS)])
    before, after = sides
    if not given:
        fails = {test for test in before[0] if all(run.get(test) in ("failed", "error") for run in before)}
        fixed = {test for test in after[0] if all(run.get(test) == "passed" for run in after)}
        kept = {test for test in fixed - fails if all(run.get(test) == "passed" for run in before)}
        pull = pull._replace(fail_to_pass=tuple(sorted(fails & fixed)), pass_to_pass=tuple(sorted(kept)))
    wanted = {*pull.fail_to_pass, *pull.pass_to_pass}
    missing = max(len(wanted - run.keys()) for run in (*before, *after))
    steady = all(run.get(test) in ("failed", "error") for run in before for test in pull.fail_to_pass)
    kept_passing = all(run.get(test) == "passed" for run in before for test in pull.pass_to_pass)
    passing = min(sum(run.get(test) == "passed" for test in wanted) for run in after)
    leaked = issue.leaked_lines(pull.about["problem_statement"], patch.changed_lines(pull.about["patch"], "+"))
    return pull, {
        "collects": {"passed": missing == 0 and bool(after[0]), "missing": missing, "tests": len(after[0])},
        "fails_before": {
            "passed": bool(pull.fail_to_pass) and steady and kept_passing,
            "failing": len(pull.fail_to_pass),
            "runs": validate.RUNS,
        },
        "passes_after": {
            "passed": passing == len(wanted),
            "passing": passing,
            "tests": len(wanted),
            "runs": validate.RUNS,
        },
        "leak_free": {"passed": not leaked, "leaks": leaked},
    }


def _outcomes(checkout: Checkout, tests: Mapping[str, Sequence[str] | None], run: int) -> dict[str, str]:
    """One job per test file, so that one which cannot be collected takes no other along."""
    jobs = [Job({path: names}, order=run, cpu_seconds=CPU_SECONDS) for path, names in tests.items()]
    return {test: outcome for result in checkout.run(jobs, hash_seed=run) for test, outcome in result.outcomes.items()}


def _task(pull: Pull) -> Task:
    about = pull.about
    copied: dict[str, Any] = {name: about[name] for name in (*NAMES, *KEPT)}
    return Task(
        **copied,
        fail_to_pass=pull.fail_to_pass,
        pass_to_pass=pull.pass_to_pass,
        runs=tuple((run, run) for run in range(validate.RUNS)),
        how="patch",
        answer_patch=about["patch"],
        python=platform.python_version(),
    )


PULLS = Generator(emit, reduce, check, files=("pulls",))
