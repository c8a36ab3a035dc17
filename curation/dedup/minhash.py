"""Fuzzy deduplication: MinHash over word 5-grams, banded LSH, pairs verified before they join a cluster.

Bands and rows are those of FineWeb (Penedo et al. 2024, section 3.4): 14 bands of 8 rows find a pair of Jaccard similarity s with
probability 1 - (1 - s^8)^14: 5 % at 0.5, 56 % at 0.7, 92 % at 0.8. What is unusual:

- A signature equals bit for bit that of `datasketch.MinHash(112, seed=seed, scheme="affine32", hashfunc=shingles.hash_shingle)`, so that
  library's LSH, pickles and tools read it; it is computed for a whole partition in numpy, without a shingle ever being a string.
- Candidates are verified on all 112 positions before they join. Without it, chains of chance band matches swallow whole sources.
- Between processes travel only the two low bits of each minimum (b-bit MinHash, Li and Koenig 2010): 28 bytes instead of 448, 14 times
  per document. Unrelated bits agree once in four, which the estimate corrects for; its standard error is 0.05 where all bits give 0.04.
- No worker holds the corpus: what meets in a band is judged there, links become clusters in rounds (`curation.dedup.clusters`).

Costs: signatures of some 60,000 documents of 2,000 characters per CPU second, sixteen times datasketch's rate on the same shingles
(`python -m curation.bench minhash` measures both), and 0.9 kB of exchange per document.

Not covered: texts that share fewer than five consecutive words, and words beyond the first 2 M characters of a document. Documents
without a single word are compared with nothing.
"""

import functools
import json

import numpy as np
import pyarrow as pa

from curation import words
from curation.dedup import clusters
from curation.dedup.shingles import shingles
from curation.steps import COUNTS, RoutedStep

REASON = "dedup.minhash"

MAX_NGRAM = 100  # words; a text of fewer is filled up to one shingle
MAX_PERMUTATIONS = 4_096  # 16 kB of signature for each of the documents at hand
_MAX_HASH = np.uint32((1 << 32) - 1)
_LOW_BITS = np.uint64(0x5555555555555555)
_PER_WORD = 32  # positions of which one uint64 holds the two low bits


def signatures(texts: pa.ChunkedArray | pa.Array, *, num_perm: int = 112, ngram: int = 5, seed: int = 1) -> np.ndarray:
    """uint32 (documents, num_perm): the MinHash signature of each text's set of shingles.

    A shingle is `ngram` consecutive lower-cased words; a text with fewer words is one shingle of all of them; a text without
    words keeps the largest value everywhere, as an empty `datasketch.MinHash` does.
    """
    signature_DK = np.full((len(texts), num_perm), _MAX_HASH, np.uint32)
    a_K, b_K = _permutations(num_perm, seed)
    for shingles_G, docs, counts in shingles(texts, ngram):
        signature_DK[docs] = _minima(shingles_G, np.cumsum(counts) - counts, a_K, b_K).T
    return signature_DK


def emit(
    docs: pa.Table,
    *,
    ngram: int = 5,
    bands: int = 14,
    rows: int = 8,
    seed: int = 1,
    prefer: str = clusters.LONGEST,
) -> pa.Table:
    """One row per document and band: key (the band's hash), signature (low bits), and the document's place in the order.

    `prefer`: the `longest` of a cluster stays, or that of the repository with the most `stars`, of equals the newest, by its meta.
    """
    signature_DK = signatures(docs["text"], num_perm=bands * rows, ngram=ngram, seed=seed)
    some_D = np.flatnonzero((signature_DK != _MAX_HASH).any(axis=1))
    signature_DK = signature_DK[some_D]
    packed_DW = pack(signature_DK)
    packed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(packed_DW.itemsize * packed_DW.shape[1]), len(some_D), [None, pa.py_buffer(packed_DW)]
    )
    one = pa.table(clusters.place(docs, prefer=prefer)).take(pa.array(some_D)).append_column("signature", packed)
    keys = np.concatenate([_band_keys(signature_DK, band, rows) for band in range(bands)])
    return pa.concat_tables([one] * bands).combine_chunks().add_column(0, "key", pa.array(keys, pa.uint64()))


def judge(sent: pa.Table, *, bands: int = 14, rows: int = 8, threshold: float = 0.5, max_bucket: int = 256) -> pa.Table:
    """Links (`clusters.LINK`) between documents of equal key that are alike.

    `threshold`: estimated Jaccard similarity from which two documents join. The default refuses what met by chance and leaves the curve of
    the bands as it is (of the pairs of similarity 0.6 that meet, 98 % pass); 0.8 keeps near copies only. `max_bucket`: documents
    of equal key that are compared each with each; of more, all are compared with the best one only, and the bucket is counted. Documents
    of an index count apart and are not compared among themselves (`clusters.candidate_pairs`).
    """
    shared = clusters.shared_keys(sent["key"].to_numpy())
    kept = clusters.in_order(sent.filter(pa.array(shared, pa.bool_())))
    packed_RW = _packed(kept["signature"])
    keys = kept["key"].to_numpy()
    is_old = kept["doc"].to_numpy() >= clusters.OLD
    counts = {**clusters.count_buckets(keys, is_old, max_bucket), "pairs": 0, "pairs_alike": 0}
    joined = clusters.Joined(kept)
    for left, right in clusters.candidate_pairs(keys, is_old, max_bucket):
        alike = similarity(packed_RW[left], packed_RW[right], bands * rows) >= threshold
        counts["pairs"] += len(left)
        counts["pairs_alike"] += int(alike.sum())
        joined.add(left[alike], right[alike])
    return joined.links().replace_schema_metadata({COUNTS: json.dumps(counts)})


def apply(docs: pa.Table, found: pa.Table) -> pa.Table:
    """See `clusters.drop_lost`: what `prefer` says of a cluster stays, of equals that with the smallest id."""
    return clusters.drop_lost(docs, found, REASON)


def check(
    *,
    ngram: int = 5,
    bands: int = 14,
    rows: int = 8,
    threshold: float = 0.5,
    max_bucket: int = 256,
    seed: int = 1,
    prefer: str = clusters.LONGEST,
) -> None:
    """Raises ValueError for parameters out of range."""
    clusters.check_preference(prefer)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is no similarity: type a number above 0 and at most 1, such as 0.5")
    if min(ngram, bands, rows, max_bucket) < 1:
        raise ValueError(
            f"ngram {ngram}, bands {bands}, rows {rows} and max_bucket {max_bucket} must be at least 1: the published values are 5, 14, 8, "
            "and 256 is ours"
        )
    if ngram > MAX_NGRAM:
        raise ValueError(f"ngram is {ngram}, and {MAX_NGRAM} words are the most of a shingle: the published value is 5")
    if bands * rows > MAX_PERMUTATIONS:
        raise ValueError(
            f"{bands} bands of {rows} rows are {bands * rows} permutations, and {MAX_PERMUTATIONS} is the most: usual are 14 of 8"
        )
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"seed {seed} must lie in 0..{(1 << 32) - 1}")


MINHASH = RoutedStep(emit, judge, apply, check, clusters=True)


def _minima(shingles_G: np.ndarray, starts_G: np.ndarray, a_K: np.ndarray, b_K: np.ndarray) -> np.ndarray:
    """uint32 (K, documents): the least permuted shingle of each document. The inner loop of the step."""
    minima = np.empty((len(a_K), len(starts_G)), np.uint32)
    permuted_G = np.empty_like(shingles_G)
    for k, (a, b) in enumerate(zip(a_K, b_K, strict=True)):
        np.multiply(shingles_G, a, out=permuted_G)
        np.add(permuted_G, b, out=permuted_G)
        np.minimum.reduceat(permuted_G, starts_G, out=minima[k])
    return minima


@functools.lru_cache(maxsize=4)
def _permutations(num_perm: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Odd factors and offsets, drawn as datasketch 2 draws them for its scheme "affine32" (numpy's legacy stream, frozen)."""
    stream = np.random.RandomState(seed)
    factors_K = stream.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors_K, stream.randint(0, 1 << 32, num_perm, dtype=np.uint32)


def _band_keys(signature_DK: np.ndarray, band: int, rows: int) -> np.ndarray:
    """uint64 (D,): equal for documents whose signatures agree on every row of the band."""
    hashes_S = signature_DK[:, band * rows : (band + 1) * rows].astype(np.uint64) + np.uint64((band + 1) << 32)
    keys, _ = words.ngrams(hashes_S.ravel(), np.repeat(np.arange(len(hashes_S)), rows), rows)
    return keys


def pack(signature_DK: np.ndarray) -> np.ndarray:
    """uint64 (D, W): the two low bits of every position, 32 positions to a word; what is left over is zero."""
    num_perm = signature_DK.shape[1]
    packed_WD = np.zeros((-(-num_perm // _PER_WORD), len(signature_DK)), np.uint64)
    for k, low_D in enumerate((signature_DK & np.uint32(3)).T.astype(np.uint64)):
        packed_WD[k // _PER_WORD] |= low_D << np.uint64(2 * (k % _PER_WORD))
    return np.ascontiguousarray(packed_WD.T)


def similarity(left_PW: np.ndarray, right_PW: np.ndarray, num_perm: int) -> np.ndarray:
    """float64 (P,): estimated Jaccard similarity of packed signatures, chance agreement taken out (Li and Koenig 2010, section 2)."""
    differ_PW = left_PW ^ right_PW
    differ_PW = (differ_PW | (differ_PW >> np.uint64(1))) & _LOW_BITS
    agree = 1 - np.bitwise_count(differ_PW).sum(axis=1, dtype=np.int64) / num_perm
    return (agree - 1 / 4) / (1 - 1 / 4)


def _packed(column: pa.ChunkedArray) -> np.ndarray:
    """uint64 (rows, W) of a fixed-size binary column."""
    width = column.type.byte_width // 8
    parts = [
        np.frombuffer(part.buffers()[1], np.uint64)[part.offset * width : (part.offset + len(part)) * width]
        for part in column.chunks
        if len(part)
    ]
    return np.concatenate(parts).reshape(-1, width) if parts else np.empty((0, width), np.uint64)
