"""A corpus step on one table, the way an engine runs it: partitions, an exchange by key, receivers, one verdict."""

import inspect
import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.dedup import clusters
from curation.steps import CorpusStep, RoutedStep

Drive = Callable[..., pa.Table]


@pytest.fixture
def drive() -> Drive:
    """`drive(step, docs, partitions=, receivers=, seed=, **params)`: documents in the order of ids, columns and reasons set.

    Rows, and partitions, arrive in an order that depends on `seed`; the result must not.
    """
    return run


def run(
    step: CorpusStep | RoutedStep,
    docs: pa.Table,
    *,
    partitions: int = 3,
    receivers: int = 2,
    shuffle: int = 0,
    verdicts: list[pa.Table] | None = None,
    **params: Any,
) -> pa.Table:
    rng = random.Random(shuffle)
    rows = list(range(docs.num_rows))
    rng.shuffle(rows)
    parts = [docs.take(pa.array(rows[start::partitions], pa.int64())) for start in range(partitions)]
    received = _exchanged(step, parts, receivers, rng, params)
    if isinstance(step, RoutedStep):
        applied = _tell(step, parts, received, verdicts, params)
    else:
        reduced = [_stored(_call(step.reduce, params, each)) for each in received]
        verdict = _stored(_call(step.merge, params, reduced))
        if verdicts is not None:
            verdicts.append(verdict)
        applied = [_call(step.apply, params, part, verdict) for part in parts]
    return pa.concat_tables(applied).sort_by("id")


def _exchanged(
    step: CorpusStep | RoutedStep, parts: list[pa.Table], receivers: int, rng: random.Random, params: dict[str, Any]
) -> list[pa.Table]:
    """What every receiver gets, in an order of its own."""
    emitted = []
    for number, part in enumerate(parts):
        sent = _stored(_call(step.emit, params, part))
        if isinstance(step, RoutedStep):
            place = pa.array(sent["row"].to_numpy().astype(np.uint64) | np.uint64(number << 32))
            sent = sent.set_column(sent.schema.get_field_index("row"), "doc", place)
        emitted.append(sent)
    rng.shuffle(emitted)
    table = pa.concat_tables(emitted)
    owner = (table["key"].to_numpy() >> np.uint64(32)) * np.uint64(receivers) >> np.uint64(32)
    mine = [np.flatnonzero(owner == receiver) for receiver in range(receivers)]
    for each in mine:
        rng.shuffle(each)
    return [table.take(pa.array(each)) for each in mine]


def _tell(
    step: RoutedStep,
    parts: list[pa.Table],
    received: list[pa.Table],
    verdicts: list[pa.Table] | None,
    params: dict[str, Any],
) -> list[pa.Table]:
    """What every partition is told, applied to it."""
    judged = [_stored(_call(step.judge, params, each)) for each in received]
    if verdicts is not None:
        verdicts += judged
    found = pa.concat_tables([each.replace_schema_metadata(None) for each in judged])
    if step.clusters:
        stars = clusters.stars(found)
        found, _ = clusters.members(stars, np.ones(stars.num_rows, bool))
    docs = found["doc"].to_numpy()
    index = found.schema.get_field_index("doc")
    applied = []
    for number, part in enumerate(parts):
        mine = np.flatnonzero(docs >> np.uint64(32) == number)
        row = (docs[mine] & np.uint64(0xFFFFFFFF)).astype(np.int64)
        order = np.argsort(row, kind="stable")
        told = found.take(pa.array(mine)).set_column(index, "row", pa.array(row)).take(pa.array(order))
        applied.append(_call(step.apply, params, part, _stored(told)))
    return applied


def _call(function: Callable[..., pa.Table], params: dict[str, Any], *args: Any) -> pa.Table:
    """Parameters go to those of the four functions that take them."""
    taken = inspect.signature(function).parameters
    return function(*args, **{name: value for name, value in params.items() if name in taken})


def _stored(table: pa.Table) -> pa.Table:
    """Through storage, as every table between the functions travels."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_file(pa.py_buffer(sink.getvalue())).read_all()
