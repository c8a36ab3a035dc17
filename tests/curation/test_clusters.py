"""Candidate pairs and components against plain Python."""

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curation import clusters


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(2, 6))
def test_pairs_of_a_bucket_all_or_chained_to_its_first(values: list[int], max_bucket: int) -> None:
    keys = np.sort(np.array(values, np.uint64))
    rows: dict[int, list[int]] = {}
    for row, key in enumerate(keys.tolist()):
        rows.setdefault(key, []).append(row)
    expected = set()
    for bucket in rows.values():
        pairs = itertools.combinations(bucket, 2)
        expected |= {pair for pair in pairs if len(bucket) <= max_bucket or pair[0] == bucket[0]}
    found = [
        pair
        for left, right in clusters.candidate_pairs(keys, max_bucket)
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    ]
    assert set(found) == expected
    assert len(found) == len(expected)
    counts = clusters.count_buckets(keys, max_bucket)
    assert counts["oversized_buckets"] == sum(len(bucket) > max_bucket for bucket in rows.values())
    assert counts["buckets"] == sum(len(bucket) > 1 for bucket in rows.values())


@given(st.integers(1, 30), st.data())
def test_every_component_survives_in_its_longest_then_first_document(size: int, data: st.DataObject) -> None:
    node = st.integers(0, size - 1)
    edges = data.draw(st.lists(st.tuples(node, node), max_size=40))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    component = {index: {index} for index in range(size)}
    for left, right in edges:
        union = component[left] | component[right]
        component.update(dict.fromkeys(union, union))
    expected = [min(component[index], key=lambda other: (-lengths[other], other)) for index in range(size)]
    array = np.array(edges, np.int64).reshape(-1, 2).T
    assert clusters.survivors(np.array(lengths), array).tolist() == expected


def test_a_long_chain_is_one_component() -> None:
    chain = np.stack([np.arange(9_999), np.arange(1, 10_000)])
    assert set(clusters.survivors(np.ones(10_000, np.int64), chain).tolist()) == {0}


def test_ids_are_numbered_in_their_order() -> None:
    ids, place = clusters.numbered(pa.chunked_array([["c", "a"], ["b", "a"]]))
    assert ids.to_pylist() == ["a", "b", "c"]
    assert place.tolist() == [2, 0, 1, 0]
    assert clusters.numbered(pa.chunked_array([[]], pa.string()))[1].tolist() == []
