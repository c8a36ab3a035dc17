"""Caches from which the least recently used goes first. Not for several threads at once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

ALLOCATED_BYTES = 64 << 20  # at once, of slots


class Entries:
    """Values of any kind. Bounded in bytes, but holds at least one."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], tuple[Any, int]]) -> Any:
        """The value under `key`; on a miss `make` gives it and its size in bytes."""
        if entry := self._entries.get(key):
            self._entries.move_to_end(key)
            return entry[0]
        value, size_bytes = make()
        self._entries[key] = value, size_bytes
        self.size_bytes += size_bytes
        while self.size_bytes > self.limit_bytes and len(self._entries) > 1:
            self.size_bytes -= self._entries.popitem(last=False)[1][1]
        return value


class Slots:
    """Arrays of uint32 of at most `length` numbers, in equal slots of large allocations: at least one slot.

    The kernel gives huge pages to a large allocation, and a slot is used again without a way through the allocator: 0.7 of 5 ns per
    token measured, beside an array for each. Memory is taken as slots are first used.
    """

    def __init__(self, limit_bytes: int, length: int) -> None:
        self.length = length
        self._num_left = max(1, limit_bytes // (4 * length))  # slots that are not allocated yet
        self._free: list[np.ndarray] = []
        self._used: OrderedDict[Hashable, tuple[np.ndarray, int]] = OrderedDict()

    def get(self, key: Hashable, fill: Callable[[np.ndarray], int]) -> np.ndarray:
        """The numbers under `key`, to be used before the next call; on a miss `fill` writes them to a slot and returns their count."""
        if found := self._used.get(key):
            self._used.move_to_end(key)
            slot, count = found
            return slot[:count]
        if not self._free and self._num_left:
            num_slots = min(self._num_left, max(1, ALLOCATED_BYTES // (4 * self.length)))
            self._num_left -= num_slots
            self._free.extend(np.empty((num_slots, self.length), np.uint32)[::-1])
        elif not self._free:
            self._free.append(self._used.popitem(last=False)[1][0])
        slot = self._free[-1]
        count = fill(slot)  # when that raises, the slot stays free
        self._free.pop()
        self._used[key] = slot, count
        return slot[:count]
