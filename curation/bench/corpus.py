"""Corpora whose duplicates are known: real sentences recombined, near-copies planted at chosen Jaccard similarities.

Two kinds. `planted`: documents of whole sentences in paragraphs (mean 2.1 kB), each sentence used once while they last; pairs at
eleven levels of similarity, made by replacing single words far enough apart that each takes five 5-grams with it. The exact similarity
of every pair is kept beside the level, under our rule for words: lower-cased runs of letters, digits and underscores. `scale`: up to
millions of documents of about 2 kB, every tenth a near-copy of one in another file; here sentences come back (a random word follows each),
but in pieces of twelve words. Variants put half of the documents into one cluster, or on one site.

40,000 planted documents take a minute of CPU time, half of it for the sentences; a million of the other kind as long, and 1 GB of disk.
Everything is drawn by counter from the seed: the same sentences give the same bytes. Not covered: languages without spaces, copies made
by moving or cutting paragraphs.

Dimensions: N documents, S words.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import words
from curation.bench import sentences as bench_sentences

NGRAM = 5
# Similarity -> share of all documents that are one of a pair at it. Of 40,000 documents so many pairs that the binomial error of the
# recall of 14 bands of 8 rows is below 0.012 everywhere (0.65 and 0.7, where it is near one half, need 1,650).
LEVELS = {
    0.4: 0.015,
    0.5: 0.030,
    0.6: 0.065,
    0.65: 0.085,
    0.7: 0.090,
    0.75: 0.070,
    0.8: 0.035,
    0.85: 0.020,
    0.9: 0.015,
    0.95: 0.015,
    1.0: 0.015,
}
BLOCK = 1_000  # documents of one row group; pairs lie within one, so that the first thousands of a corpus have their share of pairs
LOG_CHARS, LOG_SPREAD, LEAST_CHARS = 7.5, 0.45, 600  # of the log-normal length: mean 2,100 characters

BATCH = 5_000  # documents of one row group of a scale corpus
FILE_BATCHES = 20  # 200 MB of text, some 100 MB of Parquet
COPIES = 0.1
MOST_CHANGED = 3  # words changed in a near-copy: similarity 0.85 to 0.97
POOL_CHARS = 20_000_000  # of sentences for the scale corpora
PIECE_WORDS = 12  # sentences are cut into pieces of so many words
LEAST_PIECES, MOST_PIECES = 12, 36  # of a document: 2,000 characters in the mean
CLUSTER_PIECES = 24  # of the document that a cluster's copies come from

PAIRS = pa.schema([("a", pa.string()), ("b", pa.string()), ("level", pa.float64()), ("jaccard", pa.float64())])
_WORD = re.compile(r"\w+")


def ensure(folder: Path, make: Callable[[Path], dict]) -> dict:
    """What `make` returned when it wrote this folder, now or at an earlier run; a run that was stopped leaves nothing behind."""
    mark = folder / "corpus.json"
    if not mark.exists():
        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        (unfinished / mark.name).write_text(json.dumps(make(unfinished)))
        unfinished.rename(folder)
    return json.loads(mark.read_text())


def planted(work: Path, *, num_docs: int, seed: int) -> tuple[Path, dict]:
    """(folder, what is in it) of the corpus with planted pairs: corpus.parquet (id, text), pairs.parquet (`PAIRS`)."""
    folder = work / f"planted-{num_docs}-{seed}"
    return folder, ensure(folder, lambda place: _write_planted(place, num_docs, seed))


def _write_planted(folder: Path, num_docs: int, seed: int) -> dict:
    chars = int(num_docs * 2_300 * (1 - sum(LEVELS.values()) / 2)) + 100_000
    pool = bench_sentences.sentences(bench_sentences.folders(), num_chars=chars, seed=seed)
    docs, pairs = plant(pool, num_docs=num_docs, seed=seed)
    pq.write_table(docs, folder / "corpus.parquet", row_group_size=BLOCK, compression="zstd")
    pq.write_table(pairs, folder / "pairs.parquet")
    return {"docs": docs.num_rows, "chars": pc.sum(pc.utf8_length(docs["text"])).as_py(), "sentences": len(pool)}


def plant(pool: Sequence[str], *, num_docs: int, seed: int) -> tuple[pa.Table, pa.Table]:
    """(documents: id, text; pairs: `PAIRS`). Every level has at least one pair, so `num_docs` must be 22 or more."""
    rng = np.random.Generator(np.random.Philox(seed))
    vocabulary = bench_sentences.vocabulary(pool[:20_000])
    draw = _shuffled(pool, rng)
    units: list[tuple[float, list[str]]] = []
    for level, share in LEVELS.items():
        for _ in range(max(1, round(num_docs * share / 2))):
            text = _document(draw, rng)
            units.append((level, [text, near_copy(text, level, vocabulary, rng)]))
    while sum(len(texts) for _, texts in units) < num_docs:
        units.append((0.0, [_document(draw, rng)]))
    order = [units[index] for index in rng.permutation(len(units))]
    place = iter(_within_blocks(sum(len(texts) for _, texts in units), rng))
    placed = [(level, [(next(place), text) for text in texts]) for level, texts in order]
    rows = sorted((at, text) for _, texts in placed for at, text in texts)
    docs = pa.table({"id": [_id(at) for at, _ in rows], "text": pa.array([t for _, t in rows], pa.large_string())})
    pairs = [(level, *two) for level, two in placed if level]
    similarity = jaccards([a[1] for _, a, _ in pairs], [b[1] for _, _, b in pairs])
    columns = [[_id(a[0]) for _, a, _ in pairs], [_id(b[0]) for _, _, b in pairs], [p[0] for p in pairs], similarity]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=PAIRS)
    return docs, table.sort_by([("level", "ascending"), ("a", "ascending")])


def near_copy(text: str, level: float, vocabulary: Sequence[str], rng: np.random.Generator) -> str:
    """`text` with so many words replaced that its word 5-grams have about this Jaccard similarity with those of the original.

    A replaced word takes five 5-grams out and puts five in, if the next one is five words away: k of them leave (G - 5k) / (G + 5k).
    """
    if level == 1:
        return text
    found = [match.span() for match in _WORD.finditer(text)]
    wanted = (len(found) - NGRAM + 1) * (1 - level) / (NGRAM * (1 + level))
    count = max(1, int(wanted + rng.random()))
    room = len(found) - 2 * (NGRAM - 1) - (NGRAM - 1) * (count - 1)
    at = np.sort(rng.choice(room, count, replace=False)) + (NGRAM - 1) * np.arange(1, count + 1)
    pieces, end = [], 0
    for start, stop in (found[index] for index in at.tolist()):
        word = text[start:stop]
        while word.lower() == text[start:stop].lower():
            word = vocabulary[int(rng.integers(len(vocabulary)))]
        pieces += [text[end:start], word]
        end = stop
    return "".join([*pieces, text[end:]])


def shingle_sets(texts: Sequence[str]) -> list[np.ndarray]:
    """The hashes of each text's set of word 5-grams, ascending. uint64 hashes: two of 10^7 shingles agree once in 300,000 corpora."""
    sets: list[np.ndarray] = []
    for chunk in words.chunks(pa.array(texts, pa.large_string())):
        spans = words.word_runs(chunk)
        hashes_S = words.hash_spans(words.char_sums(chunk, lower=True), spans)
        grams, first = words.ngrams(hashes_S, spans.doc_S, NGRAM)
        cuts = np.searchsorted(spans.doc_S[first], np.arange(1, len(chunk.starts_D)))
        sets += [np.unique(part) for part in np.split(grams, cuts)]
    return sets


def jaccards(left: Sequence[str], right: Sequence[str]) -> list[float]:
    """The Jaccard similarity of the sets of word 5-grams of each text on the left with its partner on the right."""
    found = []
    for a, b in zip(shingle_sets(left), shingle_sets(right), strict=True):
        both = len(np.intersect1d(a, b, assume_unique=True))
        found.append(both / max(1, len(a) + len(b) - both))
    return found


@dataclasses.dataclass(frozen=True)
class Scale:
    """A corpus to measure growth with. `cluster` and `site`: share of the documents that are near-copies of one, or lie on one site."""

    num_docs: int
    cluster: float = 0.0
    site: float = 0.0

    @property
    def name(self) -> str:
        skew = "".join(f"-{kind}" for kind, share in (("cluster", self.cluster), ("site", self.site)) if share)
        return f"scale-{self.num_docs}{skew}"


def scale(work: Path, corpus: Scale, *, seed: int) -> tuple[Path, dict]:
    """(folder, what is in it): part-*.parquet with id, text, url."""
    folder = work / f"{corpus.name}-{seed}"
    return folder, ensure(folder, lambda place: _write_scale(place, corpus, _pool(work, seed), seed))


def _pool(work: Path, seed: int) -> list[str]:
    def make(place: Path) -> dict:
        found = bench_sentences.sentences(bench_sentences.folders(), num_chars=POOL_CHARS, seed=seed)
        pq.write_table(pa.table({"sentence": found}), place / "sentences.parquet", compression="zstd")
        return {"sentences": len(found)}

    folder = work / f"sentences-{seed}"
    ensure(folder, make)
    return pq.read_table(folder / "sentences.parquet")["sentence"].to_pylist()


def _write_scale(folder: Path, corpus: Scale, pool: Sequence[str], seed: int) -> dict:
    copies = chars = docs = 0
    writer: pq.ParquetWriter | None = None
    for number, (table, copied) in enumerate(batches(pool, corpus, seed=seed)):
        if number % FILE_BATCHES == 0:
            if writer:
                writer.close()
            name = folder / f"part-{number // FILE_BATCHES:05d}.parquet"
            writer = pq.ParquetWriter(name, table.schema, compression="zstd", compression_level=1)
        assert writer
        writer.write_table(table)
        copies, docs = copies + copied, docs + table.num_rows
        chars += pc.sum(pc.utf8_length(table["text"])).as_py()
    if writer:
        writer.close()
    return {"docs": docs, "chars": chars, "copies": copies}


def batches(pool: Sequence[str], corpus: Scale, *, seed: int) -> Iterator[tuple[pa.Table, int]]:
    """(documents: id, text, url; how many of them are copies) of a scale corpus, `BATCH` documents at a time."""
    pieces = _pieces(pool)
    num_pieces = len(pieces)
    entries = pa.array([*pieces, *bench_sentences.vocabulary(pool[:5_000])], pa.large_string())
    num_batches = -(-corpus.num_docs // BATCH)
    for number in range(num_batches):
        num_docs = min(BATCH, corpus.num_docs - number * BATCH)
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        num_copies, num_cluster = int(num_docs * COPIES), int(num_docs * corpus.cluster)
        fresh = _drawn(num_pieces, len(entries), seed, number)[: num_docs - num_copies - num_cluster]
        others = _drawn(num_pieces, len(entries), seed, (number + num_batches // 2) % num_batches)[:num_copies]
        one = _drawn(num_pieces, len(entries), seed, -1)[0][: 2 * CLUSTER_PIECES]
        drawn = fresh + [_changed(each, num_pieces, len(entries), rng) for each in [*others, *[one] * num_cluster]]
        offsets = np.cumsum([0, *map(len, drawn)])
        ragged = pa.LargeListArray.from_arrays(pa.array(offsets), entries.take(pa.array(np.concatenate(drawn))))
        site_N = rng.integers(1, 10_000, num_docs)
        site_N[rng.random(num_docs) < corpus.site] = 0
        ids = [f"d{number * BATCH + row:08d}" for row in range(num_docs)]
        urls = [f"https://site-{site}.example/{name}" for site, name in zip(site_N.tolist(), ids, strict=True)]
        table = pa.table({"id": ids, "text": pc.binary_join(ragged, pa.scalar(" ", pa.large_string())), "url": urls})
        # Of a cluster one stays: it counts as no copy.
        yield table, num_copies + num_cluster - (1 if num_cluster and not number else 0)


def _pieces(pool: Sequence[str]) -> list[str]:
    """Runs of `PIECE_WORDS` words of the sentences, without what is left at their ends; none twice."""
    cut = (sentence.split() for sentence in pool)
    starts = ((found, start) for found in cut for start in range(0, len(found) - PIECE_WORDS + 1, PIECE_WORDS))
    return list(dict.fromkeys(" ".join(found[start : start + PIECE_WORDS]) for found, start in starts))


def _drawn(num_pieces: int, num_entries: int, seed: int, number: int) -> list[np.ndarray]:
    """Of each document of a batch the places of its entries: a piece, a word, a piece, a word ..."""
    rng = np.random.Generator(np.random.Philox(key=[seed + (1 << 32), number + 1]))
    counts_N = rng.integers(LEAST_PIECES, MOST_PIECES + 1, BATCH)
    entries = np.empty(2 * counts_N.sum(), np.int64)
    entries[0::2] = rng.integers(0, num_pieces, len(entries) // 2)
    entries[1::2] = rng.integers(num_pieces, num_entries, len(entries) // 2)
    return np.split(entries, np.cumsum(2 * counts_N)[:-1])


def _changed(entries: np.ndarray, num_pieces: int, num_entries: int, rng: np.random.Generator) -> np.ndarray:
    """A near-copy: some of the words between the pieces are others."""
    copy = entries.copy()
    count = int(rng.integers(1, MOST_CHANGED + 1))
    copy[2 * rng.integers(0, len(copy) // 2, count) + 1] = rng.integers(num_pieces, num_entries, count)
    return copy


def _document(draw: Iterator[str], rng: np.random.Generator) -> str:
    """Paragraphs of three to six sentences, of a log-normal length in all."""
    wanted = max(LEAST_CHARS, int(rng.lognormal(LOG_CHARS, LOG_SPREAD)))
    paragraphs: list[list[str]] = [[]]
    size, room = 0, int(rng.integers(3, 7))
    while size < wanted:
        if len(paragraphs[-1]) == room:
            paragraphs.append([])
            room = int(rng.integers(3, 7))
        paragraphs[-1].append(next(draw))
        size += len(paragraphs[-1][-1]) + 1
    return "\n\n".join(map(" ".join, paragraphs))


def _shuffled(pool: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """The sentences in random order, all of them before one comes again."""
    while True:
        yield from (pool[index] for index in rng.permutation(len(pool)).tolist())


def _within_blocks(num_docs: int, rng: np.random.Generator) -> list[int]:
    """A permutation of 0..num_docs-1 that keeps every number in its block."""
    starts = range(0, num_docs, BLOCK)
    blocks = [start + rng.permutation(min(BLOCK, num_docs - start)) for start in starts]
    return np.concatenate(blocks).tolist()


def _id(number: int) -> str:
    return f"d{number:07d}"
