"""Choices by key: the same on every machine and in every version of Python, whatever else was drawn."""

from collections.abc import Sequence
from typing import Any, TypeVar

from synth.evidence import keyed

T = TypeVar("T")


class Draw:
    """A stream of choices that depends on nothing but the seed and the key that it was made with."""

    def __init__(self, seed: int, *key: Any) -> None:
        self._seed, self._key, self._drawn = seed, key, 0

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        self._drawn += 1
        return low + keyed(self._seed, "draw", *self._key, self._drawn) % (high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.integer(0, len(choices) - 1)]

    def chance(self, percent: int) -> bool:
        return self.integer(1, 100) <= percent

    def sample(self, choices: Sequence[T], size: int) -> list[T]:
        """`size` of them without repetition, in random order."""
        left = list(choices)
        return [left.pop(self.integer(0, len(left) - 1)) for _ in range(min(size, len(left)))]

    def nonzero(self, bound: int) -> int:
        """From -bound to bound, without 0."""
        return self.integer(1, bound) * self.pick((1, -1))

    def prose(self, template: str, **words: str) -> str:
        """`template` with one of the alternatives of every `[a|b|c]`, then with its {names} replaced. Words are put in as they are."""
        while (end := template.find("]")) >= 0:
            begin = template.rfind("[", 0, end)
            template = template[:begin] + self.pick(template[begin + 1 : end].split("|")) + template[end + 1 :]
        return template.format_map(words)
