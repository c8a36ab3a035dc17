"""What packing and feeding cost on this machine, beside its limits: `python -m curriculum.bench [--tokens 50e6] [--docs 1e6]`.

Figures are per CPU second of this process, the best of three passes; on a busy machine they still come out low. The yardsticks are a
gather of shuffled rows from a memory-mapped file of int32 (it decodes, checks and labels nothing), and reading the same tokens from zstd
Parquet, row group by row group in file order. The tokens are phrases of Zipf-distributed ids from a bank of phrases: they compress to
1.0 byte per token (text: 0.7 to 0.9) and have the entropy of text (9.3 bits). About two minutes and 0.5 GB of temporary files.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curriculum.feed import Feed
from curriculum.mixture import bounds
from curriculum.plan import BatchSegment, Plan, Shard, Source, Stage
from datapipe import pack
from datapipe.shards import BATCH_TOKENS, Piece, ShardWriter, tokens_path

VOCABULARY = 151_552  # GLM-4.5's
SHARES = {"web": Fraction(60, 100), "code": Fraction(28, 100), "math": Fraction(12, 100)}
SHARDS_PER_SOURCE = 3
SHAPES = ((256, 8), (4096, 8), (4096, 64), (32_768, 8))  # (seq_len, rows of a batch)
ROW_LENGTHS = (4096, 32_768, 131_072)
FEED_CACHE_BYTES = 64 << 20  # less than the data: no pass is fed from memory
PASSES = 3


def web_lengths(count: int, seed: int = 0) -> np.ndarray:
    """Tokens per document: three log-normals (short web, web, long tail; mean 1,919, median 666), at least 16."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=[0.7, 0.2, 0.1])
    lengths = rng.lognormal(np.array([6.3, 6.6, 8.5])[kind], np.array([1.1, 1.4, 1.2])[kind])
    return np.maximum(lengths.astype(np.int64), 16)


def phrases(count: int, seed: int = 0, *, bank: int = 300_000, mean_length: int = 6) -> np.ndarray:
    """uint32 (count,) tokens that repeat themselves about as text does."""
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(1 / mean_length, bank)
    tokens = _zipf(rng, int(lengths.sum()), VOCABULARY, 1.1).astype(np.uint32)  # frequent ids are small, as in BPE
    drawn = _zipf(rng, 2 * count // mean_length, bank, 1.0001)
    begin, length = (np.cumsum(lengths) - lengths)[drawn], lengths[drawn]
    place = np.repeat(begin - (np.cumsum(length) - length), length) + np.arange(length.sum())
    return tokens[place[:count]]


def _zipf(rng: np.random.Generator, count: int, size: int, exponent: float) -> np.ndarray:
    """Draws of 0..size-1 with a density that falls as rank ** -exponent, by inversion."""
    power = 1 - exponent
    drawn = (1 + rng.random(count) * ((size + 1) ** power - 1)) ** (1 / power) - 1
    return np.minimum(drawn.astype(np.int64), size - 1)


def write_shards(root: Path, tokens: np.ndarray, seq_len: int, batch_rows: int) -> Plan:
    """Cut the tokens into documents, pack them (concat), and plan one stage that is about one epoch of them."""
    sources, rest = [], tokens
    for (name, share), bound in zip(SHARES.items(), bounds(list(SHARES.values())), strict=True):
        mine, rest = np.split(rest, [int(tokens.size * share)])
        parts = [(f"{name}-{number}", part) for number, part in enumerate(np.array_split(mine, SHARDS_PER_SOURCE))]
        shards = tuple(Shard(path, _write_shard(str(root / path), part, seq_len)) for path, part in parts)
        sources.append(Source(name, name, "all", bound, shards, 0))
    steps = sum(source.rows_built for source in sources) // batch_rows
    stage = Stage("bench", seq_len, "concat", steps, (BatchSegment(0, batch_rows),), tuple(sources), 1e4, 0.0, 0.0, 1)
    return Plan("bench", "1", 1, "", "", {}, {}, {}, (stage,))


def _write_shard(prefix: str, tokens: np.ndarray, seq_len: int) -> int:
    """Write the tokens as documents of web lengths; returns the number of rows."""
    lengths = web_lengths(tokens.size // 500)
    lengths = lengths[np.cumsum(lengths) <= tokens.size]
    packing = pack.concat(lengths, seq_len)
    stream = np.zeros(packing.num_rows * seq_len, np.uint32)
    stream[: lengths.sum()] = tokens[: lengths.sum()]
    with ShardWriter(prefix, seq_len=seq_len, source="bench/all") as writer:
        for row_tokens, row in zip(stream.reshape(-1, seq_len), packing.rows(), strict=True):
            writer.add(row_tokens, [Piece(f"{document:032x}", start, length) for document, _, start, length in row])
    return packing.num_rows


def tokens_per_second(num_tokens: int, run: Callable[[], object]) -> float:
    """The best of some passes, per CPU second."""
    seconds = []
    for _ in range(PASSES):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return num_tokens / min(seconds)


def gather_memmap(path: Path, seq_len: int, batch_rows: int) -> None:
    """The limit: rows in shuffled order from a memory-mapped file, as int64 with one token of overlap."""
    tokens = np.memmap(path, np.int32, "r")
    order = np.random.default_rng(1).permutation(tokens.size // seq_len - 1)
    for step in range(order.size // batch_rows):
        batch = np.empty((batch_rows, seq_len + 1), np.int64)
        for k, row in enumerate(order[step * batch_rows : (step + 1) * batch_rows].tolist()):
            batch[k] = tokens[row * seq_len : (row + 1) * seq_len + 1]


def read_parquet(path: Path) -> None:
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        file.read_row_group(group, use_threads=False)["tokens"].to_numpy().astype(np.int64)


def run_feed(plan: Plan, root: Path) -> None:
    feed = Feed(plan, str(root), cache_bytes=FEED_CACHE_BYTES)
    for step in range(plan.steps):
        feed.batch(0, step)


def bench_pack(num_docs: int) -> None:
    print(f"packing {num_docs:,} documents of web lengths")
    print(f"{'':10}{'row':>8}{'M docs/s':>10}{'rows':>10}{'over bound':>12}{'cut though they fit':>21}")
    lengths = web_lengths(num_docs)
    for method, packer in pack.PACKERS.items():
        for seq_len in ROW_LENGTHS:
            started = time.process_time()
            packing = packer(lengths, seq_len)
            speed = num_docs / (time.process_time() - started) / 1e6
            bound, cut = -(-int(lengths.sum()) // seq_len), packing.cut_documents / num_docs
            print(
                f"{method:10}{seq_len:8,}{speed:10.2f}{packing.num_rows:10,}{packing.num_rows - bound:12,}{cut:21.1%}"
            )


def bench_feed(num_tokens: int, folder: Path) -> None:
    tokens = phrases(num_tokens)
    raw, parquet = folder / "tokens.int32", folder / "tokens.parquet"
    tokens.astype(np.int32).tofile(raw)
    table = pa.table({"tokens": tokens.astype(np.int32)})
    pq.write_table(table, parquet, row_group_size=16 * BATCH_TOKENS, use_dictionary=False, compression="zstd")
    speed = tokens_per_second(num_tokens, partial(read_parquet, parquet)) / 1e6
    print(f"\nfeeding {num_tokens:,} tokens, M tokens per CPU second; Parquet row groups in file order: {speed:.0f}")
    print(
        f"{'row':>8}{'rows':>6}{'feed':>8}{'memmap':>8}{'feed/memmap':>13}{'bytes/token':>13}{'first batch, CPU ms':>21}"
    )
    for seq_len, batch_rows in SHAPES:
        root = folder / f"{seq_len}-{batch_rows}"
        root.mkdir()
        plan = write_shards(root, tokens, seq_len, batch_rows)
        size = sum(
            os.path.getsize(tokens_path(str(root / s.path))) for each in plan.stages[0].sources for s in each.shards
        )
        started = time.process_time()
        Feed(plan, str(root)).batch(0, plan.steps // 2)
        first_ms = (time.process_time() - started) * 1e3
        planned = plan.stages[0].tokens
        fed = tokens_per_second(planned, partial(run_feed, plan, root)) / 1e6
        limit = tokens_per_second(num_tokens, partial(gather_memmap, raw, seq_len, batch_rows)) / 1e6
        print(
            f"{seq_len:8,}{batch_rows:6}{fed:8.1f}{limit:8.0f}{fed / limit:13.2f}{size / planned:13.3f}{first_ms:21.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m curriculum.bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--tokens", type=float, default=50e6, help="tokens to feed (default: 50e6)")
    parser.add_argument("--docs", type=float, default=1e6, help="documents to pack (default: 1e6)")
    arguments = parser.parse_args()
    bench_pack(int(arguments.docs))
    with tempfile.TemporaryDirectory(prefix="tokenloom-bench-") as folder:
        bench_feed(int(arguments.tokens), Path(folder))


if __name__ == "__main__":
    main()
