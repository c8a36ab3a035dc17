"""Semantic deduplication: the greedy rule against its plain definition, what is recorded, and that nothing depends on order."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.bench import semantic as bench_semantic
from curation.dedup import semantic
from curation.dedup.embed import COLUMN, WORDS, column_of, rounded
from curation.dedup.kmeans import CENTROID, KMEANS
from curation.dedup.semantic import SEMANTIC, check, greedy
from curation.steps import COUNTS, StepError
from datapipe.schema import documents

Drive = Callable[..., pa.Table]


def at_angles(degrees: list[float], texts: list[str] | None = None, origins: list[str] | None = None) -> pa.Table:
    """Documents of one cell, in a plane, at these angles; by default each shorter than the one before."""
    names = origins or [f"o{number}" for number in range(len(degrees))]
    bodies = texts or ["x" * (100 - number) for number in range(len(degrees))]
    docs = documents({"text": text, "origin": name} for text, name in zip(bodies, names, strict=True))
    radians = np.radians(degrees)
    vectors = np.stack([np.cos(radians), np.sin(radians), *[np.zeros(len(degrees))] * 6], axis=1)
    docs = docs.append_column(COLUMN, column_of(vectors))
    return docs.append_column(CENTROID, pa.array([3] * len(degrees), pa.int32()))


def outcome(result: pa.Table) -> dict[str, str | None]:
    """Who goes because of whom, by origin."""
    names = {row["id"][:16]: row["origin"] for row in result.to_pylist()}
    return {
        row["origin"]: names[json.loads(row["meta"])["semantic"]["kept"]] if row["drop_reason"] else None
        for row in result.to_pylist()
    }


def plain(vectors_MN: np.ndarray, limit: float) -> tuple[list[int], list[float]]:
    """The definition: in order, each with every document kept before it."""
    unit = vectors_MN / np.linalg.norm(vectors_MN.astype(np.float64), axis=1, keepdims=True)
    kept: list[int] = []
    nearest, distance = [], []
    for row in range(len(unit)):
        cosines = [float(unit[row] @ unit[other]) for other in kept]
        best = int(np.argmax(cosines)) if cosines else -1
        if cosines and cosines[best] >= 1 - limit:
            nearest.append(kept[best])
            distance.append(1 - cosines[best])
        else:
            nearest.append(-1)
            distance.append(0.0)
            kept.append(row)
    return nearest, distance


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([0.0313, 0.1007, 0.3011]), st.integers(1, 9))
def test_greedy_is_its_definition_whatever_the_blocks(seed: int, count: int, limit: float, block: int) -> None:
    rng = np.random.default_rng(seed)
    vectors_MN, _ = rounded(
        rng.standard_normal((4, 8))[rng.integers(0, 4, count)] + 0.2 * rng.standard_normal((count, 8))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantic, "BLOCK", block)
        patch.setattr(semantic, "TILE", block + 1)
        judged = greedy(vectors_MN, limit)
    nearest, distance = plain(vectors_MN, limit)
    assert judged.kept_M.tolist() == nearest
    gone = judged.kept_M >= 0
    assert np.allclose(judged.distance_M[gone], np.array(distance)[gone], atol=1e-6)


def test_a_chain_of_neighbours_does_not_go_as_a_whole(drive: Drive) -> None:
    """Each is within 18 degrees of its neighbours (distance 0.05) and only those: every other one stays."""
    assert outcome(drive(SEMANTIC, at_angles([0, 15, 30, 45]), max_cosine_distance=0.05)) == {
        "o0": None,
        "o1": "o0",
        "o2": None,
        "o3": "o2",
    }


def test_the_nearest_kept_document_and_its_distance_are_recorded(drive: Drive) -> None:
    result = drive(SEMANTIC, at_angles([0, 40, 25]), max_cosine_distance=0.1)
    assert outcome(result) == {"o0": None, "o1": None, "o2": "o1"}
    (fact,) = [json.loads(row["meta"])["semantic"] for row in result.to_pylist() if row["drop_reason"]]
    assert fact["distance"] == pytest.approx(1 - np.cos(np.radians(15)), abs=1e-3)
    assert {row["drop_reason"] for row in result.to_pylist()} == {None, "dedup.semantic"}


@pytest.mark.parametrize("block", [1, 2, 512])
def test_of_two_equally_near_ones_the_first_is_recorded(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "BLOCK", block)
    vectors_MN, _ = rounded(np.array([[1.0, 0.4], [1.0, -0.4], [1.0, 0.0]]))
    assert greedy(vectors_MN, 0.1).kept_M.tolist() == [-1, -1, 0]


def test_equal_embeddings_keep_the_longest_then_the_smallest_id(drive: Drive) -> None:
    docs = at_angles([7, 7, 7, 7], ["ab", "abc", "abd", ""], list("wxyz"))
    by_id = sorted((row["id"], row["origin"]) for row in docs.to_pylist() if len(row["text"]) == 3)
    survivor = by_id[0][1]
    result = drive(SEMANTIC, docs, max_cosine_distance=0.0)
    assert outcome(result) == {name: None if name == survivor else survivor for name in "wxyz"}
    assert [json.loads(row["meta"])["semantic"]["distance"] for row in result.to_pylist() if row["drop_reason"]] == [
        0,
        0,
        0,
    ]


def test_hard_keeps_the_one_least_similar_to_the_mean(drive: Drive) -> None:
    docs = at_angles([0, 2, 4, 14])
    assert outcome(drive(SEMANTIC, docs, keep="hard"))["o3"] is None
    assert outcome(drive(SEMANTIC, docs, keep="hard"))["o0"] == "o3"
    assert outcome(drive(SEMANTIC, docs))["o0"] is None


def test_documents_of_other_cells_and_without_an_embedding_are_left_alone(drive: Drive) -> None:
    docs = at_angles([5, 5, 5])
    cells = docs.set_column(docs.schema.get_field_index(CENTROID), CENTROID, pa.array([0, 1, -1], pa.int32()))
    vectors = column_of(np.array([[1, 0], [1, 0], [0, 0]]))
    docs = cells.set_column(cells.schema.get_field_index(COLUMN), COLUMN, vectors)
    assert set(outcome(drive(SEMANTIC, docs)).values()) == {None}
    assert semantic.emit(docs).num_rows == 2


@pytest.mark.parametrize("keep", ["longest", "hard"])
@pytest.mark.parametrize("max_members", [200_000, 37])
@pytest.mark.parametrize("shuffle", [1, 2])
def test_nothing_depends_on_partitions_receivers_or_order(
    drive: Drive, keep: str, max_members: int, shuffle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic, "BLOCK", 16)
    rng = np.random.default_rng(0)
    docs = documents({"text": "x" * int(rng.integers(5)), "origin": f"http://h{n % 3}/{n}"} for n in range(200))
    vectors = rng.standard_normal((9, 12))[rng.integers(0, 9, 200)] + 0.15 * rng.standard_normal((200, 12))
    docs = docs.append_column(COLUMN, column_of(vectors))
    docs = docs.append_column(CENTROID, pa.array(rng.integers(0, 3, 200), pa.int32()))
    params: dict[str, Any] = {"keep": keep, "max_members": max_members}
    expected = drive(SEMANTIC, docs, partitions=1, receivers=1, **params)
    assert 20 < expected["drop_reason"].null_count < 180
    assert drive(SEMANTIC, docs, partitions=4, receivers=3, shuffle=shuffle, **params).equals(expected)


def test_counters_tell_hosts_apart(drive: Drive) -> None:
    origins = ["http://a.org/1", "https://A.org:8080/2", "http://b.org/1", "file#3", "http://me@a.org/4"]
    verdicts: list[pa.Table] = []
    drive(SEMANTIC, at_angles([0] * 5, origins=origins), receivers=1, verdicts=verdicts)
    assert json.loads(verdicts[0].schema.metadata[COUNTS]) == {
        "cells": 1,
        "split_cells": 0,
        "pairs": 10,
        "removed_same_host": 2,
        "removed_other_host": 1,
        "removed": 4,
    }


def test_only_kept_documents_are_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "BLOCK", 10)
    alike, _ = rounded(np.tile([1.0, 2.0], (1_000, 1)))
    assert greedy(alike, 0.1).pairs == 100 * 45 + 99 * 10


def test_a_large_cell_is_cut_where_it_is_long(drive: Drive) -> None:
    """Two bundles of directions: cut into two pieces of 20, each bundle stays together, and is counted."""
    angles = [float(n % 2 * 60 + n / 40) for n in range(40)]
    verdicts: list[pa.Table] = []
    docs = at_angles(angles, texts=["x" * 50] * 40)
    whole = outcome(drive(SEMANTIC, docs))
    cut = outcome(drive(SEMANTIC, docs, max_members=20, receivers=1, verdicts=verdicts))
    assert cut == whole
    counts = json.loads(verdicts[0].schema.metadata[COUNTS])
    assert (counts["cells"], counts["split_cells"], counts["pairs"]) == (1, 1, 2 * 190)


def test_columns_that_have_served_go_unless_wanted(drive: Drive) -> None:
    docs = at_angles([0, 0])
    assert not {COLUMN, CENTROID} & set(drive(SEMANTIC, docs).column_names)
    assert {COLUMN, CENTROID} <= set(drive(SEMANTIC, docs, keep_embedding=True).column_names)


def test_other_facts_in_meta_stay(drive: Drive) -> None:
    docs = at_angles([0, 0])
    meta = pa.array(['{"title": "é"}', None], pa.string())
    docs = docs.set_column(docs.schema.get_field_index("meta"), "meta", meta)
    rows = {row["origin"]: row for row in drive(SEMANTIC, docs).to_pylist()}
    assert rows["o0"]["meta"] == '{"title": "é"}'
    assert list(json.loads(rows["o1"]["meta"])) == ["semantic"]


def test_steps_that_are_missing_are_named() -> None:
    docs = at_angles([0])
    with pytest.raises(StepError, match=r"no column 'centroid': put cluster\.kmeans before it"):
        semantic.emit(docs.drop_columns([CENTROID]))
    with pytest.raises(StepError, match=r"put embed\.words, embed\.model or embed\.endpoint before it"):
        semantic.emit(docs.drop_columns([COLUMN]))


def test_pages_of_a_template_go_and_other_texts_stay(drive: Drive) -> None:
    """The whole chain, on pages of which MinHash finds none."""
    rows = [{"text": text, "origin": f"{family}/{n}"} for n, (family, text) in enumerate(bench_semantic.pages(15))]
    texts = [row["text"] for row in rows]
    assert not bench_semantic.removed_by_minhash(texts, 0.7).any()
    result = drive(SEMANTIC, drive(KMEANS, drive(WORDS, documents(rows))), max_cosine_distance=0.3)
    reasons = outcome(result)
    gone = {name: kept for name, kept in reasons.items() if kept}
    assert len(gone) > 0.6 * (len(rows) - 10)
    assert all(name.split("/")[0] == kept.split("/")[0] for name, kept in gone.items())


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"max_cosine_distance": 1.0}, r"max_cosine_distance 1\.0 .* type 0\.2"),
        ({"keep": "shortest"}, "keep is 'shortest'.* longest, hard"),
        ({"max_members": 1}, "max_members 1"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    check()
    with pytest.raises(ValueError, match=said):
        check(**params)


def test_no_documents(drive: Drive) -> None:
    assert drive(SEMANTIC, at_angles([0])[:0]).num_rows == 0
