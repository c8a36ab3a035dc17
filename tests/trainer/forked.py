"""Processes of a parallel run on this machine without the price of their imports: torch and megatron take 5 s of CPU in each of them.

Two parents load these once for all tests of a run, and fork a process where torchrun starts one: even ranks from the one, odd ranks
from the other, so that an order that follows from the hashes of strings still differs between ranks. What torchrun does itself, and
scripts with something to do before megatron is imported, are for `tests.trainer.torchrun`. A process ends without what `atexit` does.

This file is both sides: tests call `forked`; run as a module it is a parent, which reads a command per line and writes a line for each
process that began or ended, in JSON. A parent ends with the tests, also when these are killed.
"""

import contextlib
import functools
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
Parent = subprocess.Popen[bytes]
Meanwhile = Callable[[dict[int, int]], bool]


def forked(
    script: str | Path,
    processes: int,
    *arguments: str | Path,
    timeout: float = 120,
    are_watched: bool = True,
    beside: Path | None = None,
    meanwhile: Meanwhile | None = None,
) -> list[int]:
    """Run a script, of this folder, in processes that know each other as under torchrun. Returns how each ended, as `returncode`.

    What those that fail have said goes to stderr. One that fails ends the others, and fails the test; without `are_watched` all come
    to their end by themselves.

    beside     a folder of packages that are installed for these processes alone, which then come from one parent of their own
    meanwhile  called with the pid of every rank once all run, and again every 10 ms until it returns true
    """
    from torch.distributed import TCPStore

    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    argv = [str(Path(__file__).parent / script), *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        told = [Path(folder, str(rank)) for rank in range(processes)]
        parents = [parent(0 if beside else rank % 2, beside) for rank in range(processes)]
        for rank, process in enumerate(parents):
            told[rank].touch()
            environment = {**os.environ, **known_as(rank, processes, store.port)}
            command = {"rank": rank, "argv": argv, "environment": environment, "told": str(told[rank])}
            assert process.stdin is not None
            process.stdin.write(json.dumps(command).encode() + b"\n")
        statuses, failed = wait(parents, timeout, are_watched, meanwhile)
        for rank, status in enumerate(statuses):
            if status:
                print(f"rank {rank} ended with {status}:\n{told[rank].read_text()[-4000:]}", file=sys.stderr)
        assert failed is None, f"rank {failed} ended with {statuses[failed]}, the first to fail or to take {timeout} s"
    return statuses


def known_as(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun tells a process: its place, and where the store is that all of them are clients of."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "GROUP_RANK": 0}
    where = {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    elastic = {"TORCHELASTIC_USE_AGENT_STORE": True, "TORCHELASTIC_RESTART_COUNT": 0}
    return {name: str(value) for name, value in {**places, **where, **elastic}.items()}


@functools.cache
def parent(number: int, beside: Path | None = None) -> Parent:
    """The parent of even (0) or odd (1) ranks, which lives as long as this process."""
    path = os.pathsep.join(map(str, filter(None, (beside, ROOT))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-m", "tests.trainer.forked"]
    return subprocess.Popen(
        command, bufsize=0, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def wait(
    parents: Sequence[Parent], timeout: float, are_watched: bool, meanwhile: Meanwhile | None
) -> tuple[list[int], int | None]:
    """(how every rank ended, the first that failed): one that fails ends the others, if they are watched, and so does the timeout."""
    pids, statuses, failed = dict[int, int](), dict[int, int](), None
    while len(statuses) < len(parents):
        if meanwhile and len(pids) == len(parents) and meanwhile(pids):
            meanwhile = None
        readable = select.select({process.stdout for process in parents}, [], [], 0.01 if meanwhile else timeout)[0]
        for pipe in readable:
            line = pipe.readline()
            assert line, "a parent of parallel runs has died"
            rank, event, value = json.loads(line)
            (pids if event == "began" else statuses)[rank] = value
            if event == "ended" and value and are_watched and failed is None:
                failed = rank
        if not readable and not meanwhile:
            assert failed is None, "the parents of parallel runs do not answer"
            failed = min(set(range(len(parents))) - statuses.keys())
        if failed is not None:
            for rank in pids.keys() - statuses.keys():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pids[rank], signal.SIGKILL)
    return [statuses[rank] for rank in range(len(parents))], failed


def serve() -> None:
    """Fork what stdin asks for until it is closed, and tell of each process on stdout."""
    from trainer import mcore_compat

    mcore_compat.install()
    import torch.utils.tensorboard  # noqa: F401

    import trainer.learn
    import trainer.loop
    import trainer.run  # noqa: F401

    ranks, asked = dict[int, int](), b""
    while True:
        # While a process runs its end is looked for 50 times a second.
        if select.select([0], [], [], 0.02 if ranks else None)[0]:
            if not (read := os.read(0, 1 << 16)):
                break
            *commands, asked = (asked + read).split(b"\n")
            for command in map(json.loads, commands):
                if not (pid := os.fork()):
                    work(**command)
                ranks[pid] = command["rank"]
                tell(command["rank"], "began", pid)
        for pid in list(ranks):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                tell(ranks.pop(pid), "ended", os.waitstatus_to_exitcode(status))
    for pid in ranks:
        os.kill(pid, signal.SIGKILL)


def tell(rank: int, event: str, value: int) -> None:
    os.write(1, json.dumps([rank, event, value]).encode() + b"\n")


def work(rank: int, argv: list[str], environment: dict[str, str], told: str) -> None:
    """In the new process: what `python argv...` does, with its errors in the file `told`."""
    status = 1
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        for descriptor in (1, 2):
            os.dup2(os.open(told, os.O_WRONLY | os.O_APPEND), descriptor)
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001, whatever ends it belongs to what it says
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
