"""The documents of a corpus in a folder that `build` or `curate` filled."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curriculum.curate import folder
from curriculum.curating import CURATED
from curriculum.lock import LOCK, read_lock
from datapipe import store


def parts_of(root: str, corpus: str) -> list[str]:
    """Paths of the Parquet files that hold the kept documents of a corpus. StoreError when the folder has no such corpus."""
    corpora = _corpora(root)
    if corpus not in corpora:
        raise store.StoreError(root, f"holds no corpus {corpus!r}", f"Name one of {', '.join(sorted(corpora))}.")
    last = corpora[corpus]["steps"][-1]
    place = folder(root, corpus, last["step"], last["key"])
    parts = sorted(
        info.path for info in store.glob(store.join(place, "part-*.parquet")) if info.path.endswith(".parquet")
    )
    parts = [path for path in parts if not path.endswith(".rejects.parquet")]
    if not parts:
        raise store.StoreError(place, "holds no documents", "Build the corpus again: its files are gone.")
    return parts


def documents_of(root: str, corpus: str) -> Iterator[pa.Table]:
    """The kept documents of a corpus, a table per part."""
    for path in parts_of(root, corpus):
        with store.open_input(path) as source:
            yield pq.read_table(source)


def _corpora(root: str) -> dict[str, Any]:
    if store.exists(store.join(root, LOCK)):
        return dict(read_lock(root)[0]["corpora"])
    path = store.join(root, CURATED)
    if not store.exists(path):
        raise store.StoreError(
            root, f"has neither {LOCK} nor {CURATED}", "Wait for the end of `build` or `curate`, or check the folder."
        )
    return dict(json.loads(store.read_bytes(path))["corpora"])
