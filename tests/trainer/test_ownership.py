import random

import pytest

from trainer.ownership import owners


def test_weights_go_to_whoever_has_least_the_largest_first() -> None:
    assert owners([1, 7, 4, 4, 6], 2) == [1, 0, 1, 0, 1]
    assert owners([5, 5, 5], 3) == [0, 1, 2]
    assert owners([3, 2], 4) == [0, 1]
    assert owners([3, 2], 1) == [0, 0]
    assert owners([], 2) == []


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_no_rank_has_much_more_than_another(ranks: int) -> None:
    """Not more than the smallest weight of the heaviest rank: otherwise that one would have gone elsewhere."""
    rng = random.Random(4)
    for _ in range(50):
        costs = [rng.randint(1, 1000) for _ in range(40)]
        found = owners(costs, ranks)
        shares = [[cost for cost, owner in zip(costs, found, strict=True) if owner == rank] for rank in range(ranks)]
        loads = [sum(share) for share in shares]
        heaviest = loads.index(max(loads))
        assert max(loads) - min(loads) <= min(shares[heaviest])
