"""Conversations with tools: every call is made again on a state of the checker's own, and the tasks' goals are asked of it.

Independent are the database, its dump and hash, the check of arguments against the schemas in the row's own list of tools, the replay, the
goals, what happens without each action, and who knew which argument. Not independent is what a tool does to a state: the functions of
`synth.tooluse.environments.NAME.tools` and the tables' columns there define it, so they are imported, and run here on another state.
Not checked again: the policy's rules (an action that only a rule needs is believed up to the number in the verdict), the scripted person.

`described`: requests to tools that nothing answers. The request is read back here with another reader than the generator's, and its
arguments have to fit the schema that the row lists.
"""

import functools
import importlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import fastjsonschema
import xxhash

from synth.checker.conversation import Call, arguments
from synth.checker.row import Documents, Row

Gold = Mapping[str, Any]  # {name, arguments}


class Database:
    """What a tool gets as its state: an SQLite database with the queries that tools make."""

    def __init__(self, schema: str, tables: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.executescript(schema)
        for name, rows in tables.items():
            for row in rows:
                self._db.execute(f"INSERT INTO {name} VALUES ({','.join('?' for _ in row)})", row)

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

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[bool, Any]:
        """(whether it was done, the JSON it gave)."""
        function = getattr(self.module, name, None)
        if name not in self.schemas or function is None or name.startswith("_"):
            return False, {"error": f"unknown tool {name}"}
        if not _fits(self.schemas[name], arguments):
            return False, None  # the wording of that error is not checked
        try:
            with self.state.undone_on_error():
                return True, function(self.state, **arguments)
        except self.module.ToolError as error:
            return False, {"error": str(error)}


def conversation(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of generator `tools`."""
    task = row.task
    module = importlib.import_module(f"synth.tooluse.environments.{task['environment']}.tools")
    schemas = {tool["name"]: tool["parameters"] for turn in row.turns for tool in turn.tools}
    if sorted(schemas) != sorted(task["tools"]):
        yield "the tools listed are not those of the task"

    def fresh() -> Machine:
        return Machine(module, schemas, Database(module.SCHEMA, task["start"]))

    if fresh().state.hash() != task["start_hash"]:
        yield "the start state has another hash"
    yield from _gold(task, fresh)
    if not _goes_on_without(task, fresh(), None):
        yield "with all of its actions, a goal is missed, an argument unknown, or what a wish needs not shown"
    by_rules = row.meta["verdicts"]["each_action_needed"].get("policy", 0)
    if (idle := needless(task, fresh)) > by_rules:
        yield f"{idle} actions can be left out, and rules ask for {by_rules}"
    yield from _replayed(row, fresh())
    for wish in task["wishes"]:
        if wish["answer"] and not row.meta.get("turn") and not _says(row, wish["answer"]):
            yield f"wish {wish['name']}: no message says {wish['answer']!r}"


def _gold(task: Mapping[str, Any], fresh: Any) -> Iterator[str]:
    """The task alone: plans run, goals hold at their end and not at the start, each action is needed, what is refused is refused."""
    start, machine = fresh(), fresh()
    gold: list[tuple[int, Gold]] = []
    for number, wish in enumerate(task["wishes"]):
        if wish["refused"] and not wish["rule"] and machine.call(**wish["refused"])[0]:
            yield f"wish {wish['name']}: the refused call is done"
        for call in wish["plan"]:
            gold.append((number, call))
            if not machine.call(**call)[0]:
                yield f"wish {wish['name']}: the gold call of {call['name']} fails"
    if machine.state.hash() != task["final_hash"]:
        yield "the plans lead to another state"
    for wish in task["wishes"]:
        if wish["kind"] in ("write", "handoff") and _holds(wish, start.state):
            yield f"wish {wish['name']}: its goal holds at the start"
        if wish["kind"] != "refusal" and not _holds(wish, machine.state):
            yield f"wish {wish['name']}: its goal does not hold in the end"


def needless(task: Mapping[str, Any], fresh: Any) -> int:
    """How many gold calls can be left out without a goal missed, an error, an argument that nobody knows, or an answer not shown."""
    total = sum(len(wish["plan"]) for wish in task["wishes"])
    return sum(_goes_on_without(task, fresh(), left_out) for left_out in range(total))


def _goes_on_without(task: Mapping[str, Any], machine: Machine, left_out: int | None) -> bool:
    """Whether nothing is missed with the gold call of this number left out; with None, with all of them."""
    number = 0
    shown: list[Any] = []
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
            done, value = machine.call(**call)
            if not done:
                return False
            shown.append(value)
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


def _replayed(row: Row, machine: Machine) -> Iterator[str]:
    """The row's own calls: what they give is what it shows, nothing is guessed, and a whole conversation ends where the plans do."""
    faults, unlearned = row.task["faults"], set(row.task["unlearned"])
    number, said = 0, ""
    shown: list[Any] = []
    for turn, after in zip(row.turns, [*row.turns[1:], None], strict=True):
        said += f" {turn.text}" if turn.role == "user" else ""
        if turn.calls and (after is None or len(after.responses) != len(turn.calls)):
            yield "a call has no response"
            return
        for call, response in zip(turn.calls, after.responses if after else (), strict=False):
            given = arguments(row.turns, call)
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
            number += 1
    part, parts = row.meta.get("turn") or (1, 1)
    if part == parts and machine.state.hash() != row.task["final_hash"]:
        yield "the conversation ends in another state than the plans"


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
