"""The search for a repair without a model: what could be wrong in the suspects, undone by the same operators, each really tested.

Functions are suspected by what failing and passing tests call, by the frames of the failures, and by the words of the issue. Candidates are
the sites of `mutate.py` that can be undone and the guesses of `restore.py` at what is missing. They are tried by how likely they are: all
operators that a function has sites of alike, those that fit the failure's symptoms `LIKELY` times as much, the n-th suspect 1/n. A
candidate is a variant of a function (`suite.Job.variants`): 15 ms, and all 96 cost what eight runs do. It has to make all tests of the
task pass. Where none does but some make more tests pass than before, the best of them are kept and the search goes on from there: two
places are found so, if either repairs a test of its own.

Three of four tasks are solved, half of them within three tries. Not found: values that only the author knew, two places that one test
needs both, bugs beyond the first eight suspects.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synth.evidence import keyed
from synth.software.localise import Suspect, functions, suspects
from synth.software.mutate import Site, line_starts, replaced, sites
from synth.software.restore import restorations
from synth.software.suite import Checkout, Failure, Job, Result, Variant, by_file

MAX_SUSPECTS = 8
MAX_TRIES = 96
MAX_TESTS = 5  # that fail now and are run first, up to the first that fails again
MAX_BASES = 2  # from which the search goes on
TRY_CPU_SECONDS = 10  # of all tries of a task
LIKELY = 3  # times as likely is an operator that fits a failure's symptoms
_SYMPTOMS = (
    (r"DID NOT RAISE|not raised", {"raise", "boundary", "comparison", "negated", "boolean"}),
    (r"NoneType|\bNone\b", {"return", "store", "negated"}),
    (r"coroutine", {"await"}),
    (r"argument", {"keyword", "arguments"}),
    (r"IndexError|KeyError|out of range", {"off_by_one", "slice", "boundary", "unit"}),
    (r"UnboundLocalError|NameError|AttributeError", {"variable", "store", "arguments"}),
    (r"TypeError", {"arguments", "variable", "arithmetic"}),
    (r"RecursionError|TooSlow", {"negated", "loop", "boundary", "comparison"}),
    (r"\bTrue\b|\bFalse\b", {"negated", "comparison", "boolean", "flag"}),
)
_ONE_OFF = {"off_by_one", "unit", "slice", "boundary"}


class Trial(NamedTuple):
    """A candidate: a file's new text."""

    suspect: int  # rank of the function, from 0
    path: str
    site: Site
    text: str


class Search(NamedTuple):
    """What was tried, and the changes that make all tests pass, each on top of those before it; none where nothing did."""

    suspects: Sequence[Suspect]
    failed: Sequence[Trial]  # alone, in the order of trying
    found: Sequence[Trial]


class Broken(NamedTuple):
    """A tree with failing tests, and what its issue says."""

    name: str
    changed: Mapping[str, str]
    failing: Sequence[str]
    passing: Sequence[str]
    result: Result
    words: Collection[str]
    raised: str = ""  # the exception that does not come


def search(checkout: Checkout, broken: Sequence[Broken], *, seed: int) -> list[Search]:
    """The search for a repair of each: one sandbox for all, and another one for those that go on from a part."""
    trees = [{**checkout.files, **one.changed} for one in broken]
    plans = [_plan(files, one, seed) for one, files in zip(broken, trees, strict=True)]
    jobs = [_job(one, files, chosen) for one, files, (_, chosen) in zip(broken, trees, plans, strict=True)]
    searches, further = [], []
    for number, (one, (ranked, chosen), result) in enumerate(zip(broken, plans, checkout.run(jobs), strict=True)):
        numbers = list(zip(chosen, result.variants, strict=False))
        wanted = len(_first(one)) + 1
        failed = [trial for trial, told in numbers if told < wanted]
        searches.append(Search(ranked, failed, [trial for trial, told in numbers if told == wanted]))
        parts = sorted((-told, at) for at, (_, told) in enumerate(numbers) if 0 < told < len(_first(one)))
        if not searches[-1].found:
            further += [(number, numbers[at][0]) for _, at in parts[:MAX_BASES]]
    return _combined(checkout, broken, searches, further, seed)


def _combined(
    checkout: Checkout, broken: Sequence[Broken], searches: list[Search], further: list[tuple[int, Trial]], seed: int
) -> list[Search]:
    plans, jobs = [], []
    for number, base in further:
        one = broken[number]._replace(changed={**broken[number].changed, base.path: base.text})
        files = {**checkout.files, **one.changed}
        plans.append([trial for trial in _plan(files, one, seed)[1] if trial.suspect == base.suspect])
        jobs.append(_job(one, files, plans[-1]))
    for (number, base), chosen, result in zip(further, plans, checkout.run(jobs), strict=True):
        passing = [
            trial
            for trial, told in zip(chosen, result.variants, strict=False)
            if told == len(_first(broken[number])) + 1
        ]
        if passing and not searches[number].found:
            searches[number] = searches[number]._replace(found=[base, *passing])
    return searches


def _first(one: Broken) -> Sequence[str]:
    """The failing tests that do least."""
    calls = one.result.calls
    return sorted(one.failing, key=lambda test: (calls[test].num_calls if test in calls else 0, test))[:MAX_TESTS]


def _job(one: Broken, files: Mapping[str, str], chosen: Sequence[Trial]) -> Job:
    """A job that tries them; `files` are those of the checkout with what is changed."""
    return Job(
        by_file({*one.failing, *one.passing}),
        {path: files[path] for path in one.changed},
        cpu_seconds=TRY_CPU_SECONDS,
        variants=[variant(trial.path, files[trial.path], trial.site) for trial in chosen],
        first=_first(one),
    )


def ranked_suspects(files: Mapping[str, str], result: Result, words: Collection[str]) -> list[Suspect]:
    """The first suspects; of those that the tests cannot tell apart, functions in a failure's traceback and in the words of the issue."""
    found = [one for one in suspects(result) if one.path in files]
    names = {path: functions(files[path]) for path in {one.path for one in found}}
    known = [(one, names[one.path][one.line]) for one in found if one.line in names[one.path]]
    frames = [
        frame for test in sorted(result.failed & result.failures.keys()) for frame in result.failures[test].frames
    ]

    def place(pair: tuple[Suspect, Any]) -> tuple[float, bool, bool]:
        one, function = pair
        is_in_frames = any(
            path == one.path and function.first_line <= line <= function.last_line for path, line, _ in frames
        )
        return -one.score, not is_in_frames, function.name.rpartition(".")[2] not in words

    return [one for one, _ in sorted(known, key=place)][:MAX_SUSPECTS]


def _plan(files: Mapping[str, str], one: Broken, seed: int) -> tuple[list[Suspect], list[Trial]]:
    return trials(files, one.result, one.words, seed=seed, name=one.name, raised=one.raised)


def trials(
    files: Mapping[str, str], result: Result, words: Collection[str], *, seed: int, name: str, raised: str = ""
) -> tuple[list[Suspect], list[Trial]]:
    """Suspects and candidates in the order in which they are tried, from a run with failures in the tree `files`."""
    ranked = ranked_suspects(files, result, words)
    likely = set().union(*(symptoms(failure) for test, failure in result.failures.items() if test in result.failed))
    found: list[tuple[float, int, Trial]] = []
    for path in dict.fromkeys(one.path for one in ranked):
        ranks = {one.line: rank for rank, one in enumerate(ranked) if one.path == path}
        candidates = list(_candidates(files[path], ranks, raised))
        counts = Counter((site.first_line, site.operator) for site in candidates)
        for site in candidates:
            rank = ranks[site.first_line]
            chance = (LIKELY if site.operator in likely else 1) / ((1 + rank) * counts[site.first_line, site.operator])
            found.append((-chance, keyed(seed, name, path, site.start, site.new), Trial(rank, path, site, "")))
    chosen = [trial for _, _, trial in sorted(found, key=lambda each: each[:2])[:MAX_TRIES]]
    return ranked, [trial._replace(text=replaced(files[trial.path], [trial.site])) for trial in chosen]


def _candidates(text: str, first_lines: Collection[int], raised: str) -> Iterator[Site]:
    known = functions(text)
    yield from (site for site in sites(text, first_lines=first_lines) if not site.lossy)
    for line in first_lines:
        yield from restorations(text, known[line], raised)


def symptoms(failure: Failure) -> set[str]:
    """Operators that a failure speaks for."""
    told = f"{failure.kind}: {failure.message} {' '.join(failure.compared or ())}"
    found: set[str] = set().union(*(operators for pattern, operators in _SYMPTOMS if re.search(pattern, told)))
    values = failure.compared[1:] if failure.compared else ()
    if all(re.fullmatch(r"-?\d{1,15}", value) for value in values) and values:
        found |= _ONE_OFF if abs(int(values[0]) - int(values[1])) == 1 else {"arithmetic"}
    return found


def variant(path: str, text: str, site: Site) -> Variant:
    """The outermost function around a site of the file, with the change made."""
    known = functions(text)
    inner = known[site.first_line]
    around = [one for one in known.values() if one.first_line <= inner.first_line and inner.last_line <= one.last_line]
    outer = min(around, key=lambda one: one.first_line)
    encoded = text.encode("utf-8", "surrogatepass")
    starts = line_starts(encoded)
    before, after = encoded[starts[outer.first_line - 1] : site.start], encoded[site.end : starts[outer.last_line]]
    source = before + site.new.encode("utf-8", "surrogatepass") + after
    return Variant(path, outer.first_line, tuple(outer.name.split(".")[:-1]), source.decode("utf-8", "surrogatepass"))
