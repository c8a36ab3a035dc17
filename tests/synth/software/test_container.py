"""The container back end: what a stand-in for the runtime is told and answers; and a real one, where there is an image to run.

TOKENLOOM_TEST_CONTAINER=podman:localhost/image:1 pytest tests/synth/software/test_container.py
"""

import os
import sys
from pathlib import Path

import pytest

from synth.software import seccomp
from synth.software.container import command_line
from synth.software.sandbox import Ended, Limits, SandboxError, run
from synth.software.suite import Checkout, Job
from tests.synth.software import toy

STAND_IN = """#!/bin/sh
[ "$1" = kill ] && { echo "$2" > "$(dirname "$0")/killed"; exit 0; }
for word; do echo "$word" >> "$(dirname "$0")/told"; done
case "$*" in *sleep*) sleep 20;; *fails*) echo "no such image" >&2; exit 125;; esac
for word; do case "$word" in tokenloom-*) echo "$word"; break;; esac; done
case "$*" in *leaves*) exit 125;; *exhausts*) exit 137;; esac
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
        "/profile",
    )
    assert told[:2] == ["podman", "run"]
    assert told[-8:-4] == ["image", "/bin/sh", "-c", 'cp -R -p /given/. /box && echo "$0" && exec "$@"']
    assert told[-4:] == ["n", "python3", "-c", "x"]
    limits = {"--memory=100m", "--pids-limit=7", "--ulimit=fsize=3145728"}
    shut = {
        "--security-opt=seccomp=/profile",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    }
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


def test_the_filter_has_a_rule_for_all_that_the_namespaces_refuse() -> None:
    rules = seccomp.profile()["syscalls"]
    names = {name for rule in rules for name in rule["names"]}
    assert names == {*seccomp.DENIED, *seccomp.ABSENT, "clone", "mmap", "setsockopt", "socket"}
    refused = {rule["args"][0]["value"] for rule in rules if rule["names"] == ["socket"]}
    assert not refused & set(seccomp.SOCKETS[:2])
    assert {16, 40}.isdisjoint(seccomp.SOCKETS)  # netlink and vsock are beyond the largest allowed
    assert next(rule["args"][0] for rule in rules if rule["names"] == ["socket"])["op"] == "SCMP_CMP_GT"
    for argument in next(
        rule["args"] for rule in rules if rule["names"] == ["setsockopt"]
    ):  # of whose upper half the kernel knows nothing
        assert (argument["op"], argument["value"]) == ("SCMP_CMP_MASKED_EQ", 2**32 - 1)


def test_memory_and_a_runtime_that_cannot(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["exhausts"], tmp_path).reason == "killed"
    assert run(["leaves"], tmp_path).returncode == 125  # as a runtime that fails, after the command has begun
    with pytest.raises(SandboxError, match="no such image"):
        run(["fails"], tmp_path)
    monkeypatch.setenv("TOKENLOOM_SANDBOX", "podman")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="podman is not installed"):
        run(["true"], tmp_path)
    monkeypatch.setenv("TOKENLOOM_SANDBOX", "chroot")
    with pytest.raises(SandboxError, match=r"'chroot'.*type one of docker, podman"):
        run(["true"], tmp_path)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    told = os.environ.get("TOKENLOOM_TEST_CONTAINER", "")
    if not told:
        pytest.skip("TOKENLOOM_TEST_CONTAINER names no runtime and image")
    runtime, _, image = told.partition(":")
    monkeypatch.setenv("TOKENLOOM_SANDBOX", runtime)
    monkeypatch.setenv("TOKENLOOM_SANDBOX_IMAGE", image)


def python(code: str, folder: Path, limits: Limits = Limits(wall_seconds=10, cpu_seconds=2, file_mb=4)) -> Ended:
    return run([sys.executable, "-c", code], folder, limits=limits, stdin="given")


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(open('a').read(), input()); open('b', 'w')", "is given"),
        ("import sys; sys.exit(125)", 125),
        ("import socket; socket.create_connection(('192.0.2.1', 80), 2)", "Network is unreachable"),
        ("import socket; socket.socket(socket.AF_VSOCK)", "Address family not supported"),
        ("import socket; socket.socket(socket.AF_NETLINK)", "Address family not supported"),
        ("import socket; socket.socket().setsockopt(1, 7, 1 << 20)", "Operation not permitted"),
        ("import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))", "-1"),
        ("open('/usr/x', 'w')", "Read-only file system"),
        ("open('/given/a', 'w')", "Read-only file system"),
        ("open('x', 'wb').write(bytes(4 << 20)); open('y', 'wb').write(bytes(4 << 20))", "No space left"),
        ("import multiprocessing; print(multiprocessing.Lock())", "Lock"),
        ("while True: pass", "cpu"),
        ("import time; time.sleep(60)", "timeout"),
        ("while True: print('x' * 9999)", "output"),
        ("x = b'1' * (2000 << 20)", "killed"),
    ],
)
def test_what_a_real_container_lets_code_do(code: str, said: str | int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("is")
    ended = python(code, tmp_path)
    assert said in (ended.reason, ended.returncode) or str(said) in ended.out + ended.err, ended
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.usefixtures("real")
def test_tests_of_a_package_run_in_a_real_container() -> None:
    with Checkout(toy.FILES) as checkout:
        good, bad = checkout.run(
            [Job({"shelves/tests/test_core.py": None}, files) for files in ({}, {"shelves/core.py": "x = ("})]
        )
    assert (len(good.passed), good.failed, bad.status) == (13, set(), "collect")
