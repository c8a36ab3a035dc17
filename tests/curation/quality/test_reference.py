"""The classifier: deterministic to the byte, the same score as fastText's own, order-free, and able to tell styles apart."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation import words
from curation.quality import reference as module
from curation.quality.reference import (
    NEGATIVE,
    POSITIVE,
    QUALITY,
    _bags,
    _evidence,
    apply,
    check,
    emit,
    merge,
    reduce,
    train,
    weights_of,
)
from curation.steps import COUNTS, StepError
from datapipe.schema import documents, with_column

Drive = Callable[..., pa.Table]
SMALL = {"buckets": 500, "epochs": 10, "dim": 8}


def prose(seed: int, count: int, vocabulary: str) -> pa.Table:
    rng = np.random.default_rng(seed)
    common = ["the", "and", "of"]
    return documents(
        [
            {"text": " ".join(rng.choice([*vocabulary.split(), *common], 40)), "origin": f"{seed}/{index}"}
            for index in range(count)
        ]
    )


GOOD = "theorem therefore proof lemma definition follows"
BAD = "click buy now offer cheap subscribe"


def mixed() -> pa.Table:
    return pa.concat_tables([prose(1, 60, BAD), prose(2, 20, GOOD)])


def reference() -> pa.Table:
    return prose(3, 40, GOOD).select(["id", "text"])


def test_documents_like_the_reference_score_higher(drive: Drive) -> None:
    docs = mixed()
    scores = dict(
        zip(
            *(drive(QUALITY, docs, reference=reference(), **SMALL)[name].to_pylist() for name in ("id", "quality")),
            strict=True,
        )
    )
    good = set(prose(2, 20, GOOD)["id"].to_pylist())
    assert min(scores[i] for i in good) > max(score for i, score in scores.items() if i not in good)
    assert all(0 <= score <= 1 for score in scores.values())


@pytest.mark.parametrize("seed", range(3))
def test_scores_do_not_depend_on_partitions_receivers_or_order(drive: Drive, seed: int) -> None:
    params = {**SMALL, "max_examples": 30, "sample": 0.8, "seed": 7}
    expected = drive(QUALITY, mixed(), partitions=1, receivers=1, reference=reference(), **params)
    shuffled = reference().take(pa.array(np.random.default_rng(seed).permutation(40)))
    again = drive(QUALITY, mixed(), partitions=seed + 2, receivers=seed + 1, shuffle=seed, reference=shuffled, **params)
    assert again.equals(expected)


def test_training_gives_the_same_bytes_whatever_the_memory_held() -> None:
    """fastText 0.9.3 on one thread reads memory it never wrote, unless every vector is given."""
    negatives = reduce(emit(mixed()))
    first = weights(merge([negatives], reference=reference(), **SMALL))
    dirt = [np.full(size, np.nan, np.float32) for size in (100, 10_000, 1_000_000) for _ in range(9)]
    del dirt
    assert weights(merge([negatives], reference=reference(), **SMALL)) == first
    assert weights(merge([negatives], reference=reference(), seed=1, **SMALL)) != first


def weights(verdict: pa.Table) -> bytes:
    return verdict["weights"].combine_chunks().values.to_numpy(zero_copy_only=False).tobytes()


def test_scores_equal_those_of_fasttext() -> None:
    texts = [*mixed()["text"].to_pylist(), *reference()["text"].to_pylist()]
    bags = _bags(words.chunk_of(texts), 2, 500)
    model = train(
        [(NEGATIVE if index < 60 else POSITIVE, bag) for index, bag in enumerate(bags)],
        {"dim": 8, "epoch": 5, "lr": 0.2, "seed": 0},
    )
    unseen = documents([{"text": text, "origin": str(i)} for i, text in enumerate([*texts, "words never seen", ""])])
    verdict = pa.table({"weights": pa.array([weights_of(model, 1000)], pa.list_(pa.float32()))})
    ours = apply(unseen, verdict, buckets=500)["quality"].to_pylist()
    for bag, score in zip([*bags, *_bags(words.chunk_of(["words never seen", ""]), 2, 500)], ours, strict=True):
        scores = {label: score for score, label in model.f.predict(" ".join(map(str, bag)) + "\n", 2, -1.0, "strict")}
        assert score == pytest.approx(scores[POSITIVE], abs=2e-5)
        assert 1 / (1 + np.exp(-_evidence(bag, verdict["weights"][0].values.to_numpy()))) == pytest.approx(
            score, abs=1e-6
        )


def test_negatives_are_a_keyed_sample_of_a_stated_share() -> None:
    docs = documents([{"text": "x", "origin": str(index)} for index in range(2_000)])
    half = emit(docs, sample=0.5)
    assert 900 < half.num_rows < 1_100
    assert set(half["id"].to_pylist()) != set(emit(docs, sample=0.5, seed=1)["id"].to_pylist())
    assert emit(docs, sample=1.0).num_rows == 2_000
    fewest = reduce(half, max_examples=10)
    assert fewest["draw"].to_pylist() == sorted(half["draw"].to_pylist())[:10]


def test_what_cannot_be_trained_on_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="name a corpus of good documents"):
        merge([reduce(emit(mixed()))])
    with pytest.raises(StepError, match="0 texts in the reference and 80 in the corpus"):
        merge([reduce(emit(mixed()))], reference=reference()[:0])
    with pytest.raises(StepError, match="40 texts in the reference and 0 in the corpus"):
        merge([reduce(emit(mixed()[:0]))], reference=reference())
    with pytest.raises(StepError, match=r"training failed at lr 500 .*lower lr, for instance to 0\.2"):
        merge([reduce(emit(mixed()))], reference=reference(), lr=500.0, **SMALL)
    check(reference="books")
    for least in (-0.1, 1.0):
        with pytest.raises(ValueError, match=rf"min_auc is {least}, .* type 0\.55, or 0 to take any model"):
            check(reference="books", min_auc=least)
    with pytest.raises(ValueError, match=r"name one, e\.g\. `reference: books`"):
        check()
    with pytest.raises(ValueError, match=r"sample is 10, .* above 0 and at most 1"):
        check(reference="books", sample=10)
    with pytest.raises(ValueError, match="seed -1"):
        check(reference="books", seed=-1)
    with pytest.raises(ValueError, match="buckets is 0, but must be above 0"):
        check(reference="books", buckets=0)


def told(verdict: pa.Table) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(verdict.schema.metadata[COUNTS])
    return found


def test_a_reference_that_is_like_the_corpus_is_refused() -> None:
    """The same vocabulary on both sides: nothing is learned, so nothing may be dropped by it."""
    corpus, same = [reduce(emit(prose(1, 300, BAD)))], prose(3, 200, BAD)
    said = (
        r"of 100 documents .* and 150 of the corpus, .* an area of 0\.\d+, and 0\.575 is the least .*write `min_auc: 0`"
    )
    with pytest.raises(StepError, match=said):
        merge(corpus, reference=same, **SMALL)
    with pytest.raises(StepError, match=r"and 0\.900 is the least \(0\.5 is chance; min_auc 0\.9\)"):
        merge(corpus, reference=same, min_auc=0.9, **SMALL)
    verdict = merge(corpus, reference=same, min_auc=0.0, **SMALL)
    assert 0.4 < told(verdict)["held_out"]["auc"] < 0.6
    assert (told(verdict)["held_out"]["positives"], told(verdict)["held_out"]["negatives"]) == (100, 150)


def test_copies_are_not_held_out_from_each_other() -> None:
    """A model knows the copies of what it learned: it would tell two halves of the same prose apart."""
    ids = pa.array([f"{index:04d}" for index in range(600)])
    many, others = (with_column(pa.concat_tables([prose(seed, 120, BAD)] * 5), "id", ids) for seed in (1, 3))
    with pytest.raises(StepError, match="of 60 documents of the reference and 60 of the corpus"):
        merge([reduce(emit(many))], reference=others, **SMALL)
    few = pa.concat_tables([prose(3, 99, BAD)] * 5)
    assert told(merge([reduce(emit(many))], reference=few, **SMALL))["held_out"].startswith(
        "not measured: fewer than 100"
    )


def test_a_reference_that_differs_is_told_apart_by_what_was_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = [reduce(emit(prose(1, 300, BAD)))]
    verdict = merge(corpus, reference=prose(3, 200, GOOD), **SMALL)
    assert told(verdict)["held_out"]["auc"] > 0.99
    seen: list[list[str]] = []
    monkeypatch.setattr(module, "HELD_OUT", 60)
    monkeypatch.setattr(module, "train", lambda examples, options: seen.append([*examples]) or train(examples, options))
    found = told(merge(corpus, reference=prose(3, 200, GOOD), **SMALL))
    assert found["held_out"] == {"positives": 60, "negatives": 60, "auc": 1.0}
    assert found["examples"] == {"positives": 200, "negatives": 300}
    assert [len(each) for each in seen] == [120, 500]  # the model that scores learns from all


def test_few_examples_are_seen_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """With five epochs of few examples nothing would be learned."""
    epochs: list[int] = []
    monkeypatch.setattr(
        module, "train", lambda examples, options: epochs.append(options["epoch"]) or train(examples, options)
    )
    corpus = [reduce(emit(prose(1, 300, BAD)))]
    merge(corpus, reference=prose(3, 200, GOOD), buckets=500)
    assert epochs == [40, 20]  # 10,000 updates by 250 and by 500 examples
    merge(corpus, reference=prose(3, 200, GOOD), buckets=500, epochs=21)
    assert epochs[2:] == [40, 21]


def test_of_a_few_documents_no_area_is_asked_for() -> None:
    corpus = [reduce(emit(prose(1, 300, BAD)))]
    assert isinstance(told(merge(corpus, reference=prose(3, 99, BAD), **SMALL))["held_out"], str)
    with pytest.raises(StepError, match="of 50 documents"):
        merge(corpus, reference=prose(3, 100, BAD), **SMALL)


def test_human_labels_are_predicted_better_than_by_length(shared_data: Path) -> None:
    """Trained on one half of 254 human judgements, scored on the other: AUC above that of the length alone."""
    with gzip.open(shared_data / "quality" / "dclm_human_labels.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    docs = documents([{"text": row["text"], "origin": str(index)} for index, row in enumerate(rows)])
    good, held_out = np.array([row["label"] for row in rows]) == 1, np.arange(len(rows)) % 2 == 1
    negatives, positives = (docs.filter(pa.array(~held_out & wanted)) for wanted in (~good, good))
    verdict = merge([emit(negatives)], reference=positives, epochs=25, lr=0.5)
    scores = apply(docs.filter(pa.array(held_out)), verdict)["quality"].to_numpy()
    lengths = np.array([len(row["text"]) for row in rows])[held_out]
    assert area_under_curve(scores, good[held_out]) > max(0.78, area_under_curve(lengths, good[held_out]))


def area_under_curve(scores: np.ndarray, good: np.ndarray) -> float:
    better = scores[good][:, None] > scores[~good][None, :]
    return float(better.mean() + (scores[good][:, None] == scores[~good][None, :]).mean() / 2)
