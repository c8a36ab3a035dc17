"""The same sandbox by a container runtime, for clusters: `TOKENLOOM_SANDBOX=docker` or `podman`, `TOKENLOOM_SANDBOX_IMAGE` the image.

The image must hold a Python with pytest and whatever the packages need, as `python3`; `podman import` of a root folder is enough, no
registry is needed. Tried with podman 4.3 and runc, as root: 230 to 330 ms a start, against 25 ms of the namespaces, so jobs go in large
groups; podman needs `catatonit` (its `--init`), and crun refuses machines with both versions of cgroups. The filter of system calls is
that of the namespaces. Limits of memory and processes are the runtime's (cgroups), that of CPU an rlimit of each process.

Weaker than the namespaces: /dev and /proc/sys are the runtime's; a fork bomb gets errors and ends by its time; a process that is killed for
memory is not told from one that kills itself; and where we die, docker's container lives on until its CPU is used up (podman's until its
time is over).
"""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synth.software import seccomp

if TYPE_CHECKING:
    from synth.software.sandbox import Ended, Limits

RUNTIMES = ("docker", "podman")
COPIED = (
    "/bin/sh",
    "-c",
    'cp -R -p /given/. /box && echo "$0" && exec "$@"',
)  # its name, and the command on what it may change
MAX_OF_USER = 4096  # processes of the user on the whole machine; given because a runtime's own default may be more than we may set
_IMAGE = "TOKENLOOM_SANDBOX_IMAGE"
PAGE_BYTES = 4096
_REASONS = {
    -signal.SIGKILL: "killed",
    -signal.SIGXCPU: "cpu",
}  # the kernel kills for memory; an exit code beyond 128 is a signal's


def command_line(
    runtime: str,
    image: str,
    name: str,
    command: Sequence[str],
    folder: Path,
    limits: "Limits",
    environment: Mapping[str, str],
    profile: str,
) -> list[str]:
    """What starts `command` in a container: no network, nothing writable but the folder and a private /tmp, no privilege.

    profile: a file that holds `seccomp.profile()`.
    """
    inside = [*COPIED, name, *("python3" if word == sys.executable else word for word in command)]
    options = [
        *("--rm", "--interactive", f"--name={name}", "--network=none", "--read-only", "--cap-drop=ALL", "--ipc=none"),
        *(
            "--security-opt=no-new-privileges",
            f"--security-opt=seccomp={profile}",
            f"--user={os.getuid()}:{os.getgid()}",
            "--init",
            "--log-driver=none",
        ),
        *(f"--memory={limits.memory_mb}m", f"--memory-swap={limits.memory_mb}m", f"--pids-limit={limits.processes}"),
        *(
            f"--ulimit=cpu={limits.cpu_seconds}:{limits.cpu_seconds + 1}",
            f"--ulimit=fsize={limits.file_mb << 20}",
            "--ulimit=core=0",
            "--ulimit=nofile=256",
            f"--ulimit=nproc={MAX_OF_USER}",
        ),
        *(f"--tmpfs={path}:rw,nosuid,nodev,mode=1777,size={limits.file_mb}m" for path in ("/tmp", "/dev/shm")),
        *(f"--volume={os.path.realpath(folder)}:/given:ro", "--workdir=/box"),
        f"--tmpfs=/box:rw,nosuid,nodev,exec,mode=1777,size={_size_mb(folder) + limits.file_mb}m",  # counts as memory
        *(
            [f"--timeout={math.ceil(limits.wall_seconds) + 1}"] if runtime == "podman" else []
        ),  # should we die before it
        *(
            f"--env={key}={value}"
            for key, value in sorted({"HOME": "/tmp", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **environment}.items())
        ),
    ]
    return [runtime, "run", *options, image, *inside]


def _size_mb(folder: Path) -> int:
    """What a copy of the folder takes, each file in whole pages."""
    pages = sum(-(-path.stat().st_size // PAGE_BYTES) + 1 for path in folder.rglob("*") if not path.is_symlink())
    return pages * PAGE_BYTES // (1 << 20) + 1


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
    try:
        with tempfile.TemporaryDirectory(
            prefix="tokenloom-"
        ) as own:  # podman's monitor leaves a file where it was started
            profile = Path(own, "seccomp.json")
            profile.write_text(json.dumps(seccomp.profile()))
            started = command_line(runtime, image, name, command, folder, limits, environment, str(profile))
            with subprocess.Popen(
                started, stdin=stdin_fd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, cwd=own
            ) as process:
                out, err, reason = collect(process, limits._replace(output_bytes=limits.output_bytes + len(name) + 1))
                if reason:  # the client is gone, the container need not be
                    subprocess.run([runtime, "kill", name], capture_output=True, check=False, timeout=60)
    except FileNotFoundError as error:
        raise SandboxError(f"{runtime} is not installed: install it, or unset TOKENLOOM_SANDBOX") from error
    head, _, out = out.partition("\n")
    if head != name and reason is None:  # told by no exit code: what runs inside may end with any
        raise SandboxError(f"{runtime} could not start a container: {err.strip()[-500:]}")
    if reason:
        return Ended(-signal.SIGKILL, out, err, reason)
    code = process.returncode if process.returncode <= 128 else 128 - process.returncode
    return Ended(code, out, err, _REASONS.get(code))
