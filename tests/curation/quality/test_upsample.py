"""Ranks, labels and buckets: against a plain definition, ties, missing scores, any division of the corpus, clusters, mistakes."""

import json
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.quality.upsample import (
    BIN_BITS,
    EPOCHS,
    LABELS,
    NO_SCORE,
    RANK,
    apply,
    bucket_epochs,
    check,
    emit,
    expected_shares,
    merge,
    reduce,
    score_bins,
)
from curation.steps import COUNTS, StepError
from datapipe.schema import documents, with_column

Drive = Callable[..., pa.Table]
SCORES = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.5001, 0.75, 1.0, None])


def scored(chars: list[int], **scores: list[float | None]) -> pa.Table:
    docs = documents([{"text": "x" * size, "origin": str(index)} for index, size in enumerate(chars)])
    for name, values in scores.items():
        docs = with_column(docs, name, pa.array(values, pa.float32()))
    return docs


def plain_ranks(scores: list[float | None], chars: list[int], ranks: int) -> list[int]:
    """Per document: 20 times the share of characters below the middle of those with its score."""
    total, found = max(1, sum(chars)), []
    for score in scores:
        if score is None:
            found.append(0)
            continue
        below = sum(size for other, size in zip(scores, chars, strict=True) if other is None or other < score)
        same = sum(size for other, size in zip(scores, chars, strict=True) if other == score)
        found.append(min(ranks - 1, int(ranks * (below + Fraction(same, 2)) / total)))
    return found


@given(st.lists(st.tuples(SCORES, SCORES, st.integers(0, 30)), min_size=1, max_size=30), st.integers(2, 25))
def test_the_rank_is_the_best_of_the_columns(rows: list[tuple[float | None, float | None, int]], ranks: int) -> None:
    first, second, chars = map(list, zip(*rows, strict=True))
    docs, columns = scored(chars, quality=first, edu=second), ["quality", "edu"]
    verdict = merge([reduce(emit(docs, columns=columns))], columns=columns, ranks=ranks)
    labels = {"high": ranks - 1, "low": 0}
    found = apply(docs, verdict, columns=columns, labels=labels, epochs={"high": 2, "low": 1})
    expected = np.maximum(plain_ranks(first, chars, ranks), plain_ranks(second, chars, ranks)).tolist()
    assert found["quality_rank"].to_pylist() == expected
    assert found["bucket"].to_pylist() == ["high" if rank == ranks - 1 else "low" for rank in expected]
    for index in range(2):
        own = verdict.slice(index * ranks, ranks)
        assert sum(own["documents"].to_pylist()) == len(rows)
        assert sum(own["chars"].to_pylist()) == sum(chars)


GROUPS = st.sampled_from(["python", "c", "go", None])


@given(st.lists(st.tuples(SCORES, GROUPS, st.integers(0, 30)), min_size=1, max_size=40), st.integers(1, 12))
def test_groups_are_ranked_apart_and_small_ones_together(
    rows: list[tuple[float | None, str | None, int]], min_documents: int
) -> None:
    scores, groups, chars = map(list, zip(*rows, strict=True))
    docs = with_column(scored(chars, quality=scores), "lang", pa.array(groups, pa.string()))
    half = docs.num_rows // 2
    parts = [emit(part, by="lang") for part in (docs[:half], docs[half:])]
    verdict = merge([reduce(part) for part in parts[::-1]], by="lang", min_documents=min_documents, ranks=4)
    labels = {"high": 3, "low": 0}
    found = apply(docs, verdict, labels=labels, epochs={"high": 2, "low": 1}, by="lang")["quality_rank"].to_pylist()
    large = {group for group in groups if group and groups.count(group) >= min_documents}
    for own in [*large, None]:
        mine = [place for place, group in enumerate(groups) if (group if group in large else None) == own]
        expected = plain_ranks([scores[place] for place in mine], [chars[place] for place in mine], 4)
        assert [found[place] for place in mine] == expected
    told = json.loads(verdict.schema.metadata[COUNTS])
    assert told == {
        "ranked_apart": {group: groups.count(group) for group in sorted(large)},
        "ranked_together": sum(group not in large for group in groups),
    }


@pytest.mark.parametrize("seed", range(2))
def test_ranks_of_groups_do_not_depend_on_partitions_or_receivers(drive: Drive, seed: int) -> None:
    rng = np.random.default_rng(0)
    docs = scored(rng.integers(1, 99, 200).tolist(), quality=np.round(rng.random(200), 2).tolist())
    docs = with_column(docs, "lang", pa.array(rng.choice(["python", "c", "go"], 200, p=[0.6, 0.35, 0.05]).tolist()))
    params = {"by": "lang", "min_documents": 20}
    expected = drive(RANK, docs, partitions=1, receivers=1, **params)
    assert drive(RANK, docs, partitions=seed + 2, receivers=seed + 1, shuffle=seed, **params).equals(expected)
    assert not expected.equals(drive(RANK, docs))


def test_groups_need_a_column_of_texts() -> None:
    docs = scored([3], quality=[0.5])
    with pytest.raises(StepError, match=r"by is 'quality', but .*type one of id, .*lang"):
        emit(docs, by="quality")
    with pytest.raises(StepError, match="by is 'language'"):
        emit(docs, by="language")
    with pytest.raises(ValueError, match=r"min_documents is 0.*type 1000"):
        check(min_documents=0)
    with pytest.raises(ValueError, match="a folder is named by it"):
        check(labels={"": 0}, epochs={"": 1})
    assert merge([reduce(emit(docs[:0], by="lang"))], by="lang").num_rows == 20
    assert "group" not in merge([reduce(emit(docs))]).column_names


@pytest.mark.parametrize("seed", range(3))
def test_buckets_do_not_depend_on_partitions_receivers_or_order(drive: Drive, seed: int) -> None:
    rng = np.random.default_rng(0)
    docs = scored(
        rng.integers(1, 99, 300).tolist(),
        quality=np.round(rng.random(300), 2).tolist(),
        edu=rng.normal(size=300).tolist(),
    )
    params = {"columns": ["quality", "edu"]}
    expected = drive(RANK, docs, partitions=1, receivers=1, **params)
    assert drive(RANK, docs, partitions=seed + 2, receivers=seed + 1, shuffle=seed, **params).equals(expected)


def test_shares_hold_and_a_label_of_no_epochs_is_dropped(drive: Drive) -> None:
    result = drive(RANK, scored([100] * 1000, quality=[index / 1000 for index in range(1000)]))
    counts = {row["values"]: row["counts"] / 1000 for row in result["bucket"].value_counts().to_pylist()}
    assert counts == expected_shares()
    assert np.bincount(result["quality_rank"].to_numpy()).tolist() == [50] * 20
    assert result["quality_rank"].type == pa.int32()
    assert set(result.filter(pa.compute.equal(result["bucket"], "low"))["drop_reason"].to_pylist()) == {"bucket.low"}
    assert result["drop_reason"].null_count == 650


@given(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
def test_bins_are_in_the_order_of_scores_and_as_fine_as_stated(low: float, high: float) -> None:
    low, high = sorted([low, high])
    below, above = score_bins(np.array([low, high])).tolist()
    assert NO_SCORE < below <= above < 1 << BIN_BITS
    if low > 1e-30 and high < 1e30 and high > low * (1 + 2**-15):
        assert below < above


def test_a_missing_score_ranks_lowest_and_minus_zero_is_zero() -> None:
    assert score_bins(np.array([np.nan, -np.inf])).tolist()[0] == NO_SCORE
    assert len(set(score_bins(np.array([0.0, -0.0])).tolist())) == 1
    docs = scored([10] * 4, quality=[None, None, None, 0.1])
    verdict = merge([reduce(emit(docs))])
    assert apply(docs, verdict)["quality_rank"].to_pylist() == [0, 0, 0, 17]


def test_equal_scores_share_the_rank_of_their_middle() -> None:
    docs = scored([10] * 10, quality=[0.0] * 6 + [0.5] * 4)
    ranks = apply(docs, merge([reduce(emit(docs))]))["quality_rank"].to_pylist()
    assert ranks == [6] * 6 + [16] * 4


def test_what_is_found_often_has_a_bucket_of_its_own(drive: Drive) -> None:
    docs = with_column(
        scored([1] * 6, quality=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        "cluster_size",
        pa.array([1, 2, 9, 10, 500, None], pa.int32()),
    )
    params = {"labels": {"good": 10, "bad": 0}, "epochs": {"good": 2, "bad": 0}, "cluster_epochs": {"2": 1.5, "10": 2}}
    found = {row["quality"]: row for row in drive(RANK, docs, **params).to_pylist()}
    assert [found[score]["bucket"] for score in sorted(found)] == [
        "bad",
        "bad_c2",
        "bad_c2",
        "good_c10",
        "good_c10",
        "good",
    ]
    reasons = [found[score]["drop_reason"] for score in sorted(found)]
    assert reasons == ["bucket.bad"] * 3 + [None] * 3
    planned = bucket_epochs(epochs=params["epochs"], cluster_epochs=params["cluster_epochs"])
    assert planned == {"good_c10": 4.0, "good_c2": 3.0, "good": 2.0}
    assert list(planned) == ["good_c10", "good_c2", "good"]
    assert bucket_epochs(cluster_epochs={"2": 1.5})["high_c2"] == 4.8


def test_a_plan_without_data_expects_what_ranking_gives() -> None:
    assert expected_shares() == {"high": 0.05, "medium_high": 0.05, "medium": 0.3, "medium_low": 0.25, "low": 0.35}
    three = expected_shares(columns=["a", "b", "c"])
    assert three == {
        "high": 0.142625,
        "medium_high": 0.128375,
        "medium": 0.513,
        "medium_low": 0.173125,
        "low": 0.042875,
    }
    assert sum(three.values()) == pytest.approx(1)
    rng = np.random.default_rng(1)
    docs = scored([1] * 20_000, **{name: rng.random(20_000).tolist() for name in "abc"})
    found = apply(docs, merge([reduce(emit(docs, columns="abc"))], columns="abc"), columns="abc")
    counts = {row["values"]: row["counts"] / 20_000 for row in found["bucket"].value_counts().to_pylist()}
    assert counts == pytest.approx(three, abs=0.01)
    split = expected_shares(cluster_epochs={2: 3})
    assert split["high_c2"] == 0
    assert set(split) >= set(bucket_epochs(cluster_epochs={2: 3}))


def test_mistakes_say_what_to_type() -> None:
    docs = scored([10], quality=[0.5])
    whole = with_column(docs, "votes", pa.array([3] * docs.num_rows, pa.int64()))
    assert emit(whole, columns=["votes"])["documents"].to_pylist() == [docs.num_rows]
    for column in ("edu", "text"):
        with pytest.raises(
            StepError, match=rf"^the documents .* no column '{column}' of numbers \(scores so far: quality\)"
        ):
            emit(docs, columns=[column])
    with pytest.raises(ValueError, match="give every label"):
        check(epochs={"high": 1})
    for labels in ({"high": 0.13, "low": 0}, {"high": 20, "low": 0}, {"low": 0, "high": 3}, {"high": 3, "low": 1}):
        with pytest.raises(
            ValueError, match="its least rank, best first: falling whole numbers from below 20 down to 0"
        ):
            check(labels=labels, epochs=dict.fromkeys(labels, 1))
    with pytest.raises(ValueError, match=r"type \[quality\]"):
        check(columns="quality")
    with pytest.raises(ValueError, match="ranks is 1: type 2 to 1000"):
        check(ranks=1, labels={"all": 0}, epochs={"all": 1})
    for wrong in ({1: 2}, {2: 0}, {"two": 1}, {"2": "3"}):
        with pytest.raises(ValueError, match=r"cluster_epochs has .*: type for instance \{2: 1.5, 10: 2\}"):
            check(cluster_epochs=wrong)
    with pytest.raises(StepError, match=r"put dedup\.minhash before it"):
        apply(docs, merge([reduce(emit(docs))]), cluster_epochs={2: 2})
    check(columns=["quality", "educational", "knowledge"], cluster_epochs={2: 1.5})
    assert set(EPOCHS) == set(LABELS)


def test_no_documents(drive: Drive) -> None:
    assert drive(RANK, scored([1], quality=[0.5])[:0])["bucket"].type == pa.string()
