"""Conversations as text in the GLM-4.5 chat template, and back: `parse(render(turns))` gives the turns for any strings.

The layout is that of the published chat template (roles and tags as special tokens, one `<arg_key>`/`<arg_value>` pair per argument,
strings raw and other values as JSON, tool schemas as JSON lines in a system turn), with three differences: no `[gMASK]<sop>` prefix; the
explanation of the call format names no tags, which would be special tokens; and markup inside a payload is escaped (`<|user|>` becomes
`<\\|user|>`), which the original leaves to luck. The type of an argument is read back from the schema, because "5" and 5 look the same.

What is learned: everything an assistant says and the role token that ends its turn, which the model must produce to hand over; less
where `render` is told that turns are only context, or that whoever asks writes the empty thoughts. After the last turn the end-of-text
token follows; the tokeniser counts it as learned because the last span reaches the end of the text.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datapipe.tokenize import SPECIAL_TOKENS

Span = tuple[int, int]  # start, length in characters
FIELDS = {
    "system": ("text", "tools"),
    "user": ("text",),
    "assistant": ("text", "think", "calls"),
    "observation": ("responses",),
}

_TOOLS_HEAD = (
    "\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
)
_TOOLS_TAIL = (
    "\n</tools>\n\nFor each function call, output the function name and then its arguments, each as a key and a value."
)
_NO_THOUGHTS = "\n<think></think>"
_MARKUP = re.compile(r"<(\\*)(" + "|".join(re.escape(token[1:]) for token in SPECIAL_TOKENS) + ")")
_ESCAPED = re.compile(r"<(\\*)\\(" + "|".join(re.escape(token[1:]) for token in SPECIAL_TOKENS) + ")")
_ROLE = re.compile(r"<\|(system|user|assistant|observation)\|>")
_CALL = re.compile(r"\n<tool_call>([^\n]*)\n(.*?)</tool_call>", re.S)
_ARGUMENT = re.compile(r"<arg_key>(.*?)</arg_key>\n<arg_value>(.*?)</arg_value>\n", re.S)
_RESPONSE = re.compile(r"\n<tool_response>\n(.*?)\n</tool_response>", re.S)
_ASSISTANT = re.compile(r"\n<think>(.*?)</think>(?:\n(?!<tool_call>)(.*?))?((?:\n<tool_call>.*)?)\Z", re.S)


class RenderError(ValueError):
    """A text is not a rendered conversation, or a conversation cannot be rendered; says what and where."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a tool: its name (one line) and its arguments by parameter name."""

    name: str
    arguments: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Turn:
    """One turn. Which fields a role may set is in `FIELDS`; a system turn has a text or tools, not both."""

    role: str
    text: str = ""
    think: str = ""
    calls: tuple[Call, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    responses: tuple[str, ...] = ()


class Rendered(NamedTuple):
    text: str
    loss_spans: tuple[Span, ...]


def escape(payload: str) -> str:
    """`payload` without any special token: each has a backslash after its `<`, in addition to those that stood there."""
    return _MARKUP.sub(r"<\1\\\2", payload)


def unescape(payload: str) -> str:
    """Undo `escape`."""
    return _ESCAPED.sub(r"<\1\2", payload)


def render(turns: Sequence[Turn], *, context: int = 0, direct: bool = False) -> Rendered:
    """The text of a conversation and the spans that are learned. RenderError on what `parse` could not read back.

    context  so many turns at the beginning are only shown
    direct   empty thoughts are not learned: who asks for an answer without thinking writes them before it
    """
    text = ""
    spans: list[Span] = []
    learning: int | None = None
    tools: dict[str, Mapping[str, Any]] = {}
    for index, turn in enumerate(turns):
        _check(turn)
        tools |= {tool["name"]: tool for tool in turn.tools}
        text += f"<|{turn.role}|>"
        if learning is not None:
            spans.append((learning, len(text) - learning))
        learning = len(text) if turn.role == "assistant" and index >= context else None
        if learning is not None and direct and not turn.think:
            learning += len(_NO_THOUGHTS)
        text += _body(turn, tools)
    if learning is not None:
        spans.append((learning, len(text) - learning))
    return Rendered(text, tuple(spans))


def parse(text: str) -> tuple[Turn, ...]:
    """The turns of a rendered text. RenderError when it is not one."""
    roles = list(_ROLE.finditer(text))
    if not roles or roles[0].start() != 0:
        raise RenderError(f"a rendered conversation begins with a role token, not {text[:30]!r}")
    ends = [*(role.start() for role in roles[1:]), len(text)]
    turns: list[Turn] = []
    tools: dict[str, Mapping[str, Any]] = {}
    for role, end in zip(roles, ends, strict=True):
        turn = _turn(role[1], text[role.end() : end], tools, role.start())
        tools |= {tool["name"]: tool for tool in turn.tools}
        turns.append(turn)
    return tuple(turns)


def _check(turn: Turn) -> None:
    if turn.role not in FIELDS:
        raise RenderError(f"unknown role {turn.role!r}; roles are {', '.join(FIELDS)}")
    foreign = [
        field.name
        for field in dataclasses.fields(turn)[1:]
        if getattr(turn, field.name) and field.name not in FIELDS[turn.role]
    ]
    if foreign or (turn.text and turn.tools):
        raise RenderError(
            f"a {turn.role} turn has one of {', '.join(FIELDS[turn.role])}, but this one sets {foreign or 'both'}"
        )
    if turn.role == "system" and _lists_tools(f"\n{turn.text}"):
        raise RenderError("the text of a system turn imitates a list of tools; give the tools as `tools`")


def _lists_tools(body: str) -> bool:
    return body.startswith(_TOOLS_HEAD) and body.endswith(_TOOLS_TAIL)


def _body(turn: Turn, tools: Mapping[str, Mapping[str, Any]]) -> str:
    """The rendered turn without its role token; `tools` are those listed so far, by name."""
    if turn.role == "observation":
        return "".join(f"\n<tool_response>\n{escape(response)}\n</tool_response>" for response in turn.responses)
    if turn.tools:
        listed = "\n".join(json.dumps(tool, ensure_ascii=False, sort_keys=True) for tool in turn.tools)
        return _TOOLS_HEAD + escape(listed) + _TOOLS_TAIL
    if turn.role == "assistant":
        said = f"\n{escape(turn.text)}" if turn.text else ""
        calls = "".join(_call(call, tools) for call in turn.calls)
        return f"\n<think>{escape(turn.think)}</think>{said}{calls}"
    return f"\n{escape(turn.text)}"


def _call(call: Call, tools: Mapping[str, Mapping[str, Any]]) -> str:
    if "\n" in call.name:
        raise RenderError(f"the name of a tool is one line, not {call.name!r}")
    pairs = []
    for key, value in call.arguments.items():
        if isinstance(value, str) != _is_text(tools, call.name, key):
            raise RenderError(
                f"argument {key!r} of {call.name!r} is {value!r}, which is not of the type in the tool's schema"
            )
        pairs.append(f"<arg_key>{escape(key)}</arg_key>\n<arg_value>{escape(_shown(value))}</arg_value>\n")
    return f"\n<tool_call>{escape(call.name)}\n{''.join(pairs)}</tool_call>"


def _is_text(tools: Mapping[str, Mapping[str, Any]], name: str, key: str) -> bool:
    """Whether the schema says that this argument is a string; so is one that no schema names."""
    properties = tools.get(name, {}).get("parameters", {}).get("properties", {})
    return properties.get(key, {}).get("type", "string") == "string"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _turn(role: str, body: str, tools: Mapping[str, Mapping[str, Any]], position: int) -> Turn:
    """The turn of `role` whose rendered body is `body`; `position` is for the message of an error."""
    if role == "system" and _lists_tools(body):
        lines = unescape(body[len(_TOOLS_HEAD) : -len(_TOOLS_TAIL)]).split("\n")
        return Turn(role, tools=tuple(json.loads(line) for line in lines))
    if role == "observation":
        responses = tuple(unescape(match[1]) for match in _RESPONSE.finditer(body))
        return Turn(role, responses=responses)
    if role == "assistant":
        said = _ASSISTANT.match(body)
        if said is None:
            raise RenderError(
                f"the assistant turn at character {position} does not begin with its thoughts: {body[:40]!r}"
            )
        calls = tuple(_parsed_call(match, tools) for match in _CALL.finditer(said[3]))
        return Turn(role, unescape(said[2] or ""), unescape(said[1]), calls)
    if not body.startswith("\n"):
        raise RenderError(f"the {role} turn at character {position} does not begin on a new line: {body[:40]!r}")
    return Turn(role, unescape(body[1:]))


def _parsed_call(match: re.Match[str], tools: Mapping[str, Mapping[str, Any]]) -> Call:
    name = unescape(match[1])
    arguments = {}
    for key, value in ((unescape(key), unescape(value)) for key, value in _ARGUMENT.findall(match[2])):
        arguments[key] = value if _is_text(tools, name, key) else json.loads(value)
    return Call(name, arguments)
