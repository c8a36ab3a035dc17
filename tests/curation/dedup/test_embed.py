"""Embeddings: the grid that makes products exact, words to vectors, and learning that gives the same bytes again."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curation.dedup import embed
from curation.dedup.embed import (
    COLUMN,
    GRID,
    WORDS,
    check,
    column_of,
    leading_directions,
    matrix_of,
    rounded,
    vocabulary,
)
from curation.steps import StepError
from datapipe.schema import documents

Drive = Callable[..., pa.Table]
ROOT = Path(__file__).resolve().parents[3]
SUBJECTS = ("river boat water fish bridge", "court judge law trial appeal", "战争 和平 历史 国家 人民")


def corpus(per_subject: int = 30) -> pa.Table:
    """Texts of 8 words each, some of their subject's, some of no other text."""
    rng = np.random.default_rng(0)
    rows = []
    for subject, names in enumerate(SUBJECTS):
        for number in range(per_subject):
            chosen = rng.permutation(names.split())[:4]
            rows.append(
                {"text": " ".join([*chosen, "the", f"only{subject}x{number}"]), "origin": f"{subject}/{number}"}
            )
    return documents(rows)


def by_origin(table: pa.Table) -> dict[str, np.ndarray]:
    vectors, _ = matrix_of(table)
    return dict(zip(table["origin"].to_pylist(), vectors / GRID, strict=True))


@given(arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 40)), elements=st.floats(-1e4, 1e4, width=32)))
def test_a_column_gives_back_unit_vectors_on_the_grid(vectors_DN: np.ndarray) -> None:
    table = pa.table({COLUMN: column_of(vectors_DN)})
    back_DN, some_D = matrix_of(table)
    lengths_D = np.linalg.norm(vectors_DN.astype(np.float64), axis=1)
    assert np.array_equal(some_D, lengths_D > 0)
    assert np.array_equal(back_DN, np.rint(back_DN))
    expected_DN = vectors_DN[some_D] / lengths_D[some_D][:, None] * GRID
    assert np.abs(back_DN[some_D] - expected_DN).max(initial=0) <= 0.501
    assert not back_DN[~some_D].any()


def test_products_are_exact_in_any_order() -> None:
    vectors_DN, _ = rounded(np.random.default_rng(0).standard_normal((300, 384)))
    exact_DD = vectors_DN.astype(np.int64) @ vectors_DN.astype(np.int64).T
    assert np.array_equal((vectors_DN @ vectors_DN.T).astype(np.int64), exact_DD)
    backwards_DN = np.ascontiguousarray(vectors_DN[:, ::-1])
    assert np.array_equal((backwards_DN[7:] @ backwards_DN.T).astype(np.int64), exact_DD[7:])


def test_rows_that_are_no_direction_are_null() -> None:
    column = column_of(np.array([[1, 0], [0, 0], [np.nan, 1], [np.inf, 0]]))
    assert column.is_valid().to_pylist() == [True, False, False, False]
    assert column.type == pa.binary(4)
    assert np.frombuffer(column[0].as_py(), "<f2").tolist() == [1, 0]


def test_slices_and_chunks_of_a_column_read_alike() -> None:
    column = column_of(np.random.default_rng(0).standard_normal((9, 8)))
    whole, _ = matrix_of(pa.table({COLUMN: column}))
    parts = pa.table({COLUMN: pa.chunked_array([column[:2], column[2:2], column[2:9]])})
    assert np.array_equal(matrix_of(parts)[0], whole)
    assert np.array_equal(matrix_of(pa.table({COLUMN: column}).slice(3, 4))[0], whole[3:7])


def test_documents_without_embedding_are_told_what_is_missing() -> None:
    docs = documents([{"text": "a", "origin": "o"}])
    for none in (docs, docs.append_column(COLUMN, docs["text"])):
        with pytest.raises(StepError, match=r"^the documents have no column 'embedding' .* put embed\.words"):
            matrix_of(none)


@pytest.mark.parametrize("trained", [0.0, 0.3])
def test_texts_of_a_subject_are_nearer_to_each_other(drive: Drive, trained: float) -> None:
    vectors = by_origin(drive(WORDS, corpus(), trained=trained, dim=64, epochs=2))
    within = [vectors[f"{s}/{i}"] @ vectors[f"{s}/{i + 1}"] for s in range(3) for i in range(20)]
    across = [vectors[f"{s}/{i}"] @ vectors[f"{(s + 1) % 3}/{i}"] for s in range(3) for i in range(20)]
    assert np.mean(within) > np.mean(across) + 0.5


def test_order_case_and_repeats_of_words_and_unknown_ones_count_for_nothing(drive: Drive) -> None:
    made = [
        ("a", "river boat judge"),
        ("b", "JUDGE, judge! Boat -- river"),
        ("c", "river boat judge nowhereelse"),
        ("d", "..."),
    ]
    docs = pa.concat_tables([corpus(), documents({"text": text, "origin": origin} for origin, text in made)])
    result = drive(WORDS, docs, dim=64)
    vectors = by_origin(result)
    assert np.array_equal(vectors["a"], vectors["b"])
    assert np.array_equal(vectors["a"], vectors["c"])
    assert dict(zip(result["origin"].to_pylist(), result[COLUMN].is_valid().to_pylist(), strict=True))["d"] is False
    assert result[COLUMN].null_count == 1


def test_words_are_summed_in_an_order_of_their_own() -> None:
    forth, back = (
        embed.bags_of(pa.array(texts, pa.large_string())) for texts in (["a b c", "d e"], ["c b a b", "e d"])
    )
    assert np.array_equal(forth.hashes_B, back.hashes_B)
    assert forth.doc_B.tolist() == back.doc_B.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("shuffle", [1, 2])
def test_embeddings_do_not_depend_on_partitions_receivers_or_order(drive: Drive, shuffle: int) -> None:
    params: dict[str, Any] = {"trained": 0.2, "epochs": 1, "dim": 32, "max_examples": 60, "sample": 0.9}
    expected = drive(WORDS, corpus(), partitions=1, receivers=1, **params)
    assert drive(WORDS, corpus(), partitions=5, receivers=3, shuffle=shuffle, **params).equals(expected)


def test_learning_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib, numpy as np, pyarrow as pa\n"
        "from curation.dedup import embed\n"
        "rng = np.random.default_rng(0)\n"
        "texts = [' '.join(f'w{n}' for n in rng.integers(0, 300, 60)) for _ in range(200)]\n"
        "rows = pa.table([range(200), range(200), [str(n) for n in range(200)], texts], schema=embed.SAMPLE)\n"
        "verdict = embed.merge([rows], trained=0.5, dim=96, epochs=2)\n"
        "print(hashlib.sha256(verdict['vectors'].combine_chunks().values.to_numpy().tobytes()).hexdigest())\n"
    )
    said = {
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(said) == 1
    assert said != {hashlib.sha256(b"").hexdigest() + "\n"}


def test_what_all_texts_share_is_taken_out(drive: Drive) -> None:
    """Every text has "the": with it, all are alike."""
    left = by_origin(drive(WORDS, corpus(), dim=64, common=0))
    taken = by_origin(drive(WORDS, corpus(), dim=64, common=1))
    pairs = [(f"0/{i}", f"1/{i}") for i in range(30)]
    assert np.mean([left[a] @ left[b] for a, b in pairs]) > 0.25
    assert np.mean([taken[a] @ taken[b] for a, b in pairs]) < 0


def test_leading_directions_are_those_of_an_eigendecomposition() -> None:
    rows_DN = np.rint(np.random.default_rng(0).standard_normal((500, 6)) * [900, 500, 200, 90, 30, 9])
    gram_NN = embed.exact_gram(rows_DN)
    assert np.array_equal(gram_NN, rows_DN.T @ rows_DN)
    found = leading_directions(gram_NN, 3)
    expected = np.linalg.eigh(gram_NN)[1][:, ::-1].T[:3]
    assert np.allclose(np.abs((found * expected).sum(axis=1)), 1)
    assert not leading_directions(np.zeros((4, 4)), 2).any()
    assert leading_directions(gram_NN, 0).shape == (0, 6)


def test_the_vocabulary_is_the_most_frequent_words_with_ties_by_hash() -> None:
    hashes = np.array([9, 9, 9, 5, 5, 7, 7, 3], np.uint64)
    assert [part.tolist() for part in vocabulary(hashes, 2, 10)] == [[5, 7, 9], [2, 2, 3]]
    assert vocabulary(hashes, 1, 2)[0].tolist() == [5, 9]
    assert vocabulary(hashes, 4, 10)[0].tolist() == []


def test_words_count_with_the_fourth_root_of_their_documents() -> None:
    rows = pa.table(
        [range(20), range(20), [f"{n:02}" for n in range(20)], ["one"] * 16 + ["two"] * 4], schema=embed.SAMPLE
    )
    verdict = embed.merge([rows], common=0, dim=16)
    vectors_VN = verdict["vectors"].combine_chunks().values.to_numpy().reshape(2, 16)
    assert sorted(np.linalg.norm(vectors_VN, axis=1).tolist()) == pytest.approx([4**0.25, 2.0])


def test_a_sample_is_drawn_by_id() -> None:
    docs = corpus(300)
    sent = embed.emit(docs, sample=0.25)
    assert 150 < sent.num_rows < 300
    again = embed.emit(docs.take(pa.array(range(docs.num_rows - 1, -1, -1))), sample=0.25)
    assert set(again["id"].to_pylist()) == set(sent["id"].to_pylist())
    assert embed.reduce(sent, max_examples=10)["draw"].to_pylist() == sorted(sent["draw"].to_pylist())[:10]


def test_no_documents(drive: Drive) -> None:
    result = drive(WORDS, corpus()[:0], trained=0.5)
    assert result.num_rows == 0
    assert result.schema.field(COLUMN).type == pa.binary(256)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"dim": 4}, r"dim is 4.* type 128"),
        ({"trained": 1.5}, r"trained is 1\.5"),
        ({"common": 128}, r"common is 128.* 0\.\.127"),
        ({"sample": 0.0}, r"sample is 0\.0"),
        ({"epochs": 0}, "epochs 0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    check()
    with pytest.raises(ValueError, match=said):
        check(**params)
