"""Everything sent arrives once, at the right receiver, in the order of the senders."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datapipe import exchange


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), min_size=1, max_size=4), st.integers(1, 7))
@example([[2**63, 1, 2**64 - 1, 0]], 1)
@example([[2**63, 1, 2**64 - 1, 0]], 2)
def test_nothing_is_lost_and_order_is_kept(tmp_path_factory, senders: list[list[int]], num_receivers: int) -> None:
    folder: Path = tmp_path_factory.mktemp("exchange")
    paths, sent = [], []
    for number, keys in enumerate(senders):
        table = pa.table(
            {
                "key": pa.array(keys, pa.uint64()),
                "row": pa.array([f"{number}-{i}" for i in range(len(keys))], pa.string()),
            }
        )
        receivers = exchange.receiver_of(table["key"].to_numpy(), num_receivers)
        paths.append(str(folder / f"{number}.arrow"))
        counts = exchange.write_slices(paths[-1], table, receivers, num_receivers)
        assert sum(counts) == len(keys)
        sent += [(int(receiver), row) for receiver, row in zip(receivers, table["row"].to_pylist(), strict=True)]
    received = [(r, row) for r in range(num_receivers) for row in exchange.read_slice(paths, r)["row"].to_pylist()]
    assert received == sorted(sent, key=lambda pair: pair[0])


def test_receivers_share_the_key_space_evenly() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, 10_000, dtype=np.uint64)
    counts = np.bincount(exchange.receiver_of(keys, 8).astype(int), minlength=8)
    assert counts.min() > 1100
    assert exchange.receiver_of(np.array([0, 2**64 - 1], np.uint64), 8).tolist() == [0, 7]
