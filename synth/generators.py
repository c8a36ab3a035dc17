"""The vocabulary of `generator:` in a manifest: every source of synthetic rows that needs no model, in one literal table.

A generator is a step of kind corpus whose output are new documents: `emit` sees the partitions of the corpora it reads, `reduce` sees all
candidates whose key falls into its receiver's range. There is no verdict to apply: what `reduce` returns are the documents.
"""

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from curation.steps import Step


class Generator(NamedTuple):
    """Two pure functions around an exchange. Both give the same rows for any order of their input rows.

    emit(docs, **params) -> pa.Table     one call per partition; a uint64 column `key` says where each row goes
    reduce(rows, **params) -> pa.Table   one call per receiver: documents sorted by id, rejected ones with a `drop_reason`

    A function with a parameter `teacher` gets the model that the manifest names under that key (`synth.teacher.Crew`), or None where it
    names none: then the rows are made by program. A `reduce` with a parameter `accept` stops when so many rows are accepted (0: none
    left); it tries candidates in the order of a keyed draw, so that a larger number only adds rows.
    """

    emit: Callable[..., pa.Table]
    reduce: Callable[..., pa.Table]
    check: Callable[..., None] | None = None  # raises ValueError for parameters that cannot be meant


GENERATORS: dict[str, Step] = {
    "qa": Step("corpus", "synth.qa:QA", 1),
    "lookup": Step("corpus", "synth.lookup:LOOKUP", 1),
    "chat": Step("corpus", "synth.chat:CHAT", 1),
    "book": Step("corpus", "synth.books:BOOK", 3),
    "gather": Step("corpus", "synth.gather:GATHER", 1),
    "interleave": Step("corpus", "synth.interleave:INTERLEAVE", 2),
    "repository": Step("corpus", "synth.repository.generator:REPOSITORY", 3),
    "threads": Step("corpus", "synth.threads.generator:THREADS", 2),
    "long": Step("corpus", "synth.long_context:LONG", 1),
}
