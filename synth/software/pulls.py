"""Real pull requests as tasks: rows in SWE-bench's form with the documents of their base commits, proven here before they are believed.

The tree of a row is what the reader `git` gives of `repo` at `base_commit` (`ref:` in the source). With the test patch applied the tests to
fail must fail, in three runs, and those to pass must pass; with the gold patch as well, all must pass, three times. A test that is missing
from a run counts as neither: a pull request whose new tests import what it adds is dropped as `synth.collects`. Rows without
FAIL_TO_PASS get theirs from these runs. There is no trajectory without a model: the row is the problem statement and the gold patch.
"""

import json
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from datapipe.schema import code_place
from synth.render import Turn
from synth.rows import Made, Parent, documents
from synth.software import issue, patch, validate
from synth.software.suite import Checkout, Job, by_file
from synth.software.task import Task
from synth.software.tree import TEST_FILE, Repository, without_clashes

NAMES = ("instance_id", "repo", "base_commit", "patch", "test_patch", "problem_statement")
KEPT = ("hints_text", "created_at", "version", "environment_setup_commit")
CPU_SECONDS = 120  # of one run of a row's tests


class Pull(NamedTuple):
    """A row of the other's data set."""

    about: Mapping[str, str]
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]


def read(lines: Iterable[str]) -> list[Pull]:
    """Rows of a JSON Lines file. ValueError with the number of the line for one that is not in the form."""
    found = []
    for number, line in enumerate(lines, 1):
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


def imported(pulls: Iterable[Pull], docs: pa.Table, *, seed: int = 0) -> pa.Table:
    """A document for each row: accepted, or with the reason why not. `docs` are the files of the base commits."""
    trees = _trees(docs)
    return documents(_row(pull, _tree(trees, pull), seed) for pull in pulls)


def _trees(docs: pa.Table) -> dict[tuple[str, str], Repository]:
    files: dict[tuple[str, str], dict[str, tuple[str, Parent]]] = defaultdict(dict)
    columns = (docs[name].to_pylist() for name in ("origin", "text", "id", "license"))
    for origin, text, id, license in zip(*columns, strict=True):
        place = code_place(origin)
        if place is not None and text is not None:
            files[place[:2]][place[2]] = (text, Parent.of(id, text, license))
    return {
        (name, version): Repository(
            name,
            version,
            without_clashes({path: text for path, (text, _) in found.items()}),
            {path: parent for path, (_, parent) in found.items()},
        )
        for (name, version), found in files.items()
    }


def _tree(trees: Mapping[tuple[str, str], Repository], pull: Pull) -> Repository | None:
    """The documents of the row's commit; the reader puts a host before `owner/name`."""
    repo, commit = pull.about["repo"], pull.about["base_commit"]
    named = [
        tree
        for (name, version), tree in sorted(trees.items())
        if (name == repo or name.endswith("/" + repo)) and version and commit.startswith(version)
    ]
    return named[0] if named else None


def _row(pull: Pull, tree: Repository | None, seed: int) -> dict[str, Any]:
    made, about = Made("software", seed), pull.about
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
        "collects": {"passed": missing == 0, "missing": missing},
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
