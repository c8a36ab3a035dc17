"""Tools that are only described: OpenAPI operations, the tools of an MCP server, function descriptions, as `synth.render` lists them.

Three forms of a document, told by their keys:

    openapi        OpenAPI 3.x, JSON or YAML: one tool per operation; parameters of path, query and header, and the fields of a JSON body
    mcp            the result of `tools/list` of the Model Context Protocol: {tools: [{name, description, inputSchema}]}
    functions      a JSON list or JSON lines of {name, description, parameters}, or of {type: function, function: {...}}, also under
                   `tools`, `functions` or `function` of a record; the types of BFCL (`dict`, `float`, `tuple`, `any`) are read as
                   JSON schema's

A description that is not usable is a reason with its place, never an error: what cannot be read is data. `$ref` is resolved inside the
document, to a depth of `MAX_DEPTH` and `MAX_NODES` values in all; one that leads outside of it or around in a circle is a reason. YAML is
loaded without aliases, which can make a page of text a gigabyte of objects. Patterns are left out: a foreign one may run for ever.
"""

import functools
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import fastjsonschema
import yaml

MAX_DEPTH = 12
MAX_NODES = 5_000  # of a tool, with all references resolved
MAX_TOOLS = 500  # of a document
MAX_CHARS = 2_000_000
MAX_YAML_CHARS = 300_000  # which takes 6 seconds
MAX_PARAMETERS = 24
MAX_SCHEMA_CHARS = 20_000
METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
TYPES = ("string", "integer", "number", "boolean", "array", "object")
_BFCL_TYPES = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "list": "array",
    "str": "string",
    "int": "integer",
    "bool": "boolean",
}
_LISTS = ("tools", "functions", "function")
_NAME = re.compile(r"[\w.:-]{1,64}")


class Described(NamedTuple):
    """A tool, or why there is none. `where` is its place in the document."""

    where: str
    tool: Mapping[str, Any] | None  # {name, description, parameters}
    reason: str | None  # without the prefix `synth.`


class _Unusable(ValueError):
    """A description that no tool can be made of; its text is the reason."""


class _NoAliases(yaml.SafeLoader):
    """YAML whose size in memory is that of its text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read", self.peek_event().start_mark)
        return super().compose_node(parent, index)


def tools_of(text: str) -> list[Described]:
    """The tools that a document describes, in its order, at most `MAX_TOOLS`; one entry with a reason where it describes none."""
    if len(text) > MAX_CHARS:
        return [Described("", None, "too_large")]
    try:
        found = _parsed(text)
    except _Unusable as error:
        return [Described("", None, str(error))]
    if isinstance(found, dict) and isinstance(found.get("openapi"), str) and isinstance(found.get("paths"), dict):
        return _unique(
            _made(where, functools.partial(_operation, found, *operation))
            for where, operation in itertools.islice(_operations(found), MAX_TOOLS)
        )
    if isinstance(found, dict) and isinstance(found.get("result"), dict):
        found = found["result"]  # the whole answer of an MCP server
    if isinstance(found, dict):
        found = next((found[key] for key in _LISTS if isinstance(found.get(key), list)), found)
    if isinstance(found, dict) and "name" in found:
        found = [found]
    if isinstance(found, list) and found:
        return _unique(
            _made(f"[{index}]", functools.partial(_function, entry)) for index, entry in enumerate(found[:MAX_TOOLS])
        )
    return [Described("", None, "no_tools")]


def _parsed(text: str) -> Any:
    """JSON, JSON lines, or YAML; None for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        pass
    if len(text) > MAX_YAML_CHARS:
        raise _Unusable("too_large")
    try:
        return yaml.load(text, Loader=_NoAliases)  # a subclass of SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, KeyError, AttributeError):  # of `!!bool x`, `!!timestamp x`
        return None


def _made(where: str, make: Callable[[], Mapping[str, Any]]) -> Described:
    try:
        tool = make()
    except _Unusable as error:
        return Described(where, None, str(error))
    if len(json.dumps(tool)) > MAX_SCHEMA_CHARS or len(tool["parameters"]["properties"]) > MAX_PARAMETERS:
        return Described(where, None, "too_large")
    try:
        fastjsonschema.compile(dict(tool["parameters"]), use_default=False)
    except (fastjsonschema.JsonSchemaDefinitionException, re.error, RecursionError):
        return Described(where, None, "bad_schema")
    return Described(where, tool, None)


def _unique(found: Iterable[Described]) -> list[Described]:
    """A name that was used before is a reason: a call would not say which is meant."""
    used: set[str] = set()
    checked = []
    for entry in found:
        name = entry.tool["name"] if entry.tool else None
        checked.append(Described(entry.where, None, "repeated_name") if name in used else entry)
        used |= {name} if name else set()
    return checked


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str, Any, Any]]]:
    for path, item in document["paths"].items():
        if isinstance(item, dict):
            for method in METHODS:
                if method in item:
                    yield f"{method} {path}", (method, str(path), item[method], item.get("parameters", []))


def _operation(document: Any, method: str, path: str, operation: Any, shared: Any) -> Mapping[str, Any]:
    if not isinstance(operation, dict):
        raise _Unusable("not_an_operation")
    name = operation.get("operationId") or f"{method}_{'_'.join(re.findall(r'[A-Za-z0-9]+', path))}"
    properties: dict[str, Any] = {}
    required: list[str] = []
    listed = [*_list(shared), *_list(operation.get("parameters"))]
    for given in (_resolved(document, entry) for entry in listed):
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            raise _Unusable("bad_parameter")
        if given.get("in") == "cookie":
            continue
        schema = dict(_schema(given.get("schema") or {"type": "string"}))
        if "description" in given:
            schema["description"] = str(given["description"])
        if "example" in given:
            schema["examples"] = [given["example"]]
        properties[given["name"]] = schema
        if given.get("required") and given["name"] not in required:
            required.append(given["name"])
    body = _resolved(document, operation.get("requestBody") or {})
    content = body.get("content") if isinstance(body, dict) else None
    if content:
        media = content.get("application/json") if isinstance(content, dict) else None
        schema = _schema(media.get("schema")) if isinstance(media, dict) else {}
        if schema.get("type") != "object":
            raise _Unusable("body_is_no_json_object")
        properties = {**schema.get("properties", {}), **properties}
        required += [name for name in schema.get("required", ()) if name not in required and body.get("required", True)]
    description = str(operation.get("summary") or operation.get("description") or "")
    return _tool(name, description, {"type": "object", "properties": properties, "required": required})


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _function(entry: Any) -> Mapping[str, Any]:
    if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
        entry = entry["function"]
    if not isinstance(entry, dict):
        raise _Unusable("not_a_function")
    given = next(
        (entry[key] for key in ("inputSchema", "input_schema", "parameters") if key in entry), {"type": "object"}
    )
    schema = _schema(_resolved(given, given))
    if schema.get("type") != "object":
        raise _Unusable("parameters_are_no_object")
    schema.setdefault("properties", {})
    return _tool(entry.get("name"), str(entry.get("description") or ""), schema)


def _tool(name: Any, description: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _Unusable("bad_name")
    if not description.strip():
        raise _Unusable("no_description")
    known = [field for field in schema.get("required", ()) if field in schema["properties"]]
    parameters = {"type": "object", "properties": schema["properties"], "required": known}
    return {"name": name, "description": " ".join(description.split()), "parameters": parameters}


def _resolved(document: Any, value: Any) -> Any:
    """`value` with every `$ref` replaced by what it names."""
    return _resolve(document, value, 0, itertools.count())


def _resolve(document: Any, value: Any, depth: int, nodes: "itertools.count[int]") -> Any:
    if depth > MAX_DEPTH or next(nodes) > MAX_NODES:
        raise _Unusable("too_deep")
    if isinstance(value, list):
        return [_resolve(document, entry, depth + 1, nodes) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$ref" not in value:
        return {str(key): _resolve(document, entry, depth + 1, nodes) for key, entry in value.items()}
    target = document
    if not str(value["$ref"]).startswith("#/"):
        raise _Unusable("foreign_reference")
    for part in str(value["$ref"])[2:].split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or part not in target:
            raise _Unusable("broken_reference")
        target = target[part]
    return _resolve(document, target, depth + 1, nodes)


def _schema(given: Any) -> dict[str, Any]:
    """A schema of one of `TYPES`, with the keys that say what a value may be; nested ones too."""
    if not isinstance(given, dict):
        raise _Unusable("bad_schema")
    kind = given.get("type", "object" if "properties" in given else None)
    if isinstance(kind, list):  # ["string", "null"]
        kind = next((entry for entry in kind if entry != "null"), None) if len(set(kind) - {"null"}) == 1 else None
    kind = _BFCL_TYPES.get(str(kind), kind)
    if kind not in TYPES:
        raise _Unusable("untyped_parameter")
    keys = (
        "description",
        "enum",
        "format",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "default",
        "examples",
    )
    schema: dict[str, Any] = {"type": kind, **{key: given[key] for key in keys if key in given}}
    if "example" in given:
        schema["examples"] = [given["example"]]
    if not all(_is_meant(key, value) for key, value in schema.items()):
        raise _Unusable("bad_schema")
    if kind == "array":
        schema["items"] = _schema(given.get("items") or {"type": "string"})
    if kind == "object":
        properties = given.get("properties") or {}
        if not isinstance(properties, dict):
            raise _Unusable("bad_schema")
        schema["properties"] = {str(name): _schema(entry) for name, entry in properties.items()}
        required = given.get("required") or []
        schema["required"] = [name for name in required if name in properties] if isinstance(required, list) else []
    return schema


def _is_meant(key: str, value: Any) -> bool:
    """Whether a key of a schema has a value of its kind."""
    if key in ("enum", "examples"):
        return isinstance(value, list) and bool(value)
    if key in ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return key not in ("description", "format") or isinstance(value, str)
