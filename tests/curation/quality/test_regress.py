"""The regressor: the least-squares solution, the same bytes for any order, honest held-out figures, and better than length for people."""

import gzip
import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.quality.agreement import Agreement, agreement, auc_difference
from curation.quality.regress import EDUCATIONAL, _refuse_chance, apply, check, chosen, emit, features_of, merge, reduce
from curation.quality.ridge import Examples, fit, fits, learn, predict
from curation.steps import COUNTS, StepError
from datapipe.schema import documents, with_column

Drive = Callable[..., pa.Table]
TEACHER = {"base_url": "http://x/v1", "model": "m"}
SMALL: dict[str, Any] = {"buckets": 1 << 10}
SUBJECTS = [
    "bees gather nectar from flowers because colonies need honey in winter",
    "buy now and save on cheap offers today only",
]


def labelled(count: int, seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """Documents of which a share of the words teaches, and labels that grow with it."""
    rng = np.random.default_rng(seed)
    shares = rng.integers(0, 6, count)
    vocabularies = [subject.split() for subject in SUBJECTS]
    texts = [
        " ".join(str(rng.choice(vocabularies[int(rng.random() * 5 >= share)])) for _ in range(60))
        for share in shares.tolist()
    ]
    docs = documents([{"text": text, "origin": f"{seed}/{index}"} for index, text in enumerate(texts)])
    return docs, pa.table({"id": docs["id"], "text": docs["text"], "label": shares.astype(np.float64)})


def test_what_the_teacher_likes_scores_higher(drive: Drive) -> None:
    docs, labels = labelled(300)
    unseen, truth = labelled(100, seed=1)
    verdicts: list[pa.Table] = []
    drive(EDUCATIONAL, docs, labels=labels, teacher=TEACHER, verdicts=verdicts, **SMALL)
    scores = apply(unseen, verdicts[0], **SMALL)["educational"].to_numpy()
    assert np.corrcoef(scores, truth["label"].to_numpy())[0, 1] > 0.9
    told = verdicts[0].to_pylist()[0]
    assert told["examples"] == 300
    assert told["spearman"] == pytest.approx(np.corrcoef(scores, truth["label"].to_numpy())[0, 1], abs=0.06)
    assert 0.8 < told["kappa"] < 1
    assert 0.8 < told["f1"] < 1
    assert 0.9 < told["auc"] < 1
    reported = json.loads(verdicts[0].schema.metadata[COUNTS])["held_out"]
    assert reported["examples"] == 300
    assert reported["kappa"] == pytest.approx(told["kappa"], abs=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_scores_do_not_depend_on_partitions_receivers_or_order(drive: Drive, seed: int) -> None:
    docs, labels = labelled(60)
    expected = drive(EDUCATIONAL, docs, partitions=1, receivers=1, labels=labels, teacher=TEACHER, **SMALL)
    shuffled = labels.take(pa.array(np.random.default_rng(seed).permutation(60)))
    params = {"labels": shuffled, "teacher": TEACHER, **SMALL}
    assert drive(EDUCATIONAL, docs, partitions=seed + 2, receivers=seed + 1, shuffle=seed, **params).equals(expected)


def test_the_sample_is_drawn_for_a_teacher_only() -> None:
    docs, _ = labelled(50)
    assert emit(docs).num_rows == 0
    drawn = emit(docs, teacher=TEACHER, max_chars=7)
    assert sorted(drawn["id"].to_pylist()) == sorted(docs["id"].to_pylist())
    assert set(map(len, drawn["text"].to_pylist())) == {7}
    assert reduce(drawn, max_examples=9)["draw"].to_pylist() == sorted(drawn["draw"].to_pylist())[:9]


def test_the_solution_is_that_of_the_normal_equations() -> None:
    rng = np.random.default_rng(2)
    sparse = np.where(rng.random((40, 30)) < 0.2, rng.random((40, 30)), 0).astype(np.float32)
    doc, slot = np.nonzero(sparse)
    examples = Examples(rng.normal(3, 2, (40, 3)), doc.astype(np.int32), slot.astype(np.int32), sparse[doc, slot])
    labels, chosen = rng.normal(size=40), np.arange(40) % 5 > 0
    weights = fit(examples, labels, chosen, num_slots=30, ridge=0.7)
    dense = examples.dense_NF
    dense = np.clip((dense - dense[chosen].mean(0)) / dense[chosen].std(0), -3, 3) / np.sqrt(3)
    a = np.hstack([dense, np.ones((40, 1)), sparse])
    target = labels - labels[chosen].mean()
    solution = np.linalg.solve(a[chosen].T @ a[chosen] + 0.7 * np.eye(34), a[chosen].T @ target[chosen])
    assert weights.dense_F == pytest.approx(solution[:3], abs=2e-4)
    assert weights.slots_S == pytest.approx(solution[4:], abs=2e-4)
    assert predict(examples, weights) == pytest.approx(a @ solution + labels[chosen].mean(), abs=2e-4)


def test_models_that_are_solved_together_are_those_that_are_solved_alone() -> None:
    docs, _ = labelled(90)
    examples = features_of(docs, features="ngrams", ngram=2, buckets=1 << 10, max_chars=4_000)
    given_N = np.random.default_rng(3).normal(size=90)
    choices = [np.ones(90, bool), np.arange(90) % 3 > 0, np.arange(90) < 40]
    together = fits(examples, given_N, choices, num_slots=2 << 10, ridge=1.0)
    for weights, chosen_N in zip(together, choices, strict=True):
        alone = fit(
            chosen(examples, chosen_N),
            given_N[chosen_N],
            np.ones(int(chosen_N.sum()), bool),
            num_slots=2 << 10,
            ridge=1.0,
        )
        assert predict(examples, weights) == pytest.approx(predict(examples, alone), abs=1e-4)


def test_held_out_labels_are_not_learned() -> None:
    """Labels of pure noise: what is held out cannot be known, what is learned from can."""
    docs, _ = labelled(200)
    noise = np.random.default_rng(5).normal(size=200)
    examples = features_of(docs, features="ngrams", ngram=2, buckets=1 << 10, max_chars=4_000)
    draws = np.random.default_rng(6).integers(0, 2**63, 200).astype(np.uint64)
    weights, out = learn(examples, noise, draws, folds=5, num_slots=2 << 10, ridge=0.01)
    learned = predict(examples, weights)
    assert abs(np.corrcoef(out, noise)[0, 1]) < 0.25
    assert np.corrcoef(learned, noise)[0, 1] > 0.9


def test_embeddings_are_learned_from_when_asked(drive: Drive) -> None:
    docs, labels = labelled(80)
    vectors = np.random.default_rng(1).normal(0, 0.1, (80, 4))
    vectors[:, 2] += labels["label"].to_numpy()
    raw = [row.astype(np.float16).tobytes() for row in vectors]
    raw[5] = None
    docs = with_column(docs, "embedding", pa.array(raw, pa.binary(8)))
    verdicts: list[pa.Table] = []
    params = {
        "labels": labels,
        "teacher": TEACHER,
        "features": "embedding",
        "column": "edu",
        "ridge": 0.1,
        "verdicts": verdicts,
    }
    found = drive(EDUCATIONAL, docs, **params)
    truth = labels.sort_by("id")["label"].to_numpy()
    known = np.array(found["embedding"].is_valid())
    assert np.corrcoef(found["edu"].to_numpy()[known], truth[known])[0, 1] > 0.98
    assert verdicts[0]["slots"].to_pylist() == [[]]
    for none in (docs.drop_columns(["embedding"]), with_column(docs, "embedding", docs["id"])):
        with pytest.raises(StepError, match=r"put a step such as embed\.words before it"):
            emit(none, teacher=TEACHER, features="embedding")
        with pytest.raises(StepError, match=r"put a step such as embed\.words before it"):
            apply(none, verdicts[0], features="embedding")


def test_the_order_of_labels_does_not_matter_and_missing_ones_are_left_out() -> None:
    _, labels = labelled(60)
    nothing = pa.table({"id": ["x"], "text": pa.array(["nobody labelled it"]), "label": pa.array([None], pa.float64())})
    shuffled = labels.take(pa.array(np.random.default_rng(0).permutation(60)))
    verdict = merge([], labels=pa.concat_tables([shuffled, nothing.cast(labels.schema)]), **SMALL)
    assert verdict.equals(merge([], labels=labels, **SMALL))
    assert verdict["examples"].to_pylist() == [60]


@pytest.mark.parametrize("count", [60, 200])
def test_labels_that_agree_with_nothing_are_refused(count: int) -> None:
    _, labels = labelled(count)
    noise = with_column(labels, "label", pa.array(np.random.default_rng(3).integers(0, 6, count).astype(np.float64)))
    least = max(0.1, 2 / math.sqrt(count - 1))
    said = (
        rf"the {count} labels .* rank correlation of -?0\.\d+, and {least:.3f} is the least .*write `min_agreement: 0`"
    )
    with pytest.raises(StepError, match=said):
        merge([], labels=noise, **SMALL)
    assert merge([], labels=noise, min_agreement=0.0, **SMALL).num_rows == 1
    assert merge([], labels=noise, folds=0, **SMALL).num_rows == 1
    merge([], labels=labels, min_agreement=0.7, **SMALL)
    with pytest.raises(StepError, match=r"and 0\.990 is the least \(by chance it reaches .*; min_agreement 0\.99\)"):
        merge([], labels=labels, min_agreement=0.99, **SMALL)


@pytest.mark.parametrize("ids", ["same", "other"])
def test_labels_of_equal_texts_are_held_out_together(ids: str) -> None:
    """Two judges of each document, or documents twice: what agrees with nothing does not agree with its copy."""
    _, once = labelled(150)
    once = with_column(once, "label", pa.array(np.random.default_rng(3).integers(0, 6, 150).astype(np.float64)))
    again = once if ids == "same" else with_column(once, "id", pa.array([f"{index:032x}" for index in range(150)]))
    with pytest.raises(StepError, match="the 300 labels that were held out"):
        merge([], labels=pa.concat_tables([once, again]), **SMALL)
    longer = [text + " honey" for text in again["text"].to_pylist()]
    again = with_column(again, "text", pa.array(longer, pa.large_string()))
    with pytest.raises(StepError, match="the 300 labels that were held out"):  # equal as far as they are read
        merge([], labels=pa.concat_tables([once, again]), max_chars=200, **SMALL)


@pytest.mark.parametrize(
    ("examples", "spearman", "least", "is_refused"),
    [
        (60, 0.2, 0.1, True),  # two deviations are 0.26
        (60, 0.27, 0.1, False),
        (1_000, 0.09, 0.1, True),
        (1_000, 0.09, 0.01, False),
        (1_000, 0.05, 0.01, True),
        (1_000, -0.5, 0.1, True),
        (1_000, math.nan, 0.1, True),
        (1_000, math.nan, 0.0, False),
    ],
)
def test_what_cannot_be_told_from_chance(examples: int, spearman: float, least: float, is_refused: bool) -> None:
    found = Agreement(examples, spearman, 0.0, 0.0, 0.5)
    with pytest.raises(StepError, match=f"{examples} labels") if is_refused else nullcontext():
        _refuse_chance(found, least)


def test_equal_predictions_agree_with_nothing() -> None:
    _, labels = labelled(40)
    empty = with_column(labels, "text", pa.array([""] * 40, pa.large_string()))
    with pytest.raises(StepError, match="a rank correlation of"):
        merge([], labels=empty, **SMALL)


def test_no_measurement_without_folds() -> None:
    _, labels = labelled(40)
    told = merge([], labels=labels, folds=0, **SMALL).to_pylist()[0]
    assert told["examples"] == 40
    assert math.isnan(told["spearman"])
    assert json.loads(merge([], labels=labels, folds=0, **SMALL).schema.metadata[COUNTS]) == {
        "held_out": {"examples": 40}
    }


def test_mistakes_say_what_to_type() -> None:
    _, labels = labelled(40)
    with pytest.raises(ValueError, match="name a `teacher` or a file"):
        merge([])
    for wrong, told in (
        (labels[:19], r"19 labels of \d different values: at least 20 that differ are needed; raise max_examples"),
        (labels[:0], "0 labels of 0 different values"),
        (with_column(labels, "label", pa.array([1.0] * 40)), "40 labels of 1 different values"),
        (with_column(labels, "label", pa.nulls(40, pa.float64())), "0 labels of 0 different values"),
        (labels.drop_columns(["id", "label"]), r"no column id, label \(columns: text\)"),
    ):
        with pytest.raises(StepError, match=told):
            merge([], labels=wrong)
    check(labels={"file": "labels.jsonl"})
    check(teacher=TEACHER, features="embedding")
    for wrong, told in (
        ({}, "labels come from one place"),
        ({"labels": {"file": "a"}, "teacher": TEACHER}, "labels come from one place"),
        ({"labels": {"path": "a"}}, r"labels is \{'path': 'a'\}.*type `labels: \{file: labels\.jsonl\}`"),
        ({"labels": "a.jsonl"}, r"labels is 'a\.jsonl', but names a file.*type `labels: \{file: labels\.jsonl\}`"),
        ({"labels": {"file": 3}}, r"type `labels: \{file: labels\.jsonl\}`"),
        ({"labels": {"file": ""}}, r"type `labels: \{file: labels\.jsonl\}`"),
        ({"labels": {}}, r"labels is \{\}.*type `labels"),
        ({"labels": ["a line of a .txt"] * 9}, r"labels is \['a line.*\.\.\., but names a file"),
        ({"teacher": "m"}, r"teacher is 'm'.*type `teacher: \{base_url"),
        ({"teacher": TEACHER, "min_agreement": 1}, r"min_agreement is 1, .*: type 0\.1, or 0 to take any labels"),
        ({"teacher": TEACHER, "min_agreement": -1}, "min_agreement is -1"),
        ({"teacher": TEACHER, "features": "words"}, "type ngrams or embedding"),
        ({"labels": {"file": "a"}, "features": "embedding"}, "or name a teacher"),
        ({"teacher": TEACHER, "ridge": 0}, "ridge is 0, but must be above 0"),
        ({"teacher": TEACHER, "ngram": 0}, "ngram is 0, but must be above 0"),
        ({"teacher": TEACHER, "buckets": 0}, "buckets is 0, but must be above 0"),
        ({"teacher": TEACHER, "folds": 1}, "type 0 for no measurement, or 2 and more"),
        ({"teacher": TEACHER, "sample": 2}, "sample is 2"),
        ({"teacher": TEACHER, "seed": -1}, "seed -1"),
    ):
        with pytest.raises(ValueError, match=told):
            check(**wrong)  # type: ignore[arg-type]


@pytest.mark.data
def test_people_are_predicted_better_than_by_length(shared_data: Path) -> None:
    """254 human judgements, five folds: the area is well above that of the length alone, beyond chance."""
    with gzip.open(shared_data / "quality" / "dclm_human_labels.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    docs = documents([{"text": row["text"], "origin": str(index)} for index, row in enumerate(rows)])
    labels = np.array([row["label"] for row in rows], np.float64)
    examples = features_of(docs, features="ngrams", ngram=2, buckets=1 << 17, max_chars=4_000)
    draws = np.random.default_rng(1).integers(0, 2**63, len(rows)).astype(np.uint64)
    scores = learn(examples, labels, draws, folds=5, num_slots=2 << 17, ridge=3.0).held_out_N
    lengths = np.array([len(row["text"]) for row in rows])
    found = agreement(scores, labels, threshold=0.5)
    assert found.auc > 0.88
    assert found.f1 > 0.83
    assert auc_difference(scores, lengths, labels > 0).low > 0.05


def test_chunks_are_learned_and_their_mean_is_the_score(drive: Drive) -> None:
    """Half of every second document teaches: its beginning says nothing of that, its chunks do."""
    good, bad = (" ".join([subject] * 30) for subject in SUBJECTS)
    texts = [f"{bad[:1000]} {good[:1000] if index % 2 else bad[:1000]} {index}" for index in range(80)]
    docs = documents([{"text": text, "origin": str(index)} for index, text in enumerate(texts)])
    params: dict[str, Any] = {"teacher": TEACHER, "chunk_chars": 200, "chunks": 12, **SMALL}
    sample = emit(docs, **{name: params[name] for name in ("teacher", "chunk_chars", "chunks")})
    labels = sample.select(["id", "text"]).append_column(
        "label", pa.array([5.0 if "bees" in text else 0.0 for text in sample["text"].to_pylist()])
    )
    verdicts: list[pa.Table] = []
    found = drive(EDUCATIONAL, docs, labels=labels, verdicts=verdicts, **params)
    half = np.array(["bees" in text for text in found["text"].to_pylist()])
    scores = found["educational"].to_numpy()
    assert np.abs(scores[half] - 2.5).max() < 0.6
    assert np.abs(scores[~half]).max() < 0.4
    assert verdicts[0]["examples"].to_pylist() == [80]  # documents, though there are many more chunks
    assert sample.num_rows > 800
    again = drive(EDUCATIONAL, docs, labels=labels, partitions=4, receivers=3, shuffle=2, **params)
    assert again.equals(found)


def test_chunks_of_one_document_are_held_out_together() -> None:
    """Labels that follow the document alone: a model that saw its other chunks would know them."""
    rng = np.random.default_rng(4)
    own = [" ".join(f"w{index}x{word}" for word in range(20)) for index in range(40)]
    rows = [(f"{index}#{place}", f"{own[index]} part{place}") for index in range(40) for place in range(5)]
    given = rng.integers(0, 6, 40).astype(np.float64)
    labels = pa.table(
        {"id": [name for name, _ in rows], "text": [text for _, text in rows], "label": np.repeat(given, 5)}
    )
    told = merge([], labels=labels, chunk_chars=200, min_agreement=0.0, **SMALL).to_pylist()[0]
    assert told["examples"] == 40
    assert abs(told["spearman"]) < 0.4


def test_chunks_that_cannot_be_are_refused() -> None:
    for wrong, told in (
        ({"chunk_chars": 50}, "chunk_chars is 50 and chunks 4: type 0"),
        ({"chunk_chars": -1}, "chunk_chars is -1"),
        ({"chunk_chars": 500, "chunks": 0}, "chunks 0"),
        ({"chunk_chars": 500, "features": "embedding"}, "an embedding is of a whole document"),
    ):
        with pytest.raises(ValueError, match=told):
            check(teacher=TEACHER, **wrong)
