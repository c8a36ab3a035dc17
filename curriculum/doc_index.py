"""Which rows hold a document: an index beside the shards of a set, ordered by a keyed hash of the document's id.

Its record batches are equal ranges of the hash, so that of a document is computed, and one of about 65,536 pieces is read and checked,
whatever the size of the set. Some 20 bytes per piece.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from datapipe import exchange, store
from datapipe.arrow_file import ArrowInput, Meter, ShardError, arrow_output

FILE = "index.arrow"
CODEC = pa.Codec("zstd", compression_level=3)
SLICE_PIECES = 65_536
INDEX = pa.schema(
    [("order", pa.uint64()), ("source", pa.uint16())]
    + [(name, pa.uint32()) for name in ("part", "shard", "row", "start", "offset", "length")]
)


def document_order(identity: str, seed: int) -> int:
    """Where a document stands among the others: a keyed hash of its id. `seed` is the plan's."""
    return xxhash.xxh3_64_intdigest(identity.encode(), seed)


class Found(NamedTuple):
    """A piece of a document."""

    source: str  # of the document: not that of the set where it fills a gap
    part: int  # of its corpus
    shard: int
    row: int  # of the shard
    start: int  # in tokens of the row
    offset: int  # in tokens of the document
    length: int


def write_index(path: str, pieces: pa.Table, sources: Sequence[str]) -> str:
    """Write the pieces (`INDEX`) of a set; `source` counts `sources`. Returns the sha256 of the file."""
    num_slices = max(1, pieces.num_rows // SLICE_PIECES)
    receivers = exchange.receiver_of(pieces["order"].to_numpy(), num_slices)
    with arrow_output(path, INDEX, CODEC, {"sources": json.dumps(sources), "slices": str(num_slices)}) as output:
        for batch in exchange.slices(pieces, receivers, num_slices):
            output.write(batch)
    return output.stream.sha256.hexdigest()


def find(folder: str, order: int) -> list[Found]:
    """The pieces with this order in the set whose shards lie in `folder`. StoreError when the index is missing or damaged."""
    path = store.join(folder, FILE)
    if not store.exists(path):
        raise store.StoreError(path, "no such file", "Run `tokenloom build` again: it makes what is missing.")
    try:
        file = ArrowInput(path, INDEX, Meter())
        sources, num_slices = file.sources(), int(file.note("slices", "[1-9][0-9]*"))
        pieces = file.batch(int(exchange.receiver_of(np.array([order], np.uint64), num_slices)[0]))
    except ShardError as error:
        raise store.StoreError(
            path, f"is damaged ({error})", "Delete it and run `tokenloom build` again: only it is made."
        ) from error
    mine = pieces.filter(pc.equal(pieces["order"], pa.scalar(order, pa.uint64())))
    columns = [name for name in Found._fields if name != "source"]
    return [Found(sources[row["source"]], *(row[name] for name in columns)) for row in mine.to_pylist()]
