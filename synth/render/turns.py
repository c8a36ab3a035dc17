"""Conversations before they are text: turns, what a turn may hold, and the forms of a conversation that the chat template can show."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

FIELDS = {
    "system": ("text", "tools"),
    "user": ("text",),
    "assistant": ("text", "think", "calls"),
    "observation": ("responses",),
}


class RenderError(ValueError):
    """A text is not a rendered conversation, or a conversation cannot be rendered; says what and where."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a tool: its name (one line) and its arguments by parameter name."""

    name: str
    arguments: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Turn:
    """One turn. Which fields a role may set is in `FIELDS`; a system turn has a text or tools, not both.

    tools are functions as `{"name": ..., "description": ..., "parameters": JSON schema}`. `learn` is of assistant turns: what one says
    without it is only shown, as a wrong call that the next turn makes good.
    """

    role: str
    text: str = ""
    think: str = ""
    calls: tuple[Call, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    responses: tuple[str, ...] = ()
    learn: bool = True


def arranged(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The conversation in the form that the template has for it: the tools first, consecutive observations as one, and no whitespace
    around thoughts and answers."""
    found = [turn for turn in turns if turn.tools]
    for turn in (turn for turn in turns if not turn.tools):
        if turn.role == "observation" and found and found[-1].role == "observation":
            found[-1] = dataclasses.replace(found[-1], responses=(*found[-1].responses, *turn.responses))
        elif turn.role == "assistant":
            found.append(dataclasses.replace(turn, text=turn.text.strip(), think=turn.think.strip()))
        else:
            found.append(turn)
    return tuple(found)


def erased(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The conversation as the template shows it: without the thoughts before the last user turn."""
    last = _last_user(turns)
    return tuple(
        dataclasses.replace(turn, think="") if turn.think and index < last else turn for index, turn in enumerate(turns)
    )


def has_hidden_thoughts(turns: Sequence[Turn]) -> bool:
    """Whether the template would erase thoughts of this conversation."""
    return any(turn.think for turn in turns[: max(0, _last_user(turns))])


def split(turns: Sequence[Turn]) -> list[tuple[Turn, ...]]:
    """A conversation as one or several, in each of which every thought that is learned is shown.

    One where the template erases none. Otherwise one per user turn that is answered: what came before without its thoughts and not
    learned, because it would teach not to think, and what the assistant does until the next user turn. A conversation of n user turns is
    shown n times, up to half of it each on average.
    """
    if not has_hidden_thoughts(turns):
        return [tuple(turns)]
    asked = [index for index, turn in enumerate(turns) if turn.role == "user"]
    found = []
    for begin, end in zip(asked, [*asked[1:], len(turns)], strict=True):
        if any(turn.role == "assistant" and turn.learn for turn in turns[begin:end]):
            found.append(erased((*only_shown(turns[:begin]), *turns[begin:end])))
    return found


def only_shown(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns with nothing to learn."""
    return tuple(dataclasses.replace(turn, learn=False) if turn.role == "assistant" else turn for turn in turns)


def check(turns: Sequence[Turn], *, direct: bool) -> None:
    """RenderError for a conversation that the template would change or merge, with what to do instead."""
    last = _last_user(turns)
    for index, turn in enumerate(turns):
        _check_fields(turn)
        if turn.tools and index:
            raise RenderError(
                f"turn {index} lists tools; they are listed once, in the first turn (`arranged` puts it there)"
            )
        if turn.role == "observation" and not (turn.responses and index and turns[index - 1].role != "observation"):
            raise RenderError(
                f"turn {index}: an observation has at least one response and follows another turn, which is no observation (`arranged`)"
            )
        if (turn.text.strip() != turn.text and turn.role == "assistant") or turn.think.strip() != turn.think:
            raise RenderError(
                f"turn {index}: the template strips whitespace around thoughts and answers (`arranged` does too)"
            )
        if turn.think and (direct or index < last):
            why = (
                "a direct answer has none" if direct else "the template erases them before the last user turn (`split`)"
            )
            raise RenderError(f"turn {index} has thoughts {turn.think[:40]!r}: {why}")


def _last_user(turns: Sequence[Turn]) -> int:
    return max((index for index, turn in enumerate(turns) if turn.role == "user"), default=-1)


def _check_fields(turn: Turn) -> None:
    if turn.role not in FIELDS:
        raise RenderError(f"unknown role {turn.role!r}; roles are {', '.join(FIELDS)}")
    fields = ("text", "think", "calls", "tools", "responses")
    foreign = [field for field in fields if getattr(turn, field) and field not in FIELDS[turn.role]]
    if foreign or (turn.text and turn.tools):
        raise RenderError(
            f"a {turn.role} turn has one of {', '.join(FIELDS[turn.role])}, but this one sets {foreign or 'both'}"
        )
    for tool in turn.tools:
        if not isinstance(tool.get("name"), str):
            raise RenderError(f"a tool is {{name, description, parameters}} with a name, not {str(tool)[:80]}")
