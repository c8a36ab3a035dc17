"""The main job: killed in the build and in the training, it ends where an undisturbed run ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 240


def command(manifest: Path, out: Path, data: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "curriculum",
        "run",
        str(manifest),
        str(out),
        "--data",
        str(data),
        "--threads",
        "1",
        *options,
    ]


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL)


def kill_when(arguments: list[str], reached: Callable[[], bool]) -> None:
    """Start, wait until `reached`, kill -9. The run must not have ended by itself."""
    process = start(arguments)
    deadline = time.monotonic() + LIMIT_SECONDS
    while not reached():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not get far enough to be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def steps(out: Path) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl without what a clock measured."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "speed")} for line in lines]


def built(out: Path) -> dict[str, bytes]:
    files = [out / "lock.json", out / "plan.json", *sorted((out / "shards").rglob("*.arrow"))]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, small_data: Path, write_manifest: Callable[[Path], Path]) -> Path:
    """What an undisturbed run leaves, in one process and without Ray. To be read only."""
    folder = tmp_path_factory.mktemp("calm")
    manifest = write_manifest(folder / "manifests")
    assert start(command(manifest, folder / "out", small_data, "--in-process")).wait(LIMIT_SECONDS) == 0
    return folder / "out"


def test_killed_twice_it_ends_like_an_undisturbed_run(
    calm: Path, small_data: Path, write_manifest: Callable[[Path], Path], tmp_path: Path
) -> None:
    manifest, rough = write_manifest(tmp_path / "manifests"), tmp_path / "rough"
    again = command(manifest, rough, small_data, "--cpus", "2")
    kill_when(again, lambda: len(list(rough.rglob("part-*.parquet.json"))) >= 3)
    assert not (rough / "lock.json").exists()
    kill_when(again, lambda: (rough / "checkpoints" / "latest").exists() and len(steps(rough)) >= 5)
    assert len(steps(rough)) < len(steps(calm))
    assert start(again).wait(LIMIT_SECONDS) == 0

    assert built(rough) == built(calm)
    assert steps(rough) == steps(calm)
    assert (rough / "report" / "index.html").is_file()


def test_loss_falls(calm: Path) -> None:
    """Not a quality bar: a model that learns nothing, or a label off by one, stays at the loss of the first step."""
    losses = [line["loss"] for line in steps(calm)]
    assert losses[-1] < losses[0] - 0.3
    assert {name.partition("/")[0] for line in steps(calm) for name in line["loss_by_source"]} == {
        "web",
        "books",
        "code",
        "qa",
    }
