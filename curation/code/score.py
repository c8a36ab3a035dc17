"""How good source code is, by a model for every language that has enough examples and one for all others: what stands behind `score.code`.

GLM-4.5 ranks code by language-specific quality models into three tiers and does not say how they are made (GLM-4.5 report, section 2.2).
Here a model is a ridge regression (`curation.quality.ridge`) on the numbers of `curation.code.signals` and on hashed words of code and
pairs of them. It learns either labels that somebody gave, as `score.educational` does, or which files are of a reference corpus of good
code and which are a draw of the corpus that is judged, as `score.quality` does. Comments and strings are no words here: a licence or a
name would tell where a file comes from.

Languages come from the column `lang`. One with fewer than `min_examples` (of either kind, with a reference), or whose own model fails the
bar, is scored by the shared model, learned from all languages that have different labels. Scores of two models are not to be compared: rank
them with `bucket.rank: {by: lang}`. How well each model does on examples that it did not see is measured over `folds` parts, files of one
folder kept together because they resemble each other, and stands in the report.

Only the first `max_chars` characters are read. Models of 816 Python, 339 C++ and 791 JavaScript files told whole files from spoiled ones of
packages that they did not see with areas of 0.98, 0.95 and 0.98 (`curation.bench code`), where the length has 0.61 and the share of
comments 0.51 to 0.60. Sources were told from tests and vendored copies of other packages with 0.86, by comments alone with 0.75. Applying
takes a CPU second for 50 MB of files, learning one for 1,500 examples with three folds. With 2,000 examples of either kind, the standard
library and installed packages, the areas of held-out files are 0.98 for Python and for all languages.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import draw, words
from curation.code import signals
from curation.code.source import Source, sources
from curation.quality import regress
from curation.quality.agreement import agreement, auc
from curation.quality.reference import LEAST_HELD_OUT, MIN_AUC, HeldOut
from curation.quality.regress import MIN_AGREEMENT
from curation.quality.ridge import Examples, Weights, learn, predict
from curation.steps import COUNTS, CorpusStep, StepError
from datapipe.schema import with_column

MIN_EXAMPLES = 200
REFERENCE_DOCUMENTS = 50_000  # of all languages: some 500 MB
_PLACES = pa.schema([("id", pa.string()), ("lang", pa.string()), ("origin", pa.string())])
VERDICT = pa.schema(
    [
        ("lang", pa.string()),  # null: the shared model
        ("slots", pa.list_(pa.float32())),  # a weight per slot of an n-gram
        ("dense", pa.list_(pa.float64())),  # a weight per standardised number
        ("mean", pa.list_(pa.float64())),
        ("scale", pa.list_(pa.float64())),
        ("constant", pa.float64()),
    ]
)


class _Settings(NamedTuple):
    """What all models of a step have in common."""

    is_labelled: bool
    ngram: int
    buckets: int
    ridge: float
    threshold: float
    folds: int
    bar: float
    max_chars: int


class _Model(NamedTuple):
    weights: Weights
    told: dict[str, Any]  # for the report
    is_good: bool


def emit(
    docs: pa.Table,
    *,
    labels: Mapping[str, Any] | None = None,
    teacher: Mapping[str, Any] | None = None,
    sample: float = 1.0,
    max_chars: int = 8_000,
    seed: int = 0,
) -> pa.Table:
    """Candidates for negatives or for labelling (`curation.draw`) with lang and origin; none when the labels come from a file."""
    wanted = docs if teacher or labels is None else docs.slice(0, 0)
    return draw.drawn(wanted, sample=sample, max_chars=max_chars, seed=seed, also=["lang", "origin"])


def reduce(rows: pa.Table, *, max_examples: int = 2_000) -> pa.Table:
    """Of every language the `max_examples` rows with the smallest draws."""
    languages = pc.unique(rows["lang"]).to_pylist()
    parts = [draw.smallest(rows.filter(_is_in(rows, language)), max_examples) for language in languages]
    return draw.smallest(pa.concat_tables([rows.slice(0, 0), *parts]), rows.num_rows)


def merge(
    tables: Sequence[pa.Table],
    *,
    reference: pa.Table | None = None,
    labels: pa.Table | None = None,
    ngram: int = 2,
    buckets: int = 1 << 16,
    ridge: float = 3.0,
    threshold: float = 3.0,
    folds: int = 3,
    min_examples: int = MIN_EXAMPLES,
    min_auc: float = MIN_AUC,
    min_agreement: float = MIN_AGREEMENT,
    max_chars: int = 8_000,
    max_examples: int = 2_000,
    seed: int = 0,
) -> pa.Table:
    """Learns the models; a row (`VERDICT`) per language with one of its own, in the order of names, then the shared one.

    `reference`: id, origin, lang and text of good files. `labels`: id, text and label, and lang where they come from a file. At most
    `max_examples` are learned from for a language, and for the shared model; with a reference so many of either kind. `min_auc`,
    `min_agreement`, `threshold`: as for `score.quality` and `score.educational`.
    Raises StepError when there is too little to learn from, and when the shared model fails the bar.
    """
    if (reference is None) == (labels is None):
        raise ValueError("one of reference and labels: type for instance `reference: good_code`")
    bar = min_auc if labels is None else min_agreement
    settings = _Settings(labels is not None, ngram, buckets, ridge, threshold, folds, bar, max_chars)
    examples = _labelled(labels, tables, seed) if labels is not None else _contrasted(reference, tables, seed)
    asked = examples.drop_columns("text").append_column("number", pa.array(np.arange(examples.num_rows)))
    by_language = {
        language: _drawn(asked.filter(_is_in(asked, language)), max_examples, settings)
        for language in sorted(pc.unique(asked["lang"]).drop_null().to_pylist())
    }
    taught = {language: own for language, own in by_language.items() if pc.count_distinct(own["label"]).as_py() > 1}
    of_all = _drawn(pa.concat_tables(list(taught.values()) or [asked]), max_examples, settings)["number"]
    models: list[tuple[str | None, Weights]] = []
    told: dict[str, Any] = {}
    shared: list[_Read] = []
    parts = taught or {"": asked}
    drawn, first = examples.take(pa.concat_tables(parts.values())["number"]), 0  # texts are copied once
    for language, own in parts.items():  # read once, for the model of the language and the shared one
        rows, first = drawn.slice(first, own.num_rows), first + own.num_rows
        is_shared = pc.is_in(own["number"], of_all.combine_chunks())
        has_model = bool(taught) and _num_examples(own, settings) >= min_examples
        read = _read(rows if has_model else rows.filter(is_shared), settings)
        if has_model:
            model = _learn(read, settings)
            told[language] = model.told
            if model.is_good:
                models.append((language, model.weights))
            read = read.filter(is_shared)
        shared.append(read)
    model = _learn(_joined(shared), settings)
    if not model.is_good:
        raise StepError(_refusal(model, settings))
    rows = [
        {"lang": language, **dict(zip(VERDICT.names[1:], weights, strict=True))}
        for language, weights in [*models, (None, model.weights)]
    ]
    counts = {"held_out": {**told, "all": model.told}, "models": [language for language, _ in models]}
    return pa.Table.from_pylist(rows, schema=VERDICT.with_metadata({COUNTS: json.dumps(counts).encode()}))


def apply(
    docs: pa.Table,
    verdict: pa.Table,
    *,
    column: str = "code_quality",
    ngram: int = 2,
    buckets: int = 1 << 16,
    max_chars: int = 8_000,
) -> pa.Table:
    """Adds `column` (float32): how much the file is like the reference (about 0 to 1), or the label expected of it; not cut off."""
    scores_N = np.zeros(docs.num_rows)
    read = features_of(docs, ngram=ngram, buckets=buckets, max_chars=max_chars)
    place_N = pc.fill_null(pc.index_in(docs["lang"], verdict["lang"].drop_null()), verdict.num_rows - 1).to_numpy()
    for place in np.unique(place_N).tolist():  # the shared model is the last
        row = verdict.slice(place, 1)
        slots, dense, mean, scale = (row[name].combine_chunks().flatten().to_numpy() for name in VERDICT.names[1:5])
        weights = Weights(slots, dense, mean, scale, row["constant"][0].as_py())
        mine_N = place_N == place
        scores_N[mine_N] = predict(regress.chosen(read, mine_N), weights)
    return with_column(docs, column, pa.array(scores_N.astype(np.float32)))


def check(
    *,
    reference: str = "",
    labels: Mapping[str, Any] | None = None,
    teacher: Mapping[str, Any] | None = None,
    sample: float = 1.0,
    max_chars: int = 8_000,
    max_examples: int = 2_000,
    min_examples: int = MIN_EXAMPLES,
    ngram: int = 2,
    buckets: int = 1 << 16,
    ridge: float = 3.0,
    folds: int = 3,
    min_auc: float = MIN_AUC,
    min_agreement: float = MIN_AGREEMENT,
    seed: int = 0,
) -> None:
    """Raises ValueError for parameters out of range, and unless one of `reference`, `labels` and `teacher` says what good code is."""
    if not reference and labels is None and teacher is None:
        raise ValueError(
            "nothing says what good code is: name a corpus of it, e.g. `reference: good_code`, a file, `labels: {file: labels.jsonl}`, "
            "or a model, `teacher: {base_url: http://localhost:8000/v1, model: glm-4.5-air, prompt: code}`"
        )
    if reference and (labels is not None or teacher is not None):
        raise ValueError(
            "what good code is comes from one place: leave either `reference` or `labels` and `teacher` out"
        )
    if reference:
        labels = {"file": "none"}
    regress.check(
        labels=labels,
        teacher=teacher,
        sample=sample,
        max_chars=max_chars,
        max_examples=max_examples,
        ngram=ngram,
        buckets=buckets,
        ridge=ridge,
        folds=folds,
        min_agreement=min_agreement,
        seed=seed,
    )
    if not 0 <= min_auc < 1:
        raise ValueError(
            f"min_auc is {min_auc}, but it is an area of at most 1: type {MIN_AUC}, or 0 to take any model"
        )
    if min_examples < regress.LEAST_LABELS:
        raise ValueError(f"min_examples is {min_examples}: type {regress.LEAST_LABELS} or more, such as {MIN_EXAMPLES}")


CODE_QUALITY = CorpusStep(emit, reduce, merge, apply, check, reference_documents=REFERENCE_DOCUMENTS, is_labelled=True)


def features_of(docs: pa.Table, *, ngram: int, buckets: int, max_chars: int) -> Examples:
    """What is read of files; `docs` has text and lang.

    One of `max_chars` or more counts as cut off: of a sample only so much is there, so that nobody could tell.
    """
    read = pa.table([pc.utf8_slice_codeunits(docs["text"], 0, max_chars), docs["lang"]], ["text", "lang"])
    return regress.joined((_of_source(of, ngram, buckets, max_chars) for of in sources(read)), len(signals.NAMES))


def _of_source(of: Source, ngram: int, buckets: int, max_chars: int) -> Examples:
    own = of.code_run
    cells = regress.ngram_cells(of.run_hashes_S[own], of.runs.doc_S[own], of.num_docs, ngram, buckets)
    return Examples(signals.measure(of, of.chunk.chars_D >= min(max_chars, words.MAX_CHARS)), *cells)


def _is_in(table: pa.Table, language: str | None) -> pa.ChunkedArray:
    """bool: rows of this language, None for those of none."""
    return pc.is_null(table["lang"]) if language is None else pc.fill_null(pc.equal(table["lang"], language), False)


def _contrasted(reference: pa.Table, tables: Sequence[pa.Table], seed: int) -> pa.Table:
    """Files of the reference, labelled 1, and of the corpus, 0. Raises StepError where either is missing."""
    names = ["id", "draw", "text", "lang", "origin"]
    good = reference.append_column("draw", pa.array(draw.draws_of(reference["id"], seed))).select(names)
    sample = pa.concat_tables([table.select(names) for table in tables]) if tables else good.slice(0, 0)
    if not good.num_rows or not sample.num_rows:
        raise StepError(
            f"{good.num_rows} files in the reference and {sample.num_rows} in the corpus, but training needs some of both: "
            "check the steps before it, and that `reference` names a corpus that keeps documents"
        )
    label = pa.array(np.repeat([1.0, 0.0], [good.num_rows, sample.num_rows]))
    return pa.concat_tables([good, sample.cast(good.schema)]).append_column("label", label)


def _labelled(labels: pa.Table, tables: Sequence[pa.Table], seed: int) -> pa.Table:
    """What was labelled, with the language and origin that the sample has where the labels have none."""
    labels = regress.usable(labels)
    sample = pa.concat_tables([_PLACES.empty_table(), *(table.select(_PLACES.names) for table in tables)])
    place = pc.index_in(labels["id"], sample["id"].combine_chunks())
    for name in ("lang", "origin"):
        if name not in labels.column_names:
            labels = labels.append_column(name, sample[name].take(place))
    labels = labels.append_column("draw", pa.array(draw.draws_of(labels["id"], seed)))
    return labels.select(["id", "draw", "text", "lang", "origin", "label"])


def _drawn(rows: pa.Table, count: int, settings: _Settings) -> pa.Table:
    """The `count` rows with the smallest draws, of either kind with a reference."""
    if settings.is_labelled:
        return draw.smallest(rows, count)
    return pa.concat_tables([draw.smallest(rows.filter(pc.equal(rows["label"], kind)), count) for kind in (1.0, 0.0)])


class _Read(NamedTuple):
    """Examples of files, and what else is needed of them."""

    rows: pa.Table  # label, origin, and what `_folders` reads
    examples: Examples

    def filter(self, chosen: pa.ChunkedArray) -> "_Read":
        chosen_N = chosen.to_numpy(zero_copy_only=False)
        return _Read(self.rows.filter(chosen), regress.chosen(self.examples, chosen_N))


def _read(rows: pa.Table, settings: _Settings) -> _Read:
    return _Read(rows, features_of(rows, ngram=settings.ngram, buckets=settings.buckets, max_chars=settings.max_chars))


def _joined(parts: Sequence[_Read]) -> _Read:
    return _Read(
        pa.concat_tables([part.rows for part in parts]),
        regress.joined([part.examples for part in parts], len(signals.NAMES)),
    )


def _num_examples(rows: pa.Table, settings: _Settings) -> int:
    """Of the kind that has fewer, with a reference."""
    kinds = rows["label"].value_counts().field("counts")
    return rows.num_rows if settings.is_labelled else pc.min(kinds).as_py()


def _learn(read: _Read, settings: _Settings) -> _Model:
    """A model of all examples, and how models of a part of them do on the rest."""
    labels_N = read.rows["label"].to_numpy().astype(np.float64)
    weights, predicted_N = learn(
        read.examples,
        labels_N,
        _folders(read.rows),
        folds=settings.folds,
        num_slots=settings.ngram * settings.buckets,
        ridge=settings.ridge,
    )
    if not settings.folds:
        return _Model(weights, {"examples": len(labels_N)}, True)
    if settings.is_labelled:
        agreed = agreement(predicted_N, labels_N, threshold=settings.threshold)
        told, figure, by_chance = agreed._asdict(), agreed.spearman, 2 / math.sqrt(len(labels_N) - 1)
    else:
        good_N = labels_N == 1
        found = HeldOut(int(good_N.sum()), int((~good_N).sum()), auc(predicted_N, good_N))
        if min(found.positives, found.negatives) < LEAST_HELD_OUT:
            return _Model(weights, {"not_measured": f"fewer than {LEAST_HELD_OUT} files of a kind"}, True)
        told, figure, by_chance = found._asdict(), found.auc, found.by_chance
    told = {name: round(value, 4) for name, value in told.items() if math.isfinite(value)}
    return _Model(weights, told, not settings.bar or figure >= max(settings.bar, by_chance))


def _folders(rows: pa.Table) -> np.ndarray:
    """uint64 (N,): equal for files of one folder, and for equal texts of no known place."""
    origins, texts = rows["origin"].to_pylist(), rows["text"].to_pylist()
    places = [
        origin.rpartition("/")[0] or origin if origin else text for origin, text in zip(origins, texts, strict=True)
    ]
    return draw.draws_of(pa.chunked_array([pa.array(places, pa.large_string())]), 0)


def _refusal(model: _Model, settings: _Settings) -> str:
    figure, remedy = ("spearman", "min_agreement: 0") if settings.is_labelled else ("auc", "min_auc: 0")
    return (
        f"the shared model does no better than chance on files that it did not see ({figure} {model.told.get(figure, 'undefined')}, and at "
        f"least {settings.bar:g} is asked for): look at the {'labels' if settings.is_labelled else 'reference'}, add more, or write "
        f"`{remedy}` to score by it all the same"
    )
