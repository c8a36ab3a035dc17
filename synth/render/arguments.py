"""Arguments of calls as text: strings as they are, other values as JSON, as the schema of the tool says.

The text alone does not tell "5" from 5. Of an argument that may be a string or something else (a union, `any`) a string is refused that
reads as JSON; one that no schema names is a string.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from synth.render.turns import RenderError

Tools = Mapping[str, Mapping[str, Any]]  # by name
ANY = "any"


def written(tools: Tools, name: str, key: str, value: Any) -> str:
    """The argument `key` of a call of `name`. RenderError for a value that `read` would not give back."""
    types = _types(tools, name, key)
    if isinstance(value, str):
        if types == {"string"} or (types & {"string", ANY} and not _is_json(value)):
            return value
    elif types != {"string"}:
        return json.dumps(value, ensure_ascii=False)
    raise RenderError(f"argument {key!r} of {name!r} is {value!r}, which is not of the type in the tool's schema")


def read(tools: Tools, name: str, key: str, text: str) -> Any:
    """The value that `written` wrote. RenderError for what is no JSON where no string may stand."""
    types = _types(tools, name, key)
    if types == {"string"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        if types & {"string", ANY}:
            return text
        raise RenderError(f"argument {key!r} of {name!r} is {text[:80]!r}, which is no JSON") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _types(tools: Tools, name: str, key: str) -> set[str]:
    """JSON types that the schema allows for an argument."""
    schema: Any = tools.get(name, {})
    for step in ("parameters", "properties", key):
        schema = schema.get(step) if isinstance(schema, Mapping) else None
    return set(_of_schema(schema)) or {"string"}


def _of_schema(schema: Any) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    stated = schema.get("type")
    yield from (stated,) if isinstance(stated, str) else map(str, stated or ())
    if "$ref" in schema or "allOf" in schema:
        yield ANY
    for alternatives in ("anyOf", "oneOf"):
        for alternative in schema.get(alternatives) or ():
            yield from _of_schema(alternative)
    if not stated:
        values = [*(schema.get("enum") or ()), *([schema["const"]] if "const" in schema else [])]
        yield from ("string" if isinstance(value, str) else type(value).__name__ for value in values)
