"""What a worker does with one partition of a corpus: read it, run all consecutive steps, write it once.

A segment is everything between two exchanges. Its documents never touch storage between steps; what every step dropped is counted, and a
sample of the rejects is kept (the smallest ids of each reason: the same ones at any parallelism).
"""

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.steps import CorpusStep, RoutedStep, Step, StepError, load
from curriculum.tally import REJECTS_PER_REASON, PartWriter, Tally, distinct, undropped
from datapipe import exchange, readers, store
from datapipe.schema import DOCUMENT, DROP, with_column
from synth.render import DEFAULT, in_template

ROWS_PER_CALL = 1_000  # documents that a step sees at once
BYTES_PER_CALL = 64 << 20  # fewer where they are long, as readers hand them over
Parameters = Mapping[str, Any]
Documents = Callable[[pa.Table], pa.Table]


class BuildError(Exception):
    """The build cannot go on: what, why, and what to do."""


class Bound(NamedTuple):
    """A step with its name in the manifest and its parameters."""

    name: str
    step: Step
    params: Parameters
    corpus: str = ""  # for messages alone
    pages: Callable[[pa.Table], list[str]] | None = (
        None  # the documents as they were read, for a step that asks for them
    )


class Judged(NamedTuple):
    """A corpus step of which everything is known but what it says about the documents at hand."""

    step: Bound
    paths: list[str]  # of a `CorpusStep` its verdict, of a `RoutedStep` what was found, a slice per partition
    part: int = 0


class Generated(NamedTuple):
    """Input of a segment: what a generator makes of one receiver's candidates, or made of them before."""

    generator: Bound
    exchanged: list[str]
    receiver: int
    template: str = DEFAULT  # chat template of conversations
    made: str = ""  # a file of `exchange.write_table`


class Again(NamedTuple):
    """Documents that were read, judged and counted before, for an exchange alone: a second time is cheaper than having written them."""

    source: readers.Split | str
    steps: Sequence[Bound | Judged] = ()


class Emit(NamedTuple):
    """The exchange that follows a segment."""

    step: Bound
    num_receivers: int
    path: str
    part: int


def run_segment(
    *,
    output: str,
    corpus: str,
    source: readers.Split | Again | str | Generated,
    steps: Sequence[Bound | Judged],
    emit: Emit | None,
    write: bool = True,
    num_rejects: int = REJECTS_PER_REASON,
) -> dict[str, Any]:
    """One partition from `source` (a split of the input, a finished part, or a generator) through steps to `output`.

    Returns counts; writes the kept documents to `output` (Parquet; not without `write`), a sample of the others to
    `output`.rejects.parquet, and the rows for the exchange that follows to `emit.path`.
    """
    stages = [_stage(step) for step in steps]
    first = {readers.Split: "read", Generated: "generate"}.get(type(source))
    names = distinct(([first] if first else []) + [name for name, _ in stages])
    tally = Tally(names, num_rejects)
    ids: list[pa.ChunkedArray] = []  # as they were read
    with contextlib.ExitStack() as files:
        part = files.enter_context(PartWriter(output if write else None))
        send = _sending(emit, files) if emit else None
        for table in tables_of(source, corpus):
            kept = tally.split(first, table) if first else table
            if first == "read":
                ids.append(kept["id"])
            for name, (_, function) in zip(names[-len(stages) :], stages, strict=bool(stages)):
                kept = tally.split(name, function(kept))
            if send:
                send(kept, part.rows)
            part.write(kept)
    if repeated := _repeated(ids):
        tally.about["read"]["repeated_ids"] = repeated
    tally.write_rejects(output + ".rejects.parquet")
    return {"steps": tally.steps(), "members": tally.members(), **part.summary()}


def _repeated(ids: list[pa.ChunkedArray]) -> int:
    """Documents with the id of another one of their partition: an origin that is not unique, such as a bad `id_key`."""
    whole = pa.chunked_array([chunk for each in ids for chunk in each.chunks], pa.string())
    return len(whole) - pc.count_distinct(whole).as_py()


def _sending(emit: Emit, files: contextlib.ExitStack) -> Callable[[pa.Table, int], None]:
    """A function that sends what a corpus step wants of some documents, the first of which will be the given row of the partition."""
    step: CorpusStep | RoutedStep = load(emit.step.step)
    assert step.emit is not None  # the others close no segment
    function = bound(step.emit, emit.step)
    sender = files.enter_context(exchange.Sender(emit.path, emit.num_receivers))

    def send(docs: pa.Table, first_row: int) -> None:
        rows = function(docs)
        if isinstance(step, RoutedStep):
            rows = _numbered(rows, emit.part, first_row)
        sender.send(rows, exchange.receiver_of(rows["key"].to_numpy(), emit.num_receivers))

    return send


def _numbered(rows: pa.Table, part: int, first_row: int) -> pa.Table:
    """`row`, the place in a table of documents, becomes `doc`, the document's number in the corpus."""
    docs = (rows["row"].to_numpy() + first_row).astype(np.uint64) | (np.uint64(part) << np.uint64(32))
    index = rows.schema.get_field_index("row")
    return rows.set_column(index, "doc", pa.array(docs, pa.uint64()))


def _stage(step: Bound | Judged) -> tuple[str, Documents]:
    """A step's name, and the step as a function from documents to documents with drop reasons."""
    if isinstance(step, Bound):
        return step.name, _as_map(step)
    loaded: CorpusStep | RoutedStep = load(step.step.step)
    apply = bound(loaded.apply, step.step)
    if isinstance(loaded, RoutedStep):
        return step.step.name, _TellingRows(apply, exchange.read_slice(step.paths, step.part))
    verdict = exchange.read_table(step.paths[0])
    return step.step.name, lambda docs: apply(docs, verdict)


class _TellingRows:
    """Applies what was found about a partition's documents to its tables, one after the other."""

    def __init__(self, apply: Callable[..., pa.Table], found: pa.Table):
        row = (found["doc"].to_numpy() & np.uint64(0xFFFFFFFF)).astype(np.int64)
        order = np.argsort(row, kind="stable")
        index = found.schema.get_field_index("doc")
        self._apply, self._rows = apply, row[order]
        self._found = found.set_column(index, "row", pa.array(row)).take(pa.array(order))
        self._next = 0

    def __call__(self, docs: pa.Table) -> pa.Table:
        start, stop = np.searchsorted(self._rows, [self._next, self._next + docs.num_rows]).tolist()
        found = self._found.slice(start, stop - start)
        index = found.schema.get_field_index("row")
        found = found.set_column(index, "row", pa.array(self._rows[start:stop] - self._next))
        self._next += docs.num_rows
        return self._apply(docs, found)


def _as_map(step: Bound) -> Documents:
    """A map as it is; a filter or a score as a map that sets its column."""
    function = bound(load(step.step), step)
    if step.step.kind == "map":
        return function
    column = DROP if step.step.kind == "filter" else re.split(r"[.:]", step.name)[-1]
    return lambda docs: with_column(docs, column, function(docs))


def bound(function: Callable[..., Any], step: Bound, **more: Any) -> Callable[..., Any]:
    """A function of `step` with those of the step's parameters (and of `more`) that it takes. A `StepError` comes out as a BuildError."""
    taken = inspect.signature(function).parameters
    given = {**step.params, **more, "pages": step.pages}
    chosen = {name: value for name, value in given.items() if name in taken}

    def call(*args: Any) -> Any:
        try:
            return function(*args, **chosen)
        except StepError as error:
            raise BuildError(f"corpus {step.corpus}: {step.name}: {error}") from error

    return call


def pages_of(source: Mapping[str, Any], data: str, docs: pa.Table) -> list[str]:
    """The documents of `docs` as their reader gave them. BuildError where a file no longer holds them."""
    try:
        return readers.read_raw_rows(source, data, docs.select(["origin", "raw", "meta"]).to_pylist())
    except (store.StoreError, ValueError) as error:
        raise BuildError(f"corpus {docs['corpus'][0]}: a page cannot be read again: {error}") from error


def tables_of(source: readers.Split | Again | str | Generated, corpus: str) -> Iterator[pa.Table]:
    """At least one table, so that every step runs and an empty partition has the columns of a full one."""
    if isinstance(source, str):
        with store.open_input(source) as stream:
            file = pq.ParquetFile(stream)
            yield from map(
                pa.Table.from_batches, ([batch] for batch in file.iter_batches(_rows_per_call(file.metadata)))
            )
            if not file.metadata.num_rows:
                yield file.schema_arrow.empty_table()
    elif isinstance(source, Again):
        functions = [_stage(step)[1] for step in source.steps]
        for table in tables_of(source.source, corpus):
            table = undropped(table)
            for function in functions:
                table = undropped(function(table).replace_schema_metadata(None))
            yield table
    elif isinstance(source, Generated):
        if source.made:
            made = exchange.read_table(source.made)
        else:
            made = bound(load(source.generator.step).reduce, source.generator, teacher=None)(
                exchange.read_slice(source.exchanged, source.receiver)
            )
        counts, made = made.schema.metadata, made.replace_schema_metadata(None)  # told once, with the first rows
        made = in_template(made, source.template)
        made = with_column(made, "corpus", pa.array([corpus] * made.num_rows, pa.string()))
        at_once = max(1, min(ROWS_PER_CALL, BYTES_PER_CALL * made.num_rows // max(1, made.nbytes)))
        for start in range(0, max(1, made.num_rows), at_once):
            yield made.slice(start, at_once).replace_schema_metadata(None if start else counts)
    else:
        table = None
        for table in readers.read(source, corpus):
            yield table
        if table is None:
            yield DOCUMENT.empty_table()


def _rows_per_call(part: pq.FileMetaData) -> int:
    """By the row group of the longest documents."""
    groups = [part.row_group(index) for index in range(part.num_row_groups)]
    longest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(ROWS_PER_CALL, int(BYTES_PER_CALL / max(1, longest))))
