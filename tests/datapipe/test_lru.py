"""What a cache keeps, what it lets go first, and that a failure costs it nothing."""

import numpy as np
import pytest

from datapipe.lru import Entries, Slots


def test_entries_stay_within_their_bytes_and_the_least_recently_used_go() -> None:
    cache, made = Entries(30), list[str]()
    for key in "abcadea":
        assert cache.get(key, lambda key=key: made.append(key) or (key.upper(), 10)) == key.upper()  # type: ignore[misc]
        assert cache.size_bytes <= cache.limit_bytes
    assert "".join(made) == "abcde"  # b and c went for d and e


def test_one_entry_is_kept_whatever_its_size() -> None:
    cache = Entries(30)
    assert cache.get("large", lambda: ("value", 100)) == "value"
    assert cache.get("large", lambda: pytest.fail("made twice")) == "value"
    assert cache.get("small", lambda: ("other", 1)) == "other"
    assert cache.size_bytes == 1


def fill(slot: np.ndarray, value: int, count: int) -> int:
    slot[:count] = value
    return count


def test_slots_are_used_again_and_the_least_recently_used_go() -> None:
    cache, filled = Slots(3 * 4 * 8, 8), list[int]()
    for number in (0, 1, 2, 0, 3, 4, 0):
        found = cache.get(number, lambda slot, n=number: filled.append(n) or fill(slot, n, n + 1))  # type: ignore[misc]
        np.testing.assert_array_equal(found, np.full(number + 1, number, np.uint32))
    assert filled == [0, 1, 2, 3, 4]


def test_there_is_one_slot_at_least() -> None:
    cache = Slots(0, 8)
    assert [int(cache.get(n, lambda slot, n=n: fill(slot, n, 1))[0]) for n in range(3)] == [0, 1, 2]  # type: ignore[misc]


def test_a_slot_that_could_not_be_filled_is_not_lost() -> None:
    def fail(slot: np.ndarray) -> int:
        raise OSError("gone")

    cache = Slots(2 * 4 * 8, 8)
    for _ in range(5):
        with pytest.raises(OSError, match="gone"):
            cache.get("bad", fail)
    cache.get("a", lambda slot: fill(slot, 1, 8))
    cache.get("b", lambda slot: fill(slot, 2, 8))
    with pytest.raises(OSError, match="gone"):  # takes the slot of "a"
        cache.get("bad", fail)
    assert cache.get("b", lambda slot: pytest.fail("was lost"))[0] == 2
    assert cache.get("a", lambda slot: fill(slot, 3, 8))[0] == 3
