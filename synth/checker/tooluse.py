"""Conversations with tools: every call is made again on a state of the checker's own, and the tasks' goals are asked of it.

Independent are the database, its dump and hash, the check of arguments against the schemas in the row's own list of tools, the replay, the
goals, what happens without each action, and who knew which argument. Not independent is what a tool does to a state: the functions of
`synth.tooluse.environments.NAME.tools` and the tables' columns there define it, so they are imported, and run here on another state.
The policy is read from the row's own words (`policy`). Not proven: that what the assistant says beside values and answers is true.
"""

import functools
import importlib
import importlib.util
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import fastjsonschema
import xxhash

from synth.checker import policy
from synth.checker.conversation import Call, arguments
from synth.checker.row import Documents, Row, Undecided

MAX_VALUE_BYTES = 32 << 20  # of one value, or statement
MAX_INSTRUCTIONS = 50_000_000  # of SQLite's machine, on one state: about a second


class Database:
    """What a tool gets as its state: an SQLite database with the queries that tools make."""

    def __init__(self, schema: str, tables: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.executescript(schema)
        self._db.setlimit(
            sqlite3.SQLITE_LIMIT_ATTACHED, 0
        )  # goals are SQL of the row's: no other file is opened, or written
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        self._db.set_progress_handler(self._is_spent, 10_000)
        self._spent = 0
        for name, rows in tables.items():
            for row in rows:
                self._db.execute(f"INSERT INTO {name} VALUES ({','.join('?' for _ in row)})", row)

    def _is_spent(self) -> bool:
        """Ends a statement that would never end: SQLite asks every 10,000 instructions."""
        self._spent += 1
        return self._spent > MAX_INSTRUCTIONS // 10_000

    def rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        return list(self._db.execute(sql, args))

    def row(self, sql: str, *args: Any) -> tuple[Any, ...] | None:
        return next(iter(self.rows(sql, *args)), None)

    def value(self, sql: str, *args: Any) -> Any:
        return (self.row(sql, *args) or (None,))[0]

    def records(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        cursor = self._db.execute(sql, args)
        return [{about[0]: value for about, value in zip(cursor.description, row, strict=True)} for row in cursor]

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        self._db.execute("SAVEPOINT one")
        is_done = False
        try:
            yield
            is_done = True
        finally:
            if not is_done:
                self._db.execute("ROLLBACK TO one")
            self._db.execute("RELEASE one")

    def hash(self) -> str:
        """xxh3-128 of all tables as JSON: sorted by name, rows by their own JSON."""
        names = [name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        dump = {name: sorted(([*row] for row in self.rows(f"SELECT * FROM {name}")), key=_dense) for name in names}
        return xxhash.xxh3_128_hexdigest(_dense(dump).encode())


class Machine(NamedTuple):
    """The tools of one environment, on one state."""

    module: Any
    schemas: Mapping[str, Mapping[str, Any]]  # by tool, as the row lists them
    state: Database

    def takes(self, name: str, arguments: Mapping[str, Any]) -> bool:
        """Whether there is such a tool, and the arguments fit its schema."""
        return name in self.schemas and _fits(self.schemas[name], arguments)

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[bool, Any]:
        """(whether it was done, the JSON it gave)."""
        function = getattr(self.module, name, None)
        if name not in self.schemas or function is None or name.startswith("_"):
            return False, {"error": f"unknown tool {name}"}
        if not self.takes(name, arguments):
            return False, None  # the wording of that error is not checked
        try:
            with self.state.undone_on_error():
                return True, function(self.state, **arguments)
        except self.module.ToolError as error:
            return False, {"error": str(error)}


def conversation(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of generator `tools`."""
    task = row.task
    if importlib.util.find_spec(f"synth.tooluse.environments.{task['environment']}") is None:
        raise ValueError(f"no environment {task['environment']!r}")
    module = importlib.import_module(f"synth.tooluse.environments.{task['environment']}.tools")
    schemas = {tool["name"]: tool["parameters"] for turn in row.turns for tool in turn.tools}
    if sorted(schemas) != sorted(task["tools"]):
        yield "the tools listed are not those of the task"

    def fresh() -> Machine:
        return Machine(module, schemas, Database(module.SCHEMA, task["start"]))

    if fresh().state.hash() != task["start_hash"]:
        yield "the start state has another hash"
    told = next((turn.text for turn in row.turns if turn.role == "system" and not turn.tools), "")
    today, rules, unknown = policy.read(told)
    if today != fresh().state.value("SELECT date FROM today"):
        yield f"the system turn says it is {today!r}"
    if not rules or unknown:
        yield from map(Undecided, ("policy", "each_action_needed", "refusal_grounded"))
    yield from _gold(task, fresh, rules, row.meta["verdicts"].get("refusal_grounded", {}).get("grounds", ()))
    if not _goes_on_without(task, fresh(), None, rules):
        yield "with all of its actions, a goal is missed, an argument unknown, a rule broken, or what a wish needs not shown"
    if (idle := needless(task, fresh, rules)) and not unknown:
        yield f"{idle} actions can be left out"
    yield from _replayed(row, fresh(), rules)
    yield from _said(row)


def _said(row: Row) -> Iterator[str]:
    """Answers are given, and nobody says a number or an address that he cannot know."""
    known = " ".join(map(str, _leaves([wish["facts"] for wish in row.task["wishes"]])))
    for turn in row.turns:
        if turn.role == "user":
            told = re.findall(r"[\w.+/-]*(?:\d[\w.+/-]*|@[\w.-]+\w)", turn.text)
            if foreign := [word for word in told if word.rstrip(".-/") not in known]:
                yield f"the person says {foreign[0]!r}, which nobody told him"
        known += f" {turn.text}" if turn.role == "assistant" else ""
    for wish in row.task["wishes"]:
        if wish["answer"] and _is_whole(row) and not _says(row, wish["answer"]):
            yield f"wish {wish['name']}: no message says {wish['answer']!r}"


def _gold(task: Mapping[str, Any], fresh: Any, rules: Sequence[policy.Rule], grounds: Sequence[str]) -> Iterator[str]:
    """The task alone: plans run, goals hold at their end and not at the start, each action is needed, what is refused is refused."""
    start, machine = fresh(), fresh()
    past: list[policy.Event] = []
    for wish in task["wishes"]:
        if wish["kind"] not in ("write", "question", "refusal", "handoff"):
            yield f"a wish of kind {wish['kind']!r}"
        if wish["refused"] and not wish["rule"]:
            done, value = machine.call(**wish["refused"])
            if done:
                yield f"wish {wish['name']}: the refused call is done"
            elif value is None or value["error"] not in grounds:
                yield f"wish {wish['name']}: the refused call is refused for another reason"
        for call in wish["plan"]:
            done, value = machine.call(**call)
            past.append(_event(call["name"], call["arguments"], done, value))
            if not done:
                yield f"wish {wish['name']}: the gold call of {call['name']} fails"
        if wish["refused"] and wish["rule"]:
            moment = policy.Moment(wish["refused"]["name"], wish["refused"]["arguments"], machine.state, past)
            if not any(rule.forbids for rule in policy.broken(rules, moment)):
                yield f"wish {wish['name']}: no rule forbids the refused call"
    if machine.state.hash() != task["final_hash"]:
        yield "the plans lead to another state"
    for wish in task["wishes"]:
        if wish["kind"] in ("write", "handoff") and _holds(wish, start.state):
            yield f"wish {wish['name']}: its goal holds at the start"
        if wish["kind"] != "refusal" and not _holds(wish, machine.state):
            yield f"wish {wish['name']}: its goal does not hold in the end"


def needless(task: Mapping[str, Any], fresh: Any, rules: Sequence[policy.Rule]) -> int:
    """How many gold calls can be left out: no goal missed, no error, no rule broken, no argument that nobody knows, every answer shown."""
    total = sum(len(wish["plan"]) for wish in task["wishes"])
    return sum(_goes_on_without(task, fresh(), left_out, rules) for left_out in range(total))


def _goes_on_without(
    task: Mapping[str, Any], machine: Machine, left_out: int | None, rules: Sequence[policy.Rule]
) -> bool:
    """Whether nothing is missed with the gold call of this number left out; None: with all of them. No yes is asked for here."""
    number = 0
    shown: list[Any] = []
    past: list[policy.Event] = []
    for wish in task["wishes"]:
        for call in wish["plan"]:
            number += 1
            if number - 1 == left_out:
                continue
            known = [*_leaves(wish["facts"]), *_leaves(shown)]
            properties = machine.schemas[call["name"]]["properties"]
            for name, given in call["arguments"].items():
                for leaf in _leaves(given):
                    if leaf != "" and leaf not in properties[name].get("enum", ()) and leaf not in known:
                        return False
            moment = policy.Moment(call["name"], call["arguments"], machine.state, past)
            if not all(rule.is_confirmation for rule in policy.broken(rules, moment)):
                return False
            done, value = machine.call(**call)
            if not done:
                return False
            shown.append(value)
            past.append(_event(call["name"], call["arguments"], done, value))
        for need in wish["needs"]:
            if need not in ([*map(list, _named(shown))] if isinstance(need, list) else _leaves(shown)):
                return False
    start = Database(machine.module.SCHEMA, task["start"])
    for wish in task["wishes"]:
        if wish["kind"] == "refusal":
            continue
        if not _holds(wish, machine.state) or (wish["kind"] != "question" and _holds(wish, start)):
            return False
    return True


def _replayed(row: Row, machine: Machine, rules: Sequence[policy.Rule]) -> Iterator[str]:
    """The row's own calls: what they give is what it shows, no rule is broken, nothing is guessed, and it ends where the plans do."""
    faults, unlearned = row.task["faults"], set(row.task["unlearned"])
    number, said = 0, ""
    shown: list[Any] = []
    past: list[policy.Event] = []
    for turn, after in zip(row.turns, [*row.turns[1:], None], strict=True):
        past += (
            [policy.Event(turn.role, turn.text)]
            if turn.role in ("user", "assistant") and (turn.text or not turn.calls)
            else []
        )
        said += f" {turn.text}" if turn.role == "user" else ""
        if turn.calls and (after is None or len(after.responses) != len(turn.calls)):
            yield "a call has no response"
            return
        for call, response in zip(turn.calls, after.responses if after else (), strict=False):
            given = arguments(row.turns, call)
            if machine.takes(call.name, given):
                moment = policy.Moment(call.name, given, machine.state, past)
                yield from (
                    f"call {number} of {call.name} breaks: {rule.sentence}" for rule in policy.broken(rules, moment)
                )
            if fault := faults.get(str(number)):
                done, value = False, {"error": fault}
            else:
                done, value = machine.call(call.name, given)
                if not done and number not in unlearned:
                    yield f"call {number} of {call.name} is learned, and fails"
            expected = json.dumps(value, ensure_ascii=False)
            if response != expected and not (value is None and response.startswith('{"error": "invalid arguments: ')):
                yield f"call {number} of {call.name} gives {expected[:80]!r}, the row shows {response[:80]!r}"
            if done:
                yield from _guessed(number, call, given, machine, shown, said)
                shown.append(value)
            past.append(_event(call.name, given, done, value))
            number += 1
    if _is_whole(row) and machine.state.hash() != row.task["final_hash"]:
        yield "the conversation ends in another state than the plans"


def _is_whole(row: Row) -> bool:
    """Whether the row has the end of its conversation."""
    part, parts = row.meta.get("turn") or (1, 1)
    return bool(part == parts)


def _event(name: str, given: Mapping[str, Any], done: bool, value: Any) -> policy.Event:
    return policy.Event("tool", "", name, given, value if done else None)


def _guessed(
    number: int, call: Call, given: Mapping[str, Any], machine: Machine, shown: Sequence[Any], said: str
) -> Iterator[str]:
    known = _leaves(list(shown))
    for name, argument in given.items():
        options = machine.schemas[call.name]["properties"][name].get("enum", ())
        for leaf in _leaves(argument):
            words = f"${leaf / 100:,.2f}" if name.endswith("_cents") else str(leaf)
            told = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", said)
            if leaf != "" and leaf not in options and leaf not in known and not told:
                yield f"call {number} of {call.name}: nobody told {name} = {leaf!r}"


def _holds(wish: Mapping[str, Any], state: Database) -> bool:
    goals = wish["goal"]
    return bool(goals) and all([*map(list, state.rows(goal["sql"], *goal["args"]))] == goal["rows"] for goal in goals)


def _says(row: Row, answer: str) -> bool:
    pattern = re.compile(rf"(?<![\w.]){re.escape(answer)}(?!\w)")
    return any(turn.role == "assistant" and pattern.search(turn.text) for turn in row.turns)


def _fits(schema: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    try:
        _validator(_dense(schema))(dict(given))
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


@functools.lru_cache(4096)
def _validator(schema: str) -> Callable[[Any], Any]:
    return fastjsonschema.compile(json.loads(schema), use_default=False)


def _named(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Texts and numbers in a JSON value, each with the name of its field."""
    if isinstance(value, Mapping):
        return [found for key, inner in value.items() for found in _named(inner, key)]
    if isinstance(value, (list, tuple)):
        return [found for inner in value for found in _named(inner, name)]
    return [] if value is None or isinstance(value, bool) else [(name, value)]


def _leaves(value: Any) -> list[Any]:
    return [leaf for _, leaf in _named(value)]


def _dense(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
