"""A score learned from labels: ridge regression on n-grams and style, or on embeddings. What stands behind `score.educational`.

Labels are numbers that somebody gave to documents: a model asked for 0 to 5 (FineWeb-Edu, Penedo et al. 2024, section 4) about a sample of
the corpus, or a file made elsewhere, human judgements among them. FineWeb-Edu puts a linear head on frozen embeddings; with
`features: embedding` that is what happens here. The default reads hashed words and word pairs (log(1 + count), unit length) and the numbers
of `curation.quality.style` (standardised, cut at three deviations, of unit length on average), which needs no model: on 254 human
keep/drop labels its AUC is 0.90, that of n-grams alone 0.84, of plain fastText 0.84, of the length 0.74 (`curation.bench quality`).

GLM-4.5 has a model tell which share of a document teaches mathematics and science (GLM-4.5 report, section 2.2). With `chunk_chars` the
labels are of drawn chunks (`curation.quality.chunks`), the score of a document is the mean of what is expected of its chunks, weighted by
length, and the verdict compares such means; `max_examples` then counts chunks. `prompt: educational_share` asks for that share.

Predictions are not cut off at the ends of the scale, which would make ties of the best. The same labels give the same weights at any
number of processes (`curation.quality.ridge`).

How good it is stands in the verdict: predictions of labels it did not learn from, by cross-validation over `folds` parts, against those
labels. Where they agree no better than chance, the step ends with an error (`min_agreement`): a model of random labels would still
decide what is dropped. Costs for 20,000 labels of 2,300 characters: 0.7 GB and some 70 s of CPU with five folds; applying 4,400 documents
per CPU second.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import draw, words
from curation.quality import style
from curation.quality.agreement import Agreement, agreement
from curation.quality.chunks import LEAST_CHARS, chunks_of, document_ids, in_chunks, means
from curation.quality.ridge import Examples, Weights, learn, predict
from curation.rules.surface import Surface
from curation.steps import COUNTS, CorpusStep, StepError
from datapipe.schema import with_column

FEATURES = ("ngrams", "embedding")
LEAST_LABELS = 20
MIN_AGREEMENT = 0.1  # of ranks: less is a hundredth of their variance; educational scorers have 0.6 to 0.8
EMBEDDING = "embedding"  # fixed-size binary column of float16
VERDICT = pa.schema(
    [
        ("slots", pa.list_(pa.float32())),  # a weight per slot of an n-gram
        ("dense", pa.list_(pa.float64())),  # a weight per standardised number
        ("mean", pa.list_(pa.float64())),
        ("scale", pa.list_(pa.float64())),
        ("constant", pa.float64()),
        ("threshold", pa.float64()),  # that f1 and auc are of
        *((name, pa.int64() if name == "examples" else pa.float64()) for name in Agreement._fields),
    ]
)
_LOG = np.log1p(np.arange(1 << 10, dtype=np.float64))  # counts beyond count as the last


def emit(
    docs: pa.Table,
    *,
    teacher: Mapping[str, Any] | None = None,
    features: str = "ngrams",
    sample: float = 1.0,
    max_chars: int = 4_000,
    chunk_chars: int = 0,
    chunks: int = 4,
    seed: int = 0,
) -> pa.Table:
    """Candidates for labelling (`curation.draw`): key, draw, id, text, and the embedding if that is learned from.

    None when the labels come from a file, which has its own texts. `sample` is the share of the documents that become candidates.
    `chunk_chars`: the first `max_chars` of a text are judged where this is 0, else at most `chunks` parts of it of so many characters.
    """
    also = [EMBEDDING] if features == "embedding" else []
    if also:
        _refuse_without_embedding(docs)
    wanted = docs if teacher else docs.slice(0, 0)
    if chunk_chars:
        sampled = draw.drawn(wanted, sample=sample, max_chars=words.MAX_CHARS, seed=seed)
        return in_chunks(sampled, chunk_chars=chunk_chars, chunks=chunks, seed=seed)
    return draw.drawn(wanted, sample=sample, max_chars=max_chars, seed=seed, also=also)


def reduce(rows: pa.Table, *, max_examples: int = 20_000) -> pa.Table:
    """The `max_examples` rows with the smallest draws: what the teacher is asked about."""
    return draw.smallest(rows, max_examples)


def merge(
    tables: Sequence[pa.Table],
    *,
    labels: pa.Table | None = None,
    features: str = "ngrams",
    ngram: int = 2,
    buckets: int = 1 << 17,
    ridge: float = 3.0,
    threshold: float = 3.0,
    folds: int = 5,
    min_agreement: float = MIN_AGREEMENT,
    max_chars: int = 4_000,
    chunk_chars: int = 0,
    seed: int = 0,
) -> pa.Table:
    """Learns the labels; one row (`VERDICT`): the weights, and the agreement with labels that were held out, also for the report.

    `labels`: columns id, text and label (float), handed over by the engine. `ridge` is the penalty on squared weights, `buckets` the slots
    for n-grams of each length. `folds` parts are held out in turn, labels of equal texts together, 0 for no measurement. Of chunks
    (`chunk_chars`) each is learned; those of one document are held out together, and judged together.
    `min_agreement`: the least rank correlation of what is held out, or two standard deviations of it by chance where that is more; 0
    takes any.
    Raises StepError for too few labels, for labels that are all the same, and when they agree with nothing.
    """
    if labels is None:
        raise ValueError("no labels: name a `teacher` or a file, e.g. `labels: {file: labels.jsonl}`")
    labels, max_chars = usable(labels), chunk_chars or max_chars
    given_N = labels["label"].to_numpy().astype(np.float64)
    docs = _with_embedding(labels, tables) if features == "embedding" else labels
    examples = features_of(docs, features=features, ngram=ngram, buckets=buckets, max_chars=max_chars)
    together = document_ids(labels["id"]) if chunk_chars else pc.utf8_slice_codeunits(labels["text"], 0, max_chars)
    num_slots = ngram * buckets if features == "ngrams" else 0
    weights, predicted_N = learn(
        examples, given_N, draw.draws_of(together, seed), folds=folds, num_slots=num_slots, ridge=ridge
    )
    found = Agreement(len(given_N), *[float("nan")] * 4)
    if folds:
        if chunk_chars:
            predicted_N, given_N = (_of_documents(values_N, labels) for values_N in (predicted_N, given_N))
        found = agreement(predicted_N, given_N, threshold=threshold)
        _refuse_chance(found, min_agreement)
    arrays = [[each] for each in (*weights[:4], weights.constant, threshold, *found)]
    told = {name: round(value, 4) for name, value in found._asdict().items() if math.isfinite(value)}
    return pa.table(arrays, schema=VERDICT.with_metadata({COUNTS: json.dumps({"held_out": told}).encode()}))


def apply(
    docs: pa.Table,
    verdict: pa.Table,
    *,
    column: str = "educational",
    features: str = "ngrams",
    ngram: int = 2,
    buckets: int = 1 << 17,
    max_chars: int = 4_000,
    chunk_chars: int = 0,
    chunks: int = 4,
    seed: int = 0,
) -> pa.Table:
    """Adds `column` (float32): the label that is expected of each document, on the scale of the labels but not cut off at its ends."""
    row = verdict.slice(0, 1)
    slots, dense, mean, scale = (row[name].combine_chunks().values.to_numpy() for name in VERDICT.names[:4])
    weights = Weights(slots, dense, mean, scale, row["constant"][0].as_py())
    options: dict[str, Any] = {"features": features, "ngram": ngram, "buckets": buckets}
    if not chunk_chars:
        scores_D = predict(features_of(docs, max_chars=max_chars, **options), weights)
    else:
        found = chunks_of(docs["id"], docs["text"], chunk_chars=chunk_chars, chunks=chunks, seed=seed)
        texts = pa.table({"text": pa.array(found.texts, pa.large_string())})
        scores_N = predict(features_of(texts, max_chars=chunk_chars, **options), weights)
        scores_D = means(scores_N, found.doc_N, np.array(list(map(len, found.texts)), np.int64), docs.num_rows)
    return with_column(docs, column, pa.array(scores_D.astype(np.float32)))


def check(
    *,
    labels: Mapping[str, Any] | None = None,
    teacher: Mapping[str, Any] | None = None,
    features: str = "ngrams",
    sample: float = 1.0,
    max_chars: int = 4_000,
    chunk_chars: int = 0,
    chunks: int = 4,
    max_examples: int = 20_000,
    ngram: int = 2,
    buckets: int = 1 << 17,
    ridge: float = 3.0,
    folds: int = 5,
    min_agreement: float = MIN_AGREEMENT,
    seed: int = 0,
) -> None:
    """Raises ValueError for parameters out of range, and unless exactly one of `labels` and `teacher` says where labels come from."""
    if (labels is None) == (teacher is None):
        raise ValueError(
            "labels come from one place: name a file, e.g. `labels: {file: labels.jsonl}`, or a model, "
            "e.g. `teacher: {base_url: http://localhost:8000/v1, model: glm-4.5-air, prompt: educational}`"
        )
    if labels is not None and not _names_a_file(labels):
        raise ValueError(
            f"labels is {_shown(labels)}, but names a file of JSON lines: type `labels: {{file: labels.jsonl}}`, without `file:` or in a "
            ".txt it is something else"
        )
    if teacher is not None and not isinstance(teacher, Mapping):
        raise ValueError(
            f"teacher is {_shown(teacher)}, but says how to ask a model: "
            "type `teacher: {base_url: http://localhost:8000/v1, model: glm-4.5-air}`"
        )
    if features not in FEATURES:
        raise ValueError(f"features is {features!r}: type {' or '.join(FEATURES)}")
    if features == "embedding" and teacher is None:
        raise ValueError(
            "features is embedding, which a file of labels does not have: type `features: ngrams`, or name a teacher"
        )
    if chunk_chars and features == "embedding":
        raise ValueError("chunk_chars needs texts, and an embedding is of a whole document: type `features: ngrams`")
    if (chunk_chars and chunk_chars < LEAST_CHARS) or chunks < 1:
        raise ValueError(
            f"chunk_chars is {chunk_chars} and chunks {chunks}: type 0 characters for the beginning of a document, or {LEAST_CHARS} and "
            "more, such as 2000, and 1 chunk or more"
        )
    draw.check_above_zero(ngram=ngram, buckets=buckets)
    if ridge <= 0:
        raise ValueError(f"ridge is {ridge}, but must be above 0: type 3")
    if folds < 0 or folds == 1:
        raise ValueError(f"folds is {folds}: type 0 for no measurement, or 2 and more")
    if not 0 <= min_agreement < 1:
        raise ValueError(
            f"min_agreement is {min_agreement}, but it is a rank correlation: type {MIN_AGREEMENT}, or 0 to take any labels"
        )
    draw.check(sample=sample, max_examples=max_examples, seed=seed, max_chars=max_chars)


EDUCATIONAL = CorpusStep(emit, reduce, merge, apply, check, is_labelled=True)


def _of_documents(values_N: np.ndarray, labels: pa.Table) -> np.ndarray:
    """Values of chunks as those of their documents."""
    names, doc_N = np.unique(document_ids(labels["id"]).to_pylist(), return_inverse=True)
    return means(values_N, doc_N, pc.utf8_length(labels["text"]).to_numpy(), len(names))


def _names_a_file(labels: object) -> bool:
    return (
        isinstance(labels, Mapping)
        and set(labels) == {"file"}
        and bool(labels["file"] and isinstance(labels["file"], str))
    )


def _shown(value: object) -> str:
    """A value of the manifest, where one of its lists may have come from a file."""
    text = repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def usable(labels: pa.Table) -> pa.Table:
    """The labels that are there, in an order that depends on nothing else."""
    if missing := {"id", "text", "label"}.difference(labels.column_names):
        raise StepError(
            f"the labels have no column {', '.join(sorted(missing))} (columns: {', '.join(labels.column_names)}): a label has id, text "
            "and label; write them as JSON lines"
        )
    labels = labels.filter(pc.is_valid(labels["label"])).sort_by([("id", "ascending"), ("label", "ascending")])
    values = pc.count_distinct(labels["label"]).as_py()
    if labels.num_rows < LEAST_LABELS or values < 2:
        raise StepError(
            f"{labels.num_rows} labels of {values} different values: at least {LEAST_LABELS} that differ are needed; raise "
            "max_examples or add labels to the file, or look at what the teacher answers (folder `answers` of the build)"
        )
    return labels


def _refuse_chance(found: Agreement, min_agreement: float) -> None:
    """Under labels at random a rank correlation has a standard deviation of 1 / sqrt(n - 1); NaN is that of equal predictions."""
    by_chance = 2 / math.sqrt(found.examples - 1)
    if min_agreement and not found.spearman >= max(min_agreement, by_chance):
        raise StepError(
            f"predictions agree with the {found.examples} labels that were held out by a rank correlation of {found.spearman:.3f}, and "
            f"{max(min_agreement, by_chance):.3f} is the least (by chance it reaches {by_chance:.3f}; min_agreement {min_agreement:g}): "
            "look at the labels, add more, or write `min_agreement: 0` to score by them all the same"
        )


def _refuse_without_embedding(docs: pa.Table) -> None:
    if EMBEDDING not in docs.column_names or not pa.types.is_fixed_size_binary(docs.schema.field(EMBEDDING).type):
        raise StepError("features is embedding, but the documents have none: put a step such as embed.words before it")


def features_of(docs: pa.Table, *, features: str, ngram: int, buckets: int, max_chars: int) -> Examples:
    """What is read of documents; `docs` has `text`, or `embedding` when that is read."""
    if features == "embedding":
        _refuse_without_embedding(docs)
        nothing = np.zeros(0, np.int32)
        return Examples(_embeddings(docs[EMBEDDING]), nothing, nothing, np.zeros(0, np.float32))
    chunks = words.chunks(pc.utf8_slice_codeunits(docs["text"], 0, max_chars))
    return joined((_of_chunk(chunk, ngram, buckets) for chunk in chunks), len(style.NAMES))


def _of_chunk(chunk: words.Chunk, ngram: int, buckets: int) -> Examples:
    runs = words.word_runs(chunk)
    hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), runs)
    cells = ngram_cells(hashes_S, runs.doc_S, len(chunk.starts_D), ngram, buckets)
    return Examples(style.measure(Surface(chunk), runs, hashes_S), *cells)


def ngram_cells(
    hashes_S: np.ndarray, doc_S: np.ndarray, num_docs: int, ngram: int, buckets: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(document, slot, value) of every cell of a chunk: log(1 + count) of runs of one to `ngram` words, of unit length per document."""
    num_slots = ngram * buckets
    number = (
        np.uint32 if num_docs * num_slots < 1 << 32 else np.int64
    )  # of a cell: half the width sorts in half the time
    cells = []
    for order in range(ngram):
        hashes_G, first_G = words.ngrams(hashes_S, doc_S, order + 1)
        base_G = doc_S[first_G] * num_slots + order * buckets
        cells.append((hashes_G % np.uint64(buckets)).astype(number) + base_G.astype(number))
    cell_K, count_K = np.unique(np.concatenate(cells), return_counts=True)
    first_D1 = np.searchsorted(cell_K, (np.arange(num_docs + 1) * num_slots).astype(number))
    doc_K = np.repeat(np.arange(num_docs), np.diff(first_D1))  # a division of every cell would take twice as long
    slot_K = cell_K - doc_K * num_slots
    value_K = _LOG[np.minimum(count_K, len(_LOG) - 1)]
    length_D = np.sqrt(np.bincount(doc_K, value_K * value_K, num_docs))
    value_K = value_K / length_D[doc_K]
    return doc_K.astype(np.int32), slot_K.astype(np.int32), value_K.astype(np.float32)


def joined(parts: Iterable[Examples], num_dense: int) -> Examples:
    """The examples of all chunks, in their order."""
    nothing = (np.zeros(0, kind) for kind in (np.int32, np.int32, np.float32))
    found, first = [Examples(np.zeros((0, num_dense)), *nothing)], 0
    for part in parts:
        found.append(part._replace(doc_K=part.doc_K + np.int32(first)))
        first += len(part.dense_NF)
    return Examples(*map(np.concatenate, zip(*found, strict=True)))


def chosen(examples: Examples, chosen_N: np.ndarray) -> Examples:
    """Those that are flagged, in their order."""
    own_K = chosen_N[examples.doc_K]
    doc_K = (np.cumsum(chosen_N) - 1)[examples.doc_K[own_K]].astype(np.int32)
    return Examples(examples.dense_NF[chosen_N], doc_K, examples.slot_K[own_K], examples.value_K[own_K])


def _embeddings(column: pa.ChunkedArray) -> np.ndarray:
    """float64 (N, dim); a document without one has zeros."""
    dim = column.type.byte_width // 2
    nothing = bytes(2 * dim)
    joined = b"".join(value.as_py() or nothing for value in column)
    return np.frombuffer(joined, np.float16).reshape(-1, dim).astype(np.float64)


def _with_embedding(labels: pa.Table, tables: Sequence[pa.Table]) -> pa.Table:
    """The labels with the embeddings of their documents, which the sample carries."""
    sample = pa.concat_tables(tables)
    place = pc.index_in(labels["id"], sample["id"].combine_chunks())
    return labels.append_column(EMBEDDING, sample[EMBEDDING].take(place))
