"""Packed documents: one flat run of tokens, and everything a layer must know to keep its documents apart.

A batch of rows becomes `[1, T]` with document borders (THD packing, with one batch axis so that no layer needs a
special case). All that depends on positions is computed here, once per micro-batch, and shared by all layers: rotary
angles, shifted labels, the last token of each document. Megatron's own packed path loops in Python over the documents
in every layer (`_apply_rotary_pos_emb_thd`, `roll_tensor`), with a device synchronisation each.

Pieces in which nothing is learned (padding, documents outside every loss span, single tokens) are left out of the
computation. For the loss that is exact: documents cannot see each other, so such a piece reaches nothing that is
learned. T varies from batch to batch accordingly.

Not covered: context parallelism (a document lies on one rank), sequence parallelism (T is not padded to a multiple).

T: tokens of a micro-batch, D: its documents, K: prediction depths (1 + MTP layers), R: rotated dimensions of a head /
2.
"""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from curriculum.feed import Batch

IGNORED = -100  # label of a position that has nothing to predict, as in curriculum.feed


@dataclasses.dataclass(frozen=True)
class Packed:
    """The learned-from documents of some rows, on the host. `labels_KT[k]` is the token k + 1 ahead in the same document."""

    tokens_T: np.ndarray  # int64
    positions_T: np.ndarray  # int64, from 0 in each document
    labels_KT: np.ndarray  # int64, or IGNORED
    weights_KT: np.ndarray  # float32, 0 where the label is IGNORED
    sources_T: np.ndarray  # int64, index into stage.sources
    borders_D: np.ndarray  # int64 (D + 1,), from 0 to T

    @property
    def weight_sums_K(self) -> np.ndarray:
        return self.weights_KT.sum(axis=1, dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class Documents:
    """What layers read about a micro-batch, on the device. It reaches them in the place of megatron's `PackedSeqParams`."""

    lengths: tuple[int, ...]
    borders_D: torch.Tensor  # int32 (D + 1,)
    ids_T: torch.Tensor  # int64, document of each token
    lengths_T: torch.Tensor  # float32, length of the document of each token
    last_T: torch.Tensor  # bool, the last token of a document
    cos_TR: torch.Tensor  # float32
    sin_TR: torch.Tensor
    qkv_format: str = (
        "sbhd"  # read by megatron's attention: tensors stay [T, 1, heads, dim], its packed path is not taken
    )


def micro_batches(batch: "Batch", *, max_tokens: int, mtp_layers: int) -> Iterator[Packed]:
    """Cut a batch into runs of whole rows of at most `max_tokens` positions (but at least one row) and pack each."""
    num_rows, seq_len = batch.tokens.shape
    step = max(1, max_tokens // seq_len)
    for first in range(0, num_rows, step):
        yield pack(batch, first, min(first + step, num_rows), mtp_layers=mtp_layers)


def pack(batch: "Batch", first: int, end: int, *, mtp_layers: int) -> Packed:
    """Rows `first` to `end` of a batch, without the pieces that teach nothing (one piece is always kept)."""
    seq_len = batch.tokens.shape[1]
    rows = slice(first, end)
    labels = batch.labels[rows].reshape(-1)
    borders = np.unique(batch.cu_seqlens.astype(np.int64))
    borders = borders[(borders >= first * seq_len) & (borders <= end * seq_len)] - first * seq_len
    lengths = np.diff(borders)
    teaches = np.logical_or.reduceat(labels != IGNORED, borders[:-1])
    if not teaches.any():
        teaches[0] = True
    keep = np.repeat(teaches, lengths)
    kept_borders = np.concatenate([[0], np.cumsum(lengths[teaches])])
    weights = batch.loss_weights[rows].reshape(-1)[keep]
    labels_KT, weights_KT = _by_depth(labels[keep], weights, last=kept_borders[1:] - 1, depths=1 + mtp_layers)
    return Packed(
        tokens_T=batch.tokens[rows].reshape(-1)[keep].astype(np.int64),
        positions_T=batch.position_ids[rows].reshape(-1)[keep],
        labels_KT=labels_KT,
        weights_KT=weights_KT,
        sources_T=np.repeat(batch.source_ids[rows].astype(np.int64), seq_len)[keep],
        borders_D=kept_borders,
    )


def _by_depth(
    labels: np.ndarray, weights: np.ndarray, *, last: np.ndarray, depths: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and weights `[K, T]`: depth k sees those of k tokens further on, as long as that is the same document."""
    labels_KT = np.empty((depths, labels.size), np.int64)
    weights_KT = np.empty((depths, labels.size), np.float32)
    for k in range(depths):
        labels_KT[k], weights_KT[k] = labels, np.where(labels == IGNORED, 0.0, weights)
        labels, weights = np.roll(labels, -1), np.roll(weights, -1)
        labels[last] = IGNORED
    return labels_KT, weights_KT


def documents(packed: Packed, *, rope_base: float, rotary_dim: int, device: torch.device) -> Documents:
    """What layers read about `packed`; `rotary_dim` is the number of rotated dimensions per head."""
    lengths = np.diff(packed.borders_D)
    last_T = np.zeros(packed.tokens_T.size, bool)
    last_T[packed.borders_D[1:] - 1] = True
    angles_LR = rotary_angles(int(lengths.max()), rope_base=rope_base, rotary_dim=rotary_dim)
    positions = torch.from_numpy(packed.positions_T)
    return Documents(
        lengths=tuple(lengths.tolist()),
        borders_D=torch.from_numpy(packed.borders_D).to(device, torch.int32),
        ids_T=torch.from_numpy(np.repeat(np.arange(lengths.size), lengths)).to(device),
        lengths_T=torch.from_numpy(np.repeat(lengths, lengths).astype(np.float32)).to(device),
        last_T=torch.from_numpy(last_T).to(device),
        cos_TR=angles_LR.cos().float()[positions].to(device),
        sin_TR=angles_LR.sin().float()[positions].to(device),
    )


def rotary_angles(length: int, *, rope_base: float, rotary_dim: int) -> torch.Tensor:
    """Angles of positions 0..length-1, float64 `[length, rotary_dim / 2]` (RoFormer, arXiv 2104.09864, equation 15)."""
    frequencies_R = rope_base ** (-torch.arange(0, rotary_dim, 2, dtype=torch.float64) / rotary_dim)
    return torch.arange(length, dtype=torch.float64)[:, None] * frequencies_R
