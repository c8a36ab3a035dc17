"""Candidate pairs and components against plain Python."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.dedup import clusters
from datapipe.schema import documents


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=60), st.integers(2, 6))
def test_pairs_of_a_bucket_all_or_chained_to_its_first(values: list[tuple[int, bool]], max_bucket: int) -> None:
    ordered = sorted(values, key=lambda row: (row[0], not row[1]))
    keys, is_old = np.array([key for key, _ in ordered], np.uint64), np.array([old for _, old in ordered], bool)
    buckets: dict[int, tuple[list[int], list[int]]] = {}
    for row, (key, old) in enumerate(ordered):
        buckets.setdefault(key, ([], []))[not old].append(row)
    expected: set[tuple[int, int]] = set()
    for old_rows, new_rows in buckets.values():
        is_large = len(new_rows) > max_bucket
        expected |= set(itertools.product(old_rows[: 1 if is_large else max_bucket], new_rows))
        expected |= {pair for pair in itertools.combinations(new_rows, 2) if not is_large or pair[0] == new_rows[0]}
    found = [
        pair
        for left, right in clusters.candidate_pairs(keys, is_old, max_bucket)
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    ]
    assert set(found) == expected
    assert len(found) == len(expected)
    counts = clusters.count_buckets(keys, is_old, max_bucket)
    met = [(len(old), len(new)) for old, new in buckets.values() if new and len(old) + len(new) > 1]
    assert counts == {"buckets": len(met), "oversized_buckets": sum(max(sizes) > max_bucket for sizes in met)}


def links(edges: list[tuple[int, int]], ranks: list[int]) -> pa.Table:
    """`LINK`s between numbered documents, each from the worse to the better."""
    rows = []
    for left, right in edges:
        root, doc = sorted((left, right), key=lambda node: (ranks[node], 99 - node))
        side = {"doc": doc, "rank": ranks[doc], "tie": 99 - doc, "copies": 1 + doc % 2}
        other = {"root": root, "root_rank": ranks[root], "root_tie": 99 - root, "root_copies": 1 + root % 2}
        rows.append({**side, **other})
    return pa.Table.from_pylist(rows, schema=clusters.LINK)


def components(size: int, edges: list[tuple[int, int]]) -> dict[int, set[int]]:
    component = {index: {index} for index in range(size)}
    for left, right in edges:
        union = component[left] | component[right]
        component.update(dict.fromkeys(union, union))
    return component


GRAPHS = st.integers(1, 30).flatmap(
    lambda size: st.tuples(
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=40),
        st.lists(st.integers(0, 3), min_size=size, max_size=size),
    )
)


@given(GRAPHS)
def test_stars_point_at_the_best_of_every_component(graph: tuple[list[tuple[int, int]], list[int]]) -> None:
    edges, ranks = graph
    stars = clusters.stars(links(edges, ranks))
    expected = {}
    for node, component in components(len(ranks), edges).items():
        best = min(component, key=lambda other: (ranks[other], 99 - other))
        if node != best:
            expected[node] = best
    assert dict(zip(stars["doc"].to_pylist(), stars["root"].to_pylist(), strict=True)) == expected
    assert stars["doc"].to_pylist() == sorted(expected)
    assert clusters.stars(stars).equals(stars)


@given(GRAPHS)
def test_members_are_told_with_the_size_of_their_cluster(graph: tuple[list[tuple[int, int]], list[int]]) -> None:
    edges, ranks = graph
    stars = clusters.stars(links(edges, ranks))
    found, largest = clusters.members(stars, np.ones(stars.num_rows, bool))
    component = components(len(ranks), edges)
    rows = {row["doc"]: row for row in found.to_pylist()}
    assert set(rows) == {node for node, members in component.items() if len(members) > 1}
    for node, row in rows.items():
        best = min(component[node], key=lambda other: (ranks[other], 99 - other))
        assert row["cluster"] == 99 - best
        assert row["size"] == sum(1 + other % 2 for other in component[node])
        assert row["keep"] == (node == best)
        assert not row["known"]
    sizes = sorted((row["size"] for row in rows.values() if row["keep"]), reverse=True)
    assert [size for _, size in largest["largest"]] == sizes[: clusters.LARGEST]


def test_only_those_whose_root_is_here_are_told() -> None:
    stars = clusters.stars(links([(0, 1), (2, 3)], [0, 1, 0, 1]))
    found, _ = clusters.members(stars, stars["root"].to_numpy() == 2)
    assert sorted(found["doc"].to_pylist()) == [2, 3]


def test_documents_of_an_index_are_told_nothing_and_make_others_known() -> None:
    table = links([(0, 1), (2, 3)], [0, 1, 0, 1])
    old = int(clusters.OLD)
    table = table.set_column(4, "root", pa.array([old + 7, 2], pa.uint64()))
    found, largest = clusters.members(clusters.stars(table), np.ones(2, bool))
    told = {row["doc"]: (row["keep"], row["known"]) for row in found.to_pylist()}
    assert told == {1: (False, True), 2: (True, False), 3: (False, False)}
    assert len(largest["largest"]) == 2
    of_old_only = table.set_column(0, "doc", pa.array([old + 8, old + 9], pa.uint64()))
    of_old_only = of_old_only.set_column(4, "root", pa.array([old + 1, old + 2], pa.uint64()))
    found, largest = clusters.members(clusters.stars(of_old_only), np.ones(2, bool))
    assert (found.num_rows, largest) == (0, {"largest": []})


def test_a_long_chain_is_one_component() -> None:
    chain = links([], [0])
    numbers = np.arange(9_999, dtype=np.uint64)
    sides = {"doc": numbers + 1, "root": numbers}
    columns = [sides.get(field.name, np.zeros(9_999)) for field in clusters.LINK]
    chain = pa.table(
        [pa.array(values).cast(field.type) for values, field in zip(columns, clusters.LINK, strict=True)], clusters.LINK
    )
    assert set(clusters.stars(chain)["root"].to_pylist()) == {0}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=30), st.data())
def test_pairs_become_links_however_few_are_held(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    docs = [doc for doc, _ in rows]
    table = pa.table({"doc": pa.array(docs, pa.uint64()), "rank": pa.array([doc % 3 for doc in docs], pa.uint32())})
    table = table.append_column("tie", pa.array(docs, pa.uint64())).append_column(
        "copies", pa.array([1] * len(docs), pa.int64())
    )
    place = st.integers(0, max(0, len(docs) - 1))
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=20)) if docs else []
    found = []
    for held in (1, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clusters, "_PAIRS_HELD", held)
            joined = clusters.Joined(table)
            for left, right in pairs:
                joined.add(np.array([left]), np.array([right]))
            found.append(joined.links())
    assert found[0].equals(found[1])
    linked = {doc: {doc} for doc in docs}
    for left, right in pairs:
        union = linked[docs[left]] | linked[docs[right]]
        linked.update(dict.fromkeys(union, union))
    best = {doc: min(members, key=lambda other: (other % 3, other)) for doc, members in linked.items()}
    expected = {doc: root for doc, root in best.items() if doc != root}
    assert dict(zip(found[0]["doc"].to_pylist(), found[0]["root"].to_pylist(), strict=True)) == expected


@given(st.lists(st.integers(0, 9), max_size=30))
def test_keys_that_several_rows_have(values: list[int]) -> None:
    shared = clusters.shared_keys(np.array(values, np.uint64))
    assert shared.tolist() == [values.count(value) > 1 for value in values]


def test_the_order_in_which_documents_survive() -> None:
    docs = documents([{"text": "abc", "origin": "a"}, {"text": "", "origin": "b"}, {"text": "x" * 9, "origin": "c"}])
    place = clusters.place(docs, np.array([0, 0, 1]))
    assert np.argsort(place["rank"].to_numpy()).tolist() == [0, 1, 2]
    assert np.argsort(clusters.place(docs)["rank"].to_numpy()).tolist() == [2, 0, 1]
    assert place["tie"].to_pylist() == [int(i[:16], 16) for i in docs["id"].to_pylist()]
    assert len(set(clusters.place(docs, prefer="none")["rank"].to_pylist())) == 1


def test_a_copy_of_much_starred_and_of_newer_code_survives() -> None:
    facts = [
        {"stars": 3, "date": "2020-01-01"},
        {"date": "2026-01-01T00:00:00Z"},
        {"stars": 3, "date": "2024-05-01"},
        {},
        {"stars": 999_999_999, "date": "1970-01-01"},
        {"stars": 4},
        {"stars": -5},
        {"stars": "many"},
    ]
    docs = documents(
        [{"text": "x", "origin": str(index), "meta": json.dumps(each)} for index, each in enumerate(facts)]
    )
    rank = clusters.place(docs, prefer="stars")["rank"].to_pylist()
    order = sorted(range(len(facts)), key=lambda index: rank[index])
    assert order[:5] == [4, 5, 2, 0, 1]
    assert rank[3] == rank[6] == rank[7] == clusters.MAX_RANK
    assert min(rank) == clusters.MIN_RANK
    with pytest.raises(ValueError, match="prefer is 'star': type one of longest, stars, none"):
        clusters.check_preference("star")


def test_sizes_of_an_earlier_step_are_counted_on() -> None:
    docs = documents([{"text": "abc", "origin": "a"}, {"text": "abd", "origin": "b"}, {"text": "abe", "origin": "c"}])
    first = pa.table({"row": [1], "cluster": [5], "size": [4], "keep": [True], "known": [False]})
    docs = clusters.drop_lost(docs, first.cast(clusters.FOUND), "dedup.exact").drop_columns(["drop_reason"])
    assert clusters.place(docs)["copies"].to_pylist() == [1, 4, 1]
    second = pa.table(
        {"row": [0, 2], "cluster": [1, 1], "size": [2, 2], "keep": [False, False], "known": [False, True]}
    )
    docs = clusters.drop_lost(docs, second.cast(clusters.FOUND), "dedup.minhash")
    assert docs["cluster_size"].to_pylist() == [2, 4, 2]
    assert docs["cluster"].to_pylist() == [f"{1:016x}", f"{5:016x}", f"{1:016x}"]
    assert docs["drop_reason"].to_pylist() == ["dedup.minhash", None, "dedup.minhash.known"]
