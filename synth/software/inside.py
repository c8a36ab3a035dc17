"""The first process of a sandbox: a script that shuts itself in, starts the command and watches it. Standard library alone.

Started by `synth.software.sandbox` as `python -I -S inside.py SPEC_FD STATUS_FD`, and never imported by it. The first process makes the
namespaces (user, mount, network, process ids, IPC, host name) and waits. Its child is process 1 of the new ones: it builds a root from
nothing but the folders it was told, read-only, leaves the old root, starts the command without any capability, and from then on counts
every 20 ms what no rlimit counts for all processes together: CPU, memory (a socket counts as
much as its buffer may hold) and threads. When process 1 ends, the kernel ends all others.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
from typing import Any

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 4096, 16384, 1 << 18
MNT_DETACH, AT_RECURSIVE = 2, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
SYS_MOUNT_SETATTR = 442
USER = 1000  # as the command sees itself
BUILT_AT = "/sys"  # where the new root is built: exists everywhere, and nothing beneath it is wanted
POLL_SECONDS = 0.02

libc = ctypes.CDLL(None, use_errno=True)


def call(what: str, result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if value is None else value.encode() for value in (source, target, kind)]
    call(f"mount {target}", libc.mount(*encoded, ctypes.c_ulong(flags), None if options is None else options.encode()))


def set_attributes(target: str, attributes: int, recursive: bool = True) -> None:
    """Adds MOUNT_ATTR flags to a mount and leaves the others, which a user namespace may not take away, as they are."""
    packed = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    done = libc.syscall(SYS_MOUNT_SETATTR, -100, target.encode(), flags, packed, ctypes.sizeof(packed))
    call(f"mount_setattr {target}", done)


def die_with_parent(parent: int) -> None:
    call("prctl", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def enter_namespaces() -> None:
    uid, gid = os.geteuid(), os.getegid()
    kinds = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
    call("unshare", libc.unshare(kinds))
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{USER} {uid} 1")
    write("/proc/self/gid_map", f"{USER} {gid} 1")


def bind(source: str, target: str, attributes: int) -> None:
    """Shows `source`, a file or folder of the old root, at `target`."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "w").close()
    mount(source, target, None, MS_BIND | MS_REC)
    set_attributes(target, attributes)


def build_root(spec: dict[str, Any]) -> None:
    """A root of read-only binds, a private /tmp, /proc of this process namespace without /proc/sys, and the folder under a layer."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", BUILT_AT, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    os.mkdir(f"{BUILT_AT}/tmp")  # first: the interpreter may lie beneath it
    mount("tmpfs", f"{BUILT_AT}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={spec['file_mb']}m,nr_inodes=20k,mode=700")
    readonly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    for path, target in spec["links"].items():
        os.symlink(target, BUILT_AT + path)
    for path in spec["readable"]:
        bind(path, BUILT_AT + path, readonly)
    for name in ("null", "full", "random", "urandom"):  # a shared mapping of "zero" would be memory that nobody counts
        bind(f"/dev/{name}", f"{BUILT_AT}/dev/{name}", MOUNT_ATTR_NOSUID)
    os.symlink("/proc/self/fd", f"{BUILT_AT}/dev/fd")
    os.symlink("/tmp", f"{BUILT_AT}/dev/shm")
    os.mkdir(f"{BUILT_AT}/proc")
    mount("proc", f"{BUILT_AT}/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV, "subset=pid,hidepid=invisible")
    os.makedirs(f"{BUILT_AT}/etc", exist_ok=True)
    write(f"{BUILT_AT}/etc/passwd", f"user:x:{USER}:{USER}::/tmp:/bin/sh\n")
    lay_over(spec["folder"], BUILT_AT + spec["given_as"], BUILT_AT + spec["seen_as"], spec["file_mb"])
    os.chdir(BUILT_AT)
    call("pivot_root", libc.syscall(SYS_PIVOT_ROOT, b".", b"."))
    call("umount", libc.umount2(b".", MNT_DETACH))
    set_attributes("/", MOUNT_ATTR_RDONLY, recursive=False)
    os.chdir(spec["seen_as"])


def lay_over(folder: str, given: str, target: str, size_mb: int) -> None:
    """Shows `folder` read-only at `given`, and at `target` under a layer in memory, which takes what is written."""
    layer = BUILT_AT + "/layer"
    bind(folder, given, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
    os.mkdir(layer)
    mount("tmpfs", layer, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size_mb}m,nr_inodes=20k,mode=700")
    for path in (layer + "/written", layer + "/work", target):
        os.mkdir(path)
    options = f"lowerdir={given},upperdir={layer}/written,workdir={layer}/work,userxattr"
    mount("overlay", target, "overlay", MS_NOSUID | MS_NODEV, options)
    call(f"umount {layer}", libc.umount2(layer.encode(), MNT_DETACH))  # held by the overlay
    os.rmdir(layer)


def start(spec: dict[str, Any]) -> int:
    """The command in a process of its own; returns its id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # as Python and process 1 have it
            signal.signal(ignored, signal.SIG_DFL)
        for name, value in spec["rlimits"].items():
            kind = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(kind)[1]
            value = value if hard < 0 else min(value, hard)
            resource.setrlimit(kind, (value, value))
        call("prctl", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        filter_system_calls(bytes.fromhex(spec["seccomp"]))
        os.closerange(3, 65536)
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])
    except (OSError, ValueError) as problem:
        os.write(2, f"{spec['command'][0]}: {problem}\n".encode())
        os._exit(127)


def filter_system_calls(program: bytes) -> None:
    """`program`: instructions of the classic Berkeley packet filter, 8 bytes each."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    given = Program(len(program) // 8, program)
    call("seccomp", libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(given), 0, 0))


class Watch:
    """What all processes have used together, against the limits."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.ticks = os.sysconf("SC_CLK_TCK")
        self.page = os.sysconf("SC_PAGE_SIZE")
        self.socket = spec["socket_bytes"]

    def exceeded(self) -> str | None:
        """Name of the limit that is exceeded, or None."""
        cpu = memory = threads = 0
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        fields = file.read().rpartition(b")")[2].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                cpu += sum(map(int, fields[11:15]))
                memory += int(fields[21]) * self.page if name != "1" else 0
                threads += int(fields[17]) if name != "1" else 0
                if threads > self.spec["processes"]:
                    return "processes"
        memory += self.socket * sockets()
        if cpu > self.spec["cpu_seconds"] * self.ticks:
            return "cpu"
        if memory > self.spec["memory_mb"] << 20:
            return "memory"
        return None


def sockets() -> int:
    """How many sockets there are in this network namespace, also those that no process holds but a message on its way."""
    with open("/proc/1/net/sockstat") as file:
        return int(file.readline().split()[2])


def watch(spec: dict[str, Any], child: int) -> tuple[int, str | None]:
    """Waits for the command, ends it where it exceeds a limit. (status as of `waitpid`, name of the limit or None)."""
    seen = Watch(spec)
    while True:
        signal.sigtimedwait((signal.SIGCHLD,), POLL_SECONDS)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                break
            if pid == child:  # one that was stopped would wait for ever
                return (signal.SIGKILL if os.WIFSTOPPED(status) else status), None
            if pid == 0:
                break
        reason = seen.exceeded()
        if reason:
            return signal.SIGKILL, reason


def main(spec_fd: int, status_fd: int) -> None:
    with os.fdopen(spec_fd) as file:
        spec = json.load(file)
    os.set_inheritable(status_fd, False)
    status, reason, problem = 0, None, None
    try:
        enter_namespaces()
        die_with_parent(spec["parent"])
        alive, held = os.pipe()  # its end is seen where this process ended before its child could ask to be told
        first = os.fork()
        if first:
            os.waitpid(first, 0)
            os._exit(0)
        call("prctl", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        os.close(held)
        if select.select([alive], [], [], 0)[0]:
            os._exit(1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one signal of Python that reaches process 1 from within
        call("prctl", libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        build_root(spec)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        status, reason = watch(spec, start(spec))
    except OSError as error:
        problem = str(error)
    answer = {"returncode": os.waitstatus_to_exitcode(status), "reason": reason, "problem": problem}
    os.write(status_fd, json.dumps(answer).encode())
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
