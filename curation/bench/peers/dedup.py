"""Fuzzy deduplication by other projects: `python dedup.py PEER IN OUT`, run by `python -m curation.bench dedup` in the peers' environment.

Imports nothing of ours. IN holds corpus.parquet and corpus.jsonl (columns id, text); every peer reads the one it has a reader for, and
writes the documents it keeps below OUT, as Parquet or JSON lines, with their ids. The harness measures the process from outside, so
imports, reading and writing are in every figure. What is asked of all: 5-grams of words, 14 bands of 8 rows, 112 permutations, one
process. A peer cuts words as it does by default; where it takes shingles ready-made, they are cut as ours are: lower-cased runs of
letters, digits and underscores, joined by a space. Prints one line of JSON: the versions that ran.

Not the same work: ours looks at the candidates again, the others join whatever shares a band. text-dedup cuts at every single character
that is not of a word, so empty words stand between punctuation (39 % more words in technical prose): its similarities, and so its
recall, are higher than those of the corpus. data-juicer cuts at white space alone and finds a little less.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

NGRAM, BANDS, ROWS, SEED = 5, 14, 8, 42
NUM_PERM = BANDS * ROWS
THRESHOLD = (1 / BANDS) ** (1 / ROWS)  # 0.72: where a banding of these sizes rises, for peers that want one

_WORD = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    """The word 5-grams of a text; of a shorter one all its words as one."""
    words = _WORD.findall(text.lower())
    return [" ".join(words[start : start + NGRAM]) for start in range(max(1, len(words) - NGRAM + 1))]


def run_datatrove(source: Path, out: Path) -> list[str]:
    """The four stages of its MinHash example, one task each; stage two wants one task per band."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import minhash
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = minhash.MinhashConfig(
        n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS, hash_config=HashConfig(precision=64)
    )
    signatures, buckets, removed = (str(out / name) for name in ("signatures", "buckets", "removed"))
    reader = JsonlReader(str(source), glob_pattern="corpus.jsonl", doc_progress=False)
    stages = [
        [reader, minhash.MinhashDedupSignature(output_folder=signatures, config=config)],
        [minhash.MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config)],
        [minhash.MinhashDedupCluster(input_folder=buckets, output_folder=removed, config=config)],
        [reader, minhash.MinhashDedupFilter(input_folder=removed), JsonlWriter(str(out / "kept"), compression=None)],
    ]
    for number, pipeline in enumerate(stages, 1):
        logs = str(out / f"logs{number}")
        LocalPipelineExecutor(pipeline=pipeline, tasks=BANDS if number == 2 else 1, workers=1, logging_dir=logs).run()
    return ["datatrove", "spacy"]


def run_data_juicer(source: Path, out: Path) -> list[str]:
    """Its operator over a `datasets` table, as its executor calls it; words are what white space separates."""
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
    from datasets import Dataset, disable_caching

    disable_caching()
    operator = DocumentMinhashDeduplicator(
        tokenization="space",
        window_size=NGRAM,
        lowercase=True,
        num_permutations=NUM_PERM,
        jaccard_threshold=THRESHOLD,
        num_bands=BANDS,
        num_rows_per_band=ROWS,
        num_proc=1,
    )
    documents = Dataset.from_parquet(str(source / "corpus.parquet"), cache_dir=str(out / "cache"))
    kept, _ = operator.process(documents.map(operator.compute_hash))
    kept.to_parquet(str(out / "kept.parquet"))
    return ["py-data-juicer", "datasets"]


def run_text_dedup(source: Path, out: Path) -> list[str]:
    """Its command line, with the faster of its two hashes."""
    from text_dedup.minhash import main

    options = {
        "path": "parquet",
        "data_files": source / "corpus.parquet",
        "split": "train",
        "cache_dir": out / "cache",
        "output": out / "saved",
        "column": "text",
        "num_perm": NUM_PERM,
        "ngram": NGRAM,
        "b": BANDS,
        "r": ROWS,
        "hash_func": "xxh3",
        "min_length": 0,
        "num_proc": 1,
    }
    main([f"--{name}={value}" for name, value in options.items()], standalone_mode=False)
    from datasets import load_from_disk

    load_from_disk(str(out / "saved")).to_parquet(str(out / "kept.parquet"))
    return ["text-dedup", "datasets"]


def run_datasketch(source: Path, out: Path) -> list[str]:
    """Signatures in one call, then its LSH, asked before each document goes in."""
    from datasketch import MinHash, MinHashLSH

    def keep(texts: list[str]) -> list[bool]:
        sets = [[shingle.encode() for shingle in shingles(text)] for text in texts]
        index, kept = MinHashLSH(num_perm=NUM_PERM, params=(BANDS, ROWS)), []
        for number, sketch in enumerate(MinHash.bulk(sets, num_perm=NUM_PERM, seed=SEED, scheme="affine32")):
            kept.append(not index.query(sketch))
            index.insert(number, sketch, check_duplication=False)
        return kept

    filter_parquet(source, out, keep)
    return ["datasketch", "numpy"]


def run_rensa(source: Path, out: Path) -> list[str]:
    """R-MinHash sketches in one call, then its LSH, asked before each document goes in (its calls for whole tables flag both of a pair)."""
    from rensa import RMinHash, RMinHashLSH

    def keep(texts: list[str]) -> list[bool]:
        index, kept = RMinHashLSH(threshold=THRESHOLD, num_perm=NUM_PERM, num_bands=BANDS), []
        for number, sketch in enumerate(RMinHash.from_token_sets(map(shingles, texts), NUM_PERM, SEED)):
            kept.append(not index.query(sketch))
            index.insert(number, sketch)
        return kept

    filter_parquet(source, out, keep)
    return ["rensa"]


def filter_parquet(source: Path, out: Path, keep: Callable[[list[str]], Iterable[bool]]) -> None:
    """For libraries that neither read nor write: one table in, the rows to keep out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(source / "corpus.parquet")
    kept = pa.array(list(keep(table["text"].to_pylist())), pa.bool_())
    pq.write_table(table.filter(kept), out / "kept.parquet", compression="zstd")


PEERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "datatrove": run_datatrove,
    "data-juicer": run_data_juicer,
    "text-dedup": run_text_dedup,
    "datasketch": run_datasketch,
    "rensa": run_rensa,
}


def main() -> None:
    name, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    used = PEERS[name](source, out)
    print(json.dumps({package: version(package) for package in used}))


if __name__ == "__main__":
    main()
