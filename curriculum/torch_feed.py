"""The feed for other trainers: a torch IterableDataset of batches, for DataLoader and for torchdata's StatefulDataLoader.

    loader = StatefulDataLoader(FeedDataset("out", rank=rank, world=world), batch_size=None)

An item is a step of the plan, so `batch_size=None`. Worker w of n makes steps w, w + n, ..; a loader asks its workers in turn, which gives
the order of the plan back. A state is a few numbers: where in the plan, and which plan that was. It is loaded at any number of ranks, but
with as many workers as it was taken with (torchdata demands it). Iterating again begins at `start_step` again.

Use no workers: the feed prefetches in a thread of its own. Then 60 million tokens per CPU second arrive (8 rows of 4,096 per batch; 15
million with rows of 256), through workers 7 million (1 million), because torch moves every tensor in a shared file of its own; several
workers also decode and collate much of each other's steps. Not covered: `in_order=False`; a state taken with workers after the last step,
from which torchdata 0.11 begins anew.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from curriculum.feed import Batch, Feed
from curriculum.plan import PLAN, Plan
from datapipe import store


class FeedDataset(IterableDataset[dict[str, Any]]):
    """Steps of the plan below `root` from `start_step` on: a rank's share of each global batch, as a dict.

    Tensors: tokens (int64), and the other arrays of `feed.Batch` under their names. Plain values: stage (its name), step (global),
    stage_step, seconds. `shards` is where the shards lie when not below `root`; `layout` is what else `Feed.batch` takes: mtp_depths,
    multiple, cp_rank, cp_size.
    """

    def __init__(
        self, root: str, *, rank: int = 0, world: int = 1, shards: str | None = None, start_step: int = 0, **layout: int
    ) -> None:
        self.root, self.shards, self.start_step = root, shards, start_step
        self.share = {"rank": rank, "world": world, **layout}
        # With the process that opened it: a fork needs a feed of its own, with its own files.
        self._opened: tuple[int, Feed] | None = None
        # Of this worker: one step behind the last that it made, and how many steps from there on are for other workers.
        self._done, self._skip = start_step, 0
        self._loaded: dict[str, Any] | None = None  # what the next iteration begins with

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Raises what `Feed` raises, and PlanChanged where the plan has another past than a loaded state, at the first item."""
        worker = get_worker_info()
        number, num_workers = (worker.id, worker.num_workers) if worker else (0, 1)
        if self._loaded is None:
            self._done, self._skip = self.start_step, number
        return self._items(num_workers)

    def state_dict(self) -> dict[str, Any]:
        """Where this process is: stage, row and plan as `Feed.state` gives them, and the steps of other workers that come first."""
        return self._loaded or {**self._feed().state(self._done), "skip": self._skip}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on after `state`."""
        self._loaded = state

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _feed(self) -> Feed:
        if self._opened is None or self._opened[0] != os.getpid():
            plan = Plan.from_json(store.read_bytes(store.join(self.root, PLAN)).decode())
            self._opened = os.getpid(), Feed(plan, self.shards or self.root)
        return self._opened[1]

    def _items(self, stride: int) -> Iterator[dict[str, Any]]:
        """Every `stride`-th step, from where this worker is."""
        feed = self._feed()
        if self._loaded is not None:
            self._done, self._skip, self._loaded = feed.resume(self._loaded), self._loaded["skip"], None
        elif not 0 <= self.start_step <= feed.plan.steps:
            raise ValueError(f"the plan has steps 0 to {feed.plan.steps - 1}; start_step is {self.start_step}")
        first = self._done + self._skip
        batches = feed.stream(first, **self.share) if stride == 1 else self._every(feed, first, stride)
        with closing(batches):
            for stage, stage_step, batch in batches:
                step = feed.plan.first_step(stage) + stage_step
                self._done, self._skip = step + 1, stride - 1
                yield {"stage": feed.plan.stages[stage].name, "step": step, "stage_step": stage_step, **_values(batch)}

    def _every(self, feed: Feed, first: int, stride: int) -> Generator[tuple[int, int, Batch], None, None]:
        for step in range(first, feed.plan.steps, stride):
            stage, stage_step = feed.plan.locate(step)
            yield stage, stage_step, feed.batch(stage, stage_step, **self.share)


def _values(batch: Batch) -> dict[str, Any]:
    """The fields of a batch, arrays as tensors. What torch embeds, and compares with logits, it wants as int64."""
    fields = {**vars(batch), "position_ids": batch.position_ids, "loss_weights": batch.loss_weights}
    for name in ("tokens", "labels", "mtp_labels", "position_ids"):
        fields[name] = fields[name].astype(np.int64)
    return {name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in fields.items()}
