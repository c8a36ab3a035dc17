"""Trajectories: an issue, a repository and tools, and whoever works with them until the tests pass.

The scripted agent searches first (`repair.py`), all candidates really tested, and then walks the way that led there with the tools, so that
every observation is what a tool answered: overview, search, failing tests, functions by suspicion, some of the candidates that failed, the
one that passed, all tests. A model gets the same tools, one call after the other, and is judged by the same tests.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from synth.evidence import keyed
from synth.export.messages import chat_messages
from synth.render import Call, Turn
from synth.software import phrases
from synth.software.localise import functions
from synth.software.repair import Search, Trial
from synth.software.workspace import TOOLS, Workspace

if TYPE_CHECKING:
    from synth.teacher import Teacher

MAX_VIEWS, MAX_SHOWN_TRIES = 3, 2
VIEW_MARGIN = 2  # lines around a function
CONTEXT_LINES = 12  # at most, that an edit takes along to be unique
MAX_TURNS, MAX_TOKENS = 40, 4096


class Asked(NamedTuple):
    """What an agent is told, and what tells its attempts from others."""

    name: str
    issue: str
    public: str  # a name in the issue, to search for; may be empty
    failing: Sequence[str]  # tests that the issue is about


def trajectory(workspace: Workspace, asked: Asked, search: Search, *, seed: int) -> list[Turn]:
    """The turns of the scripted agent; `workspace` is left as it made it. `search.found` must be there."""
    assert search.found is not None
    walk = _Walk(workspace, asked, seed)
    found = search.found
    test_file = asked.failing[0].partition("::")[0]
    walk.act("look", phrases.LOOK, Call("list_files", {"path": ""}))
    where = ""
    if asked.public:
        folder = test_file.rpartition("/")[0]
        seen = walk.act(
            "search", phrases.SEARCH, Call("grep", {"text": asked.public, "path": folder}), public=f"`{asked.public}`"
        )
        where = test_file if f"{test_file}:" in seen else ""
    what = f"the tests in {where}" if where else "all tests"
    ran = walk.act("run", phrases.RUN, Call("run_tests", {"path": where}), what=what)
    walk.look_at(search, found, ran.partition("\n")[0])
    for number, trial in enumerate(shown_failures(search)):
        walk.attempt(trial, where, f"try {number}")
        walk.take_back(trial, f"try {number}")
    walk.attempt(found, where, "found")
    if where:
        walk.act("whole", phrases.WHOLE, Call("run_tests", {"path": ""}))
    walk.done(found)
    return walk.turns


def shown_failures(search: Search) -> list[Trial]:
    """Candidates that did not pass and are shown: the last ones in the function that has the bug."""
    found = search.found
    assert found is not None
    same = [trial for trial in search.failed if trial.path == found.path and trial.suspect == found.suspect]
    return same[-MAX_SHOWN_TRIES:]


class _Walk:
    """Turns as they come about."""

    def __init__(self, workspace: Workspace, asked: Asked, seed: int) -> None:
        self.turns = [Turn("system", tools=TOOLS), Turn("user", asked.issue)]
        self._workspace, self._asked, self._seed = workspace, asked, seed

    def _say(self, slot: str, choices: Sequence[str], **values: Any) -> str:
        return choices[keyed(self._seed, self._asked.name, "say", slot) % len(choices)].format_map(values)

    def act(self, slot: str, choices: Sequence[str], call: Call, **values: Any) -> str:
        """A thought, a call, and what the tool answers."""
        answer = self._workspace.call(call)
        self.turns += [
            Turn("assistant", think=self._say(slot, choices, **values), calls=(call,)),
            Turn("observation", responses=(answer,)),
        ]
        return answer

    def look_at(self, search: Search, found: Trial, counted: str) -> None:
        """The suspects down to the one that has the bug, the last ones of them where there are many."""
        before = search.suspects[: found.suspect][: MAX_VIEWS - 1]
        for number, suspect in enumerate([*before, search.suspects[found.suspect]]):
            known = functions(self._workspace.text(suspect.path) or "")[suspect.line]
            begin = max(1, known.first_line - VIEW_MARGIN)
            call = Call(
                "view", {"path": suspect.path, "line": begin, "count": known.last_line - begin + 1 + VIEW_MARGIN}
            )
            choices = phrases.VIEW_NEXT if number else phrases.VIEW_FIRST
            self.act(f"view {number}", choices, call, function=f"`{known.name}`", count=counted.partition(",")[0])

    def attempt(self, trial: Trial, where: str, slot: str) -> None:
        site = trial.site
        old, new = _replacement(self._workspace.text(trial.path) or "", trial)
        values = {"line": site.line, "old": _folded(site.old), "new": _folded(site.new)}
        call = Call("edit", {"path": trial.path, "old": old, "new": new})
        self.act(slot, phrases.TRY[site.operator], call, **values)
        self.act(f"check {slot}", phrases.CHECK, Call("run_tests", {"path": where}))

    def take_back(self, trial: Trial, slot: str) -> None:
        edit = next(turn.calls[0] for turn in reversed(self.turns) if turn.calls and turn.calls[0].name == "edit")
        call = Call("edit", {"path": trial.path, "old": edit.arguments["new"], "new": edit.arguments["old"]})
        self.act(f"back {slot}", phrases.TAKE_BACK, call)

    def done(self, found: Trial) -> None:
        values = {
            "old": _folded(found.site.old),
            "new": _folded(found.site.new),
            "line": found.site.line,
            "path": found.path,
        }
        passed = self._workspace.ran[-1].tests - self._workspace.ran[-1].failed
        text = self._say("done", phrases.DONE, function=f"`{found.site.function}`", passed=passed, **values)
        self.turns.append(Turn("assistant", text))


def _replacement(text: str, trial: Trial) -> tuple[str, str]:
    """Whole lines around a site, as few as occur once and give back the trial's text when replaced; both versions."""
    before, after = text.split("\n"), trial.text.split("\n")
    same_head = next((n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    tail = 0
    while tail < min(len(before), len(after)) - same_head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    for margin in range(CONTEXT_LINES):
        head, end = max(0, same_head - margin), max(0, tail - margin)
        old, new = ("\n".join(lines[head : len(lines) - end]) for lines in (before, after))
        if old and text.count(old) == 1 and trial.text.count(new) == 1:
            return old, new
    return text, trial.text


def _folded(code: str) -> str:
    return " ".join(code.split())


async def ask(workspace: Workspace, asked: Asked, teacher: "Teacher") -> tuple[list[Turn], str | None]:
    """The turns of a model, and why it did not come to an end: None, `failure`, `length` or `turns`."""
    from synth.teacher import Request

    turns = [Turn("system", tools=TOOLS), Turn("user", asked.issue)]
    for _ in range(MAX_TURNS):
        answer = await teacher.ask(Request(chat_messages(turns), MAX_TOKENS, tools=TOOLS))
        if answer.failure or answer.finish_reason == "length":
            return turns, "failure" if answer.failure else "length"
        turns.append(Turn("assistant", answer.text, think=answer.reasoning, calls=tuple(answer.calls)))
        if not answer.calls:
            return turns, None
        responses = tuple(workspace.call(call) for call in answer.calls)
        turns.append(Turn("observation", responses=responses))
    return turns, "turns"
