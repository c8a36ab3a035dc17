"""The tools, the search for a repair, and a model that uses the tools."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import pytest

from synth.render import Call, render
from synth.software import agent, repair
from synth.software.describe import described
from synth.software.localise import functions, suspects
from synth.software.mutate import mutated, sites
from synth.software.solve import by_teacher, scripted
from synth.software.suite import Called, Checkout, Failure, Job, Result
from synth.software.tree import Repository
from synth.software.validate import Mutant, baseline, check
from synth.software.workspace import TOOLS, Workspace
from tests.synth.software import toy
from tests.synth.software.needs import sandbox

TEST = "shelves/tests/test_core.py"
REPOSITORY = Repository("shelves", "1.2", toy.FILES, {})


def workspace(result: Result = Result("ran", {"t.py::test": "passed"})) -> Workspace:
    return Workspace(
        {"a.py": "x = 1\ny = 1\n", "d/b.py": "x = 2\n" * 200, "t.py": ""}, ["t.py::test"], lambda changed, tests: result
    )


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("list_files", {"path": ""}, "a.py\nd/\nt.py"),
        ("list_files", {"path": "d/"}, "b.py"),
        ("list_files", {"path": "e"}, "There is no folder 'e'."),
        ("grep", {"text": "y =", "path": ""}, "a.py:2: y = 1"),
        ("grep", {"text": "z", "path": "a.py"}, "No line contains 'z'."),
        ("grep", {"text": "", "path": ""}, "Type a text of one line to look for."),
        ("grep", {"text": "x", "path": "e"}, "There is no file or folder 'e'."),
        ("view", {"path": "a.py", "line": 2, "count": 1}, "2\ty = 1"),
        ("view", {"path": "a.py", "line": 9, "count": 1}, "a.py has 3 lines."),
        ("view", {"path": "../x", "line": 1, "count": 1}, "There is no file '../x'."),
        (
            "edit",
            {"path": "a.py", "old": "1", "new": "2"},
            "The old text occurs 2 times in a.py: it must occur once. Nothing was changed.",
        ),
        ("edit", {"path": "a.py", "old": "x = 1", "new": "x = 3"}, "a.py was changed."),
        ("edit", {"path": "e.py", "old": "", "new": ""}, "There is no file 'e.py'."),
        ("run_tests", {"path": ""}, "1 passed"),
        ("run_tests", {"path": "a.py"}, "a.py holds no tests that run here; some do in t.py."),
        ("rm", {}, "There is no tool 'rm'; the tools are list_files, grep, view, edit, run_tests."),
        ("view", {"path": "a.py", "line": "1", "count": 1}, "view needs 'line', a integer."),
    ],
)
def test_what_a_tool_answers(name: str, arguments: dict[str, Any], answer: str) -> None:
    assert workspace().call(Call(name, arguments)) == answer


def test_answers_are_bounded_and_edits_are_seen() -> None:
    space = workspace()
    assert space.call(Call("grep", {"text": "x", "path": ""})).endswith("and 171 more lines")
    assert len(space.call(Call("view", {"path": "d/b.py", "line": 1, "count": 999})).split("\n")) == 120
    space.call(Call("edit", {"path": "a.py", "old": "x = 1", "new": "x = 7"}))
    assert space.call(Call("grep", {"text": "x = 7", "path": ""})) == "a.py:1: x = 7"
    assert space.changed == {"a.py": "x = 7\ny = 1\n"}


def test_a_report_shows_failures_and_who_is_called() -> None:
    failure = Failure("ValueError", "bad\nworse", (("t.py", 3, "test"), ("a.py", 1, "f")), None)
    calls = {
        "t.py::test": Called(5, frozenset({("a.py", 1), ("t.py", 1)})),
        "t.py::other": Called(3, frozenset({("t.py", 5)})),
    }
    result = Result("ran", {"t.py::test": "failed", "t.py::other": "passed"}, {"t.py::test": failure}, calls)
    said = Workspace({"a.py": "", "t.py": ""}, list(calls), lambda changed, tests: result).call(
        Call("run_tests", {"path": ""})
    )
    assert said.startswith(
        "1 failed, 1 passed\nFAILED t.py::test\n    t.py:3 in test\n    a.py:1 in f\n    ValueError: bad\n    worse\n"
    )
    assert said.endswith("    a.py:1 ? (100%, 0%)")
    assert (
        workspace(Result("timeout")).call(Call("run_tests", {"path": ""})) == "The tests took too long and were ended."
    )
    assert "not found" in workspace(Result("ran")).call(Call("run_tests", {"path": ""}))


def test_suspicion_is_ochiais_coefficient() -> None:
    calls = {
        "t.py::a": Called(1, frozenset({("x.py", 1), ("x.py", 9), ("t.py", 1)})),
        "t.py::b": Called(1, frozenset({("x.py", 9)})),
    }
    found = suspects(Result("ran", {"t.py::a": "failed", "t.py::b": "passed"}, {}, calls))
    assert [(one.line, round(one.score, 3), one.failing, one.passing) for one in found] == [
        (1, 1.0, 1, 0),
        (9, 0.707, 1, 1),
    ]


def test_functions_are_known_by_their_first_line() -> None:
    known = functions("@d\ndef f():\n    def g(): pass\nclass C:\n    async def m(self): pass\n")
    assert {line: (one.name, one.last_line) for line, one in known.items()} == {
        1: ("f", 3),
        3: ("f.g", 3),
        5: ("C.m", 5),
    }
    assert functions("def (") == {}


class _Answer(NamedTuple):
    text: str
    finish_reason: str
    calls: tuple[Call, ...] = ()
    failure: str | None = None
    reasoning: str = ""


class _Request(NamedTuple):
    messages: tuple[Any, ...]
    max_tokens: int
    temperature: float = 0.0
    tools: tuple[Any, ...] = ()
    schema: Any = None
    sample: int = 0


class _Crew:
    """A model that gives prepared answers."""

    model, settings = "fake-1", None

    def __init__(self, answers: Iterable[_Answer]) -> None:
        self.answers, self.asked = iter(answers), []

    async def ask(self, request: _Request) -> _Answer:
        self.asked.append(request)
        return next(self.answers)

    def run(self, work: Iterable[Callable[[Any], Awaitable[Any]]]) -> list[Any]:
        async def all_of() -> list[Any]:
            return [await one(self) for one in work]

        return asyncio.run(all_of())


@pytest.fixture(scope="module")
def broken() -> Any:
    """A proven task: `>` in `heavy` became `>=`."""
    (site,) = [
        site
        for site in sites(toy.SOURCE)
        if (site.operator, site.function, site.new) == ("boundary", "Shelf.heavy", ">=")
    ]
    mutant = Mutant("shelves/core.py", (site,), mutated(toy.SOURCE, [site]) or "")
    with Checkout(toy.FILES) as checkout:
        found = baseline(checkout, REPOSITORY, seed=0, max_files=9)
        (checked,) = check(checkout, found, [mutant], seed=0, max_tests=9)
        yield checkout, described(checkout, REPOSITORY, {"task": checked}, seed=0)["task"]


@sandbox
def test_the_scripted_agent_finds_the_operator_and_its_text_can_be_read_back(broken: Any) -> None:
    checkout, told = broken
    solved = scripted(checkout, [told], seed=0)["task"]
    assert solved.verdicts["solved"]["tried"] <= 3
    assert solved.changed == {"shelves/core.py": toy.SOURCE}
    assert solved.verdicts["localised"] == {"passed": True, "rank": 1, "is_the_mutated": True}
    assert solved.verdicts["solved"]["passed"]
    assert render(solved.turns).text


@sandbox
def test_candidates_that_do_not_pass_are_taken_back(broken: Any) -> None:
    checkout, told = broken
    checked = told.checked
    (search,) = repair.search(
        checkout,
        [repair.Broken("task", told.bug, checked.fail_to_pass, checked.pass_to_pass, checked.first, ())],
        seed=0,
    )
    (found,) = search.found
    wrong = [
        trial
        for trial in repair.trials({**toy.FILES, **told.bug}, checked.first, (), seed=0, name="x")[1]
        if trial.text != found.text
    ]
    searched = repair.Search(search.suspects, wrong, search.found)
    name = next(str(n) for n in range(99) if len(agent.shown_failures(searched, seed=0, name=str(n))) == 2)
    space = Workspace(
        {**toy.FILES, **told.bug},
        checked.tests,
        lambda changed, tests: checkout.run([Job({TEST: None}, {**told.bug, **changed})])[0].of(set(tests)),
    )
    turns = agent.trajectory(space, agent.Asked(name, told.issue, "heavy", checked.fail_to_pass), searched, seed=0)
    edits = [call.arguments for turn in turns for call in turn.calls if call.name == "edit"]
    assert len(edits) == 5
    for one, other in ((edits[0], edits[1]), (edits[2], edits[3])):
        assert (one["old"], one["new"]) == (other["new"], other["old"])
    assert space.changed == {"shelves/core.py": toy.SOURCE}


def test_walks_differ() -> None:
    """Over names alone: the calls, and the words."""
    bug = toy.SOURCE.replace("weight > limit", "weight >= limit")
    failure = Failure(
        "AssertionError", "assert ['small'] == []", ((TEST, 44, "test_heavy"),), ("==", "['small']", "[]")
    )
    (line,) = (line for line, known in functions(bug).items() if known.name == "Shelf.heavy")
    called = {f"{TEST}::test_heavy": Called(3, frozenset({("shelves/core.py", line)}))}

    def run(changed: Any, tests: Any) -> Result:
        good = changed.get("shelves/core.py") == toy.SOURCE
        return Result(
            "ran",
            {f"{TEST}::test_heavy": "passed" if good else "failed"},
            {} if good else {f"{TEST}::test_heavy": failure},
            called,
        )

    first = run({}, ())
    _, chosen = repair.trials({**toy.FILES, "shelves/core.py": bug}, first, {"heavy"}, seed=0, name="x")
    at = next(n for n, trial in enumerate(chosen) if trial.text == toy.SOURCE)
    search = repair.Search(
        repair.ranked_suspects({**toy.FILES, "shelves/core.py": bug}, first, ()), chosen[:at], [chosen[at]]
    )
    walks = []
    for number in range(60):
        space = Workspace({**toy.FILES, "shelves/core.py": bug}, [f"{TEST}::test_heavy"], run)
        walks.append(
            agent.trajectory(space, agent.Asked(str(number), "x", "heavy", [f"{TEST}::test_heavy"]), search, seed=0)
        )
        assert space.ran[-1] == (1, 0)
    calls = {tuple(call.name for turn in turns for call in turn.calls) for turns in walks}
    assert len(calls) > 20
    assert len({turn.think for turns in walks for turn in turns if turn.think}) > 60


@sandbox
def test_two_places_are_found_where_each_repairs_a_test_of_its_own() -> None:
    files = {
        "p/__init__.py": "",
        "p/a.py": "def f(x, limit=9):\n    y = x + 1\n    return y if x < limit else 0\n",
        "test_a.py": "from p.a import f\n\n\ndef test_f():\n    assert f(1) == 2\n\n\ndef test_g():\n    assert f(9) == 0\n",
    }
    bug = files["p/a.py"].replace("x + 1", "x - 1").replace("x < limit", "x <= limit")
    with Checkout(files) as checkout:
        (first,) = checkout.run([Job({"test_a.py": None}, {"p/a.py": bug}, trace=True)])
        broken = repair.Broken("x", {"p/a.py": bug}, sorted(first.failed), sorted(first.passed), first, ())
        (search,) = repair.search(checkout, [broken], seed=0)
    assert len(first.failed) == 2
    assert len(search.found) == 2
    assert search.found[-1].text == files["p/a.py"]
    assert {trial.site.operator for trial in search.found} == {"arithmetic", "boundary"}


@pytest.mark.parametrize(
    ("kind", "message", "compared", "operator"),
    [
        ("Failed", "DID NOT RAISE <class 'ValueError'>", None, "raise"),
        ("TypeError", "'NoneType' object is not iterable", None, "return"),
        ("TypeError", "f() missing 1 required positional argument: 'x'", None, "keyword"),
        ("IndexError", "list index out of range", None, "off_by_one"),
        ("AssertionError", "assert 3 == 4", ("==", "3", "4"), "unit"),
        ("AssertionError", "assert 3 == 40", ("==", "3", "40"), "arithmetic"),
        ("AssertionError", "assert True is False", ("is", "True", "False"), "negated"),
    ],
)
def test_a_failure_speaks_for_operators(kind: str, message: str, compared: Any, operator: str) -> None:
    assert operator in repair.symptoms(Failure(kind, message, (), compared))
    assert operator not in repair.symptoms(Failure("OSError", "no such file", (), None))


@sandbox
@pytest.mark.parametrize("cheats", [False, True])
def test_a_model_is_judged_by_the_tests_as_they_were(
    broken: Any, cheats: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth.teacher.Request", _Request, raising=False)
    checkout, told = broken
    right = Call("edit", {"path": "shelves/core.py", "old": "weight >= limit", "new": "weight > limit"})
    cheat = Call("edit", {"path": TEST, "old": 'assert shelf.heavy(2) == ["large"]', "new": "assert True"})
    crew = _Crew(
        [
            _Answer("", "tool_calls", (cheat if cheats else right,)),
            _Answer("", "tool_calls", (Call("run_tests", {"path": ""}),)),
            _Answer("Done.", "stop", reasoning="ok"),
        ]
    )
    solved = by_teacher(checkout, [told], crew)["task"]  # type: ignore[arg-type]
    assert solved.verdicts["solved"]["passed"] is not cheats
    assert len(crew.asked[0].tools) == len(TOOLS)
    roles = [message["role"] for message in crew.asked[2].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]
    assert crew.asked[2].messages[-1]["content"].endswith("passed")
    assert solved.turns[-1].text == "Done."


@sandbox
def test_what_a_model_writes_cannot_read_the_file_as_it_was(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.Request", _Request, raising=False)
    checkout, told = broken
    steals = "exec(open('/given/shelves/core.py').read())\n"
    calls = [
        Call("edit", {"path": "shelves/core.py", "old": told.bug["shelves/core.py"], "new": steals}),
        Call("run_tests", {"path": ""}),
    ]
    answers = [*(_Answer("", "tool_calls", (call,)) for call in calls), _Answer("Done.", "stop", reasoning="ok")]
    solved = by_teacher(checkout, [told], _Crew(answers))["task"]  # type: ignore[arg-type]
    assert solved.verdicts["solved"]["fail_to_pass"] == 0
    assert solved.verdicts["solved"]["pass_to_pass"] > 0


@sandbox
@pytest.mark.parametrize(
    ("answer", "why"), [(_Answer("", "stop", failure="500"), "failure"), (_Answer("x", "length"), "length")]
)
def test_a_model_that_fails_solves_nothing(
    broken: Any, answer: _Answer, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth.teacher.Request", _Request, raising=False)
    checkout, told = broken
    solved = by_teacher(checkout, [told], _Crew([answer]))["task"]  # type: ignore[arg-type]
    assert solved.verdicts["solved"] | {"passed": False, "stopped": why} == solved.verdicts["solved"]
