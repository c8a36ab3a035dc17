"""The feed: batch b of a stage is a pure function of (plan, seed, b). No index files, no state per rank, nothing to rebuild.

    row i of the stage --mixture--> source, rank in the source --permute--> row of the source --shards--> tokens, pieces

A global batch is the same set of rows for any number of ranks; a rank takes its slice of it. So the data-parallel size may change at
any step, resume costs one batch, and which documents were in a step is computed, never logged. What the feed keeps (decoded record
batches, located blocks of rows, collated windows of steps) only saves work.

Costs, on a busy machine (`curriculum.bench`): 40 to 60 million tokens per CPU second for batches of 8 rows of 256 tokens, 60 to 110 for
rows of 4,096 and more, from compressed, checked shards; the first batch after a resume 10 to 40 ms; decoded record batches up to
`cache_bytes`, of which each source in use wants 4 MiB. A rank of many reads whole record batches for the few rows it needs of each. Not
covered: shares that change inside a stage; sources that are still being built.
"""

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from curriculum.order import BLOCK_ROWS, Located, Order
from curriculum.plan import Plan
from datapipe import store
from datapipe.ragged import by_value, expand
from datapipe.shards import BatchCache, Layout, Meter, ShardError, ShardReader, read_layout, read_tokens

READ_ERRORS = (ShardError, store.StoreError)  # what reading a shard may raise: damaged, or not to be had
IGNORED = -100  # label of a position where nothing is learned: what torch's cross-entropy skips by default
WINDOW_TOKENS = 1 << 18  # short batches are gathered and collated several steps at once
CACHE_BYTES = 256 << 20
OPEN_SHARDS = 256


@dataclass
class Batch:
    """A rank's rows of a global batch. The arrays are the caller's: no other batch shares their memory.

    A padding tail is a piece of its own. Steps that were made together are charged, in `seconds`, to the first that was asked for.
    """

    tokens: np.ndarray  # uint32 (rows, seq_len)
    labels: np.ndarray  # int64 (rows, seq_len): the next token of the same piece, or IGNORED
    loss_weights: np.ndarray  # float32 (rows, seq_len): 1 where there is a label, else 0
    position_ids: np.ndarray  # int64 (rows, seq_len), from 0 in each piece
    source_ids: np.ndarray  # int32 (rows,), index into stage.sources
    cu_seqlens: np.ndarray  # int32 (pieces + 1,), where pieces begin in the rows laid end to end, and their size
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("fetch", "decode", "collate"), 0.0))


class Feed:
    """Batches of a plan whose shards lie below `root`, the folder of plan.json (local or s3://). Safe to call from several threads."""

    def __init__(self, plan: Plan, root: str, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.plan, self.root = plan, root
        self._orders = [Order(stage) for stage in plan.stages]
        self._cache, self._meter = BatchCache(cache_bytes), Meter()
        self._lock = threading.RLock()
        self._block = lru_cache(maxsize=8)(lambda stage, block: self._orders[stage].locate(block))
        self._reader = lru_cache(maxsize=OPEN_SHARDS)(self._open)
        self._ready: dict[tuple[int, int, int, int], Batch] = {}

    def locate(self, stage: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index of the source, row in the source's shards laid end to end) of rows of the stage: int32 (n,), int64 (n,)."""
        located = self._locate(stage, rows)
        return located.source, self._orders[stage].source_rows(located)

    def batch(self, stage: int, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """Rows [rank * B // world, (rank + 1) * B // world) of the B rows of a step of the stage.

        Raises ValueError for a step or rank that is not there, and what `datapipe.shards` raises for a shard it cannot read.
        """
        key = (stage, step, rank, world)
        with self._lock:
            if key not in self._ready:
                self._ready = self._gather_window(*key)
            return self._ready.pop(key)

    def stream(
        self, start_step: int = 0, *, rank: int = 0, world: int = 1, depth: int = 2
    ) -> Generator[tuple[int, int, Batch], None, None]:
        """(stage, step of the stage, batch) from a global step to the end of the plan; a thread works up to `depth` batches ahead.

        `seconds["wait"]` is how long the caller was kept waiting. What goes wrong in the thread is raised here, at the batch it
        concerns or one made together with it. Closing the iterator stops the thread.
        """
        steps = range(start_step, self.plan.steps)
        ahead: deque[tuple[int, int, Future[Batch]]] = deque()
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
        try:
            for number in range(start_step, self.plan.steps + depth):
                if number in steps:
                    stage, step = self.plan.locate(number)
                    ahead.append((stage, step, worker.submit(self.batch, stage, step, rank=rank, world=world)))
                if number >= start_step + depth:
                    stage, step, future = ahead.popleft()
                    started = time.perf_counter()
                    batch = future.result()
                    batch.seconds["wait"] = time.perf_counter() - started
                    yield stage, step, batch
        finally:
            worker.shutdown(cancel_futures=True)

    def lineage(self, stage: int, step: int) -> list[dict[str, Any]]:
        """What the global batch of a step is made of: for each row where it comes from, and the documents in it."""
        with self._lock:
            first, last = (self.plan.stages[stage].rows_before(number) for number in (step, step + 1))
            located = self._locate(stage, np.arange(first, last))
            order, names = self._orders[stage], [source.name for source in self.plan.stages[stage].sources]
            return [
                {
                    "row": row,
                    "source": names[source],
                    "epoch": epoch,
                    "shard": order.shards[shard].path,
                    "shard_row": shard_row,
                    "pieces": [
                        {"doc": piece.doc, "start": piece.start, "length": piece.length}
                        for piece in self._reader(stage, shard).pieces(shard_row)
                    ],
                }
                for row, source, epoch, shard, shard_row in zip(
                    range(first, last), *(column.tolist() for column in located), strict=True
                )
            ]

    def _gather_window(self, stage: int, step: int, rank: int, world: int) -> dict[tuple[int, int, int, int], Batch]:
        """The batch of this step and, when batches are short, of steps beside it with as many rows: each is handed out once."""
        plan = self.plan.stages[stage]
        rows = plan.batch_rows(step)
        if not 0 <= rank < world <= rows:
            raise ValueError(
                f"stage {plan.name!r}, step {step}: rank {rank} of {world} has no share of {rows} rows; "
                f"ranks count from 0, and at most {rows} can share this batch"
            )
        low, high = rank * rows // world, (rank + 1) * rows // world
        begins = [segment.first_step for segment in plan.batch]
        segment = bisect_right(begins, step) - 1
        num_steps = max(1, WINDOW_TOKENS // ((high - low) * plan.seq_len))
        first = step - (step - begins[segment]) % num_steps
        steps = range(first, min(first + num_steps, *begins[segment + 1 :], plan.steps))
        first_rows = plan.rows_before(first) + np.arange(len(steps)) * rows
        started, fetched, decoded = time.perf_counter(), self._meter.fetch, self._meter.decode
        window = self._gather(stage, (first_rows[:, None] + np.arange(low, high)).ravel())
        ready = {(stage, k, rank, world): part for k, part in zip(steps, split(window, len(steps)), strict=True)}
        fetch, decode = self._meter.fetch - fetched, self._meter.decode - decoded
        collating = time.perf_counter() - started - fetch - decode
        ready[stage, step, rank, world].seconds.update(fetch=fetch, decode=decode, collate=collating)
        return ready

    def _gather(self, stage: int, rows: np.ndarray) -> Batch:
        located = self._locate(stage, rows)
        distinct, reader = np.unique(located.shard, return_inverse=True)
        readers = [self._reader(stage, shard) for shard in distinct.tolist()]
        tokens = read_tokens(readers, reader, located.shard_row)
        return collate(tokens, read_layout(readers, reader, located.shard_row), located.source)

    def _locate(self, stage: int, rows: np.ndarray) -> Located:
        rows, limit = np.asarray(rows, np.int64), self.plan.stages[stage].rows
        if rows.size and not 0 <= rows.min() <= rows.max() < limit:
            raise ValueError(
                f"stage {self.plan.stages[stage].name!r} has rows 0..{limit - 1}, not {rows.min()}..{rows.max()}"
            )
        blocks, inside = np.divmod(rows, BLOCK_ROWS)
        found = Located(np.empty(rows.size, np.int32), *np.empty((3, rows.size), np.int64))
        for block, where in by_value(blocks):
            for column, values in zip(found, self._block(stage, block), strict=True):
                column[where] = values[inside[where]]
        return found

    def _open(self, stage: int, shard: int) -> ShardReader:
        planned, seq_len = self._orders[stage].shards[shard], self.plan.stages[stage].seq_len
        reader = ShardReader(store.join(self.root, planned.path), cache=self._cache, meter=self._meter)
        if (reader.rows, reader.seq_len) != (planned.rows, seq_len):
            raise ShardError(
                f"{reader.prefix}: {reader.rows} rows of {reader.seq_len} tokens, where the plan expects {planned.rows} of {seq_len}: "
                "shards and plan.json are of different builds; run `tokenloom build`"
            )
        return reader


def collate(tokens: np.ndarray, layout: Layout, source_ids: np.ndarray) -> Batch:
    """The batch of these rows: tokens uint32 (rows, seq_len), their layout, their sources int32 (rows,)."""
    num_rows, seq_len = tokens.shape
    size = num_rows * seq_len
    begins, ends = layout.pieces.flat(seq_len)
    filled = np.bincount(begins // seq_len, weights=ends - begins, minlength=num_rows).astype(np.int64)
    tails = (np.arange(num_rows) * seq_len + filled)[filled < seq_len]
    boundaries = np.sort(np.concatenate([begins, tails, [size]]))
    unlearned = _outside(*layout.learned.flat(seq_len), size)
    # One large allocation is used again by the next batch; several smaller ones go back to the system: 3 ns per token measured.
    memory = np.empty(20 * size, np.uint8)
    position_ids, labels = memory[: 16 * size].view(np.int64).reshape(2, size)
    loss_weights = memory[16 * size :].view(np.float32)
    position_ids.fill(1)  # steps of one, and at each boundary a step back to 0
    position_ids[0] = 0
    position_ids[boundaries[1:-1]] -= np.diff(boundaries)[:-1]
    np.cumsum(position_ids, out=position_ids)
    labels[:-1] = tokens.ravel()[1:]
    labels[unlearned] = IGNORED
    loss_weights.fill(1)
    loss_weights[unlearned] = 0
    return Batch(
        tokens=tokens,
        labels=labels.reshape(tokens.shape),
        loss_weights=loss_weights.reshape(tokens.shape),
        position_ids=position_ids.reshape(tokens.shape),
        source_ids=source_ids,
        cu_seqlens=boundaries.astype(np.int32),
    )


def _outside(begins: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
    """The positions of range(size) that lie in none of the ranges [begins, ends), which grow and do not overlap."""
    gap_begins, gap_ends = np.append(0, ends), np.append(begins, size)
    return expand(gap_begins, gap_ends - gap_begins)


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch as `parts` batches of as many rows each, which are views of it."""
    num_rows, seq_len = batch.tokens.shape
    size = num_rows // parts
    cuts = np.searchsorted(batch.cu_seqlens, np.arange(parts + 1) * (size * seq_len)).tolist()
    return [
        Batch(
            tokens=batch.tokens[first : first + size],
            labels=batch.labels[first : first + size],
            loss_weights=batch.loss_weights[first : first + size],
            position_ids=batch.position_ids[first : first + size],
            source_ids=batch.source_ids[first : first + size],
            cu_seqlens=batch.cu_seqlens[low : high + 1] - first * seq_len,
        )
        for first, (low, high) in zip(range(0, num_rows, size), pairwise(cuts), strict=True)
    ]
