"""What a worker does with one partition of a corpus: read it, run all consecutive steps, write it once.

A segment is everything between two exchanges. Its documents never touch storage between steps; what every step dropped is counted, and a
sample of the rejects is kept (the smallest ids of each reason: the same ones at any parallelism).
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.steps import Step, load
from curriculum.tally import PartWriter, Tally
from datapipe import exchange, readers, store
from datapipe.schema import DOCUMENT, DROP, with_column

ROWS_PER_CALL = 1_000  # documents that a step sees at once
Parameters = Mapping[str, Any]
Documents = Callable[[pa.Table], pa.Table]


class Bound(NamedTuple):
    """A step with its name in the manifest and its parameters."""

    name: str
    step: Step
    params: Parameters


class Generated(NamedTuple):
    """Input of a segment: what a generator made of one receiver's candidates."""

    generator: Bound
    exchanged: list[str]
    receiver: int


class Emit(NamedTuple):
    """The exchange that follows a segment."""

    step: Bound
    num_receivers: int
    path: str


def run_segment(
    *,
    output: str,
    corpus: str,
    source: readers.Split | str | Generated,
    verdict: tuple[Bound, str] | None,
    steps: list[Bound],
    emit: Emit | None,
) -> dict[str, Any]:
    """One partition from `source` (a split of the input, a finished part, or a generator) through a verdict and steps to `output`.

    `verdict` is a corpus step and the path of what it found. Returns counts; writes the kept documents to `output` (Parquet), a sample
    of the others to `output`.rejects.parquet, and the rows for the exchange that follows to `emit.path`.
    """
    stages = _stages(verdict, steps)
    first = {str: None, Generated: "generate"}.get(type(source), "read")
    tally = Tally(([first] if first else []) + [name for name, _ in stages])
    emitted: list[pa.Table] = []
    sender = _bound(load(emit.step.step).emit, emit.step.params) if emit else None
    with PartWriter(output) as part:
        for table in _tables(source, corpus):
            kept = tally.split(first, table) if first else table
            for name, function in stages:
                kept = tally.split(name, function(kept))
            part.write(kept)
            if sender:
                emitted.append(sender(kept))
    if emit:
        _send(pa.concat_tables(emitted), emit.num_receivers, emit.path)
    tally.write_rejects(output + ".rejects.parquet")
    return {"steps": tally.steps(), **part.summary()}


def emit_candidates(*, output: str, part: str, generator: Bound, num_receivers: int) -> dict[str, Any]:
    """What a generator sees in one part of a corpus it reads, written as an exchange."""
    emit = _bound(load(generator.step).emit, generator.params)
    rows = pa.concat_tables([emit(table) for table in _tables(part, "")])
    return {"receivers": _send(rows, num_receivers, output)}


def _send(rows: pa.Table, num_receivers: int, path: str) -> list[int]:
    return exchange.write_slices(path, rows, exchange.receiver_of(rows["key"].to_numpy(), num_receivers), num_receivers)


def settle(
    *, output: str, step: Bound, exchanged: list[str], num_receivers: int, reference: list[str]
) -> dict[str, Any]:
    """Reduce and merge in one task, for exchanges that one worker can hold."""
    reduce = _bound(load(step.step).reduce, step.params)
    reduced = [reduce(exchange.read_slice(exchanged, receiver)) for receiver in range(num_receivers)]
    return _merge(output, step, reduced, reference)


def reduce_slice(*, output: str, step: Bound, exchanged: list[str], receiver: int) -> dict[str, Any]:
    """One receiver of an exchange: all rows of its key range, reduced."""
    return _write_table(output, _bound(load(step.step).reduce, step.params)(exchange.read_slice(exchanged, receiver)))


def merge_slices(*, output: str, step: Bound, reduced: list[str], reference: list[str]) -> dict[str, Any]:
    """The verdict over all receivers."""
    return _merge(output, step, [_read_table(path) for path in reduced], reference)


def _merge(output: str, step: Bound, reduced: list[pa.Table], reference: list[str]) -> dict[str, Any]:
    params = {**step.params, "reference": _reference_sample(reference)} if reference else step.params
    return _write_table(output, _bound(load(step.step).merge, params)(reduced))


REFERENCE_DOCUMENTS = 20_000


def _reference_sample(parts: list[str]) -> pa.Table:
    """`id` and `text` of at most REFERENCE_DOCUMENTS documents: those with the smallest ids, which are hashes."""
    tables = [_read_parquet(path, ["id", "text"]) for path in parts]
    return pa.concat_tables(tables).sort_by("id").slice(0, REFERENCE_DOCUMENTS)


def _stages(verdict: tuple[Bound, str] | None, steps: list[Bound]) -> list[tuple[str, Documents]]:
    """Every step of the segment as a function from documents to documents with drop reasons."""
    stages: list[tuple[str, Documents]] = []
    if verdict:
        step, path = verdict
        apply, found = _bound(load(step.step).apply, step.params), _read_table(path)
        stages.append((step.name, lambda docs: apply(docs, found)))
    return stages + [(step.name, _as_map(step)) for step in steps]


def _as_map(step: Bound) -> Documents:
    """A map as it is; a filter or a score as a map that sets its column."""
    function = _bound(load(step.step), step.params)
    if step.step.kind == "map":
        return function
    column = DROP if step.step.kind == "filter" else re.split(r"[.:]", step.name)[-1]
    return lambda docs: with_column(docs, column, function(docs))


def _bound(function: Callable[..., Any], params: Parameters) -> Callable[..., Any]:
    """`function` with those of `params` that it takes."""
    taken = inspect.signature(function).parameters
    chosen = {name: value for name, value in params.items() if name in taken}
    return lambda *args: function(*args, **chosen)


def _tables(source: readers.Split | str | Generated, corpus: str) -> Iterator[pa.Table]:
    """At least one table, so that every step runs and an empty partition has the columns of a full one."""
    if isinstance(source, str):
        with store.open_input(source) as stream:
            file = pq.ParquetFile(stream)
            yield from map(pa.Table.from_batches, ([batch] for batch in file.iter_batches(ROWS_PER_CALL)))
            if not file.metadata.num_rows:
                yield file.schema_arrow.empty_table()
    elif isinstance(source, Generated):
        generator, rows = source.generator, exchange.read_slice(source.exchanged, source.receiver)
        made = _bound(load(generator.step).reduce, generator.params)(rows)
        yield with_column(made, "corpus", pa.array([corpus] * made.num_rows, pa.string()))
    else:
        table = None
        for table in readers.read(source, corpus):
            yield table
        if table is None:
            yield DOCUMENT.empty_table()


def _read_parquet(path: str, columns: list[str]) -> pa.Table:
    with store.open_input(path) as source:
        return pq.read_table(source, columns=columns)


def _write_table(path: str, table: pa.Table) -> dict[str, Any]:
    with store.output_file(path) as sink, pa.ipc.new_file(sink, table.schema, options=exchange.OPTIONS) as writer:
        writer.write_table(table)
    return {"rows": table.num_rows}


def _read_table(path: str) -> pa.Table:
    with store.open_input(path) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()
