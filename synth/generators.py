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

    `files` are parameters that name files: the functions get their places (relative paths start from the folder of the data), and when
    what is in them changes, rows are made again.

    A function with a parameter `teacher` gets the model that the manifest names under that key (`synth.teacher.Crew`), or None where it
    names none: then the rows are made by program. A `reduce` with a parameter `accept` stops when so many rows are accepted (0: none
    left); it tries candidates in the order of a keyed draw, so that a larger number only adds rows.
    """

    emit: Callable[..., pa.Table]
    reduce: Callable[..., pa.Table]
    check: Callable[..., None] | None = None  # raises ValueError for parameters that cannot be meant
    files: tuple[str, ...] = ()


# Generators that put documents together, word for word: what they make has the authors of what they read.
IN_WORDS_OF_SOURCES = frozenset({"book", "gather", "interleave", "repository", "reviewed", "threads"})

GENERATORS: dict[str, Step] = {
    "qa": Step("corpus", "synth.qa:QA", 2),
    "lookup": Step("corpus", "synth.lookup:LOOKUP", 2),
    "chat": Step("corpus", "synth.chat:CHAT", 2),
    "book": Step("corpus", "synth.books:BOOK", 4),
    "gather": Step("corpus", "synth.gather:GATHER", 1),
    "interleave": Step("corpus", "synth.interleave:INTERLEAVE", 3),
    "repository": Step("corpus", "synth.repository.generator:REPOSITORY", 4),
    "messages": Step("corpus", "synth.messages:MESSAGES", 1),
    "threads": Step("corpus", "synth.threads.generator:THREADS", 3),
    "search": Step("corpus", "synth.search.generator:SEARCH", 2),
    "tools": Step("corpus", "synth.tooluse.generator:TOOLS", 2),
    "calls": Step("corpus", "synth.tooluse.calls:CALLS", 2),
    "reasoning": Step("corpus", "synth.reasoning.generator:REASONING", 3),
    "rephrase": Step("corpus", "synth.rephrase.generator:REPHRASE", 2),
    "software": Step("corpus", "synth.software.generator:SOFTWARE", 2),
    "pulls": Step("corpus", "synth.software.pulls:PULLS", 1),
    "reviewed": Step("corpus", "synth.review.reviewed:REVIEWED", 1),
    "long": Step("corpus", "synth.long_context:LONG", 2),
}
