import random
import sys
from pathlib import Path

import pytest

from curation.bench import corpus as bench_corpus
from curation.bench import dedup as bench_dedup
from curation.bench import process as bench_process
from curation.bench import scale as bench_scale
from curation.bench.corpus import Scale
from curation.bench.process import Usage
from curation.bench.scale import Row, missed, table

# Keeps all documents: names copies of the files as parts. Needs what the benchmark passes.
FAKE = """
import json, pathlib, shutil, sys
corpus, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
assert sys.argv[sys.argv.index("--cpus") + 1] == "2" and "--in-process" not in sys.argv
out.mkdir()
files = sorted(data.glob(json.loads(corpus.read_text())["source"]["paths"][0]))
parts = [shutil.copy(file, out / file.name).name for file in files]
(out / "curated.json").write_text(json.dumps({"corpora": {"dedup": {"parts": parts}}}))
"""


def row(
    corpus: Scale, *, cpu_s: float, pss: float = 1e9, copies: int = 100, removed: int = 100, start_s: float = 1.0
) -> Row:
    return Row(corpus, corpus.num_docs, copies, removed, Usage(cpu_s, cpu_s, int(pss), int(pss)), start_s)


def test_growth_is_judged_on_even_corpora_without_start() -> None:
    small, large, skewed = Scale(1_000), Scale(10_000), Scale(10_000, cluster=0.5)
    assert missed([row(small, cpu_s=2.0), row(large, cpu_s=13.5), row(skewed, cpu_s=99)]) == []
    assert missed([row(small, cpu_s=2.0), row(large, cpu_s=13.6)]) == [
        "scale-10000: 794 documents per CPU second, 1000 on scale-1000; 80% of it wanted"
    ]
    assert missed([row(skewed, cpu_s=99)]) == []


def test_memory_and_what_was_removed_are_judged_on_every_corpus() -> None:
    skewed = Scale(1_000, site=0.5)
    assert missed([row(skewed, cpu_s=2, pss=4e9)]) == ["scale-1000-site: 4.00 GB, less than 4 wanted"]
    assert missed([row(skewed, cpu_s=2, removed=94)]) == ["scale-1000-site: 94 documents removed, 100 copies planted"]
    assert missed([row(skewed, cpu_s=2, removed=101)]) == ["scale-1000-site: 101 documents removed, 100 copies planted"]


def test_the_table_shows_growth_and_memory() -> None:
    printed = table([row(Scale(1_000), cpu_s=2.0), row(Scale(10_000), cpu_s=21.0, pss=2.5e9)]).splitlines()
    assert printed[2].split() == [
        "scale-10000", "10000", "21.0", "500", "0.50x", "21.0", "2.50", "2.50", "100", "of", "100"
    ]  # fmt: skip


def test_all_corpora_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(1)
    pool = [" ".join("".join(rng.choices("abcdefgh", k=5)) for _ in range(24)) + "." for _ in range(2_000)]
    monkeypatch.setattr(bench_corpus.bench_sentences, "sentences", lambda roots, *, num_chars, seed: pool)
    monkeypatch.setattr(bench_process, "SAMPLE_S", 0.05)
    (tmp_path / "ours.py").write_text(FAKE)
    monkeypatch.setattr(bench_dedup, "OURS", (sys.executable, str(tmp_path / "ours.py")))
    work = tmp_path / "work"
    code = bench_scale.main(["--work", str(work), "--sizes", "400", "200", "--skewed-docs", "100"])
    printed = capsys.readouterr().out
    names = [line.split()[0] for line in printed.splitlines() if line.startswith("scale-")]
    assert names == ["scale-200", "scale-400", "scale-100-cluster", "scale-100-site"]
    assert code == 1
    assert "MISSED: scale-100-cluster: 0 documents removed, 59 copies planted" in printed
    assert not (work / "out").exists()
