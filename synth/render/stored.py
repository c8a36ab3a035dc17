"""Stored conversations in another version of the chat template: parsed from their text, and rendered anew."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from datapipe.schema import DROP, LOSS_SPANS
from synth.render.layout import DEFAULT
from synth.render.read import parse
from synth.render.write import render


def in_template(docs: pa.Table, template: str) -> pa.Table:
    """The documents, with text, loss spans and `meta.template` of every conversation as `template` has them; rejected ones stay.

    Costs nothing for the template that rows are made in, else 0.3 ms per row.
    """
    if template == DEFAULT or LOSS_SPANS not in docs.column_names:
        return docs
    return pa.Table.from_pylist([_anew(row, template) for row in docs.to_pylist()], schema=docs.schema)


def _anew(row: Mapping[str, Any], template: str) -> Mapping[str, Any]:
    meta = json.loads(row["meta"] or "{}")
    if row.get(DROP) or "template" not in meta:
        return row
    spans = [(span["start"], span["length"]) for span in row[LOSS_SPANS] or ()]
    turns = parse(row["text"], template=meta["template"], loss_spans=spans)
    rendered = render(turns, direct=meta["direct"], template=template)
    return {
        **row,
        "text": rendered.text,
        "meta": json.dumps({**meta, "template": template}, ensure_ascii=False, sort_keys=True),
        LOSS_SPANS: [{"start": start, "length": length} for start, length in rendered.loss_spans],
    }
