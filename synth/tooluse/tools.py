"""Tools: typed Python functions on a state. Their JSON schema comes from the signature, their description from the docstring.

    def get_order(state: State, order_id: str) -> dict[str, Any]:
        '''Show an order with its items.

        order_id: With its leading W.
        '''

`str`, `int`, `bool`, `Literal[...]`, `list[...]` of them, and `X | None = None` for what may be left out. A tool that cannot do what it is
asked raises `ToolError`: whoever called reads its text, and nothing has changed.
"""

import functools
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import fastjsonschema

from synth.render import Call
from synth.tooluse.state import State

_JSON_TYPES = {str: "string", int: "integer", bool: "boolean", float: "number"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_DESCRIBED = re.compile(r"^(\w+): (.+)$", re.M)


class ToolError(Exception):
    """The answer of a tool that does not do what it was asked."""


class Tool(NamedTuple):
    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON schema of the arguments
    function: Callable[..., Any]
    writes: bool  # changes the state

    @property
    def listed(self) -> dict[str, Any]:
        """As a model sees it."""
        return {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}

    @property
    def required(self) -> list[str]:
        return list(self.parameters["required"])


class Result(NamedTuple):
    ok: bool
    value: Any  # JSON; of a failed call {"error": text}

    @property
    def text(self) -> str:
        return json.dumps(self.value, ensure_ascii=False)


def tools(reads: Sequence[Callable[..., Any]], writes: Sequence[Callable[..., Any]]) -> tuple[Tool, ...]:
    """Functions as tools, in this order."""
    return tuple(_tool(function, function in writes) for function in (*reads, *writes))


def _tool(function: Callable[..., Any], writes: bool) -> Tool:
    documented = inspect.getdoc(function) or ""
    described = dict(_DESCRIBED.findall(documented))
    hints = typing.get_type_hints(function)
    taken = list(inspect.signature(function).parameters.values())[1:]  # the first is the state
    properties = {}
    for parameter in taken:
        properties[parameter.name] = _schema(hints[parameter.name])
        if parameter.name in described:
            properties[parameter.name]["description"] = described[parameter.name]
    schema = {
        "type": "object",
        "properties": properties,
        "required": [parameter.name for parameter in taken if parameter.default is inspect.Parameter.empty],
        "additionalProperties": False,
    }
    return Tool(function.__name__, documented.partition("\n\n")[0].replace("\n", " "), schema, function, writes)


def _schema(hint: Any) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"type": _JSON_TYPES[type(args[0])], "enum": list(args)}
    if origin is list:
        return {"type": "array", "items": _schema(args[0]), "minItems": 1}
    if origin in (types.UnionType, typing.Union):
        return _schema(next(arg for arg in args if arg is not type(None)))
    return {"type": _JSON_TYPES[hint]}


def problem(parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with `arguments` by the JSON schema `parameters`; None when nothing is."""
    try:
        _validator(json.dumps(parameters, sort_keys=True))(dict(arguments))
    except fastjsonschema.JsonSchemaValueException as error:
        return error.message.replace("data.", "").replace("data ", "arguments ")
    return None if all(map(_is_storable, leaves(dict(arguments)))) else "a value that no database can hold"


def leaves(value: Any) -> list[Any]:
    """The texts and numbers in a JSON value, in order."""
    if isinstance(value, dict):
        return [leaf for entry in value.values() for leaf in leaves(entry)]
    if isinstance(value, list | tuple):
        return [leaf for entry in value for leaf in leaves(entry)]
    return [] if value is None or isinstance(value, bool) else [value]


def _is_storable(leaf: Any) -> bool:
    """SQLite takes integers of 64 bits, and texts that are Unicode."""
    if isinstance(leaf, int):
        return -(2**63) <= leaf < 2**63
    return not isinstance(leaf, str) or not _SURROGATE.search(leaf)


@functools.lru_cache(maxsize=4096)
def _validator(schema: str) -> Callable[[Any], Any]:
    return fastjsonschema.compile(json.loads(schema), use_default=False)


def execute(state: State, by_name: Mapping[str, Tool], call: Call) -> Result:
    """Run one call. Nothing changes when it fails: unknown tools and wrong arguments are answers too."""
    tool = by_name.get(call.name)
    if tool is None:
        return Result(False, {"error": f"unknown tool {call.name}"})
    wrong = problem(tool.parameters, call.arguments)
    if wrong is not None:
        return Result(False, {"error": f"invalid arguments: {wrong}"})
    try:
        with state.atomic():
            return Result(True, tool.function(state, **call.arguments))
    except ToolError as error:
        return Result(False, {"error": str(error)})
