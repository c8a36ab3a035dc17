"""What code that means harm gets to do in a sandbox: nothing that outlives it or leaves its folder."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from synth.software import seccomp
from synth.software.sandbox import SEEN_AS, Ended, Limits, run
from tests.synth.software.needs import sandbox

# What the sandbox shows in its /tmp: the interpreter, where it lies there, and nothing else.
BENEATH_TMP = [Path(sys.prefix).parts[2]] if Path(sys.prefix).is_relative_to("/tmp") else []

pytestmark = sandbox
SHORT = Limits(wall_seconds=10, cpu_seconds=5)


def python(code: str, folder: Path, limits: Limits = SHORT, **given) -> Ended:
    return run([sys.executable, "-c", code], folder, limits=limits, **given)


def test_a_command_gives_its_output_and_its_code_and_leaves_no_file(tmp_path: Path) -> None:
    code = "import sys, os; print(input(), os.environ['A'], os.getcwd()); open('made', 'w').write('x'); sys.stderr.write('e'); sys.exit(3)"
    assert python(code, tmp_path, stdin="given\n", environment={"A": "é"}) == Ended(
        3, f"given é {SEEN_AS}\n", "e", None
    )
    assert list(tmp_path.iterdir()) == []


def test_an_interpreter_beneath_the_temporary_folder_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a clone under /tmp with a virtual environment of its own."""
    prefix = Path(tempfile.mkdtemp(dir="/tmp"))
    (prefix / "words").write_text("here")
    monkeypatch.setattr(sys, "exec_prefix", str(prefix))
    try:
        assert run(["cat", str(prefix / "words")], tmp_path).out == "here"
        assert run(["touch", str(prefix / "more")], tmp_path).returncode != 0
    finally:
        shutil.rmtree(prefix)


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    ended = run(["no-such-command"], tmp_path)
    assert ended.returncode == 127
    assert "no-such-command" in ended.err


def test_packages_of_this_python_can_be_imported_and_not_changed(tmp_path: Path) -> None:
    code = "import pyarrow, pathlib\ntry: (pathlib.Path(pyarrow.__file__).parent / 'x').write_text('')\nexcept OSError as e: print(e.errno)"
    assert python(code, tmp_path).out == "30\n"  # EROFS


@pytest.mark.parametrize("path", ["/x", "/tmp/../x", "/usr/x", "/etc/passwd", "/dev/x", "/proc/1/mem", "../x"])
def test_it_writes_nowhere_else(path: str, tmp_path: Path) -> None:
    ended = python(f"open({path!r}, 'w').write('x')", tmp_path)
    assert ended.returncode == 1
    assert "OSError" in ended.err or "Error: [Errno" in ended.err


def test_its_temporary_folder_is_private_and_gone(tmp_path: Path) -> None:
    assert python("open('/tmp/left-behind', 'w').write('x')", tmp_path).returncode == 0
    assert not os.path.exists("/tmp/left-behind")
    assert python("import os; print(os.listdir('/tmp'))", tmp_path).out == f"{BENEATH_TMP}\n"


def test_it_reads_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box, secret = tmp_path / "box", tmp_path / "secret"
    box.mkdir()
    secret.write_text("token=123")
    (box / "link").symlink_to(secret)
    monkeypatch.setenv("SECRET_TOKEN", "123")
    code = f"""
import glob, os
print(os.environ.get("SECRET_TOKEN"))
for path in [{str(secret)!r}, "link", "/etc/shadow", "/proc/1/environ", "/proc/1/mem", "/proc/1/root/x", "/proc/sys/kernel/core_pattern"]:
    try: print("read", path, open(path, "rb").read(9))
    except OSError: pass
print([name for name in os.listdir("/proc") if name.isdigit()], os.listdir(os.path.expanduser("~")), os.listdir("/dev/shm"))
"""
    ended = python(code, box)
    assert ended.out == f"None\n['1', '2'] {BENEATH_TMP} {BENEATH_TMP}\n", ended


def test_it_gets_no_descriptor_of_ours(tmp_path: Path) -> None:
    held = os.open(__file__, os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:4], os.isatty(0))"
        assert python(code, tmp_path).out == "[0, 1, 2, 3] False\n"  # 3 lists the folder
    finally:
        os.close(held)


@pytest.mark.parametrize("to", ["loopback", "outside", "abstract", "vsock", "netlink"])
def test_it_connects_to_nothing(to: str, tmp_path: Path) -> None:
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as local:
        server.bind(("127.0.0.1", 0))
        server.listen()
        local.bind("\0tokenloom-test")
        local.listen()
        connect = {
            "loopback": f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)",
            "outside": "socket.create_connection(('192.0.2.1', 80), 2)",
            "abstract": "socket.socket(socket.AF_UNIX).connect('\\0tokenloom-test')",
            "vsock": "socket.socket(socket.AF_VSOCK).connect((2, 1))",
            "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        }[to]
        ended = python(
            f"import socket\ntry: {connect}\nexcept OSError as e: print(e.errno)\nelse: print('connected')", tmp_path
        )
    refused = {"loopback": 101, "outside": 101, "abstract": 111, "vsock": 97, "netlink": 97}[to]
    assert ended.out in (f"{refused}\n", "111\n")  # ENETUNREACH, ECONNREFUSED, EAFNOSUPPORT


@pytest.mark.parametrize("what", ["ptrace", "unshare", "mount", "chroot", "memfd_create", "clone", "keyctl"])
def test_system_calls_that_tests_have_no_use_for(what: str, tmp_path: Path) -> None:
    column = seccomp.ARCHITECTURES[os.uname().machine][0]
    number = ({**seccomp.DENIED, **seccomp.ABSENT, "clone": seccomp.CLONE})[what][column]
    code = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.syscall({number}, 0x10000000, 0, 0, 0, 0), ctypes.get_errno())"
    assert python(code, tmp_path).out in ("-1 1\n", "-1 38\n")  # EPERM, ENOSYS


def test_the_filter_is_none_for_a_machine_whose_numbers_are_unknown() -> None:
    with pytest.raises(ValueError, match=r"riscv64.*TOKENLOOM_SANDBOX"):
        seccomp.program("riscv64")
    assert len(seccomp.program("aarch64")) == len(seccomp.program("x86_64"))


@pytest.mark.parametrize(
    ("bomb", "limits", "reasons"),
    [
        ("while True: pass", Limits(cpu_seconds=1), {"cpu"}),
        ("import os\nfor _ in range(3): os.fork()\nwhile True: pass", Limits(cpu_seconds=1), {"cpu"}),
        ("import time; time.sleep(60)", Limits(wall_seconds=0.5), {"timeout"}),
        ("while True: print('x' * 1000)", Limits(output_bytes=5000), {"output"}),
        ("import os\nwhile True: os.fork()", Limits(processes=30, wall_seconds=10), {"processes", "memory"}),
        ("import os, time\nfor _ in range(9):\n  if os.fork() == 0: x = b'1' * (40 << 20); time.sleep(9)\n"
         "time.sleep(9)", Limits(memory_mb=150), {"memory"}),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", Limits(wall_seconds=60), {"killed"}),
    ],
)  # fmt: skip
def test_a_bomb_ends_under_the_name_of_its_limit(bomb: str, limits: Limits, reasons: set[str], tmp_path: Path) -> None:
    began = time.monotonic()
    ended = python(bomb, tmp_path, limits)
    assert ended.reason in reasons, ended
    assert ended.returncode < 0
    assert time.monotonic() - began < 10
    assert len(ended.out) <= limits.output_bytes


def test_one_process_without_memory_or_file_size_gets_an_error(tmp_path: Path) -> None:
    assert "MemoryError" in python("x = bytearray(400 << 20)", tmp_path, Limits(memory_mb=300)).err
    signalled = python("open('large', 'wb').write(bytes(3 << 20))", tmp_path, Limits(file_mb=2))
    assert "File too large" in signalled.err
    assert (
        "No space left"
        in python(
            "open('/tmp/a','wb').write(bytes(2<<20));open('/tmp/b','wb').write(bytes(2<<20))",
            tmp_path,
            Limits(file_mb=3),
        ).err
    )


def _alive(marker: str) -> bool:
    """Whether a process of this machine has the marker in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"marked {marker}".encode() in path.read_bytes():
                return True
    return False


def test_no_process_outlives_the_run(tmp_path: Path) -> None:
    code = f"""
import os, time  # marked {tmp_path}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(20)
    os._exit(0)
time.sleep(0.2)
print("over")
"""
    began = time.monotonic()
    assert python(code, tmp_path).out == "over\n"
    assert time.monotonic() - began < 3
    assert not _alive(str(tmp_path))


def test_it_cannot_end_or_stop_the_process_that_watches_it(tmp_path: Path) -> None:
    code = """
import os, signal
for number in set(signal.Signals):
    try: os.kill(1, number)
    except OSError: pass
print("alive", flush=True)
"""
    ended = python(code + "while True: pass", tmp_path, Limits(cpu_seconds=1, wall_seconds=20))
    assert (ended.out, ended.reason) == ("alive\n", "cpu")


def test_it_cannot_signal_its_parents(tmp_path: Path) -> None:
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        code = f"""
import os, signal
for pid in (1, os.getppid(), {os.getpid()}, -1):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try: os.kill(pid, number)
        except OSError: pass
print("alive")
"""
        assert python(code, tmp_path).out == "alive\n"
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert received == []


def test_a_sandbox_ends_with_the_process_that_made_it(tmp_path: Path) -> None:
    code = f"""
import pathlib, sys
from synth.software.sandbox import run
run([sys.executable, "-c", "import time; time.sleep(30)  # marked {tmp_path}/inner"], pathlib.Path({str(tmp_path)!r}))
"""
    root, inner = Path(__file__).parents[3], f"{tmp_path}/inner"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as parent:
        while not _started(inner):
            time.sleep(0.02)
        parent.kill()
    time.sleep(0.3)
    assert not _started(inner)


def _started(marker: str) -> bool:
    """Whether the command itself runs, not only the process that asked for it, whose code holds its text."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().split(b"\0")[2:3] == [f"import time; time.sleep(30)  # marked {marker}".encode()]:
                return True
    return False


def test_runs_in_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    seen: dict[int, str] = {}

    def one(number: int) -> None:
        seen[number] = python(f"print({number})", tmp_path).out

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: f"{number}\n" for number in range(6)}


@pytest.mark.parametrize(
    "fill",
    [
        "for n in range(99): open(f'{n}', 'wb').write(bytes(1 << 20))",
        "for n in range(99999): open(f'{n}', 'wb')",
        "held = []\nfor n in range(99): held.append(open('x', 'wb', 0)); os.unlink('x'); held[-1].write(bytes(1 << 20))",
        "while True: os.mkdir('d'); os.chdir('d')",
        "os.mkdir('h', 0o300)\nfor n in range(99): open(f'h/{n}', 'wb').write(bytes(1 << 20))",
    ],
)
def test_nothing_fills_the_disk(fill: str, tmp_path: Path) -> None:
    """Small files, empty ones, deleted ones that stay open, folders deeper than a path is long, folders that cannot be listed."""
    (tmp_path / "given").write_text("as it was")
    before = sorted(tmp_path.iterdir())
    ended = python(f"import os\nopen('given', 'w').write('other')\n{fill}", tmp_path, Limits(file_mb=20))
    assert "No space left" in ended.err
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "given").read_text() == "as it was"


@pytest.mark.parametrize("memory", ["mmap.mmap(-1, 1 << 20)", "mmap.mmap(os.open('/dev/zero', os.O_RDWR), 1 << 20)"])
def test_memory_that_would_not_be_counted_is_not_to_be_had(memory: str, tmp_path: Path) -> None:
    """Pages of a shared anonymous mapping stay when they are given back, and then belong to no process's resident size."""
    code = f"import mmap, os\ntry: {memory}\nexcept OSError: print('refused')\nmmap.mmap(-1, 4096, mmap.MAP_PRIVATE)"
    assert python(code, tmp_path) == Ended(0, "refused\n", "", None)


def test_what_local_sockets_hold_counts_as_memory(tmp_path: Path) -> None:
    """Also where no process holds them: a socket may be under way in a message of another one."""
    code = """
import socket, time
try: socket.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
except PermissionError: print("refused", flush=True)
held, pair = [], socket.socketpair()
for n in range(100):
    a, b = socket.socketpair()
    socket.send_fds(pair[0], [b"x"], [a.fileno(), b.fileno()])
time.sleep(5)
"""
    ended = python(code, tmp_path, Limits(memory_mb=40, wall_seconds=20))
    assert (ended.out, ended.reason) == ("refused\n", "memory")
    few = python(
        code.replace("range(100)", "range(5)").replace("sleep(5)", "sleep(0.1)"), tmp_path, Limits(memory_mb=40)
    )
    assert (few.returncode, few.reason) == (0, None)


def test_proc_cannot_be_written(tmp_path: Path) -> None:
    code = "try: open('/proc/self/oom_score_adj', 'w').write('-1')\nexcept OSError as e: print(e.errno)"
    assert python(code, tmp_path).out == "30\n"


def test_a_sandbox_costs_little(tmp_path: Path) -> None:
    """Measured 13 ms of CPU. The limit allows for slow machines."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        run(["true"], tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 5 < 0.1
