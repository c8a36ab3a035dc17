"""Models by language: good files score higher, by a reference or by labels; languages with few examples share one; chance is refused."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation import words
from curation.code.score import CODE_QUALITY, _folders, apply, check, emit, features_of, merge, reduce
from curation.code.signals import NAMES as NAMES_OF_SIGNALS
from curation.steps import COUNTS, StepError
from datapipe.schema import documents, with_column

Drive = Callable[..., pa.Table]
SMALL: dict[str, Any] = {"buckets": 1 << 8, "min_examples": 60, "folds": 2}
TEACHER = {"base_url": "http://x/v1", "model": "m"}
NAMES = ["width", "height", "total", "corner", "surface", "amount", "reader", "writer", "index", "number"]


def file(lang: str, good: bool, rng: np.random.Generator) -> str:
    """A few functions; in a bad file the lines stand in any order and the names say nothing."""
    lines = []
    for _ in range(int(rng.integers(3, 8))):
        a, b, c = rng.choice(NAMES, 3)
        if lang == "python":
            lines += [
                f"def {a}_of({b}, {c}):",
                f'    """The {a}."""',
                f"    if {b} > {c}:",
                f"        return {b}",
                f"    return {c}",
                "",
            ]
        else:
            lines += [
                f"int {a}_of(int {b}, int {c}) {{",
                f"    if ({b} > {c}) {{",
                f"        return {b};",
                "    }",
                f"    return {c};",
                "}",
                "",
            ]
    if good:
        return "\n".join(lines)
    text = "\n".join(rng.permutation(lines).tolist())
    for place, name in enumerate(NAMES):
        text = text.replace(name, "ab"[place % 2] * (1 + place // 2))
    return text


def corpus(counts: dict[tuple[str | None, bool], int], seed: int = 0, name: str = "r") -> pa.Table:
    rng = np.random.default_rng(seed)
    rows = [
        {"text": file(lang or "c", good, rng), "lang": lang, "origin": f"{name}@1:{lang}{n}/{good}.x", "kind": "code"}
        for (lang, good), count in counts.items()
        for n in range(count)
    ]
    return documents(rows)


def mixed(seed: int = 0) -> pa.Table:
    return corpus({("python", False): 90, ("python", True): 10, ("c", False): 90, ("go", False): 20}, seed, "mixed")


def reference() -> pa.Table:
    return corpus({("python", True): 80, ("c", True): 80, ("go", True): 20}, 7, "good")


def told(verdict: pa.Table) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(verdict.schema.metadata[COUNTS])
    return found


def test_files_like_the_reference_score_higher_in_every_language(drive: Drive) -> None:
    verdicts: list[pa.Table] = []
    drive(CODE_QUALITY, mixed(), reference=reference(), verdicts=verdicts, **SMALL)
    assert verdicts[0]["lang"].to_pylist() == ["c", "python", None]
    figures = told(verdicts[0])["held_out"]
    assert set(figures) == {"c", "python", "all"}
    assert figures["python"] == {"positives": 80, "negatives": 100, "auc": pytest.approx(figures["python"]["auc"])}
    assert figures["python"]["auc"] > 0.85  # a tenth of the negatives is good
    assert figures["c"]["auc"] > 0.95
    assert told(verdicts[0])["models"] == ["c", "python"]
    for lang in ("python", "c", "go", "rust", None):  # the last three by the shared model
        good, bad = (corpus({(lang, kind): 20}, 3, f"new{kind}") for kind in (True, False))
        scores = [apply(docs, verdicts[0], buckets=1 << 8)["code_quality"].to_numpy() for docs in (good, bad)]
        assert scores[0].min() > scores[1].max(), lang


@pytest.mark.parametrize("seed", range(2))
def test_scores_do_not_depend_on_partitions_receivers_or_order(drive: Drive, seed: int) -> None:
    params = {"reference": reference(), **SMALL}
    expected = drive(CODE_QUALITY, mixed(), partitions=1, receivers=1, **params)
    shuffled = reference().take(pa.array(np.random.default_rng(seed).permutation(180)))
    params = {"reference": shuffled, **SMALL}
    assert drive(CODE_QUALITY, mixed(), partitions=seed + 2, receivers=seed + 1, shuffle=seed, **params).equals(
        expected
    )


def labelled(counts: dict[tuple[str | None, bool], int]) -> tuple[pa.Table, pa.Table]:
    docs = corpus(counts, 1, "asked")
    stars = [4.0 if "True" in origin else 1.0 for origin in docs["origin"].to_pylist()]
    return docs, pa.table({"id": docs["id"], "text": docs["text"], "label": stars})


def test_labels_of_a_model_are_learned_by_language(drive: Drive) -> None:
    """The labels carry no language: it is that of the sample which was asked about."""
    docs, labels = labelled({("python", True): 50, ("python", False): 50, ("c", True): 20, ("c", False): 20})
    verdicts: list[pa.Table] = []
    drive(CODE_QUALITY, docs, labels=labels, teacher=TEACHER, verdicts=verdicts, **SMALL)
    verdict = verdicts[0]
    assert verdict["lang"].to_pylist() == ["python", None]
    figures = told(verdict)["held_out"]
    assert figures["python"]["examples"] == 100
    assert figures["python"]["spearman"] > 0.8
    assert figures["all"]["examples"] == 140
    scored = apply(corpus({("python", True): 5, ("c", True): 5}, 9), verdict, column="stars", buckets=1 << 8)
    assert scored["stars"].to_numpy().min() > 2.5


def test_labels_of_a_file_may_name_the_language() -> None:
    _, labels = labelled({("python", True): 50, ("python", False): 50})
    settings = {**SMALL, "min_examples": 50}
    nothing = emit(mixed(), labels={"file": "labels.jsonl"})
    assert nothing.num_rows == 0
    assert merge([nothing], labels=labels, **settings)["lang"].to_pylist() == [None]
    assert merge([], labels=labels, **settings)["lang"].to_pylist() == [None]  # as the engine calls it: nobody is asked
    named = labels.append_column("lang", pa.array(["python"] * 100))
    assert merge([nothing], labels=named, **settings)["lang"].to_pylist() == ["python", None]


def test_of_every_language_so_many_are_kept() -> None:
    rows = reduce(emit(mixed()), max_examples=15)
    assert {lang: rows["lang"].to_pylist().count(lang) for lang in ("python", "c", "go")} == {
        "python": 15,
        "c": 15,
        "go": 15,
    }
    assert emit(mixed(), max_chars=7)["text"].to_pylist()[0] == mixed()["text"][0].as_py()[:7]


def test_a_language_that_is_not_told_apart_is_scored_by_the_shared_model(drive: Drive) -> None:
    docs = corpus({("python", True): 80, ("c", False): 80}, 2, "same")
    verdicts: list[pa.Table] = []
    drive(
        CODE_QUALITY,
        docs,
        reference=corpus({("python", True): 80, ("c", True): 80}, 3),
        verdicts=verdicts,
        min_auc=0.7,
        **SMALL,
    )
    assert verdicts[0]["lang"].to_pylist() == ["c", None]
    assert told(verdicts[0])["held_out"]["python"]["auc"] < 0.7
    assert told(verdicts[0])["models"] == ["c"]


def test_chance_is_refused_with_the_figure_and_the_remedy() -> None:
    same = [reduce(emit(corpus({("python", True): 80}, 2, "same")))]
    with pytest.raises(StepError, match=r"no better than chance .*auc 0\.\d+.*at least 0\.55.*reference.*`min_auc: 0`"):
        merge(same, reference=corpus({("python", True): 80}, 3), **SMALL)
    assert merge(same, reference=corpus({("python", True): 80}, 3), min_auc=0.0, **SMALL).num_rows == 2
    docs, labels = labelled({("python", True): 60})
    noise = with_column(labels, "label", pa.array(np.random.default_rng(0).integers(0, 5, 60).astype(float)))
    with pytest.raises(StepError, match=r"spearman.*labels.*`min_agreement: 0`"):
        merge([emit(docs)], labels=noise, **SMALL)


def test_mistakes_say_what_to_type() -> None:
    check(reference="good_code")
    check(labels={"file": "labels.jsonl"})
    check(teacher=TEACHER)
    with pytest.raises(ValueError, match="one place: leave either `reference` or"):
        check(reference="good_code", teacher=TEACHER)
    with pytest.raises(ValueError, match=r"nothing says what good code is: name a corpus .* a file, .* or a model"):
        check()
    with pytest.raises(ValueError, match=r"min_auc is 1\.5"):
        check(reference="good_code", min_auc=1.5)
    with pytest.raises(ValueError, match=r"min_examples is 3: type 20 or more"):
        check(reference="good_code", min_examples=3)
    with pytest.raises(ValueError, match="buckets is 0, but must be above 0"):
        check(reference="good_code", buckets=0)
    with pytest.raises(ValueError, match="one of reference and labels"):
        merge([])
    with pytest.raises(StepError, match="0 files in the reference and 210 in the corpus"):
        merge([emit(mixed())], reference=reference().slice(0, 0), **SMALL)


def test_comments_and_strings_are_no_words() -> None:
    """A licence or a name in them would tell where a file comes from."""
    texts = ['# Copyright Somebody\nx = "from somewhere"\n', '# Licence Other Body\nx = "from elsewhere"\n']
    found = features_of(pa.table({"text": texts, "lang": ["python"] * 2}), ngram=2, buckets=1 << 8, max_chars=100)
    assert found.slot_K[found.doc_K == 0].tolist() == found.slot_K[found.doc_K == 1].tolist() != []


@pytest.mark.parametrize(("max_chars", "most"), [(98, 1 << 21), (1_000, 98)])
def test_a_file_that_is_longer_than_what_is_read_is_not_blamed_for_its_end(
    monkeypatch: pytest.MonkeyPatch, max_chars: int, most: int
) -> None:
    monkeypatch.setattr(words, "MAX_CHARS", most)
    texts = ["x = (" + "1, " * (length // 3) for length in (90, 93, 96, 300)]  # 95, 98 and more characters
    found = features_of(pa.table({"text": texts, "lang": ["python"] * 4}), ngram=2, buckets=1 << 8, max_chars=max_chars)
    for name in ("unmatched_brackets", "does_not_parse"):
        blamed = found.dense_NF[:, NAMES_OF_SIGNALS.index(name)] > 0
        assert blamed.tolist() == [True, False, False, False]


def test_a_language_is_scored_by_its_own_model_and_others_by_the_shared_one() -> None:
    verdict = merge([reduce(emit(mixed()))], reference=reference(), **SMALL)
    only_shared = verdict.filter(pa.compute.is_null(verdict["lang"]))
    for lang, is_own in (("python", True), ("c", True), ("go", False), (None, False)):
        docs = corpus({(lang, True): 3}, 5)
        scores = [apply(docs, each, buckets=1 << 8)["code_quality"].to_pylist() for each in (verdict, only_shared)]
        assert (scores[0] != scores[1]) is is_own


def test_files_of_one_folder_are_held_out_together() -> None:
    origins = ["r@1:a/x.py", "r@1:a/y.py", "r@1:b/x.py", "s@1:a/x.py", None, None]
    texts = ["1", "2", "3", "4", "5", "5"]
    found = _folders(pa.table({"origin": origins, "text": texts})).tolist()
    assert found[0] == found[1]
    assert found[4] == found[5]
    assert len(set(found)) == 4
