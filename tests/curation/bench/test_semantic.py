import json
from pathlib import Path

import numpy as np
import pytest

from curation.bench import semantic as bench


def test_pages_of_a_pattern_share_its_words_but_few_runs_of_five() -> None:
    made = list(bench.pages(6))
    assert made == list(bench.pages(6))
    assert len(made) == 6 * len(bench.PATTERNS)
    assert not any("{" in text for _, text in made)
    assert not bench.removed_by_minhash([text for _, text in made], 0.7).any()


def test_minhash_removes_the_later_of_two_near_copies() -> None:
    text = " ".join(f"w{number}" for number in range(200))
    assert bench.removed_by_minhash([text, "other words here", text + " end"], 0.7).tolist() == [False, False, True]


def test_shares_are_of_superfluous_pages_and_of_distinct_documents() -> None:
    kinds = np.array(["t", "t", "t", "t", "web", "web"])
    of = bench.Corpus(["x"] * 6, np.array(["a", "a", "b", "b", "", ""]), kinds)
    gone = np.array([False, True, True, True, False, True])
    assert bench.measure(gone, of) == {"t": 1.5, "distinct": 0.5}


def test_it_runs_without_the_real_data_and_measures_vectors_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "VARIANTS", bench.VARIANTS[:1])
    monkeypatch.setattr(bench, "WRONG", (0.01,))
    options = ["--data", str(tmp_path / "none"), "--manuals", str(tmp_path / "none"), "--each", "40", "--pages", "4"]
    assert bench.main([*options, "--export", str(tmp_path / "texts.jsonl")]) == 0
    texts = [json.loads(line)["text"] for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).standard_normal((len(texts), 24)))
    assert bench.main([*options, "--vectors", str(tmp_path / "vectors.npy")]) == 0
    printed = capsys.readouterr().out
    assert "no real data at" in printed
    assert f"{len(texts)} documents: 40 patterns, " in printed
    assert "vectors of vectors.npy" in printed
    assert "docs/CPU-s" in printed


@pytest.mark.data
def test_on_real_data_the_default_finds_most_pages_and_leaves_other_texts_alone(shared_data: Path) -> None:
    of = bench.corpus(shared_data, Path("/nowhere"), 60, 12)
    docs = bench.documents({"text": text, "origin": str(number)} for number, text in enumerate(of.texts))
    gone = bench.removed(bench.embedded(docs), 0.2)
    shares = bench.measure(gone, of)
    assert shares["patterns"] > 0.5
    assert shares["orders"] > 0.4  # of 47
    assert gone[np.isin(of.kinds, ["web", "news", "entries", "handbook", "questions"])].sum() <= 1
    assert shares["distinct"] < 0.02
