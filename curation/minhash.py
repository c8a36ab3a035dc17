"""Fuzzy deduplication: MinHash over word 5-grams, banded LSH, pairs verified before they join a cluster.

Bands and rows are those of FineWeb (Penedo et al. 2024, section 3.4): 14 bands of 8 rows find a pair of Jaccard similarity s with
probability 1 - (1 - s^8)^14: 5 % at 0.5, 56 % at 0.7, 92 % at 0.8. What is unusual:

- A signature equals bit for bit that of `datasketch.MinHash(112, seed=seed, scheme="affine32", hashfunc=hash_shingle)`, so that
  library's LSH, pickles and tools read it; it is computed for a whole partition in numpy, without a shingle ever being a string.
- Candidates are verified on all 112 positions before they join. Without it, chains of chance band matches swallow whole sources.
- Between processes travels only the low byte of each minimum (b-bit MinHash, Li and Koenig 2010): 112 bytes instead of 448, 14 times per
  document. Two unrelated bytes agree once in 256, which the estimate corrects for.

Costs: signatures of some 20,000 documents of 2,000 characters per CPU second, about ten times datasketch's rate on the same shingles
(`python -m curation.bench` measures both), and 2.3 kB of exchange per document.

Not covered: texts that share fewer than five consecutive words, and words beyond the first 2 M characters of a document. Documents
without a single word are compared with nothing. `merge` holds the members of all clusters, not all documents, in memory.
"""

import functools
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import clusters, words
from curation.reasons import mark
from curation.steps import CorpusStep
from datapipe.schema import with_column

REASON = "dedup.minhash"
COUNTS = b"minhash.counts"  # schema metadata of what `reduce` and `merge` return: a JSON object of counters
LINK = pa.schema([("id", pa.string()), ("length", pa.int64()), ("root", pa.string()), ("root_length", pa.int64())])
VERDICT = pa.schema([("id", pa.string()), ("cluster", pa.string()), ("size", pa.int32()), ("keep", pa.bool_())])

_MAX_HASH = np.uint32((1 << 32) - 1)


def signatures(texts: pa.ChunkedArray | pa.Array, *, num_perm: int = 112, ngram: int = 5, seed: int = 1) -> np.ndarray:
    """uint32 (documents, num_perm): the MinHash signature of each text's set of shingles.

    A shingle is `ngram` consecutive lower-cased words; a text with fewer words is one shingle of all of them; a text without
    words keeps the largest value everywhere, as an empty `datasketch.MinHash` does.
    """
    parts = [_chunk_signatures(chunk, num_perm, ngram, seed) for chunk in words.chunks(texts)]
    return np.concatenate(parts) if parts else np.empty((0, num_perm), np.uint32)


def hash_shingle(shingle: Sequence[str]) -> int:
    """32-bit hash of a shingle, given as its lower-cased words: the `hashfunc` under which datasketch gives our signatures."""
    return words.hash_ngram(shingle) & 0xFFFFFFFF


def emit(docs: pa.Table, *, ngram: int = 5, bands: int = 14, rows: int = 8, seed: int = 1) -> pa.Table:
    """One row per document and band: key (the band's hash), id, length (characters), signature (low bytes)."""
    signature_DK = signatures(docs["text"], num_perm=bands * rows, ngram=ngram, seed=seed)
    some_D = np.flatnonzero((signature_DK != _MAX_HASH).any(axis=1))
    signature_DK = signature_DK[some_D]
    low_DK = np.ascontiguousarray(signature_DK.astype(np.uint8))
    low = pa.FixedSizeBinaryArray.from_buffers(pa.binary(bands * rows), len(some_D), [None, pa.py_buffer(low_DK)])
    one = pa.table({"id": docs["id"], "length": pc.utf8_length(docs["text"]).cast(pa.int64())}).take(pa.array(some_D))
    one = one.append_column("signature", low)
    keys = np.concatenate([_band_keys(signature_DK, band, rows) for band in range(bands)])
    rows_table = pa.concat_tables([one] * bands).combine_chunks()
    return rows_table.add_column(0, "key", pa.array(keys, pa.uint64()))


def reduce(sent: pa.Table, *, threshold: float = 0.7, max_bucket: int = 256) -> pa.Table:
    """Links (`LINK`) between documents of equal key that are alike: at most one per document, to the survivor of its cluster here.

    `threshold`: estimated Jaccard similarity from which two documents join. `max_bucket`: documents of equal key that are compared each
    with each; of more, all are compared with the longest one only, and the bucket is counted.
    """
    rows = _shared_keys(sent).sort_by([("key", "ascending"), ("length", "descending"), ("id", "ascending")])
    low_RK = _signature_bytes(rows["signature"])
    ids, document_R = clusters.numbered(rows["id"])
    keys = rows["key"].to_numpy()
    counts = {**clusters.count_buckets(keys, max_bucket), "pairs": 0, "pairs_alike": 0}
    joined = [np.empty((2, 0), np.int64)]
    for left, right in clusters.candidate_pairs(keys, max_bucket):
        alike = _similarity(low_RK[left], low_RK[right]) >= threshold
        counts["pairs"] += len(left)
        counts["pairs_alike"] += int(alike.sum())
        joined.append(np.unique(document_R[np.stack([left[alike], right[alike]])], axis=1))
    lengths = np.zeros(len(ids), np.int64)
    lengths[document_R] = rows["length"].to_numpy()
    root = clusters.survivors(lengths, np.concatenate(joined, axis=1))
    linked = np.flatnonzero(root != np.arange(len(ids)))
    to = root[linked]
    links = pa.table([ids.take(pa.array(linked)), lengths[linked], ids.take(pa.array(to)), lengths[to]], schema=LINK)
    return links.replace_schema_metadata({COUNTS: json.dumps(counts)})


def merge(tables: Sequence[pa.Table]) -> pa.Table:
    """The clusters (`VERDICT`): members in the order of their ids, `cluster` = the id of the survivor.

    The longest text survives, of equally long ones that with the smallest id.
    """
    links = pa.concat_tables([LINK.empty_table(), *(table.replace_schema_metadata(None) for table in tables)])
    ids, document_E = clusters.numbered(pa.chunked_array([*links["id"].chunks, *links["root"].chunks], pa.string()))
    lengths = np.zeros(len(ids), np.int64)
    lengths[document_E] = np.concatenate([links["length"].to_numpy(), links["root_length"].to_numpy()])
    root = clusters.survivors(lengths, document_E.reshape(2, -1))
    sizes = np.bincount(root, minlength=len(ids))
    columns = [ids, ids.take(pa.array(root)), sizes[root].astype(np.int32), root == np.arange(len(ids))]
    return pa.table(columns, schema=VERDICT).replace_schema_metadata({COUNTS: json.dumps(_total(tables))})


def apply(docs: pa.Table, verdict: pa.Table) -> pa.Table:
    """Sets `cluster_size` (int32, 1 for a document like no other) and the reason of all but each cluster's survivor."""
    place = pc.index_in(docs["id"], verdict["id"])
    size = pc.fill_null(verdict["size"].take(place), pa.scalar(1, pa.int32()))
    lost = pc.equal(verdict["keep"].take(place), False)
    reasons = pc.if_else(pc.fill_null(lost, False), pa.scalar(REASON), pa.scalar(None, pa.string()))
    return mark(with_column(docs, "cluster_size", size), reasons)


def check(
    *, ngram: int = 5, bands: int = 14, rows: int = 8, threshold: float = 0.7, max_bucket: int = 256, seed: int = 1
) -> None:
    """Raises ValueError for parameters out of range."""
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is no similarity: type a number above 0 and at most 1, such as 0.7")
    if min(ngram, bands, rows, max_bucket) < 1:
        raise ValueError(
            f"ngram {ngram}, bands {bands}, rows {rows} and max_bucket {max_bucket} must be at least 1: the published values are 5, 14, 8, "
            "and 256 is ours"
        )
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"seed {seed} must lie in 0..{(1 << 32) - 1}")


MINHASH = CorpusStep(emit, reduce, merge, apply, check)


def _chunk_signatures(chunk: words.Chunk, num_perm: int, ngram: int, seed: int) -> np.ndarray:
    """uint32 (D, num_perm)."""
    spans = words.word_runs(chunk)
    hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), spans)
    hashes_G, first_G = words.ngrams(hashes_S, spans.doc_S, ngram)
    doc_G = spans.doc_S[first_G]
    short_hashes, short_docs = _short_shingles(hashes_S, spans.doc_S, len(chunk.starts_D), ngram)
    signature_DK = np.full((len(chunk.starts_D), num_perm), _MAX_HASH, np.uint32)
    a_K, b_K = _permutations(num_perm, seed)
    if len(short_docs):
        signature_DK[short_docs] = _murmur_mix(short_hashes)[:, None] * a_K + b_K
    if len(doc_G):
        starts_G = np.flatnonzero(np.diff(doc_G, prepend=-1))
        signature_DK[doc_G[starts_G]] = _minima(_murmur_mix(hashes_G), starts_G, a_K, b_K).T
    return signature_DK


def _minima(shingles_G: np.ndarray, starts_G: np.ndarray, a_K: np.ndarray, b_K: np.ndarray) -> np.ndarray:
    """uint32 (K, documents): the least permuted shingle of each document. The inner loop of the step."""
    minima = np.empty((len(a_K), len(starts_G)), np.uint32)
    permuted_G = np.empty_like(shingles_G)
    for k, (a, b) in enumerate(zip(a_K, b_K, strict=True)):
        np.multiply(shingles_G, a, out=permuted_G)
        np.add(permuted_G, b, out=permuted_G)
        np.minimum.reduceat(permuted_G, starts_G, out=minima[k])
    return minima


def _short_shingles(
    hashes_S: np.ndarray, doc_S: np.ndarray, num_docs: int, ngram: int
) -> tuple[np.ndarray, np.ndarray]:
    """(hash, document) of the one shingle of every document that has words, but fewer than `ngram`."""
    counts_D = np.bincount(doc_S, minlength=num_docs)
    first_D = np.concatenate([[0], np.cumsum(counts_D)[:-1]])
    found = []
    for size in range(1, ngram):
        docs = np.flatnonzero(counts_D == size)
        window = hashes_S[first_D[docs][:, None] + np.arange(size)]
        hashes, _ = words.ngrams(window.ravel(), np.repeat(np.arange(len(docs)), size), size)
        found.append((hashes, docs))
    if not found:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    return np.concatenate([hashes for hashes, _ in found]), np.concatenate([docs for _, docs in found])


@functools.lru_cache(maxsize=4)
def _permutations(num_perm: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Odd factors and offsets, drawn as datasketch 2 draws them for its scheme "affine32" (numpy's legacy stream, frozen)."""
    stream = np.random.RandomState(seed)
    factors_K = stream.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors_K, stream.randint(0, 1 << 32, num_perm, dtype=np.uint32)


def _murmur_mix(hashes: np.ndarray) -> np.ndarray:
    """The low 32 bits through MurmurHash3's finaliser, as "affine32" mixes what a hashfunc returns."""
    mixed = hashes.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def _band_keys(signature_DK: np.ndarray, band: int, rows: int) -> np.ndarray:
    """uint64 (D,): equal for documents whose signatures agree on every row of the band."""
    hashes_S = signature_DK[:, band * rows : (band + 1) * rows].astype(np.uint64) + np.uint64((band + 1) << 32)
    keys, _ = words.ngrams(hashes_S.ravel(), np.repeat(np.arange(len(hashes_S)), rows), rows)
    return keys


def _signature_bytes(column: pa.ChunkedArray) -> np.ndarray:
    """uint8 (rows, K) of a fixed-size binary column."""
    width = column.type.byte_width
    parts = [
        np.frombuffer(part.buffers()[1], np.uint8)[part.offset * width : (part.offset + len(part)) * width]
        for part in column.chunks
        if len(part)
    ]
    return np.concatenate(parts).reshape(-1, width) if parts else np.empty((0, width), np.uint8)


def _similarity(left_PK: np.ndarray, right_PK: np.ndarray) -> np.ndarray:
    """float64 (P,): estimated Jaccard similarity from one byte per position, chance agreement taken out (Li and Koenig 2010)."""
    agree = (left_PK == right_PK).mean(axis=1)
    return (agree - 1 / 256) / (1 - 1 / 256)


def _shared_keys(rows: pa.Table) -> pa.Table:
    """The rows whose key another row has too: a few in a hundred."""
    _, place_R, counts = np.unique(rows["key"].to_numpy(), return_inverse=True, return_counts=True)
    return rows.filter(pa.array(counts[place_R] > 1, pa.bool_()))


def _total(tables: Sequence[pa.Table]) -> dict[str, int]:
    """The counters of all receivers, added up."""
    total: dict[str, int] = {}
    for table in tables:
        for name, count in json.loads((table.schema.metadata or {}).get(COUNTS, b"{}")).items():
            total[name] = total.get(name, 0) + count
    return total
