"""Columns that a step reads must have been written by an earlier one, and no score by two: checked before any data is touched."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from curation.steps import load
from curriculum.document import Document, Where
from datapipe.schema import DOCUMENT, DROP, LOSS_SPANS

if TYPE_CHECKING:
    from curriculum.corpus import StepSpec

EMBEDDING, CELL = "embedding", "centroid"
RECALLED = "recalled"  # no score
_NEEDS = {"cluster.kmeans": (EMBEDDING,), "dedup.semantic": (EMBEDDING, CELL), "filter.recalled": (RECALLED,)}
_NAMES = {
    "bucket.rank": "columns",
    "bucket.threshold": "column",
    "filter.any_score": "least",
    "filter.score": "column",
}  # the parameter that names the columns
_TAKEN = {*DOCUMENT.names, DROP, LOSS_SPANS, "bucket", "cluster_size", EMBEDDING, CELL, RECALLED}
_MAKERS = {EMBEDDING: "embed.words", CELL: "cluster.kmeans", RECALLED: "recall.round"}
_MAKES = {
    "filter.language": ("lang_score",),
    "dedup.minhash": ("cluster_size",),
    "recall.round": (RECALLED, "recall"),
    "bucket.rank": ("quality_rank",),
}


def check_columns(document: Document, specs: "Sequence[StepSpec | None]") -> None:
    """Adds a problem for every step that needs a column nobody before it writes, or that writes a score again."""
    written: set[str] = set()
    lacking: set[str] | None = None  # once a step may have written anything: what was removed since
    for index, spec in enumerate(specs):
        if spec is None or (":" in spec.name and spec.step.kind != "filter"):
            lacking = set()  # one that is not known, or a map of somebody else's
            continue
        wanted = _NEEDS.get(spec.name, ())
        if spec.name in _NAMES:
            named = _value(spec, _NAMES[spec.name])  # its check says what else is wrong
            wanted = tuple(
                [named] if isinstance(named, str) else named if isinstance(named, list | tuple | dict) else ()
            )
        if _value(spec, "features") == EMBEDDING:
            wanted = (EMBEDDING,)
        for column in wanted:
            if (spec.name, column) == ("bucket.threshold", "chars"):
                continue  # the length of the text
            if column not in written and (lacking is None or column in lacking):
                maker = _MAKERS.get(column, f"a step that scores, with `column: {column}` or of that name")
                known = ", ".join(sorted(written - {EMBEDDING, CELL, RECALLED})) or "none"
                document.problem(
                    ("steps", index, spec.name),
                    f"needs the column {column!r}, which no step before it writes (scores so far: {known}).",
                    f"Put {maker} before it.",
                )
        made = _made(spec)
        if spec.name.startswith("score.") and made in written:
            document.problem(
                ("steps", index, spec.name), f"writes {made!r} again.", "Give it another name: `column: NAME`."
            )
        worst = f"{made}_worst" if spec.name == "score.perplexity" else ""
        new = {made, worst, *_MAKES.get(spec.name, ())} - {""}
        gone = {EMBEDDING, CELL} if spec.name == "dedup.semantic" and not _value(spec, "keep_embedding") else set()
        written = (written | new) - gone
        lacking = None if lacking is None else lacking | gone


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
