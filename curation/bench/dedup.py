"""Deduplication end to end, ours beside five peers, on one corpus in one run: `python -m curation.bench dedup`.

Every contestant is a command that reads the documents from a file and writes those it keeps, measured from outside on one core: CPU
seconds with start and imports, and again less those of the same command on eight documents. The bar on ours, and the comparison with
peers, are with the start. Peers run by `curation/bench/peers/dedup.py` in `.venv-peers` (`make bench-peers`); without it ours runs alone.
What is not the same work stands in that script. Recall is the share of the planted pairs of which a member was removed, beside what 14
bands of 8 rows find by chance: the mean of 1 - (1 - J^8)^14 over the exact similarities of the pairs (Leskovec et al., Mining of Massive
Datasets, section 3.4.2). A document that is no part of a pair and was removed is a false removal.

40,000 documents take five minutes of CPU time, one of them to make the corpus; that stays in `--work`. datatrove, at some 140
documents per CPU second, gets `--slow-docs`: fewer pairs, so its recall is less certain, and marked.

Not covered: several cores (`scale`), GPU peers, languages other than those of the machine's documentation.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.bench import corpus as bench_corpus
from curation.bench import process as bench_process

OURS = (sys.executable, "-m", "curriculum", "curate")
PEERS = ("datatrove", "data-juicer", "text-dedup", "datasketch", "rensa")
SLOW = ("datatrove",)
PEER_SCRIPT = Path(__file__).parent / "peers" / "dedup.py"
PEER_PYTHON = Path(__file__).resolve().parents[2] / ".venv-peers" / "bin" / "python"
BANDS, ROWS = 14, 8

BAR_DOCS_PER_CPU_S = 8_000  # from the first import to the last byte written
BAR_FALSE = 1e-4  # of the documents that are in no pair
BAR_LEVEL = 0.6  # from this similarity on recall must be that of the bands; below, candidates are refused on purpose
ERRORS = 3  # binomial standard errors that recall may lie below theory
START_DOCS = 8


class Score(NamedTuple):
    """What was removed of a corpus with planted pairs."""

    recall: dict[float, tuple[int, int, float]]  # level -> pairs found, pairs, theory
    false: int  # documents in no pair that were removed
    unpaired: int  # documents in no pair
    both: int  # pairs of which nothing is left


class Row(NamedTuple):
    """One contestant, measured."""

    name: str
    docs: int
    cpu_s: float
    start_s: float
    score: Score
    versions: dict[str, str]

    @property
    def rate(self) -> float:
        return self.docs / self.cpu_s

    @property
    def rate_without_start(self) -> float:
        return self.docs / max(1e-9, self.cpu_s - self.start_s)


def score(pairs: pa.Table, all_ids: Iterable[str], kept: Iterable[str]) -> Score:
    """Pairs with a member outside the corpus do not count."""
    there = set(all_ids)
    removed = there - set(kept)
    rows = [row for row in pairs.to_pylist() if row["a"] in there and row["b"] in there]
    recall = {}
    for level in sorted({row["level"] for row in rows}):
        of_level = [row for row in rows if row["level"] == level]
        found = sum(row["a"] in removed or row["b"] in removed for row in of_level)
        jaccard = np.array([row["jaccard"] for row in of_level])
        recall[level] = (found, len(of_level), float((1 - (1 - jaccard**ROWS) ** BANDS).mean()))
    paired = {row[side] for row in pairs.to_pylist() for side in ("a", "b")}
    both = sum(row["a"] in removed and row["b"] in removed for row in rows)
    return Score(recall, len(removed - paired), len(there - paired), both)


def first_documents(corpus: Path, count: int) -> Path:
    """Folder with the first documents of a corpus as corpus.parquet and corpus.jsonl, and the corpus file for ours."""

    def make(place: Path) -> dict:
        docs = pq.read_table(corpus / "corpus.parquet").slice(0, count)
        pq.write_table(docs, place / "corpus.parquet", row_group_size=bench_corpus.BLOCK, compression="zstd")
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in docs.to_pylist())
        with (place / "corpus.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(lines)
        write_corpus_file(place / "dedup.yaml", "corpus.parquet", ["dedup.minhash"])
        return {"docs": docs.num_rows}

    folder = corpus / f"first-{count}"
    bench_corpus.ensure(folder, make)
    return folder


def write_corpus_file(path: Path, pattern: str, steps: list[str]) -> None:
    """A corpus of Parquet files that is deduplicated and nothing else; its name is the file's stem."""
    source = {"reader": "parquet", "paths": [pattern], "id_key": "id"}
    corpus = {"kind": "web", "source": source, "steps": steps}
    path.write_text(json.dumps(corpus))  # JSON is YAML


def kept_by_ours(out: Path) -> list[str]:
    """The ids that are left, from the ends of the origins."""
    (corpus,) = json.loads((out / "curated.json").read_text())["corpora"].values()
    tables = [pq.read_table(out / part, columns=["origin"]) for part in corpus["parts"]]
    return [origin.rpartition("#")[2] for table in tables for origin in table["origin"].to_pylist()]


def kept_by_peer(out: Path) -> list[str]:
    """The ids in kept.parquet, or in the JSON lines below kept."""
    if (out / "kept.parquet").exists():
        return pq.read_table(out / "kept.parquet", columns=["id"])["id"].to_pylist()
    return [
        json.loads(line)["id"]
        for file in sorted((out / "kept").glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def measure(name: str, corpus: Path, docs: int, work: Path, peer_python: Path) -> Row:
    """One contestant on the first `docs` documents, on one core."""
    used = []
    for count in (START_DOCS, docs):
        source, out, log = first_documents(corpus, count), work / "out", work / f"{name}.log"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        if name == "tokenloom":
            command = [*OURS, str(source / "dedup.yaml"), str(out), "--data", str(source), "--in-process"]
        else:
            command = [str(peer_python), str(PEER_SCRIPT), name, str(source), str(out)]
        used.append(bench_process.run(command, log, one_core=True))
    kept = kept_by_ours(out) if name == "tokenloom" else kept_by_peer(out)
    ids = pq.read_table(source / "corpus.parquet", columns=["id"])["id"].to_pylist()
    judged = score(pq.read_table(corpus / "pairs.parquet"), ids, kept)
    shutil.rmtree(out)
    return Row(name, len(ids), used[1].cpu_s, used[0].cpu_s, judged, _versions(name, log))


def _versions(name: str, log: Path) -> dict[str, str]:
    if name == "tokenloom":
        return {package: version(package) for package in ("tokenloom", "numpy", "pyarrow")}
    return json.loads(log.read_text(errors="replace").strip().splitlines()[-1])


def table(rows: Sequence[Row]) -> str:
    """Rates first, then recall by similarity with its theory; figures of fewer documents are marked."""
    ours, most = rows[0], max(row.docs for row in rows)
    lines = [
        f"{'':13}{'docs':>7} {'CPU s':>8} {'start':>7} {'docs/CPU-s':>11} {'less start':>11} {'ours is':>9}   lost false both"
    ]
    for row in rows:
        figures = f"{row.docs:7d} {row.cpu_s:8.2f} {row.start_s:7.2f} {row.rate:11.0f} {row.rate_without_start:11.0f}"
        lost = f"{row.score.false:12d} {row.score.both:4d}"
        mark = " *" if row.docs < most else ""
        lines.append(f"{row.name:13}{figures} {ours.rate / row.rate:8.1f}x {lost}{mark}")
    levels = sorted(ours.score.recall)
    lines += ["", f"{'recall at J':13}" + "".join(f"{level:7.2f}" for level in levels)]
    lines += [f"{'pairs':13}" + "".join(f"{ours.score.recall[level][1]:7d}" for level in levels)]
    lines += [f"{'theory':13}" + "".join(f"{ours.score.recall[level][2]:7.3f}" for level in levels)]
    for row in rows:
        shares = (row.score.recall.get(level, (0, 0, 0.0)) for level in levels)
        found = "".join(f"{hit / of:7.3f}" if of else f"{'-':>7}" for hit, of, _ in shares)
        lines.append(f"{row.name:13}{found}{' *' if row.docs < most else ''}")
    if any(row.docs < most for row in rows):
        lines.append("* fewer documents, and as many fewer pairs: its recall is that much less certain")
    return "\n".join(lines)


def missed(rows: Sequence[Row]) -> list[str]:
    """What ours, the first row, falls short of."""
    ours, *peers = rows
    found = []
    if ours.rate < BAR_DOCS_PER_CPU_S:
        found.append(f"{ours.rate:.0f} documents per CPU second, {BAR_DOCS_PER_CPU_S} wanted")
    found += [
        f"{peer.name} is faster: {peer.rate:.0f} documents per CPU second" for peer in peers if peer.rate > ours.rate
    ]
    for level, (hit, pairs, theory) in ours.score.recall.items():
        error = (theory * (1 - theory) / pairs) ** 0.5
        if level >= BAR_LEVEL and hit / pairs < theory - max(ERRORS * error, 1e-9):
            found.append(f"recall {hit / pairs:.3f} at {level}, theory {theory:.3f} with an error of {error:.3f}")
    if ours.score.false > BAR_FALSE * ours.score.unpaired:
        found.append(f"{ours.score.false} of {ours.score.unpaired} documents like no other removed")
    if ours.score.both:
        found.append(f"{ours.score.both} pairs removed whole")
    return found


def parser(part: str, doc: str | None) -> argparse.ArgumentParser:
    """With the options that `dedup` and `scale` share."""
    made = argparse.ArgumentParser(
        f"python -m curation.bench {part}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    place = Path(tempfile.gettempdir()) / "tokenloom-bench"
    made.add_argument("--work", type=Path, default=place, help=f"folder that keeps the corpora (default {place})")
    made.add_argument("--seed", type=int, default=7, help="of the corpora (default 7)")
    return made


def machine() -> str:
    """One line: Python and the processor."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"Python {platform.python_version()}, {names[0] if names else platform.machine()}"


def main(argv: list[str]) -> int:
    """The table, then the bars; 1 when one is missed."""
    options = parser("dedup", __doc__)
    options.add_argument("--docs", type=int, default=40_000, help="documents (default 40000)")
    options.add_argument("--slow-docs", type=int, default=4_000, help=f"for {', '.join(SLOW)} (default 4000)")
    options.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=PEERS, help="default: all; none without a name"
    )
    options.add_argument("--peer-python", type=Path, default=PEER_PYTHON, help="of the peers' environment")
    arguments = options.parse_args(argv)
    if arguments.peers and not arguments.peer_python.exists():
        print(f"no {arguments.peer_python}: ours runs alone. `make bench-peers` sets up the peers.")
        arguments.peers = []
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    corpus, made = bench_corpus.planted(work, num_docs=arguments.docs, seed=arguments.seed)
    rows = []
    for name in ("tokenloom", *arguments.peers):
        docs = min(arguments.docs, arguments.slow_docs) if name in SLOW else arguments.docs
        print(f"measuring {name} on {docs} documents", file=sys.stderr, flush=True)
        rows.append(measure(name, corpus, docs, work, arguments.peer_python))
    print(
        f"{made['docs']} documents, {made['chars'] / 1e6:.1f} M characters, seed {arguments.seed}, {BANDS} bands of {ROWS}"
    )
    print(f"{machine()}; one core each; CPU seconds with reading, writing and start")
    print("; ".join(f"{row.name}: {', '.join(f'{p} {v}' for p, v in row.versions.items())}" for row in rows))
    print(table(rows))
    short = missed(rows)
    print("\n".join(["", *(f"MISSED: {line}" for line in short)] if short else ["", "no bar missed"]))
    return 1 if short else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
