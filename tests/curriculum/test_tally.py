"""Samples that a segment keeps: the same ones however its documents are cut into tables."""

import itertools

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.reasons import mark
from curriculum.tally import CLUSTER_MEMBERS, LARGEST_CLUSTERS, Smallest, Tally
from datapipe.schema import documents, with_column


@given(st.permutations([f"{n:03d}" for n in range(40)]), st.integers(1, 12))
def test_the_smallest_ids_are_kept_in_any_order(ids: list[str], most: int) -> None:
    sample = Smallest(most)
    for identity in ids:
        if sample.wants(identity):
            sample.add({"id": identity})
    assert [row["id"] for row in sample.rows()] == [f"{n:03d}" for n in range(most)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=120),
    st.lists(st.integers(0, 120), max_size=5),
)
def test_members_of_the_largest_clusters_are_kept_however_tables_are_cut(
    members: list[tuple[int, bool]], cuts: list[int]
) -> None:
    """Cluster n has 2 + n // 2 documents, of which some are dropped here."""
    rows = [{"text": f"text {place}", "origin": str(place)} for place in range(len(members))]
    table = documents(rows)
    names = [f"{cluster:016x}" if cluster else None for cluster, _ in members]
    sizes = pa.array([2 + cluster // 2 if cluster else 1 for cluster, _ in members], pa.int32())
    table = with_column(with_column(table, "cluster", pa.array(names, pa.string())), "cluster_size", sizes)
    table = mark(table, pa.array(["alike" if lost else None for _, lost in members], pa.string()))
    tally, ends = Tally(["dedup"]), sorted({0, *(cut for cut in cuts if cut < len(members)), len(members)})
    for start, stop in itertools.pairwise(ends):
        tally.split("dedup", table.slice(start, stop - start))
    lost = {
        (cluster, identity)
        for (cluster, gone), identity in zip(members, table["id"].to_pylist(), strict=True)
        if cluster and gone
    }
    largest = sorted({cluster for cluster, _ in lost}, key=lambda cluster: (-(2 + cluster // 2), cluster))
    expected = [
        (f"{cluster:016x}", identity)
        for cluster in sorted(largest[:LARGEST_CLUSTERS])
        for identity in sorted(identity for of, identity in lost if of == cluster)[:CLUSTER_MEMBERS]
    ]
    assert [(row["cluster"], row["id"]) for row in tally.members()] == expected


def test_documents_that_an_index_knows_take_no_place_of_members() -> None:
    """None of their clusters is shown, for nothing of them stays."""
    rows = [{"text": f"text {place}", "origin": str(place)} for place in range(LARGEST_CLUSTERS + 1)]
    names = [f"{place:016x}" for place in range(len(rows))]
    table = with_column(documents(rows), "cluster", pa.array(names, pa.string()))
    table = with_column(table, "cluster_size", pa.array([2, *[100] * LARGEST_CLUSTERS], pa.int32()))
    tally = Tally(["dedup"])
    tally.split("dedup", mark(table, pa.array(["dedup.minhash", *["dedup.minhash.known"] * LARGEST_CLUSTERS])))
    assert [row["cluster"] for row in tally.members()] == names[:1]
