"""Rendered conversations read by a second reader: a list of special tokens and the words between them, and a grammar over it.

The layout is that of the published chat templates of GLM-4.5 and GLM-4.7, as `synth.render` describes it: a prefix, then per turn a role
token and a body; what somebody says holds no special token, for each that stood there has a backslash behind its first character. Any
token out of its place is a `Malformed`, so markup that a page or a model forged cannot pass.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
SPECIAL = (
    *("[gMASK]", "<sop>", "/nothink", "<|endoftext|>", "<think>", "</think>", *ROLES),
    *(f"<{slash}{name}>" for name in ("tool_call", "arg_key", "arg_value", "tool_response") for slash in ("", "/")),
    *("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
)
_TOKEN = re.compile("|".join(map(re.escape, SPECIAL)))
_ESCAPED = re.compile("|".join(rf"{re.escape(token[0])}\\+(?={re.escape(token[1:])})" for token in SPECIAL))
_LISTED = re.compile(r"\A\n# Tools\n.*?<tools>\n(.*)\n</tools>\n\nFor each function call,.*</tool_call>\Z", re.S)


class Malformed(ValueError):
    """A text is no rendered conversation; says where."""


class Call(NamedTuple):
    """A call as it is written: the arguments as texts, by name."""

    name: str
    written: Mapping[str, str]


class Turn(NamedTuple):
    """One turn; `begin` and `end` are characters of the text, behind the role token and behind the turn."""

    role: str  # without its signs
    begin: int
    end: int
    text: str = ""
    think: str = ""
    calls: tuple[Call, ...] = ()
    responses: tuple[str, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()


class Layout(NamedTuple):
    """What a version of the template writes around words."""

    gap: str  # behind roles and between tags
    silent: str  # in place of thoughts
    asked: bool  # whether who asks writes the opening of the thoughts


LAYOUTS = {"glm-4.5": Layout("\n", "<think></think>", False), "glm-4.7": Layout("", "</think>", True)}


def read(text: str, template: str) -> list[Turn]:
    """The turns of a rendered text. Malformed for any other."""
    layout = LAYOUTS[template]
    bodies = list(_bodies(text))
    if not bodies or not text.startswith("[gMASK]<sop>") or bodies[0][1] != len("[gMASK]<sop>" + bodies[0][0]):
        raise Malformed(f"it begins with {text[:30]!r}")
    direct = any(role == "<|user|>" and text[begin:end].endswith("/nothink") for role, begin, end in bodies)
    turns = []
    for role, begin, end in bodies:
        try:
            turns.append(_turn(role, begin, end, text[begin:end], layout, direct))
        except Malformed as error:
            raise Malformed(f"{role} at {begin}: {error}") from None
    return turns


def learnable(turns: Sequence[Turn], template: str, *, direct: bool) -> dict[int, tuple[int, int]]:
    """What may be learned of each assistant's turn, by its number: (start, length) from its first own character to the token after it."""
    layout = LAYOUTS[template]
    found = {}
    for number, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        given = 0
        if layout.asked:
            given = len(layout.gap) + len("<think>" if turn.think else layout.silent)
        elif direct:
            given = len(layout.gap) + len(layout.silent)
        stop = turns[number + 1].begin if number + 1 < len(turns) else turn.end
        found[number] = (turn.begin + given, stop - turn.begin - given)
    return found


def value(turns: Sequence[Turn], call: Call, key: str) -> Any:
    """The argument of a call by the JSON schema in the list of tools: a text where the schema has a string, else JSON."""
    written = call.written[key]
    tools = {tool["name"]: tool for turn in turns for tool in turn.tools}
    schema = tools.get(call.name, {}).get("parameters", {}).get("properties", {}).get(key, {})
    if _may_be_else(schema):
        try:
            return json.loads(written)
        except ValueError:
            return written
    return written


def arguments(turns: Sequence[Turn], call: Call) -> dict[str, Any]:
    """All arguments of a call."""
    return {key: value(turns, call, key) for key in call.written}


def unescaped(words: str) -> str:
    """Words as they were before markup in them was made harmless."""
    return _ESCAPED.sub(lambda found: found[0][:-1], words)


def _may_be_else(schema: Any) -> bool:
    """Whether a schema allows anything but a string."""
    if not isinstance(schema, Mapping) or not schema:
        return False
    types = schema.get("type")
    if types is not None:
        return types != "string" and types != ["string"]
    branches = [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
    if branches:
        return any(map(_may_be_else, branches))
    values = [*(schema.get("enum") or ()), *([schema["const"]] if "const" in schema else [])]
    return "$ref" in schema or "allOf" in schema or any(not isinstance(one, str) for one in values)


def _bodies(text: str) -> Iterator[tuple[str, int, int]]:
    """(role token, begin, end) of every turn."""
    marks = [found for found in _TOKEN.finditer(text) if found[0] in ROLES]
    for number, mark in enumerate(marks):
        yield mark[0], mark.end(), marks[number + 1].start() if number + 1 < len(marks) else len(text)


def _turn(role: str, begin: int, end: int, body: str, layout: Layout, direct: bool) -> Turn:
    name = role[2:-2]
    listed = _LISTED.match(body) if name == "system" else None
    if listed:
        if found := _TOKEN.search(listed[1]):
            raise Malformed(f"{found[0]} in the list of tools")
        try:
            tools = tuple(json.loads(line)["function"] for line in unescaped(listed[1]).split("\n"))
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"the list of tools: {error!r}") from None
        return Turn(name, begin, end, tools=tools)
    parts = _Parts(body, layout.gap)
    if name == "observation":
        responses = []
        while not parts.done:
            parts.gap()
            parts.token("<tool_response>")
            said = parts.said()
            parts.token("</tool_response>")
            if not said.startswith(layout.gap) or not said.endswith(layout.gap) or len(said) < 2 * len(layout.gap):
                raise Malformed("a response stands on lines of its own")
            responses.append(unescaped(said[len(layout.gap) : len(said) - len(layout.gap)]))
        if not responses:
            raise Malformed("an observation without a response")
        return Turn(name, begin, end, responses=tuple(responses))
    if name == "assistant":
        return _answer(begin, end, parts, layout)
    said = parts.said()
    if name == "user" and direct and layout.gap:
        parts.token("/nothink")
    if not parts.done or not said.startswith(layout.gap):
        raise Malformed("markup in somebody's words")
    return Turn(name, begin, end, unescaped(said[len(layout.gap) :]))


def _answer(begin: int, end: int, parts: "_Parts", layout: Layout) -> Turn:
    parts.gap()
    think = ""
    if parts.sees("<think>"):
        parts.token("<think>")
        think = unescaped(parts.said())
    elif layout.silent.startswith("<think>"):
        raise Malformed("an answer without thoughts, had or not")
    parts.token("</think>")
    said = parts.said()
    calls = []
    while not parts.done:
        parts.token("<tool_call>")
        name = unescaped(parts.said().removesuffix(layout.gap))
        written: dict[str, str] = {}
        while parts.sees("<arg_key>"):
            key = parts.enclosed("arg_key")
            parts.gap()
            if key in written:
                raise Malformed(f"the argument {key!r} twice")
            written[key] = parts.enclosed("arg_value")
            parts.gap()
        parts.token("</tool_call>")
        calls.append(Call(name, written))
        if not parts.done:
            parts.gap()
    if calls:
        said = said.removesuffix(layout.gap)
    return Turn("assistant", begin, end, unescaped(said.removeprefix(layout.gap)), think, tuple(calls))


class _Parts:
    """Special tokens and the words between them, in turn."""

    def __init__(self, body: str, gap: str) -> None:
        self._parts: list[str] = []
        at = 0
        for found in _TOKEN.finditer(body):
            self._parts += [body[at : found.start()], found[0]]
            at = found.end()
        self._parts = [part for part in [*self._parts, body[at:]] if part]
        self._gap = gap

    @property
    def done(self) -> bool:
        return not self._parts

    def sees(self, token: str) -> bool:
        return bool(self._parts) and self._parts[0] == token

    def token(self, wanted: str) -> None:
        if not self.sees(wanted):
            raise Malformed(f"{wanted} is missing before {(self._parts or ['the end'])[0][:40]!r}")
        self._parts.pop(0)

    def said(self) -> str:
        """The words up to the next token, "" where there are none."""
        return self._parts.pop(0) if self._parts and self._parts[0] not in SPECIAL else ""

    def gap(self) -> None:
        if self._gap and self.said() != self._gap:
            raise Malformed("a line break is missing between tags")

    def enclosed(self, name: str) -> str:
        self.token(f"<{name}>")
        said = self.said()
        self.token(f"</{name}>")
        return unescaped(said)
