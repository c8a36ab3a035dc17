"""A stage as the manifest describes it: how many tokens, in which rows, from which corpora, and how these shares change on the way.

`mix` is one mapping of shares or a list of phases; a phase holds its shares or moves to new ones linearly in tokens. Corpora under `epochs`
are given by how often they are seen, the shares of `mix` are then shares of the rest.
"""

import dataclasses
from typing import Any, NamedTuple

from curriculum.plan import Ramp


class Packing(NamedTuple):
    """How a corpus is packed: stages that agree on it share the shards."""

    method: str  # "concat" | "best_fit"
    seq_len: int
    related: bool  # whether related documents (the files of a repository) share rows
    joint: tuple[
        str, ...
    ] = ()  # where some corpora fill: all corpora of the stage, those that fill last; packed in one go
    fill: tuple[str, ...] = ()  # of these, the corpora that fill
    together: tuple[
        str, ...
    ] = ()  # of these, the corpora whose related documents share rows: that changes the gaps of all

    def to_json(self) -> dict[str, Any]:
        """As the lock holds it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}


@dataclasses.dataclass(frozen=True)
class MixPhase:
    """A part of a stage: its shares hold throughout, or (`ramp`) are reached at its end, linearly from those of the phase before."""

    tokens: int
    shares: dict[str, float]  # of tokens; a corpus that is not named has none
    ramp: bool = False


@dataclasses.dataclass(frozen=True)
class StageSpec:
    name: str
    tokens: int
    seq_len: int
    pack: str
    batch_from: int  # tokens per step at the start of the stage
    batch_to: int  # and from `batch_over` tokens on; a staircase of whole rows in between
    batch_over: int
    mix: tuple[MixPhase, ...]
    epochs: dict[str, float]  # corpora that are given by epochs
    max_epochs: dict[str, float]
    fill: tuple[str, ...]
    together: tuple[str, ...]
    rope_base: float
    bias_rate: float | Ramp  # a number, or how it moves with the tokens of the stage
    mtp_weight: float | Ramp
    learn: str = "spans"  # "spans" | "all"
    max_share: dict[str, dict[str, float]] = dataclasses.field(
        default_factory=dict
    )  # generator, author -> name -> share

    @property
    def shared(self) -> tuple[str, ...]:
        """The corpora of the mix, in order of appearance."""
        return tuple(dict.fromkeys(name for phase in self.mix for name in phase.shares))

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora of the mix, then those that are given by epochs."""
        return tuple(dict.fromkeys((*self.shared, *self.epochs)))

    def packing(self, corpus: str) -> Packing:
        related = corpus in self.together
        if not self.fill:
            return Packing(self.pack, self.seq_len, related)
        hosts = tuple(name for name in self.corpora if name not in self.fill)
        fill, together = (tuple(name for name in self.corpora if name in some) for some in (self.fill, self.together))
        return Packing(self.pack, self.seq_len, related, hosts + fill, fill, together)

    def epoch_cap(self, corpus: str) -> float:
        """How often a corpus may have been seen by the end of this stage: as often as was asked for, and else once."""
        return self.max_epochs.get(corpus, max(1.0, self.epochs.get(corpus, 0.0)))
