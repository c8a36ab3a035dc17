"""The container back end, with a stand-in for the runtime: what it is told, and what becomes of what it answers."""

import os
import sys
from pathlib import Path

import pytest

from synth.software.container import command_line
from synth.software.sandbox import Limits, SandboxError, run

STAND_IN = """#!/bin/sh
[ "$1" = kill ] && { echo "$2" > "$(dirname "$0")/killed"; exit 0; }
for word; do echo "$word" >> "$(dirname "$0")/told"; done
case "$*" in *sleep*) sleep 20;; *fails*) echo "no such image" >&2; exit 125;; *exhausts*) exit 137;; esac
cat; echo out; echo err >&2; exit 3
"""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(STAND_IN)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("TOKENLOOM_SANDBOX", "docker")
    monkeypatch.setenv("TOKENLOOM_SANDBOX_IMAGE", "image:1")
    return folder


def test_the_command_line_takes_everything_away(tmp_path: Path) -> None:
    told = command_line(
        "podman",
        "image",
        "n",
        [sys.executable, "-c", "x"],
        tmp_path,
        Limits(memory_mb=100, processes=7, file_mb=3),
        {"A": "b"},
    )
    assert told[:2] == ["podman", "run"]
    assert told[-8:-4] == ["image", "/bin/sh", "-c", 'cp -R -p /given/. /box && exec "$@"']
    assert told[-4:] == ["sh", "python3", "-c", "x"]
    limits = {"--memory=100m", "--pids-limit=7", "--ulimit=fsize=3145728"}
    shut = {"--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"}
    assert {*limits, *shut, f"--volume={tmp_path}:/given:ro", "--workdir=/box", "--env=A=b", "--rm", "--name=n"} <= set(
        told
    )


def test_a_run_gives_what_the_container_gives(runtime: Path, tmp_path: Path) -> None:
    ended = run(["true"], tmp_path, stdin="given\n")
    assert tuple(ended) == (3, "given\nout\n", "err\n", None)
    assert "image:1" in (runtime / "told").read_text()


def test_a_container_that_takes_too_long_is_killed_by_its_name(runtime: Path, tmp_path: Path) -> None:
    ended = run(["sleep"], tmp_path, limits=Limits(wall_seconds=0.3))
    assert (ended.returncode, ended.reason) == (-9, "timeout")
    assert f"--name={(runtime / 'killed').read_text().strip()}" in (runtime / "told").read_text()


def test_memory_and_a_runtime_that_cannot(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["exhausts"], tmp_path).reason == "killed"
    with pytest.raises(SandboxError, match="no such image"):
        run(["fails"], tmp_path)
    monkeypatch.setenv("TOKENLOOM_SANDBOX", "podman")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="podman is not installed"):
        run(["true"], tmp_path)
    monkeypatch.setenv("TOKENLOOM_SANDBOX", "chroot")
    with pytest.raises(SandboxError, match=r"'chroot'.*type one of docker, podman"):
        run(["true"], tmp_path)
