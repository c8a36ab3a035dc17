"""From packed rows to what a trainer eats: labels, borders, positions, and the parts that ranks take of them. Plain numpy, no I/O.

A batch is rectangular (rows, seq_len). On request it becomes one flat run of pieces, each padded to a multiple (THD layout), of which a
context-parallel rank takes two chunks of every piece: 2 * cp_size equal chunks are dealt out so that rank r holds chunks r and
2 * cp_size - 1 - r, which gives causal attention the same work on every rank (Megatron-LM and TransformerEngine cut the same way).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from datapipe.ragged import expand
from datapipe.shards import Layout

IGNORED = -100  # label of a position where nothing is learned: what torch's cross-entropy skips by default
PADDING = -1  # source of a piece that is no document
WAITS = ("build", "fetch", "decode", "collate")


@dataclass
class Batch:
    """A rank's rows of a global batch. The arrays are the caller's: no other batch shares their memory.

    A padding tail is a piece of its own. Steps that were made together are charged, in `seconds`, to the first that was asked for.
    """

    tokens: np.ndarray  # uint32 (rows, seq_len)
    labels: np.ndarray  # int32 (rows, seq_len): the next token of the same piece, or IGNORED
    mtp_labels: np.ndarray  # int32 (depths, rows, seq_len): the token 2, 3, .. further in the same piece, or IGNORED
    cu_seqlens: np.ndarray  # int32 (pieces + 1,), where pieces begin in the rows laid end to end, and their size
    source_ids: np.ndarray  # int32 (pieces,), index into stage.sources, or PADDING
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WAITS, 0.0))

    @cached_property
    def position_ids(self) -> np.ndarray:
        """int32 (rows, seq_len), from 0 in each piece; made when first asked for, as the borders say it all."""
        return _positions(self.cu_seqlens).reshape(self.tokens.shape)

    @cached_property
    def loss_weights(self) -> np.ndarray:
        """float32 (rows, seq_len): 1 where there is a label, else 0; made when first asked for."""
        return (self.labels != IGNORED).astype(np.float32)


@dataclass
class FlatBatch(Batch):
    """Pieces end to end: the arrays over positions are (1, T) instead of (rows, seq_len), and so hold padding between pieces.

    `cu_seqlens` counts the tokens of the pieces without padding, `cu_seqlens_padded` with it. Both are those of all context-parallel
    ranks together; T is the last of cu_seqlens_padded divided by their number.
    """

    cu_seqlens_padded: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int32))  # int32 (pieces + 1,)


def empty(seq_len: int, mtp_depths: int) -> Batch:
    """A batch of no rows."""
    memory = np.empty((2 + mtp_depths, 0, seq_len), np.int32)
    nothing = np.zeros(0, np.int32)
    return Batch(memory[0].view(np.uint32), memory[1], memory[2:], cu_seqlens=np.zeros(1, np.int32), source_ids=nothing)


def collate(memory: np.ndarray, layout: Layout) -> Batch:
    """The batch of some rows, in place. memory: int32 (2 + MTP depths, rows, seq_len), of which [0] holds the tokens; the layout has
    the sources as the stage counts them."""
    tokens, labels, mtp_labels = memory[0].view(np.uint32), memory[1], memory[2:]
    num_rows, seq_len = tokens.shape
    size = num_rows * seq_len
    begins, ends = layout.pieces.flat(seq_len)
    filled = np.bincount(begins // seq_len, weights=ends - begins, minlength=num_rows).astype(np.int64)
    tails = (np.arange(num_rows) * seq_len + filled)[filled < seq_len]
    places = np.searchsorted(begins, tails)
    boundaries = np.append(np.insert(begins, places, tails), size)
    shorter = labels.reshape(-1)
    shorter[:-1] = memory[0].reshape(-1)[1:]
    shorter[_outside(*layout.learned.flat(seq_len), size)] = IGNORED
    for deeper in mtp_labels.reshape(-1, size):
        deeper[:-1] = shorter[1:]
        deeper[boundaries[1:] - 1] = IGNORED
        shorter = deeper
    cu_seqlens, source_ids = boundaries.astype(np.int32), np.insert(layout.source, places, PADDING)
    return Batch(tokens, labels, mtp_labels, cu_seqlens, source_ids)


def _positions(borders: np.ndarray) -> np.ndarray:
    """Counts from 0 between each two borders: int32 (borders[-1],)."""
    positions = np.ones(borders[-1], np.int32)  # steps of one, and at each border a step back to 0
    positions[:1] = 0
    positions[borders[1:-1]] -= np.diff(borders)[:-1].astype(np.int32)
    return np.cumsum(positions, dtype=np.int32, out=positions)


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
            mtp_labels=batch.mtp_labels[:, first : first + size],
            cu_seqlens=batch.cu_seqlens[low : high + 1] - first * seq_len,
            source_ids=batch.source_ids[low:high],
        )
        for first, (low, high) in zip(range(0, num_rows, size), pairwise(cuts), strict=True)
    ]


def flatten(batch: Batch, *, multiple: int) -> FlatBatch:
    """The documents of a batch end to end, each padded to a multiple of `multiple` tokens; the padding of rows is left out.

    Padding has the token of the position before it, no label, no weight, and positions that go on.
    """
    borders = batch.cu_seqlens.astype(np.int64)
    is_document = batch.source_ids != PADDING
    begins, lengths = borders[:-1][is_document], np.diff(borders)[is_document]
    padded = -(-lengths // multiple) * multiple
    cu_seqlens, cu_seqlens_padded = (np.append(0, np.cumsum(each)).astype(np.int32) for each in (lengths, padded))
    offset = _positions(cu_seqlens_padded)
    from_row = np.repeat(begins, padded) + np.minimum(offset, np.repeat(lengths, padded) - 1)
    added = np.flatnonzero(offset >= np.repeat(lengths, padded))
    flat = FlatBatch(
        tokens=batch.tokens.reshape(1, -1)[:, from_row],
        labels=batch.labels.reshape(1, -1)[:, from_row],
        mtp_labels=batch.mtp_labels.reshape(len(batch.mtp_labels), 1, batch.tokens.size)[:, :, from_row],
        cu_seqlens=cu_seqlens,
        source_ids=batch.source_ids[is_document],
        seconds=batch.seconds,
        cu_seqlens_padded=cu_seqlens_padded,
    )
    flat.position_ids = offset[None]
    flat.labels[:, added], flat.mtp_labels[:, :, added] = IGNORED, IGNORED
    return flat


def context_part(batch: FlatBatch, cp_rank: int, cp_size: int) -> FlatBatch:
    """What context-parallel rank `cp_rank` of `cp_size` holds. The pieces must be padded to multiples of 2 * cp_size."""
    borders = batch.cu_seqlens_padded.astype(np.int64)
    if not 0 <= cp_rank < cp_size:
        raise ValueError(f"there is no context-parallel rank {cp_rank} of {cp_size}: ranks count from 0")
    chunk, rest = np.divmod(np.diff(borders), 2 * cp_size)
    if rest.any():
        raise ValueError(
            f"a piece of {np.diff(borders)[rest.argmax()]} tokens cannot be cut into {2 * cp_size} equal chunks; "
            f"flatten the batch to a multiple of {2 * cp_size}"
        )
    begins = np.stack([borders[:-1] + cp_rank * chunk, borders[1:] - (cp_rank + 1) * chunk], axis=1)
    mine = expand(begins.ravel(), np.repeat(chunk, 2))
    part = replace(batch, **{name: getattr(batch, name)[..., mine] for name in ("tokens", "labels", "mtp_labels")})
    part.position_ids = batch.position_ids[..., mine]
    return part
