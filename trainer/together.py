"""Errors of a run on several ranks: what goes wrong on one ends all of them, and is said once.

A rank that raised alone would leave the others in a collective that it never joins: gloo then fails on each of them with a
message of its own, NCCL hangs until somebody kills the process. So the ranks tell each other what went wrong, at points that
all of them pass, and raise together. That costs one number per rank while nothing is wrong.

Not covered: what nobody foresees (a bug, memory that runs out) and a process that is killed. These end the others the hard way.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch.distributed as dist

from trainer.layout import Layout


class Elsewhere(Exception):
    """The run ends because of an error that another rank raises. Where it went wrong here in the same way, that is the cause."""


def agree(layout: Layout, failure: Exception | None) -> None:
    """Every rank calls this with what went wrong on it, None where nothing did. Where anything did, all of them raise.

    Of the ranks whose error has the same text the lowest raises it; every other one raises Elsewhere.
    """
    if layout.world == 1:
        if failure is not None:
            raise failure
        return
    if not layout.max(float(failure is not None)):
        return
    own = None if failure is None else str(failure)
    texts: list[str | None] = [None] * layout.world
    dist.all_gather_object(texts, own)
    if failure is not None and texts.index(own) == layout.rank:
        raise failure
    ranks = ", ".join(str(rank) for rank, text in enumerate(texts) if text is not None and texts.index(text) == rank)
    raise Elsewhere(f"the run ends because of what rank {ranks} says") from failure


@contextlib.contextmanager
def together(layout: Layout, *foreseen: type[Exception]) -> Iterator[None]:
    """At its end all ranks agree on the `foreseen` errors in it; a rank may have left it before another one enters it.

    Nothing in it may wait for other ranks, unless the errors are raised on all of them.
    """
    failure: Exception | None = None
    try:
        yield
    except foreseen as error:
        failure = error
    agree(layout, failure)


def tell_all(layout: Layout, value: Any) -> Any:
    """Rank 0's value, on every rank."""
    if layout.world == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, device=layout.device)
    return values[0]
