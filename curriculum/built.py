"""The documents of a corpus in a folder that `build` or `curate` filled."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from curriculum.curating import CURATED
from datapipe import store


def parts_of(root: str, corpus: str) -> list[str]:
    """Paths of the Parquet files that hold the kept documents of a corpus. StoreError when the folder has no such corpus."""
    path = store.join(root, CURATED)
    if not store.exists(path):
        raise store.StoreError(path, "no such file", "Wait for the end of `build` or `curate`, or check the folder.")
    corpora = json.loads(store.read_bytes(path))["corpora"]
    if corpus not in corpora:
        named = ", ".join(sorted(corpora))
        raise store.StoreError(
            root, f"holds no corpus {corpus!r}", f"Name one of {named}, or `curate` it into this folder."
        )
    return [store.join(root, part) for part in corpora[corpus]["parts"]]


def documents_of(root: str, corpus: str) -> Iterator[pa.Table]:
    """The kept documents of a corpus, a table per part."""
    for path in parts_of(root, corpus):
        with store.open_input(path) as source:
            yield pq.read_table(source)
