"""What a step adds up over micro-batches and ranks: losses by depth, losses and tokens by source.

Losses come from the forward pass that is learned from; nothing is computed twice. They stay on the device until the
step is done, so that the host waits for them once. A token counts to the source of its document, also where that fills
the gap of another source's row.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from trainer.documents import IGNORED, Packed


@dataclasses.dataclass
class Tally:
    """Weighted sums in float64. K: prediction depths, S: sources of the stage."""

    losses_K: np.ndarray
    source_losses_S: np.ndarray  # main head
    source_weights_S: np.ndarray
    source_tokens_S: np.ndarray  # learned tokens, whatever their weight
    noted: list[tuple[Packed, torch.Tensor]] = dataclasses.field(default_factory=list, init=False)  # not added up yet

    @classmethod
    def zeros(cls, depths: int, num_sources: int) -> "Tally":
        return cls(np.zeros(depths), *(np.zeros(num_sources) for _ in range(3)))

    def add(self, packed: Packed, tokens_KT: Sequence[torch.Tensor]) -> None:
        """Note a micro-batch with its losses per token."""
        self.noted.append((packed, torch.stack(list(tokens_KT))))

    def flat(self) -> np.ndarray:
        """All sums, laid end to end."""
        if self.noted:
            packs, losses = zip(*self.noted, strict=True)
            losses_KN = torch.cat(losses, dim=1).double().cpu().numpy()
            ends = np.cumsum([losses_KT.shape[1] for losses_KT in losses])
            for packed, losses_KT in zip(packs, np.split(losses_KN, ends[:-1], axis=1), strict=True):
                self._add(packed, losses_KT)
            self.noted.clear()
        return np.concatenate([self.losses_K, self.source_losses_S, self.source_weights_S, self.source_tokens_S])

    def from_flat(self, values: np.ndarray) -> "Tally":
        """A tally of the same sizes with the values that `flat` laid end to end."""
        depths, sources = self.losses_K.size, self.source_losses_S.size
        return Tally(*np.split(values, [depths, depths + sources, depths + 2 * sources]))

    def _add(self, packed: Packed, losses_KT: np.ndarray) -> None:
        self.losses_K += (losses_KT * packed.weights_KT).sum(axis=1)
        weights_T = packed.weights_KT[0]
        self.source_losses_S += self._by_source(packed, losses_KT[0] * weights_T)
        self.source_weights_S += self._by_source(packed, weights_T)
        self.source_tokens_S += self._by_source(packed, packed.labels_KT[0] != IGNORED)

    def _by_source(self, packed: Packed, values_T: np.ndarray) -> np.ndarray:
        sources_T = packed.sources_T + 1  # 0 is padding, of no source
        return np.bincount(sources_T, weights=values_T, minlength=1 + self.source_losses_S.size)[1:]
