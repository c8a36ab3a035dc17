import os
import sys
from pathlib import Path

import pytest

from curation.bench import process as bench_process
from curation.bench.process import CommandFailed, run

BUSY = "import time\nwhile time.process_time() < 0.4: pass\n"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_cpu_time_is_that_of_the_command_and_its_children(tmp_path: Path) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])\n{BUSY}"
    used = run(python(code), tmp_path / "log")
    assert 0.8 <= used.cpu_s < 2.5
    assert used.wall_s >= used.cpu_s * 0.3
    assert used.peak_pss_bytes == 0


def test_memory_of_the_whole_tree_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_process, "SAMPLE_S", 0.05)
    hold = "import time; held = b'x' * 60_000_000; time.sleep(0.8)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    used = run(python(code), tmp_path / "log", watch=True)
    assert 60e6 <= used.peak_pss_bytes <= used.peak_rss_bytes < 200e6


def test_shared_memory_counts_once_in_pss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_process, "SAMPLE_S", 0.05)
    code = (
        "import mmap, os, time\n"
        "shared = mmap.mmap(-1, 80 << 20)\n"
        "for start in range(0, 80 << 20, 4096): shared[start] = 1\n"
        "child = os.fork()\n"
        "shared[::4096]; time.sleep(0.8)\n"
        "if child: os.waitpid(child, 0)\n"
    )
    used = run(python(code), tmp_path / "log", watch=True)
    assert used.peak_rss_bytes - used.peak_pss_bytes > 60e6


def test_cpu_time_of_a_daemon_that_nobody_waits_for_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_process, "SAMPLE_S", 0.05)
    code = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {BUSY!r}])\n"
        "os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT); time.sleep(0.4); child.returncode = 0\n"
    )
    assert run(python(code), tmp_path / "log", watch=True).cpu_s >= 0.4


def test_one_core_is_one_core_with_one_thread_and_ours_are_left_alone(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    run(
        python("import os; print(len(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"),
        tmp_path / "log",
        one_core=True,
    )
    assert (tmp_path / "log").read_text().split() == ["1", "1"]
    assert os.sched_getaffinity(0) == before


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3; the end of .*log:\nno such corpus"):
        run(python("import sys; print('no such corpus'); sys.exit(3)"), tmp_path / "log")
