"""What steps need of each other is said before any data is touched."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curriculum.corpus import load_corpus_files
from curriculum.document import ManifestError


def load(folder: Path, steps: list[Any]) -> None:
    corpus = {"kind": "web", "source": {"reader": "jsonl", "paths": ["*.jsonl"]}, "steps": steps}
    (folder / "web.yaml").write_text(json.dumps(corpus))
    (folder / "books.yaml").write_text(json.dumps({**corpus, "steps": []}))
    load_corpus_files([folder / "web.yaml", folder / "books.yaml"])


SHOUT = "tests.curriculum.test_segment:shout"
GOOD = {"score.quality": {"reference": "books"}}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (["bucket.rank"], "needs the column 'quality'.*scores so far: none"),
        ([GOOD, {"bucket.rank": {"columns": ["qualitty"]}}], "needs the column 'qualitty'.*scores so far: quality"),
        ([GOOD, {"score.quality": {"reference": "books", "ngram": 1}}], "writes 'quality' again"),
        (
            ["score.code_tags", {"filter.any_score": {"least": {"code_tags": 1, "quality": 0.5}}}],
            "needs the column 'quality'",
        ),
        ([{"filter.score": {"column": "perplexity", "max": 7}}], "needs the column 'perplexity'"),
        (["filter.score"], "column 'quality' has no limit"),
        (
            [{"score.quality": {"reference": "books", "column": "text"}}],
            "to the column 'text', which is something else",
        ),
        ([{"score.quality": {"reference": "books", "column": ""}}], "to the column '', which is no name"),
        ([{"recall.round": {"reference": "books", "round": 2}}], "is 2, but this is the round number 1"),
        (
            [{"recall.round": {"reference": "books"}}, {"recall.round": {"reference": "books"}}],
            "steps.1..recall.round.round: is 1, but this is the round number 2",
        ),
        ([GOOD, "bucket.rank", {"bucket.threshold": {"column": "quality"}}], "which bucket.rank has set"),
        (
            [GOOD, {"bucket.rank": {"by": "langg"}}],
            r"steps\[1\]\.bucket\.rank\.by: is 'langg', but the documents have no such column of texts\.\n    Did you mean 'lang'\?",
        ),
        ([GOOD, {"bucket.rank": {"by": "quality"}}], "is 'quality', but the documents have no such column of texts"),
        (
            [GOOD, {"bucket.rank": {"cluster_epochs": {"2": 1.5}}}],
            r"rank\.cluster_epochs: needs the column 'cluster_size'.*\n    Put dedup\.minhash before it",
        ),
        (["filter.language_threshold"], r"needs the column 'lang_score'.*\n    Put filter\.language before it"),
        ([GOOD, {"bucket.rank": {"columns": [{"quality": 1}]}}], "unhashable type"),
        (["cluster.kmeans"], "needs the column 'embedding'"),
        (["embed.words", "dedup.semantic"], "needs the column 'centroid'.*\n    Put cluster.kmeans before it"),
        (
            ["embed.words", "cluster.kmeans", "dedup.semantic", "cluster.kmeans"],
            r"steps\[3\].*needs the column 'embedding'",
        ),
        # what follows a step that may have written anything
        (
            [SHOUT, GOOD, "filter.length", {"score.quality": {"reference": "books", "ngram": 1}}],
            "writes 'quality' again",
        ),
        (["score.qality", GOOD, {"score.quality": {"reference": "books", "ngram": 1}}], "writes 'quality' again"),
        (
            [SHOUT, "cluster.kmeans", "dedup.semantic", "cluster.kmeans"],
            r"steps\[3\].*needs the column 'embedding'",
        ),
        (["tests.curriculum.test_step_columns:only_judges", "bucket.rank"], "needs the column 'quality'"),
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
    for anything in (SHOUT, {SHOUT: {}}):  # a map of somebody else's may write it
        load(tmp_path, [anything, "bucket.rank", "filter.length", "cluster.kmeans"])
        load(
            tmp_path, [anything, "cluster.kmeans", "dedup.semantic", "embed.words", "cluster.kmeans", "dedup.semantic"]
        )
        load(tmp_path, [anything, "dedup.semantic", anything, "dedup.semantic"])


def test_groups_and_copies_that_are_there(tmp_path: Path) -> None:
    for by in ("lang", "license", "kind"):
        load(tmp_path, [GOOD, {"bucket.rank": {"by": by}}])
    load(tmp_path, [SHOUT, {"bucket.rank": {"by": "subject", "cluster_epochs": {"2": 1.5}}}])  # somebody else's columns
    for dedup in ("dedup.exact", "dedup.url", "dedup.minhash"):
        load(tmp_path, [GOOD, dedup, {"bucket.rank": {"cluster_epochs": {"2": 1.5}}}])
    load(tmp_path, ["filter.language", "filter.language_threshold"])


EMBEDDED = ["embed.words", "cluster.kmeans"]


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        ([], ["embedding", "centroid"]),
        (["embed.words"], ["centroid"]),
        ([*EMBEDDED, "dedup.semantic"], ["embedding", "centroid"]),
        (EMBEDDED, []),
        ([*EMBEDDED, {"dedup.semantic": {"keep_embedding": True}}], []),
        ([SHOUT], []),
    ],
)
def test_a_generator_needs_columns_of_what_it_reads(tmp_path: Path, steps: list[Any], missing: list[str]) -> None:
    corpus = {"kind": "web", "source": {"reader": "jsonl", "paths": ["*.jsonl"]}, "steps": steps}
    (tmp_path / "web.yaml").write_text(json.dumps(corpus))
    (tmp_path / "mixed.yaml").write_text(
        json.dumps({"kind": "web", "source": {"generator": "interleave", "from": ["web"]}})
    )
    files = [tmp_path / "web.yaml", tmp_path / "mixed.yaml"]
    if not missing:
        load_corpus_files(files)
        return
    with pytest.raises(ManifestError) as refused:
        load_corpus_files(files)
    assert len(refused.value.problems) == len(missing)
    tokens = {"kind": "web", "source": {"tokens": "megatron", "paths": ["web"]}}
    (tmp_path / "web.yaml").write_text(json.dumps(tokens))
    with pytest.raises(ManifestError) as imported:
        load_corpus_files(files)
    assert not any("needs the column" in problem for problem in imported.value.problems)
    for problem, column in zip(refused.value.problems, missing, strict=True):
        assert (
            f"source.from: needs the column {column!r} of 'web', which no step of it writes and keeps.\n    Put "
            in problem
        )


def test_a_step_that_is_not_known_hides_no_other_problem_and_makes_none(tmp_path: Path) -> None:
    steps = ["embed.wrods", "cluster.kmeans", GOOD, GOOD, {"filter.length": {"min_char": 3}}]
    with pytest.raises(ManifestError) as caught:
        load(tmp_path, steps)
    said = str(caught.value)
    assert said.count("web.yaml:") == len(caught.value.problems) == 3
    for part in ("'embed.wrods' is not a step", "writes 'quality' again", "min_char: is not a parameter"):
        assert part in said


def only_judges(docs: pa.Table, *, wanted: int = 3) -> pa.Array:
    return pa.nulls(docs.num_rows, pa.string())


def is_not_annotated(docs, *, wanted=3):  # type: ignore[no-untyped-def]
    return docs


def counts(docs: pa.Table) -> int:
    return docs.num_rows


def takes_a_place(docs: pa.Table, wanted: int) -> pa.Table:
    return docs.slice(wanted)


def takes_nothing(*, wanted: int = 3) -> pa.Table:
    return pa.table({})


def quoted(docs: "pa.Table", *, wanted: int = 3) -> "pa.Table":
    return docs


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("is_not_annotated", r"says that it returns nothing: annotate it `-> pa\.Array` \(a filter.*`-> pa\.Table`"),
        ("counts", "says that it returns int: annotate it"),
        (
            "takes_a_place",
            r"takes \(docs: .*wanted: int\) .*, but a step takes the documents and then parameters by name",
        ),
        ("takes_nothing", "but a step takes the documents"),
        ("SHOUT", "is str, not a function"),
        ("absent", "cannot be loaded: .*absent"),
        ("", "is no name of a step"),
        ("a b", "is no name of a step"),
    ],
)
def test_a_step_of_somebody_elses_that_is_none(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        load(tmp_path, [f"tests.curriculum.test_step_columns:{name}"])


def test_a_step_of_somebody_elses_that_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be loaded: No module named 'no_such_package'"):
        load(tmp_path, ["no_such_package:step"])
    with pytest.raises(ManifestError, match=r"':step' is no name of a step\.\n    Write `package\.module:function`"):
        load(tmp_path, [":step"])
    load(tmp_path, [{"tests.curriculum.test_step_columns:quoted": {"wanted": 4}}, "bucket.rank"])  # a map
    with pytest.raises(ManifestError, match="is not a step"):
        load(tmp_path, [{3: {}}])


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"dedup.minhash": {"against": []}}, r"\[\] is no list of folders\.\n    Leave it out, or write `against: \["),
        (
            {"score.educational": {"labels": "a.jsonl"}},
            r"labels is 'a\.jsonl', .*type `labels: \{file: labels\.jsonl\}`",
        ),
        ({"bucket.rank": {"epochs": 3}}, r"epochs is 3, but gives every label its epochs: type for instance \{"),
        ({"bucket.rank": {"labels": ["high"]}}, r"labels is \['high'\], but gives every label its least rank: type"),
        ({"filter.language": {"keep": {"en": 0.5}}}, r"keep is \{'en': 0.5\}, but it is a list .*min_score"),
        ({"filter.language": {"keep": []}}, r"keep is \[\], but it is a list .*type for instance \[en, zh\]"),
        (
            {"score.quality": {"reference": ["books"]}},
            r"\['books'\] is not the name of a corpus\.\n    Known: books, web",
        ),
        ({"score.quality": {"reference": {"a": "books"}}}, r"\{'a': 'books'\} is not the name of a corpus"),
        (
            {"score.quality": {"reference": "evals"}},
            r"no corpus 'evals' .*\n    Known: books, web\. Else name its file too",
        ),
        ({"score.quality": {"reference": "bookz"}}, r"no corpus 'bookz' .*\n    Did you mean 'books'\? Else name its"),
        ({"dedup.exact": {"max_droped": 0.5}}, r"not a parameter .*\n    Did you mean 'max_dropped'\?"),
        ({"dedup.exact": {"ngram": 5}}, r"not a parameter .*\n    Known: against, index, max_dropped, prefer\."),
        ({"filter.length": {"index": True}}, r"not a parameter .*\n    Known: max_chars, max_dropped, "),
        ({"score.educational": {"teacher": "glm"}}, r"teacher is 'glm', .*type `teacher: \{base_url"),
    ],
)
def test_what_a_list_or_mapping_has_to_hold(tmp_path: Path, step: Any, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        load(tmp_path, [step])


def test_one_mistake_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refusal:
        load(tmp_path, [GOOD, {"bucket.rank": {"columns": "quality"}}])
    assert len(refusal.value.problems) == 1
    assert "type [quality]" in refusal.value.problems[0]
    (tmp_path / "web.yaml").write_text(json.dumps({"source": {"reader": "jsonl", "paths": ["*.jsonl"]}}))
    with pytest.raises(ManifestError, match="the key 'kind' is missing") as refusal:
        load_corpus_files([tmp_path / "web.yaml"])
    assert len(refusal.value.problems) == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"reader": "jsonl", "paths": []}, r"paths: \[\] is no list of paths; write for instance"),
        ({"generator": "qa", "from": []}, r"a generator reads other corpora: is \[\], no list of corpora"),
        ({"generator": "qa"}, "a generator reads other corpora: the key 'from' is missing"),
    ],
)
def test_a_source_without_anything(tmp_path: Path, source: dict[str, Any], said: str) -> None:
    (tmp_path / "web.yaml").write_text(json.dumps({"kind": "web", "source": source}))
    with pytest.raises(ManifestError, match=said):
        load_corpus_files([tmp_path / "web.yaml"])
