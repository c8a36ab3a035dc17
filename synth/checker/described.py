"""Rows of generator `calls`: requests to tools that are only described, read back into arguments by another reader.

The calls of the row are those of its task, they fit the schemas that the row lists, what the user says gives each argument once, and a
tool that nobody should call is not listed. Not checked again: that no other tool fits the words as well.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import fastjsonschema

from synth.checker.conversation import arguments
from synth.checker.row import Documents, Row

_SAID = r"(?:(?<=[,;.:!?] )|\A){}(?: is |: | = | should be )"


def checked(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of generator `calls`."""
    task = row.task
    listed = {tool["name"]: tool for turn in row.turns for tool in turn.tools}
    made = [{"name": call.name, "arguments": arguments(row.turns, call)} for turn in row.turns for call in turn.calls]
    whole = row.meta.get("turn", [1, 1])[0] == row.meta.get("turn", [1, 1])[1]
    if whole and made != [dict(call) for call in task["calls"]]:
        yield "the row calls something else than the task"
    if task["kind"] == "irrelevant":
        if task["calls"] or any(tool["name"] in listed for tool in task["requested"]):
            yield "the tool that is wanted is listed, or called"
        return
    for call, tool, part in zip(task["calls"], task["requested"], task["parts"], strict=True):
        if call["name"] not in listed or listed[call["name"]] != tool:
            yield f"{call['name']} is not listed as the task has it"
        try:
            fastjsonschema.validate(tool["parameters"], dict(call["arguments"]))
        except fastjsonschema.JsonSchemaValueException as error:
            yield f"{call['name']}: {error.message}"
        if task["kind"] != "missing" and part not in row.asked:
            yield f"the user does not say {part[:60]!r}"
        if (heard := _heard(part, tool["parameters"]["properties"])) != dict(call["arguments"]):
            yield f"{part[:60]!r} says {heard}, not {dict(call['arguments'])}"


def _heard(part: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a request says, each behind its name in words, outside of quotation marks."""
    silent = re.sub(r"(?<=“)[^”]*(?=”)", lambda quoted: "·" * len(quoted[0]), part)
    found = {}
    for name in properties:
        places = [match.end() for match in re.finditer(_SAID.format(re.escape(_spoken(name))), silent)]
        if len(places) == 1:
            found[name] = _value(part[places[0] :])
    return found


def _spoken(name: str) -> str:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[A-Z]", name)
    return " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts) or name


def _value(text: str) -> Any:
    if text.startswith("["):
        return [_value(part) for part in text[1 : text.index("]")].split(" / ")]
    if text.startswith("“"):
        return text[1 : text.index("”")]
    if word := re.match(r"(yes|no)\b", text):
        return word[1] == "yes"
    number = re.match(r"-?\d+(\.\d+)?(e-?\d+)?", text)
    if number is None:
        return None
    return float(number[0]) if number[1] or number[2] else int(number[0])
