"""Thresholds from the scores of a whole corpus, against the statistics module."""

import json
import statistics
from collections.abc import Callable

import pyarrow as pa
import pytest

from curation.languages.language_threshold import LANGUAGE_THRESHOLD, VERDICT, check, merge
from curation.steps import COUNTS, StepError
from datapipe.schema import documents, with_column

Drive = Callable[..., pa.Table]


def scored(*rows: tuple[str | None, float | None]) -> pa.Table:
    docs = documents([{"origin": str(i), "text": "t", "lang": lang} for i, (lang, _) in enumerate(rows)])
    return with_column(docs, "lang_score", pa.array([score for _, score in rows], pa.float32()))


def test_thresholds_are_median_less_sigma_within_bounds(drive: Drive) -> None:
    scores = {
        "en": [0.95, 0.97, 0.99, 0.80, 0.60, 0.98],
        "sw": [0.10, 0.20, 0.35, 0.90],
        "ja": [1.0, 1.0, 1.0, 0.999],
        "is": [0.9],
    }
    docs = scored(*((lang, score) for lang, values in scores.items() for score in values), (None, None), ("en", None))
    verdicts: list[pa.Table] = []
    found = drive(LANGUAGE_THRESHOLD, docs, min_documents=4, default=0.5, verdicts=verdicts)
    rows = {row["lang"]: row for row in verdicts[0].to_pylist()}
    assert rows["en"]["documents"] == 7  # a score that is null counts as 0
    values = [*scores["en"], 0.0]
    assert rows["en"]["median"] == pytest.approx(statistics.median(values))
    assert rows["en"]["sigma"] == pytest.approx(statistics.pstdev(values))
    assert rows["en"]["threshold"] == pytest.approx(statistics.median(values) - statistics.pstdev(values))
    assert rows["sw"]["median"] == pytest.approx(statistics.median(scores["sw"]))
    assert [rows[lang]["threshold"] for lang in ("sw", "ja", "is")] == [0.3, 0.9, 0.5]
    told = json.loads(verdicts[0].schema.metadata[COUNTS])["thresholds"]
    assert told == {lang: round(row["threshold"], 3) for lang, row in rows.items()}
    reasons = dict(zip(found["origin"].to_pylist(), found["drop_reason"].to_pylist(), strict=True))
    assert [reasons[str(index)] for index in range(6)] == [None, None, None, None, "language.below_en", None]
    assert [reasons[str(index)] for index in range(6, 10)] == ["language.below_sw"] * 2 + [None] * 2
    assert [reasons[str(index)] for index in range(10, 17)] == [None] * 6 + ["language.below_en"]


def test_the_order_and_the_partitions_change_nothing(drive: Drive) -> None:
    docs = scored(*(("en" if index % 3 else "de", (index * 37 % 101) / 100) for index in range(200)))
    verdicts: list[pa.Table] = []
    results = [
        drive(
            LANGUAGE_THRESHOLD,
            docs,
            partitions=parts,
            receivers=receivers,
            shuffle=seed,
            verdicts=verdicts,
            min_documents=1,
        )
        for parts, receivers, seed in ((1, 1, 0), (3, 2, 1), (7, 4, 2))
    ]
    assert results[0].equals(results[1])
    assert results[0].equals(results[2])
    assert verdicts[0].equals(verdicts[1])
    assert verdicts[0].equals(verdicts[2])
    assert results[0]["drop_reason"].null_count < 200


def test_sigmas_move_the_threshold_and_a_score_at_the_threshold_stays(drive: Drive) -> None:
    docs = scored(*(("en", 0.6 + index / 100) for index in range(21)))
    at_median = drive(LANGUAGE_THRESHOLD, docs, sigmas=0.0, min_documents=1).sort_by("lang_score")
    assert at_median["drop_reason"].to_pylist() == ["language.below_en"] * 10 + [None] * 11
    wide = drive(LANGUAGE_THRESHOLD, docs, sigmas=10.0, min_documents=1)
    assert wide["drop_reason"].null_count == 21


def test_a_corpus_without_documents_has_no_thresholds(drive: Drive) -> None:
    assert merge([]).schema == VERDICT
    assert drive(LANGUAGE_THRESHOLD, scored()).num_rows == 0


def test_errors_name_the_value_and_what_to_type() -> None:
    with pytest.raises(StepError, match=r"^the documents .* put `filter.language: \{min_score: 0\}` before it"):
        LANGUAGE_THRESHOLD.emit(documents([{"origin": "o", "text": "t"}]))  # type: ignore[misc]
    for params, message in [
        ({"floor": 0.9, "ceiling": 0.3}, "floor 0.9 and ceiling 0.3"),
        ({"default": 65.0}, "default is 65.0"),
        ({"sigmas": -1.0}, "sigmas is -1.0"),
        ({"min_documents": 0}, "min_documents is 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            check(**params)
    check()
