"""Where did this batch come from, and when is this document learned? Both are computed from the plan; nothing was logged.

A step costs what its batch costs to read; a document one look-up in the index of every shard set, and one part of its corpus.
"""

import functools
import json
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curriculum import doc_index
from curriculum.curate import folder
from curriculum.feed import Feed
from curriculum.lock import LOCK, read_lock
from curriculum.plan import PLAN, Plan
from datapipe import fim, store
from datapipe.shards import ShardReader, docs_path, tokens_path
from datapipe.tokenize import Tokenizer

TEXT_CHARS = 400
PART_CHARS = 120  # of the beginning and of the end of a part of a rearranged document


def load_plan(root: str) -> Plan:
    """The plan of a build; StoreError when there is none, PlanError when it cannot be read."""
    path = store.join(root, PLAN)
    if not store.exists(path):
        remedy = "`tokenloom build` writes it when the first stage is laid out: wait for it, or check the folder."
        raise store.StoreError(path, "no such file", remedy)
    return Plan.from_json(store.read_bytes(path).decode())


def inspect_step(root: str, step: int) -> dict[str, Any]:
    """Every row of global step `step` with the documents in it.

    ValueError when the plan has no such step, BuildStalled when a running build has not written it yet: nobody looks on for an hour.
    """
    plan = load_plan(root)
    stage, stage_step = plan.locate(step)
    rows = Feed(plan, root, patience=0.0).lineage(stage, stage_step)
    spec = plan.stages[stage]
    return {"step": step, "stage": spec.name, "stage_step": stage_step, "seq_len": spec.seq_len, "rows": rows}


def inspect_document(root: str, identity: str) -> dict[str, Any] | None:
    """A document by its id: what its corpus knows of it, the start of its text, and where and when it is learned.

    "pieces": one entry per piece and stage, with the global steps that learn it, none where its row is "held_out" for validation;
    "steps_done" is how far the training has come; "fim", of a document that is rearranged for fill-in-the-middle, its form and what is
    learned of it, as `_fim` tells. None when no shard holds the document.
    """
    plan = load_plan(root)
    feed, order = Feed(plan, root), doc_index.document_order(identity, plan.seed)
    find = functools.cache(lambda folder: doc_index.find(store.join(root, folder), order))
    homes: list[tuple[str, int]] = []  # corpus and part that each piece came from
    pieces: list[dict[str, Any]] = []
    for stage_index, stage in enumerate(plan.stages):
        for source_index, source in enumerate(stage.sources):
            for found in find(source.folder):
                homes.append((found.source.rpartition("/")[0], found.part))
                piece = {
                    "stage": stage.name,
                    "rows_of": source.name,
                    "shard": source.shard(found.shard).path,
                    "shard_row": found.row,
                    "start": found.start,
                    "length": found.length,
                    "offset": found.offset,
                    "held_out": source.is_held_out(found.shard, found.row),
                    "steps": feed.steps_with(stage_index, source_index, found.shard, found.row),
                }
                pieces.append(piece)
    if not pieces:
        return None
    corpus, part = homes[0]
    columns = _columns(root, corpus, part, identity)
    columns = columns or {"id": identity, "origin": _origin(root, pieces, identity), "corpus": corpus}
    if rearranged := _fim(root, corpus, pieces):
        columns["fim"] = rearranged
    return {**columns, "steps_done": _steps_done(root), "pieces": pieces}


def _origin(root: str, pieces: list[dict[str, Any]], identity: str) -> str | None:
    """As the shards know it; None while none of them is written."""
    for piece in pieces:
        prefix = store.join(root, piece["shard"])
        if store.exists(tokens_path(prefix)) and store.exists(docs_path(prefix)):
            found = (each.origin for each in ShardReader(prefix).pieces(piece["shard_row"]) if each.doc == identity)
            return next(found, None)
    return None


def _columns(root: str, corpus: str, part: int, identity: str) -> dict[str, Any] | None:
    """The document's row in its corpus, with the start of its text. None when it came as tokens, or the build has not ended."""
    if not store.exists(store.join(root, LOCK)):
        return None
    lock, _ = read_lock(root)
    last = lock["corpora"][corpus]["steps"][-1]
    if last["step"] == "import":
        return None
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


def _fim(root: str, corpus: str, pieces: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The form of a rearranged document, and its parts in the order of training behind their markers, read from its tokens in the shards.

    "form" is psm or spm; "parts" holds marker, characters, beginning and end (`PART_CHARS`) of each. None for any other document, and while
    the build has not ended.
    """
    if not store.exists(store.join(root, LOCK)):
        return None
    lock, _ = read_lock(root)
    if "fim" not in lock["corpora"][corpus]:
        return None
    names = lock["corpora"][corpus]["fim"]["tokens"]
    tokenizer = Tokenizer.open(store.join(root, lock["tokenizer"]["path"]), markers=names)
    sequence = fim.read(_tokens(root, pieces), tokenizer.markers, tokenizer.decode)
    if sequence is None:
        return None
    texts = [str(text) for text in sequence[1::2]]
    parts = [
        {"marker": name, "chars": len(text), "begin": text[:PART_CHARS], "end": text[PART_CHARS:][-PART_CHARS:]}
        for name, text in zip(names, texts, strict=True)
    ]
    return {"form": "psm" if texts[0] else "spm", "parts": parts}


def _tokens(root: str, pieces: list[dict[str, Any]]) -> np.ndarray:
    """All tokens of a document, (n,), from its pieces in one stage."""
    first = [piece for piece in pieces if piece["stage"] == pieces[0]["stage"]]
    rows = []
    for piece in sorted(first, key=lambda piece: piece["offset"]):
        row = ShardReader(store.join(root, piece["shard"])).read(np.array([piece["shard_row"]]))[0]
        rows.append(row[piece["start"] : piece["start"] + piece["length"]])
    return np.concatenate(rows)


def _steps_done(root: str) -> int:
    """Steps that the trainer in this folder has learned."""
    path = store.join(root, "metrics.jsonl")
    *lines, _ = (
        store.read_bytes(path).split(b"\n") if store.exists(path) else [b""]
    )  # the last one is being written, or empty
    return json.loads(lines[-1])["step"] + 1 if lines else 0
