"""Exact deduplication through the whole exchange."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from curation import exact
from curation.exact import EXACT, digest, emit, normalised
from datapipe.schema import documents


def corpus() -> pa.Table:
    rows = []
    for group in range(12):
        for copy in range(group % 4 + 1):
            text = ["Some  Text\n", "some text ", "SOME\tTEXT", "ｓome text"][copy] + f" {group}"
            rows.append({"text": text, "origin": f"{group}/{copy}", "license": "MIT" if copy == 2 else None})
    return documents(rows)


def test_one_copy_stays_and_a_known_licence_goes_first(drive: Callable[..., pa.Table]) -> None:
    docs = corpus()
    result = drive(EXACT, docs)
    kept = result.filter(pc.is_null(result["drop_reason"]))
    assert sorted(map(normalised, kept["text"].to_pylist())) == sorted(f"some text {group}" for group in range(12))
    by_group: dict[str, list[dict[str, str]]] = {}
    for row in docs.to_pylist():
        by_group.setdefault(row["origin"].split("/")[0], []).append(row)
    expected = [min(rows, key=lambda row: (row["license"] is None, row["id"]))["id"] for rows in by_group.values()]
    assert kept["id"].to_pylist() == sorted(expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_verdict_does_not_depend_on_partitions_receivers_or_order(
    drive: Callable[..., pa.Table], seed: int
) -> None:
    docs = corpus()
    expected = drive(EXACT, docs, partitions=1, receivers=1)
    assert drive(EXACT, docs, partitions=seed + 2, receivers=3 - seed, shuffle=seed).equals(expected)
    assert set(expected["drop_reason"].to_pylist()) == {None, "dedup.exact"}


def test_what_counts_as_the_same_text() -> None:
    assert normalised(" Ａ\u00a0B\n\nc ") == "a b c"
    assert normalised("ﬁne") == normalised("FINE")
    assert normalised("a b") != normalised("ab")


@given(st.text(st.sampled_from("aΣ \n\u0301\u00b4ﬁ\u2003"), max_size=60))
def test_a_huge_text_has_the_digest_of_its_normal_form(text: str) -> None:
    whole = xxhash.xxh3_128_digest(normalised(text).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "SLICE_CHARS", 3)
        assert digest(text) == whole


def test_no_documents(drive: Callable[..., pa.Table]) -> None:
    assert emit(corpus()[:0]).num_rows == 0
    assert drive(EXACT, corpus()[:0]).num_rows == 0
