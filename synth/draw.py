"""Choices that depend on nothing but a seed, a name and what is being chosen: the same ones in any order of asking.

A template is text with alternatives and slots: `[Hi|Hello], my order is {order_id}[.| and I am in a hurry.]`. Alternatives nest; the text
of a slot is put in last, so that brackets in it stay as they are.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from synth.evidence import keyed

T = TypeVar("T")
_INNERMOST = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


class Draw:
    """`draw.pick(names, "agent")` is one of `names`; every question to a draw has a name of its own, or gets the same answer again."""

    def __init__(self, seed: int, *name: Any) -> None:
        self._seed, self._name = seed, "\0".join(map(str, name))

    def _key(self, *what: Any) -> int:
        return keyed(self._seed, self._name, *what)

    def below(self, limit: int, *what: Any) -> int:
        """An integer from 0 to `limit` - 1."""
        return self._key(*what) % limit

    def chance(self, percent: int, *what: Any) -> bool:
        return self.below(100, *what) < percent

    def pick(self, items: Sequence[T], *what: Any) -> T:
        return items[self.below(len(items), *what)]

    def shuffled(self, items: Sequence[T], *what: Any) -> list[T]:
        order = sorted(range(len(items)), key=lambda index: (self._key(*what, index), index))
        return [items[index] for index in order]

    def number(self, digits: int, *what: Any) -> str:
        """A number of so many digits, the first not 0, as text."""
        low = 10 ** (digits - 1)
        return str(low + self.below(9 * low, *what))

    def say(self, template: str, slots: Mapping[str, Any] = MappingProxyType({}), *what: Any) -> str:
        """`template` with one of its alternatives at every place. KeyError for a slot that is not in `slots`."""
        step = 0
        while (found := _INNERMOST.search(template)) is not None:
            options = found[1].split("|")
            chosen = self.pick(options, "say", *what, step)
            template = template[: found.start()] + chosen + template[found.end() :]
            step += 1
        return _SLOT.sub(lambda slot: str(slots[slot[1]]), template)


class Stream(Draw):
    """A draw whose questions need no names: the n-th question is named n, so that the order of asking counts."""

    def __init__(self, seed: int, *name: Any) -> None:
        super().__init__(seed, *name)
        self._asked = 0

    def _key(self, *what: Any) -> int:
        self._asked += 1
        return super()._key(self._asked, *what)

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def nonzero(self, bound: int) -> int:
        """From -bound to bound, without 0."""
        return self.integer(1, bound) * self.pick((1, -1))

    def sample(self, items: Sequence[T], size: int) -> list[T]:
        """`size` of them without repetition, in random order; all where there are fewer."""
        return self.shuffled(items)[:size]
