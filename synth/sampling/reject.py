"""Rejection sampling over the answers of a teacher, in the order of the GLM-4.5 report (section 3.1): (1) repetitive, too short, cut or
badly formatted; (2) wrong, where there is an objective answer; (3) below a reward, where there is none; (4) tools used against their
protocol, or not to the expected end.

What decides (2) to (4) is the caller's: a verifier, a reward model, an environment. What is asked of it costs, so a later check sees
only what passed the earlier ones.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from synth.evidence import keyed
from synth.render import Call, RenderError, Turn, arranged, parse, render
from synth.sampling.unfit import unfit

FAILED, TRUNCATED, ROUND_TRIP = "sampling.failed", "sampling.truncated", "sampling.bad_format"
WRONG, LOW_REWARD = "sampling.wrong", "sampling.low_reward"
PROTOCOL, END_STATE = "sampling.protocol", "sampling.end_state"
FINISHED = ("stop", "tool_calls")


class Response(Protocol):
    """What a teacher answered (`synth.teacher.Answer`)."""

    @property
    def text(self) -> str: ...
    @property
    def finish_reason(self) -> str: ...
    @property
    def failure(self) -> str | None: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def calls(self) -> Sequence[Call]: ...


def keep(
    answers: Sequence[Response], *, prompt: str = "", min_chars: int = 1, tools: Sequence[Mapping[str, Any]] = ()
) -> list[str | None]:
    """Step 1: per answer the reason why it is no text to learn; None where it is one.

    An answer of calls may have no text. `tools` are those that it could call: their schemas tell strings from numbers.
    """
    return [_first(answer, prompt, min_chars, tools) for answer in answers]


def judged(
    answers: Sequence[Response],
    *,
    prompt: str = "",
    min_chars: int = 1,
    tools: Sequence[Mapping[str, Any]] = (),
    is_correct: Callable[[Response], bool | None] = lambda answer: None,
    reward: Callable[[Response], float] | None = None,
    min_reward: float = 0.0,
    reached: Callable[[Response], bool] | None = None,
) -> list[str | None]:
    """All four steps: per answer the first reason against it.

    is_correct  None where there is no objective answer; then `reward` decides, where it is given
    reached     whether the calls of an answer lead to the expected end
    """

    def reason(answer: Response) -> str | None:
        if first := _first(answer, prompt, min_chars, tools):
            return first
        correct = is_correct(answer)
        if correct is False:
            return WRONG
        if correct is None and reward is not None and reward(answer) < min_reward:
            return LOW_REWARD
        if not all(_is_allowed(call, tools) for call in answer.calls):
            return PROTOCOL
        return END_STATE if reached is not None and not reached(answer) else None

    return [reason(answer) for answer in answers]


def chosen(reasons: Sequence[str | None], count: int, *, seed: int, prompt: str) -> list[int]:
    """At most `count` of the answers without a reason against them, in order: those that a draw keyed by the prompt puts first.

    The report keeps 4 per hard prompt. A larger count only adds.
    """
    fit = [index for index, reason in enumerate(reasons) if reason is None]
    return sorted(sorted(fit, key=lambda index: keyed(seed, prompt, "response", index))[:count])


def _first(answer: Response, prompt: str, min_chars: int, tools: Sequence[Mapping[str, Any]]) -> str | None:
    if answer.failure is not None:
        return FAILED
    if answer.finish_reason not in FINISHED:
        return TRUNCATED
    least = 0 if answer.calls else min_chars
    reason = unfit(answer.text, answer.reasoning, prompt=prompt, min_chars=least)
    return reason or (None if _comes_back(answer, tools) else ROUND_TRIP)


def _comes_back(answer: Response, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the answer can be rendered and read back."""
    listed = [Turn("system", tools=tuple(tools))] if tools else []
    turns = arranged([*listed, Turn("assistant", answer.text, answer.reasoning, tuple(answer.calls))])
    try:
        return parse(render(turns).text) == turns
    except RenderError:
        return False


def _is_allowed(call: Call, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the tool is one of those listed, has these parameters, and gets all that it requires."""
    tool = next((tool for tool in tools if tool["name"] == call.name), None)
    if tool is None:
        return False
    parameters = tool.get("parameters") or {}
    known = parameters.get("properties") or {}
    return set(call.arguments) <= set(known) and set(parameters.get("required") or ()) <= set(call.arguments)
