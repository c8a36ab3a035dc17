"""Groups of documents from pairs of documents: which pairs to look at, and what their connected components are.

Documents are numbers here (partition and row, see `curation.steps.RoutedStep`), placed in a total order in which the best survives: by
`rank` (uint64, or narrower until it is in a link), then `tie` (the beginning of the id), then number. A link names a document and a
better one. Components come out of stars: `stars` gives every document of some links the best one it is connected to. Done at many places
on the links of few documents each, and again on what comes out, until nothing changes, this finds the components of any number of
documents (`curriculum.routing` runs the rounds; each halves the longest way to a best document, so few are needed, also for chains).

Arrays all the way; a component costs a few passes over its links.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.reasons import mark
from datapipe.schema import with_column

_PAIRS_AT_ONCE = 1 << 16
_PAIRS_HELD = 1 << 21
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MAX_RANK = (1 << 31) - 1
OLD_RANK, MIN_RANK = 0, 1  # of the documents of an index, which stand before all others; of the best of a corpus
OLD = np.uint64(1 << 63)  # numbers from here on are documents of an index, not of the corpus
LONGEST = "longest"
_FIRST_YEAR, _WEEK_BITS = (
    1991,
    11,
)  # of the first public version control; weeks until 2029, and the last one for all later
LARGEST = 10  # clusters that are counted by name

SIDE = (("rank", pa.uint64()), ("tie", pa.uint64()), ("copies", pa.int64()))
LINK = pa.schema([("doc", pa.uint64()), *SIDE, ("root", pa.uint64()), *((f"root_{name}", kind) for name, kind in SIDE)])
FOUND = pa.schema(
    [
        ("row", pa.int64()),  # `doc` (uint64) before the engine has sent it to its partition
        ("cluster", pa.uint64()),  # the first 16 hex digits of the id of the document that stays
        ("size", pa.int64()),  # documents in the cluster, those that exact copies stood for included
        ("keep", pa.bool_()),
        ("known", pa.bool_()),  # the one that stays is in an index: an earlier crawl has it
    ]
)


def place(docs: pa.Table, penalties: np.ndarray | None = None, *, prefer: str = LONGEST) -> dict[str, pa.Array]:
    """The columns `row`, `rank`, `tie` and `copies` of all documents, for `emit`.

    Of a cluster stays the document of the least penalty (bool or 0/1 per row), of those the one to prefer (`PREFERENCES`), then the
    one with the smallest id.
    """
    worth_D = PREFERENCES[prefer](docs)
    rank = (MAX_RANK - np.minimum(worth_D, MAX_RANK - MIN_RANK)).astype(np.uint32)
    if penalties is not None:
        rank |= penalties.astype(np.uint32) << np.uint32(31)
    if "cluster_size" in docs.column_names:
        copies = docs["cluster_size"].combine_chunks().cast(pa.int64())
    else:
        copies = pa.array(np.ones(docs.num_rows, np.int64))
    ties = np.fromiter((int(i[:16], 16) for i in docs["id"].to_pylist()), np.uint64, docs.num_rows)
    row = pa.array(np.arange(docs.num_rows, dtype=np.int64))
    return {"row": row, "rank": pa.array(rank), "tie": pa.array(ties), "copies": copies}


def _lengths(docs: pa.Table) -> np.ndarray:
    return pc.fill_null(pc.utf8_length(docs["text"]), 0).to_numpy()


def _esteem(docs: pa.Table) -> np.ndarray:
    """Stars of the repository, and of equally many the week of the last change."""
    facts = pc.fill_null(docs["meta"], "")
    stars = pc.struct_field(pc.extract_regex(facts, r'"stars": ?(?P<stars>\d{1,9})[,}]'), "stars")
    day = pc.extract_regex(facts, r'"date": ?"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)')
    year, month, day_of_month = (
        pc.fill_null(pc.struct_field(day, name), "0").cast(pa.int64()).to_numpy() for name in ("year", "month", "day")
    )
    weeks = np.clip((year - _FIRST_YEAR) * 53 + month * 4 + day_of_month // 8, 0, (1 << _WEEK_BITS) - 1)
    return (pc.fill_null(stars, "0").cast(pa.int64()).to_numpy() << _WEEK_BITS) | weeks


PREFERENCES = {
    LONGEST: _lengths,
    "stars": _esteem,  # OpenCoder's choice among copies of a source file (Huang et al. 2024, section 2.1)
    "none": lambda docs: np.full(docs.num_rows, MAX_RANK, np.int64),
}


def check_preference(prefer: str) -> None:
    """Raises ValueError for none of `PREFERENCES`."""
    if prefer not in PREFERENCES:
        raise ValueError(f"prefer is {prefer!r}: type one of {', '.join(PREFERENCES)}")


def old_numbers(old: pa.Table) -> np.ndarray:
    """uint64 (rows,): numbers of documents of an index, beyond those of the corpus; what is sent of a document besides its keys tells
    it from another capture of the same address."""
    numbers = np.zeros(old.num_rows, np.uint64)
    for name in sorted(old.column_names):
        column = old[name].combine_chunks()
        if pa.types.is_fixed_size_binary(column.type):
            width = column.type.byte_width // 8
            words = np.frombuffer(column.buffers()[1], np.uint64)[column.offset * width :][: len(column) * width]
            parts = list(words.reshape(-1, width).T)
        else:
            parts = [column.to_numpy().astype(np.uint64)]
        for part in parts:
            numbers = (numbers ^ part) * _GOLDEN
            numbers ^= numbers >> np.uint64(32)
    return numbers | OLD


def in_order(rows: pa.Table) -> pa.Table:
    """The rows of equal keys together, the best document first."""
    return rows.sort_by([(name, "ascending") for name in ("key", "rank", "tie", "doc")])


class Joined:
    """Collects pairs of documents that are alike, and makes links of them. Holds 16 bytes each of `_PAIRS_HELD` pairs or documents."""

    def __init__(self, rows: pa.Table):
        """`rows`: what pairs are row numbers of; a document may have several rows."""
        docs = rows["doc"].to_numpy()
        _, first, of_R = np.unique(docs, return_index=True, return_inverse=True)
        sides = {name: rows[name].to_numpy()[first] for name in ("doc", "rank", "tie", "copies")}
        self._nodes, self._of_R = _ordered(sides, of_R)
        self._pairs: list[np.ndarray] = []
        self._held = 0

    def add(self, left: np.ndarray, right: np.ndarray) -> None:
        """Pairs of row numbers."""
        self._pairs.append(np.stack([self._of_R[left], self._of_R[right]]))
        self._held += len(left)
        if self._held > _PAIRS_HELD:
            best = self._best()
            self._pairs, self._held = [np.stack([np.arange(len(best)), best])], 0

    def links(self) -> pa.Table:
        """`LINK`s: one for every document that has a better one in its component, to the best, in the order of documents."""
        return _to_best(self._nodes, self._best())

    def _best(self) -> np.ndarray:
        left, right = np.concatenate([np.empty((2, 0), np.int64), *self._pairs], axis=1)
        return _best(len(self._nodes["doc"]), left, right)


def stars(found: pa.Table) -> pa.Table:
    """One link for every document of `found` (`LINK`) that has a better one in its component: to the best, in the order of documents."""
    sides = {
        name: np.concatenate([found[name].to_numpy(), found["root" if name == "doc" else f"root_{name}"].to_numpy()])
        for name in ("doc", "rank", "tie", "copies")
    }
    _, first, of_E = np.unique(sides["doc"], return_index=True, return_inverse=True)
    nodes, place_E = _ordered({name: values[first] for name, values in sides.items()}, of_E)
    return _to_best(nodes, _best(len(first), *np.split(place_E, 2)))


def owner(docs: np.ndarray) -> np.ndarray:
    """uint64 key of each document, evenly spread: where its links meet."""
    return docs * _GOLDEN


def members(settled: pa.Table, mine: np.ndarray) -> tuple[pa.Table, dict[str, list[list[int]]]]:
    """What is known of the members of clusters, and the largest clusters.

    `settled`: stars of whole components; `mine`: bool per link, whether this is the place that speaks for its root. Returns `FOUND` with
    the column `doc` instead of `row`, members before the document that stays, and [first 16 hex digits as an integer, size] pairs.
    """
    own = settled.filter(pa.array(mine, pa.bool_()))
    roots, first, cluster_E = np.unique(own["root"].to_numpy(), return_index=True, return_inverse=True)
    root_copies = own["root_copies"].to_numpy()[first]
    root_tie = own["root_tie"].to_numpy()[first]
    sizes = np.bincount(cluster_E, own["copies"].to_numpy(), len(roots)).astype(np.int64) + root_copies
    doc = np.concatenate([own["doc"].to_numpy(), roots])
    of = np.concatenate([cluster_E, np.arange(len(roots))])
    is_new = np.bincount(of[doc < OLD], minlength=len(roots)) > 0
    keep = np.arange(len(doc)) >= len(cluster_E)
    schema = pa.schema([pa.field("doc", pa.uint64()), *list(FOUND)[1:]])
    table = pa.table([doc, root_tie[of], sizes[of], keep, roots[of] >= OLD], schema=schema)
    top = [index for index in np.lexsort((root_tie, -sizes)).tolist() if is_new[index]][:LARGEST]
    largest = [[int(root_tie[index]), int(sizes[index])] for index in top]
    return table.filter(pa.array(doc < OLD, pa.bool_())), {"largest": largest}


def drop_lost(docs: pa.Table, found: pa.Table, reason: str) -> pa.Table:
    """`apply` of a step that clusters: sets `cluster` and `cluster_size` of the members of clusters, and the reason of those that go.

    `cluster` (string) is the beginning of the id of the document that stays, null for a document like no other; `cluster_size` (int32)
    the documents in it, exact copies that went before included. The reason is `reason`, or `reason`.known when an index has the one
    that stays.
    """
    names, sizes = _so_far(docs)
    row, size = found["row"].to_numpy(), found["size"].to_numpy()
    lost, known = ~found["keep"].to_numpy(zero_copy_only=False), found["known"].to_numpy(zero_copy_only=False)
    names[row] = [f"{tie:016x}" for tie in found["cluster"].to_pylist()]
    sizes[row] = np.minimum(size, 2**31 - 1)
    reasons = np.full(docs.num_rows, None, object)
    reasons[row[lost]] = reason
    reasons[row[lost & known]] = f"{reason}.known"
    docs = with_column(docs, "cluster", pa.array(names, pa.string()))
    docs = with_column(docs, "cluster_size", pa.array(sizes))
    return mark(docs, pa.array(reasons, pa.string()))


def _so_far(docs: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """What earlier steps wrote into `cluster` and `cluster_size`."""
    if "cluster_size" not in docs.column_names:
        return np.full(docs.num_rows, None, object), np.ones(docs.num_rows, np.int32)
    return np.array(docs["cluster"].to_pylist(), object), docs["cluster_size"].to_numpy().copy()


def count_buckets(keys: np.ndarray, is_old: np.ndarray, max_bucket: int) -> dict[str, int]:
    """How many keys a row of the corpus shares with others, and in how many of these more than `max_bucket` are of the corpus, or old."""
    starts, sizes = buckets(keys)
    old = _count_old(is_old, starts, sizes)
    met = (sizes > 1) & (old < sizes)
    return {
        "buckets": int(met.sum()),
        "oversized_buckets": int((met & (np.maximum(old, sizes - old) > max_bucket)).sum()),
    }


def candidate_pairs(keys: np.ndarray, is_old: np.ndarray, max_bucket: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of row numbers (left, right) with equal keys, some 65,536 at a time. `keys` must be sorted, the old rows of each in front.

    Two old rows are no pair. Of a bucket with up to `max_bucket` rows of the corpus each meets all the others, and the first `max_bucket`
    old ones; of a larger one each meets the first of the corpus and the first old one. So a bucket costs at most 1.5 * max_bucket**2
    pairs, or two for every row of the corpus, and old rows never keep those of the corpus apart.
    """
    starts, sizes = buckets(keys)
    old = _count_old(is_old, starts, sizes)
    is_large = sizes - old > max_bucket
    new = np.flatnonzero(~is_old)
    bucket_N = np.repeat(np.arange(len(starts)), sizes)[new]
    place_N = new - (starts + old)[bucket_N]  # among those of the corpus
    meets_new = np.where(is_large[bucket_N], 0, place_N)
    yield from _with_each(new - 1, -1, new, meets_new)
    chained = np.flatnonzero(is_large[bucket_N] & (place_N > 0))
    yield from _portions(new[chained] - place_N[chained], new[chained])
    meets_old = np.minimum(old, np.where(is_large, 1, max_bucket))[bucket_N]
    yield from _with_each(starts[bucket_N], 1, new, meets_old)


def _with_each(
    first: np.ndarray, step: int, rows: np.ndarray, counts: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of every row with the `counts` rows `first`, `first + step` and so on: those with their first one, then with their second."""
    inside, number = np.flatnonzero(counts), 0
    while len(inside):
        yield from _portions(first[inside] + number * step, rows[inside])
        number += 1
        inside = inside[counts[inside] > number]


def _count_old(is_old: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """int64: how many rows of each bucket are old."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_old)])
    return before[starts + sizes] - before[starts]


def shared_keys(keys: np.ndarray) -> np.ndarray:
    """bool per row: another row has the same key."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    shared = np.zeros(len(keys), bool)
    shared[order[1:]] = same
    shared[order[:-1]] |= same
    return shared


def _portions(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        yield left[start : start + _PAIRS_AT_ONCE], right[start : start + _PAIRS_AT_ONCE]


def buckets(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first row, size) of every run of equal keys."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return starts, np.diff(np.append(starts, len(keys)))


def _ordered(nodes: dict[str, np.ndarray], place: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Documents by column, best first, and `place`, numbers of documents, in that order."""
    order = np.lexsort((nodes["doc"], nodes["tie"], nodes["rank"]))
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    return {name: values[order] for name, values in nodes.items()}, position[place]


def _to_best(nodes: dict[str, np.ndarray], best: np.ndarray) -> pa.Table:
    linked = np.flatnonzero(best != np.arange(len(best)))
    linked = linked[np.argsort(nodes["doc"][linked], kind="stable")]
    sides = [nodes[name][rows] for rows in (linked, best[linked]) for name in ("doc", "rank", "tie", "copies")]
    return pa.table([pa.array(values) for values in sides], schema=LINK)


def _best(num_nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """For every node the first one of its component. Nodes take the least among their neighbours' until nothing changes; following
    what they point to (pointer jumping) makes the rounds logarithmic in practice, also for long chains."""
    best = np.arange(num_nodes)
    while True:
        lowest = best.copy()
        least = np.minimum(best[left], best[right])
        for ends in (left, right, best[left], best[right]):
            np.minimum.at(lowest, ends, least)
        lowest = lowest[lowest]
        if np.array_equal(lowest, best):
            return best
        best = lowest
