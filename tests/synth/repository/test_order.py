"""The order of files: against the definition, on random graphs and on large ones."""

import time

import networkx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synth.repository.order import connected, ordered


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, set[tuple[int, int]]]:
    count = draw(st.integers(1, 12))
    node = st.integers(0, count - 1)
    edges = draw(st.sets(st.tuples(node, node), max_size=30))
    return count, {(one, other) for one, other in edges if one != other}


@given(graphs(), st.randoms())
def test_only_dependencies_within_a_cycle_are_broken(graph: tuple[int, set[tuple[int, int]]], shuffle) -> None:
    count, edges = graph
    ranks = list(range(count))
    shuffle.shuffle(ranks)
    followers = set(range(0, count, 3))
    found = ordered(ranks, followers, edges)
    assert sorted(found) == list(range(count))
    assert found == ordered(ranks, followers, sorted(edges, reverse=True))
    place = {number: index for index, number in enumerate(found)}
    directed = networkx.DiGraph(list(edges))
    cycles = [set(nodes) for nodes in networkx.strongly_connected_components(directed)]
    for one, other in edges:
        assert place[one] < place[other] or any({one, other} <= cycle for cycle in cycles)


@given(graphs())
def test_connected_files_share_a_label(graph: tuple[int, set[tuple[int, int]]]) -> None:
    count, edges = graph
    undirected = networkx.Graph(list(edges))
    undirected.add_nodes_from(range(count))
    expected = {number: min(nodes) for nodes in networkx.connected_components(undirected) for number in nodes}
    assert connected(count, edges) == [expected[number] for number in range(count)]


def test_a_cycle_is_entered_where_it_asks_for_least() -> None:
    edges = {(0, 1), (1, 0), (2, 0), (0, 2), (1, 2)}  # 1 needs 0; 0 needs 1 and 2; 2 needs 0 and 1
    assert ordered([0, 1, 2], (), edges) == [1, 0, 2]


def test_of_a_cycle_a_follower_comes_last() -> None:
    assert ordered([0, 1], {0}, {(0, 1), (1, 0)}) == [1, 0]


def test_what_depends_on_a_cycle_waits_for_it() -> None:
    edges = {(1, 2), (2, 1), (1, 0), (3, 1), (3, 2)}
    assert ordered([0, 1, 2, 3], (), edges) == [3, 1, 0, 2]


def test_ties_go_by_rank_and_followers_come_as_soon_as_they_can() -> None:
    edges = {(0, 4), (2, 3)}
    assert ordered([2, 1, 0, 3, 4], (), edges) == [2, 1, 0, 3, 4]
    assert ordered([2, 1, 0, 3, 4], {3, 4}, edges) == [2, 3, 1, 0, 4]


def test_ten_thousand_files_in_one_tangle_take_well_under_a_second() -> None:
    draw = np.random.Generator(np.random.Philox(7))
    edges = {(one, other) for one, other in draw.integers(0, 10_000, (100_000, 2)).tolist() if one != other}
    edges |= {(number, (number + 1) % 10_000) for number in range(10_000)}
    begin = time.process_time()
    found = ordered(range(10_000), (), edges)
    assert time.process_time() - begin < 3  # 0.3 s on an idle core
    assert sorted(found) == list(range(10_000))
    chain = {(number + 1, number) for number in range(50_000)}
    assert ordered(range(50_001), (), chain) == list(range(50_000, -1, -1))
