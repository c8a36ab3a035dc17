"""Chunks of documents: cut to size, drawn by their names, and put together again by length."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.quality.chunks import chunks_of, document_ids, in_chunks, means


def column(*texts: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


@given(st.text(max_size=400), st.integers(10, 300))
def test_all_chunks_are_the_text(text: str, chunk_chars: int) -> None:
    found = chunks_of(column("d"), column(text), chunk_chars=chunk_chars, chunks=100, seed=0)
    assert "".join(found.texts) == text
    assert max(map(len, found.texts)) <= chunk_chars
    assert max(map(len, found.texts)) - min(map(len, found.texts)) <= 1
    assert found.ids == [f"d#{place}" for place in range(len(found.ids))]


def test_few_of_many_are_drawn_by_seed_and_id_alone() -> None:
    text = "".join(f"{index:04d}" for index in range(1_000))
    texts = column(text, None, text)
    found = chunks_of(column("a", "b", "c"), texts, chunk_chars=100, chunks=3, seed=0)
    assert found.doc_N.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert found.texts[3] == ""
    assert [found.texts[index] for index in (0, 1, 2)] != [found.texts[index] for index in (4, 5, 6)]
    places = [int(name.partition("#")[2]) for name in found.ids]
    assert [text[100 * place :][:100] for place in places[:3]] == found.texts[:3]
    assert places[:3] == sorted(places[:3])
    alone = chunks_of(column("c"), column(text), chunk_chars=100, chunks=3, seed=0)
    assert alone.ids == found.ids[4:]
    assert chunks_of(column("c"), column(text), chunk_chars=100, chunks=3, seed=1).ids != alone.ids


def test_a_text_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MAX_CHARS", 250)
    found = chunks_of(column("a"), column("x" * 1_000), chunk_chars=100, chunks=9, seed=0)
    assert sum(map(len, found.texts)) == 250


def test_a_sample_keeps_its_columns_and_finds_its_documents() -> None:
    sample = pa.table({"draw": [5, 3], "id": ["a#1", "b"], "text": pa.array(["x" * 150, "y"], pa.large_string())})
    rows = in_chunks(sample, chunk_chars=100, chunks=9, seed=0)
    assert rows.schema == sample.schema
    assert rows["draw"].to_pylist() == [5, 5, 3]
    assert rows["id"].to_pylist() == ["a#1#0", "a#1#1", "b#0"]
    assert document_ids(rows["id"]).to_pylist() == ["a#1", "a#1", "b"]
    assert document_ids(pa.chunked_array([["file#x"]])).to_pylist() == ["file#x"]


def test_means_are_weighted_by_length() -> None:
    found = means(np.array([1.0, 5.0, 2.0]), np.array([0, 0, 1]), np.array([100, 300, 0]), 2)
    assert found.tolist() == [4.0, 2.0]
