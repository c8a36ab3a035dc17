"""Which row of which shard is row i of a stage, and the way back: pure functions of (plan, i), for thousands of rows at a time.

The mixture says which source row i comes from and how many rows of that source came before: its rank. The rank says the epoch and the
position in the order of that epoch. The order goes through the shards of the source one after the other, later epochs from another one
on, and shuffles the rows inside each shard by groups of what a record batch holds (`permute.shuffle`). A shard is a random sample of its
source's documents, so rows are as well mixed as by a shuffle of everything; but a source needs one shard at a time: a feed reads ahead
in whole runs of a file, a small cache is enough, and a stage can begin as soon as the first shard of every source is sealed. The rows held
out for validation, the first ones of the first shard, are walked past: everything here is an order of the other ones.

Costs: 0.2 us per row, 0.02 ms per source and block. Nothing grows with the size of a source: not memory, not the start. Every row of a
source comes exactly once per epoch, and stages that share shards go on where the one before ended.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from curriculum import mixture
from curriculum.permute import cycle_walk, derive, mix, shuffle, unshuffle
from curriculum.plan import MixtureSegment, Stage
from datapipe.ragged import by_value
from datapipe.shards import BATCH_TOKENS

BLOCK_ROWS = 4096  # rows located at once: one lattice count per source and block


class Located(NamedTuple):
    """Where rows of a stage come from: (n,) each."""

    source: np.ndarray  # int32, index into stage.sources
    epoch: np.ndarray  # int64, how often the source was seen through before
    shard: np.ndarray  # int64, index among the shards of the source
    shard_row: np.ndarray  # int64


class Order:
    """The order of one stage. Everything is known from the plan; making one costs microseconds."""

    def __init__(self, stage: Stage) -> None:
        if stage.is_open:
            raise ValueError(f"stage {stage.name!r} is open: the build does not know yet what it will learn from")
        self.stage, self.offset = stage, mixture.offset(stage.seed)
        self.first_rank = np.array([source.first_rank for source in stage.sources], np.int64)
        self.rows = np.array([source.rows for source in stage.sources], np.int64)
        self.held_out = np.array([source.held_out for source in stage.sources], np.int64)
        self.trainable = self.rows - self.held_out
        self.num_shards = np.array([source.num_shards for source in stage.sources], np.int64)
        largest = [-(-source.rows // source.num_shards) if source.num_shards else 0 for source in stage.sources]
        self.group = np.clip(largest, 1, max(1, BATCH_TOKENS // stage.seq_len))  # rows, per source
        self.keys = np.array([source.seed for source in stage.sources], np.uint64)

    def locate(self, block: int) -> Located:
        """Rows [block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS) of the stage, as if it had no end."""
        parts = [self._drawn(*part) for part in self._segments(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)]
        source, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
        epoch, position = np.divmod(self.first_rank[source] + rank, self.trainable[source])
        shard, shard_row = self._shuffled(source, epoch, position)
        return Located(source.astype(np.int32), epoch, shard, shard_row)

    def stage_rows(self, source: int, shard: int, shard_row: int) -> list[int]:
        """The rows of the stage that are this row of a shard: one per epoch, none when the stage does not reach it or it is held out."""
        drawn = self.stage.sources[source]
        if not drawn.rows_planned or drawn.is_held_out(shard, shard_row):
            return []
        first, last = drawn.first_rank, drawn.first_rank + drawn.rows_planned - 1
        epochs = np.arange(first // drawn.trainable_rows, last // drawn.trainable_rows + 1)
        ranks = epochs * drawn.trainable_rows + self._position(source, epochs, shard, shard_row) - drawn.first_rank
        return [self._row_of(source, rank) for rank in ranks.tolist() if 0 <= rank < drawn.rows_planned]

    def _segments(self, first: int, end: int) -> Iterator[tuple[MixtureSegment, int, int]]:
        """The mixture segments that rows [first, end) lie in, each with its part of these rows."""
        segments = self.stage.mixture
        index = bisect_right(segments, first, key=lambda segment: segment.first_row) - 1
        while first < end:
            upto = min(end, segments[index + 1].first_row) if index + 1 < len(segments) else end
            yield segments[index], first, upto
            first, index = upto, index + 1

    def _drawn(self, segment: MixtureSegment, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """(source, rank in the stage) of rows [first, end) of a segment."""
        source = mixture.source_of(np.arange(first, end), segment.bounds, self.offset)
        before = mixture.counts_between(segment.first_row, first, segment.bounds, self.offset)
        rank = (np.array(segment.taken) + np.array(before))[source]
        for index, where in by_value(source):
            if not self.rows[index]:
                raise ValueError(
                    f"stage {self.stage.name!r} draws from {self.stage.sources[index].name!r}, which has no rows: "
                    "build it, or plan without it"
                )
            rank[where] += np.arange(where.size)
        return source, rank

    def _row_of(self, source: int, rank: int) -> int:
        """The row of the stage that has this rank in the source."""
        segments = self.stage.mixture
        index = bisect_right(segments, rank, key=lambda segment: segment.taken[source]) - 1
        segment, end = segments[index], segments[index + 1].first_row if index + 1 < len(segments) else self.stage.rows
        return mixture.row_of_rank(
            rank - segment.taken[source], source, segment.first_row, end, segment.bounds, self.offset
        )

    def _shuffled(self, source: np.ndarray, epoch: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(shard, row in it) at each position of the order of its source in an epoch."""
        rows, num_shards, trainable = self.rows[source], self.num_shards[source], self.trainable[source]
        row = position + self._first_row(source, epoch)
        row += self.held_out[source] - np.where(row >= trainable, trainable, 0)
        shard = ((row + 1) * num_shards - 1) // rows
        first = shard * rows // num_shards
        size = ((shard + 1) * rows // num_shards - first).astype(np.uint64)
        held_out = np.where(shard == 0, self.held_out[source], 0).astype(np.uint64)
        group, key = self.group[source].astype(np.uint64), self._key(source, epoch, shard)
        num_groups = (size + group - np.uint64(1)) // group
        inside = cycle_walk(
            (row - first).astype(np.uint64),
            lambda cells, which: shuffle(cells, num_groups[which], group[which], key[which]),
            lambda cells, which: (cells < size[which]) & (cells >= held_out[which]),
        )
        return shard, inside.astype(np.int64)

    def _position(self, source: int, epochs: np.ndarray, shard: int, shard_row: int) -> np.ndarray:
        """The position of a row that is drawn in the order of its source in each of these epochs: the inverse of `_shuffled`."""
        drawn = self.stage.sources[source]
        sources = np.full(epochs.size, source)
        size, held_out = np.uint64(drawn.shard(shard).rows), np.uint64(0 if shard else drawn.held_out)
        group, key = np.uint64(self.group[source]), self._key(sources, epochs, np.full(epochs.size, shard))
        num_groups = (size + group - np.uint64(1)) // group
        inside = cycle_walk(
            np.full(epochs.size, shard_row, np.uint64),
            lambda cells, which: unshuffle(cells, num_groups, group, key[which]),
            lambda cells, which: (cells < size) & (cells >= held_out),
        )
        row = drawn.first_row(shard) + inside.astype(np.int64) - drawn.held_out
        return (row - self._first_row(sources, epochs)) % drawn.trainable_rows

    def _first_row(self, source: np.ndarray, epoch: np.ndarray) -> np.ndarray:
        """The row, not counting those held out, that an epoch begins with before the shuffle: some shard's first, in epoch 0 the first."""
        num_shards = self.num_shards[source]
        shard = (mix(derive(self.keys[source], epoch.astype(np.uint64))) % num_shards.astype(np.uint64)).astype(
            np.int64
        )
        first = np.where(epoch > 0, shard, 0) * self.rows[source] // num_shards
        return np.maximum(first - self.held_out[source], 0)

    def _key(self, source: np.ndarray, epoch: np.ndarray, shard: np.ndarray) -> np.ndarray:
        return derive(derive(self.keys[source], epoch.astype(np.uint64)), shard.astype(np.uint64))
