"""Packed documents: one flat run of tokens, and everything a layer must know to keep its documents apart.

A batch of rows becomes `[1, T]` with document borders (THD packing, with one batch axis so that no layer needs a
special case). All that depends on positions is computed once per micro-batch and shared by all layers: labels at every
depth by the feed; rotary angles and the last token of each document here. Megatron's own packed path loops in Python
over the documents in every layer (`_apply_rotary_pos_emb_thd`, `roll_tensor`), with a device synchronisation each.

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

IGNORED = -100  # label of a position that has nothing to predict, as in curriculum.collate


@dataclasses.dataclass(frozen=True)
class Packed:
    """The learned-from documents of some rows, on the host. `labels_KT[k]` is the token k + 1 ahead in the same document."""

    tokens_T: np.ndarray  # int64
    positions_T: np.ndarray  # int64, from 0 in each document
    labels_KT: np.ndarray  # int64, or IGNORED
    weights_KT: np.ndarray  # float32, 0 where the label is IGNORED, else 1
    sources_T: np.ndarray  # int64, index into stage.sources; -1 for padding
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
    # Read by megatron's attention: tensors stay [T, 1, heads, dim], its packed path is not taken.
    qkv_format: str = "sbhd"


def micro_batches(batch: "Batch", *, max_tokens: int) -> Iterator[Packed]:
    """Cut a batch into runs of whole rows of at most `max_tokens` positions (but at least one row) and pack each."""
    num_rows, seq_len = batch.tokens.shape
    step = max(1, max_tokens // seq_len)
    for first in range(0, num_rows, step):
        yield pack(batch, first, min(first + step, num_rows))


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
    return Packed(
        tokens_T=batch.tokens[rows].reshape(-1)[keep].astype(np.int64),
        positions_T=batch.position_ids[rows].reshape(-1)[keep].astype(np.int64),
        labels_KT=labels_KT,
        weights_KT=(labels_KT != IGNORED).astype(np.float32),
        sources_T=np.repeat(batch.source_ids[low:high].astype(np.int64), lengths)[keep],
        borders_D=np.append(0, np.cumsum(lengths[teaches])),
    )


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
