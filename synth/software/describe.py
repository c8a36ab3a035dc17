"""From a proven mutant to an issue that leaks nothing and, where it holds a script, to the proof that the script shows the bug."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.software import issue, validate
from synth.software.observe import Observed, observe
from synth.software.suite import Checkout, Job, Result
from synth.software.tree import Repository
from synth.software.validate import Checked

MAX_OBSERVED = 8  # failing tests, of which one is described
MAX_TOLD = 4  # of which an issue is tried
REPRODUCTION = "test_reproduction_of_the_issue.py"


class Described(NamedTuple):
    """A mutant with its issue and the verdicts so far."""

    name: str
    checked: Checked
    observed: Observed
    issue: str
    verdicts: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        return all(verdict["passed"] for verdict in self.verdicts.values())

    @property
    def bug(self) -> dict[str, str]:
        """The changed file."""
        return {self.checked.mutant.path: self.checked.mutant.text}


def described(
    checkout: Checkout, repository: Repository, checked: Mapping[str, Checked], *, seed: int
) -> dict[str, Described]:
    """The issues of the mutants that passed, by name; a mutant none of whose failures can be put in words has none."""
    found = []
    for name, one in checked.items():
        observed = _observed(repository, one) if one.passed else []
        if observed:
            found.append(_told(checkout.files, repository, name, one, observed, seed))
    scripts = [told for told in found if told.observed.snippet]
    jobs = []
    for told in scripts:
        script = {REPRODUCTION: _as_test(told.observed.snippet)}
        jobs += [Job({REPRODUCTION: None}, {**told.bug, **script}), Job({REPRODUCTION: None}, script)]
    results = iter(checkout.run(jobs))
    proven = {told.name: _reproduced(told, next(results), next(results)) for told in scripts}
    return {told.name: proven.get(told.name, told) for told in found}


def _observed(repository: Repository, checked: Checked) -> list[Observed]:
    """What the issue may describe: the failures that can be told, those that say most first: scripts, and short ones."""
    seen = []
    for test in checked.fail_to_pass[:MAX_OBSERVED]:
        failure = checked.first.failures.get(test)
        found = observe(repository.files[test.partition("::")[0]], test, failure) if failure else None
        if found is not None:
            size = len(found.snippet or found.expression)
            seen.append(((not found.snippet, found.kind == "false", not found.public, size, test), found))
    return [found for _, found in sorted(seen, key=lambda pair: pair[0])]


def _told(
    files: Mapping[str, str], repository: Repository, name: str, checked: Checked, seen: Sequence[Observed], seed: int
) -> Described:
    """With the first failure whose issue leaks nothing, or the first one."""
    functions = tuple(site.function for site in checked.mutant.sites)
    gold = validate.gold_patch(files, checked.mutant)
    secret = issue.Secret(checked.mutant.path, functions, gold, checked.fail_to_pass)
    about = {"package": repository.name, "version": repository.version}
    told = []
    for observed in seen[:MAX_TOLD]:
        text, verdict = issue.written(observed, seen, secret, **about, seed=seed, name=name)
        told.append(Described(name, checked, observed, text, {**checked.verdicts, "leak_free": verdict}))
        if verdict["passed"]:
            break
    return next((one for one in told if one.passed), told[0])


def _reproduced(told: Described, before: Result, after: Result) -> Described:
    """The script as a test: it fails with the bug, and passes without."""
    passed = bool(before.failed) and bool(after.passed) and not after.failed
    verdict = {"passed": passed, "failed_before": len(before.failed), "passed_after": len(after.passed)}
    return told._replace(verdicts={**told.verdicts, "reproduces": verdict})


def _as_test(snippet: str) -> str:
    lines: Sequence[str] = [f"    {line}" if line else "" for line in snippet.split("\n")]
    return "\n".join(["def test_reproduction():", *lines, ""])
