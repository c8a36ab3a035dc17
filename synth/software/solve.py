"""Who repairs the bugs: the scripted agent with the repairs that a search found, or a model; both judged by the tests as they were.

What a model writes runs with the tests. So it gets a checkout with the bug in it: in that of the repository the file as it was lies a
`open("/given/...")` away. Not covered: a model that reads a copy of the package which is installed, or writes code that deceives pytest.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from synth.render import Turn
from synth.software import agent, repair, validate
from synth.software.describe import Described
from synth.software.suite import Checkout, Job, Result, by_file, content_hash
from synth.software.workspace import Workspace

if TYPE_CHECKING:
    from synth.teacher import Crew, Teacher


class Solved(NamedTuple):
    """What an agent did, and what the tests say of it."""

    turns: Sequence[Turn]
    changed: Mapping[str, str]
    verdicts: Mapping[str, Any]


def scripted(checkout: Checkout, described: Sequence[Described], *, seed: int) -> dict[str, Solved]:
    """Trajectories by name; of bugs that the scripted agent does not repair, none with turns. One search and one run of tests for all."""
    searches = dict(
        zip(
            (told.name for told in described),
            repair.search(checkout, [_broken(told) for told in described], seed=seed),
            strict=True,
        )
    )
    states = [
        (told, {trial.path: trial.text})
        for told in described
        if searches[told.name].found
        for trial in (
            *searches[told.name].found,
            *agent.shown_failures(searches[told.name], seed=seed, name=told.name),
        )
    ]
    results = checkout.run([_job(told, changed, told.checked.tests) for told, changed in states])
    known = {(told.name, content_hash(changed)): run for (told, changed), run in zip(states, results, strict=True)}
    return {told.name: _walked(checkout, told, searches[told.name], known, seed) for told in described}


def _broken(told: Described) -> repair.Broken:
    checked, observed = told.checked, told.observed
    raised = observed.expected if observed.kind == "not_raised" else ""
    return repair.Broken(
        told.name, told.bug, checked.fail_to_pass, checked.pass_to_pass, checked.first, observed.names, raised
    )


def _walked(
    checkout: Checkout,
    told: Described,
    search: repair.Search,
    known: Mapping[tuple[str, str], Result],
    seed: int,
) -> Solved:
    tried = len(search.failed) + 1
    if not search.found:
        return Solved((), {}, {"solved": {"passed": False, "tried": tried - 1}})
    workspace = _workspace(checkout, told, known)
    asked = agent.Asked(told.name, told.issue, told.observed.public, told.checked.fail_to_pass)
    turns = agent.trajectory(workspace, asked, search, seed=seed)
    rank = search.found[-1].suspect
    suspect = search.suspects[rank]
    mutated = {(told.checked.mutant.path, site.first_line) for site in told.checked.mutant.sites}
    localised = {"passed": True, "rank": rank + 1, "is_the_mutated": (suspect.path, suspect.line) in mutated}
    solved = _judged(checkout, told, workspace, known) | {"tried": tried}
    return Solved(turns, workspace.changed, {"localised": localised, "solved": solved})


def by_teacher(checkout: Checkout, described: Sequence[Described], crew: "Crew") -> dict[str, Solved]:
    """Trajectories of a model, by name, solved or not."""
    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(Checkout({**checkout.files, **told.bug})) for told in described]
        return _asked(own, described, crew)


def _asked(checkouts: Sequence[Checkout], described: Sequence[Described], crew: "Crew") -> dict[str, Solved]:
    spaces = [_workspace(checkout, told, {}) for checkout, told in zip(checkouts, described, strict=True)]

    def work(told: Described, space: Workspace) -> Any:
        asked = agent.Asked(told.name, told.issue, "", told.checked.fail_to_pass)

        async def one(teacher: "Teacher") -> tuple[list[Turn], str | None]:
            return await agent.ask(space, asked, teacher)

        return one

    answers = crew.run([work(told, space) for told, space in zip(described, spaces, strict=True)])
    made = {}
    for checkout, told, space, (turns, stopped) in zip(checkouts, described, spaces, answers, strict=True):
        judged = _judged(checkout, told, space, {})
        solved = {**judged, "passed": judged["passed"] and stopped is None, "stopped": stopped}
        made[told.name] = Solved(turns, space.changed, {"solved": solved})
    return made


def _workspace(checkout: Checkout, told: Described, known: Mapping[tuple[str, str], Result]) -> Workspace:
    """The buggy tree with its tests; `known` are runs of all of them, by task and hash of what is changed."""
    runs = {**known, (told.name, content_hash({})): told.checked.first}

    def run(changed: Mapping[str, str], tests: Sequence[str]) -> Result:
        result = runs.get((told.name, content_hash(changed)))
        return checkout.run([_job(told, changed, tests)])[0] if result is None else result.of(set(tests))

    return Workspace({**checkout.files, **told.bug}, told.checked.tests, run)


def _job(told: Described, changed: Mapping[str, str], tests: Sequence[str]) -> Job:
    return Job(by_file(set(tests)), {**told.bug, **changed}, trace=True, cpu_seconds=validate.JOB_CPU_SECONDS)


def _judged(
    checkout: Checkout, told: Described, workspace: Workspace, known: Mapping[tuple[str, str], Result]
) -> dict[str, Any]:
    """All tests of the task with what an agent changed, less what it changed of the tests."""
    tests = {test.partition("::")[0] for test in told.checked.tests}
    changed = {
        path: text
        for path, text in workspace.changed.items()
        if path not in tests and path.rpartition("/")[2] != "conftest.py"
    }
    result = known.get((told.name, content_hash(changed))) or checkout.run([_job(told, changed, told.checked.tests)])[0]
    fail = sum(test in result.passed for test in told.checked.fail_to_pass)
    kept = sum(test in result.passed for test in told.checked.pass_to_pass)
    all_pass = fail + kept == len(told.checked.tests)
    return {"passed": all_pass, "fail_to_pass": fail, "pass_to_pass": kept, "tests": len(told.checked.tests)}
