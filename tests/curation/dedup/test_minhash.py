"""Signatures against datasketch, clusters through the whole exchange, recall on real near-duplicates."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.bench.minhash import shingles_of
from curation.dedup import shingles
from curation.dedup.clusters import OLD
from curation.dedup.minhash import MINHASH, check, judge, pack, signatures, similarity
from curation.dedup.shingles import hash_shingle
from curation.steps import COUNTS
from datapipe.schema import documents

Drive = Callable[..., pa.Table]
WORDS = [f"word{index}" for index in range(2_000)]


def sketch(text: str, **options: int) -> MinHash:
    """The same signature, by datasketch."""
    made = MinHash(112, seed=options.get("seed", 1), scheme="affine32", hashfunc=hash_shingle)
    made.update_batch(shingles_of(text))
    return made


def text_of(*numbers: int) -> str:
    return " ".join(WORDS[number % len(WORDS)] for number in numbers)


@settings(max_examples=25)
@given(
    st.lists(st.text(st.sampled_from("abcdeÅß_ \n.中文"), max_size=120), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_signatures_equal_those_of_datasketch_bit_for_bit(texts: list[str], seed: int) -> None:
    ours = signatures(pa.array(texts, pa.large_string()), seed=seed)
    for text, signature in zip(texts, ours, strict=True):
        assert np.array_equal(signature, sketch(text, seed=seed).hashvalues)


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 7))
def test_signatures_do_not_depend_on_what_is_taken_at_once(sizes: list[int], ngram: int) -> None:
    texts = pa.array([text_of(*range(number, number + size)) for number, size in enumerate(sizes)], pa.large_string())
    expected = signatures(texts, ngram=ngram)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "CHUNK_CHARS", 40)
        patch.setattr(shingles, "SHINGLES", 5)
        assert np.array_equal(signatures(texts, ngram=ngram), expected)
    for text, signature in zip(texts.to_pylist(), expected, strict=True):
        found = text.split()
        alone = {hash_shingle(found[at : at + ngram]) for at in range(max(1, len(found) - ngram + 1)) if found}
        made = MinHash(112, seed=1, scheme="affine32", hashfunc=int)
        made.update_batch(sorted(alone))
        assert np.array_equal(signature, made.hashvalues)


@given(
    st.lists(
        st.sampled_from(
            ["a", "b" * 8, "B" * 9, "d" * 16, "e" * 17, "É" * 9, "ß", "\u212a", "中文", "\0", "\1", "x" * 70]
        ),
        max_size=9,
    )
)
def test_words_of_any_length_and_script_have_the_hash_of_their_plain_definition(parts: list[str]) -> None:
    plain = [part for part in parts if part.isascii()]
    texts = ["-".join(parts), "-".join(plain), "".join(parts) + "and so on_ " * 40]  # few of the last are beyond ASCII
    for text, signature in zip(texts, signatures(pa.array(texts, pa.large_string())), strict=True):
        assert np.array_equal(signature, sketch(text).hashvalues)


def test_short_texts_have_one_shingle_and_wordless_ones_none() -> None:
    ours = signatures(pa.array(["one two", "One, TWO!", "one", "... --", ""], pa.large_string()))
    assert np.array_equal(ours[0], ours[1])
    assert not np.array_equal(ours[0], ours[2])
    assert (ours[3:] == 2**32 - 1).all()


def test_an_index_of_datasketch_finds_documents_by_our_signatures() -> None:
    texts = [text_of(*range(start, start + 200)) for start in (0, 500, 1000)]
    index = MinHashLSH(num_perm=112, params=(14, 8))
    for number, text in enumerate(texts):
        index.insert(number, sketch(text))
    changed = texts[1] + " and one more sentence at the end"
    ours = MinHash(
        hashvalues=signatures(pa.array([changed], pa.large_string()))[0],
        seed=1,
        scheme="affine32",
        hashfunc=hash_shingle,
    )
    assert index.query(ours) == [1]


@pytest.mark.filterwarnings("ignore:Creating LSHBloom index")
def test_a_bloom_filter_of_datasketch_knows_documents_by_our_signatures() -> None:
    pytest.importorskip("pybloomfilter", reason="datasketch's LSHBloom needs pybloomfiltermmap3")
    from datasketch import MinHashLSHBloom

    texts = [text_of(*range(start, start + 200)) for start in (0, 500, 1000)]
    index = MinHashLSHBloom(num_perm=112, params=(14, 8), n=100, fp=1e-6)
    for text in texts[:2]:
        index.insert(sketch(text))
    ours = signatures(pa.array([texts[1] + " and one more sentence at the end", texts[2]], pa.large_string()))
    queries = [MinHash(hashvalues=row, seed=1, scheme="affine32", hashfunc=hash_shingle) for row in ours]
    assert [bool(index.query(query)) for query in queries] == [True, False]


def corpus(rng: np.random.Generator) -> pa.Table:
    """Families of a text with 0 to 4 changed copies, of different lengths, beside texts like no other, and texts of equal length."""
    rows = []
    for family in range(25):
        base = rng.integers(0, len(WORDS), 150)
        for copy in range(family % 5 + 1):
            changed = base.copy()
            changed[copy * 7] = copy
            rows.append({"text": text_of(*changed, *range(copy % 2)), "origin": f"{family}/{copy}"})
    rows += [
        {"text": "...", "origin": "punctuation"},
        {"text": "", "origin": "empty"},
        {"text": "a b", "origin": "short"},
    ]
    return documents(rows)


def test_the_longest_then_smallest_id_of_every_family_stays(drive: Drive) -> None:
    docs = corpus(np.random.default_rng(0))
    families: dict[str, list[dict[str, str]]] = {}
    for row in docs.to_pylist():
        families.setdefault(row["origin"].split("/")[0], []).append(row)
    result = {row["id"]: row for row in drive(MINHASH, docs).to_pylist()}
    for rows in families.values():
        survivor = min(rows, key=lambda row: (-len(row["text"]), row["id"]))
        for row in rows:
            assert result[row["id"]]["drop_reason"] == (None if row is survivor else "dedup.minhash")
            assert result[row["id"]]["cluster_size"] == len(rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_bucket", [2, 256])
def test_clusters_do_not_depend_on_partitions_receivers_or_order(drive: Drive, seed: int, max_bucket: int) -> None:
    docs = corpus(np.random.default_rng(1))
    expected = drive(MINHASH, docs, partitions=1, receivers=1, max_bucket=max_bucket)
    again = drive(MINHASH, docs, partitions=seed + 1, receivers=5 - seed, shuffle=seed, max_bucket=max_bucket)
    assert again.equals(expected)
    assert again["cluster_size"].type == pa.int32()


@given(st.integers(1, 130), st.integers(0, 2**32 - 1))
def test_packed_signatures_are_compared_position_by_position(num_perm: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 8, (2, 5, num_perm), dtype=np.uint32)
    agree = (left % 4 == right % 4).mean(axis=1)
    found = similarity(pack(left), pack(right), num_perm)
    assert np.allclose(found, (agree - 0.25) / 0.75)


def test_the_estimate_is_unbiased() -> None:
    """Pairs of a known similarity: 200 shingles in common, 100 in each text alone."""
    rng = np.random.default_rng(4)
    estimates = []
    for _ in range(60):
        common, *own = (rng.integers(0, 2**32, count, dtype=np.uint64) for count in (200, 100, 100))
        sketches = [MinHash(112, scheme="affine32", hashfunc=int) for _ in own]
        for made, alone in zip(sketches, own, strict=True):
            made.update_batch([*common.tolist(), *alone.tolist()])
        left, right = (pack(made.hashvalues[None].astype(np.uint32)) for made in sketches)
        estimates.append(float(similarity(left, right, 112)[0]))
    assert abs(np.mean(estimates) - 0.5) < 0.03
    assert 0.03 < np.std(estimates) < 0.09


def test_pairs_below_the_threshold_do_not_join(drive: Drive) -> None:
    """A chain a-b-c-... of which each is like the next, but b and d are not: verified pairs alone make clusters."""
    chain = [text_of(*range(start, start + 100)) for start in range(0, 160, 40)]  # neighbours share 56 of 136 shingles
    docs = documents([{"text": text, "origin": str(index)} for index, text in enumerate(chain)])
    loose = drive(MINHASH, docs, bands=112, rows=1, threshold=0.2)
    strict = drive(MINHASH, docs, bands=112, rows=1, threshold=0.7)
    assert loose["cluster_size"].to_pylist() == [4] * 4
    assert strict["cluster_size"].to_pylist() == [1] * 4


def test_large_buckets_are_compared_with_their_first_only_and_counted(drive: Drive) -> None:
    docs = documents([{"text": text_of(*range(100)) + " end" * (i == 3), "origin": str(i)} for i in range(40)])
    verdicts: list[pa.Table] = []
    result = drive(MINHASH, docs, max_bucket=10, verdicts=verdicts)
    assert result["drop_reason"].null_count == 1
    assert result.filter(pc.is_null(result["drop_reason"]))["origin"].to_pylist() == ["3"]
    counts = sum((Counter(json.loads(verdict.schema.metadata[COUNTS])) for verdict in verdicts), Counter())
    assert counts["oversized_buckets"] == 14
    assert counts["pairs"] < 14 * 40
    assert counts["pairs_alike"] == counts["pairs"]


def bucket_of(old: list[int], new: list[int]) -> pa.Table:
    """What a receiver has of one key: documents of an index and of a corpus by the kind of their text; kinds are unlike one another."""
    packed = pack(signatures(pa.array([text_of(*range(100 * kind, 100 * kind + 90)) for kind in old + new])))
    docs = [int(OLD) + number for number in range(len(old))] + list(range(len(new)))
    columns = {
        "key": pa.array([7] * len(docs), pa.uint64()),
        "row": pa.array(docs, pa.uint64()),
        "rank": pa.array([0] * len(old) + [9] * len(new), pa.uint32()),
        "tie": pa.array(range(len(docs)), pa.uint64()),
        "copies": pa.array([1] * len(docs), pa.int64()),
        "signature": pa.array([row.tobytes() for row in packed], pa.binary(packed[0].nbytes)),
    }
    return pa.table(columns).rename_columns({"row": "doc"})


@pytest.mark.parametrize(
    ("old", "new", "pairs", "oversized", "links"),
    [
        ([0] * 300, [1] * 10, 45 + 10 * 256, 1, dict.fromkeys(range(1, 10), 0)),
        ([0] * 299 + [1], [1] * 10, 45 + 10 * 256, 1, dict.fromkeys(range(1, 10), 0)),  # beyond the first 256
        ([0] * 20 + [1], [1] * 10, 45 + 10 * 21, 0, {number: int(OLD) + 20 for number in range(10)}),
        ([0] * 300, [0], 256, 1, {0: int(OLD)}),
        ([0] * 300, [], 0, 0, {}),
        ([0], [1] * 257, 256 + 257, 1, dict.fromkeys(range(1, 257), 0)),
    ],
)
def test_documents_of_an_index_never_keep_those_of_a_corpus_apart(
    old: list[int], new: list[int], pairs: int, oversized: int, links: dict[int, int]
) -> None:
    judged = judge(bucket_of(old, new))
    found = {
        doc: root
        for doc, root in zip(judged["doc"].to_pylist(), judged["root"].to_pylist(), strict=True)
        if doc < int(OLD)
    }
    assert found == links
    counts = json.loads(judged.schema.metadata[COUNTS])
    assert (counts["pairs"], counts["oversized_buckets"], counts["buckets"]) == (pairs, oversized, int(bool(new)))


def test_every_planted_near_duplicate_is_found(drive: Drive, shared_data: Path) -> None:
    with gzip.open(shared_data / "neardup" / "mccormick.train.gz", "rt") as file:
        named = dict(line.split(" ", 1) for line in file)
    docs = documents([{"text": text, "origin": name} for name, text in named.items()])
    result = drive(MINHASH, docs)
    truth = [set(line.split()) for line in (shared_data / "neardup" / "mccormick.truth").read_text().splitlines()]
    clustered = set(result.filter(pc.greater(result["cluster_size"], 1))["origin"].to_pylist())
    assert clustered == set().union(*truth)
    assert result["drop_reason"].null_count == len(named) - len(truth)


def test_questions_that_differ_in_one_number_are_near_duplicates_when_they_are_long(
    drive: Drive, shared_data: Path
) -> None:
    """One changed number costs up to five shingles on either side, so most pairs lie between 0.6 and 1; 73 % join at 0.7."""
    with gzip.open(shared_data / "neardup" / "gsm8k_vs_gsmhard.jsonl.gz", "rt") as file:
        pairs = [json.loads(line) for line in file]
    rows = [{"text": pair[side], "origin": f"{i}{side}"} for i, pair in enumerate(pairs) for side in "ab"]
    result = {row["origin"]: row["cluster_size"] for row in drive(MINHASH, documents(rows), threshold=0.7).to_pylist()}
    found = [result[f"{i}a"] > 1 and result[f"{i}b"] > 1 for i in range(len(pairs))]
    similarity = [_jaccard(pair["a"], pair["b"]) for pair in pairs]
    alike = [hit for hit, true in zip(found, similarity, strict=True) if true >= 0.85]
    unlike = [hit for hit, true in zip(found, similarity, strict=True) if true < 0.55]
    assert 0.68 < np.mean(found) < 0.78
    assert np.mean(alike) > 0.95
    assert np.mean(unlike) < 0.05


def _jaccard(left: str, right: str) -> float:
    a, b = ({tuple(shingle) for shingle in shingles_of(text)} for text in (left, right))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"threshold": 1.5}, r"threshold 1\.5 .* at most 1"),
        ({"bands": 0}, "bands 0"),
        ({"ngram": 101}, "ngram is 101, and 100 words are the most"),
        ({"bands": 500, "rows": 9}, "4500 permutations, and 4096 is the most"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, float], said: str) -> None:
    check()
    with pytest.raises(ValueError, match=said):
        check(**params)  # type: ignore[arg-type]


def test_no_documents(drive: Drive) -> None:
    assert drive(MINHASH, documents([{"text": "a", "origin": "o"}])[:0]).num_rows == 0
