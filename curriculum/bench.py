"""What packing and feeding cost on this machine, beside its limits and beside others.

    python -m curriculum.bench                           all of it, with megatron-core; about five minutes, 2 GB of temporary files
    python -m curriculum.bench pack loaders --peers PY   also TRL, mosaicml-streaming and LitData; PY is an interpreter that has them

Parts: pack (documents to rows), fim (texts rearranged for fill-in-the-middle, and back), loaders (the same rows of 4,096 through every
loader), feed (other shapes), growth (plans of 10^6 to 10^13 tokens), text (bytes per token). Figures are per CPU second of the process that
works, children included, the best of three passes; on a busy machine they still come out low. The limit is a gather of shuffled rows from a
memory-mapped file of int32: it decodes, checks and labels nothing. Tokens are the Python sources of this installation through a byte-level
BPE trained on them.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from curriculum.bench_data import (
    Sources,
    installed_sources,
    one_stage,
    text_tokens,
    three_sources,
    web_lengths,
    widened,
    write_shards,
)
from curriculum.bench_peers import Data, measure_loader, run_packer, run_peer, write_source
from curriculum.feed import Feed
from curriculum.order import BLOCK_ROWS, Order
from curriculum.plan import Plan, Source
from datapipe import fim, pack
from datapipe.shards import docs_path, tokens_path

PARTS = ("pack", "fim", "loaders", "feed", "growth", "text")
SHAPES = ((256, 8), (4096, 8), (4096, 64), (32_768, 8))  # (seq_len, rows of a batch)
ROW_LENGTHS = (4096, 32_768, 131_072)
FEED_CACHE_BYTES = 64 << 20  # less than the data: no pass is fed from memory
PLANNED = (10**6, 10**9, 10**12, 10**13)  # tokens; at the end of the last, row 2.4 * 10^9
LINEAGE_ROWS = 4096  # of a global batch of 16 Mi tokens
PASSES = 3


def cpu_seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call, the least of some."""
    seconds = []
    for _ in range(PASSES):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return min(seconds)


def bench_pack(num_docs: int, peers: str | None) -> None:
    print(f"packing {num_docs:,} documents of web lengths")
    print(f"{'':26}{'row':>8}{'k docs/s':>10}{'rows':>10}{'over bound':>12}{'cut though they fit':>21}")
    lengths = web_lengths(num_docs)
    for method, packer in pack.PACKERS.items():
        for seq_len in ROW_LENGTHS:
            started = time.process_time()
            packing = packer(lengths, seq_len)
            speed = num_docs / (time.process_time() - started) / 1e3
            over = packing.num_rows - -(-int(lengths.sum()) // seq_len)
            cut = f"{packing.avoidable_cuts / num_docs:.1%}"
            print(f"{method:26}{seq_len:8,}{speed:10,.0f}{packing.num_rows:10,}{over:12,}{cut:>21}")
    for peer in ("trl", "trl-1000") if peers else ():
        found = run_packer(str(peers), peer, lengths, 32_768)
        if isinstance(found, str):
            print(found)
        else:
            name, speed = f"{peer}, {found['documents']:,} docs", found["documents_per_cpu_s"] / 1e3
            print(f"{name:26}{32_768:8,}{speed:10,.0f}{found['rows']:10,}{found['rows_over_bound']:12,}")


def bench_fim() -> None:
    """Every text is drawn, cut and arranged, then restored; encoding, which costs a hundred times as much, is left out."""
    texts = dict(enumerate(installed_sources()))
    num_bytes, markers, every = sum(len(text.encode()) for text in texts.values()), (1, 2, 3), fim.Fim(rate=1.0)

    def arranged() -> list[list[str | int]]:
        parts = [fim.cut(text, str(number), 0, every) for number, text in texts.items()]
        return [fim.arranged(each, markers) for each in parts if each]

    sequences = arranged()
    there = num_bytes / cpu_seconds(arranged) / 1e6
    back = num_bytes / cpu_seconds(lambda: [fim.restored(each, markers) for each in sequences]) / 1e6
    inverted = sum(fim.restored(each, markers) == text for each, text in zip(sequences, texts.values(), strict=True))
    print(
        f"\nfill-in-the-middle: {num_bytes / 1e6:.1f} MB in {len(texts):,} files: {there:,.0f} MB/CPU s, inverted at {back:,.0f}; "
        f"{inverted:,} of {len(texts):,} are the text again"
    )


class Ours:
    """The feed as the peers' harness drives a loader; `asks_for_all`: positions and loss weights too, which are made on demand."""

    def __init__(self, data: Data, sources: Sources, *, asks_for_all: bool = False) -> None:
        self.data, self.sources, self.asks_for_all = data, sources, asks_for_all

    def write(self) -> None:
        self.plan = write_shards(
            self.data.work, self.sources, seq_len=self.data.seq_len, batch_rows=self.data.batch, shard_tokens=1 << 25
        )

    def open(self, state: int | None) -> Iterator[Any]:
        feed = Feed(self.plan, str(self.data.work), cache_bytes=FEED_CACHE_BYTES)
        for step in range(state or 0, self.plan.steps):
            batch = feed.batch(0, step)
            if self.asks_for_all:
                batch.position_ids, batch.loss_weights  # noqa: B018 (asking makes them)
            yield batch

    def state(self, opened: Iterator[Any], step: int) -> int:
        return step

    def tokens(self, batch: Any) -> np.ndarray:
        return batch.tokens


def bench_loaders(sources: Sources, folder: Path, peers: str | None) -> None:
    """The same tokens, rows of 4,096 in batches of 8, through every loader, each in processes of its own."""
    total = sum(tokens.size for tokens, _ in sources.values())
    print(f"\nloading {total:,} tokens, rows of 4,096 in batches of 8; first batches in CPU ms")
    head = ("", "M tokens/CPU s", "first batch", "after resume", "state, bytes", "bytes/token")
    print("".join(f"{name:>{width}}" for name, width in zip(head, (10, 16, 13, 14, 14, 13), strict=True)))
    raw = folder / "raw"
    raw.mkdir()
    for name, (tokens, lengths) in sources.items():
        write_source(raw, name, tokens, lengths)
    (folder / "ours").mkdir()
    data = Data(raw, folder / "ours", 4096, 8)
    for name, loader, note in (
        ("ours", Ours(data, sources), {}),
        ("ours, all", Ours(data, sources, asks_for_all=True), {"note": "and positions and loss weights"}),
        ("ours, wide", Ours(data, widened(sources)), {"note": "a tenth of the tokens have ids beyond 65,536"}),
    ):
        _show_loader(name, measure_loader(loader, data, 5.0) | note, total)
    for peer, python in (
        ("memmap", sys.executable),
        ("megatron", sys.executable),
        ("mosaic", peers),
        ("litdata", peers),
    ):
        if python:
            _show_loader(peer, run_peer(python, peer, raw, seq_len=4096), total)


def _show_loader(name: str, found: dict[str, Any] | str, total: int) -> None:
    if isinstance(found, str):
        print(f"{found}")
        return
    columns = (
        f"{found['tokens_per_cpu_s'] / 1e6:.1f}",
        f"{found['first_batch_cpu_ms']:.1f}",
        f"{found['resume_first_batch_cpu_ms']:.1f}",
        f"{found['resume_state_bytes']:,}",
        f"{found['bytes_on_disk'] / total:.2f}",
    )
    note = found.get("note", "zstd, checked at every read; labels, borders, sources")
    print(
        f"{name:>10}" + "".join(f"{c:>{w}}" for c, w in zip(columns, (16, 13, 14, 14, 13), strict=True)) + f"  {note}"
    )


def bench_feed(sources: Sources, folder: Path) -> None:
    total = sum(tokens.size for tokens, _ in sources.values())
    print(f"\nfeeding {total:,} tokens in other shapes")
    head = ("row", "rows", "M tokens/CPU s", "first batch, CPU ms", "lineage of 4,096 rows, s", "MB beyond the cache")
    print("".join(f"{name:>{width}}" for name, width in zip(head, (8, 6, 16, 21, 26, 21), strict=True)))
    for seq_len, batch_rows in SHAPES:
        plan = write_shards(folder, sources, seq_len=seq_len, batch_rows=batch_rows)
        first = cpu_seconds(lambda plan=plan: Feed(plan, str(folder)).batch(0, plan.steps // 2))  # type: ignore[misc]
        speed = plan.stages[0].tokens / cpu_seconds(partial(run_feed, plan, folder)) / 1e6
        large = one_stage(
            list(plan.stages[0].sources), seq_len=seq_len, batch_rows=min(LINEAGE_ROWS, plan.stages[0].rows)
        )
        lineage = cpu_seconds(lambda large=large: Feed(large, str(folder)).lineage(0, 0))  # type: ignore[misc]
        with get_context("spawn").Pool(1) as pool:
            memory = pool.apply(memory_mb, (plan, folder))
        print(f"{seq_len:8,}{batch_rows:6}{speed:16.1f}{first * 1e3:21.1f}{lineage:26.2f}{memory:21.0f}")


def run_feed(plan: Plan, root: Path) -> None:
    feed = Feed(plan, str(root), cache_bytes=FEED_CACHE_BYTES)
    for step in range(plan.steps):
        feed.batch(0, step)


def memory_mb(plan: Plan, root: Path) -> float:
    """How far the peak memory of this process grows while it feeds the plan, without the cache it gives the feed."""
    before = peak_bytes()
    run_feed(plan, root)
    return (peak_bytes() - before - FEED_CACHE_BYTES) / 1e6


def peak_bytes() -> int:
    """The most memory that this process has held (Linux); `ru_maxrss` would be that of the process it was forked from."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def bench_growth(text: np.ndarray, folder: Path) -> None:
    """Start and resume of plans of any size: every shard that a batch needs is a link to one real shard."""
    real = write_shards(folder, three_sources(text, 4 << 20), seq_len=4096, batch_rows=8, shard_tokens=1 << 40).stages[
        0
    ]
    print("\ngrowth: CPU ms from plan.json to the first batch of 8 rows of 4,096")
    print(
        f"{'planned tokens':>20}{'shards':>12}{'plan.json, bytes':>18}{'at the start':>14}{'in the middle':>15}{'at the end':>12}"
    )
    for planned in PLANNED:
        factor = max(1, planned // real.tokens)
        sources = [
            dataclasses.replace(s, folder=f"{planned}/{s.name}", rows=s.rows * factor, num_shards=factor)
            for s in real.sources
        ]
        plan = one_stage(sources, seq_len=4096, batch_rows=8)
        steps = (0, plan.steps // 2, plan.steps - 1)
        for step in steps:
            link_shards(plan, real.sources, folder, step)
        times = [1e3 * cpu_seconds(partial(first_batch, plan.to_json(), folder, step)) for step in steps]
        shards = sum(source.num_shards for source in sources)
        print(
            f"{plan.stages[0].tokens:20,}{shards:12,}{len(plan.to_json()):18,}{times[0]:14.1f}{times[1]:15.1f}{times[2]:12.1f}"
        )


def first_batch(text: str, root: Path, step: int) -> None:
    Feed(Plan.from_json(text), str(root)).batch(0, step)


def link_shards(plan: Plan, real: tuple[Source, ...], root: Path, step: int) -> None:
    """Links for the shards of the blocks of rows around a step."""
    order, block = Order(plan.stages[0]), plan.stages[0].rows_before(step) // BLOCK_ROWS
    for number in (max(0, block - 1), block, block + 1):
        located = order.locate(number)
        for source, shard in set(zip(located.source.tolist(), located.shard.tolist(), strict=True)):
            link = root / plan.stages[0].sources[source].shard(shard).path
            link.parent.mkdir(parents=True, exist_ok=True)
            for name in (tokens_path, docs_path):
                if not (place := Path(name(str(link)))).exists():
                    place.symlink_to(root / name(real[source].shard(0).path))


def bench_text(tokens: np.ndarray, lengths: np.ndarray, chars_per_token: float, folder: Path) -> None:
    plan = write_shards(folder, {"text": (tokens, lengths)}, seq_len=4096, batch_rows=8)
    shards = [str(folder / shard.path) for shard in plan.stages[0].sources[0].shards]
    sizes = [sum(os.path.getsize(name(shard)) for shard in shards) / tokens.size for name in (tokens_path, docs_path)]
    print(
        f"\ntext: {tokens.size:,} tokens of {chars_per_token:.2f} characters, documents of {lengths.mean():,.0f} tokens: "
        f"{sum(sizes):.3f} bytes per token, of which {sizes[1]:.3f} say which documents they are of"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m curriculum.bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--tokens", type=float, default=100e6, help="tokens to feed (default: 100e6)")
    parser.add_argument("--docs", type=float, default=1e6, help="documents to pack (default: 1e6)")
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter with mosaicml-streaming, litdata and trl")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    parts = arguments.parts or PARTS
    if "pack" in parts:
        bench_pack(int(arguments.docs), arguments.peers)
    if "fim" in parts:
        bench_fim()
    if not set(parts) - {"pack", "fim"}:
        return
    text, lengths, chars_per_token = text_tokens()
    with tempfile.TemporaryDirectory(prefix="tokenloom-bench-") as name:
        folder = Path(name)
        sources = three_sources(text, int(arguments.tokens))
        if "loaders" in parts:
            bench_loaders(sources, folder, arguments.peers)
        if "feed" in parts:
            bench_feed(sources, folder)
        if "growth" in parts:
            bench_growth(text, folder)
        if "text" in parts:
            bench_text(text, lengths, chars_per_token, folder)


if __name__ == "__main__":
    main()
