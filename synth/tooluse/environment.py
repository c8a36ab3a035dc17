"""What an environment consists of, and what its tasks are made of.

An environment is a database schema, tools that work on it, a policy that is text and code at once, a way to fill the database, and wishes:
what a person who writes in may want of the state as it is. A wish knows the actions that fulfil it and what is true in the state then;
which reads lead to the arguments of those actions is found by search (`synth.tooluse.planner`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from synth.draw import Draw
from synth.render import Call
from synth.rows import Parent
from synth.tooluse.state import State, Tables
from synth.tooluse.tools import Result, Tool

Facts = Mapping[str, Any]  # what a person knows: values by slot
WishKind = Literal["write", "question", "refusal", "handoff"]


class Holds(NamedTuple):
    """A condition on a state: the query gives exactly these rows."""

    sql: str
    args: tuple[Any, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __call__(self, state: State) -> bool:
        return tuple(state.rows(self.sql, *self.args)) == self.rows

    def as_json(self) -> dict[str, Any]:
        return {"sql": self.sql, "args": list(self.args), "rows": [list(row) for row in self.rows]}


class Wish(NamedTuple):
    """What a person wants. Templates are those of `Draw.say`; their slots are the facts, and `answer` where there is one."""

    kind: WishKind
    name: str
    ask: str  # how the person says it
    facts: Facts
    done: str  # what the assistant says in the end
    gold: tuple[Call, ...] = ()  # the actions that fulfil it
    look: tuple[Call, ...] = ()  # reads that the policy asks for before them, or that show the answer
    goal: tuple[Holds, ...] = ()  # true when it is fulfilled; of a question: the query that gives its answer
    will: str = ""  # what is about to be done, with every value of the actions: said before a yes
    thought: str = ""  # what the assistant concludes from what it saw
    answer: str = ""  # of a question: stands in the last message
    needs: tuple[
        Any, ...
    ] = ()  # of a question or a refusal: the values in the results that the answer or the reason follows from
    refused: Call | None = None  # of a refusal, and of a handoff that has its reason in a rule: what must not be done,
    rule: str = ""  # by which rule


class Done(NamedTuple):
    """A call that was made."""

    call: Call
    result: Result


class Said(NamedTuple):
    role: Literal["user", "assistant"]
    text: str


class Act(NamedTuple):
    """A call that is about to be made, as a rule sees it."""

    state: State
    call: Call
    tool: Tool
    past: Sequence[Done | Said]  # everything before, first to last


class Rule(NamedTuple):
    """A sentence of the policy, and whether a call breaks it."""

    name: str
    text: str
    broken: Callable[[Act], bool]


class Slot(NamedTuple):
    """Something a person knows: how they tell it, how the assistant asks for it, and the words by which they know that they are asked."""

    tell: str
    ask: str
    words: tuple[str, ...]


class Source(NamedTuple):
    """A document that a world may be filled from."""

    parent: Parent
    group: str  # the repository of a file; of other documents their id
    path: str  # in the repository; "" for other documents
    title: str
    text: str  # its beginning


class World(NamedTuple):
    """A filled database before anything happens."""

    tables: Tables
    parents: tuple[Parent, ...] = ()
    license: str | None = None  # of data that are no documents'


class Environment(NamedTuple):
    name: str
    role: str  # the first sentences of the system turn
    schema: str  # SQL; has a table `today (date)`
    tools: tuple[Tool, ...]
    rules: tuple[Rule, ...]
    populate: Callable[[Draw, Sequence[Source]], World | None]  # None where the sources do not suffice
    person: Callable[[State, Draw], Facts]  # who writes in
    wishes: tuple[Callable[[State, Draw, Facts], Wish | None], ...]  # None where the state has no case for it
    slots: Mapping[str, Slot]
    notes: tuple[str, ...] = ()  # sentences of the policy that bind no call

    @property
    def by_name(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.tools}

    def policy(self, state: State) -> str:
        """The text of the system turn."""
        rules = [*(rule.text for rule in self.rules), *self.notes]
        today = state.value("SELECT date FROM today")
        return "\n".join([f"{self.role} Today is {today}.", "", "Policy:", *(f"- {rule}" for rule in rules)])
