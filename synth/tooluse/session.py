"""One conversation with an environment: what was said, what was called, and the state that came of it. Scripts and models share it."""

from collections.abc import Mapping, Sequence
from typing import Any

from synth.render import Call, Turn
from synth.tooluse.environment import Act, Done, Environment, Said
from synth.tooluse.state import State
from synth.tooluse.tools import Result, Tool, execute, problem

OUTAGES = (
    "timeout: the service did not answer, nothing was changed",
    "503: the service is busy, nothing was changed",
    "connection reset, nothing was changed",
)


class Session:
    """`faults`: the text with which the n-th call fails, whatever it is, by n. `tools` are listed in this order."""

    def __init__(
        self, environment: Environment, state: State, tools: Sequence[Tool], faults: Mapping[int, str]
    ) -> None:
        self.environment, self.state = environment, state
        self.turns = [
            Turn("system", tools=tuple(tool.listed for tool in tools)),
            Turn("system", environment.policy(state)),
        ]
        self.past: list[Done | Said] = []
        self.broken: list[str] = []  # names of rules
        self.num_calls = 0
        self._faults = faults
        self._by_name = environment.by_name

    def user(self, text: str) -> None:
        self.turns.append(Turn("user", text))
        self.past.append(Said("user", text))

    def say(self, text: str, think: str = "") -> None:
        self.turns.append(Turn("assistant", text, think=think))
        self.past.append(Said("assistant", text))

    def call(self, calls: Sequence[Call], *, text: str = "", think: str = "", **turn: Any) -> list[Result]:
        """Make the calls of one assistant turn, one after the other; what they gave is the observation after it."""
        self.turns.append(Turn("assistant", text, think=think, calls=tuple(calls), **turn))
        if text:
            self.past.append(Said("assistant", text))
        results = [self._result(call) for call in calls]
        self.turns.append(Turn("observation", responses=tuple(result.text for result in results)))
        return results

    @property
    def fails_next(self) -> bool:
        """Whether a fault is injected into the call that comes next."""
        return self.num_calls in self._faults

    def breaks(self, call: Call) -> list[str]:
        """The rules that the call would break now; none where no tool would take it."""
        tool = self._by_name.get(call.name)
        if tool is None or problem(tool.parameters, call.arguments) is not None:
            return []
        act = Act(self.state, call, tool, self.past)
        return [rule.name for rule in self.environment.rules if rule.broken(act)]

    def _result(self, call: Call) -> Result:
        self.broken += self.breaks(call)
        fault = self._faults.get(self.num_calls)
        self.num_calls += 1
        result = Result(False, {"error": fault}) if fault else execute(self.state, self._by_name, call)
        self.past.append(Done(call, result))
        return result


def replay(environment: Environment, state: State, turns: Sequence[Turn], faults: Mapping[int, str]) -> Session:
    """The conversation again, on another state: what is said is taken from `turns`, what tools return is computed."""
    session = Session(environment, state, (), faults)
    session.turns = list(turns[:2])
    for turn in turns[2:]:
        if turn.role == "user":
            session.user(turn.text)
        elif turn.role == "assistant" and turn.calls:
            session.call(turn.calls, text=turn.text, think=turn.think)
        elif turn.role == "assistant":
            session.say(turn.text, turn.think)
    return session
