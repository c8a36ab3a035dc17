"""From text to turns. Every character is accounted for: a text that `render` could not have written is a RenderError."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from synth.render import arguments
from synth.render.layout import DEFAULT, PREFIX, TEMPLATES, Layout
from synth.render.markup import unescape
from synth.render.turns import Call, RenderError, Turn
from synth.render.write import Span

_ROLE = re.compile(r"<\|(system|user|assistant|observation)\|>")


def is_direct(text: str) -> bool:
    """Whether a rendered conversation asks for answers without thinking (GLM-4.7 does not say so in the text)."""
    return TEMPLATES["glm-4.5"].no_thinking in text


def parse(text: str, *, template: str = DEFAULT, loss_spans: Sequence[Span] | None = None) -> tuple[Turn, ...]:
    """The turns of a rendered text, in which `loss_spans` say what is learned (None: all that an assistant says).

    RenderError when it is not one.
    """
    layout = TEMPLATES[template]
    roles = list(_ROLE.finditer(text))
    if not text.startswith(PREFIX) or not roles or roles[0].start() != len(PREFIX):
        raise RenderError(f"a rendered conversation begins with {PREFIX} and a role token, not {text[:30]!r}")
    ends = [*(role.start() for role in roles[1:]), len(text)]
    turns: list[Turn] = []
    tools: dict[str, Mapping[str, Any]] = {}
    for role, end in zip(roles, ends, strict=True):
        try:
            turn = _turn(role[1], text[role.end() : end], tools, layout, is_direct(text))
        except RenderError as error:
            raise RenderError(f"the {role[1]} turn at character {role.start()}: {error}") from None
        if loss_spans is not None and turn.role == "assistant":
            learned = any(role.end() < start + length and start < end for start, length in loss_spans)
            turn = dataclasses.replace(turn, learn=learned)
        tools |= {tool["name"]: tool for tool in turn.tools}
        turns.append(turn)
    return tuple(turns)


class _Reader:
    """What is left of a text, read from its beginning."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def skip(self, wanted: str) -> None:
        if not self.text.startswith(wanted, self.at):
            raise RenderError(f"{wanted!r} is missing before {self.text[self.at : self.at + 40]!r}")
        self.at += len(wanted)

    def until(self, end: str) -> str:
        """What stands before `end`, which is skipped."""
        found = self.text.find(end, self.at)
        if found < 0:
            raise RenderError(f"{end!r} is missing behind {self.text[self.at : self.at + 40]!r}")
        start, self.at = self.at, found + len(end)
        return self.text[start:found]

    def sees(self, wanted: str) -> bool:
        return self.text.startswith(wanted, self.at)

    @property
    def is_done(self) -> bool:
        return self.at == len(self.text)


def _turn(role: str, body: str, tools: arguments.Tools, layout: Layout, direct: bool) -> Turn:
    """The turn of `role` whose rendered body is `body`."""
    if role == "system" and body.endswith(layout.tools_tail) and body.startswith(layout.tools_head):
        return Turn(role, tools=_tools(unescape(body[len(layout.tools_head) : -len(layout.tools_tail)])))
    reader = _Reader(body)
    if role == "observation":
        return Turn(role, responses=tuple(_responses(reader, layout)))
    if role == "assistant":
        return _answer(reader, tools, layout)
    reader.skip(layout.line)
    ending = layout.no_thinking if role == "user" and direct else ""
    if not body.endswith(ending):
        raise RenderError(f"it does not end in {ending} as others do")
    return Turn(role, unescape(body[reader.at : len(body) - len(ending)]))


def _tools(listed: str) -> tuple[Mapping[str, Any], ...]:
    try:
        tools = tuple(json.loads(line)["function"] for line in listed.split("\n"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RenderError(f"the tools are no JSON lines of functions: {error!r}") from None
    if not all(isinstance(tool, dict) and isinstance(tool.get("name"), str) for tool in tools):
        raise RenderError("a tool among them has no name")
    return tools


def _responses(reader: _Reader, layout: Layout) -> list[str]:
    responses = []
    while not reader.is_done:
        reader.skip(f"{layout.line}<tool_response>{layout.line}")
        responses.append(unescape(reader.until(f"{layout.line}</tool_response>")))
    return responses


def _answer(reader: _Reader, tools: arguments.Tools, layout: Layout) -> Turn:
    line, think = layout.line, ""
    reader.skip(line)
    if reader.sees(layout.no_thoughts):
        reader.skip(layout.no_thoughts)
    else:
        reader.skip("<think>")
        think = unescape(reader.until("</think>"))
    opening = f"{line}<tool_call>"
    end = reader.text.find(opening, reader.at)
    said = reader.text[reader.at : end if end >= 0 else len(reader.text)]
    reader.at += len(said)
    if said and (not said.startswith(line) or said == line):
        raise RenderError(f"an answer begins with {line!r}, not {said[:40]!r}")
    calls = []
    while not reader.is_done:
        reader.skip(opening)
        calls.append(_call(reader, tools, line))
    return Turn("assistant", unescape(said.removeprefix(line)), think, tuple(calls))


def _call(reader: _Reader, tools: arguments.Tools, line: str) -> Call:
    """A call behind its opening tag."""
    start = reader.at
    while not (reader.is_done or reader.sees("<arg_key>") or reader.sees("</tool_call>") or reader.sees("\n")):
        reader.at += 1
    name = unescape(reader.text[start : reader.at])
    reader.skip(line)
    given: dict[str, Any] = {}
    while not reader.sees("</tool_call>"):
        reader.skip("<arg_key>")
        key = unescape(reader.until(f"</arg_key>{line}"))
        reader.skip("<arg_value>")
        given[key] = arguments.read(tools, name, key, unescape(reader.until(f"</arg_value>{line}")))
    reader.skip("</tool_call>")
    return Call(name, given)
