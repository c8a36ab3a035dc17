"""Which reads lead to the arguments of an action: a search over what tools take and return.

A parameter and a field of a result that share a name mean the same, so a value that a person knows or a tool has shown can be the argument
of every tool with a parameter of that name. The search calls all reads that can be called, round by round, until every argument of the
wanted calls has been seen, and then leaves out, last first, each read that the rest can do without (ToolMind chains tools the same way, by
the names of their parameters). Costs 0.4 ms per wish; `MAX_READS` bounds it.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synth.render import Call
from synth.tooluse.rules import named_leaves, shows
from synth.tooluse.state import State
from synth.tooluse.tools import Tool, execute, leaves

MAX_READS = 60
MAX_ROUNDS = 4


class Read(NamedTuple):
    call: Call
    value: Any  # what it returned


def plan(
    state: State, tools: Mapping[str, Tool], facts: Mapping[str, Any], wanted: Sequence[Call], needs: Sequence[Any] = ()
) -> list[Call] | None:
    """The reads, those among `wanted` included, after which every argument of `wanted` and every value of `needs` was said or shown.

    In an order in which nothing is guessed. None where no reads lead there.
    """
    asked = [Read(call, execute(state, tools, call).value) for call in wanted if not tools[call.name].writes]
    writes = [call for call in wanted if tools[call.name].writes]
    goal = _Goal(tools, dict(facts), writes, needs)
    found: list[Read] = []
    called = {_key(read.call) for read in asked}
    for _ in range(MAX_ROUNDS):
        if goal.order([*asked, *found]) is not None:
            break
        for call in itertools.islice(_callable(tools, _by_name(facts, goal.reachable([*asked, *found]))), MAX_READS):
            result = execute(state, tools, call) if _key(call) not in called and len(found) < MAX_READS else None
            called.add(_key(call))
            if result is not None and result.ok:
                found.append(Read(call, result.value))
    for read in reversed(found):
        fewer = [other for other in found if other is not read]
        if goal.order([*asked, *fewer]) is not None:
            found = fewer
    return goal.order([*asked, *found])


def known(tools: Mapping[str, Tool], call: Call, seen: Sequence[Any]) -> bool:
    """Whether every argument of `call` was seen, is empty, or is one of the values that its schema names."""
    properties = tools[call.name].parameters["properties"]
    return all(
        leaf == "" or leaf in properties[name].get("enum", ()) or leaf in seen
        for name, value in call.arguments.items()
        for leaf in leaves(value)
    )


class _Goal(NamedTuple):
    tools: Mapping[str, Tool]
    facts: dict[str, Any]
    writes: Sequence[Call]
    needs: Sequence[Any]

    def order(self, reads: Sequence[Read]) -> list[Call] | None:
        """The calls of all `reads` in an order in which nothing is guessed; None where there is none, or they show too little."""
        made = self.reachable(reads)
        seen = leaves([self.facts, *(read.value for read in made)])
        shown = [*self.facts.get("shown", ()), *(read.value for read in made)]  # what a person says shows nothing
        enough = all(known(self.tools, call, seen) for call in self.writes) and all(
            shows(shown, need) for need in self.needs
        )
        return [read.call for read in made] if len(made) == len(reads) and enough else None

    def reachable(self, reads: Sequence[Read]) -> list[Read]:
        """Those that can be made with what is known and what the others show, in the order in which they can."""
        seen, left = leaves(self.facts), list(reads)
        made: list[Read] = []
        while (ready := next((read for read in left if known(self.tools, read.call, seen)), None)) is not None:
            left.remove(ready)
            made.append(ready)
            seen += leaves(ready.value)
        return made


def _key(call: Call) -> str:
    return json.dumps([call.name, call.arguments], sort_keys=True)


def _by_name(facts: Mapping[str, Any], reads: Sequence[Read]) -> dict[str, list[Any]]:
    """Every value seen so far, by the names that it was seen under."""
    values: dict[str, list[Any]] = {}
    for name, leaf in named_leaves(dict(facts)):
        values.setdefault(name, []).append(leaf)
    for read in reads:
        for name, leaf in named_leaves(read.value):
            if leaf not in values.setdefault(name, []):
                values[name].append(leaf)
    return values


def _callable(tools: Mapping[str, Tool], values: Mapping[str, Sequence[Any]]) -> Iterator[Call]:
    """Every read whose required parameters have a value; one with most parameters first, because it says most."""
    for tool in sorted(tools.values(), key=lambda tool: (-len(tool.required), tool.name)):
        if not tool.writes and all(name in values for name in tool.required):
            for chosen in itertools.product(*(values[name] for name in tool.required)):
                yield Call(tool.name, dict(zip(tool.required, chosen, strict=True)))
