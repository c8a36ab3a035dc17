"""Descriptions of tools: OpenAPI, MCP, function lists; real ones, and broken ones with their reasons."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.tooluse.described import MAX_CHARS, MAX_TOOLS, MAX_YAML_CHARS, tools_of

OPENAPI = """
openapi: 3.0.3
info: {title: Boats, version: "1"}
paths:
  /boats/{boat_id}:
    parameters:
      - {$ref: '#/components/parameters/BoatId'}
    get:
      operationId: getBoat
      summary: Show a boat.
      parameters:
        - {name: units, in: query, description: Of all lengths., schema: {type: string, enum: [metres, feet]}}
        - {name: session, in: cookie, schema: {type: string}}
    put:
      summary: Change a boat
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Boat'}
  /boats:
    post:
      operationId: upload
      summary: Upload a picture.
      requestBody: {content: {image/png: {schema: {type: string}}}}
components:
  parameters:
    BoatId: {name: boat_id, in: path, required: true, schema: {type: integer, minimum: 1, maximum: 9}}
  schemas:
    Boat:
      type: object
      required: [name]
      properties:
        name: {type: string, example: Petrel}
        tags: {type: array, items: {$ref: '#/components/schemas/Tag'}}
    Tag: {type: string, enum: [fast, dry]}
"""
MCP = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {
        "tools": [
            {"name": "read_note", "description": "Read a note.",
             "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}},
            {"name": "read_note", "description": "Read it again.", "inputSchema": {"type": "object"}},
            {"name": "list", "description": "", "inputSchema": {"type": "object"}},
        ]
    },
}  # fmt: skip


def test_openapi() -> None:
    show, change, upload = tools_of(OPENAPI)
    assert show.tool == {
        "name": "getBoat",
        "description": "Show a boat.",
        "parameters": {
            "type": "object",
            "properties": {
                "boat_id": {"type": "integer", "minimum": 1, "maximum": 9},
                "units": {"type": "string", "enum": ["metres", "feet"], "description": "Of all lengths."},
            },
            "required": ["boat_id"],
        },
    }
    assert change.tool is not None
    assert change.tool["name"] == "put_boats_boat_id"
    assert change.tool["parameters"]["properties"]["tags"] == {
        "type": "array",
        "items": {"type": "string", "enum": ["fast", "dry"]},
    }
    assert change.tool["parameters"]["required"] == ["boat_id", "name"]
    assert (upload.where, upload.reason) == ("post /boats", "body_is_no_json_object")
    assert tools_of(json.dumps({"openapi": "3.1.0", "paths": {"/a": {"get": {"summary": "A."}}}}))[0].tool is not None


def test_mcp() -> None:
    read, again, unnamed = tools_of(json.dumps(MCP))
    assert read.tool is not None
    assert read.tool["parameters"]["required"] == ["path"]
    assert [again.reason, unnamed.reason] == ["repeated_name", "no_description"]
    assert tools_of(json.dumps(MCP["result"]))[0].tool == read.tool


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"type": "dict", "properties": {"a": {"type": "any"}}}, "untyped_parameter"),
        ({"type": "object", "properties": {"a": {"$ref": "#/a"}}}, "broken_reference"),
        ({"type": "object", "properties": {"a": {"$ref": "other.json#/a"}}}, "foreign_reference"),
        ({"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}, "too_deep"),
        ({"type": "object", "properties": {"a": {"type": "integer", "minimum": "one"}}}, "bad_schema"),
        ({"type": "object", "properties": {"a": {"type": "string", "enum": 3}}}, "bad_schema"),
        ({"type": "object", "properties": [1]}, "bad_schema"),
        ({"type": "string"}, "parameters_are_no_object"),
        ({"type": "object", "properties": {f"a{n}": {"type": "string"} for n in range(30)}}, "too_large"),
    ],
)
def test_a_broken_description_is_a_reason(parameters: dict, reason: str) -> None:
    assert [
        d.reason for d in tools_of(json.dumps({"name": "x", "description": "Do x.", "parameters": parameters}))
    ] == [reason]


NOTHING = (
    "",
    "[]",
    "{}",
    "12",
    "{",
    "a: [b",
    "x" * (MAX_CHARS + 1),
    "[" * 5000,
    "a: &a [*a, *a]",
    "a: !!timestamp x",
    "a: !!bool x",
)


@pytest.mark.parametrize("text", [*NOTHING, '{"openapi": "3.0.0", "paths": {"/": 3}}'])
def test_what_is_no_description(text: str) -> None:
    assert all(found.tool is None for found in tools_of(text))


def _operations(num: int) -> dict:
    return {"openapi": "3.0.0", "paths": {f"/{n}": {"get": {"summary": "Get it."}} for n in range(num)}}


def test_what_takes_long_is_not_begun() -> None:
    """PyYAML reads 50,000 characters in a second, and a tool takes 15 ms."""
    start = time.process_time()
    assert [found.reason for found in tools_of("a: b\n" * (MAX_YAML_CHARS // 5 + 1))] == ["too_large"]
    many = json.dumps(_operations(20 * MAX_TOOLS))
    assert [len(tools_of(text)) for text in (many, json.dumps([{"name": "x"}] * 20 * MAX_TOOLS))] == [MAX_TOOLS] * 2
    assert time.process_time() - start < 6


def test_references_cannot_grow_without_end() -> None:
    def wide(number: int) -> dict:
        return {
            "type": "object",
            "properties": {f"p{k}": {"$ref": f"#/components/schemas/S{number}"} for k in range(100)},
        }

    schemas = {"S0": wide(1), "S1": wide(2), "S2": {"type": "string"}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}
    paths = {"/a": {"post": {"summary": "A.", "requestBody": body}}}
    document = {"openapi": "3.0.0", "paths": paths, "components": {"schemas": schemas}}
    start = time.process_time()
    assert [found.reason for found in tools_of(json.dumps(document))] == ["too_deep"]
    assert time.process_time() - start < 2


KEYS = st.sampled_from(
    [
        "name",
        "description",
        "parameters",
        "type",
        "properties",
        "tools",
        "openapi",
        "paths",
        "$ref",
        "items",
        "enum",
        "required",
        "get",
        "requestBody",
        "content",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)))
def test_no_document_stops_it(document: object) -> None:
    for found in tools_of(json.dumps(document)):
        assert (found.tool is None) != (found.reason is None)


@pytest.mark.data
def test_real_function_descriptions(shared_data: Path) -> None:
    folder = shared_data / "tooluse" / "bfcl"
    texts = [file.read_text() for file in sorted((folder / "multi_turn_func_doc").glob("*.json"))]
    texts += [
        json.dumps(json.loads(line)["function"]) for line in (folder / "BFCL_v4_multiple.json").read_text().splitlines()
    ]
    found = [entry for text in texts for entry in tools_of(text)]
    assert len(found) > 600
    assert sum(entry.tool is not None for entry in found) >= len(found) - 2
