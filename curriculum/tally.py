"""What a segment counts: documents and characters into and out of every step, drop reasons, a sample of the rejects, what was kept."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.steps import COUNTS
from datapipe import store
from datapipe.schema import DROP

REJECTS_PER_REASON = 200  # of a corpus
REJECT_CHARS = 20_000
LARGEST_CLUSTERS = 10
KNOWN = ".known"  # ends the reason of what an index has
CLUSTER_MEMBERS = 3  # that were dropped, shown beside the one that stands for all
CLUSTER_CHARS = 300
REJECTS = pa.schema([(name, pa.string()) for name in ("step", "reason", "id", "origin", "text", "meta")])


class Tally:
    """Counts of a segment: documents and characters into and out of every step, reasons, and a sample of the rejects.

    `names` differ (`distinct`). `num_rejects`: sampled per step and reason.
    """

    def __init__(self, names: list[str], num_rejects: int = REJECTS_PER_REASON):
        self.counts = {name: Counter[str]() for name in names}
        self.reasons = {name: Counter[str]() for name in names}
        self.about = {name: Counter[str]() for name in names}  # what maps count besides
        self.rejects: dict[tuple[str, str], Smallest] = {}
        self.num_rejects = num_rejects
        self.lost: dict[str, list[dict[str, Any]]] = {}  # cluster -> some of those who lost against the one that stays

    def split(self, name: str, table: pa.Table) -> pa.Table:
        """The rows that step `name` kept, without the reason column; the others are counted."""
        if COUNTS in (table.schema.metadata or {}):
            self.about[name].update(json.loads(table.schema.metadata[COUNTS]))
            table = table.replace_schema_metadata(None)
        chars_in, kept = num_chars(table), undropped(table)
        chars_dropped = 0
        if kept.num_rows < table.num_rows:
            dropped = table.filter(pc.is_valid(table[DROP]))
            self._count_rejects(name, dropped)
            self._note_lost(dropped)
            chars_dropped = num_chars(dropped)
        self.counts[name].update(
            documents_in=table.num_rows,
            documents_out=kept.num_rows,
            chars_in=chars_in,
            chars_out=chars_in - chars_dropped,
        )
        return kept

    def _count_rejects(self, name: str, rejects: pa.Table) -> None:
        reasons, ids = rejects[DROP].to_pylist(), rejects["id"].to_pylist()
        self.reasons[name].update(reasons)
        for index, (reason, identity) in enumerate(zip(reasons, ids, strict=True)):
            sample = self.rejects.setdefault((name, reason), Smallest(self.num_rejects))
            if sample.wants(identity):
                origin, text, meta = (rejects[column][index].as_py() for column in ("origin", "text", "meta"))
                row = {"step": name, "reason": reason, "id": identity, "origin": origin, "meta": meta}
                sample.add({**row, "text": text and text[:REJECT_CHARS]})

    def _note_lost(self, rejects: pa.Table) -> None:
        """Keep some members of the largest clusters: of those that a later step drops, the id is the cluster's own.

        Not of those that an index knows: nobody in this corpus stands for them.
        """
        if "cluster" not in rejects.column_names:
            return
        rejects = rejects.filter(pc.invert(pc.ends_with(rejects[DROP], KNOWN)))
        sizes = {cluster: max(row["cluster_size"] for row in rows) for cluster, rows in self.lost.items()}
        floor = min(sizes.values()) if len(sizes) == LARGEST_CLUSTERS else 2
        rejects = rejects.select(["cluster", "cluster_size", "id", "origin", "text"])
        rejects = rejects.filter(pc.is_valid(rejects["cluster"])).filter(pc.field("cluster_size") >= floor)
        texts = pc.utf8_slice_codeunits(rejects["text"], 0, CLUSTER_CHARS)
        for row in rejects.set_column(4, "text", texts).to_pylist():
            if not row["id"].startswith(row["cluster"]):
                self.lost.setdefault(row["cluster"], []).append(row)
                sizes[row["cluster"]] = max(sizes.get(row["cluster"], 0), row["cluster_size"])
        largest = sorted(sizes, key=lambda cluster: (-sizes[cluster], cluster))[:LARGEST_CLUSTERS]
        self.lost = {cluster: smallest_ids(self.lost[cluster], CLUSTER_MEMBERS) for cluster in largest}

    def members(self) -> list[dict[str, Any]]:
        """Dropped members of the largest clusters, in the order of clusters, then ids."""
        return [row for cluster in sorted(self.lost) for row in self.lost[cluster]]

    def write_rejects(self, path: str) -> None:
        rows = [row for key in sorted(self.rejects) for row in self.rejects[key].rows()]
        if rows:
            with store.output_file(path) as sink:
                pq.write_table(pa.Table.from_pylist(rows, schema=REJECTS), sink, compression="zstd")

    def steps(self) -> list[dict[str, Any]]:
        return [
            {
                "step": name,
                **{key: counts[key] for key in sorted(counts)},
                "reasons": dict(sorted(self.reasons[name].items())),
                "about": dict(sorted(self.about[name].items())),
            }
            for name, counts in self.counts.items()
        ]


class Smallest:
    """A sample of rows of a fixed size, chosen by `id` alone: the same one in whatever order they come."""

    def __init__(self, most: int):
        self._most, self._rows = most, list[dict[str, Any]]()
        self._greatest: str | None = None  # id of the last row of a full sample

    def wants(self, identity: str) -> bool:
        """Whether a row with this id may be in the sample."""
        return self._greatest is None or identity <= self._greatest

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) > 2 * self._most:
            self._rows = self.rows()
            self._greatest = self._rows[-1]["id"]

    def rows(self) -> list[dict[str, Any]]:
        """In the order of ids."""
        return smallest_ids(self._rows, self._most)


def distinct(names: list[str]) -> list[str]:
    """The names, those after the first of a kind with a number: `filter.length`, `filter.length 2`."""
    return [f"{name} {count}" if (count := names[: i + 1].count(name)) > 1 else name for i, name in enumerate(names)]


def undropped(table: pa.Table) -> pa.Table:
    """The rows without a drop reason, without that column."""
    if DROP not in table.column_names:
        return table
    if table[DROP].null_count < table.num_rows:
        table = table.filter(pc.is_null(table[DROP]))
    return table.drop_columns([DROP])


def smallest_ids(rows: Iterable[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """A sample of a fixed size, chosen by id alone."""
    return sorted(rows, key=lambda row: row["id"])[:most]


def largest_clusters(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the largest `cluster_size`, of equals those with the smallest ids."""
    return sorted(rows, key=lambda row: (-row["cluster_size"], row["id"]))[:LARGEST_CLUSTERS]


class PartWriter:
    """Streams one partition's documents to Parquet and keeps the counts that lock and report need; without a path it only counts."""

    def __init__(self, path: str | None):
        self.path, self.rows = path, 0
        self._writer: pq.ParquetWriter | None = None
        self.buckets: dict[str, Counter[str]] = {}
        self.languages, self.licenses = Counter[str](), Counter[str]()
        self.clusters: list[dict[str, Any]] = []

    def __enter__(self) -> "PartWriter":
        if self.path is not None:
            self._sink = store.output_file(self.path)
            self._stream = self._sink.__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self.path is None:
            return
        if kind is not None:
            self._sink.__exit__(kind, error, trace)
            return
        with contextlib.ExitStack() as file:
            file.push(self._sink)
            if self._writer is not None:
                self._writer.close()

    def write(self, table: pa.Table) -> None:
        self.rows += table.num_rows
        if self.path is None:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, table.schema, compression="zstd", **_plain_texts(table))
        self._writer.write_table(table)
        self.languages.update(name or "unknown" for name in table["lang"].to_pylist())
        self.licenses.update(name or "unknown" for name in table["license"].to_pylist())
        lengths = pc.utf8_length(table["text"]).to_numpy()
        names = np.array(
            table["bucket"].to_pylist() if "bucket" in table.column_names else ["all"] * table.num_rows, dtype=object
        )
        for bucket in sorted(set(names.tolist())):
            chosen = names == bucket
            self.buckets.setdefault(bucket, Counter()).update(
                documents=int(chosen.sum()), chars=int(lengths[chosen].sum())
            )

        self._note_clusters(table)

    def _note_clusters(self, table: pa.Table) -> None:
        """Keep the documents that stand for the largest clusters."""
        if "cluster_size" not in table.column_names:
            return
        sizes = table["cluster_size"].to_numpy()
        rows = np.flatnonzero(sizes > 1)
        rows = rows[np.argsort(-sizes[rows], kind="stable")]
        floor = sizes[rows[LARGEST_CLUSTERS - 1]] if len(rows) >= LARGEST_CLUSTERS else 2
        chosen = table.select(["id", "origin", "cluster", "cluster_size", "text"])
        chosen = chosen.take(pa.array(rows[sizes[rows] >= floor]))
        chosen = chosen.set_column(4, "text", pc.utf8_slice_codeunits(chosen["text"], 0, CLUSTER_CHARS))
        self.clusters = largest_clusters([*self.clusters, *chosen.to_pylist()])

    def summary(self) -> dict[str, Any]:
        return {
            "clusters": self.clusters,
            "buckets": {name: dict(counts) for name, counts in sorted(self.buckets.items())},
            "languages": dict(sorted(self.languages.items())),
            "licenses": dict(sorted(self.licenses.items())),
        }


def _plain_texts(table: pa.Table) -> dict[str, Any]:
    """What differs in every row is not worth a dictionary or least and greatest values."""
    distinct = {"id", "text", "origin", "meta"}
    repeated = [name for name in table.column_names if name not in distinct]
    return {"use_dictionary": repeated, "write_statistics": repeated}


def num_chars(table: pa.Table) -> int:
    """Characters of text in the table."""
    return pc.sum(pc.utf8_length(table["text"])).as_py() or 0
