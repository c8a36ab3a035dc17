"""Semantic deduplication: template pages that survive MinHash, found by the cosine of their embeddings.

The method of SemDeDup (Abbas et al. 2023, algorithm 1): inside a cell of `cluster.kmeans`, documents are taken in the order of their
rank, and one that is too similar to a document before it goes. Ours differs in two ways. Only documents that were kept are compared
with, so that every document that goes has a near relative in the corpus (no chains), and a cell full of one template costs little. And
the longest stays by default; `keep: hard` keeps the one least similar to the cell's mean, as the paper does.

A document that goes carries, in `meta`, the first 16 digits of the id of the kept document it is most similar to, and their distance; the
counters tell pages of one host from those of several, because a template is either a site's own or copied between sites.

Embeddings are multiples of 1/2048, so every product below is exact in float32 and the outcome the same on any machine, for any order
of rows and any number of threads (`curation.dedup.embed`).

Costs: 150 M pairs of 128 numbers per CPU second. A cell of n documents of which k stay costs about n x k pairs (n x n / 2 when all do:
50,000 documents take 8 s) and memory for its embeddings as float32 twice. Cells of more than `max_members` are cut into pieces along
their main axis, which divides a few pairs, and are counted.

Measured (`python -m curation.bench semantic`, 2,600 documents): with the defaults, 70 to 77 in a hundred superfluous pages of three
kinds of templates go, of which MinHash finds 0 to 11; of the documents taken for distinct 0.9 in a hundred go, most of them manual
pages that are variants of one another.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.dedup.embed import COLUMN, exact_gram, leading_directions, matrix_of
from curation.dedup.kmeans import CENTROID
from curation.reasons import mark
from curation.steps import COUNTS, RoutedStep, StepError
from datapipe.schema import with_column

REASON = "dedup.semantic"
KEEP = ("longest", "hard")
FOUND = pa.schema([("doc", pa.uint64()), ("kept", pa.uint64()), ("distance", pa.float32())])
BLOCK, TILE = 512, 8_192  # documents judged at once, kept ones they are compared with at once: 16 MB of cosines

_ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads consecutive numbers evenly over the range of keys
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@?#]*@)?(?P<host>[^/:?#]+)"


class Judged(NamedTuple):
    """What became of some documents, in the order of their rank."""

    kept_M: np.ndarray  # int64, the kept document each is most similar to; -1 for one that stays
    distance_M: np.ndarray  # float32
    pairs: int


def emit(docs: pa.Table) -> pa.Table:
    """One row per document with an embedding: key (of its cell), row, rank (longer texts first), tie (of its id), host, embedding."""
    _, some_D = matrix_of(docs)
    if CENTROID not in docs.column_names:
        raise StepError(f"the documents have no column {CENTROID!r}: put cluster.kmeans before it")
    rows = pa.array(np.flatnonzero(some_D))
    cells = docs[CENTROID].take(rows).to_numpy().astype(np.uint64)
    lengths = pc.fill_null(pc.utf8_length(docs["text"].take(rows)), 0).to_numpy()
    columns = {
        "key": (cells + np.uint64(1)) * _ODD,
        "row": rows,
        "rank": (0xFFFFFFFF - np.minimum(lengths, 0xFFFFFFFF)).astype(np.uint32),
        "tie": _ties(docs["id"].take(rows)),
        "host": _hosts(docs["origin"].take(rows)),
        COLUMN: docs[COLUMN].take(rows),
    }
    return pa.table(columns)


def judge(
    rows: pa.Table, *, max_cosine_distance: float = 0.2, keep: str = "longest", max_members: int = 200_000
) -> pa.Table:
    """The documents that go (`FOUND`): doc, kept (the tie of the document it is nearest to), distance (1 - cosine, 0 or more).

    `max_cosine_distance`: up to here two documents count as one; the default suits `embed.words`, another model has another scale (its
    `bench_semantic` says which). `keep`: the `longest` of equal documents, or the `hard` one, least
    similar to its cell's mean. `max_members`: documents of a cell that are compared with each other.
    """
    rows = rows.sort_by([(name, "ascending") for name in ("key", "rank", "tie", "doc")]).combine_chunks()
    columns = {name: rows[name].to_numpy() for name in ("doc", "tie", "host")}
    counts = dict.fromkeys(("cells", "split_cells", "pairs", "removed_same_host", "removed_other_host", "removed"), 0)
    found = [FOUND.empty_table()]
    for start, end in _cells(rows["key"].to_numpy()):
        vectors_MN, _ = matrix_of(rows.slice(start, end - start))
        counts["cells"] += 1
        counts["split_cells"] += end - start > max_members
        for piece in _pieces(vectors_MN, max_members):
            order = piece[_hardest_first(vectors_MN[piece])] if keep == "hard" else piece
            judged = greedy(vectors_MN[order], max_cosine_distance)
            gone = np.flatnonzero(judged.kept_M >= 0)
            lost, kept = start + order[gone], start + order[judged.kept_M[gone]]
            found.append(pa.table([columns["doc"][lost], columns["tie"][kept], judged.distance_M[gone]], schema=FOUND))
            counts["pairs"] += judged.pairs
            _count_hosts(counts, columns["host"][lost], columns["host"][kept])
    return pa.concat_tables(found).sort_by("doc").replace_schema_metadata({COUNTS: json.dumps(counts)})


def apply(docs: pa.Table, found: pa.Table, *, keep_embedding: bool = False) -> pa.Table:
    """Sets the reason of every document that goes and, in its `meta`, `"semantic": {"kept": ..., "distance": ...}`.

    The columns `embedding` and `centroid` have served and go too, unless `keep_embedding`.
    """
    rows = found["row"].to_numpy()
    reasons = np.full(docs.num_rows, None, object)
    reasons[rows] = REASON
    if len(rows):
        meta = docs["meta"].to_pylist()
        pairs = zip(found["kept"].to_pylist(), found["distance"].to_pylist(), strict=True)
        for row, (kept, distance) in zip(rows.tolist(), pairs, strict=True):
            facts = {
                **json.loads(meta[row] or "{}"),
                "semantic": {"kept": f"{kept:016x}", "distance": round(distance, 4)},
            }
            meta[row] = json.dumps(facts, ensure_ascii=False)
        docs = with_column(docs, "meta", pa.array(meta, docs.schema.field("meta").type))
    if not keep_embedding:
        docs = docs.drop_columns([name for name in (COLUMN, CENTROID) if name in docs.column_names])
    return mark(docs, pa.array(reasons, pa.string()))


def check(*, max_cosine_distance: float = 0.2, keep: str = "longest", max_members: int = 200_000) -> None:
    """Raises ValueError for parameters out of range."""
    if not 0 <= max_cosine_distance < 1:
        raise ValueError(
            f"max_cosine_distance {max_cosine_distance} must be at least 0 and below 1: type 0.2, or less to remove less"
        )
    if keep not in KEEP:
        raise ValueError(f"keep is {keep!r}, but must be one of {', '.join(KEEP)}")
    if max_members < 2:
        raise ValueError(f"max_members {max_members} must be at least 2: the default is 200000")


SEMANTIC = RoutedStep(emit, judge, apply, check, is_indexed=False)  # cells and embeddings are this corpus' own


def greedy(vectors_MN: np.ndarray, max_cosine_distance: float) -> Judged:
    """Judges documents in the order of the rows (float32, whole numbers): who is within the distance of one kept before it goes."""
    num_docs = len(vectors_MN)
    inverse_M = (1 / np.sqrt((vectors_MN.astype(np.float64) ** 2).sum(axis=1))).astype(np.float32)
    limit = np.float32(1 - max_cosine_distance)
    nearest_M, cosine_M = np.full(num_docs, -1), np.full(num_docs, -2, np.float32)
    kept_KN, kept_K, num_kept, pairs = np.empty_like(vectors_MN), np.empty(num_docs, np.int64), 0, 0
    for start in range(0, num_docs, BLOCK):
        block = slice(start, start + BLOCK)
        block_BN, inverse_B = vectors_MN[block], inverse_M[block]
        for tile in range(0, num_kept, TILE):
            end = min(tile + TILE, num_kept)
            cosine_BK = (block_BN @ kept_KN[tile:end].T) * inverse_M[kept_K[tile:end]] * inverse_B[:, None]
            _take_better(nearest_M[block], cosine_M[block], cosine_BK, kept_K[tile:end])
        cosine_BB = (block_BN @ block_BN.T) * inverse_B * inverse_B[:, None]
        gone_B = _gone(cosine_BB, cosine_M[block] >= limit, limit)
        cosine_BB[:, gone_B] = -2
        cosine_BB[np.triu_indices(len(cosine_BB))] = -2
        _take_better(nearest_M[block], cosine_M[block], cosine_BB, np.arange(start, start + len(cosine_BB)))
        pairs += len(block_BN) * num_kept + len(block_BN) * (len(block_BN) - 1) // 2
        stays = np.flatnonzero(~gone_B)
        kept_KN[num_kept : num_kept + len(stays)] = block_BN[stays]
        kept_K[num_kept : num_kept + len(stays)] = start + stays
        num_kept += len(stays)
        nearest_M[start + stays] = -1
    return Judged(nearest_M, np.maximum(1 - cosine_M, 0), pairs)


def _gone(cosine_BB: np.ndarray, gone_B: np.ndarray, limit: np.float32) -> np.ndarray:
    """bool (B,): which documents of a block go, given those that go because of earlier blocks."""
    near_BB = np.tril(cosine_BB >= limit, -1)
    gone_B = gone_B.copy()
    for doc in np.flatnonzero(near_BB.any(axis=1) & ~gone_B).tolist():
        gone_B[doc] = (near_BB[doc] & ~gone_B).any()
    return gone_B


def _take_better(nearest_B: np.ndarray, cosine_B: np.ndarray, cosine_BK: np.ndarray, names_K: np.ndarray) -> None:
    """Updates, in place, each document's most similar one; of equally similar ones the first stands."""
    best_B = cosine_BK.argmax(axis=1)
    found_B = cosine_BK[np.arange(len(best_B)), best_B]
    better_B = found_B > cosine_B
    nearest_B[better_B], cosine_B[better_B] = names_K[best_B[better_B]], found_B[better_B]


def _cells(keys: np.ndarray) -> Iterator[tuple[int, int]]:
    """[start, end) of every run of equal keys."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    yield from zip(starts.tolist(), np.append(starts[1:], len(keys)).tolist(), strict=False)


def _pieces(vectors_MN: np.ndarray, max_members: int) -> Iterator[np.ndarray]:
    """Row numbers (ascending) of the cell in pieces of at most `max_members`, cut along the axis of largest variance."""
    num_docs = len(vectors_MN)
    if num_docs <= max_members:
        yield np.arange(num_docs)
        return
    total_N = vectors_MN.sum(axis=0, dtype=np.float64)
    spread_NN = exact_gram(vectors_MN) - np.outer(total_N, total_N) / num_docs
    along_M = _projected(vectors_MN, leading_directions(spread_NN, 1)[0])
    order = np.lexsort((np.arange(num_docs), along_M))
    for piece in np.array_split(order, -(-num_docs // max_members)):
        yield np.sort(piece)


def _hardest_first(vectors_MN: np.ndarray) -> np.ndarray:
    """The order of rising similarity to the mean."""
    lengths_M = np.sqrt(_projected(vectors_MN, vectors_MN))
    similarity_M = _projected(vectors_MN, vectors_MN.sum(axis=0, dtype=np.float64)) / lengths_M
    return np.lexsort((np.arange(len(vectors_MN)), similarity_M))


def _projected(vectors_MN: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """float64 (M,): products of the rows with one vector, or row by row; each depends on its row alone, which a BLAS does not promise."""
    parts = [np.empty(0)]
    for start in range(0, len(vectors_MN), TILE):
        part = vectors_MN[start : start + TILE].astype(np.float64)
        parts.append((part * (onto if onto.ndim == 1 else onto[start : start + TILE])).sum(axis=1))
    return np.concatenate(parts)


def _count_hosts(counts: dict[str, int], lost_hosts: np.ndarray, kept_hosts: np.ndarray) -> None:
    """0 is the host of a document whose origin is no URL."""
    known = (lost_hosts != 0) & (kept_hosts != 0)
    counts["removed"] += len(known)
    counts["removed_same_host"] += int((known & (lost_hosts == kept_hosts)).sum())
    counts["removed_other_host"] += int((known & (lost_hosts != kept_hosts)).sum())


def _ties(ids: pa.ChunkedArray) -> np.ndarray:
    """uint64: the first 16 hex digits of every id."""
    joined = "".join(pc.utf8_slice_codeunits(ids, 0, 16).to_pylist())
    return np.frombuffer(bytes.fromhex(joined), ">u8").astype(np.uint64)


def _hosts(origins: pa.ChunkedArray) -> np.ndarray:
    """uint64: a hash of the host of every URL, 0 where the origin is none."""
    found = pc.struct_field(pc.extract_regex(origins, _HOST), "host")
    encoded = pc.utf8_lower(found).combine_chunks().dictionary_encode()
    hashes = [0, *(xxhash.xxh3_64_intdigest(host.encode()) for host in encoded.dictionary.to_pylist())]
    return np.array(hashes, np.uint64)[pc.fill_null(encoded.indices, -1).to_numpy() + 1]
