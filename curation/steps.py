"""The vocabulary of the manifest: every step a corpus may name, in one literal table.

Four kinds of step, told by what they return (all parameters beyond the documents are keyword-only):

    filter  (docs, *, ...) -> pa.Array          one drop reason per row, null = keep
    map     (docs, *, ...) -> pa.Table          the same rows in the same order, columns changed; may set `drop_reason`
    score   (docs, *, ...) -> pa.Array          one float32 per row, stored under the last part of the step's name
    corpus  a `CorpusStep`: four pure functions around an exchange, for what needs all documents

A foreign step is named `package.module:function` in the manifest and takes its kind from the function's return annotation.
"""

import importlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pyarrow as pa

Kind = Literal["filter", "map", "score", "corpus"]


class Step(NamedTuple):
    """Where a step lives. Raise `version` whenever its output changes for the same input: built data is keyed by it."""

    kind: Kind
    target: str  # "module:attribute"
    version: int


class CorpusStep(NamedTuple):
    """A step that needs all documents of a corpus. The engine runs the four functions and owns the data movement.

    emit(docs, **params) -> pa.Table     one call per partition; a uint64 column `key` says where each row goes
    reduce(rows, **params) -> pa.Table   one call per receiver, with all rows whose key falls into its range
    merge(tables, **params) -> pa.Table  one call with what the receivers returned, in receiver order: the verdict
    apply(docs, verdict, **params) -> pa.Table   one call per partition: same rows, columns added, `drop_reason` set

    Every function must give the same result for any order of its input rows. `check(**params)` raises ValueError for parameters that
    cannot be meant, before any data is touched.
    """

    emit: Callable[..., pa.Table]
    reduce: Callable[..., pa.Table]
    merge: Callable[..., pa.Table]
    apply: Callable[..., pa.Table]
    check: Callable[..., None] | None = None


STEPS: dict[str, Step] = {
    "extract.html": Step("map", "curation.extract:html", 1),
    "filter.language": Step("map", "curation.language:language", 1),
    "filter.gopher_quality": Step("filter", "curation.heuristics:gopher_quality", 1),
    "filter.gopher_repetition": Step("filter", "curation.heuristics:gopher_repetition", 1),
    "filter.code": Step("filter", "curation.code:code", 1),
    "filter.license": Step("filter", "curation.license:license", 1),
    "filter.length": Step("filter", "curation.heuristics:length", 1),
    "dedup.exact": Step("corpus", "curation.exact:EXACT", 1),
    "dedup.minhash": Step("corpus", "curation.minhash:MINHASH", 1),
    "score.quality": Step("corpus", "curation.quality:QUALITY", 1),
    "bucket.rank": Step("corpus", "curation.upsample:RANK", 1),
}


def load(step: Step) -> Any:
    """The function or `CorpusStep` behind a table entry."""
    module, _, attribute = step.target.partition(":")
    return getattr(importlib.import_module(module), attribute)
