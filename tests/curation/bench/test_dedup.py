import json
import os
import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.bench import corpus as bench_corpus
from curation.bench import dedup as bench_dedup
from curation.bench import process as bench_process
from curation.bench.dedup import Row, Score, kept_by_peer, missed, score, table

PAIRS = pa.Table.from_pylist(
    [
        {"a": "a1", "b": "b1", "level": 0.6, "jaccard": 0.5},
        {"a": "a2", "b": "b2", "level": 0.6, "jaccard": 0.7},
        {"a": "a3", "b": "b3", "level": 1.0, "jaccard": 1.0},
        {"a": "a4", "b": "elsewhere", "level": 1.0, "jaccard": 1.0},
    ],
    schema=bench_corpus.PAIRS,
)
IDS = ["a1", "b1", "a2", "b2", "a3", "b3", "a4", "x", "y", "z"]

# Stands for the verb `curate`: keeps the first of the documents with the same text, and writes what the verb writes.
FAKE = """
import json, pathlib, sys
import pyarrow.parquet as pq
corpus, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
source = json.loads(corpus.read_text())["source"]
rows = [r for f in sorted(data.glob(source["paths"][0])) for r in pq.read_table(f).to_pylist()]
kept = list({row["text"]: row for row in reversed(rows)}.values())
part = out / "corpora" / corpus.stem / "dedup.minhash-0" / "part-00000.parquet"
part.parent.mkdir(parents=True)
import pyarrow as pa
pq.write_table(pa.table({"origin": [f"corpus.parquet#{row['id']}" for row in kept]}), part)
(out / "curated.json").write_text(json.dumps({"corpora": {corpus.stem: {"parts": [str(part.relative_to(out))]}}}))
"""
# Stands for the peers' script: keeps everything, as JSON lines.
FAKE_PEER = """
import json, pathlib, shutil, sys
kept = pathlib.Path(sys.argv[3]) / "kept"
kept.mkdir()
shutil.copy(pathlib.Path(sys.argv[2]) / "corpus.jsonl", kept / "00000.jsonl")
print("a line of its log")
print(json.dumps({"a-peer": "1.2"}))
"""


def row(name: str = "tokenloom", *, docs: int = 1_000, cpu_s: float = 0.1, judged: Score | None = None) -> Row:
    return Row(name, docs, cpu_s, 0.05, judged or Score({0.6: (30, 100, 0.3)}, 0, 500, 0), {name: "1"})


def test_a_pair_is_found_when_a_member_goes_and_theory_uses_its_own_similarity() -> None:
    judged = score(PAIRS, IDS, [name for name in IDS if name not in {"b1", "a3", "b3", "x", "a4"}])
    theory = sum(1 - (1 - similarity**8) ** 14 for similarity in (0.5, 0.7)) / 2
    assert judged.recall == {0.6: (1, 2, pytest.approx(theory)), 1.0: (1, 1, 1.0)}
    assert (judged.false, judged.unpaired, judged.both) == (1, 3, 1), "a4 is of a pair, though of one that is cut"


def test_nothing_removed_is_nothing_found() -> None:
    judged = score(PAIRS, IDS, IDS)
    assert [found for found, _, _ in judged.recall.values()] == [0, 0]
    assert (judged.false, judged.both) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row()], []),
        ([row(cpu_s=0.13)], ["7692 documents per CPU second, 8000 wanted"]),
        ([row(), row("quick", cpu_s=0.05)], ["quick is faster: 20000 documents per CPU second"]),
        ([row(judged=Score({0.6: (15, 100, 0.3)}, 0, 500, 0))], ["recall 0.150 at 0.6, theory 0.300 with an error of 0.046"]),
        ([row(judged=Score({0.6: (17, 100, 0.3)}, 0, 500, 0))], []),
        ([row(judged=Score({0.5: (0, 100, 0.3)}, 0, 500, 0))], []),
        ([row(judged=Score({1.0: (99, 100, 1.0)}, 0, 500, 0))], ["recall 0.990 at 1.0, theory 1.000 with an error of 0.000"]),
        ([row(judged=Score({}, 3, 20_000, 0))], ["3 of 20000 documents like no other removed"]),
        ([row(judged=Score({}, 2, 20_000, 0))], []),
        ([row(judged=Score({}, 0, 500, 1))], ["1 pairs removed whole"]),
    ],
)  # fmt: skip
def test_bars(rows: list[Row], expected: list[str]) -> None:
    assert missed(rows) == expected


def test_the_table_marks_who_had_fewer_documents() -> None:
    printed = table([row(), row("slow", docs=100, cpu_s=1.0)]).splitlines()
    ours, slow = (next(line for line in printed if line.startswith(name)) for name in ("tokenloom", "slow"))
    assert ours.split() == ["tokenloom", "1000", "0.10", "0.05", "10000", "20000", "1.0x", "0", "0"]
    assert slow.split() == ["slow", "100", "1.00", "0.05", "100", "105", "100.0x", "0", "0", "*"]
    assert "fewer documents" in printed[-1]
    assert "fewer" not in table([row()])


def test_kept_ids_of_a_peer_come_from_either_format(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "0.jsonl").write_text('{"id": "a", "text": "one\\u2028two"}\n{"id": "b"}\n')
    assert kept_by_peer(tmp_path) == ["a", "b"]
    pq.write_table(pa.table({"id": ["c"]}), tmp_path / "kept.parquet")
    assert kept_by_peer(tmp_path) == ["c"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The whole harness on a few documents, with commands that stand in for ours and for the peers'."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefgh", k=5)) for _ in range(2_000)]
    pool = [" ".join(rng.choices(words, k=20)) + "." for _ in range(3_000)]
    monkeypatch.setattr(bench_corpus.bench_sentences, "sentences", lambda roots, *, num_chars, seed: pool)
    for name, code in (("ours", FAKE), ("peer", FAKE_PEER)):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setattr(bench_dedup, "OURS", (sys.executable, str(tmp_path / "ours.py")))
    monkeypatch.setattr(bench_dedup, "PEER_SCRIPT", tmp_path / "peer.py")
    return tmp_path / "work"


def test_ours_and_a_peer_end_to_end(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--work", str(small), "--docs", "200", "--slow-docs", "100", "--peer-python", sys.executable]
    assert bench_dedup.main([*options, "--peers", "datatrove"]) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith(("tokenloom ", "datatrove "))]
    assert [line[:2] for line in rows[:2]] == [["tokenloom", "200"], ["datatrove", "100"]]
    assert rows[2] == ["tokenloom", *["0.000"] * 10, "1.000"], "the stand-in finds equal texts alone"
    assert rows[3][-1] == "*"
    assert any("a-peer 1.2" in line for line in lines)
    assert any(line.startswith("MISSED: recall 0.000 at 0.85") for line in lines)
    assert not (small / "out").exists()


def test_start_is_what_few_documents_cost(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench_process.run

    def costly(command: list[str], log: Path, **options: bool) -> bench_process.Usage:
        assert options == {"one_core": True}
        docs = pq.read_metadata(Path(command[-2]) / "corpus.parquet").num_rows
        return run(command, log)._replace(cpu_s=1.0 + docs / 100)

    monkeypatch.setattr(bench_process, "run", costly)
    corpus, _ = bench_corpus.planted(small, num_docs=200, seed=1)
    measured = bench_dedup.measure("rensa", corpus, 100, small, Path(sys.executable))
    assert (measured.docs, measured.cpu_s, measured.start_s) == (100, 2.0, 1.08)
    assert measured.rate == 50
    assert measured.rate_without_start == pytest.approx(100 / 0.92)


def test_without_the_peers_ours_runs_alone(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench_dedup.main(["--work", str(small), "--docs", "200", "--peer-python", str(small / "missing")])
    printed = capsys.readouterr().out
    assert "make bench-peers" in printed
    assert "rensa" not in printed.replace("beside", "")


def test_a_command_that_fails_stops_the_benchmark(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_dedup, "OURS", (sys.executable, "-c", "raise SystemExit('no verb')"))
    with pytest.raises(bench_process.CommandFailed, match="no verb"):
        bench_dedup.main(["--work", str(small), "--docs", "100", "--peers"])


def test_ours_is_asked_for_what_the_verb_takes(small: Path) -> None:
    folder = bench_dedup.first_documents(bench_corpus.planted(small, num_docs=100, seed=1)[0], 8)
    asked = json.loads((folder / "dedup.yaml").read_text())
    assert asked["steps"] == ["dedup.minhash"]
    assert asked["source"] == {"reader": "parquet", "paths": ["corpus.parquet"], "id_key": "id"}
    assert (
        len((folder / "corpus.jsonl").read_text().splitlines())
        == pq.read_metadata(folder / "corpus.parquet").num_rows
        == 8
    )
    assert os.path.basename(bench_dedup.PEER_PYTHON) == "python"
