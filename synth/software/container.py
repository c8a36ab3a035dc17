"""The same sandbox by a container runtime, for clusters: `TOKENLOOM_SANDBOX=docker` or `podman`, `TOKENLOOM_SANDBOX_IMAGE` the image.

The image must hold a Python with pytest and whatever the packages need, as `python3`. A start costs 300 to 600 ms with the usual runtimes,
against 25 ms of the namespaces, so jobs go in large groups. Limits of memory and processes are the runtime's (cgroups), that of CPU an
rlimit of each process; written bytes are limited per file. The command line is tested against a stand-in; no daemon ran where this was
written.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth.software.sandbox import Ended, Limits

RUNTIMES = ("docker", "podman")
COPIED = ("/bin/sh", "-c", 'cp -R -p /given/. /box && exec "$@"', "sh")  # and then the command, on what it may change
_IMAGE = "TOKENLOOM_SANDBOX_IMAGE"
_EXCEEDED = 137  # a container that was killed: by the kernel for memory, or by us


def command_line(
    runtime: str,
    image: str,
    name: str,
    command: Sequence[str],
    folder: Path,
    limits: "Limits",
    environment: Mapping[str, str],
) -> list[str]:
    """What starts `command` in a container: no network, nothing writable but the folder and a private /tmp, no privilege."""
    inside = [*COPIED, *("python3" if word == sys.executable else word for word in command)]
    options = [
        *("--rm", "--interactive", f"--name={name}", "--network=none", "--read-only", "--cap-drop=ALL", "--ipc=none"),
        *("--security-opt=no-new-privileges", f"--user={os.getuid()}:{os.getgid()}", "--init", "--log-driver=none"),
        *(f"--memory={limits.memory_mb}m", f"--memory-swap={limits.memory_mb}m", f"--pids-limit={limits.processes}"),
        *(
            f"--ulimit=cpu={limits.cpu_seconds}",
            f"--ulimit=fsize={limits.file_mb << 20}",
            "--ulimit=core=0",
            "--ulimit=nofile=256",
        ),
        f"--tmpfs=/tmp:rw,nosuid,nodev,size={limits.file_mb}m",
        *(f"--volume={os.path.realpath(folder)}:/given:ro", "--workdir=/box"),
        f"--tmpfs=/box:rw,nosuid,nodev,exec,mode=1777,size={limits.memory_mb}m",  # counts as memory
        *(
            f"--env={key}={value}"
            for key, value in sorted({"HOME": "/tmp", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **environment}.items())
        ),
    ]
    return [runtime, "run", *options, image, *inside]


def run(
    runtime: str,
    command: Sequence[str],
    folder: Path,
    *,
    limits: "Limits",
    stdin_fd: int,
    environment: Mapping[str, str],
) -> "Ended":
    """As `sandbox.run`. SandboxError where the runtime or the image is not to be had."""
    from synth.software.sandbox import Ended, SandboxError, collect

    image = os.environ.get(_IMAGE)
    if runtime not in RUNTIMES or not image:
        raise SandboxError(
            f"TOKENLOOM_SANDBOX is {runtime!r} and {_IMAGE} is {image!r}: "
            f"type one of {', '.join(RUNTIMES)}, and the name of an image that holds pytest"
        )
    name = f"tokenloom-{uuid.uuid4().hex}"
    started = command_line(runtime, image, name, command, folder, limits, environment)
    try:
        with subprocess.Popen(
            started, stdin=stdin_fd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            out, err, reason = collect(process, limits)
            if reason:  # the client is gone, the container need not be
                subprocess.run([runtime, "kill", name], capture_output=True, check=False, timeout=60)
    except FileNotFoundError as error:
        raise SandboxError(f"{runtime} is not installed: install it, or unset TOKENLOOM_SANDBOX") from error
    if process.returncode == 125:  # of the runtime itself
        raise SandboxError(f"{runtime} could not start a container: {err.strip()[-500:]}")
    code = -signal.SIGKILL if process.returncode == _EXCEEDED or reason else process.returncode
    return Ended(code, out, err, reason or ("killed" if code == -signal.SIGKILL else None))
