"""`cluster.kmeans`: sorts documents by embedding into cells, inside which `dedup.semantic` compares every document with every other.

Spherical k-means (faiss) on a keyed draw of the embeddings, as SemDeDup does (Abbas et al. 2023, section 3: 11,000 cells for C4). How many
cells: one per 8,192 documents, at most the square root of their number, so that a small corpus is compared in full and assigning costs
no more than comparing; `centroids` sets another number.

Embeddings and centroids are multiples of 1/2048 (`embed.GRID`), so the products that assign a document are exact and the same
on every machine. Training runs on one thread; its result is reproducible with the same build of faiss.

Costs, in CPU seconds for vectors of 128 numbers: training 1,000 centroids on 64 points each in 20 rounds 17; assigning 1,000 documents to
them 0.008. Not covered: pairs that a border between cells divides; `python -m curation.bench semantic` prints what that costs (0 to 4
in a hundred template pages).
"""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curation import draw
from curation.dedup.embed import COLUMN, GRID, column_of, matrix_of, rounded
from curation.steps import CorpusStep
from datapipe.schema import with_column

CENTROID = "centroid"
CANDIDATES = b"candidates"  # schema metadata of what `reduce` returns: how many rows it saw
DOCUMENTS_PER_CENTROID = 8_192
POINTS_PER_CENTROID = 64  # faiss recommends 39 to 256
BLOCK = 512


def emit(docs: pa.Table, *, sample: float = 1.0, seed: int = 0) -> pa.Table:
    """A keyed draw of the documents that have an embedding: key, draw, id, embedding."""
    _, some_D = matrix_of(docs)
    some = docs.filter(pa.array(some_D))
    chosen, keys, draws = draw.candidates(some["id"], sample, seed)
    rows = some.select(["id", COLUMN]).take(chosen)
    return pa.table([keys, draws, rows["id"], rows[COLUMN]], schema=_sample_schema(docs))


def reduce(rows: pa.Table, *, max_examples: int = 200_000) -> pa.Table:
    """The `max_examples` rows with the smallest draws, and in the metadata how many there were."""
    return draw.smallest(rows, max_examples).replace_schema_metadata({CANDIDATES: str(rows.num_rows)})


def merge(
    tables: Sequence[pa.Table],
    *,
    centroids: int = 0,
    iterations: int = 20,
    sample: float = 1.0,
    max_examples: int = 200_000,
    seed: int = 0,
) -> pa.Table:
    """The centroids, one row each, as a column `embedding`. `centroids`: how many, 0 to follow the number of documents."""
    seen = sum(int((table.schema.metadata or {}).get(CANDIDATES, b"0")) for table in tables)
    rows = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    wanted = centroids or automatic(round(seen / sample))
    wanted = max(1, min(wanted, rows.num_rows, max_examples // POINTS_PER_CENTROID))
    points_PN, _ = matrix_of(draw.smallest(rows, min(max_examples, max(wanted * POINTS_PER_CENTROID, 1))))
    return pa.table({COLUMN: column_of(_train(points_PN, min(wanted, len(points_PN)), iterations, seed))})


def apply(docs: pa.Table, verdict: pa.Table) -> pa.Table:
    """Adds `centroid` (int32): the number of the most similar centroid, of equal ones the smallest; -1 without an embedding."""
    vectors_DN, some_D = matrix_of(docs)
    centroids_KN, _ = matrix_of(verdict)
    nearest_D = np.full(docs.num_rows, -1, np.int32)
    for start in range(0, docs.num_rows if len(centroids_KN) else 0, BLOCK):
        nearest_D[start : start + BLOCK] = (vectors_DN[start : start + BLOCK] @ centroids_KN.T).argmax(axis=1)
    nearest_D[~some_D] = -1
    return with_column(docs, CENTROID, pa.array(nearest_D))


def check(
    *, centroids: int = 0, iterations: int = 20, sample: float = 1.0, max_examples: int = 200_000, seed: int = 0
) -> None:
    """Raises ValueError for parameters out of range."""
    draw.check(sample=sample, max_examples=max_examples, seed=seed)
    if centroids < 0 or iterations < 1:
        raise ValueError(f"centroids {centroids} must be at least 0 (0: chosen) and iterations {iterations} at least 1")
    if max_examples < POINTS_PER_CENTROID * max(centroids, 1):
        raise ValueError(
            f"max_examples {max_examples} is too few to learn {max(centroids, 1)} centroids: type at least "
            f"{POINTS_PER_CENTROID * max(centroids, 1)}, {POINTS_PER_CENTROID} for each"
        )


KMEANS = CorpusStep(emit, reduce, merge, apply, check)


def automatic(documents: int) -> int:
    """How many centroids for so many documents."""
    return max(1, min(math.ceil(documents / DOCUMENTS_PER_CENTROID), math.isqrt(documents)))


def _train(points_PN: np.ndarray, num_centroids: int, iterations: int, seed: int) -> np.ndarray:
    """float32 (K, N): centroids of points in whole units of 1/GRID, in these units."""
    import faiss

    if num_centroids <= 1:
        return rounded(points_PN.sum(axis=0, keepdims=True, dtype=np.float64)[:num_centroids])[0]
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        limits = {"min_points_per_centroid": 1, "max_points_per_centroid": len(points_PN)}
        learner = faiss.Kmeans(
            points_PN.shape[1], num_centroids, niter=iterations, seed=seed, spherical=True, verbose=False, **limits
        )
        learner.train(np.ascontiguousarray(rounded(points_PN)[0] / GRID))
    finally:
        faiss.omp_set_num_threads(threads)
    return rounded(np.asarray(learner.centroids))[0]


def _sample_schema(docs: pa.Table) -> pa.Schema:
    kind = docs.schema.field(COLUMN).type
    return pa.schema([("key", pa.uint64()), ("draw", pa.uint64()), ("id", pa.string()), (COLUMN, kind)])
