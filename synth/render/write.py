"""From turns to text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth.render import arguments
from synth.render.layout import DEFAULT, PREFIX, TEMPLATES, Layout
from synth.render.markup import escape
from synth.render.turns import Call, RenderError, Turn, check

Span = tuple[int, int]  # start, length in characters


class Rendered(NamedTuple):
    text: str
    loss_spans: tuple[Span, ...]


def render(turns: Sequence[Turn], *, direct: bool = False, template: str = DEFAULT) -> Rendered:
    """The text of a conversation and the spans that are learned. RenderError on what `parse` could not read back.

    direct    the user asks for answers without thinking: no turn has thoughts, and the empty ones are not learned
    template  a name of `TEMPLATES`
    """
    layout = TEMPLATES[template]
    check(turns, direct=direct)
    text = [PREFIX]
    spans: list[Span] = []
    learning: int | None = None
    tools: dict[str, Mapping[str, Any]] = {}
    length = len(PREFIX)
    for turn in turns:
        tools |= {tool["name"]: tool for tool in turn.tools}
        role = f"<|{turn.role}|>"
        length += len(role)
        if learning is not None:
            spans.append((learning, length - learning))
        learning = length + _given(turn, layout, direct) if turn.role == "assistant" and turn.learn else None
        body = _body(turn, tools, layout, direct)
        text += (role, body)
        length += len(body)
    if learning is not None:
        spans.append((learning, length - learning))
    return Rendered("".join(text), tuple(spans))


def _given(turn: Turn, layout: Layout, direct: bool) -> int:
    """Characters of an answer that whoever asks for it writes."""
    if layout.opens_thoughts:
        return len(layout.line + ("<think>" if turn.think else layout.no_thoughts))
    return len(layout.line + layout.no_thoughts) if direct else 0


def _body(turn: Turn, tools: arguments.Tools, layout: Layout, direct: bool) -> str:
    """The rendered turn without its role token; `tools` are those listed so far, by name."""
    line = layout.line
    if turn.role == "observation":
        shown = (f"{line}<tool_response>{line}{escape(said)}{line}</tool_response>" for said in turn.responses)
        return "".join(shown)
    if turn.tools:
        listed = "\n".join(
            json.dumps({"type": "function", "function": tool}, ensure_ascii=False) for tool in turn.tools
        )
        return layout.tools_head + escape(listed) + layout.tools_tail
    if turn.role == "assistant":
        thoughts = f"<think>{escape(turn.think)}</think>" if turn.think else layout.no_thoughts
        said = line + escape(turn.text) if turn.text else ""
        return line + thoughts + said + "".join(_call(call, tools, line) for call in turn.calls)
    return line + escape(turn.text) + (layout.no_thinking if direct and turn.role == "user" else "")


def _call(call: Call, tools: arguments.Tools, line: str) -> str:
    if not call.name or call.name.split() != [call.name]:
        raise RenderError(f"the name of a tool is one word, not {call.name!r}")
    pairs = "".join(
        f"<arg_key>{escape(key)}</arg_key>{line}<arg_value>{escape(arguments.written(tools, call.name, key, value))}</arg_value>{line}"
        for key, value in call.arguments.items()
    )
    return f"{line}<tool_call>{escape(call.name)}{line}{pairs}</tool_call>"
