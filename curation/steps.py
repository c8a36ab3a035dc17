"""The vocabulary of the manifest: every step a corpus may name, in one literal table.

Four kinds of step, told by what they return (all parameters beyond the documents are keyword-only):

    filter  (docs, *, ...) -> pa.Array          one drop reason per row, null = keep
    map     (docs, *, ...) -> pa.Table          the same rows in the same order, columns changed; may set `drop_reason`; counters may
                                                stand in its schema's metadata under `COUNTS`. One with a parameter `pages` gets a
                                                function from documents to their texts as they were read
    score   (docs, *, ...) -> pa.Array          one float32 per row, stored under the last part of the step's name
    corpus  a `CorpusStep` or a `RoutedStep`: pure functions around an exchange, for what needs all documents

A foreign step is named `package.module:function` in the manifest and takes its kind from the function's return annotation.
"""

import importlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pyarrow as pa

Kind = Literal["filter", "map", "score", "corpus"]


class StepError(Exception):
    """A step cannot go on for something that is not in its documents: a file, a model, labels, an endpoint. Says what, and what to do;
    corpus and step are named by the engine. A bad document is no such error: it gets a drop reason."""


class Step(NamedTuple):
    """Where a step lives. Raise `version` whenever its output changes for the same input: built data is keyed by it."""

    kind: Kind
    target: str  # "module:attribute"
    version: int


class CorpusStep(NamedTuple):
    """A step that learns something small from all documents of a corpus: cuts, thresholds, a model. It must fit one worker.

    emit(docs, **params) -> pa.Table     called with every table of documents; a uint64 column `key` says where each row goes
    reduce(rows, **params) -> pa.Table   one call per receiver, with all rows whose key falls into its range
    merge(tables, **params) -> pa.Table  one call with what the receivers returned, in receiver order: the verdict
    apply(docs, verdict, **params) -> pa.Table   called with every table of documents: same rows, columns added, `drop_reason` set

    A verdict may carry what the report should show of it, a JSON object in its schema's metadata under `COUNTS`.

    A step that learns from a reference alone has no emit and no reduce: `merge([], reference=...)` then runs before the corpus is read,
    and the corpus is not written and read again in between. Every function must give the same result for any order of its input rows.
    `check(**params)` raises ValueError for parameters that cannot be meant, before any data is touched.
    """

    emit: Callable[..., pa.Table] | None
    reduce: Callable[..., pa.Table] | None
    merge: Callable[..., pa.Table]
    apply: Callable[..., pa.Table]
    check: Callable[..., None] | None = None
    reference_documents: int | None = 20_000  # so many of the reference are handed over (smallest ids), None for all
    is_labelled: bool = (
        False  # `merge` gets `labels` (id, text, label): a file's, or the model `teacher`'s for `reduce`'s rows
    )


class RoutedStep(NamedTuple):
    """A step that finds something out about single documents by comparing them with others. No worker holds the whole corpus.

    emit(docs, **params) -> pa.Table   called with every table of documents. Columns: `key` (uint64: rows of equal key meet), `row`
        (int64, which of `docs`), and whatever `judge` needs. The engine replaces `row` by `doc` (uint64, the document's number in
        the corpus: its partition in the upper 32 bits, its row there in the lower).
    judge(rows, **params) -> pa.Table  one call per receiver, with all rows whose key falls into its range; speaks of documents by `doc`
    apply(docs, found, **params) -> pa.Table   called with every table of documents and what was found about them: same rows, columns
        added, `drop_reason` set. `found` has `row` (int64, which of `docs`, ascending) where judge wrote `doc`.

    When `clusters` is set, judge returns links between documents that are alike (`dedup.clusters.LINK`), the engine finds the connected
    components of all receivers' links, and `found` is `curation.dedup.clusters.FOUND`: the members of components, one row each. A judge's
    table may carry counters, a JSON object of integers in its schema's metadata under `COUNTS`: the engine adds them up.

    `judge` must give the same result for any order of its rows. `check(**params)` as for a `CorpusStep`. What is sent can be kept for later
    corpora (`index`, `against`), unless it means something in its own corpus only: `is_indexed` is False then.
    """

    emit: Callable[..., pa.Table]
    judge: Callable[..., pa.Table]
    apply: Callable[..., pa.Table]
    check: Callable[..., None] | None = None
    clusters: bool = False
    is_indexed: bool = True
    rewrites: bool = False  # texts, which costs more than to write and read the documents once


COUNTS = b"counts"


STEPS: dict[str, Step] = {
    "extract.html": Step("map", "curation.extraction.extract:html", 5),
    "extract.again": Step("map", "curation.extraction.extract:again", 4),
    "extract.linked": Step("map", "curation.extraction.linked:linked", 2),
    "score.code_tags": Step("score", "curation.extraction.code_tags:code_tags", 1),
    "filter.url": Step("filter", "curation.rules.blocklist:url", 1),
    "filter.language": Step("map", "curation.languages.language:language", 2),
    "filter.language_threshold": Step("corpus", "curation.languages.language_threshold:LANGUAGE_THRESHOLD", 1),
    "filter.gopher_quality": Step("filter", "curation.rules.gopher:gopher_quality", 3),
    "filter.gopher_repetition": Step("filter", "curation.rules.gopher:gopher_repetition", 2),
    "filter.c4": Step("map", "curation.rules.c4:c4", 2),
    "filter.fineweb": Step("filter", "curation.rules.fineweb:fineweb", 1),
    "filter.lines": Step("filter", "curation.rules.line_rules:lines", 1),
    "filter.words": Step("filter", "curation.rules.blocklist:blocked_words", 1),
    "filter.decontaminate": Step("corpus", "curation.decontamination.decontaminate:DECONTAMINATE", 1),
    "pii.replace": Step("map", "curation.pii.replace:replace", 2),
    "filter.code": Step("filter", "curation.code.deepseek:code", 1),
    "filter.opencoder": Step("filter", "curation.code.opencoder:opencoder", 1),
    "score.code": Step("corpus", "curation.code.score:CODE_QUALITY", 2),
    "filter.role": Step("filter", "curation.roles:role", 1),
    "filter.license": Step("filter", "curation.license:license", 2),
    "clean.book": Step("map", "curation.books.clean:book", 2),
    "score.perplexity": Step("corpus", "curation.books.perplexity:PERPLEXITY", 1),
    "filter.score": Step("filter", "curation.rules.score_limits:score", 1),
    "filter.any_score": Step("filter", "curation.rules.score_limits:any_score", 1),
    "filter.length": Step("filter", "curation.rules.length:length", 1),
    "dedup.exact": Step("corpus", "curation.dedup.exact:EXACT", 4),
    "dedup.url": Step("corpus", "curation.dedup.exact:URL", 3),
    "dedup.lines": Step("corpus", "curation.dedup.lines:LINES", 1),
    "dedup.minhash": Step("corpus", "curation.dedup.minhash:MINHASH", 4),
    "embed.words": Step("corpus", "curation.dedup.embed:WORDS", 1),
    "cluster.kmeans": Step("corpus", "curation.dedup.kmeans:KMEANS", 1),
    "dedup.semantic": Step("corpus", "curation.dedup.semantic:SEMANTIC", 2),
    "score.quality": Step("corpus", "curation.quality.reference:QUALITY", 3),
    "score.knowledge": Step("corpus", "curation.quality.reference:KNOWLEDGE", 3),
    "score.educational": Step("corpus", "curation.quality.regress:EDUCATIONAL", 4),
    "score.fasttext": Step("map", "curation.quality.released:fasttext", 1),
    "recall.round": Step("corpus", "curation.recall.rounds:ROUND", 2),
    "filter.recalled": Step("filter", "curation.recall.selection:recalled", 1),
    "bucket.threshold": Step("map", "curation.quality.thresholds:threshold", 1),
    "bucket.rank": Step("corpus", "curation.quality.upsample:RANK", 2),
}


def load(step: Step) -> Any:
    """The function or `CorpusStep` behind a table entry."""
    module, _, attribute = step.target.partition(":")
    return getattr(importlib.import_module(module), attribute)
