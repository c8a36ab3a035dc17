"""Quality as a classifier trained in the run: does a document look more like the reference corpus than like a draw of this one?

The method of DCLM (Li et al. 2024, section 4.4): fastText on words and word pairs, positives from a corpus known to be good, negatives
from the corpus to be judged. The score is P(positive); where to cut is `bucket.rank`'s business. Only the beginning of a document is
judged. A negative may be a good document (nobody labelled it), which flattens the scores. Known bias: style and length count for more
than truth. One manifest may hold several such steps, each with its own reference and `column`.

Before it is used, a model of some of the examples has to tell others apart (`held_out`): where reference and corpus are alike, the scores
would mean nothing and still decide what is dropped. How well it does stands in the report. That costs 5 s of CPU.

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
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import draw, words
from curation.draw import SAMPLE
from curation.quality.agreement import auc
from curation.steps import COUNTS, CorpusStep, StepError
from datapipe.schema import with_column

POSITIVE, NEGATIVE = "__label__hq", "__label__cc"  # the labels of DCLM's released model
END_OF_LINE = "</s>"  # a word that fastText adds to every line
LEAST_UPDATES = 10_000  # of 428 examples 5 epochs teach nothing (area 0.59), 47 as much as 100 (0.90)
HELD_OUT = 2_000  # examples of each kind that are judged, by a model of as many others: a tenth of the cost of training on 20,000
LEAST_HELD_OUT = 50  # of fewer an area says little: by chance its standard deviation is above 0.058
MIN_AUC = 0.55  # a good and a bad document are put in their order in 55 of 100 cases; a coin does 50
Example = tuple[int, str, list[int]]  # draw, label, slots
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
    min_auc: float = MIN_AUC,
    seed: int = 0,
) -> pa.Table:
    """Trains the classifier; one row (`VERDICT`): its weights and how many examples of each kind it saw.

    `reference`: columns id and text of good documents (the manifest names a corpus, the engine hands over its table). At most
    `max_examples` of each kind (of the reference no more than 20,000 are handed over), `buckets` slots for words and for n-grams of each
    length; the rest as fastText names it. There are more `epochs` where so few examples would make fewer than 10,000 updates.
    `min_auc`: the least area under the ROC curve of `held_out`, or two standard deviations above chance where that is more; 0 takes any.
    It is not asked for where fewer than 50 different ones of either kind can be held out.
    Raises StepError when either kind has no text, or when they cannot be told apart.
    """
    if reference is None:
        raise ValueError("no reference: name a corpus of good documents, e.g. `reference: books`")
    draws = draw.draws_of(reference["id"], seed)
    good = pa.table([draws, draws, reference["id"], reference["text"]], schema=SAMPLE)
    examples: list[Example] = []
    counts: list[int] = []
    for label, candidates in ((POSITIVE, good), (NEGATIVE, pa.concat_tables([SAMPLE.empty_table(), *tables]))):
        rows = draw.smallest(candidates, max_examples)
        texts = pc.utf8_slice_codeunits(rows["text"], 0, max_chars)
        bags = [bag for chunk in words.chunks(texts) for bag in _bags(chunk, ngram, buckets)]
        examples += [(drawn, label, bag) for drawn, bag in zip(rows["draw"].to_pylist(), bags, strict=True) if bag]
        counts.append(len(examples) - sum(counts))
    if not all(counts):
        raise StepError(
            f"{counts[0]} texts in the reference and {counts[1]} in the corpus, but training needs some of both: "
            "check the steps before it, and that `reference` names a corpus that keeps documents"
        )
    options = {"dim": dim, "epoch": epochs, "lr": lr, "seed": seed}
    told: dict[str, Any] = {"examples": {"positives": counts[0], "negatives": counts[1]}}
    kinds = [_different(examples, label) for label in (POSITIVE, NEGATIVE)]
    if min(map(len, kinds)) >= 2 * LEAST_HELD_OUT:
        found = held_out(kinds, options, ngram * buckets)
        told["held_out"] = {**found._asdict(), "auc": round(found.auc, 4)}
        _refuse_chance(found, min_auc)
    else:
        told["held_out"] = f"not measured: fewer than {2 * LEAST_HELD_OUT} different documents of a kind"
    model = train([(label, bag) for _, label, bag in sorted(examples)], _enough(options, len(examples)))
    columns = [[weights_of(model, ngram * buckets)], counts[:1], counts[1:]]
    return pa.table(columns, schema=VERDICT.with_metadata({COUNTS: json.dumps(told).encode()}))


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


def check(
    *,
    reference: str = "",
    sample: float = 1.0,
    max_chars: int = 4_000,
    max_examples: int = 20_000,
    min_auc: float = MIN_AUC,
    ngram: int = 2,
    dim: int = 16,
    buckets: int = 100_000,
    epochs: int = 5,
    lr: float = 0.2,
    seed: int = 0,
) -> None:
    """Raises ValueError for parameters out of range; `reference` is the name of a corpus here."""
    if not reference:
        raise ValueError("the scorer learns from a corpus of good documents: name one, e.g. `reference: books`")
    if not 0 <= min_auc < 1:
        raise ValueError(
            f"min_auc is {min_auc}, but 0.5 is chance and 1 the best: type {MIN_AUC}, or 0 to take any model"
        )
    draw.check_above_zero(ngram=ngram, dim=dim, buckets=buckets, epochs=epochs, lr=lr)
    draw.check(sample=sample, max_examples=max_examples, seed=seed, max_chars=max_chars)


QUALITY = CorpusStep(emit, reduce, merge, apply, check)
# The same against an encyclopaedia: how much a text is like one that tells what is known about the world.
KNOWLEDGE = QUALITY._replace(apply=functools.partial(apply, column="knowledge"))


class HeldOut(NamedTuple):
    """How well documents of the reference and of the corpus are told apart by a model that did not see them."""

    positives: int
    negatives: int
    auc: float

    @property
    def by_chance(self) -> float:
        """Two standard deviations above the 0.5 of scores that know nothing (Mann and Whitney 1947)."""
        wins, losses = self.positives, self.negatives
        return 0.5 + 2 * math.sqrt((wins + losses + 1) / (12 * wins * losses))


def held_out(kinds: Sequence[Sequence[Example]], options: dict[str, Any], num_slots: int) -> HeldOut:
    """`kinds`: examples of the reference and of the corpus, in the order of their draws. Every other one is learned from, the rest judged.

    The model that scores the corpus learns from all examples, and is the better for it.
    """
    learned = sorted(each for kind in kinds for each in kind[::2])
    judged = [each for kind in kinds for each in kind[1::2]]
    model = train([(label, bag) for _, label, bag in learned], _enough(options, len(learned)))
    weights = weights_of(model, num_slots)
    good = np.array([label == POSITIVE for _, label, _ in judged])
    scores = np.array([_evidence(bag, weights) for _, _, bag in judged])
    return HeldOut(int(good.sum()), int((~good).sum()), auc(scores, good))


def _different(examples: Sequence[Example], label: str) -> list[Example]:
    """The at most 4,000 of a kind with the smallest draws, in their order, none a copy of another, which would be known already."""
    found: dict[bytes, Example] = {}
    for each in sorted(each for each in examples if each[1] == label):
        found.setdefault(np.array(each[2], np.int64).tobytes(), each)
        if len(found) == 2 * HELD_OUT:
            break
    return list(found.values())


def _enough(options: dict[str, Any], num_examples: int) -> dict[str, Any]:
    """`options` with so many epochs that a few examples are not left unlearned."""
    return {**options, "epoch": max(options["epoch"], -(-LEAST_UPDATES // num_examples))}


def train(examples: Sequence[tuple[str, list[int]]], options: dict[str, Any]) -> Any:
    """A supervised fastText model of (label, slots) examples, in their order. The library reads examples from files only.

    Raises StepError when the weights grow beyond all numbers.
    """
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        lines, vectors = Path(folder, "examples.txt"), Path(folder, "vectors.txt")
        with lines.open("w") as file:
            file.writelines(f"{label} {' '.join(map(str, slots))}\n" for label, slots in examples)
        vocabulary = sorted(set().union(*(slots for _, slots in examples)))
        vectors.write_text(_starting_vectors(vocabulary, options["dim"], options["seed"]))
        fixed = {"thread": 1, "bucket": 0, "wordNgrams": 1, "minn": 0, "maxn": 0, "verbose": 0}
        try:
            return fasttext.train_supervised(str(lines), pretrainedVectors=str(vectors), **fixed, **options)
        except RuntimeError as error:  # weights beyond all numbers
            raise StepError(
                f"training failed at lr {options['lr']:g} ({error}): lower lr, for instance to 0.2"
            ) from error


def _refuse_chance(found: HeldOut, min_auc: float) -> None:
    least = max(min_auc, found.by_chance) if min_auc else 0.0
    if found.auc < least:
        raise StepError(
            f"of {found.positives} documents of the reference and {found.negatives} of the corpus, a model that did not see them tells "
            f"which is which with an area of {found.auc:.3f}, and {least:.3f} is the least (0.5 is chance; min_auc {min_auc:g}): name a "
            "`reference` that differs from the corpus, raise max_examples, epochs or lr, or write `min_auc: 0` to score by it all the same"
        )


def _evidence(bag: list[int], weights: np.ndarray) -> float:
    """The logarithm of the odds that `apply` gives a text of these slots."""
    spoken = weights[bag]
    spoken = spoken[~np.isnan(spoken)]
    return float((spoken.sum(dtype=np.float64) + weights[-1]) / (len(spoken) + 1))


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
