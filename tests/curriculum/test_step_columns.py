"""What steps need of each other is said before any data is touched."""

import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.corpus import load_corpus_files
from curriculum.document import ManifestError


def load(folder: Path, steps: list[Any]) -> None:
    corpus = {"kind": "web", "source": {"reader": "jsonl", "paths": ["*.jsonl"]}, "steps": steps}
    (folder / "web.yaml").write_text(json.dumps(corpus))
    (folder / "books.yaml").write_text(json.dumps({**corpus, "steps": []}))
    load_corpus_files([folder / "web.yaml", folder / "books.yaml"])


GOOD = {"score.quality": {"reference": "books"}}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (["bucket.rank"], "needs the column 'quality'.*scores so far: none"),
        ([GOOD, {"bucket.rank": {"columns": ["qualitty"]}}], "needs the column 'qualitty'.*scores so far: quality"),
        ([GOOD, {"score.quality": {"reference": "books", "ngram": 1}}], "writes 'quality' again"),
        (["cluster.kmeans"], "needs the column 'embedding'"),
        (["embed.words", "dedup.semantic"], "needs the column 'centroid'.*\n    Put cluster.kmeans before it"),
        (
            ["embed.words", "cluster.kmeans", "dedup.semantic", "cluster.kmeans"],
            r"steps\[3\].*needs the column 'embedding'",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, steps: list[Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        load(tmp_path, steps)


def test_what_is_there_is_enough(tmp_path: Path) -> None:
    again = {"score.quality": {"reference": "books", "column": "bookish"}}
    columns = ["quality", "bookish", "lang_score", "knowledge"]
    knowledge = {"score.knowledge": {"reference": "books"}}
    load(tmp_path, ["filter.language", GOOD, again, knowledge, {"bucket.rank": {"columns": columns}}])
    load(tmp_path, ["embed.words", "cluster.kmeans", {"dedup.semantic": {"keep_embedding": True}}, "cluster.kmeans"])
    load(
        tmp_path, ["tests.curriculum.test_segment:shout", "bucket.rank"]
    )  # a step of somebody else's may write anything
