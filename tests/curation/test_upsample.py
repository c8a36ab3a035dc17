"""Buckets by share: exact cuts, ties, drops."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.upsample import EPOCHS, RANK, SHARES, apply, emit, merge, reduce
from datapipe.schema import documents, with_column

Drive = Callable[..., pa.Table]


def scored(scores: list[float | None], chars: list[int]) -> pa.Table:
    docs = documents([{"text": "x" * size, "origin": str(index)} for index, size in enumerate(chars)])
    return with_column(docs, "quality", pa.array(scores, pa.float32()))


def plain_buckets(docs: pa.Table, labels: dict[str, float]) -> dict[str, str]:
    """Bucket by id, one document after the other."""
    ranked = sorted(
        docs.to_pylist(), key=lambda row: (-np.inf if row["quality"] is None else row["quality"],), reverse=True
    )
    ranked.sort(key=lambda row: (np.inf if row["quality"] is None else -row["quality"], row["id"]))
    total, before, found = sum(len(row["text"]) for row in ranked), 0, {}
    bounds = [round(share * total) for share in np.cumsum(list(labels.values()))]
    for row in ranked:
        found[row["id"]] = next(
            (label for label, bound in zip(labels, bounds, strict=True) if before < bound), list(labels)[-1]
        )
        before += len(row["text"])
    return found


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, None]), st.integers(0, 30)), min_size=1, max_size=40)
)
def test_cuts_are_exact_with_ties_by_id(rows: list[tuple[float | None, int]]) -> None:
    docs = scored(*map(list, zip(*rows, strict=True)))
    verdict = merge([reduce(emit(docs))])
    assert dict(zip(docs["id"].to_pylist(), apply(docs, verdict)["bucket"].to_pylist(), strict=True)) == plain_buckets(
        docs, SHARES
    )
    assert sum(verdict["documents"].to_pylist()) == len(rows)
    assert sum(verdict["chars"].to_pylist()) == sum(size for _, size in rows)


@pytest.mark.parametrize("seed", range(3))
def test_buckets_do_not_depend_on_partitions_receivers_or_order(drive: Drive, seed: int) -> None:
    rng = np.random.default_rng(0)
    docs = scored(np.round(rng.random(200), 1).tolist(), rng.integers(1, 99, 200).tolist())
    expected = drive(RANK, docs, partitions=1, receivers=1)
    assert drive(RANK, docs, partitions=seed + 2, receivers=seed + 1, shuffle=seed).equals(expected)


def test_shares_hold_and_a_label_of_no_epochs_is_dropped(drive: Drive) -> None:
    docs = scored([index / 1000 for index in range(1000)], [100] * 1000)
    result = drive(RANK, docs)
    counts = {row["values"]: row["counts"] for row in result["bucket"].value_counts().to_pylist()}
    assert {label: Fraction(count, 1000) for label, count in counts.items()} == {
        label: Fraction(share).limit_denominator(100) for label, share in SHARES.items()
    }
    assert set(result.filter(pa.compute.equal(result["bucket"], "low"))["drop_reason"].to_pylist()) == {"bucket.low"}
    assert result["drop_reason"].null_count == 910


def test_a_document_longer_than_a_share_leaves_the_next_label_empty() -> None:
    docs = scored([0.9, 0.5, 0.1], [70, 20, 10])
    verdict = merge([reduce(emit(docs))], labels={"a": 0.1, "b": 0.5, "c": 0.4})
    assert verdict["documents"].to_pylist() == [1, 0, 2]
    bucketed = apply(docs, verdict, epochs={"a": 2, "b": 1, "c": 1})
    assert bucketed["bucket"].to_pylist() == ["a", "c", "c"]


def test_mistakes_say_what_to_type() -> None:
    docs = scored([0.5], [10])
    verdict = merge([reduce(emit(docs))])
    with pytest.raises(ValueError, match="no column 'edu' \\(scores so far: quality\\)"):
        emit(docs, column="edu")
    with pytest.raises(ValueError, match="add up to 1\\.2"):
        merge([], labels={"a": 0.7, "b": 0.5})
    with pytest.raises(ValueError, match="give every label"):
        apply(docs, verdict, epochs={"high": 1})
    assert set(EPOCHS) == set(SHARES)


def test_no_documents(drive: Drive) -> None:
    assert drive(RANK, scored([0.5], [1])[:0])["bucket"].type == pa.string()
