"""Ranks, buckets and how often each is learned: what the documents of a corpus are worth, by quality and by how often they were found.

Nemotron-CC's method (Su et al. 2024, sections 2.2 and 2.4): every scorer ranks the corpus to 0..19, about 5 % of it each, the highest rank
that any gives a document is its own, and five labels group the ranks. The least ranks of the labels are theirs; characters stand in for
tokens. GLM-4.5 learns its best bucket in more than 3.2 epochs and drops its worst (GLM-4.5 report, section 2.2); the epochs in between are
a choice, not published. `cluster_epochs` multiplies the epochs of what a deduplication found often, FineWeb-2's rehydration (Penedo et al.
2025); their weights depend on the corpus, so there are no defaults. Buckets are what the plan counts in tokens: labels are split for it.

`by: lang` ranks the documents of every language, or of every value of another column of texts, among themselves: scores of models of their
own are not to be compared. Groups of fewer than `min_documents`, and documents without one, are ranked together.

No worker holds a row per document: a histogram of scores is added up. Its bins are the upper 24 bits of the float32 score (sign, exponent,
15 bits of the fraction), so two scores closer than 1 part in 32,768 fall together, and a bin never falls into two ranks: a rank is off
its 5 % by at most one bin on either side. A bin takes the rank of its middle character; documents without a score have rank 0.

The cost: 32 bytes per bin and column in the merge, less than 100 MB for three columns of probabilities; no time to speak of.
"""

import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.reasons import mark
from curation.steps import COUNTS, CorpusStep, StepError
from datapipe.schema import with_column

COLUMNS = ("quality",)
RANKS = 20
LABELS = {"high": 19, "medium_high": 18, "medium": 12, "medium_low": 7, "low": 0}  # Nemotron-CC, table of section 2.4
EPOCHS = {"high": 3.2, "medium_high": 2.0, "medium": 1.0, "medium_low": 0.5, "low": 0.0}
RANK_COLUMN = "quality_rank"
GROUP = "group"
MIN_DOCUMENTS = 1_000  # of a group with ranks of its own: 50 in each of twenty
BIN_BITS = 24
_NAME = re.compile(r"[^\W_][\w.-]*")
NO_SCORE = 0  # a bin below that of minus infinity
HISTOGRAM = pa.schema(
    [
        ("key", pa.uint64()),
        ("column", pa.int32()),  # its place among the columns
        ("bin", pa.uint32()),
        ("documents", pa.int64()),
        ("chars", pa.int64()),
    ]
)
CUT = pa.schema(
    [
        ("column", pa.string()),
        ("rank", pa.int32()),
        ("least_bin", pa.uint32()),  # of this rank and those above it; 2**24 when there is none
        ("documents", pa.int64()),  # that this column gives this rank
        ("chars", pa.int64()),
    ]
)


def emit(docs: pa.Table, *, columns: Sequence[str] = COLUMNS, by: str = "") -> pa.Table:
    """A histogram of every column: key, column, bin, documents, characters; with `by` of every group, and its name in `group`."""
    if by:
        parts = [_named(emit(docs.take(own), columns=columns), group) for group, own in _groups(docs, by)]
        return pa.concat_tables([_named(HISTOGRAM.empty_table(), None), *parts])
    chars_D = pc.fill_null(pc.utf8_length(docs["text"]), 0).to_numpy()
    parts = []
    for index, bins_D in enumerate(_bins(docs, columns)):
        found, place_D = np.unique(bins_D, return_inverse=True)
        documents = np.bincount(place_D, minlength=len(found))
        chars = np.zeros(len(found), np.int64)
        np.add.at(chars, place_D, chars_D)
        key = (found.astype(np.uint64) + np.uint64(index << BIN_BITS)) * np.uint64(0x9E3779B97F4A7C15)
        parts.append(pa.table([key, np.full(len(found), index, np.int32), found, documents, chars], schema=HISTOGRAM))
    return pa.concat_tables([HISTOGRAM.empty_table(), *parts])


def reduce(rows: pa.Table) -> pa.Table:
    """The histograms added up, in the order of groups, columns and bins."""
    kinds = [name for name in ("key", "column", "bin", GROUP) if name in rows.column_names]
    added = rows.group_by(kinds).aggregate([("documents", "sum"), ("chars", "sum")])
    added = added.rename_columns([name.removesuffix("_sum") for name in added.column_names])
    order = [(name, "ascending") for name in (GROUP, "column", "bin") if name in kinds]
    return added.select(rows.column_names).cast(rows.schema).sort_by(order)


def merge(
    tables: Sequence[pa.Table],
    *,
    columns: Sequence[str] = COLUMNS,
    ranks: int = RANKS,
    by: str = "",
    min_documents: int = MIN_DOCUMENTS,
) -> pa.Table:
    """The cuts (`CUT`): a row per column and rank, the lowest first; with `by` for every group, the last for those that share theirs."""
    if not by:
        return _cuts(reduce(pa.concat_tables([HISTOGRAM.empty_table(), *tables])), columns, ranks)
    rows = reduce(pa.concat_tables([_named(HISTOGRAM.empty_table(), None), *tables]))
    first = rows.filter(pc.equal(rows["column"], 0))
    counted = first.group_by(GROUP).aggregate([("documents", "sum")]).sort_by(GROUP).to_pylist()
    large = {
        row[GROUP]: row["documents_sum"] for row in counted if row[GROUP] and row["documents_sum"] >= min_documents
    }
    is_large = pc.is_in(rows[GROUP], pa.array(list(large), pa.string()))
    cuts = [_named(_cuts(rows.filter(pc.equal(rows[GROUP], group)), columns, ranks), group) for group in large]
    small = _named(rows.filter(pc.invert(is_large)), None)
    cuts.append(_named(_cuts(reduce(small), columns, ranks), None))
    told = {
        "ranked_apart": large,
        "ranked_together": sum(row["documents_sum"] for row in counted) - sum(large.values()),
    }
    return pa.concat_tables(cuts).replace_schema_metadata({COUNTS: json.dumps(told)})


def _cuts(rows: pa.Table, columns: Sequence[str], ranks: int) -> pa.Table:
    """Of one histogram for every column."""
    cuts = []
    for index, column in enumerate(columns):
        own = rows.filter(pc.equal(rows["column"], index))
        bins, documents, chars = (own[name].to_numpy() for name in ("bin", "documents", "chars"))
        rank_B = _rank_of(bins, chars, ranks)
        for rank in range(ranks):
            there = rank_B == rank
            least = bins[rank_B >= rank]
            cuts.append(
                {
                    "column": column,
                    "rank": rank,
                    "least_bin": 0 if rank == 0 else int(least[0]) if len(least) else 1 << BIN_BITS,
                    "documents": int(documents[there].sum()),
                    "chars": int(chars[there].sum()),
                }
            )
    return pa.Table.from_pylist(cuts, schema=CUT)


def apply(
    docs: pa.Table,
    verdict: pa.Table,
    *,
    columns: Sequence[str] = COLUMNS,
    labels: Mapping[str, int] = LABELS,
    epochs: Mapping[str, float] = EPOCHS,
    cluster_epochs: Mapping[str, float] | None = None,
    by: str = "",
) -> pa.Table:
    """Sets `quality_rank` (int32), `bucket`, and `bucket.<label>` as the reason of those whose label has 0 epochs.

    The rank is the highest that any column gives, with `by` among the documents of its group, and the label the one with the greatest least
    rank that it reaches. `epochs`: how often the documents of a label are learned. `cluster_epochs`: from so many copies (`cluster_size`)
    on the bucket is `<label>_c<copies>`, with the epochs of the label times this number. The mixture reads both, here only a zero matters.
    """
    _check_labels(labels, epochs, int(pc.max(verdict["rank"]).as_py()) + 1)
    if by:
        rank_D = np.zeros(docs.num_rows, np.int64)
        apart = set(verdict[GROUP].to_pylist())
        for group, own in _groups(docs, by):
            is_own = pc.equal(verdict[GROUP], group) if group in apart and group else pc.is_null(verdict[GROUP])
            rank_D[own.to_numpy()] = _ranks(docs.take(own), verdict.filter(is_own), columns)
    else:
        rank_D = _ranks(docs, verdict, columns)
    least = sorted(labels.values())
    names = sorted(labels, key=lambda label: labels[label])
    label_D = np.searchsorted(least, rank_D, side="right") - 1
    bucket = pa.array(names).take(pa.array(label_D))
    dropped = pc.is_in(bucket, pa.array([label for label, count in epochs.items() if count == 0], pa.string()))
    reasons = pc.if_else(dropped, pc.binary_join_element_wise("bucket", bucket, "."), pa.scalar(None, pa.string()))
    docs = with_column(docs, RANK_COLUMN, pa.array(rank_D, pa.int32()))
    if cluster_epochs:
        bucket = pc.binary_join_element_wise(bucket, pa.array(_suffixes(docs, cluster_epochs), pa.string()), "")
    return mark(with_column(docs, "bucket", bucket), reasons)


def _ranks(docs: pa.Table, cuts: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """int64 (D,): the highest rank that any column gives."""
    rank_D = np.zeros(docs.num_rows, np.int64)
    for column, bins_D in zip(columns, _bins(docs, columns), strict=True):
        own = cuts.filter(pc.equal(cuts["column"], column)).sort_by("rank")
        rank_D = np.maximum(rank_D, np.searchsorted(own["least_bin"].to_numpy(), bins_D, side="right") - 1)
    return rank_D


def check(
    *,
    columns: Sequence[str] = COLUMNS,
    ranks: int = RANKS,
    labels: Mapping[str, int] = LABELS,
    epochs: Mapping[str, float] = EPOCHS,
    cluster_epochs: Mapping[str, float] | None = None,
    min_documents: int = MIN_DOCUMENTS,
) -> None:
    """ValueError for columns that are no list, for labels that leave ranks out, and for epochs of other labels."""
    if min_documents < 1:
        raise ValueError(f"bucket.rank: min_documents is {min_documents}, but a group has some: type {MIN_DOCUMENTS}")
    if isinstance(columns, str) or not columns or len(set(columns)) < len(columns):
        raise ValueError(f"bucket.rank: columns is {columns!r}, but it is a list of different scores: type [quality]")
    if not 2 <= ranks <= 1000:
        raise ValueError(f"bucket.rank: ranks is {ranks}: type 2 to 1000, usual are {RANKS}")
    _check_labels(labels, epochs, ranks)
    _factors(cluster_epochs)


RANK = CorpusStep(emit, reduce, merge, apply, check)


def bucket_epochs(
    *, epochs: Mapping[str, float] = EPOCHS, cluster_epochs: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Epochs of every bucket that is kept: labels as given, best first, of each those with most copies first."""
    found: dict[str, float] = {}
    for label, count in epochs.items():
        for copies, factor in sorted(_factors(cluster_epochs).items(), reverse=True):
            found[f"{label}_c{copies}"] = float(Fraction(str(count)) * Fraction(str(factor)))  # 3.2 * 1.5 is 4.8
        found[label] = float(count)
    return {bucket: count for bucket, count in found.items() if count > 0}


def expected_shares(
    *,
    columns: Sequence[str] = COLUMNS,
    ranks: int = RANKS,
    labels: Mapping[str, int] = LABELS,
    cluster_epochs: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Share of the characters that each bucket will have, for a plan without data; adds up to 1, dropped labels included.

    Exact for one column. Of several it is what independent ones would give, 1 - (1 - 1/20)^k for the highest rank of k: Nemotron-CC
    measured 12.6 / 11.5 / 46.2 / 20.4 / 9.2 % with three scorers where this says 14.3 / 12.8 / 51.3 / 17.3 / 4.3 %. How much is found often
    is not known without data: all of it counts as found once.
    """
    least = sorted(labels.values())
    shares: dict[str, float] = {}
    for label, rank in labels.items():
        end = next((other for other in least if other > rank), ranks)
        share = Fraction(end, ranks) ** len(columns) - Fraction(rank, ranks) ** len(columns)
        shares |= {f"{label}_c{copies}": 0.0 for copies in sorted(_factors(cluster_epochs), reverse=True)}
        shares[label] = float(share)
    return shares


def score_bins(scores: np.ndarray) -> np.ndarray:
    """uint32 below 2**24, in the order of the scores; a missing one (NaN) is `NO_SCORE`. Minus zero lies with zero."""
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)
    ordered = np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31)) >> np.uint32(32 - BIN_BITS)
    return np.where(np.isnan(scores), np.uint32(NO_SCORE), ordered).astype(np.uint32)


def _groups(docs: pa.Table, by: str) -> list[tuple[str | None, pa.Array]]:
    """(group, its rows) in the order of names. Raises StepError for a column that is not there, or holds no texts."""
    kind = docs.schema.field(by).type if by in docs.column_names else pa.null()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        texts = [field.name for field in docs.schema if pa.types.is_string(field.type)]
        raise StepError(f"by is {by!r}, but the documents have no such column of texts: type one of {', '.join(texts)}")
    groups_D = np.array(docs[by].to_pylist(), object)
    return [
        (group, pa.array(np.flatnonzero(groups_D == group))) for group in sorted(set(groups_D), key=lambda g: g or "")
    ]


def _named(table: pa.Table, group: str | None) -> pa.Table:
    """The table with the name of its group."""
    return with_column(table, GROUP, pa.array([group] * table.num_rows, pa.string()))


def _bins(docs: pa.Table, columns: Sequence[str]) -> list[np.ndarray]:
    """uint32 (D,) of every column. Raises StepError for a column that is not there, or holds no numbers."""
    found = []
    for column in columns:
        kind = docs.schema.field(column).type if column in docs.column_names else pa.null()
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            scores = [field.name for field in docs.schema if pa.types.is_floating(field.type)]
            raise StepError(
                f"the documents have no column {column!r} of numbers (scores so far: {', '.join(scores) or 'none'}): put a score "
                "step, such as score.quality, before it, or name its column"
            )
        found.append(score_bins(docs[column].cast(pa.float64()).to_numpy()))
    return found


def _rank_of(bins_B: np.ndarray, chars_B: np.ndarray, ranks: int) -> np.ndarray:
    """int64 (B,): rank of every bin, in ascending order of bins: where the middle of its characters lies in the corpus."""
    total = max(1, int(chars_B.sum()))
    middle_B = 2 * np.cumsum(chars_B) - chars_B  # in half characters
    rank_B = np.minimum(middle_B * ranks // (2 * total), ranks - 1)
    return np.where(bins_B == NO_SCORE, 0, rank_B)


def _factors(cluster_epochs: Mapping[str, float] | None) -> dict[int, float]:
    """What the epochs are multiplied with, by the least number of copies; a manifest's keys are texts."""
    found = {}
    for copies, factor in (cluster_epochs or {}).items():
        least = int(copies) if str(copies).isdecimal() else 0
        if least < 2 or isinstance(factor, bool) or not isinstance(factor, int | float) or not factor > 0:
            raise ValueError(
                f"bucket.rank: cluster_epochs has {copies}: {factor}, but it says from how many copies on (2 and more) the epochs are "
                "multiplied, and by what (more than 0): type for instance {2: 1.5, 10: 2}"
            )
        found[least] = float(factor)
    return found


def _suffixes(docs: pa.Table, cluster_epochs: Mapping[str, float]) -> np.ndarray:
    """`_c<copies>` per document, for the greatest number of copies that its cluster has, or nothing."""
    if "cluster_size" not in docs.column_names:
        raise StepError(
            "cluster_epochs needs the column cluster_size, which the documents lack: put dedup.minhash before it"
        )
    sizes_D = pc.fill_null(docs["cluster_size"], 1).to_numpy()
    copies = sorted(_factors(cluster_epochs))
    suffixes = np.array(["", *(f"_c{least}" for least in copies)], object)
    return suffixes[np.searchsorted(copies, sizes_D, side="right")]


def check_names(step: str, epochs: Mapping[str, float]) -> None:
    """ValueError for labels that cannot be names of folders, where the shards of a bucket lie, and where nothing would be learned."""
    if wrong := [label for label in epochs if not _NAME.fullmatch(str(label))]:
        raise ValueError(
            f"{step}: {wrong[0]!r} is a label, and a folder is named by it: type letters, digits, `_`, `-` and dots, such as high"
        )
    if not any(epochs.values()):
        raise ValueError(f"{step}: epochs is {dict(epochs)}, and nothing would be kept: give one label more than 0")


def _check_labels(labels: Mapping[str, int], epochs: Mapping[str, float], ranks: int) -> None:
    if not isinstance(labels, Mapping):
        raise ValueError(
            f"bucket.rank: labels is {labels!r}, but gives every label its least rank: type for instance {LABELS}"
        )
    least = list(labels.values())
    whole = all(isinstance(rank, int) and not isinstance(rank, bool) and 0 <= rank < ranks for rank in least)
    if not whole or sorted(set(least), reverse=True) != least or 0 not in least:
        raise ValueError(
            f"bucket.rank: labels is {dict(labels)}, but gives every label its least rank, best first: falling whole numbers from below "
            f"{ranks} down to 0; the published ones are {LABELS}"
        )
    if not isinstance(epochs, Mapping):
        raise ValueError(
            f"bucket.rank: epochs is {epochs!r}, but gives every label its epochs: type for instance {EPOCHS}"
        )
    if wrong := [f"{label}: {count!r}" for label, count in epochs.items() if not _is_count(count)]:
        raise ValueError(f"bucket.rank: epochs has {wrong[0]}, but takes numbers of 0 or more: 0 drops a label")
    if set(epochs) != set(labels):
        raise ValueError(
            f"bucket.rank: epochs names {', '.join(epochs)} and labels {', '.join(labels)}: give every label, and no other, its epochs"
        )
    check_names("bucket.rank", epochs)


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
