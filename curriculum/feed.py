"""The feed: batch b of a stage is a pure function of (plan, seed, b). No index files, no state per rank, nothing to rebuild.

    row i of the stage --mixture--> source, rank in the source --permute--> row of a shard --shards--> tokens, pieces

A global batch is the same set of rows for any number of ranks; a rank takes its slice of it. So the data-parallel size may change at
any step, resume costs one batch, and which documents were in a step is computed, never logged. What the feed keeps (decoded record
batches, located blocks of rows, collated windows of steps) only saves work.

Rows that the plan holds out are in no step; `validation` gives them. Held out are rows, not documents: where a corpus is packed
in two ways, or `concat` cuts a document, other stages or the next row may learn what a held-out row shows.

It follows a build that is still running: a shard that is not sealed yet, or a stage that is not laid out yet, is waited for, and the
waiting is metered ("build"). The order is that of the finished build. Shards on S3 are read through a block cache on the local disk, and
blocks that the next rows need are fetched ahead.

Costs (`curriculum.bench`): 90 to 240 million tokens per CPU second from compressed, checked shards; the first batch after a start or a
resume 10 to 55 ms, at any row; decoded record batches up to `cache_bytes`, of which each source in use wants 5 MiB. A rank of many reads
whole record batches for the few rows it needs of each.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np

from curriculum import plan_changes
from curriculum.collate import IGNORED, Batch, FlatBatch, collate, context_part, empty, flatten, split
from curriculum.follow import Follower
from curriculum.order import BLOCK_ROWS, Located, Order
from curriculum.plan import Plan, PlanError, Stage, archived
from datapipe import store
from datapipe.block_cache import BlockCache
from datapipe.ragged import by_value
from datapipe.shards import BatchCache, Meter, ShardError, ShardReader, read_layout, read_tokens
from datapipe.site import Site, SiteError, load_site

log = logging.getLogger(__name__)

__all__ = ["IGNORED", "READ_ERRORS", "Batch", "Feed", "FlatBatch", "Site", "SiteError", "load_site"]

READ_ERRORS = (ShardError, store.StoreError)  # what reading a shard may raise: damaged, or not to be had
WINDOW_TOKENS = 1 << 21  # short batches are gathered and collated several steps at once
AHEAD_TOKENS = 1 << 25  # of the stage's next rows whose blocks are fetched from an object store ahead of their use
OPEN_SHARDS = 256
UNLISTED = -1  # a source that a shard names and the stage does not: a bucket without documents, or a mistake


class Feed:
    """Batches of a plan whose shards lie below `root`, the folder of plan.json (local or s3://). Safe to call from several threads.

    cache_bytes  of decoded record batches; as the site file has it unless given
    site         by default the file that TOKENLOOM_SITE names; SiteError when that cannot be read
    patience     how many seconds a running build may keep the feed waiting for one shard or stage before that is an error; as the site
                 file has it unless given
    """

    def __init__(
        self,
        plan: Plan,
        root: str,
        *,
        cache_bytes: int | None = None,
        site: Site | None = None,
        patience: float | None = None,
    ) -> None:
        self.root, site = root, site or load_site()
        self._settings: dict[str, Any] = {"cache_bytes": cache_bytes, "site": site, "patience": patience}
        self._follower = Follower(plan, root, site.patience_seconds if patience is None else patience)
        self._cache, self._meter = BatchCache(site.memory_bytes if cache_bytes is None else cache_bytes), Meter()
        self._files = BlockCache.of_site(site) if store.is_s3(root) else None
        self._lock = threading.RLock()
        self._order = lru_cache(maxsize=None)(lambda stage: Order(self._follower.closed_stage(stage)))
        self._block = lru_cache(maxsize=8)(lambda stage, block: self._order(stage).locate(block))
        self._reader = lru_cache(maxsize=OPEN_SHARDS)(self._open)
        self._ready: dict[tuple[Any, ...], Batch] = {}
        self._fetched: dict[tuple[int, int, int], int] = {}  # step before which all is fetched: by stage, rank, world

    @property
    def plan(self) -> Plan:
        """The plan as far as it is known: a running build extends it."""
        return self._follower.plan

    def beside(self) -> "Feed":
        """A feed like this one, of the plan as far as it is known, which waits for nothing that this one waits for."""
        return Feed(self.plan, self.root, **self._settings)

    def refresh(self, done: int) -> Plan:
        """Read the plan of a running build again, before the first batch is made; raises PlanChanged when it contradicts the first
        `done` steps of the one known."""
        return self._follower.refresh(done)

    def state(self, step: int) -> dict[str, Any]:
        """What a checkpoint keeps to go on with global step `step`: the stage, its next row, and the plan's digest."""
        plan = self.plan
        if step == plan.steps:
            return {"stage": len(plan.stages), "row": 0, "plan": plan.digest()}
        stage, stage_step = plan.locate(step)
        return {"stage": stage, "row": plan.stages[stage].rows_before(stage_step), "plan": plan.digest()}

    def resume(self, state: dict[str, Any]) -> int:
        """The global step to go on with after `state`; edits of the plan's future since then are logged.

        Raises PlanChanged when the plan rewrites what was learned before, PlanError for a state that is not of this plan.
        """
        plan, (stage, row) = self.plan, (state["stage"], state["row"])
        old = plan if state["plan"] == plan.digest() else self._archived(state["plan"])
        done = old.first_step(stage) + (old.stages[stage].step_of_row(row) if row else 0)
        if old is not plan:
            where = store.join(self.root, archived(state["plan"]))
            for edit in plan_changes.check(old, plan, done, where=where):
                log.warning("plan.json was edited behind the state that was saved, accepted: %s", edit)
        return done

    def locate(self, stage: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index of the source, row in the source's shards laid end to end) of rows of the stage: int32 (n,), int64 (n,)."""
        located = self._locate(stage, rows)
        sources = self.plan.stages[stage].sources
        first = [sources[s].first_row(shard) for s, shard in zip(located.source, located.shard.tolist(), strict=True)]
        return located.source, np.array(first, np.int64) + located.shard_row

    def batch(
        self,
        stage: int,
        step: int,
        *,
        rank: int = 0,
        world: int = 1,
        mtp_depths: int = 0,
        multiple: int | None = None,
        cp_rank: int = 0,
        cp_size: int = 1,
    ) -> Batch:
        """Rows [rank * B // world, (rank + 1) * B // world) of the B rows of a step of the stage.

        mtp_depths  how many further labels per position, for multi-token prediction
        multiple    gives a FlatBatch: pieces end to end, each padded to a multiple of so many tokens; 2 * cp_size unless given
        cp_rank     of cp_size context-parallel ranks that share these rows: two chunks of every piece (`collate.context_part`)

        Raises ValueError for a step or rank that is not there, and what `datapipe.shards` raises for a shard it cannot read.
        """
        key = (stage, step, rank, world, mtp_depths)
        with self._lock:
            if key not in self._ready:
                self._ready = self._gather_window(*key)
            batch = self._ready.pop(key)
        if multiple is None and cp_size == 1:
            return batch
        flat = flatten(batch, multiple=multiple or 2 * cp_size)
        return flat if cp_size == 1 else context_part(flat, cp_rank, cp_size)

    def stream(
        self, start_step: int = 0, *, depth: int = 2, **share: Any
    ) -> Generator[tuple[int, int, Batch], None, None]:
        """(stage, step of the stage, batch) from a global step to the end of the plan; a thread works up to `depth` batches ahead.

        `share` is what `batch` takes. `seconds["wait"]` is how long the caller was kept waiting. What goes wrong in the thread is raised
        here, at the batch it concerns or one made together with it. Closing the iterator stops the thread, and ends every
        waiting for a build in this feed.
        """
        steps = range(start_step, self.plan.steps)
        ahead: deque[tuple[int, int, Future[Batch]]] = deque()
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
        try:
            for number in range(start_step, self.plan.steps + depth):
                if number in steps:
                    stage, step = self.plan.locate(number)
                    ahead.append((stage, step, worker.submit(self.batch, stage, step, **share)))
                if number >= start_step + depth:
                    stage, step, future = ahead.popleft()
                    started = time.perf_counter()
                    batch = future.result()
                    batch.seconds["wait"] = time.perf_counter() - started
                    yield stage, step, batch
        finally:
            with self._follower.interrupted():
                worker.shutdown(cancel_futures=True)

    def validation(self, stage: int, *, rank: int = 0, world: int = 1, mtp_depths: int = 0) -> Batch:
        """Rows [rank * B // world, (rank + 1) * B // world) of the B = `Stage.validation_rows` rows that the sources of a stage hold out.

        They come source by source, in the order of the shards, and mask what the stage masks. A rank without a share, and a stage
        that holds nothing out, get a batch of no rows. The shards that hold them must be sealed: for those of a running build it waits.
        All rows of the rank are in memory at once: (8 + 4 * mtp_depths) bytes per token.

        Raises ValueError for a rank that is not there, and what `datapipe.shards` raises for a shard it cannot read.
        """
        if not 0 <= rank < world:
            raise ValueError(f"there is no rank {rank} of {world}: ranks count from 0")
        with self._lock:
            plan = self._follower.closed_stage(stage)
            rows = plan.validation_rows
            share = np.arange(rank * rows // world, (rank + 1) * rows // world)
            if not share.size:
                return empty(plan.seq_len, mtp_depths)
            counts = np.array([source.held_out for source in plan.sources], np.int64)
            source = np.repeat(np.arange(counts.size, dtype=np.int32), counts)[share]
            shard_row = share - (np.cumsum(counts) - counts)[source]
            before, started = self._waited(), time.perf_counter()
            zeros = np.zeros(share.size, np.int64)
            batch = self._gather(stage, Located(source, zeros, zeros, shard_row), mtp_depths)
            self._charge(batch, before, started)
            return batch

    def lineage(self, stage: int, step: int) -> list[dict[str, Any]]:
        """What the global batch of a step is made of: for each row where it comes from, and the documents in it."""
        with self._lock:
            first, last = (self.plan.stages[stage].rows_before(number) for number in (step, step + 1))
            located = self._locate(stage, np.arange(first, last))
            sources = self.plan.stages[stage].sources
            columns = (column.tolist() for column in located)
            return [
                {
                    "row": row,
                    "source": sources[source].name,
                    "epoch": epoch,
                    "shard": sources[source].shard(shard).path,
                    "shard_row": shard_row,
                    "pieces": self._pieces(stage, source, shard, shard_row),
                }
                for row, source, epoch, shard, shard_row in zip(range(first, last), *columns, strict=True)
            ]

    def steps_with(self, stage: int, source: int, shard: int, shard_row: int) -> list[int]:
        """The global steps that learn this row of a shard."""
        rows = self._order(stage).stage_rows(source, shard, shard_row)
        return [self.plan.first_step(stage) + self.plan.stages[stage].step_of_row(row) for row in rows]

    def close(self) -> None:
        """Stop fetching ahead."""
        if self._files:
            self._files.close()

    def _archived(self, digest: str) -> Plan:
        path = store.join(self.root, archived(digest))
        if not store.exists(path):
            raise PlanError(
                f"the state is of plan {digest[:12]}, plan.json below {self.root} is {self.plan.digest()[:12]}, and {path} is not "
                "there to compare them: give the folder that was trained on, or start again"
            )
        return Plan.from_json(store.read_bytes(path).decode())

    def _pieces(self, stage: int, source: int, shard: int, shard_row: int) -> list[dict[str, Any]]:
        reader = self._reader(stage, source, shard)
        return [
            {
                "doc": piece.doc,
                "source": reader.sources[piece.source],
                "origin": piece.origin,
                "offset": piece.offset,
                "start": piece.start,
                "length": piece.length,
            }
            for piece in reader.pieces(shard_row)
        ]

    def _gather_window(self, stage: int, step: int, rank: int, world: int, mtp_depths: int) -> dict[Any, Batch]:
        """The batch of this step and, when batches are short, of steps beside it with as many rows: each is handed out once."""
        plan = self.plan.stages[stage]
        rows = plan.batch_rows(step)
        if not 0 <= rank < world <= rows:
            raise ValueError(
                f"stage {plan.name!r}, step {step}: rank {rank} of {world} has no share of {rows} rows; "
                f"ranks count from 0, and at most {rows} can share this batch"
            )
        num_rows = (rank + 1) * rows // world - rank * rows // world
        num_steps, alike = max(1, WINDOW_TOKENS // (num_rows * plan.seq_len)), plan.steps_alike(step)
        first = step - (step - alike.start) % num_steps
        steps = range(first, min(first + num_steps, alike.stop))
        before, started = self._waited(), time.perf_counter()
        window = self._gather(stage, self._locate(stage, _rows(plan, steps, rank, world)), mtp_depths)
        self._fetch_ahead(stage, steps.stop, rank, world)
        ready: dict[Any, Batch] = {
            (stage, k, rank, world, mtp_depths): part for k, part in zip(steps, split(window, len(steps)), strict=True)
        }
        self._charge(ready[stage, step, rank, world, mtp_depths], before, started)
        return ready

    def _waited(self) -> dict[str, float]:
        """Seconds spent so far in all, by what took them."""
        return {"build": self._follower.seconds, "fetch": self._meter.fetch, "decode": self._meter.decode}

    def _charge(self, batch: Batch, before: dict[str, float], started: float) -> None:
        """Note in a batch what took the time since `started`; `before` is what `_waited` said then."""
        waited = {what: seconds - before[what] for what, seconds in self._waited().items()}
        batch.seconds.update(waited, collate=time.perf_counter() - started - sum(waited.values()))

    def _gather(self, stage: int, located: Located, mtp_depths: int) -> Batch:
        key = (located.source.astype(np.int64) << 32) | located.shard
        distinct, reader = np.unique(key, return_inverse=True)
        readers = [self._reader(stage, *divmod(number, 1 << 32)) for number in distinct.tolist()]
        # One large allocation is used again by the next batch; several smaller ones go back to the system: 3 ns per token measured.
        memory = np.empty((2 + mtp_depths, key.size, readers[0].seq_len), np.int32)
        read_tokens(readers, reader, located.shard_row, memory[0].view(np.uint32))
        plan = self.plan.stages[stage]
        numbers = {source.name: index for index, source in enumerate(plan.sources)}
        source_ids = [np.array([numbers.get(name, UNLISTED) for name in each.sources], np.int32) for each in readers]
        layout = read_layout(readers, reader, located.shard_row, source_ids)
        if layout.source.min(initial=0) == UNLISTED:
            row = np.repeat(np.arange(key.size), layout.pieces.counts)[layout.source.argmin()]
            unlisted = ", ".join(sorted({*readers[reader[row]].sources} - {*numbers}))
            raise ShardError(
                f"{readers[reader[row]].prefix}: row {located.shard_row[row]} holds tokens of {unlisted}, which stage {plan.name!r} "
                "does not list: shards and plan.json are of different builds; run `tokenloom build`"
            )
        return collate(memory, layout.without_spans() if plan.learn == "all" else layout)

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

    def _fetch_ahead(self, stage: int, step: int, rank: int, world: int) -> None:
        """Let the cache fetch what the rank needs of the steps from `step` on, of shards that are sealed: one step at least."""
        plan = self.plan.stages[stage]
        if self._files is None or step == plan.steps:
            return
        num_steps = max(1, AHEAD_TOKENS // (plan.batch_rows(step) * plan.seq_len))
        begin = max(step, self._fetched.get((stage, rank, world), 0))
        steps = range(begin, min(step + num_steps, plan.steps_alike(step).stop))
        if not steps:
            return
        self._fetched[stage, rank, world] = steps.stop
        located = self._locate(stage, _rows(plan, steps, rank, world))
        for key, where in by_value((located.source.astype(np.int64) << 32) | located.shard):
            source, shard = divmod(key, 1 << 32)
            with contextlib.suppress(*READ_ERRORS):  # the batch that needs this shard meets it
                if self._follower.is_sealed(plan.sources[source].shard(shard).path):
                    for path, start, stop in self._reader(stage, source, shard).byte_ranges(located.shard_row[where]):
                        self._files.prefetch(path, start, stop)

    def _open(self, stage: int, source: int, shard: int) -> ShardReader:
        plan = self.plan.stages[stage]
        planned = plan.sources[source].shard(shard)
        self._follower.wait_until_sealed(planned.path)
        prefix = store.join(self.root, planned.path)
        reader = ShardReader(prefix, cache=self._cache, meter=self._meter, files=self._files)
        reader.expect(planned.rows, plan.seq_len)
        return reader


def _rows(stage: Stage, steps: range, rank: int, world: int) -> np.ndarray:
    """The rows of a rank in steps whose global batches have as many rows: int64 (n,)."""
    rows = stage.batch_rows(steps.start)
    share = np.arange(rank * rows // world, (rank + 1) * rows // world)
    return (stage.rows_before(steps.start) + np.arange(len(steps))[:, None] * rows + share).ravel()
