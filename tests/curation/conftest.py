"""A corpus step on one table, the way an engine runs it: partitions, an exchange by key, receivers, one verdict."""

import inspect
import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

from curation.steps import CorpusStep

settings.register_profile("untimed", deadline=None, max_examples=60)
settings.load_profile("untimed")

Drive = Callable[..., pa.Table]


@pytest.fixture
def drive() -> Drive:
    """`drive(step, docs, partitions=, receivers=, seed=, **params)`: documents in the order of ids, columns and reasons set.

    Rows, and partitions, arrive in an order that depends on `seed`; the result must not.
    """
    return run


def run(
    step: CorpusStep,
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
    emitted = [_stored(_call(step.emit, params, part)) for part in parts]
    rng.shuffle(emitted)
    sent = pa.concat_tables(emitted)
    owner = (sent["key"].to_numpy() >> np.uint64(32)) * np.uint64(receivers) >> np.uint64(32)
    reduced = []
    for receiver in range(receivers):
        mine = np.flatnonzero(owner == receiver)
        rng.shuffle(mine)
        reduced.append(_stored(_call(step.reduce, params, sent.take(pa.array(mine)))))
    verdict = _stored(_call(step.merge, params, reduced))
    if verdicts is not None:
        verdicts.append(verdict)
    return pa.concat_tables(_call(step.apply, params, part, verdict) for part in parts).sort_by("id")


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
