"""Where did this batch come from, and when is this document learned? Both are computed from the plan; nothing was logged.

A step costs what its batch costs to read; a document one look-up in the index of every shard set, and one part of its corpus.
"""

import functools
import json
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curriculum import doc_index
from curriculum.curate import folder
from curriculum.feed import Feed
from curriculum.lock import read_lock
from curriculum.plan import PLAN, Plan
from datapipe import store

TEXT_CHARS = 400


def load_plan(root: str) -> Plan:
    """The plan of a build; StoreError when there is none."""
    return Plan.from_json(store.read_bytes(store.join(root, PLAN)).decode())


def inspect_step(root: str, step: int) -> dict[str, Any]:
    """Every row of global step `step` with the documents in it. ValueError when the plan has no such step."""
    plan = load_plan(root)
    stage, stage_step = plan.locate(step)
    rows = Feed(plan, root).lineage(stage, stage_step)
    spec = plan.stages[stage]
    return {"step": step, "stage": spec.name, "stage_step": stage_step, "seq_len": spec.seq_len, "rows": rows}


def inspect_document(root: str, identity: str) -> dict[str, Any] | None:
    """A document by its id: what its corpus knows of it, the start of its text, and where and when it is learned.

    "pieces": one entry per piece and stage, with the global steps that learn it; "steps_done" is how far the training has come. None when
    no shard holds the document.
    """
    plan = load_plan(root)
    feed, order = Feed(plan, root), doc_index.document_order(identity, plan.seed)
    find = functools.cache(lambda folder: doc_index.find(store.join(root, folder), order))
    pieces = [
        {
            "stage": stage.name,
            "rows_of": source.name,
            "shard": source.shard(found.shard).path,
            "shard_row": found.row,
            "start": found.start,
            "length": found.length,
            "offset": found.offset,
            "steps": feed.steps_with(stage_index, source_index, found.shard, found.row),
        }
        for stage_index, stage in enumerate(plan.stages)
        for source_index, source in enumerate(stage.sources)
        for found in find(source.folder)
    ]
    homes = {(f.source, f.part) for stage in plan.stages for source in stage.sources for f in find(source.folder)}
    if not homes:
        return None
    (source_name, part) = homes.pop()
    columns = _columns(root, source_name.partition("/")[0], part, identity)
    return {**columns, "steps_done": _steps_done(root), "pieces": pieces}


def _columns(root: str, corpus: str, part: int, identity: str) -> dict[str, Any]:
    """The document's row in its corpus, with the start of its text."""
    lock, _ = read_lock(root)
    last = lock["corpora"][corpus]["steps"][-1]
    if last["step"] == "import":  # it came as tokens
        return {"id": identity, "corpus": corpus}
    path = store.join(folder(root, corpus, last["step"], last["key"]), f"part-{part:05d}.parquet")
    with store.open_input(path) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            is_it = pc.equal(file.read_row_group(group, ["id"])["id"], identity)
            if pc.any(is_it).as_py():
                (row,) = file.read_row_group(group).filter(is_it).to_pylist()
                return {**row, "chars": len(row["text"]), "text": row["text"][:TEXT_CHARS]}
    raise store.StoreError(
        path, f"holds no document {identity}", "Build again; corpora and shards are of different builds."
    )


def _steps_done(root: str) -> int:
    """Steps that the trainer in this folder has learned."""
    path = store.join(root, "metrics.jsonl")
    lines = store.read_bytes(path).decode().splitlines() if store.exists(path) else []
    return json.loads(lines[-1])["step"] + 1 if lines else 0
