import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.bench import corpus as bench_corpus
from curation.bench.corpus import LEVELS, Scale, batches, jaccards, near_copy, plant, scale, shingle_sets


@pytest.fixture(scope="module")
def pool() -> list[str]:
    """Sentences of made-up words: the generators do not care, and two share no 5-gram."""
    rng = random.Random(5)
    vocabulary = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(3_000)]
    return [" ".join(rng.choices(vocabulary, k=rng.randint(8, 40))).capitalize() + "." for _ in range(20_000)]


@pytest.fixture(scope="module")
def corpus(pool: list[str]) -> tuple[pa.Table, pa.Table]:
    return plant(pool, num_docs=1_500, seed=4)


def plain_jaccard(left: str, right: str) -> float:
    """The definition. The words of these tests are letters only."""
    sets = []
    for text in (left, right):
        words = text.lower().replace(".", "").split()
        sets.append({tuple(words[start : start + 5]) for start in range(len(words) - 4)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_the_similarity_kept_with_a_pair_is_exact(corpus: tuple[pa.Table, pa.Table]) -> None:
    docs, pairs = corpus
    text = dict(zip(docs["id"].to_pylist(), docs["text"].to_pylist(), strict=True))
    for row in pairs.to_pylist()[::15]:
        assert row["jaccard"] == pytest.approx(plain_jaccard(text[row["a"]], text[row["b"]]), abs=1e-12)


def test_every_level_has_its_share_of_pairs_at_its_similarity(corpus: tuple[pa.Table, pa.Table]) -> None:
    _, pairs = corpus
    for level, share in LEVELS.items():
        found = [row["jaccard"] for row in pairs.to_pylist() if row["level"] == level]
        assert len(found) == round(1_500 * share / 2)
        assert np.mean(found) == pytest.approx(level, abs=0.012)
        assert max(abs(value - level) for value in found) < 0.1


def test_recall_at_forty_thousand_documents_is_certain_to_a_hundredth() -> None:
    for level in (0.6, 0.65, 0.7, 0.75, 0.8):
        found = 1 - (1 - level**8) ** 14
        assert math.sqrt(found * (1 - found) / round(40_000 * LEVELS[level] / 2)) < 0.012


def test_documents_that_are_no_pair_are_nothing_like_each_other(corpus: tuple[pa.Table, pa.Table]) -> None:
    docs, pairs = corpus
    place = {name: row for row, name in enumerate(docs["id"].to_pylist())}
    group = np.arange(docs.num_rows)
    group[[place[name] for name in pairs["b"].to_pylist()]] = [place[name] for name in pairs["a"].to_pylist()]
    texts = docs["text"].to_pylist()
    assert closest(texts, group) < 0.1
    assert closest(texts, np.arange(docs.num_rows)) == 1.0


def test_pairs_lie_near_each_other(corpus: tuple[pa.Table, pa.Table]) -> None:
    """So the first thousand documents are a corpus with its share of pairs."""
    docs, pairs = corpus
    first = set(docs["id"].to_pylist()[:1_000])
    inside = [row for row in pairs.to_pylist() if row["a"] in first and row["b"] in first]
    cut = [row for row in pairs.to_pylist() if (row["a"] in first) != (row["b"] in first)]
    assert len(inside) == pytest.approx(pairs.num_rows * 2 / 3, rel=0.2)
    assert len(cut) <= 1


def test_the_seed_decides_every_byte(pool: list[str], corpus: tuple[pa.Table, pa.Table]) -> None:
    again = plant(pool, num_docs=1_500, seed=4)
    assert again[0].equals(corpus[0])
    assert again[1].equals(corpus[1])
    assert not plant(pool, num_docs=100, seed=5)[0].equals(plant(pool, num_docs=100, seed=6)[0])


def test_documents_are_two_kilobytes_long(corpus: tuple[pa.Table, pa.Table]) -> None:
    lengths = [len(text) for text in corpus[0]["text"].to_pylist()]
    assert np.mean(lengths) == pytest.approx(2_100, rel=0.05)
    assert min(lengths) >= bench_corpus.LEAST_CHARS
    assert len(lengths) == corpus[0].num_rows >= 1_500


@pytest.mark.parametrize("level", [0.4, 0.7, 0.95])
def test_a_near_copy_differs_in_words_only(pool: list[str], level: float) -> None:
    text = "\n\n".join(pool[:20])
    rng = np.random.Generator(np.random.Philox(1))
    copies = [near_copy(text, level, ["one", "two", "three"], rng) for _ in range(200)]
    assert np.mean(jaccards([text] * 200, copies)) == pytest.approx(level, abs=0.005)
    assert all(copy.count("\n\n") == 19 for copy in copies)
    assert near_copy(text, 1.0, ["one"], rng) == text


def closest(texts: Sequence[str], group_N: np.ndarray) -> float:
    """The greatest Jaccard similarity of two texts of different groups. Of a 5-gram that 64 texts share, the first 64 are compared."""
    sets = shingle_sets(texts)
    sizes_N = np.fromiter(map(len, sets), np.int64, len(sets))
    hashes, doc = np.concatenate(sets), np.repeat(np.arange(len(sets)), sizes_N)
    order = np.argsort(hashes, kind="stable")
    hashes, doc = hashes[order], doc[order]
    found = []
    for step in range(1, 64):
        same = np.flatnonzero(hashes[step:] == hashes[:-step])
        found.append(doc[same] * len(sets) + doc[same + step])
    pairs, shared = np.unique(np.concatenate(found), return_counts=True)
    left, right = pairs // len(sets), pairs % len(sets)
    similarity = shared / (sizes_N[left] + sizes_N[right] - shared)
    return float(similarity[group_N[left] != group_N[right]].max(initial=0.0))


def test_closest_compares_all_that_share_a_shingle(pool: list[str]) -> None:
    """Half of what the outer two share stands in those between them, too."""
    outer, between = f"{pool[0]} {pool[1]}", [f"{pool[0]} {pool[2 + row]}" for row in range(4)]
    assert closest([outer, *between, outer], np.arange(6)) == 1.0
    assert closest([outer, *between], np.array([0, 1, 1, 1, 1])) == max(jaccards([outer] * 4, between)) < 0.9
    assert closest([outer, *between], np.zeros(5, np.int64)) == 0.0


def test_jaccard_follows_our_rule_for_words() -> None:
    left = "One, two; three_four five-six SEVEN"
    assert jaccards([left, left], ["one two three_four five six seven", "one two three four five six seven"]) == [
        1.0,
        0.0,
    ]


def test_a_scale_corpus_has_copies_and_otherwise_strangers(pool: list[str]) -> None:
    (first, copied), (second, _) = list(batches(pool, Scale(10_000), seed=3))
    assert (first.num_rows, second.num_rows, copied) == (5_000, 5_000, 500)
    original, copy = first["text"][:500].to_pylist(), second["text"][4_500:].to_pylist()
    similar = jaccards(original, copy)
    assert min(similar) > 0.75
    assert np.mean(similar) == pytest.approx(0.93, abs=0.02)
    fresh = [*first["text"][:1_500].to_pylist(), *second["text"][:1_500].to_pylist()]
    assert closest(fresh, np.arange(len(fresh))) < 0.2
    assert np.mean([len(text) for text in fresh]) > 1_000
    assert len(set(first["id"].to_pylist()) | set(second["id"].to_pylist())) == 10_000


def test_scale_corpora_are_skewed_as_asked(pool: list[str]) -> None:
    ((table, copied),) = batches(pool, Scale(1_000, cluster=0.5), seed=3)
    assert copied == 100 + 500 - 1
    members = table["text"][500:].to_pylist()
    assert min(jaccards(members[:1] * 499, members[1:])) > 0.7
    ((table, _),) = batches(pool, Scale(4_000, site=0.5), seed=3)
    hosts = [url.split("/")[2] for url in table["url"].to_pylist()]
    assert hosts.count("site-0.example") == pytest.approx(2_000, abs=150)
    assert len(set(hosts)) > 1_000


def test_a_corpus_is_written_once(tmp_path: Path, pool: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_corpus.bench_sentences, "sentences", lambda roots, *, num_chars, seed: pool)
    monkeypatch.setattr(bench_corpus, "FILE_BATCHES", 1)
    (tmp_path / "scale-6000-3.unfinished").mkdir()
    (tmp_path / "scale-6000-3.unfinished" / "part-00009.parquet").write_bytes(b"of a run that was stopped")
    folder, made = scale(tmp_path, Scale(6_000), seed=3)
    files = sorted(folder.glob("*.parquet"))
    assert [file.name for file in files] == ["part-00000.parquet", "part-00001.parquet"]
    assert sum(pq.read_metadata(file).num_rows for file in files) == made["docs"] == 6_000
    assert made["copies"] == 600
    assert not list(tmp_path.glob("*.unfinished"))
    monkeypatch.setattr(bench_corpus, "_write_scale", lambda *_: pytest.fail("it is there already"))
    assert scale(tmp_path, Scale(6_000), seed=3) == (folder, made)
