"""A sample of a corpus for what learns from it: candidates drawn by a number keyed by seed and id, of which the smallest are kept.

The sample is the same for any partitions and order. `drawn` sends every candidate to an exchange, `smallest` keeps so many per receiver,
and whoever merges keeps the smallest once more. Drawing costs 0.4 µs per document, the copy of the texts more.
"""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

SAMPLE = pa.schema([("key", pa.uint64()), ("draw", pa.uint64()), ("id", pa.string()), ("text", pa.large_string())])


def drawn(docs: pa.Table, *, sample: float, max_chars: int, seed: int, also: Sequence[str] = ()) -> pa.Table:
    """Candidates: key, draw, id, the first `max_chars` of the text, then the columns named in `also`.

    `sample` is the share of the documents that become candidates, above 0 and at most 1.
    """
    chosen, keys, draws = candidates(docs["id"], sample, seed)
    rows = docs.select(["id", "text", *also]).take(chosen)
    texts = pc.utf8_slice_codeunits(rows["text"], 0, max_chars)
    table = pa.table([keys, draws, rows["id"], texts], schema=SAMPLE)
    for name in also:
        table = table.append_column(name, rows[name])
    return table


def candidates(ids: pa.ChunkedArray, sample: float, seed: int) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """(which rows are candidates, uint64 key of each, uint64 draw of each)."""
    draws = draws_of(ids, seed)
    chosen = pa.array(np.flatnonzero(draws <= np.uint64(min(math.ldexp(sample, 64), 2**64 - 2048))))
    keys = draws_of(ids.take(chosen), seed + 1)  # the draw itself would send all of the smallest to one receiver
    return chosen, keys, draws[chosen.to_numpy()]


def smallest(rows: pa.Table, count: int) -> pa.Table:
    """The `count` rows with the smallest draws, in their order."""
    order = pc.sort_indices(rows, [("draw", "ascending"), ("id", "ascending")])
    return rows.take(order[:count])


def draws_of(ids: pa.ChunkedArray, seed: int) -> np.ndarray:
    """uint64 per id, keyed by the seed."""
    return np.fromiter((xxhash.xxh3_64_intdigest(i.as_py().encode(), seed) for i in ids), np.uint64, len(ids))


def check(*, sample: float, max_examples: int, seed: int, max_chars: int = 1) -> None:
    """Raises ValueError for a sample that cannot be drawn."""
    if not 0 < sample <= 1:
        raise ValueError(f"sample is {sample}, but it is a share: type a number above 0 and at most 1")
    if min(max_chars, max_examples) < 1:
        raise ValueError(f"max_chars {max_chars} and max_examples {max_examples} must be at least 1")
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"seed {seed} must lie in 0..{(1 << 32) - 1}")


def check_above_zero(**values: float) -> None:
    """Raises ValueError for the first that is not."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}, but must be above 0")
