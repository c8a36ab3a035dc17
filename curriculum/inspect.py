"""Where did this batch come from? Steps are computed from the plan, documents are looked up in the corpora; nothing was logged."""

from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curriculum.curate import folder
from curriculum.feed import Feed
from curriculum.lock import read_lock
from curriculum.plan import Plan
from datapipe import store

TEXT_CHARS = 400


def load_plan(root: str) -> Plan:
    """The plan of a build; StoreError when there is none."""
    return Plan.from_json(store.read_bytes(store.join(root, "plan.json")).decode())


def inspect_step(root: str, step: int, *, text: bool = True) -> dict[str, Any]:
    """Every row of global step `step` with the documents in it. ValueError when the plan has no such step."""
    plan = load_plan(root)
    stage, stage_step = plan.locate(step)
    rows = Feed(plan, root).lineage(stage, stage_step)
    if text:
        documents = find_documents(root, {piece["doc"] for row in rows for piece in row["pieces"]})
        for row in rows:
            for piece in row["pieces"]:
                found = documents.get(piece["doc"], {})
                piece.update({key: found[key] for key in ("origin", "license") if key in found})
    spec = plan.stages[stage]
    return {"step": step, "stage": spec.name, "stage_step": stage_step, "seq_len": spec.seq_len, "rows": rows}


def inspect_document(root: str, identity: str) -> dict[str, Any] | None:
    """A document by its id: its columns, the start of its text, and the corpus it is in; None when no corpus kept it."""
    return find_documents(root, {identity}).get(identity)


def find_documents(root: str, ids: set[str]) -> dict[str, dict[str, Any]]:
    """Kept documents by id. Reads the id column of every corpus, and whole rows only where one is found."""
    lock, _ = read_lock(root)
    found: dict[str, dict[str, Any]] = {}
    for name, corpus in lock["corpora"].items():
        last = corpus["steps"][-1]
        for info in store.glob(store.join(folder(root, name, last["step"], last["key"]), "part-*.parquet")):
            if info.path.endswith(".rejects.parquet"):
                continue
            with store.open_input(info.path) as source:
                file = pq.ParquetFile(source)
                for group in range(file.num_row_groups):
                    wanted = pc.is_in(file.read_row_group(group, ["id"])["id"], _values(ids))
                    if pc.any(wanted).as_py():
                        for row in file.read_row_group(group).filter(wanted).to_pylist():
                            row["chars"], row["text"] = len(row["text"]), row["text"][:TEXT_CHARS]
                            found[row["id"]] = row
    return found


def _values(ids: set[str]) -> Any:
    import pyarrow as pa

    return pa.array(sorted(ids), pa.string())
