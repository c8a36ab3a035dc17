"""Trajectories: an issue, a repository and tools, and whoever works with them until the tests pass.

The scripted agent searches first (`repair.py`), all candidates really tested, and then walks the way that led there with the tools, so that
every observation is what a tool answered. The walks differ: what is looked at before the first run of tests, whether the failing test is
read, which functions are, which of the candidates that failed are tried on the way (at most `MAX_SHOWN_TRIES`, each edited, run and taken
back), whether a change is read again. A model gets the same tools, one call after the other, and is judged by the same tests.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from synth.draw import Draw
from synth.export.messages import chat_messages
from synth.render import Call, Turn
from synth.software import thoughts
from synth.software.localise import Function, functions
from synth.software.repair import Search, Trial
from synth.software.workspace import TOOLS, Workspace

if TYPE_CHECKING:
    from synth.teacher import Teacher

MAX_VIEWS, MAX_SHOWN_TRIES = 3, 2
VIEW_MARGIN = 2  # lines around a function
MAX_CLUE_CHARS = 100
CONTEXT_LINES = 12  # at most, that an edit takes along to be unique
MAX_TURNS, MAX_TOKENS = 40, 4096
_OPENINGS = (
    ("look", "search"),
    ("search",),
    ("look", "search"),
    ("look",),
    (),
    ("search", "look"),
)  # before the first run of tests
_FRAME = re.compile(r"FAILED (.*)\n    (.*?):(\d+) in (\w+)\n(?:    .*\n)*?    ([\w.]+: .*)")


class Asked(NamedTuple):
    """What an agent is told, and what tells its attempts from others."""

    name: str
    issue: str
    public: str  # a name in the issue, to search for; may be empty
    failing: Sequence[str]  # tests that the issue is about


def trajectory(workspace: Workspace, asked: Asked, search: Search, *, seed: int) -> list[Turn]:
    """The turns of the scripted agent; `workspace` is left as it made it. `search.found` must be there."""
    assert search.found
    walk = _Walk(workspace, asked, seed)
    where = walk.open()
    walk.reproduce(where)
    wrong = shown_failures(search, seed=seed, name=asked.name)
    for rank in viewed(search):
        walk.look_at(search.suspects[rank])
        for trial in wrong:
            if trial.suspect == rank:
                walk.attempt(trial, where)
                walk.take_back(trial)
    for trial in search.found[:-1]:
        walk.attempt(trial, where)
        walk.keep()
    walk.attempt(search.found[-1], where)
    if where:
        walk.act("whole", thoughts.WHOLE, Call("run_tests", {"path": ""}))
    walk.done(search.found)
    return walk.turns


def viewed(search: Search) -> list[int]:
    """Ranks of the suspects that are looked at: the one that has the bug, and the last ones before it."""
    last = search.found[-1].suspect
    return [*range(max(0, last - MAX_VIEWS + 1), last), last]


def shown_failures(search: Search, *, seed: int, name: str) -> list[Trial]:
    """Candidates that did not pass and are shown, in functions that are looked at: none, one or two, those before the right one first."""
    draw = Draw(seed, name, "tries")
    last = search.found[-1]
    places = {(trial.path, trial.site.start) for trial in search.found}
    tried = [
        trial
        for trial in search.failed
        if trial.suspect in viewed(search) and (trial.path, trial.site.start) not in places
    ]
    wanted = draw.below(MAX_SHOWN_TRIES + 1, "number")
    same = [trial for trial in tried if trial.suspect == last.suspect]
    others = [trial for trial in tried if trial.suspect != last.suspect]
    chosen = [*same[-MAX_SHOWN_TRIES:], *(others[-1:] if draw.chance(50, "elsewhere") else [])]
    return sorted(chosen[len(chosen) - min(wanted, len(chosen)) :], key=lambda trial: trial.suspect)


class _Walk:
    """Turns as they come about."""

    def __init__(self, workspace: Workspace, asked: Asked, seed: int) -> None:
        self.turns = [Turn("system", tools=TOOLS), Turn("user", asked.issue)]
        self._workspace, self._asked = workspace, asked
        self._draw = Draw(seed, asked.name, "walk")
        self._tries, self._part = 0, ""
        self._clue = self._count = ""  # the first failure that was seen, and how many there were

    def _say(self, slot: str, choices: Sequence[str], **values: Any) -> str:
        told = {"clue": self._clue, "count": self._count, **values}
        usable = [choice for choice in choices if told["clue"] or "{clue}" not in choice]
        return self._draw.say(self._draw.pick(usable, slot), told, slot, "words")

    def act(self, slot: str, choices: Sequence[str], call: Call, **values: Any) -> str:
        """A thought, a call, and what the tool answers."""
        return self.think(self._say(slot, choices, **values), call)

    def think(self, thought: str, call: Call) -> str:
        answer = self._workspace.call(call)
        self.turns += [
            Turn("assistant", think=thought, calls=(call,)),
            Turn("observation", responses=(answer,)),
        ]
        return answer

    def open(self) -> str:
        """Looks around. The test file that the issue's name led to, or "" for all."""
        test_file = self._asked.failing[0].partition("::")[0]
        where = ""
        for step in self._draw.pick(_OPENINGS, "opening"):
            if step == "look":
                folder = test_file.rpartition("/")[0] if self._draw.chance(30, "folder") else ""
                self.act("look", thoughts.LOOK, Call("list_files", {"path": folder}))
            elif self._asked.public:
                folder = test_file.rpartition("/")[0] if self._draw.chance(70, "beneath") else ""
                call = Call("grep", {"text": self._asked.public, "path": folder})
                seen = self.act("search", thoughts.SEARCH, call, public=f"`{self._asked.public}`")
                where = test_file if f"{test_file}:" in seen else ""
        return where

    def reproduce(self, where: str) -> None:
        """Runs the tests, and may read the one that fails first."""
        what = f"the tests in {where}" if where else "all tests"
        call = Call("run_tests", {"path": where})
        ran = self.act("run", thoughts.RUN, call, what=what, What=what[:1].upper() + what[1:])
        self._count = ran.partition("\n")[0].partition(",")[0]
        frame = _FRAME.search(ran)
        self._clue = _short(frame[5]) if frame else ""
        if frame and frame[2] == frame[1].partition("::")[0] and self._draw.chance(45, "read the test"):
            known = _around(functions(self._workspace.text(frame[2]) or ""), int(frame[3]))
            if known is not None:
                self._view("test", thoughts.TEST, frame[2], known, test=frame[4], line=known.first_line)

    def look_at(self, suspect: Any) -> None:
        known = functions(self._workspace.text(suspect.path) or "")[suspect.line]
        short, slot = known.name.rpartition(".")[2], f"view {suspect.path} {suspect.line}"
        if self._draw.chance(25, "find", slot):
            call = Call("grep", {"text": f"def {short}(", "path": suspect.path})
            self.act(f"find {slot}", thoughts.FIND, call, function=f"`{known.name}`")
        seen_before = any(call.name == "view" and call.arguments["path"] == suspect.path for call in self._calls())
        choices = thoughts.VIEW_NEXT if seen_before else thoughts.VIEW_FIRST
        self._view(slot, choices, suspect.path, known, function=f"`{known.name}`")

    def _view(self, slot: str, choices: Sequence[str], path: str, known: Function, **values: Any) -> None:
        begin = max(1, known.first_line - VIEW_MARGIN)
        count = known.last_line - begin + 1 + VIEW_MARGIN
        self.act(slot, choices, Call("view", {"path": path, "line": begin, "count": count}), **values)

    def _calls(self) -> list[Call]:
        return [call for turn in self.turns for call in turn.calls]

    def attempt(self, trial: Trial, where: str) -> None:
        """An edit and a run of the tests."""
        self._tries += 1
        slot = f"try {self._tries}"
        old, new = _replacement(self._workspace.text(trial.path) or "", trial)
        thought = self._say(slot, thoughts.TRY[trial.site.operator], **_values(trial))
        if self._part:
            thought = f"{self._part} {thought}"
        elif self._tries > 1:
            thought = self._say(f"again {slot}", thoughts.AGAIN, rest=thought)
        self.think(thought, Call("edit", {"path": trial.path, "old": old, "new": new}))
        if self._draw.chance(20, "look back", slot):
            call = Call("view", {"path": trial.path, "line": max(1, trial.site.line - 3), "count": 8})
            self.act(f"back {slot}", thoughts.LOOK_BACK, call)
        self.act(f"check {slot}", thoughts.CHECK, Call("run_tests", {"path": where}))

    def _seen_now(self) -> str:
        return self.turns[-1].responses[0].partition("\n")[0].partition(",")[0]

    def take_back(self, trial: Trial) -> None:
        edit = next(call for call in reversed(self._calls()) if call.name == "edit")
        call = Call("edit", {"path": trial.path, "old": edit.arguments["new"], "new": edit.arguments["old"]})
        self.act(f"back {self._tries}", thoughts.TAKE_BACK, call, told=f" ({self._seen_now()})")

    def keep(self) -> None:
        """What is thought of a change that is a part of the repair: it stands before the next one."""
        self._part = self._say("part", thoughts.PART, count=self._seen_now())

    def done(self, found: Sequence[Trial]) -> None:
        passed = self._workspace.ran[-1].tests - self._workspace.ran[-1].failed
        last = found[-1]
        about = {**_values(last), "path": last.path, "function": f"`{last.site.function}`", "passed": passed}
        parts = " and ".join(f"`{_folded(trial.site.new)}` for `{_folded(trial.site.old)}`" for trial in found)
        choices = thoughts.DONE if len(found) == 1 else thoughts.DONE_PARTS
        self.turns.append(Turn("assistant", self._say("done", choices, parts=parts, **about)))


def _values(trial: Trial) -> dict[str, Any]:
    return {"line": trial.site.line, "old": _folded(trial.site.old), "new": _folded(trial.site.new)}


def _around(known: dict[int, Function], line: int) -> Function | None:
    """The innermost function that the line is in."""
    inside = [one for one in known.values() if one.first_line <= line <= one.last_line]
    return max(inside, key=lambda one: one.first_line, default=None)


def _short(message: str) -> str:
    folded = " ".join(message.replace("`", "'").split())
    return folded if len(folded) <= MAX_CLUE_CHARS else folded[: MAX_CLUE_CHARS - 1] + "…"


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
