"""MinHash signatures, ours beside datasketch, on the same documents and shingles in one run:
`python -m curation.bench minhash`.

Documents are pieces of about 2,000 characters of the standard library's sources. CPU seconds of one process, the best of `--repeat` runs;
wall time says little on a busy machine. datasketch is measured twice: as its users run it (shingles as bytes, sha1), and with our
shingle hashes handed over ready-made, which leaves it the permutations alone. Needs datasketch 2; reads only the Python installation.
"""

import argparse
import sys
import sysconfig
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import words
from curation.dedup.minhash import signatures
from curation.dedup.shingles import hash_shingle

NUM_PERM, NGRAM, SEED = 112, 5, 1
DOCUMENT_CHARS = 2_000


def standard_library_documents(count: int) -> list[str]:
    """`count` pieces of source text, in the order of the files' names."""
    documents: list[str] = []
    for file in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        text = file.read_text(encoding="utf-8", errors="replace")
        documents += [text[start : start + DOCUMENT_CHARS] for start in range(0, len(text), DOCUMENT_CHARS)]
        if len(documents) >= count:
            break
    return documents[:count]


def shingles_of(text: str) -> list[list[str]]:
    """The shingles of a text as lists of words: what `signatures` hashes, the plain way."""
    chunk = words.chunk_of([text])
    spans = words.word_runs(chunk)
    found = [text[start:end].lower() for start, end in zip(spans.start_S.tolist(), spans.end_S.tolist(), strict=True)]
    return [found[start : start + NGRAM] for start in range(max(1, len(found) - NGRAM + 1))] if found else []


def ours(texts: list[str]) -> np.ndarray:
    return signatures(pa.array(texts, pa.large_string()), num_perm=NUM_PERM, ngram=NGRAM, seed=SEED)


def datasketch_bulk(texts: list[str]) -> list[Any]:
    """As its users run it: shingles as bytes, sha1, all documents in one call."""
    from datasketch import MinHash

    sets = [[" ".join(shingle).encode() for shingle in shingles_of(text)] for text in texts]
    return MinHash.bulk(sets, num_perm=NUM_PERM, seed=SEED, scheme="affine32")


def datasketch_ready_hashes(hashes: list[list[int]]) -> list[Any]:
    """Permutations and minima only."""
    from datasketch import MinHash

    return MinHash.bulk(hashes, num_perm=NUM_PERM, seed=SEED, scheme="affine32", hashfunc=int)


def cpu_seconds(function: Callable[[Any], Any], argument: Any, repeat: int) -> float:
    """The least CPU time of `repeat` calls."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        function(argument)
        times.append(time.process_time() - start)
    return min(times)


def main(argv: list[str]) -> int:
    """The table; 1 when a signature differs."""
    parser = argparse.ArgumentParser(
        "python -m curation.bench minhash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--docs", type=int, default=2_000, help="documents to sign (default 2000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the best counts (default 3)")
    arguments = parser.parse_args(argv)
    texts = standard_library_documents(arguments.docs)
    hashes = [[hash_shingle(shingle) for shingle in shingles_of(text)] for text in texts]
    ours(texts[:10])  # the tables of Unicode are made once per process

    rows = [
        ("tokenloom, text to signature", cpu_seconds(ours, texts, arguments.repeat)),
        ("datasketch, text to signature", cpu_seconds(datasketch_bulk, texts, arguments.repeat)),
        ("datasketch, ready hashes to signature", cpu_seconds(datasketch_ready_hashes, hashes, arguments.repeat)),
    ]
    megabytes = sum(map(len, texts)) / 1e6
    print(f"{len(texts)} documents, {megabytes:.1f} MB, {sum(map(len, hashes))} shingles, {NUM_PERM} permutations")
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}, datasketch {version('datasketch')}")
    for name, seconds in rows:
        rate = f"{len(texts) / seconds:8.0f} docs/CPU-s {megabytes / seconds:7.1f} MB/CPU-s"
        print(f"{name:38} {seconds:7.2f} CPU s {rate} {seconds / rows[0][1]:6.1f}x")
    same = np.array_equal(ours(texts), np.stack([sketch.hashvalues for sketch in datasketch_ready_hashes(hashes)]))
    print(f"signatures equal bit for bit: {'yes' if same else 'NO'}")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
