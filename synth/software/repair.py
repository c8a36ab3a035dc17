"""The search for a repair without a model: what mutation can do to the suspects, undone by the same operators, each really tested.

Functions are suspected by what failing and passing tests call; candidates are tried in a fixed order, the operators with few
candidates first, until one makes the failing tests pass. Only operators that can be undone are tried: what a bug removed is not guessed.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from synth.evidence import keyed
from synth.software.localise import Suspect, functions, suspects
from synth.software.mutate import Site, replaced, sites
from synth.software.suite import Checkout, Job, Result, by_file

MAX_SUSPECTS = 5
MAX_TRIES = 28
MAX_VARIABLE_TRIES = 12
MAX_TESTS = 3  # that fail now and must pass
TRY_CPU_SECONDS = 4
_ORDER = (
    "boundary",
    "comparison",
    "boolean",
    "loop",
    "flag",
    "arithmetic",
    "negated",
    "slice",
    "off_by_one",
    "arguments",
    "variable",
)


class Trial(NamedTuple):
    """A candidate: a file's new text."""

    suspect: int  # rank of the function, from 0
    path: str
    site: Site
    text: str


class Search(NamedTuple):
    """What was tried before a trial passed; `found` is None where none did."""

    suspects: Sequence[Suspect]
    failed: Sequence[Trial]
    found: Trial | None


def ranked_suspects(files: Mapping[str, str], result: Result, words: Collection[str]) -> list[Suspect]:
    """The first suspects; of those that the tests cannot tell apart, functions whose name is among the `words` of the issue come first."""
    found = [one for one in suspects(result) if one.path in files]
    names = {path: functions(files[path]) for path in {one.path for one in found}}
    known = [(one, names[one.path][one.line]) for one in found if one.line in names[one.path]]
    ordered = sorted(known, key=lambda pair: (-pair[0].score, pair[1].name.rpartition(".")[2] not in words))
    return [one for one, _ in ordered][:MAX_SUSPECTS]


def trials(
    files: Mapping[str, str], result: Result, words: Collection[str], *, seed: int, name: str
) -> tuple[list[Suspect], list[Trial]]:
    """Suspects and candidates in the order in which they are tried, from a run with failures in the tree `files`."""
    ranked = ranked_suspects(files, result, words)
    found: list[tuple[tuple[int, ...], Trial]] = []
    for path in dict.fromkeys(one.path for one in ranked):
        ranks = {one.line: rank for rank, one in enumerate(ranked) if one.path == path}
        for site in sites(files[path], first_lines=ranks):
            if not site.lossy:
                rank = ranks[site.first_line]
                order = (
                    rank // 2,
                    _ORDER.index(site.operator) // 4,
                    rank,
                    keyed(seed, name, path, site.start, site.new),
                )
                found.append((order, Trial(rank, path, site, "")))
    chosen: list[Trial] = []
    num_variable = 0
    for _, trial in sorted(found, key=lambda pair: pair[0]):
        is_variable = trial.site.operator == "variable"
        if len(chosen) == MAX_TRIES or (is_variable and num_variable == MAX_VARIABLE_TRIES):
            break
        num_variable += is_variable
        chosen.append(trial._replace(text=replaced(files[trial.path], [trial.site])))
    return ranked, chosen


class Broken(NamedTuple):
    """A tree with failing tests, and the words of its issue."""

    name: str
    changed: Mapping[str, str]
    failing: Sequence[str]
    result: Result
    words: Collection[str]


def search(checkout: Checkout, broken: Sequence[Broken], *, seed: int) -> list[Search]:
    """The search for a repair of each, all in one sandbox."""
    planned, jobs = [], []
    for one in broken:
        ranked, chosen = trials({**checkout.files, **one.changed}, one.result, one.words, seed=seed, name=one.name)
        planned.append((ranked, chosen))
        tests = by_file(set(one.failing[:MAX_TESTS]))
        jobs += [
            Job(tests, {**one.changed, trial.path: trial.text}, cpu_seconds=TRY_CPU_SECONDS, stop=True, until=one.name)
            for trial in chosen
        ]
    results = iter(checkout.run(jobs))
    return [
        _search(ranked, chosen, [next(results) for _ in chosen], len(one.failing[:MAX_TESTS]))
        for one, (ranked, chosen) in zip(broken, planned, strict=True)
    ]


def _search(ranked: list[Suspect], chosen: list[Trial], results: list[Result], num_tests: int) -> Search:
    failed: list[Trial] = []
    for trial, result in zip(chosen, results, strict=True):
        if result.status == "ran" and not result.failed and len(result.passed) == num_tests:
            return Search(ranked, failed, trial)
        if result.status != "untried":
            failed.append(trial)
    return Search(ranked, failed, None)
