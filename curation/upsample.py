"""Ranking a corpus into quality buckets of a given share, and how often each is learned.

Nemotron-CC's method (Su et al. 2024, section 2.4): rank all documents by score, cut the ranking by share, label the pieces; the shares here
are those of its table of labels, by tokens, with characters standing in for tokens. GLM-4.5 learns its best bucket in more than 3.2
epochs and drops its worst (GLM-4.5 report, section 2.2); the epochs in between are a choice, not published.

The cuts are exact over the whole corpus, with ties broken by id, whatever the partitions. The cost: one row of about 50 bytes per
document in `merge`, so one process ranks some 10^8 documents in 5 GB. Not covered: several scorers (rank by each, take the best).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.reasons import mark
from curation.steps import CorpusStep
from datapipe.schema import with_column

SHARES = {"high": 0.13, "medium_high": 0.12, "medium": 0.46, "medium_low": 0.20, "low": 0.09}
EPOCHS = {"high": 3.2, "medium_high": 2.0, "medium": 1.0, "medium_low": 0.5, "low": 0.0}
ROW = pa.schema([("key", pa.uint64()), ("score", pa.float64()), ("id", pa.string()), ("chars", pa.int64())])
CUT = pa.schema(
    [
        ("label", pa.string()),
        ("score", pa.float64()),  # of the last document of this label, in the order of falling scores, then ids
        ("id", pa.string()),
        ("documents", pa.int64()),
        ("chars", pa.int64()),
    ]
)


def emit(docs: pa.Table, *, column: str = "quality") -> pa.Table:
    """One row per document: key, score, id, characters. A document without a score ranks last."""
    if column not in docs.column_names:
        scores = [field.name for field in docs.schema if pa.types.is_floating(field.type)]
        raise ValueError(
            f"bucket.rank: the documents have no column {column!r} (scores so far: {', '.join(scores) or 'none'}): put a score step, "
            "such as score.quality, before it, or name its column"
        )
    keys = [xxhash.xxh3_64_intdigest(doc.as_py().encode()) for doc in docs["id"]]
    chars = pc.fill_null(pc.utf8_length(docs["text"]), 0)
    return pa.table([pa.array(keys, pa.uint64()), pa.array(_scores(docs, column)), docs["id"], chars], schema=ROW)


def reduce(rows: pa.Table) -> pa.Table:
    """The rows in the order of the ranking."""
    return rows.sort_by([("score", "descending"), ("id", "ascending")])


def merge(tables: Sequence[pa.Table], *, labels: Mapping[str, float] = SHARES) -> pa.Table:
    """The cuts: one row per label, best first.

    `labels`: share of the corpus' characters per label, best first, adding up to 1. A document belongs to the label in whose share its
    first character falls. A label can stay empty when one document is longer than its share.
    """
    _check_shares(labels)
    rows = reduce(pa.concat_tables([ROW.empty_table(), *tables]))
    chars = rows["chars"].to_numpy()
    before = np.cumsum(chars) - chars
    total = int(chars.sum())
    bounds = [round(share * total) for share in np.cumsum(list(labels.values()))[:-1]]
    ends = [*np.searchsorted(before, bounds, side="left").tolist(), len(chars)]
    cuts = []
    for label, start, end in zip(labels, [0, *ends[:-1]], ends, strict=True):
        last = rows.slice(end - 1, 1).to_pylist()[0] if end else {"score": np.inf, "id": ""}
        count = {"documents": end - start, "chars": int(chars[start:end].sum())}
        cuts.append({"label": label, "score": last["score"], "id": last["id"], **count})
    return pa.Table.from_pylist(cuts, schema=CUT)


def apply(
    docs: pa.Table, verdict: pa.Table, *, column: str = "quality", epochs: Mapping[str, float] = EPOCHS
) -> pa.Table:
    """Sets `bucket` to each document's label, and `bucket.<label>` as the reason of those whose label has 0 epochs.

    `epochs`: how often the documents of a label are learned; the mixture reads it, here only a zero matters.
    """
    cuts = verdict.to_pylist()
    _check_epochs(epochs, [cut["label"] for cut in cuts])
    scores, ids = _scores(docs, column), docs["id"].to_numpy().astype(object)
    labels = np.full(docs.num_rows, None, object)
    for cut in reversed(cuts):
        labels[(scores > cut["score"]) | ((scores == cut["score"]) & (ids <= cut["id"]))] = cut["label"]
    bucket = pa.array(labels, pa.string())
    dropped = pc.is_in(bucket, pa.array([label for label, count in epochs.items() if count == 0], pa.string()))
    reasons = pc.if_else(dropped, pc.binary_join_element_wise("bucket", bucket, "."), pa.scalar(None, pa.string()))
    return mark(with_column(docs, "bucket", bucket), reasons)


def check(*, labels: Mapping[str, float] = SHARES, epochs: Mapping[str, float] = EPOCHS) -> None:
    """ValueError when shares do not add up, or labels and epochs do not name the same buckets."""
    _check_shares(labels)
    _check_epochs(epochs, list(labels))


RANK = CorpusStep(emit, reduce, merge, apply, check)


def _scores(docs: pa.Table, column: str) -> np.ndarray:
    """float64, minus infinity where a document has no score."""
    scores = docs[column].cast(pa.float64()).to_numpy().copy()
    scores[np.isnan(scores)] = -np.inf
    return scores


def _check_shares(labels: Mapping[str, float]) -> None:
    total = sum(labels.values())
    if not labels or min(labels.values()) <= 0 or abs(total - 1) > 1e-6:
        raise ValueError(
            f"bucket.rank: the shares in labels add up to {total:.6g} ({dict(labels)}), but must be positive and add up to 1; "
            f"the published ones are {SHARES}"
        )


def _check_epochs(epochs: Mapping[str, float], labels: list[str]) -> None:
    if set(epochs) != set(labels) or min(epochs.values()) < 0:
        raise ValueError(
            f"bucket.rank: epochs names {', '.join(epochs)} and labels {', '.join(labels)}: give every label, and no other, its epochs "
            "(0 or more; 0 drops it)"
        )
