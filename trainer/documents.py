"""Packed documents: one flat run of tokens, and everything a layer must know to keep its documents apart.

A batch of rows becomes `[1, T]` with document borders (THD packing, with one batch axis so that no layer needs a
special case). All that depends on positions is computed once per micro-batch and shared by all layers: labels at every
depth by the feed; rotary angles, the tokens ahead and the runs of queries and keys here. Megatron's own packed path
loops in Python over the documents in every layer (`_apply_rotary_pos_emb_thd`, `roll_tensor`), with a device
synchronisation each.

Pieces in which nothing is learned (padding, documents outside every loss span, single tokens) are left out of the
computation. For the loss that is exact: documents cannot see each other, so such a piece reaches nothing that is
learned. T varies from batch to batch accordingly.

Context parallelism deals 2 * size equal chunks of every document out so that rank r holds chunks r and
2 * size - 1 - r, which gives causal attention the same work everywhere (as Megatron-LM and TransformerEngine do).
Documents are padded to whole chunks for it, and the run as a whole to a multiple of the tensor-parallel size. Padding
is computed and then ignored: it has no label and no source, and counts for nothing.

T: tokens of a micro-batch on this context-parallel rank, S: those of them on this tensor-parallel rank (sequence
parallelism), D: documents, K: prediction depths (1 + MTP layers), R: rotated dimensions of a head / 2.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainer.layout import ALONE, Layout

if TYPE_CHECKING:
    from curriculum.feed import Batch

IGNORED = -100  # label of a position that has nothing to predict, as in curriculum.collate
PADDING = -1  # source of a position that is no document


@dataclasses.dataclass(frozen=True)
class Packed:
    """The learned-from documents of some rows, on the host. `labels_KT[k]` is the token k + 1 ahead in the same document."""

    tokens_T: np.ndarray  # int64
    positions_T: np.ndarray  # int64, from 0 in each document
    labels_KT: np.ndarray  # int64, or IGNORED
    weights_KT: np.ndarray  # float32, 0 where the label is IGNORED, else 1
    # int64 (K - 1, T), the token k + 1 ahead in the same document, learned or not; 0 beyond its end
    ahead_KT: np.ndarray
    sources_T: np.ndarray  # int64, index into stage.sources, or PADDING
    borders_D: np.ndarray  # int64 (D + 1,), from 0 to T
    real_D: np.ndarray  # int64, tokens of each document without padding, on all context-parallel ranks together

    @property
    def weight_sums_K(self) -> np.ndarray:
        return self.weights_KT.sum(axis=1, dtype=np.float64)

    @property
    def num_tokens(self) -> int:
        """Positions that are no padding."""
        return int(np.count_nonzero(self.sources_T != PADDING))


@dataclasses.dataclass(frozen=True)
class Runs:
    """What attends to what: run i of the queries to run i of the keys, causally, both ending at the same token."""

    query_lengths: tuple[int, ...]
    key_lengths: tuple[int, ...]
    query_borders: torch.Tensor  # int32 (runs + 1,)
    key_borders: torch.Tensor
    # Positions of the keys among those of all context-parallel ranks laid end to end; None when keys lie as queries do.
    keys: torch.Tensor | None


@dataclasses.dataclass(frozen=True)
class Documents:
    """What layers read about a micro-batch, on the device. It reaches them in the place of megatron's `PackedSeqParams`."""

    runs: Runs
    num_documents: int
    ids_S: torch.Tensor  # int64, document of each token; num_documents for padding
    lengths_S: torch.Tensor  # float32, tokens of the document of each token; inf for padding
    sources_S: torch.Tensor  # int64, or PADDING
    num_sources: int
    ahead_KT: torch.Tensor
    learned_KL: tuple[torch.Tensor, ...]  # int64, positions that have something to predict at each depth
    cos_TR: torch.Tensor  # float32
    sin_TR: torch.Tensor
    balance_scale: float  # of the sequence balance loss in the objective, per token
    # Read by megatron's attention: tensors stay [T, 1, heads, dim], its packed path is not taken.
    qkv_format: str = "sbhd"


def micro_batches(batch: "Batch", *, max_tokens: int, layout: Layout = ALONE, most_rows: int = 0) -> Iterator[Packed]:
    """Cut a batch into runs of whole rows of at most `max_tokens` positions (but at least one row) and pack each.

    most_rows  of any data-parallel rank: ranks whose batch is a row shorter make as many micro-batches, the last one empty, because
               experts exchange tokens across ranks
    """
    num_rows, seq_len = batch.tokens.shape
    step = max(1, max_tokens // seq_len)
    for first in range(0, max(num_rows, most_rows), step):
        end = min(first + step, num_rows)
        packed = pack(batch, first, end) if first < end else _nothing(1 + len(batch.mtp_labels))
        yield _for_rank(packed, layout)


def pack(batch: "Batch", first: int, end: int) -> Packed:
    """Rows `first` to `end` of a batch, without the pieces that teach nothing (one piece is always kept)."""
    seq_len = batch.tokens.shape[1]
    rows = slice(first, end)
    low, high = np.searchsorted(batch.cu_seqlens, [first * seq_len, end * seq_len]).tolist()
    borders = batch.cu_seqlens[low : high + 1].astype(np.int64) - first * seq_len
    lengths = np.diff(borders)
    depths = [batch.labels[rows].reshape(1, -1), batch.mtp_labels[:, rows].reshape(-1, borders[-1])]
    labels_KT = np.concatenate(depths)
    teaches = np.logical_or.reduceat(labels_KT[0] != IGNORED, borders[:-1])
    if not teaches.any():
        teaches[0] = True
    keep = np.repeat(teaches, lengths)
    labels_KT = labels_KT[:, keep].astype(np.int64)
    tokens_T = batch.tokens[rows].reshape(-1)[keep].astype(np.int64)
    borders_D = np.append(0, np.cumsum(lengths[teaches]))
    return Packed(
        tokens_T=tokens_T,
        positions_T=batch.position_ids[rows].reshape(-1)[keep].astype(np.int64),
        labels_KT=labels_KT,
        weights_KT=(labels_KT != IGNORED).astype(np.float32),
        ahead_KT=_ahead(tokens_T, borders_D, len(labels_KT) - 1),
        sources_T=np.repeat(batch.source_ids[low:high].astype(np.int64), lengths)[keep],
        borders_D=borders_D,
        real_D=lengths[teaches],
    )


def padded(packed: Packed, *, document: int, total: int) -> Packed:
    """The same with every document padded to a multiple of `document` tokens, and T to one of `total` by a document of padding.

    What `Feed` gives as FlatBatch is padded alike for trainers that pack whole rows; here documents that teach nothing are gone, and
    padding is marked, because experts must not count it.
    """
    lengths = np.diff(packed.borders_D)
    sizes = -(-lengths // document) * document
    if tail := -int(sizes.sum()) % total:
        sizes = np.append(sizes, tail)
        lengths = np.append(lengths, 0)
    begins = np.minimum(np.append(0, np.cumsum(lengths))[:-1], packed.tokens_T.size - 1)
    offset = np.arange(sizes.sum()) - np.repeat(np.append(0, np.cumsum(sizes))[:-1], sizes)
    added = offset >= np.repeat(lengths, sizes)
    origin = np.repeat(begins, sizes) + np.where(added, 0, offset)
    return Packed(
        tokens_T=np.where(added, 0, packed.tokens_T[origin]),
        positions_T=offset,
        labels_KT=np.where(added, IGNORED, packed.labels_KT[:, origin]),
        weights_KT=np.where(added, np.float32(0), packed.weights_KT[:, origin]),
        ahead_KT=np.where(added, 0, packed.ahead_KT[:, origin]),
        sources_T=np.where(added, PADDING, packed.sources_T[origin]),
        borders_D=np.append(0, np.cumsum(sizes)),
        real_D=lengths,
    )


def context_part(packed: Packed, rank: int, size: int) -> Packed:
    """What context-parallel rank `rank` of `size` holds; every document is a multiple of 2 * size tokens."""
    begins, lengths = packed.borders_D[:-1], np.diff(packed.borders_D)
    chunk = lengths // (2 * size)
    firsts = np.stack([begins + rank * chunk, begins + (2 * size - 1 - rank) * chunk], axis=1).ravel()
    sizes = np.repeat(chunk, 2)
    mine = np.arange(sizes.sum()) + np.repeat(firsts - (np.cumsum(sizes) - sizes), sizes)
    taken = {
        name: getattr(packed, name)[..., mine]
        for name in ("tokens_T", "positions_T", "labels_KT", "weights_KT", "ahead_KT", "sources_T")
    }
    return dataclasses.replace(packed, borders_D=np.append(0, np.cumsum(2 * chunk)), **taken)


def documents(
    packed: Packed,
    *,
    rope_base: float,
    rotary_dim: int,
    layout: Layout = ALONE,
    num_sources: int = 1,
    balance_scale: float = 0.0,
) -> Documents:
    """What layers read about `packed`; `rotary_dim` is the number of rotated dimensions per head."""
    rank, size = layout.tensor_rank, layout.parallel.tensor
    local = np.diff(packed.borders_D)
    is_padding = packed.sources_T == PADDING
    ids_T = np.where(is_padding, local.size, np.repeat(np.arange(local.size), local))
    lengths_T = np.where(is_padding, np.inf, np.repeat(packed.real_D, local)).astype(np.float32)
    length = 1 << int(packed.positions_T.max()).bit_length()  # few tables for many lengths
    cos_LR, sin_LR = _rotations(length, rope_base, rotary_dim)
    ids_S, lengths_S, sources_S = (
        layout.upload(values.reshape(size, -1)[rank]) for values in (ids_T, lengths_T, packed.sources_T)
    )
    return Documents(
        runs=_runs(local, layout),
        num_documents=local.size,
        ids_S=ids_S,
        lengths_S=lengths_S,
        sources_S=sources_S,
        num_sources=num_sources,
        ahead_KT=layout.upload(packed.ahead_KT),
        learned_KL=tuple(layout.upload(np.flatnonzero(labels_T != IGNORED)) for labels_T in packed.labels_KT),
        cos_TR=layout.upload(cos_LR[packed.positions_T]),
        sin_TR=layout.upload(sin_LR[packed.positions_T]),
        balance_scale=balance_scale,
    )


def rotary_angles(length: int, *, rope_base: float, rotary_dim: int) -> np.ndarray:
    """Angles of positions 0..length-1, float64 `[length, rotary_dim / 2]` (RoFormer, arXiv 2104.09864, equation 15)."""
    frequencies_R = rope_base ** (-np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim)
    return np.arange(length, dtype=np.float64)[:, None] * frequencies_R


@functools.lru_cache(maxsize=8)
def _rotations(length: int, rope_base: float, rotary_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of all angles; for a row of 131,072 tokens a quarter of a second, which no micro-batch should wait for."""
    angles_LR = rotary_angles(length, rope_base=rope_base, rotary_dim=rotary_dim)
    return np.cos(angles_LR).astype(np.float32), np.sin(angles_LR).astype(np.float32)


def _ahead(tokens_T: np.ndarray, borders_D: np.ndarray, depths: int) -> np.ndarray:
    ahead_KT = np.empty((depths, tokens_T.size), np.int64)
    shifted = tokens_T
    for depth in range(depths):
        ahead_KT[depth] = np.roll(shifted, -1)
        ahead_KT[depth, borders_D[1:] - 1] = 0
        shifted = ahead_KT[depth]
    return ahead_KT


def _nothing(depths: int) -> Packed:
    """One position of padding."""
    one = np.zeros(1, np.int64)
    return Packed(
        tokens_T=one,
        positions_T=one,
        labels_KT=np.full((depths, 1), IGNORED),
        weights_KT=np.zeros((depths, 1), np.float32),
        ahead_KT=np.zeros((depths - 1, 1), np.int64),
        sources_T=np.array([PADDING]),
        borders_D=np.array([0, 1]),
        real_D=np.zeros(1, np.int64),
    )


def _for_rank(packed: Packed, layout: Layout) -> Packed:
    tensor, context = layout.parallel.tensor, layout.parallel.context
    chunks = 2 * context if context > 1 else 1
    if tensor == context == 1:
        return packed
    whole = padded(packed, document=chunks, total=math.lcm(chunks, context * tensor))
    return context_part(whole, layout.context_rank, context) if context > 1 else whole


def _runs(local: np.ndarray, layout: Layout) -> Runs:
    """`local` holds the tokens of each document on this rank."""
    size, rank = layout.parallel.context, layout.context_rank
    if size == 1:
        lengths = tuple(local.tolist())
        borders = _borders(lengths, layout)
        return Runs(lengths, lengths, borders, borders, None)
    chunk = local // 2
    num_tokens, begins = int(local.sum()), np.cumsum(local) - local
    # Chunk j of a document lies on rank j, or with the other half mirrored, behind what that rank has of earlier documents.
    number = np.arange(2 * size)
    holder, is_second = np.minimum(number, 2 * size - 1 - number), number >= size
    firsts_DC = begins[:, None] + holder * num_tokens + is_second * chunk[:, None]
    seen = (rank + 1, 2 * size - rank)  # chunks that each of the two chunks of queries sees
    firsts = np.concatenate([firsts_DC[:, :count] for count in seen], axis=1).ravel()
    sizes = np.repeat(chunk, sum(seen))
    keys = np.arange(sizes.sum()) + np.repeat(firsts - (np.cumsum(sizes) - sizes), sizes)
    query_lengths = tuple(np.repeat(chunk, 2).tolist())
    key_lengths = tuple(np.outer(chunk, seen).ravel().tolist())
    return Runs(
        query_lengths,
        key_lengths,
        _borders(query_lengths, layout),
        _borders(key_lengths, layout),
        layout.upload(keys),
    )


def _borders(lengths: tuple[int, ...], layout: Layout) -> torch.Tensor:
    return layout.upload(np.array(list(accumulate(lengths, initial=0)), dtype=np.int32))
