"""Quality as a classifier trained in the run: does a document look more like the reference corpus than like a draw of this one?

The method of DCLM (Li et al. 2024, section 4.4): fastText on words and word pairs, positives from a corpus known to be good, negatives
from the corpus to be judged. The score is P(positive); where to cut is `bucket.rank`'s business. Only the beginning of a document is
judged. A negative may be a good document (nobody labelled it), which flattens the scores. Known bias: style and length count for more
than truth. One manifest may hold several such steps, each with its own reference and `column`.

What is done here and not by fastText:

- Words are cut and hashed to slots by `curation.words` (so Chinese has words too), n-grams likewise; fastText sees names of slots.
- Starting vectors are given. With one thread, the only deterministic way, fastText 0.9.3 initialises a tenth of its matrix and leaves
  the rest to whatever the memory held (`DenseMatrix::uniform`, `thread` is taken for the number of blocks). Its n-gram buckets
  cannot be given vectors, named slots can. So the same examples give the same model, byte for byte.
- A two-class fastText model is linear: the verdict keeps one weight per slot, the difference of the two classes' outputs. Scoring is then
  a gather and a sum in numpy, ten times faster than fastText's `predict`, and equal to it to float32 rounding.

Costs, for texts of 2,600 characters: training 0.75 ms of CPU per example at five epochs, scoring some 15,000 documents per CPU second.
"""

import functools
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import draw, words
from curation.draw import SAMPLE
from curation.steps import COUNTS, CorpusStep
from datapipe.schema import with_column

POSITIVE, NEGATIVE = "__label__hq", "__label__cc"  # the labels of DCLM's released model
END_OF_LINE = "</s>"  # a word that fastText adds to every line
VERDICT = pa.schema(
    [
        ("weights", pa.list_(pa.float32())),  # per slot, NaN for one that no example had; the last is END_OF_LINE's
        ("positives", pa.int64()),
        ("negatives", pa.int64()),
    ]
)


def emit(docs: pa.Table, *, sample: float = 1.0, max_chars: int = 4_000, seed: int = 0) -> pa.Table:
    """Candidates for negatives: key, draw (a random number keyed by seed and id), id, the first `max_chars` of the text.

    `sample` is the share of the documents that become candidates: lower it for a corpus of many millions, of which `merge` then still
    sees more than `max_examples`.
    """
    return draw.drawn(docs, sample=sample, max_chars=max_chars, seed=seed)


def reduce(rows: pa.Table, *, max_examples: int = 20_000) -> pa.Table:
    """The `max_examples` rows with the smallest draws."""
    return draw.smallest(rows, max_examples)


def merge(
    tables: Sequence[pa.Table],
    *,
    reference: pa.Table | None = None,
    ngram: int = 2,
    dim: int = 16,
    buckets: int = 100_000,
    epochs: int = 5,
    lr: float = 0.2,
    max_chars: int = 4_000,
    max_examples: int = 20_000,
    seed: int = 0,
) -> pa.Table:
    """Trains the classifier; one row (`VERDICT`): its weights and how many examples of each kind it saw.

    `reference`: columns id and text of good documents (the manifest names a corpus, the engine hands over its table). At most
    `max_examples` of each kind (of the reference no more than 20,000 are handed over), `buckets` slots for words and for n-grams of each
    length; the rest as fastText names it.
    Raises ValueError without a reference, or when either kind has no text.
    """
    if reference is None:
        raise ValueError("no reference: name a corpus of good documents, e.g. `reference: books`")
    draws = draw.draws_of(reference["id"], seed)
    good = pa.table([draws, draws, reference["id"], reference["text"]], schema=SAMPLE)
    examples: list[tuple[int, str, list[int]]] = []
    counts: list[int] = []
    for label, candidates in ((POSITIVE, good), (NEGATIVE, pa.concat_tables([SAMPLE.empty_table(), *tables]))):
        rows = draw.smallest(candidates, max_examples)
        texts = pc.utf8_slice_codeunits(rows["text"], 0, max_chars)
        bags = [bag for chunk in words.chunks(texts) for bag in _bags(chunk, ngram, buckets)]
        examples += [(drawn, label, bag) for drawn, bag in zip(rows["draw"].to_pylist(), bags, strict=True) if bag]
        counts.append(len(examples) - sum(counts))
    if not all(counts):
        raise ValueError(
            f"{counts[0]} texts in the reference and {counts[1]} in the corpus, but training needs some of both: "
            "check the steps before it, and that `reference` names a corpus that keeps documents"
        )
    model = train(
        [(label, bag) for _, label, bag in sorted(examples)], {"dim": dim, "epoch": epochs, "lr": lr, "seed": seed}
    )
    told = json.dumps({"examples": {"positives": counts[0], "negatives": counts[1]}}).encode()
    columns = [[weights_of(model, ngram * buckets)], counts[:1], counts[1:]]
    return pa.table(columns, schema=VERDICT.with_metadata({COUNTS: told}))


def apply(
    docs: pa.Table,
    verdict: pa.Table,
    *,
    column: str = "quality",
    ngram: int = 2,
    buckets: int = 100_000,
    max_chars: int = 4_000,
) -> pa.Table:
    """Adds `column` (float32): P(positive) of each document, between 0 and 1; a text without words gets the model's bias."""
    weights = verdict["weights"].combine_chunks().values.to_numpy(zero_copy_only=False)
    known = ~np.isnan(weights)
    scores = [np.empty(0)]
    for chunk in words.chunks(pc.utf8_slice_codeunits(docs["text"], 0, max_chars)):
        num_docs = len(chunk.starts_D)
        total_D, count_D = np.full(num_docs, weights[-1], np.float64), np.ones(num_docs, np.int64)
        for slots_G, doc_G in _slots(chunk, ngram, buckets):
            seen_G = known[slots_G]
            total_D += np.bincount(doc_G[seen_G], weights[slots_G[seen_G]], num_docs)
            count_D += np.bincount(doc_G[seen_G], minlength=num_docs)
        scores.append(1 / (1 + np.exp(-total_D / count_D)))
    return with_column(docs, column, pa.array(np.concatenate(scores).astype(np.float32)))


def check(*, reference: str = "", sample: float = 1.0, max_chars: int = 4_000, max_examples: int = 20_000) -> None:
    """Raises ValueError for parameters out of range; `reference` is the name of a corpus here."""
    if not reference:
        raise ValueError("the scorer learns from a corpus of good documents: name one, e.g. `reference: books`")
    draw.check(sample=sample, max_chars=max_chars, max_examples=max_examples)


QUALITY = CorpusStep(emit, reduce, merge, apply, check)
# The same against an encyclopaedia: how much a text is like one that tells what is known about the world.
KNOWLEDGE = QUALITY._replace(apply=functools.partial(apply, column="knowledge"))


def train(examples: Sequence[tuple[str, list[int]]], options: dict[str, Any]) -> Any:
    """A supervised fastText model of (label, slots) examples, in their order. The library reads examples from files only."""
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        lines, vectors = Path(folder, "examples.txt"), Path(folder, "vectors.txt")
        with lines.open("w") as file:
            file.writelines(f"{label} {' '.join(map(str, slots))}\n" for label, slots in examples)
        vocabulary = sorted(set().union(*(slots for _, slots in examples)))
        vectors.write_text(_starting_vectors(vocabulary, options["dim"], options["seed"]))
        fixed = {"thread": 1, "bucket": 0, "wordNgrams": 1, "minn": 0, "maxn": 0, "verbose": 0}
        return fasttext.train_supervised(str(lines), pretrainedVectors=str(vectors), **fixed, **options)


def weights_of(model: Any, num_slots: int) -> np.ndarray:
    """float32 (num_slots + 1,): how much each slot speaks for the positive class, NaN where the model does not know it."""
    output = dict(zip(model.get_labels(), model.get_output_matrix(), strict=True))
    spoken_for = model.get_input_matrix() @ (output[POSITIVE] - output[NEGATIVE])
    weights = np.full(num_slots + 1, np.nan, np.float32)
    place = [num_slots if word == END_OF_LINE else int(word) for word in model.get_words()]
    weights[place] = spoken_for
    return weights


def _slots(chunk: words.Chunk, ngram: int, buckets: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(slot, document), both int64 (G,): of all words, then of all pairs, and so on to runs of `ngram` words."""
    spans = words.word_runs(chunk)
    hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), spans)
    for order in range(ngram):
        hashes_G, first_G = words.ngrams(hashes_S, spans.doc_S, order + 1)
        yield (hashes_G % np.uint64(buckets)).astype(np.int64) + order * buckets, spans.doc_S[first_G]


def _bags(chunk: words.Chunk, ngram: int, buckets: int) -> list[list[int]]:
    """The slots of every document."""
    bags: list[list[int]] = [[] for _ in chunk.starts_D]
    for slots_G, doc_G in _slots(chunk, ngram, buckets):
        starts = np.searchsorted(doc_G, np.arange(len(bags) + 1)).tolist()
        slots = slots_G.tolist()
        for bag, start, end in zip(bags, starts[:-1], starts[1:], strict=True):
            bag += slots[start:end]
    return bags


def _starting_vectors(vocabulary: list[int], dim: int, seed: int) -> str:
    """A vector file: uniform within 1/dim as fastText draws them, one of 4,096 vectors per word (writing numbers is slow)."""
    drawn = np.random.Generator(np.random.Philox(seed)).uniform(-1 / dim, 1 / dim, (4096, dim))
    pool = [" ".join(f"{value:.5f}" for value in row) for row in drawn.tolist()]
    listed = [END_OF_LINE, *map(str, vocabulary)]
    rows = (f"{word} {pool[index % len(pool)]}\n" for index, word in enumerate(listed))
    return f"{len(listed)} {dim}\n" + "".join(rows)
