"""Two corpora side by side: samples, distances and limits against plain counting, and what the verb prints."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from curation.rules.statistics import STATISTICS, Statistic
from curriculum import cli_statistics, statistics
from curriculum.statistics import Comparison, compare, documents, measured

GOOD = [
    f"The harbour of town {n} lies to the north.\nShips of {n} lands come to it and leave with wood.\n" * 3
    for n in range(40)
]
BAD = [f"Home\nNews {n}\nLog in\nLog in\nContact\n" * 4 for n in range(30)]
APP = typer.Typer()
APP.command()(cli_statistics.statistics)


def texts_of(path: Path | str, sample: int) -> list[str]:
    return [text for part in documents(str(path), sample) for text in part.to_pylist()]


@pytest.fixture
def corpora(tmp_path: Path) -> tuple[str, str]:
    """A folder of a step with its rejects, and a file of JSON Lines."""
    step = tmp_path / "step"
    step.mkdir()
    for part in range(4):
        pq.write_table(
            pa.table({"text": GOOD[part * 10 : part * 10 + 10], "score": [1.0] * 10}), step / f"part-{part:05d}.parquet"
        )
    for name in ("rejects.parquet", "part-00000.parquet.rejects.parquet"):
        pq.write_table(pa.table({"text": BAD, "drop_reason": ["fineweb.short_lines"] * 30}), step / name)
    (step / "_step.json").write_text("{}")
    with gzip.open(tmp_path / "bad.jsonl.gz", "wt") as file:
        for text in BAD:
            file.write(json.dumps({"text": text, "body": "x"}) + "\n")
        file.write("no JSON\n")
    return str(step), str(tmp_path / "bad.jsonl.gz")


def test_a_folder_is_read_without_its_rejects_which_are_read_when_named(corpora: tuple[str, str]) -> None:
    step, bad = corpora
    assert sorted(texts_of(step, 0)) == sorted(GOOD)
    assert sorted(texts_of(step + "/part-0000[01].parquet", 0)) == sorted(GOOD[:20])
    assert texts_of(step + "/rejects.parquet", 0) == BAD
    assert texts_of(bad, 0) == BAD  # the bad line is no document


def test_a_sample_comes_from_every_file(corpora: tuple[str, str]) -> None:
    sample = texts_of(corpora[0], 12)
    assert len(sample) == 12
    assert [sum(text in GOOD[part * 10 : part * 10 + 10] for text in sample) for part in range(4)] == [3, 3, 3, 3]
    assert sample == texts_of(corpora[0], 12)
    assert len(texts_of(corpora[0], 1_000)) == 40
    assert texts_of(corpora[1], 7) == BAD[:7]


def test_a_folder_of_a_step_that_wrote_no_documents_is_not_its_rejects(corpora: tuple[str, str]) -> None:
    step = Path(corpora[0])
    for part in [*step.glob("part-*")]:
        part.unlink()
    with pytest.raises(
        ValueError, match=r"no documents in it\. Steps between two .* name the nearest folder of a later step"
    ):
        texts_of(step, 0)
    assert texts_of(step / "rejects.parquet", 0) == BAD


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent: no such file or folder"):
        texts_of(tmp_path / "absent", 0)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ValueError, match="1 files, none"):
        texts_of(tmp_path, 0)
    (tmp_path / "b.jsonl").write_text("")
    with pytest.raises(ValueError, match="no document in it"):
        measured(str(tmp_path / "b.jsonl"), 0)
    (tmp_path / "b.jsonl").write_text('{"body": "text"}\n')
    with pytest.raises(ValueError, match=r"no document in it \(jsonl.no_text 1\): name the key .* --text-key"):
        measured(str(tmp_path / "b.jsonl"), 0)


def test_a_pattern_may_name_samples_of_rejects(corpora: tuple[str, str]) -> None:
    step = Path(corpora[0])
    (step / "rejects.parquet").rename(step.parent / "rejects.parquet")
    assert texts_of(step.parent / "*" / "*.rejects.parquet", 0) == BAD
    with pytest.raises(ValueError, match="no documents but samples of rejects in it; name one"):
        texts_of(step.parent / "reject*.parquet", 0)


def test_what_small_pieces_lack_comes_from_those_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics.xxhash, "xxh3_64_intdigest", len)  # the file of the short name first
    pq.write_table(pa.table({"text": GOOD[:1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": GOOD[1:31]}), tmp_path / "longer.parquet")
    assert len(texts_of(tmp_path, 20)) == 20


def only(
    name: str, statistic: Statistic, good: list[float], bad: list[float], monkeypatch: pytest.MonkeyPatch
) -> Comparison:
    monkeypatch.setattr(statistics, "STATISTICS", {name: statistic})
    [found] = compare({name: np.array(good, float)}, {name: np.array(bad, float)})
    return found


def zero(of: Any) -> np.ndarray:
    return np.zeros(of.num_docs)


def test_the_best_limit_keeps_the_good_and_drops_the_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    below = Statistic(zero, ("filter.a.min_x", 0.1))
    found = only("x", below, [0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.3, 0.55], monkeypatch)
    assert found.best == statistics.Limit("filter.a.min_x", ">=", 0.4, 0.0, 0.75)
    assert found.gain == 0.75
    assert found.distance == 0.75
    assert found.defaults == [statistics.Limit("filter.a.min_x", ">=", 0.1, 0.0, 0.0)]
    above = Statistic(zero, None, ("filter.a.max_x", 6))
    found = only("x", above, [1, 2, 3], [3, 7, 9, 9], monkeypatch)
    assert found.best == statistics.Limit("filter.a.max_x", "<=", 5, 0.0, 0.75)
    assert found.defaults == [statistics.Limit("filter.a.max_x", "<=", 6, 0.0, 0.75)]
    either = Statistic(zero, ("filter.a.min_x", 0), ("filter.a.max_x", 9))
    assert only("x", either, [5, 6], [1, 2, 8], monkeypatch).best == statistics.Limit("filter.a.min_x", ">=", 4, 0.0, 2 / 3)  # fmt: skip
    assert only("x", either, [5, 6], [8, 9, 1], monkeypatch).best == statistics.Limit("filter.a.max_x", "<=", 7, 0.0, 2 / 3)  # fmt: skip
    assert only("x", below, [1, 2], [3, 4], monkeypatch).best is None
    assert only("x", below, [1, 1], [1], monkeypatch).best is None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_distance_and_gain_equal_plain_counting(good: list[int], bad: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = only("x", Statistic(zero, ("filter.a.min_x", 5)), list(map(float, good)), list(map(float, bad)), patch)

    def below(values: list[int], limit: int) -> float:
        return sum(value < limit for value in values) / len(values)

    gaps = [below(bad, limit) - below(good, limit) for limit in range(11)]
    assert found.gain == pytest.approx(max(0.0, *gaps))
    assert found.distance == pytest.approx(max(map(abs, gaps)))
    assert (found.defaults[0].good, found.defaults[0].bad) == (below(good, 5), below(bad, 5))
    assert sum(found.histograms[0]) == pytest.approx(1)
    assert len(found.edges) == len(found.histograms[0]) + 1 == statistics.BINS + 1
    assert found.quantiles[0][3] == pytest.approx(float(np.median(good)))


def test_wide_ranges_are_binned_by_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [float(2**power) for power in range(25)]
    found = only("x", Statistic(zero, ("filter.a.min_x", 5)), values, values, monkeypatch)
    assert np.diff(np.log(found.edges)) == pytest.approx(np.log(found.edges[1] / found.edges[0]))
    assert max(found.histograms[0]) < 0.1


def test_the_verb_prints_a_table_and_json(corpora: tuple[str, str]) -> None:
    shown = CliRunner().invoke(APP, list(corpora))
    assert shown.exit_code == 0, shown.output
    assert "40 good and 30 bad documents" in shown.output
    assert all(name in shown.output for name in STATISTICS)
    assert "The first as a step: - filter." in shown.output
    report = json.loads(CliRunner().invoke(APP, [*corpora, "--json", "--sample", "8"]).output)
    assert (report["good"]["documents"], report["bad"]["documents"]) == (8, 8)
    first = report["statistics"][0]
    assert first["gain"] == 1.0
    assert (first["best"]["good"], first["best"]["bad"]) == (0.0, 1.0)
    assert {one["name"] for one in report["statistics"]} == set(STATISTICS)
    bad_call = CliRunner().invoke(APP, [corpora[0], corpora[0] + "/absent"])
    assert bad_call.exit_code == 2


def invoked(*arguments: str) -> str:
    found = CliRunner().invoke(APP, list(arguments))
    assert found.exit_code == 0, found.output
    return " ".join(found.output.split())


def test_beside_a_sample_of_rejects_texts_are_cut_as_it_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents of one kind, of which the rejects hold the beginning: no statistic may tell them apart."""
    monkeypatch.setattr(statistics, "REJECT_CHARS", 60)
    texts = [f"Ships of {n} lands come to the harbour.\n" * 9 for n in range(10, 60)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "good.parquet")
    pq.write_table(pa.table({"text": [text[:60] for text in texts]}), tmp_path / "rejects.parquet")
    good, bad = (str(tmp_path / name) for name in ("good.parquet", "rejects.parquet"))
    report = json.loads(invoked(good, bad, "--json"))
    assert report["cut_at_chars"] == 60
    assert max(one["distance"] for one in report["statistics"]) == 0
    assert "The first 60 characters of every text are compared" in invoked(good, bad)
    assert "The first 60 characters" in invoked(bad, good)
    whole = json.loads(invoked(good, good, "--json"))
    assert whole["cut_at_chars"] is None
    [words] = [one for one in whole["statistics"] if one["name"] == "words"]
    assert words["quantiles"][0][3] == 72
    assert "characters of every text" not in invoked(good, good)


def test_few_documents_are_told_with_their_uncertainty(tmp_path: Path) -> None:
    for count in (100, 399, 400):
        (tmp_path / f"{count}.jsonl").write_text(
            "".join(json.dumps({"text": f"word {n}"}) + "\n" for n in range(count))
        )
    paths = {count: str(tmp_path / f"{count}.jsonl") for count in (100, 399, 400)}
    said = "Few documents: with 95 % confidence a share is known to (100 bad documents ±10%), and a distance below 0.15"
    assert said in invoked(paths[400], paths[100])
    assert "(399 good documents ±5% and 100 bad documents ±10%)" in invoked(paths[399], paths[100])
    assert "Few documents" not in invoked(paths[400], paths[400])
    report = json.loads(invoked(paths[400], paths[100], "--json"))
    assert report["bad"]["share_error"] == pytest.approx(0.098)
    assert report["chance_distance"] == pytest.approx(1.358 * (500 / 40_000) ** 0.5, abs=1e-4)
    assert len(report["caveats"]) == 1


def test_two_samples_of_one_corpus_are_mostly_nearer_than_chance_allows() -> None:
    rng = np.random.default_rng(0)
    distances = []
    for _ in range(400):
        parts = rng.random(120), rng.random(80)
        _, *below = statistics._shares_below(*parts)
        distances.append(float(np.abs(below[0] - below[1]).max()))
    assert 0.92 < np.mean(np.array(distances) < statistics.chance_distance(120, 80)) < 0.98
    shares = rng.binomial(150, 0.5, 2_000) / 150
    assert 0.93 < np.mean(np.abs(shares - 0.5) <= statistics.share_error(150)) < 0.97


def test_a_histogram_shows_what_is_there() -> None:
    assert cli_statistics.spark([0.0, 0.001, 0.5, 1.0], 1.0) == " ▁▄█"


@pytest.mark.data
def test_labels_of_people_are_told_apart(shared_data: Path, tmp_path: Path) -> None:
    """Pages that people would keep and would not: length separates them, and no default does."""
    with gzip.open(shared_data / "quality" / "dclm_human_labels.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    for label in (0, 1):
        lines = [json.dumps({"text": row["text"]}) for row in rows if row["label"] == label]
        (tmp_path / f"{label}.jsonl").write_text("\n".join(lines))
    found = {one.name: one for one in compare(*(measured(str(tmp_path / f"{label}.jsonl"), 0) for label in (1, 0)))}
    assert found["words"].gain > 0.35
    assert found["punctuated_lines"].gain > 0.35
    assert all(limit.good < 0.1 for one in found.values() for limit in one.defaults)
