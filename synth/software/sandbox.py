"""Runs code that nobody has read: on one folder, without network, within limits, and gone when it returns with all that it wrote.

The command sees a root that is made for it: system libraries and the Python that runs us, read-only; a private /tmp; `folder`, as `/box`,
under a layer in memory, so that nothing is written to this machine; nothing else of it, no home, no environment, no other process. It
holds no capability, gains none, and a filter of system calls leaves it no socket but local and internet ones (which lead nowhere), no
namespaces, no tracing. Limits on CPU, memory and threads hold for all its processes together: rlimits for each, and a watcher that counts
every 20 ms, so that a bomb may overshoot for so long. Results come by stdout alone: no file is read back.

Needs Linux 5.12 (overlayfs in user namespaces, mount_setattr) and user namespaces; elsewhere a `SandboxError` says so. Not covered: limits
by cgroups, which need a delegated one; side channels; bugs of the kernel. A run costs 30 ms. `TOKENLOOM_SANDBOX=docker` has a container do
the same (`container.py`).
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth.software import container, seccomp

SEEN_AS, GIVEN_AS = "/box", "/given"  # the folder, inside: as what is written makes it, and as it was
_INSIDE = Path(__file__).with_name("inside.py")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")


class SandboxError(RuntimeError):
    """No sandbox can be made here; says why, and what to do."""


class Limits(NamedTuple):
    """For all processes of a run together, except where the kernel can only count one."""

    cpu_seconds: int = 30
    wall_seconds: float = 60
    memory_mb: int = 1024
    file_mb: int = 64  # held by what is written to the folder; the same again in /tmp; also the largest single file
    processes: int = 64  # and threads
    output_bytes: int = 1 << 20  # stdout and stderr together


class Ended(NamedTuple):
    """How a command ended. With a `reason` it was ended: `timeout`, `cpu`, `memory`, `output`, `processes`, or `killed` (SIGKILL from
    elsewhere, such as the kernel without memory; or it stopped itself)."""

    returncode: int  # negative: the signal that ended it
    out: str  # UTF-8, other bytes replaced
    err: str
    reason: str | None


def run(
    command: Sequence[str],
    folder: Path,
    *,
    limits: Limits = Limits(),
    stdin: str = "",
    environment: Mapping[str, str] = {},
) -> Ended:
    """Runs `command` in `folder`, which it sees as `/box`; whatever it writes there is gone with its processes.

    `environment` is added to PATH, HOME and LANG; nothing is inherited. The command can be `sys.executable`, whose packages it can import.
    SandboxError where there are no namespaces to run it in; a command that cannot be started ends with 127.
    """
    runtime = os.environ.get("TOKENLOOM_SANDBOX", "")
    stdin_fd = _memory_file(stdin)
    if runtime:
        try:
            return container.run(runtime, command, folder, limits=limits, stdin_fd=stdin_fd, environment=environment)
        finally:
            os.close(stdin_fd)
    return _run_in_namespaces(_spec(command, folder, limits, environment), limits, stdin_fd)


def _run_in_namespaces(spec: Mapping[str, Any], limits: Limits, stdin_fd: int) -> Ended:
    """Starts `inside.py`; `stdin_fd` is closed."""
    spec_fd = _memory_file(json.dumps(spec))
    status_in, status_out = os.pipe()
    try:
        with subprocess.Popen(
            [sys.executable, "-I", "-S", str(_INSIDE), str(spec_fd), str(status_out)],
            stdin=stdin_fd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(spec_fd, status_out),
            env={},
            cwd="/",
            start_new_session=True,
        ) as process:
            os.close(status_out)
            status_out = -1
            out, err, reason = collect(process, limits)
            with os.fdopen(os.dup(status_in), "rb") as file:
                status = file.read()
    finally:
        for fd in (spec_fd, stdin_fd, status_in, status_out):
            if fd >= 0:
                os.close(fd)
    told: dict[str, Any] = (
        json.loads(status) if status else {"returncode": -signal.SIGKILL, "reason": reason or "killed"}
    )
    if told.get("problem"):
        raise SandboxError(
            f"no sandbox can be made here: {told['problem']}. Allow user namespaces (sysctl user.max_user_namespaces, "
            "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns), "
            "or set TOKENLOOM_SANDBOX=docker or podman"
        )
    if reason is None and told["returncode"] == -signal.SIGXCPU:
        reason = "cpu"
    if reason is None and told["returncode"] == -signal.SIGKILL:
        reason = told["reason"] or "killed"
    return Ended(told["returncode"] if reason != "timeout" else -signal.SIGKILL, out, err, reason or told["reason"])


def _spec(command: Sequence[str], folder: Path, limits: Limits, environment: Mapping[str, str]) -> dict[str, Any]:
    system = [path for path in _SYSTEM if os.path.exists(path)]
    prefixes = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    wanted = sorted([*(path for path in system if not os.path.islink(path)), *prefixes])
    beneath = [path for path in wanted if not any(path.startswith(other + "/") for other in wanted)]
    return {
        "command": list(command),
        "folder": os.path.realpath(folder),
        "seen_as": SEEN_AS,
        "given_as": GIVEN_AS,
        "parent": os.getpid(),
        "readable": beneath,
        "links": {path: os.readlink(path) for path in system if os.path.islink(path)},
        "environment": {
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        "socket_bytes": int(Path("/proc/sys/net/core/wmem_default").read_text()),
        "seccomp": seccomp.program().hex(),
        "rlimits": {
            "CPU": limits.cpu_seconds + 1,  # the watcher comes first, and knows all processes
            "AS": limits.memory_mb << 20,
            "FSIZE": limits.file_mb << 20,
            "NPROC": limits.processes,
            "NOFILE": 256,
            "CORE": 0,
        },
        **limits._asdict(),
    }


def _memory_file(text: str) -> int:
    """A descriptor that reads `text`."""
    fd = os.memfd_create("given")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def collect(process: subprocess.Popen[bytes], limits: Limits) -> tuple[str, str, str | None]:
    """What the command writes, within its limit, until all of it has ended, or its time is over."""
    assert process.stdout is not None
    assert process.stderr is not None
    deadline = time.monotonic() + limits.wall_seconds
    parts: dict[str, list[bytes]] = {"out": [], "err": []}
    left, reason = limits.output_bytes, None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, "out")
        selector.register(process.stderr, selectors.EVENT_READ, "err")
        while selector.get_map() and reason is None:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                reason = "timeout"
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                parts[key.data].append(chunk[:left])
                if len(chunk) > left:
                    reason = "output"
                left -= min(left, len(chunk))
                if not chunk:
                    selector.unregister(key.fileobj)
    if reason is None:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            reason = "timeout"
    if reason:
        process.kill()
    out, err = (b"".join(parts[name]).decode("utf-8", "replace") for name in ("out", "err"))
    return out, err, reason
