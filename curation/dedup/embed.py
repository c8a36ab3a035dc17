"""Document embeddings without a foreign model: word vectors made in the run, added up over the distinct words of a text.

`embed.words` draws a sample of the corpus, gives every frequent word of it a vector, and takes the direction that all texts share out of
the vectors (the common component of SIF, Arora et al. 2017, algorithm 1; `common: 3` takes out three, as Mu and Viswanath 2018 do). A
document's embedding is the sum over its distinct words, of unit length. All of this is linear, so the verdict is one table from words
to vectors, and embedding a document is a gather and a sum.

What is unusual (`python -m curation.bench semantic` prints what other values of `trained` and `common` find):

- A word's vector is a random direction of its own, so that cosines compare the sets of words of two texts. `trained` mixes in vectors that
  fastText learns from the sample (Bojanowski et al. 2017; centred, of unit length), which brings words of like meaning together. It is 0
  by default: averages of vectors learned from a few million words say what a text is about and little more, and everything on one
  subject, or in one of the rarer languages, falls together, before the pages of a template do.
- A word counts once per document, with a weight that grows with its documents (fourth root). SIF's and idf's weights do the reverse, and
  favour rare words, the very ones in which the pages of a template differ.
- Coordinates are multiples of 1/2048 (`GRID`), stored as float16. Products of two of them, summed in float32, are exact whatever the order,
  so cosines do not depend on the BLAS, its threads, or where in a matrix a row stands.

fastText is started from given vectors, because with one thread it leaves part of its matrix uninitialised.

Costs, per CPU second: learning from 5,000 documents and embedding 10,000, of 1,700 characters each; with `trained`, fastText reads 450,000
words per epoch on top. Not covered: word order, paraphrases, and words that fewer than `min_docs` documents of the sample have. Only the
first `max_chars` characters of a document count.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import draw, words
from curation.draw import SAMPLE
from curation.steps import CorpusStep, StepError
from datapipe.schema import with_column

COLUMN = "embedding"
GRID = 2048  # 11 bits: a product has 22, and sums of products up to the squared length 1 fit into float32's 24
MAX_DIM = 8_192
WEIGHT = 0.25  # the power of a word's number of documents that it counts with
_ROWS = 8_192
END_OF_LINE = "</s>"  # a word that fastText adds to every line
VERDICT = pa.schema(
    [
        ("words", pa.list_(pa.uint64())),  # hashes (`curation.words`), ascending
        ("vectors", pa.list_(pa.float32())),  # one after the other
        ("documents", pa.int64()),  # of the sample
    ]
)


class Bags(NamedTuple):
    """The distinct words of some documents, documents in order."""

    hashes_B: np.ndarray  # uint64
    doc_B: np.ndarray  # int64, ascending
    num_docs: int


def emit(docs: pa.Table, *, sample: float = 1.0, max_chars: int = 4_000, seed: int = 0) -> pa.Table:
    """A keyed draw of the documents: key, draw, id, the first `max_chars` of the text. `sample` is the share drawn."""
    return draw.drawn(docs, sample=sample, max_chars=max_chars, seed=seed)


def reduce(rows: pa.Table, *, max_examples: int = 20_000) -> pa.Table:
    """The `max_examples` rows with the smallest draws."""
    return draw.smallest(rows, max_examples)


def merge(
    tables: Sequence[pa.Table],
    *,
    dim: int = 128,
    trained: float = 0.0,
    epochs: int = 5,
    common: int = 1,
    min_docs: int = 3,
    max_words: int = 100_000,
    max_chars: int = 4_000,
    max_examples: int = 20_000,
    seed: int = 0,
) -> pa.Table:
    """Learns the vectors; one row (`VERDICT`).

    `dim`: numbers per vector. `trained`: the share of the learned part in a word's vector, 0 to do without it. `common`: how many shared
    directions are taken out. The `max_words` words that most documents of the sample have get a vector, each from `min_docs` documents on.
    """
    rows = draw.smallest(pa.concat_tables([SAMPLE.empty_table(), *tables]), max_examples)
    texts = pc.utf8_slice_codeunits(rows["text"], 0, max_chars)
    bags = bags_of(texts)
    known_V, counts_V = vocabulary(bags.hashes_B, min_docs, max_words)
    random_VN = np.random.Generator(np.random.Philox(seed)).standard_normal((len(known_V), dim), np.float32)
    vectors_VN = math.sqrt(1 - trained) * _unit(random_VN)
    if trained and len(known_V):
        learned_VN = train(texts, known_V, dim=dim, epochs=epochs, seed=seed)
        vectors_VN += math.sqrt(trained) * _unit(learned_VN - learned_VN.mean(axis=0))
    vectors_VN *= (counts_V**WEIGHT).astype(np.float32)[:, None]
    embedded_DN, some_D = rounded(sums_of(bags, known_V, vectors_VN))
    for common_N in leading_directions(exact_gram(embedded_DN[some_D]), common):
        vectors_VN -= (vectors_VN * common_N).sum(axis=1, keepdims=True) * common_N
    return pa.table([[known_V], [vectors_VN.ravel()], [bags.num_docs]], schema=VERDICT)


def apply(docs: pa.Table, verdict: pa.Table, *, dim: int = 128, max_chars: int = 4_000) -> pa.Table:
    """Adds `embedding` (float16 x `dim` as fixed-size binary, unit length), null for a document without a known word."""
    known_V = verdict["words"].combine_chunks().values.to_numpy()
    vectors_VN = verdict["vectors"].combine_chunks().values.to_numpy().reshape(-1, dim)
    parts = [np.empty((0, dim), np.float32)]
    for chunk in words.chunks(pc.utf8_slice_codeunits(docs["text"], 0, max_chars)):
        parts.append(sums_of(_chunk_bags(chunk), known_V, vectors_VN))
    return with_column(docs, COLUMN, column_of(np.concatenate(parts)))


def check(
    *,
    sample: float = 1.0,
    dim: int = 128,
    trained: float = 0.0,
    epochs: int = 5,
    common: int = 1,
    min_docs: int = 3,
    max_words: int = 100_000,
    max_chars: int = 4_000,
    max_examples: int = 20_000,
    seed: int = 0,
) -> None:
    """Raises ValueError for parameters out of range."""
    draw.check(sample=sample, max_examples=max_examples, seed=seed, max_chars=max_chars)
    if not 8 <= dim <= MAX_DIM:
        raise ValueError(f"dim is {dim}, but must lie in 8..{MAX_DIM}: type 128, or 64 to halve what travels")
    if not 0 <= common < dim:
        raise ValueError(f"common is {common}, but must lie in 0..{dim - 1}, the directions a vector has: type 1")
    if not 0 <= trained <= 1:
        raise ValueError(f"trained is {trained}, but is a share: type a number from 0 to 1, such as 0 or 0.1")
    if min(epochs, min_docs, max_words) < 1:
        raise ValueError(
            f"epochs {epochs}, min_docs {min_docs} and max_words {max_words} must be at least 1: the defaults are 5, 3 and 100000"
        )


WORDS = CorpusStep(emit, reduce, merge, apply, check)


def column_of(vectors_DN: np.ndarray) -> pa.Array:
    """Vectors of any length as an `embedding` column: fixed-size binary of float16 in steps of 1/`GRID`, of unit length.

    Null where a row is zero or not finite.
    """
    rounded_DN, some_D = rounded(vectors_DN)
    halves_DN = np.ascontiguousarray((rounded_DN / np.float32(GRID)).astype("<f2"))
    mask = pa.array(some_D).buffers()[1]
    kind = pa.binary(2 * vectors_DN.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(halves_DN), [mask, pa.py_buffer(halves_DN)])


def matrix_of(docs: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """(float32 (D, N), bool (D,)): embeddings in units of 1/GRID, whole numbers, and which documents have one.

    Raises StepError when the documents have no such column.
    """
    if COLUMN not in docs.column_names or not pa.types.is_fixed_size_binary(docs.schema.field(COLUMN).type):
        raise StepError(
            f"the documents have no column {COLUMN!r} of fixed-size binary (columns: {', '.join(docs.column_names)}): put "
            "embed.words, embed.model or embed.endpoint before it"
        )
    column = docs[COLUMN].combine_chunks()
    dim = column.type.byte_width // 2
    halves = np.frombuffer(column.buffers()[1] or b"", "<f2")[column.offset * dim : (column.offset + len(column)) * dim]
    some_D = column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(some_D[:, None], np.rint(halves.reshape(-1, dim).astype(np.float32) * GRID), 0), some_D


def rounded(vectors_DN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(float32 (D, N), bool (D,)): vectors of unit length in whole units of 1/GRID, and which had a length."""
    lengths_D = np.sqrt((vectors_DN.astype(np.float64) ** 2).sum(axis=1))
    some_D = np.isfinite(lengths_D) & (lengths_D > 0)
    scale_D = GRID / np.where(some_D, lengths_D, 1)
    return np.rint(np.where(some_D[:, None], vectors_DN, 0) * scale_D[:, None]).astype(np.float32), some_D


def exact_gram(whole_DN: np.ndarray) -> np.ndarray:
    """float64 (N, N): the products of the columns; exact, whatever the order of the rows, because these are whole numbers."""
    gram_NN = np.zeros((whole_DN.shape[1],) * 2)
    for start in range(0, len(whole_DN), _ROWS):
        part = whole_DN[start : start + _ROWS].astype(np.float64)
        gram_NN += part.T @ part
    return gram_NN


def leading_directions(gram_NN: np.ndarray, count: int) -> np.ndarray:
    """float64 (count, N), unit length: the directions in which rows reach furthest from 0, each at right angles to those before it.

    Power iteration, 100 rounds without a call to a BLAS, so the result is the same on any number of threads. Zero where nothing is left.
    """
    found: list[np.ndarray] = []
    for _ in range(count):
        vector_N = np.ones(len(gram_NN))
        for _ in range(100):
            vector_N = (gram_NN * vector_N).sum(axis=1)
            for known_N in found:
                vector_N = vector_N - (vector_N * known_N).sum() * known_N
            vector_N = vector_N / max(math.sqrt((vector_N**2).sum()), 1e-300)
        found.append(vector_N)
    return np.array(found).reshape(count, len(gram_NN))


def bags_of(texts: pa.ChunkedArray | pa.Array) -> Bags:
    """The distinct lower-case words of every text."""
    hashes, docs, num_docs = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], 0
    for chunk in words.chunks(texts):
        bags = _chunk_bags(chunk)
        hashes.append(bags.hashes_B)
        docs.append(bags.doc_B + num_docs)
        num_docs += bags.num_docs
    return Bags(np.concatenate(hashes), np.concatenate(docs), num_docs)


def vocabulary(hashes_B: np.ndarray, min_docs: int, max_words: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint64 (V,) ascending, int64 (V,)): the words that most documents have, and how many have each."""
    found, counts = np.unique(hashes_B, return_counts=True)
    common = np.lexsort((found, -counts))[: min(max_words, int((counts >= min_docs).sum()))]
    common.sort()
    return found[common], counts[common]


def sums_of(bags: Bags, known_V: np.ndarray, vectors_VN: np.ndarray) -> np.ndarray:
    """float32 (D, N): the sum of the vectors of every document's known words, in the order of their hashes."""
    sums_DN = np.zeros((bags.num_docs, vectors_VN.shape[1]), np.float32)
    place_B, is_known_B = _places(bags.hashes_B, known_V)
    place_B, doc_B = place_B[is_known_B], bags.doc_B[is_known_B]
    starts = np.flatnonzero(np.diff(doc_B, prepend=-1))
    ends = np.append(starts[1:], len(doc_B))[: len(starts)]
    for doc, start, end in zip(doc_B[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        sums_DN[doc] = vectors_VN[place_B[start:end]].sum(axis=0)
    return sums_DN


def train(
    texts: pa.ChunkedArray | pa.Array, known_V: np.ndarray, *, dim: int, epochs: int, seed: int = 0
) -> np.ndarray:
    """float32 (V, dim): fastText's cbow vectors of the known words. The library reads its text from a file only."""
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        lines, vectors = Path(folder, "words.txt"), Path(folder, "vectors.txt")
        with lines.open("w") as file:
            for chunk in words.chunks(texts):
                hashes_S, doc_S = _hashes(chunk)
                place_S, _ = _places(hashes_S, known_V)
                for part in np.split(place_S, np.flatnonzero(np.diff(doc_S)) + 1):
                    file.write(" ".join(map(str, part[part >= 0].tolist())) + "\n")
        vectors.write_text(_starting_vectors(len(known_V), dim, seed))
        fixed = {"thread": 1, "bucket": 0, "minn": 0, "maxn": 0, "minCount": 1, "verbose": 0, "model": "cbow"}
        model = fasttext.train_unsupervised(
            str(lines), pretrainedVectors=str(vectors), dim=dim, epoch=epochs, t=1e-4, **fixed
        )
        matrix, found = model.get_input_matrix(), model.get_words()
    learned_VN = np.zeros((len(known_V), dim), np.float32)
    rows = [row for row, word in enumerate(found) if word != END_OF_LINE]
    learned_VN[[int(found[row]) for row in rows]] = matrix[rows]
    return learned_VN


def _chunk_bags(chunk: words.Chunk) -> Bags:
    hashes_S, doc_S = _hashes(chunk)
    order, starts = words.occurrences(hashes_S, doc_S)
    first = order[starts]
    first = first[np.lexsort((hashes_S[first], doc_S[first]))]
    return Bags(hashes_S[first], doc_S[first], len(chunk.starts_D))


def _hashes(chunk: words.Chunk) -> tuple[np.ndarray, np.ndarray]:
    """(uint64 hash, int64 document) of every word."""
    spans = words.word_runs(chunk)
    return words.hash_spans(words.char_sums(chunk, lower=True), spans), spans.doc_S


def _places(hashes_S: np.ndarray, known_V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int64 place among the known words, -1 for others; bool: is it known)."""
    place_S = np.searchsorted(known_V, hashes_S)
    place_S[place_S == len(known_V)] = 0
    is_known_S = known_V[place_S] == hashes_S if len(known_V) else np.zeros(len(hashes_S), bool)
    return np.where(is_known_S, place_S, -1), is_known_S


def _unit(vectors_VN: np.ndarray) -> np.ndarray:
    lengths_V = np.sqrt((vectors_VN**2).sum(axis=1, keepdims=True))
    return vectors_VN / np.where(lengths_V > 0, lengths_V, 1)


def _starting_vectors(num_words: int, dim: int, seed: int) -> str:
    """A vector file: uniform within 1/dim as fastText draws them, one of 4,096 vectors per word (writing numbers is slow)."""
    pool_VN = np.random.Generator(np.random.Philox(seed + 1)).uniform(-1 / dim, 1 / dim, (4096, dim))
    pool = [" ".join(f"{value:.5f}" for value in row) for row in pool_VN.tolist()]
    listed = [END_OF_LINE, *map(str, range(num_words))]
    rows = (f"{word} {pool[index % len(pool)]}\n" for index, word in enumerate(listed))
    return f"{len(listed)} {dim}\n" + "".join(rows)
