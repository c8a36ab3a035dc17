"""Columns that a step reads must have been written by an earlier one, and no score by two: checked before any data is touched."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curation.steps import load
from curriculum.document import Document, Where
from curriculum.fields import did_you_mean
from datapipe.schema import DOCUMENT, DROP, LOSS_SPANS

if TYPE_CHECKING:
    from curriculum.corpus import Corpus, StepSpec

EMBEDDING, CELL = "embedding", "centroid"
RECALLED, CLUSTER_SIZE, LANG_SCORE = "recalled", "cluster_size", "lang_score"
_NO_SCORES = {EMBEDDING, CELL, RECALLED}
_NEEDS = {
    "cluster.kmeans": (EMBEDDING,),
    "dedup.semantic": (EMBEDDING, CELL),
    "filter.recalled": (RECALLED,),
    "filter.language_threshold": (LANG_SCORE,),
}
_GENERATORS_NEED = {"interleave": (EMBEDDING, CELL)}  # of the corpora that they read
_NAMES = {
    "bucket.rank": "columns",
    "bucket.threshold": "column",
    "filter.any_score": "least",
    "filter.score": "column",
}  # the parameter that names the columns
_TAKEN = {*DOCUMENT.names, DROP, LOSS_SPANS, "bucket", CLUSTER_SIZE, EMBEDDING, CELL, RECALLED}
_TEXTS = tuple(
    field.name for field in DOCUMENT if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
)
_MAKERS = {
    EMBEDDING: "embed.words",
    CELL: "cluster.kmeans",
    RECALLED: "recall.round",
    CLUSTER_SIZE: "dedup.minhash",
    LANG_SCORE: "filter.language",
}
_MAKES = {
    "filter.language": (LANG_SCORE,),
    "dedup.exact": (CLUSTER_SIZE,),
    "dedup.url": (CLUSTER_SIZE,),
    "dedup.minhash": (CLUSTER_SIZE,),
    "recall.round": (RECALLED, "recall"),
    "bucket.rank": ("quality_rank",),
}


def check_columns(document: Document, specs: "Sequence[StepSpec | None]") -> frozenset[str] | None:
    """Adds a problem for every step that needs a column nobody before it writes, or that writes a score again.

    Returns the columns that the steps leave beside those of every document; None where a step may have written anything.
    """
    written: set[str] = set()
    lacking: set[str] | None = None  # once a step may have written anything: what was removed since
    for index, spec in enumerate(specs):
        if spec is None or (":" in spec.name and spec.step.kind != "filter"):
            lacking = set()  # one that is not known, or a map of somebody else's
            continue
        where: Where = ("steps", index, spec.name)
        for parameter, column in _needed(spec):
            if column not in written and (lacking is None or column in lacking):
                maker = _MAKERS.get(column, f"a step that scores, with `column: {column}` or of that name")
                known = ", ".join(sorted(written - _NO_SCORES)) or "none"
                document.problem(
                    (*where, parameter) if parameter in spec.params else where,
                    f"needs the column {column!r}, which no step before it writes (scores so far: {known}).",
                    f"Put {maker} before it.",
                )
        if lacking is None:
            _check_group(document, where, spec)
        made = _made(spec)
        if spec.name.startswith("score.") and made in written:
            document.problem(where, f"writes {made!r} again.", "Give it another name: `column: NAME`.")
        worst = f"{made}_worst" if spec.name == "score.perplexity" else ""
        new = {made, worst, *_MAKES.get(spec.name, ())} - {""}
        gone = {EMBEDDING, CELL} if spec.name == "dedup.semantic" and not _value(spec, "keep_embedding") else set()
        written = (written | new) - gone
        lacking = None if lacking is None else lacking | gone
    return frozenset(written) if lacking is None else None


def check_generators(corpora: "Mapping[str, Corpus]", files: Mapping[str, Document]) -> None:
    """Adds a problem for every corpus that a generator reads and that lacks a column which the generator needs."""
    for name, corpus in corpora.items():
        for column in _GENERATORS_NEED.get(corpus.source.get("generator", ""), ()):
            for other in corpus.generated_from:
                source = corpora.get(other)  # one that comes as tokens is refused by itself
                written = source.columns if source and not source.is_imported else None
                if written is not None and column not in written:
                    files[name].problem(
                        ("source", "from"),
                        f"needs the column {column!r} of {other!r}, which no step of it writes and keeps.",
                        f"Put {_MAKERS[column]} into {other!r}.",
                    )


def check_order(document: Document, specs: "Sequence[StepSpec | None]") -> None:
    """Adds a problem for a score in place of something else, for rounds that are not numbered 1, 2, 3, and for buckets set twice."""
    rounds, buckets = 0, ""
    for index, spec in enumerate(specs):
        if spec is None:
            continue
        where: Where = ("steps", index, spec.name)
        if spec.name.startswith("score.") and (not (made := _made(spec)) or made in _TAKEN):
            document.problem(
                where,
                f"writes its score to the column {made!r}, which {'is something else' if made else 'is no name'}.",
                "Give it another name: `column: NAME`.",
            )
        if spec.name == "recall.round":
            rounds += 1
            if _value(spec, "round") != rounds:
                said = f"is {_value(spec, 'round')}, but this is the round number {rounds} of the corpus."
                document.problem((*where, "round"), said, "Number the rounds 1, 2, 3.")
        if spec.name.startswith("bucket."):
            if buckets:
                document.problem(where, f"sets the buckets, which {buckets} has set.", "Leave one of the two out.")
            buckets = spec.name


def _needed(spec: "StepSpec") -> Iterator[tuple[str, str]]:
    """The parameter that names it, where one does, and a column that a step needs of those before it."""
    yield from (("", column) for column in _NEEDS.get(spec.name, ()))
    parameter = _NAMES.get(spec.name, "")
    named = _value(spec, parameter) if parameter else ()  # its check says what else is wrong
    for column in [named] if isinstance(named, str) else named if isinstance(named, list | tuple | dict) else ():
        is_length = (spec.name, column) == ("bucket.threshold", "chars")  # of the text
        if isinstance(column, str) and not is_length:
            yield parameter, column
    if _value(spec, "features") == EMBEDDING:
        yield "features", EMBEDDING
    if spec.name == "bucket.rank" and _value(spec, "cluster_epochs"):
        yield "cluster_epochs", CLUSTER_SIZE


def _check_group(document: Document, where: Where, spec: "StepSpec") -> None:
    """`by` names a column of texts: one that every document has."""
    by = _value(spec, "by") if spec.name == "bucket.rank" else ""
    if isinstance(by, str) and by and by not in _TEXTS:
        said = f"is {by!r}, but the documents have no such column of texts."
        document.problem((*where, "by"), said, did_you_mean(by, _TEXTS))


def _made(spec: "StepSpec") -> str:
    if spec.name.startswith("embed."):
        return EMBEDDING
    if spec.name == "cluster.kmeans":
        return CELL
    if spec.step.kind == "score":
        return spec.name.rpartition(".")[2]
    return str(_value(spec, "column") or "") if spec.name.startswith("score.") else ""


def _value(spec: "StepSpec", name: str) -> Any:
    """A parameter as the manifest or the step's functions have it; None where there is none."""
    if name in spec.params:
        return spec.params[name]
    loaded = load(spec.step)
    functions = filter(callable, loaded) if isinstance(loaded, tuple) else (loaded,)
    for function in functions:
        parameter = inspect.signature(function).parameters.get(name)
        if parameter is not None and parameter.default is not inspect.Parameter.empty:
            return parameter.default
    return None
