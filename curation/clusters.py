"""Groups of documents from pairs of documents: which pairs to look at, and what their connected components are.

Arrays all the way: numbers stand for documents, in the order of their ids. A component costs a few passes over its edges.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_PAIRS_AT_ONCE = 1 << 16


def numbered(ids: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """(the distinct ids in their order, int64 place of every row's id among them)."""
    encoded = ids.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return encoded.dictionary.take(pa.array(order)), place[encoded.indices.to_numpy()]


def count_buckets(keys: np.ndarray, max_bucket: int) -> dict[str, int]:
    """How many keys several rows share, and how many more than `max_bucket` do."""
    _, sizes = _buckets(keys)
    return {"buckets": int((sizes > 1).sum()), "oversized_buckets": int((sizes > max_bucket).sum())}


def candidate_pairs(keys: np.ndarray, max_bucket: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of row numbers (left, right) with equal keys, some 65,536 at a time; `keys` must be sorted.

    A bucket of up to `max_bucket` rows yields all its pairs, distance by distance, a larger one each row with its first.
    """
    starts, sizes = _buckets(keys)
    position = np.arange(len(keys)) - np.repeat(starts, sizes)
    size_R = np.repeat(sizes, sizes)
    chained = np.flatnonzero((size_R > max_bucket) & (position > 0))
    yield from _portions(chained - position[chained], chained)
    for distance in range(1, int(sizes[sizes <= max_bucket].max(initial=0))):
        right = np.flatnonzero((size_R <= max_bucket) & (position >= distance))
        yield from _portions(right - distance, right)


def _portions(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        yield left[start : start + _PAIRS_AT_ONCE], right[start : start + _PAIRS_AT_ONCE]


def _buckets(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first row, size) of every run of equal keys."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return starts, np.diff(np.append(starts, len(keys)))


def survivors(lengths: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """For every document (numbered in the order of ids) the survivor of its connected component, itself when it has no edge.

    Documents are ranked by the total order (longest first, then id) and take the best rank among their neighbours until nothing
    changes; following the ranks in between (pointer jumping) makes the rounds logarithmic in practice, also for long chains.
    """
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    rank = np.empty(len(lengths), np.int64)
    rank[order] = np.arange(len(lengths))
    best, (left, right) = rank.copy(), edges
    while True:
        lowest = best.copy()
        least = np.minimum(best[left], best[right])
        np.minimum.at(lowest, left, least)
        np.minimum.at(lowest, right, least)
        np.minimum.at(lowest, order[best[left]], least)
        np.minimum.at(lowest, order[best[right]], least)
        lowest = lowest[order[lowest]]
        if np.array_equal(lowest, best):
            return order[best]
        best = lowest
