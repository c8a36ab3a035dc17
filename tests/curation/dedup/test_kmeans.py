"""Cells: planted groups fall into one each, whatever the order, the partitions and the threads."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.dedup import kmeans
from curation.dedup.embed import COLUMN, column_of, matrix_of
from curation.dedup.kmeans import KMEANS, automatic, check
from curation.steps import StepError
from datapipe.schema import documents

Drive = Callable[..., pa.Table]
ROOT = Path(__file__).resolve().parents[3]


def planted(groups: int = 5, members: int = 80, dim: int = 16) -> pa.Table:
    """`members` vectors around each of `groups` directions, and one document without any."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((groups, dim))
    vectors = np.repeat(centres, members, axis=0) + 0.1 * rng.standard_normal((groups * members, dim))
    docs = documents({"text": "t", "origin": f"{row // members}/{row}"} for row in range(groups * members + 1))
    return docs.append_column(COLUMN, column_of(np.concatenate([vectors, np.zeros((1, dim))])))


def test_planted_groups_do_not_share_a_cell(drive: Drive) -> None:
    result = drive(KMEANS, planted(), centroids=20)
    cells: dict[str, set[int]] = {}
    for origin, cell in zip(result["origin"].to_pylist(), result["centroid"].to_pylist(), strict=True):
        cells.setdefault(origin.split("/")[0], set()).add(cell)
    assert cells.pop("5") == {-1}
    assert sum(map(len, cells.values())) == len(set().union(*cells.values())) == 20
    assert result.schema.field("centroid").type == pa.int32()


def test_a_document_goes_to_the_most_similar_centroid(drive: Drive) -> None:
    docs, verdicts = planted(members=20), list[pa.Table]()
    result = drive(KMEANS, docs, centroids=9, verdicts=verdicts)
    points, some = matrix_of(result)
    centroids, _ = matrix_of(verdicts[0])
    expected = (points.astype(np.int64) @ centroids.astype(np.int64).T).argmax(axis=1)
    assert np.array_equal(result["centroid"].to_numpy(), np.where(some, expected, -1))


@pytest.mark.parametrize("shuffle", [1, 2])
def test_cells_do_not_depend_on_partitions_receivers_or_order(drive: Drive, shuffle: int) -> None:
    params: dict[str, Any] = {"centroids": 7, "max_examples": 448, "sample": 0.9}
    expected = drive(KMEANS, planted(), partitions=1, receivers=1, **params)
    assert drive(KMEANS, planted(), partitions=4, receivers=3, shuffle=shuffle, **params).equals(expected)


def test_threads_change_nothing() -> None:
    code = (
        "import hashlib, numpy as np\n"
        "from curation.dedup.kmeans import _train\n"
        "points = np.rint(np.random.default_rng(0).standard_normal((3000, 32)) * 300).astype(np.float32)\n"
        "print(hashlib.sha256(_train(points, 40, 10, 0).tobytes()).hexdigest())\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "2")
    }
    assert len(said) == 1


def test_centroids_are_unit_vectors_and_a_single_one_is_the_mean() -> None:
    docs = planted(groups=1, members=50)
    verdict = kmeans.merge([kmeans.reduce(kmeans.emit(docs))])
    points, some = matrix_of(docs)
    mean = points[some].sum(axis=0)
    centroid, _ = matrix_of(verdict)
    assert np.allclose(centroid[0] / 2048, mean / np.linalg.norm(mean), atol=1e-3)


def test_how_many_cells() -> None:
    assert [automatic(n) for n in (0, 1, 8_192, 8_193, 1_000_000, 365_000_000)] == [1, 1, 1, 2, 123, 19_104]


def test_the_number_of_cells_follows_all_documents_not_the_sample() -> None:
    docs = planted(groups=20, members=64)
    reduced = kmeans.reduce(kmeans.emit(docs), max_examples=1_000)
    counted = reduced.replace_schema_metadata({kmeans.CANDIDATES: str(3 * kmeans.DOCUMENTS_PER_CENTROID)})
    assert kmeans.merge([counted]).num_rows == 3
    assert kmeans.merge([counted], sample=0.5).num_rows == 6


def test_fewer_documents_than_cells(drive: Drive) -> None:
    result = drive(KMEANS, planted(groups=3, members=1), centroids=10)
    assert sorted(result["centroid"].to_pylist())[0] == -1
    assert len(set(result["centroid"].to_pylist())) == 4


def test_documents_without_embedding_are_told_what_is_missing() -> None:
    docs = planted().drop_columns([COLUMN])
    for call in (lambda: kmeans.emit(docs), lambda: kmeans.apply(docs, planted())):
        with pytest.raises(StepError, match=r"no column 'embedding' .* put embed\.words"):
            call()


def test_no_documents_and_none_with_an_embedding(drive: Drive) -> None:
    assert drive(KMEANS, planted()[:0]).num_rows == 0
    assert drive(KMEANS, planted()[400:])["centroid"].to_pylist() == [-1]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"centroids": -1}, "centroids -1"),
        ({"centroids": 11_000}, "max_examples 200000 .* type at least 704000"),
        ({"sample": 2.0}, r"sample is 2\.0"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    check()
    with pytest.raises(ValueError, match=said):
        check(**params)
