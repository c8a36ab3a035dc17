"""What makes a mutant a task: tests that passed whenever they ran fail now whenever they run, few of them, and pass again with the patch.

The baseline runs three times, in three orders, with three seeds of Python's hashes and of `random`; a test counts only if it passed each
time. So does the mutant. A test that is missing from a run has not failed: then the mutant broke the collection, and is dropped, as is one
that hangs, whose tests do not agree (flaky), whose tests all pass (an equivalent, or nothing tests it), or that fails more than half of
them. The tests of a mutant are those that call the function it is in, and then others of the same files.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.evidence import keyed
from synth.software import patch
from synth.software.mutate import Site
from synth.software.suite import Called, Checkout, Job, Result, by_file, content_hash
from synth.software.tree import Repository

RUNS = 3
MAX_CALLS = 20_000  # of Python functions by one test: about 10 ms
MAX_TEST_CHARS = 100_000  # of a test file
MAX_FAILING = 0.5
JOB_CPU_SECONDS = 6
Verdict = dict[str, Any]


class Baseline(NamedTuple):
    """The tests of a repository that passed in every run, with what they call."""

    calls: Mapping[str, Called]
    num_files: int  # test files that were run
    num_tests: int  # that were seen at all
    num_slow: int
    num_unstable: int  # passed once, not always

    @property
    def verdict(self) -> Verdict:
        return {"passed": bool(self.calls), "tests": self.num_tests, "stable": len(self.calls), "slow": self.num_slow,
                "unstable": self.num_unstable, "files": self.num_files, "runs": RUNS}  # fmt: skip

    def callers(self, place: tuple[str, int]) -> list[str]:
        """Tests that call the function that begins at (file, line)."""
        return sorted(test for test, called in self.calls.items() if place in called.functions)


class Mutant(NamedTuple):
    """A changed file."""

    path: str
    sites: tuple[Site, ...]
    text: str

    @property
    def operator(self) -> str:
        return "+".join(sorted({site.operator for site in self.sites}))


class Checked(NamedTuple):
    """A mutant with its tests and what they said."""

    mutant: Mutant
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    first: Result  # of the buggy tree
    verdicts: Mapping[str, Verdict]

    @property
    def passed(self) -> bool:
        return all(verdict["passed"] for verdict in self.verdicts.values())

    @property
    def tests(self) -> tuple[str, ...]:
        return self.fail_to_pass + self.pass_to_pass


def baseline(checkout: Checkout, repository: Repository, *, seed: int, max_files: int) -> Baseline:
    """Runs the test files, at most `max_files` of them by a keyed draw, three times."""
    files = [path for path in repository.test_files if len(repository.files[path]) <= MAX_TEST_CHARS]
    files = sorted(sorted(files, key=lambda path: keyed(seed, repository.name, "test file", path))[:max_files])
    first = checkout.run([Job({path: None}, trace=True, max_calls=MAX_CALLS, cpu_seconds=20) for path in files])
    tests = {test for result in first for test in result.outcomes}
    calls = {test: result.calls[test] for result in first for test in result.passed if test in result.calls}
    slow = sum(result.failures[test].kind == "TooSlow" for result in first for test in result.failures)
    stable = set(calls)
    for run in range(1, RUNS):
        names = by_file(stable)
        again = checkout.run([Job({path: names[path]}, order=run) for path in names], hash_seed=run)
        stable &= {test for result in again for test in result.passed}
    chosen = {test: calls[test] for test in sorted(stable)}
    return Baseline(chosen, len(files), len(tests), slow, len(calls) - len(stable))


def check(
    checkout: Checkout, found: Baseline, mutants: Sequence[Mutant], *, seed: int, max_tests: int
) -> list[Checked]:
    """Runs every mutant with its tests, those that go on twice more, and then the gold patch; a verdict for each step taken."""
    tests = [_tests(found, mutant, seed, max_tests) for mutant in mutants]
    first = checkout.run([_job(mutant, chosen) for mutant, chosen in zip(mutants, tests, strict=True)])
    checked = [_first(*given, found.verdict) for given in zip(mutants, tests, first, strict=True)]
    for run in range(1, RUNS):
        going = [number for number, one in enumerate(checked) if one.passed]
        again = checkout.run([_job(mutants[n], tests[n], order=run) for n in going], hash_seed=run)
        for number, result in zip(going, again, strict=True):
            checked[number] = _again(checked[number], result, run)
    going = [number for number, one in enumerate(checked) if one.passed]
    repaired = [_repaired(checkout.files, mutants[n]) for n in going]
    after = checkout.run([Job(by_file(set(tests[n])), files) for n, files in zip(going, repaired, strict=True)])
    for number, files, result in zip(going, repaired, after, strict=True):
        checked[number] = _after(
            checked[number], result, files == {mutants[number].path: checkout.files[mutants[number].path]}
        )
    return checked


def gold_patch(files: Mapping[str, str], mutant: Mutant) -> str:
    """The patch that takes the bug out."""
    return patch.diff({mutant.path: mutant.text}, {mutant.path: files[mutant.path]})


def _tests(found: Baseline, mutant: Mutant, seed: int, max_tests: int) -> list[str]:
    """Tests that call a changed function, and others of their files: of each kind at most `max_tests`."""
    callers = {test for site in mutant.sites for test in found.callers((mutant.path, site.first_line))}
    files = {test.partition("::")[0] for test in callers}
    others = {test for test in found.calls if test.partition("::")[0] in files} - callers
    chosen: list[str] = []
    for group in (callers, others):
        chosen += sorted(group, key=lambda test: keyed(seed, test, "test"))[:max_tests]
    return sorted(chosen)


def _job(mutant: Mutant, tests: Sequence[str], order: int = 0) -> Job:
    return Job(
        by_file(set(tests)), {mutant.path: mutant.text}, order=order, trace=order == 0, cpu_seconds=JOB_CPU_SECONDS
    )


def _first(mutant: Mutant, tests: Sequence[str], result: Result, stable: Verdict) -> Checked:
    failing = tuple(sorted(result.failed))
    passing = tuple(sorted(result.passed))
    collects = {"passed": result.status == "ran" and set(failing + passing) == set(tests),
                "status": result.status, "missing": len(tests) - len(failing + passing)}  # fmt: skip
    verdicts = {"baseline_stable": stable, "collects": collects}
    if collects["passed"]:
        verdicts["fails_before"] = {"passed": bool(failing), "tests": len(tests), "failing": len(failing)}
    if failing:
        verdicts["few_fail"] = {
            "passed": len(failing) <= MAX_FAILING * len(tests),
            "share": round(len(failing) / len(tests), 4),
            "limit": MAX_FAILING,
        }
    return Checked(mutant, failing, passing, result, verdicts)


def _again(checked: Checked, result: Result, run: int) -> Checked:
    """The same in another order: whatever is not the same is flaky."""
    differing = sum(
        result.outcomes.get(test) not in wanted
        for tests, wanted in ((checked.fail_to_pass, ("failed", "error")), (checked.pass_to_pass, ("passed",)))
        for test in tests
    )
    steady = {"passed": differing == 0, "runs": run + 1, "differing": differing}
    return checked._replace(verdicts={**checked.verdicts, "not_flaky": steady})


def _repaired(files: Mapping[str, str], mutant: Mutant) -> dict[str, str | None]:
    """The files that the gold patch changes in the buggy tree."""
    return patch.apply(gold_patch(files, mutant), {**files, mutant.path: mutant.text})


def _after(checked: Checked, result: Result, is_original: bool) -> Checked:
    passing = len(result.passed & set(checked.tests))
    verdict = {"passed": is_original and passing == len(checked.tests), "passing": passing, "tests": len(checked.tests)}
    return checked._replace(verdicts={**checked.verdicts, "passes_after": verdict})


def base_commit(files: Mapping[str, str], mutant: Mutant) -> str:
    """40 hex digits of the buggy tree."""
    return content_hash({**files, mutant.path: mutant.text})
