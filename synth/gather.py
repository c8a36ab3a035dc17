"""Documents of several corpora in one, as they are: what a stage of long rows takes from web, books and papers alike.

Nothing is made here: ids and origins stay. Scores, buckets and embeddings stay behind, because corpora differ in them; the gathering
corpus has steps of its own, a deduplication among them where its sources overlap.
"""

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.steps import StepError
from datapipe.schema import DOCUMENT, DROP, LOSS_SPANS
from synth.generators import Generator


def emit(docs: pa.Table, *, min_chars: int = 0) -> pa.Table:
    """The documents of at least `min_chars` characters. StepError for documents with loss spans, which would be lost."""
    if LOSS_SPANS in docs.column_names and docs[LOSS_SPANS].null_count < docs.num_rows:
        raise StepError("documents with loss spans are rows of their own kind: name their corpus in the mix instead")
    rows = docs.select(DOCUMENT.names).filter(pc.greater_equal(pc.utf8_length(docs["text"]), min_chars))
    keys = [xxhash.xxh3_64_intdigest(id.encode()) for id in rows["id"].to_pylist()]
    return rows.append_column("key", pa.array(keys, pa.uint64()))


def reduce(rows: pa.Table) -> pa.Table:
    """The documents of a receiver, sorted."""
    ordered = rows.sort_by([("id", "ascending"), ("origin", "ascending"), ("corpus", "ascending")])
    return ordered.select(DOCUMENT.names).append_column(DROP, pa.nulls(rows.num_rows, pa.string()))


GATHER = Generator(emit, reduce)
