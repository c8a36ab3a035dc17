"""Choices that depend on a key and on what is being chosen, never on what was chosen before."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeVar

from synth.evidence import keyed

T = TypeVar("T")


class Draw(NamedTuple):
    """One question's choices."""

    seed: int
    id: str
    round: int

    def bits(self, *what: Hashable) -> int:
        return keyed(self.seed, self.id, self.round, *what)

    def below(self, what: str, limit: int) -> int:
        return self.bits(what) % limit

    def pick(self, what: str, options: Sequence[T]) -> T:
        return options[self.bits(what) % len(options)]

    def shuffled(self, what: str, options: Sequence[T]) -> list[T]:
        order = sorted(range(len(options)), key=lambda place: (self.bits(what, place), place))
        return [options[place] for place in order]
