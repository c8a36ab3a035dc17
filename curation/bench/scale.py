"""How deduplication grows: `python -m curation.bench scale`, ours on 50,000, 200,000 and a million documents, and on two skewed corpora.

The command runs as users run it, with Ray on two cores. Reported per corpus: CPU seconds and the rate in them (less the cost of the same
command on eight documents, most of which is Ray's start), wall time, the greatest sum over all its processes of PSS (shared memory counted
once) and of RSS, and how many of the planted copies went. Skewed: half of the documents near-copies of one (100,000 of 200,000 meet in
the same buckets), half of them on one site. All five corpora take nine minutes of CPU time, and below `--work` 2 GB of disk, 3 GB more
while the largest is deduplicated.

Bars: less than 4 GB at any time, and a rate on the largest corpus of no less than `BAR_LINEAR` of that on the smallest.
Not covered: several machines, an object store.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from curation.bench import corpus as bench_corpus
from curation.bench import dedup as bench_dedup
from curation.bench import process as bench_process
from curation.bench.corpus import Scale

SIZES = (50_000, 200_000, 1_000_000)
SKEWED_DOCS = 200_000
CPUS = 2
BAR_BYTES = 4e9
BAR_LINEAR = 0.8
BAR_FOUND = 0.95  # of the planted copies, whose similarity is 0.85 and more


class Row(NamedTuple):
    corpus: Scale
    docs: int
    copies: int
    removed: int
    used: bench_process.Usage
    start_s: float

    @property
    def rate(self) -> float:
        """Documents per CPU second, start taken off."""
        return self.docs / max(1e-9, self.used.cpu_s - self.start_s)


def curate(source: Path, pattern: str, work: Path, name: str) -> tuple[bench_process.Usage, int]:
    """(usage, documents kept) of ours on some Parquet files, with Ray."""
    out, file = work / "out", work / "dedup.yaml"
    shutil.rmtree(out, ignore_errors=True)
    bench_dedup.write_corpus_file(file, pattern, ["dedup.exact", "dedup.minhash"])
    command = [*bench_dedup.OURS, str(file), str(out), "--data", str(source), "--cpus", str(CPUS)]
    used = bench_process.run(command, work / f"{name}.log", watch=True)
    (corpus,) = json.loads((out / "curated.json").read_text())["corpora"].values()
    kept = sum(pq.read_metadata(out / part).num_rows for part in corpus["parts"])
    shutil.rmtree(out)
    return used, kept


def measure(corpus: Scale, work: Path, seed: int, start_s: float) -> Row:
    """Make a corpus if it is not there, and deduplicate it."""
    print(f"measuring {corpus.name}", file=sys.stderr, flush=True)
    folder, made = bench_corpus.scale(work, corpus, seed=seed)
    used, kept = curate(folder, "part-*.parquet", work, corpus.name)
    return Row(corpus, made["docs"], made["copies"], made["docs"] - kept, used, start_s)


def start_cost(work: Path, seed: int) -> float:
    """CPU seconds of the command on eight documents."""
    folder, _ = bench_corpus.scale(work, Scale(bench_dedup.START_DOCS), seed=seed)
    return curate(folder, "part-*.parquet", work, "start")[0].cpu_s


def table(rows: Sequence[Row]) -> str:
    lines = [
        f"{'':24}{'docs':>9} {'CPU s':>8} {'docs/CPU-s':>11} {'of first':>9} {'wall s':>8} {'PSS GB':>7} {'RSS GB':>7}  copies removed"
    ]
    for row in rows:
        memory = f"{row.used.peak_pss_bytes / 1e9:7.2f} {row.used.peak_rss_bytes / 1e9:7.2f}"
        rate = f"{row.rate:11.0f} {row.rate / rows[0].rate:8.2f}x"
        removed = f"{row.removed} of {row.copies}"
        lines.append(
            f"{row.corpus.name:24}{row.docs:9d} {row.used.cpu_s:8.1f} {rate} {row.used.wall_s:8.1f} {memory}  {removed}"
        )
    return "\n".join(lines)


def missed(rows: Sequence[Row]) -> list[str]:
    """What falls short, corpus by corpus."""
    found = []
    even = [row for row in rows if not row.corpus.cluster and not row.corpus.site]
    for row in rows:
        if row.used.peak_pss_bytes >= BAR_BYTES:
            found.append(
                f"{row.corpus.name}: {row.used.peak_pss_bytes / 1e9:.2f} GB, less than {BAR_BYTES / 1e9:.0f} wanted"
            )
        if not BAR_FOUND * row.copies <= row.removed <= row.copies:
            found.append(f"{row.corpus.name}: {row.removed} documents removed, {row.copies} copies planted")
    if even and even[-1].rate < BAR_LINEAR * even[0].rate:
        found.append(
            f"{even[-1].corpus.name}: {even[-1].rate:.0f} documents per CPU second, {even[0].rate:.0f} on {even[0].corpus.name}; "
            f"{BAR_LINEAR:.0%} of it wanted"
        )
    return found


def main(argv: list[str]) -> int:
    """The table, then the bars; 1 when one is missed."""
    options = bench_dedup.parser("scale", __doc__)
    options.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), help="documents of the even corpora")
    options.add_argument(
        "--skewed-docs", type=int, default=SKEWED_DOCS, help="of the skewed corpora; 0 leaves them out"
    )
    arguments = options.parse_args(argv)
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    corpora = [Scale(size) for size in sorted(arguments.sizes)]
    if arguments.skewed_docs:
        corpora += [Scale(arguments.skewed_docs, cluster=0.5), Scale(arguments.skewed_docs, site=0.5)]
    start_s = start_cost(work, arguments.seed)
    rows = [measure(corpus, work, arguments.seed, start_s) for corpus in corpora]
    print(f"{bench_dedup.machine()}; Ray on {CPUS} cores; start {start_s:.1f} CPU s, taken off the rates")
    print(table(rows))
    short = missed(rows)
    print("\n".join(["", *(f"MISSED: {line}" for line in short)] if short else ["", "no bar missed"]))
    return 1 if short else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
