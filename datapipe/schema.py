"""The document table: what every reader emits and every step takes.

Columns beyond `DOCUMENT` are scores (one float column per scorer), `bucket` (string, set by ranking steps), `cluster_size`
(int32, set by fuzzy dedup) and `loss_spans` (what a trainer may learn from; absent or null = the whole text).
A row whose `drop_reason` is not null is on its way out: the engine counts it under that reason, keeps a sample, and drops it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import xxhash

DROP = "drop_reason"
LOSS_SPANS = "loss_spans"

KINDS = ("web", "code", "repo", "thread", "math", "book", "qa", "agent", "reasoning")

DOCUMENT = pa.schema(
    [
        ("id", pa.string()),  # hex xxh3-128 of the origin: stable across runs and machines
        ("text", pa.large_string()),  # before extraction: the decoded page; after it: what a model may read
        ("origin", pa.string()),  # URL, repo@commit:path (`code_origin`), or file#offset
        ("corpus", pa.string()),
        ("kind", pa.string()),  # one of KINDS
        ("lang", pa.string()),  # ISO 639 code of the language ID model, a programming language for code, or null
        ("license", pa.string()),  # SPDX expression, or null when unknown
        ("raw", pa.struct([("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])),
        ("meta", pa.string()),  # a JSON object for what is rare
    ]
)
LOSS_SPANS_TYPE = pa.list_(pa.struct([("start", pa.int64()), ("length", pa.int64())]))  # in characters of `text`


def document_id(origin: str) -> str:
    """The id of the document at `origin`: 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(origin.encode("utf-8", "surrogatepass"))


def code_origin(name: str, version: str, path: str) -> str:
    """The origin of a source file: `name@version:path`. What divides the three is replaced in name and version."""
    name, version = (re.sub("[:@]", "_", part) for part in (name, version))
    return f"{name}@{version}:{path}"


def code_place(origin: str) -> tuple[str, str, str] | None:
    """(name, version, path) of an origin that `code_origin` made; None for any other."""
    place, colon, path = origin.partition(":")
    name, at, version = place.rpartition("@")
    return (name, version, path) if colon and at else None


def documents(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """A document table from dicts that name at least `text` and `origin`; the id follows from the origin.

    Keys outside `DOCUMENT` that are known here (`drop_reason`, `loss_spans`) become columns; any other key is an error.
    """
    filled = [{"id": document_id(row["origin"]), "meta": "{}", **row} for row in rows]
    schema = DOCUMENT
    for name, kind in ((DROP, pa.string()), (LOSS_SPANS, LOSS_SPANS_TYPE)):
        if any(name in row for row in filled):
            schema = schema.append(pa.field(name, kind))
    unknown = {key for row in filled for key in row} - set(schema.names)
    if unknown:
        raise ValueError(f"not a document column: {', '.join(sorted(unknown))} (columns: {', '.join(schema.names)})")
    return pa.Table.from_pylist(filled, schema=schema)


def with_column(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """`table` with `name` set to `column`, in place when it exists and appended when not."""
    index = table.schema.get_field_index(name)
    return table.append_column(name, column) if index < 0 else table.set_column(index, name, column)
