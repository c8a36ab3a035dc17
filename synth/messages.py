"""Conversations of others as rows: records with OpenAI messages or ShareGPT conversations, one JSON object per document.

A record that is no conversation is a row with its reason (`messages.role`, ...; `messages.json` for what is no object), one that the
template could not give back has `synth.round_trip`. A conversation with thoughts before its last user turn becomes a row per user turn.
Nothing is verified but the form: `author` says whose words they are, so that mixtures can bound their share.
"""

import json
from typing import Any

import pyarrow as pa
import xxhash

from datapipe.schema import DOCUMENT, DROP
from synth.export.messages import MessagesError, turns_of
from synth.generators import Generator
from synth.rows import Made, Parent, documents


def emit(docs: pa.Table) -> pa.Table:
    """The records as they are; `key` spreads them."""
    keys = [xxhash.xxh3_64_intdigest(id.encode()) for id in docs["id"].to_pylist()]
    return docs.select(DOCUMENT.names).append_column("key", pa.array(keys, pa.uint64()))


def reduce(rows: pa.Table, *, author: str = "unknown") -> pa.Table:
    """The conversations of a receiver, sorted by id; bad records with a drop reason."""
    made: dict[str, dict[str, Any]] = {}
    for row in rows.select(["id", "text", "license"]).to_pylist():
        made |= {found["id"]: found for found in _rows(row, author)}
    return documents(made.values())


def _rows(row: dict[str, Any], author: str) -> list[dict[str, Any]]:
    made = Made("messages", 0, author)
    given: dict[str, Any] = {"kind": "agent", "parents": [Parent.of(**row)], "task": {}, "verdicts": {}}
    try:
        record = json.loads(row["text"])
        if not isinstance(record, dict):
            raise MessagesError("messages.json", f"{row['text'][:80]!r} is no object")
        found = made.rows(row["id"], turns_of(record), **given)
        if not found:
            raise MessagesError("messages.no_answer", "nothing that the assistant says is learned")
    except MessagesError as error:
        return [{**made.reject(row["id"], row["text"], **given), DROP: error.reason}]
    except (ValueError, RecursionError):
        return [{**made.reject(row["id"], row["text"], **given), DROP: "messages.json"}]
    return found


MESSAGES = Generator(emit, reduce)
