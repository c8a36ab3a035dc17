"""Interleaved documents: every piece once and in order, continuations far apart, the same rows whatever the order."""

import json
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup.embed import column_of
from curation.steps import StepError
from datapipe.schema import documents, with_column
from synth.interleave import INTERLEAVE, chain, check, pieces

TOPICS = np.eye(4)


def corpus(texts: list[str], cells: list[int], vectors: np.ndarray | None = None) -> pa.Table:
    docs = documents(
        [
            {"origin": f"book/{index}", "text": text, "kind": "book", "license": "MIT", "lang": "en"}
            for index, text in enumerate(texts)
        ]
    )
    vectors = TOPICS[np.array(cells, int) % 4] if vectors is None else vectors
    docs = with_column(docs, "embedding", column_of(vectors))
    return with_column(docs, "centroid", pa.array(cells, pa.int32()))


def book(name: str, paragraphs: int) -> str:
    return "\n\n".join(f"{name}{number} " + "word " * 40 for number in range(paragraphs))


def rebuilt(rows: list[dict], texts: dict[str, str]) -> dict[str, str]:
    """The documents as their pieces say them, rows in the order of their parts; a piece out of its place fails."""
    found: dict[str, str] = dict.fromkeys(texts, "")
    for row in sorted(
        rows,
        key=lambda row: (row["origin"].partition("#")[0], int(row["origin"].partition("#")[2].partition("-")[0] or 1)),
    ):
        meta = json.loads(row["meta"])
        if "pieces" not in meta:
            found[row["id"]] += row["text"]
            continue
        for number, start, place, length in meta["pieces"]:
            name = meta["sources"][number]
            assert start == len(found[name])
            found[name] += row["text"][place : place + length]
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.text("ab \n", max_size=400), st.integers(-1, 1)), max_size=9),
    st.integers(40, 400),
    st.integers(10, 100),
    st.integers(2, 4),
)
def test_every_character_is_in_one_place_and_in_order(
    made: list[tuple[str, int]], row: int, chunk: int, most: int
) -> None:
    docs = corpus([text for text, _ in made], [cell for _, cell in made])
    rows = INTERLEAVE.reduce(
        INTERLEAVE.emit(docs), row_tokens=row, chars_per_token=1, chunk_chars=chunk, max_documents=most
    )
    texts = dict(zip(docs["id"].to_pylist(), docs["text"].to_pylist(), strict=True))
    assert rebuilt(rows.to_pylist(), texts) == texts
    assert len(set(rows["id"].to_pylist())) == rows.num_rows


def test_a_document_goes_on_behind_pieces_of_all_others() -> None:
    docs = corpus([book(name, 100) for name in "abc"], [0, 0, 0])
    [row] = INTERLEAVE.reduce(INTERLEAVE.emit(docs), chunk_chars=4_000).to_pylist()
    places = json.loads(row["meta"])["pieces"]
    assert len(places) == 15
    for before, after in zip(places, places[3:], strict=False):
        assert before[0] == after[0]
        assert after[2] - (before[2] + before[3]) > 7_000
    assert row["text"].startswith("[Text 1 of 3]\n")
    assert row["text"].count("goes on]\n") == 12
    for number, _, place, _ in places:
        assert row["text"][:place].endswith((f"[Text {number + 1} of 3]\n", f"[Text {number + 1} of 3 goes on]\n"))
    assert (row["license"], row["lang"], row["raw"]) == ("MIT", "en", None)


def test_rows_are_no_longer_than_asked_and_pieces_end_paragraphs() -> None:
    docs = corpus([book(name, 100) for name in "abcd"], [0] * 4)
    rows = INTERLEAVE.reduce(INTERLEAVE.emit(docs), row_tokens=5_000, chars_per_token=4, chunk_chars=3_000).to_pylist()
    assert len(rows) > 1
    assert max(len(row["text"]) for row in rows) <= 20_000
    assert {row["origin"].partition("#")[0] for row in rows} <= {f"interleave/{id}" for id in docs["id"].to_pylist()}
    cut = pieces(docs["text"][0].as_py(), 9)
    assert all(piece.endswith("\n\n") for piece in cut[:-1])
    assert max(map(len, cut)) < 1.3 * min(map(len, cut))


def test_the_similar_stand_together_and_cells_stay_apart() -> None:
    assert chain(np.array([[10, 0], [0, 10], [9, 1], [1, 9]], np.float32)) == [0, 2, 3, 1]
    docs = corpus([book(name, 10) for name in "abcde"], [0, 1, 0, 1, 2])
    rows = INTERLEAVE.reduce(INTERLEAVE.emit(docs)).to_pylist()
    ids = docs["id"].to_pylist()
    mixed = [set(json.loads(row["meta"]).get("sources", [row["id"]])) for row in rows]
    assert sorted(mixed, key=min) == sorted([{ids[0], ids[2]}, {ids[1], ids[3]}, {ids[4]}], key=min)
    assert next(row for row in rows if row["id"] == ids[4])["text"] == book("e", 10)


def test_so_many_documents_share_rows_as_fit_into_one() -> None:
    docs = corpus([book(name, 12) for name in "abcdef"], [0] * 6)
    chars = len(docs["text"][0].as_py())
    rows = INTERLEAVE.reduce(INTERLEAVE.emit(docs), row_tokens=3 * chars + 500, chars_per_token=1, chunk_chars=500)
    assert [len(json.loads(meta)["sources"]) for meta in rows["meta"].to_pylist()] == [3, 3]


def test_the_order_of_rows_does_not_matter() -> None:
    docs = corpus(
        [book(name, 30) for name in "abcdefg"],
        [0, 0, 1, 0, 1, 0, 0],
        np.random.Generator(np.random.Philox(3)).standard_normal((7, 8)),
    )
    rows = INTERLEAVE.emit(docs)
    order = list(range(rows.num_rows))
    random.Random(1).shuffle(order)
    assert INTERLEAVE.reduce(rows.take(order), row_tokens=3_000).equals(INTERLEAVE.reduce(rows, row_tokens=3_000))


def test_parameters_that_make_no_rows_are_refused() -> None:
    check()
    for params, said in (
        ({"row_tokens": 100}, "at most 200"),
        ({"chunk_chars": 0}, "two pieces"),
        ({"chars_per_token": -1.0}, "two pieces"),
        ({"max_documents": 1}, "max_documents is 1"),
    ):
        with pytest.raises(ValueError, match=said):
            check(**params)  # type: ignore[arg-type]


def test_what_is_missing_is_said() -> None:
    docs = corpus(["a"], [0])
    with pytest.raises(StepError, match=r"cluster\.kmeans"):
        INTERLEAVE.emit(docs.drop_columns("centroid"))
    with pytest.raises(StepError, match=r"embed\.words"):
        INTERLEAVE.emit(docs.drop_columns("embedding"))
    spans = pa.array(
        [[{"start": 0, "length": 1}]], pa.list_(pa.struct([("start", pa.int64()), ("length", pa.int64())]))
    )
    with pytest.raises(StepError, match="loss spans"):
        INTERLEAVE.emit(with_column(docs, "loss_spans", spans))


@settings(deadline=None, max_examples=60)
@given(st.text("a \n", min_size=1, max_size=200), st.integers(1, 20))
def test_pieces_are_the_text(text: str, count: int) -> None:
    if len(text) < count:
        with pytest.raises(ValueError, match="pieces"):
            pieces(text, count)
        return
    cut = pieces(text, count)
    assert len(cut) == count
    assert "".join(cut) == text
    assert all(cut)
