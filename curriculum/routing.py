"""Steps that judge single documents by others (`curation.steps.RoutedStep`): from an exchange to what each partition is told.

    exchange ─judge─> links ─contract─> links ─contract─> ... ─found─> one slice per partition

Rows of equal key meet at one receiver, which judges them. Where links make clusters, they are sent to the owners of both their documents,
contracted there to stars, sent again, until no owner changes anything: then every document points at the best one of its component, and the
owner of that one knows all members. What was found travels back to the partitions the documents lie in. No task holds more than
its receiver's share; with a single receiver all of it is one task.

An index is what a receiver was sent, sorted by key and without the corpus' numbering, so a later corpus meets the documents of an earlier
one without their texts: some 0.6 kB per document for MinHash. Its documents are better than any of the corpus, and are not judged.
"""

import inspect
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.dedup import clusters
from curation.steps import COUNTS, RoutedStep, load
from curriculum import counting
from curriculum.segment import Bound, bound
from curriculum.waves import Job, Phase
from datapipe import exchange, store
from datapipe.engine import Task

INDEX_FILE = "index.json"
INDEX_ROWS = 1 << 16  # of a record batch
_OF_CORPUS = ("doc", "rank", "copies")  # columns that mean nothing beyond it


class Index(NamedTuple):
    """An index of documents of earlier corpora."""

    folder: str
    num_slices: int
    key: str
    params: dict[str, Any]


class Found(NamedTuple):
    """What a step found: files of one slice per partition, and what the report shows."""

    paths: list[str]
    about: dict[str, Any]


class Exchange(NamedTuple):
    """What the partitions of a corpus sent."""

    paths: list[str]
    num_receivers: int

    @property
    def num_parts(self) -> int:
        return len(self.paths)


def open_index(folder: str, step: Bound) -> Index:
    """The index in `folder`. Raises ValueError when there is none, or one that another step or other parameters made."""
    path = store.join(folder, INDEX_FILE)
    if not store.exists(path):
        raise ValueError(
            f"{step.name}: no index is in {folder}. Name the folder that a build with `{step.name}: {{index: true}}` wrote: "
            f"OUT/corpora/NAME/{step.name}-KEY/index"
        )
    about = json.loads(store.read_bytes(path))
    wanted = _emit_params(step)
    if (about["step"], about["version"]) != (step.name, step.step.version) or about["params"] != wanted:
        raise ValueError(
            f"{step.name}: the index {folder} was made by {about['step']} (version {about['version']}) with {about['params']}, "
            f"and this step is version {step.step.version} with {wanted}: use the same parameters, or make the index again"
        )
    return Index(folder, about["slices"], about["key"], about["params"])


def route(step: Bound, sent: Exchange, place: str, key: str, index: bool, against: Sequence[Index]) -> Job:
    """The job between the exchange of a step and its application; returns `Found`. Its files lie in `place`."""
    receivers = range(sent.num_receivers)
    judged = [store.join(place, f"judged-{receiver:05d}.arrow") for receiver in receivers]
    slices = [(_slice_path(store.join(place, "index"), receiver),) if index else () for receiver in receivers]
    arguments = {"step": step, "sent": sent, "against": list(against)}
    results = yield Phase(
        step.name,
        [
            Task(
                judge_slice,
                path,
                {**arguments, "receiver": receiver, "index_paths": slices[receiver]},
                slices[receiver],
            )
            for receiver, path in enumerate(judged)
        ],
    )
    if index:
        _write_index(
            store.join(place, "index"), step, key, sent.num_receivers, sum(result["sent"] for result in results)
        )
    counts = counting.add(result["counts"] for result in results)
    if not load(step.step).clusters:
        return Found(judged, counts)
    if sent.num_receivers > 1:
        judged = yield from _settled(step.name, Exchange(judged, sent.num_receivers), place)
        paths = [store.join(place, f"found-{receiver:05d}.arrow") for receiver in range(sent.num_receivers)]
        tell = {"stars": judged, "num_receivers": sent.num_receivers, "num_parts": sent.num_parts}
        results = yield Phase(
            step.name, [Task(find_slice, path, {**tell, "receiver": r}) for r, path in enumerate(paths)]
        )
        judged = paths
    return Found(judged, {**counts, **_cluster_counts(results)})


def _settled(label: str, links: Exchange, place: str) -> Job:
    """Rounds of contraction until nothing changes; returns the files of the last one."""
    paths, number = links.paths, 0
    while True:
        following = [
            store.join(place, f"round-{number:02d}-{receiver:05d}.arrow") for receiver in range(links.num_receivers)
        ]
        results = yield Phase(
            label,
            [
                Task(contract_slice, path, {"links": Exchange(paths, links.num_receivers), "receiver": r})
                for r, path in enumerate(following)
            ],
        )
        paths, number = following, number + 1
        if not any(result["changed"] for result in results):
            return paths


def judge_slice(
    *, output: str, step: Bound, sent: Exchange, receiver: int, against: list[Index], index_paths: Sequence[str]
) -> dict[str, Any]:
    """One receiver: judge what it was sent, together with what the indexes have of the same keys. At most one index is written."""
    routed: RoutedStep = load(step.step)
    rows = exchange.read_slice(sent.paths, receiver)
    for path in index_paths:
        _write_sorted(path, rows)
    num_sent = rows.num_rows
    if against:
        keys = np.unique(rows["key"].to_numpy())
        old = [
            table for index in against for table in _old_rows(index, receiver, sent.num_receivers, keys, rows.schema)
        ]
        rows = pa.concat_tables([rows, *old])
    judged = bound(routed.judge, step)(rows)
    counts = json.loads((judged.schema.metadata or {}).get(COUNTS, b"{}"))
    judged = judged.replace_schema_metadata(None)
    result: dict[str, Any] = {"sent": num_sent, "counts": counts}
    if routed.clusters and sent.num_receivers > 1:
        _send_links(output, judged, sent.num_receivers)
    elif routed.clusters:
        result |= _write_members(output, judged, np.ones(judged.num_rows, bool), sent.num_parts)
    else:
        ours = judged["doc"].to_numpy() < clusters.OLD  # nothing is told to the documents of an index
        _write_found(output, judged.filter(pa.array(ours, pa.bool_())), sent.num_parts)
    return result


def contract_slice(*, output: str, links: Exchange, receiver: int) -> dict[str, Any]:
    """One owner in one round: contract the links of its documents; says whether that changed anything."""
    received = _received(links, receiver)
    stars = clusters.stars(received)
    _send_links(output, stars, links.num_receivers)
    return {"links": stars.num_rows, "changed": not stars.equals(received)}


def find_slice(*, output: str, stars: list[str], receiver: int, num_receivers: int, num_parts: int) -> dict[str, Any]:
    """One owner at the end: tell the members of its clusters, in the slices of their partitions."""
    settled = _received(Exchange(stars, num_receivers), receiver)
    mine = _owners(settled["root"], num_receivers) == receiver
    return _write_members(output, settled, mine, num_parts)


def _received(links: Exchange, receiver: int) -> pa.Table:
    """Distinct links, in the order of documents, then of roots."""
    table = exchange.read_slice(links.paths, receiver)
    order = np.lexsort((table["root"].to_numpy(), table["doc"].to_numpy()))
    table = table.take(pa.array(order))
    doc, root = table["doc"].to_numpy(), table["root"].to_numpy()
    first = np.ones(len(doc), bool)
    first[1:] = (doc[1:] != doc[:-1]) | (root[1:] != root[:-1])
    return table.filter(pa.array(first, pa.bool_())).combine_chunks()


def _send_links(path: str, links: pa.Table, num_receivers: int) -> None:
    """Every link to the owners of both its documents."""
    to_doc, to_root = (_owners(links[side], num_receivers) for side in ("doc", "root"))
    other = np.flatnonzero(to_doc != to_root)
    both = pa.concat_tables([links, links.take(pa.array(other))])
    exchange.write_slices(path, both, np.concatenate([to_doc, to_root[other]]), num_receivers)


def _owners(docs: pa.ChunkedArray, num_receivers: int) -> np.ndarray:
    return exchange.receiver_of(clusters.owner(docs.to_numpy()), num_receivers)


def _write_members(path: str, stars: pa.Table, mine: np.ndarray, num_parts: int) -> dict[str, Any]:
    found, largest = clusters.members(stars, mine)
    _write_found(path, found, num_parts)
    keep = found["keep"].to_numpy(zero_copy_only=False)
    return {**largest, "clusters": int(keep.sum()), "removed": int((~keep).sum())}


def _write_found(path: str, found: pa.Table, num_parts: int) -> None:
    exchange.write_slices(path, found, (found["doc"].to_numpy() >> np.uint64(32)).astype(np.int64), num_parts)


def _cluster_counts(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    largest = sorted((pair for result in results for pair in result["largest"]), key=lambda pair: (-pair[1], pair[0]))
    counts = {name: sum(result[name] for result in results) for name in ("clusters", "removed")}
    return {**counts, "largest": [[f"{tie:016x}", size] for tie, size in largest[: clusters.LARGEST]]}


def _emit_params(step: Bound) -> dict[str, Any]:
    """What decides which rows a step sends: the parameters of its emit, defaults included."""
    taken = inspect.signature(load(step.step).emit).parameters.values()
    return {
        each.name: step.params.get(each.name, each.default)
        for each in taken
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _slice_path(folder: str, number: int) -> str:
    return store.join(folder, f"slice-{number:05d}.arrow")


def _write_index(folder: str, step: Bound, key: str, num_slices: int, rows: int) -> None:
    about = {
        "step": step.name,
        "version": step.step.version,
        "params": _emit_params(step),
        "key": key,
        "slices": num_slices,
        "rows": rows,
    }
    store.write_bytes(store.join(folder, INDEX_FILE), (json.dumps(about, sort_keys=True, indent=1) + "\n").encode())


def _write_sorted(path: str, rows: pa.Table) -> None:
    order = np.lexsort((rows["tie"].to_numpy(), rows["key"].to_numpy()))
    kept = rows.drop_columns(list(_OF_CORPUS)).take(pa.array(order))
    with store.output_file(path) as sink, pa.ipc.new_file(sink, kept.schema) as writer:
        writer.write_table(kept.combine_chunks(), max_chunksize=INDEX_ROWS)


def _old_rows(
    index: Index, receiver: int, num_receivers: int, keys: np.ndarray, schema: pa.Schema
) -> Iterator[pa.Table]:
    """The rows of an index whose key is among `keys` (sorted), as a receiver would have been sent them: better than all others."""
    first = receiver * index.num_slices // num_receivers
    last = -(-(receiver + 1) * index.num_slices // num_receivers)
    for number in range(first, last):
        with store.open_input(_slice_path(index.folder, number)) as source:
            only_keys = pa.ipc.IpcReadOptions(included_fields=[pa.ipc.open_file(source).schema.get_field_index("key")])
            scan, whole = pa.ipc.open_file(source, options=only_keys), pa.ipc.open_file(source)
            for batch in range(scan.num_record_batches):
                here = scan.get_batch(batch)["key"].to_numpy()
                at = np.minimum(np.searchsorted(keys, here), len(keys) - 1)
                if len(keys) and (met := keys[at] == here).any():
                    yield _as_sent(pa.Table.from_batches([whole.get_batch(batch)]).filter(pa.array(met)), schema)


def _as_sent(old: pa.Table, schema: pa.Schema) -> pa.Table:
    doc = clusters.old_numbers(old.drop_columns(["key"]))
    columns = {
        "doc": doc,
        "rank": np.full(len(doc), clusters.OLD_RANK, np.uint32),
        "copies": np.ones(len(doc), np.int64),
    }
    filled = {
        **{name: old[name] for name in old.column_names},
        **{name: pa.array(values) for name, values in columns.items()},
    }
    return pa.table([filled[name] for name in schema.names], schema=schema)
