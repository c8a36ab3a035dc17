"""The measurement of other feeds: what it reports, what it says of a peer that is not there, and that a wrong resume is noticed."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from curriculum import bench_peers
from curriculum.bench_peers import Data, cpu_seconds, measure_loader, run_packer, run_peer, write_source

SIZES = {"web": 6_000, "code": 2_800, "math": 1_200}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        write_source(
            tmp_path, name, rng.integers(0, 1 << 17, size, np.uint32), np.array([size // 4, 0, size - size // 4])
        )
    return tmp_path


def test_the_sources_are_read_as_they_were_written(folder: Path) -> None:
    data = Data(folder, folder / "work", seq_len=64, batch=4)
    assert data.sources == ["code", "math", "web"]
    assert data.weights == [0.28, 0.12, 0.60]
    assert data.num_rows == 10_000 // 64
    documents = [document.numpy() for document in data.documents("code")]
    assert [document.size for document in documents] == [700, 0, 2_100]
    assert np.array_equal(np.concatenate(documents), data.tokens("code"))


def test_a_peer_in_another_process_reports_its_figures_and_leaves_nothing_behind(folder: Path) -> None:
    before = sorted(folder.iterdir())
    result = run_peer(sys.executable, "memmap", folder, seq_len=64, batch=4, seconds=0.05)
    assert isinstance(result, dict), result
    assert result["peer"] == "memmap"
    assert result["versions"] == {"numpy": np.__version__}
    assert result["resume_exact"] is True
    assert all(result[key] > 0 for key in ("tokens_per_cpu_s", "first_batch_cpu_ms", "resume_first_batch_cpu_ms"))
    assert sorted(folder.iterdir()) == before


def test_a_peer_that_cannot_run_says_why(folder: Path) -> None:
    missing = run_peer(str(folder / "python"), "litdata", folder, seq_len=64)
    assert isinstance(missing, str)
    assert missing.startswith("litdata: ")
    assert str(folder / "python") in missing
    packer = run_packer(str(folder / "python"), "trl", np.array([3, 5]), 64)
    assert isinstance(packer, str)
    assert packer.startswith("trl: ")
    short = run_peer(sys.executable, "memmap", folder, seq_len=2_000, batch=4)
    assert short == (
        "memmap: ValueError: 0 batches, too few to go on after batch 0: "
        "give more tokens, or a smaller --seq-len or --batch"
    )


@dataclass
class Counting:
    """Batches 0, 1, 2, ...; a resumed one begins `off` batches too late."""

    off: int

    def write(self) -> None: ...

    def open(self, state: int | None) -> Iterator[int]:
        return iter(range(0 if state is None else state + self.off, 100))

    def state(self, opened: object, step: int) -> int:
        return step

    def tokens(self, batch: int) -> np.ndarray:
        return np.array([batch])


@pytest.mark.parametrize("off", [0, 1])
def test_a_resume_at_another_place_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch, off: int) -> None:
    """Of one pass each: it forks this process, which is large by now."""
    monkeypatch.setattr(bench_peers, "PASSES", 1)
    data = Data(folder, folder / "work", seq_len=64, batch=4)
    assert measure_loader(Counting(off), data, seconds=0.05)["resume_exact"] is (off == 0)


def test_cpu_seconds_count_children_that_have_ended() -> None:
    before = cpu_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"], check=True)
    assert cpu_seconds() - before >= 0.19
