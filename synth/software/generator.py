"""Software tasks from the files of whole repositories: a bug put in by program, proven by the repository's own tests, and its repair.

Per repository (all its documents meet in one receiver): the tree is built, its tests run three times in the sandbox, functions that they
call are mutated one at a time, and each mutant goes through `validate.py`. What is left is described by an issue (`issue.py`), and repaired
by the scripted agent or by the teacher (`agent.py`). Every accepted row is a trajectory that ends with all tests passing: a task that the
agent does not solve is dropped as `synth.solved`.

Verdicts, in order: baseline_stable, collects, fails_before, few_fail, not_flaky, passes_after, leak_free, reproduces (where the issue holds
a script: as a test it fails before and passes after), localised (of the scripted agent), solved. The code of the documents never runs
outside the sandbox. `task` is `synth.software.task.Task`, which says how to prove it again. Not covered: packages that must be compiled or
whose dependencies are not installed (their tests fail, so there is no baseline), languages other than Python, tests that need a network.
"""

import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import xxhash

from datapipe.schema import DROP, code_place
from synth.evidence import keyed
from synth.generators import Generator
from synth.rows import Parent, documents
from synth.software import validate
from synth.software.candidates import mutants
from synth.software.describe import described
from synth.software.records import Recorder
from synth.software.solve import by_teacher, scripted
from synth.software.suite import Checkout
from synth.software.tree import Repository, with_packages, without_clashes

if TYPE_CHECKING:
    from synth.teacher import Crew

FILES = pa.schema(
    [("key", pa.uint64()), ("name", pa.string()), ("version", pa.string()), ("path", pa.string()), ("text", pa.large_string()),
     ("id", pa.string()), ("license", pa.string())]
)  # fmt: skip
MAX_FILES, MAX_CHARS = 20_000, 100_000_000  # of a repository
MAX_FILE_CHARS = 1_000_000
FIRST_BATCH, NEXT_BATCH = 10, 5  # mutants that are checked together
TRIES_PER_ROW = 4  # candidates per wanted row


def check(*, per_repository: int = 8, max_test_files: int = 12, max_tests: int = 24, accept: int = 0) -> None:
    """Raises ValueError for limits that leave nothing, or where pytest is not installed."""
    for name, value in (
        ("per_repository", per_repository),
        ("max_test_files", max_test_files),
        ("max_tests", max_tests),
    ):
        if value < 1:
            raise ValueError(f"{name} is {value}: type 1 or more")
    if accept < 0:
        raise ValueError(f"accept is {accept}: type how many rows are wanted, or 0 for all")
    if importlib.util.find_spec("pytest") is None:
        raise ValueError("the tests of repositories are run by pytest, which is not installed: pip install pytest")


def emit(docs: pa.Table) -> pa.Table:
    """One row per file of a repository; what has no place in one, or no safe path, is left out."""
    rows = []
    for origin, text, id, license in zip(
        *(docs[name].to_pylist() for name in ("origin", "text", "id", "license")), strict=True
    ):
        place = code_place(origin)
        if place is not None and text is not None and len(text) <= MAX_FILE_CHARS:
            name, version, path = place
            key = xxhash.xxh3_64_intdigest(f"{name}@{version}".encode("utf-8", "surrogatepass"))
            rows.append(
                {"key": key, "name": name, "version": version, "path": path, "text": text, "id": id, "license": license}
            )
    return pa.Table.from_pylist(rows, schema=FILES)


def reduce(
    rows: pa.Table,
    *,
    seed: int = 0,
    per_repository: int = 8,
    max_test_files: int = 12,
    max_tests: int = 24,
    accept: int = 0,
    teacher: "Crew | None" = None,
) -> pa.Table:
    """Tasks of the repositories received, in a keyed order, at most `per_repository` of each and `accept` in all (0: no limit).

    max_test_files: of a repository that are run. max_tests: that call a mutated function, and as many others, that are run for a mutant.
    """
    made: list[dict[str, Any]] = []
    accepted = 0
    for repository in _repositories(rows, seed):
        of_this = 0
        about = {"seed": seed, "max_test_files": max_test_files, "max_tests": max_tests}
        for row in _rows(repository, per_repository * TRIES_PER_ROW, **about, teacher=teacher):
            made.append(row)
            of_this += row[DROP] is None
            accepted += row[DROP] is None
            if of_this == per_repository or (accept and accepted == accept):
                break
        if accept and accepted == accept:
            break
    return documents(made)


def _repositories(rows: pa.Table, seed: int) -> Iterator[Repository]:
    """The repositories that have tests; of documents with one path the smallest text counts."""
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, place in enumerate(zip(rows["name"].to_pylist(), rows["version"].to_pylist(), strict=True)):
        numbers[place].append(number)
    for name, version in sorted(numbers, key=lambda place: (keyed(seed, "@".join(place), "repository"), place)):
        files: dict[str, str] = {}
        parents: dict[str, Parent] = {}
        chosen = rows.take(numbers.pop((name, version))).to_pylist()
        if len(chosen) > MAX_FILES or sum(len(row["text"]) for row in chosen) > MAX_CHARS:
            continue
        for row in sorted(chosen, key=lambda row: (row["path"], row["text"], row["id"]), reverse=True):
            files[row["path"]] = row["text"]
            parents[row["path"]] = Parent.of(row["id"], row["text"], row["license"])
        repository = Repository(name, version, with_packages(without_clashes(files)), parents)
        if repository.test_files and repository.source_files:
            yield repository


def _rows(
    repository: Repository,
    num_candidates: int,
    *,
    seed: int,
    max_test_files: int,
    max_tests: int,
    teacher: "Crew | None",
) -> Iterator[dict[str, Any]]:
    """Rows of one repository, accepted and rejected, in the order of its candidates."""
    recorder = Recorder(repository, seed, teacher)
    with Checkout(repository.files) as checkout:
        found = validate.baseline(checkout, repository, seed=seed, max_files=max_test_files)
        if not found.calls:
            place = f"{repository.name}-{repository.version}"
            yield recorder.reject(place, f"No test of {place} passes three times.", {"baseline_stable": found.verdict})
            return
        candidates = islice(mutants(repository, found, seed=seed), num_candidates)
        size = min(FIRST_BATCH, max(1, num_candidates // 2))
        while batch := list(islice(candidates, size)):
            size = NEXT_BATCH
            checked = validate.check(checkout, found, batch, seed=seed, max_tests=max_tests)
            named = {recorder.name(one): one for one in checked}
            told = described(checkout, repository, named, seed=seed)
            proven = [one for one in told.values() if one.passed]
            solved = by_teacher(checkout, proven, teacher) if teacher else scripted(checkout, proven, seed=seed)
            for name, one in named.items():
                if name not in told:
                    yield recorder.rejected_mutant(name, one)
                elif not told[name].passed:
                    yield recorder.reject(name, told[name].issue, told[name].verdicts, one)
                elif not solved[name].turns:
                    yield recorder.reject(name, told[name].issue, {**told[name].verdicts, **solved[name].verdicts}, one)
                else:
                    yield recorder.trajectory(told[name], solved[name])


SOFTWARE = Generator(emit, reduce, check)
