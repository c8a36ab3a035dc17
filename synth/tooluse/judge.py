"""Is a task sound, and does a conversation do it? Everything is computed again from the start state; no model is asked.

A task is judged once (`task_verdicts`), every conversation of it on its own (`conversation_verdicts`), in this order:

    schema            every gold call fits the JSON schema of its tool
    runs              the gold calls run without an error, twice, to the same state
    goal              what is wanted is not so at the start, and is so at the end; without a change wanted, the state stays as it is
    each_action_needed  without any one gold call the goal is missed, an argument is unknown, a rule broken or the answer not shown
    refusal_grounded  what is refused breaks the rule that is given as the reason, or the tool refuses it itself
    replay            the conversation's calls give what it shows, and the state that the gold calls give (tau-bench's measure)
    valid_calls       every call that is learned fits its schema and gets no error but an injected one
    policy            no call breaks a rule, those that are not learned included
    grounded          no argument that neither the person said nor a tool showed
    answered          the answer is in the message that ends its wish, and nobody gave it away before
    user_consistent   the person says no number and no address that is not among the facts, or was said to it
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.render import Call, Turn
from synth.tooluse.environment import Done, Environment, Said, Wish
from synth.tooluse.planner import known
from synth.tooluse.rules import is_said, shows
from synth.tooluse.session import Session, replay
from synth.tooluse.state import State
from synth.tooluse.tools import execute, leaves, problem

Verdict = dict[str, Any]
_TELLING = re.compile(r"[\w.+/-]*(?:\d[\w.+/-]*|@[\w.-]+\w)")  # words with a digit or an @: what a fact looks like


class Task(NamedTuple):
    """Wishes of one person to one environment, with the calls that fulfil each of them: reads first, its actions last."""

    environment: Environment
    start: State
    wishes: tuple[Wish, ...]
    plans: tuple[tuple[Call, ...], ...]

    @property
    def gold(self) -> list[Call]:
        return [call for plan in self.plans for call in plan]

    @property
    def changes(self) -> bool:
        return any(wish.gold for wish in self.wishes)

    def end(self) -> State:
        return _ran(self, self.gold)[0]


def task_verdicts(task: Task) -> dict[str, Verdict]:
    """Of the task alone. A check that rests on one that failed is not made."""
    tools = task.environment.by_name
    wrong = [
        f"{call.name}: {said}" for call in task.gold if (said := problem(tools[call.name].parameters, call.arguments))
    ]
    found: dict[str, Verdict] = {"schema": {"passed": not wrong, "calls": len(task.gold), "problems": wrong}}
    if wrong:
        return found
    (end, errors), (again, _) = _ran(task, task.gold), _ran(task, task.gold)
    found["runs"] = {"passed": not errors and end.hash() == again.hash(), "errors": errors}
    unchanged = end.hash() == task.start.hash()
    reached = [fulfilled(wish, task.start, end) for wish in task.wishes]
    found["goal"] = {
        "passed": all(reached) and unchanged != task.changes,
        "wishes": len(reached),
        "reached": sum(reached),
    }
    if errors:
        return found
    why = [_lack_without(task, index) for index in range(len(task.gold))]
    counts = {reason: why.count(reason) for reason in ("goal", "argument", "policy", "answer", "error")}
    whole = _lack_without(task, None)  # a lack that is there with all of them proves nothing
    found["each_action_needed"] = {"passed": None not in why and whole is None, "actions": len(why), **counts}
    denied = [number for number, wish in enumerate(task.wishes) if wish.kind == "refusal" or wish.refused]
    if denied:
        grounds = [_grounds(task, number) for number in denied]
        found["refusal_grounded"] = {"passed": "" not in grounds, "grounds": grounds}
    return found


def conversation_verdicts(task: Task, turns: Sequence[Turn], faults: Mapping[int, str]) -> dict[str, Verdict]:
    """Of one conversation of a task, as it is shown. `faults` are the injected ones."""
    session = replay(task.environment, task.start.copy(), turns, faults)
    end = task.end().hash()
    same = [turn.responses for turn in session.turns] == [turn.responses for turn in turns]
    reached = session.state.hash()
    found: dict[str, Verdict] = {"replay": {"passed": same and reached == end, "responses": same, "hash": reached}}
    learned, errors = _learned_calls(task, turns, faults)
    found["valid_calls"] = {"passed": not errors, "calls": learned, "errors": errors}
    found["policy"] = {"passed": not session.broken, "rules": len(task.environment.rules), "broken": session.broken}
    guessed = _guessed(task, session)
    found["grounded"] = {"passed": not guessed, "guessed": guessed}
    if any(wish.answer for wish in task.wishes):
        found["answered"] = _answered(task, session)
    foreign = _foreign(task, session)
    found["user_consistent"] = {"passed": not foreign, "foreign": foreign}
    return found


def _ran(task: Task, calls: Sequence[Call]) -> tuple[State, list[str]]:
    state, tools = task.start.copy(), task.environment.by_name
    results = [execute(state, tools, call) for call in calls]
    return state, [result.value["error"] for result in results if not result.ok]


def fulfilled(wish: Wish, start: State, end: State) -> bool:
    """A change: the goal holds at the end and not at the start. A question: its query gives the answer. A refusal: the state tells."""
    if wish.kind == "refusal":
        return True
    at_end = bool(wish.goal) and all(condition(end) for condition in wish.goal)
    return at_end and (wish.kind == "question" or not all(condition(start) for condition in wish.goal))


def _lack_without(task: Task, left_out: int | None) -> str | None:
    """What fails when the gold call of this number is left out (None: none is); None when nothing does."""
    session = Session(task.environment, task.start.copy(), (), {})
    number = 0
    for wish, plan in zip(task.wishes, task.plans, strict=True):
        session.user("")
        for call in plan:
            number += 1
            if number - 1 == left_out:
                continue
            if not known(task.environment.by_name, call, leaves([dict(wish.facts), _results(session.past)])):
                return "argument"
            if any(rule != "confirmed" for rule in session.breaks(call)):
                return "policy"
            if not session.call([call])[0].ok:
                return "error"
        if not all(shows(_results(session.past), need) for need in wish.needs):
            return "answer"
    reached = all(fulfilled(wish, task.start, session.state) for wish in task.wishes)
    return None if reached else "goal"


def _results(past: Sequence[Done | Said]) -> list[Any]:
    return [entry.result.value for entry in past if isinstance(entry, Done) and entry.result.ok]


def _grounds(task: Task, number: int) -> str:
    """Why the refused call of this wish must not be made when it comes up: the name of the rule that it breaks, or what the tool says.

    "" when nothing speaks against it.
    """
    wish = task.wishes[number]
    state, _ = _ran(task, [call for plan in task.plans[:number] for call in plan])
    if wish.refused is None:
        return ""
    if wish.rule:
        return wish.rule if wish.rule in Session(task.environment, state, (), {}).breaks(wish.refused) else ""
    result = execute(state, task.environment.by_name, wish.refused)
    return "" if result.ok else result.value["error"]


def _learned_calls(task: Task, turns: Sequence[Turn], faults: Mapping[int, str]) -> tuple[int, list[str]]:
    """How many calls are learned, and what is wrong with those of them that fail for another reason than an injected fault."""
    number, learned, errors = 0, 0, []
    for turn, after in zip(turns, [*turns[1:], None], strict=True):
        for index, call in enumerate(turn.calls):
            response = after.responses[index] if after and index < len(after.responses) else ""
            failed = response.startswith('{"error": ') and number not in faults
            tool = task.environment.by_name.get(call.name)
            wrong = failed or tool is None or problem(tool.parameters, call.arguments) is not None
            if turn.learn:
                learned += 1
                errors += [f"{call.name}: {response}"] if wrong else []
            number += 1
    return learned, errors


def _guessed(task: Task, session: Session) -> list[str]:
    """Calls with an argument that was neither told in words nor shown, where the call succeeded."""
    guessed: list[str] = []
    shown: list[Any] = []
    said = ""
    for entry in session.past:
        if isinstance(entry, Said):
            said += f" {entry.text}" if entry.role == "user" else ""
            continue
        tool = task.environment.by_name.get(entry.call.name)
        if entry.result.ok and tool is not None:
            given = entry.call.arguments.items()
            told = [leaf for name, value in given for leaf in leaves(value) if is_said(name, leaf, said)]
            if not known({tool.name: tool}, entry.call, shown + told):
                guessed.append(entry.call.name)
            shown += leaves(entry.result.value)
    return guessed


def _answered(task: Task, session: Session) -> Verdict:
    """Every answer stands in a message of the assistant after the calls that show it, and in nothing that the person says before."""
    missing, leaked = [], []
    for wish in (wish for wish in task.wishes if wish.answer):
        at = max((i for i, entry in enumerate(session.past) if _says(entry, "assistant", wish.answer)), default=-1)
        if at < 0 or not all(shows(_results(session.past[: at + 1]), need) for need in wish.needs):
            missing.append(wish.name)
        elif any(_says(entry, "user", wish.answer) for entry in session.past[:at]):
            leaked.append(wish.name)
    return {"passed": not missing and not leaked, "missing": missing, "leaked": leaked}


def _says(entry: Done | Said, role: str, text: str) -> bool:
    if not isinstance(entry, Said) or entry.role != role:
        return False
    return re.search(rf"(?<![\w.]){re.escape(text)}(?!\w)", entry.text) is not None


def _foreign(task: Task, session: Session) -> list[str]:
    """Words with a digit or an @ that the person says and cannot know."""
    may = " ".join(str(leaf) for wish in task.wishes for leaf in leaves(dict(wish.facts)))
    foreign = []
    for entry in session.past:
        if isinstance(entry, Said) and entry.role == "assistant":
            may += f" {entry.text}"
        elif isinstance(entry, Said):
            foreign += [word for word in _TELLING.findall(entry.text) if word.rstrip(".-/") not in may]
    return foreign
