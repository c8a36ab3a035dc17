"""Is every file what its sha256 says? Hashed by threads, the biggest first: hashing and reading release the interpreter's lock.

A file whose sha256 is right is what was written and is not decoded; of one whose sha256 differs, the damaged record batches are named. A
file that is cut short, empty or missing never has the right sha256, so nothing half-written passes.

Costs: 1.4 GiB hashed per CPU second (a processor with SHA instructions, files in the page cache), and 5 MiB of memory per thread, 9 on S3.
"""

import contextlib
import hashlib
import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa

from curriculum.plan_check import AGAIN
from datapipe import store
from datapipe.arrow_file import ArrowInput, Meter, ShardError

CHUNK_BYTES = 4 << 20  # read, and on S3 requested, at once
TOLD_RANGES = 8  # of damaged record batches
# What reading a file that is known to be damaged may raise: Arrow's bindings trip over broken offsets and names, too.
BROKEN = (ShardError, ValueError, IndexError)

Observer = Callable[[int, int], None]  # bytes hashed so far, bytes in all


class File(NamedTuple):
    """A file that the lock names."""

    name: str  # below the root
    path: str
    sha256: str
    size_bytes: int | None  # None: it is not there
    schema: pa.Schema | None  # of its record batches


def check_files(files: Sequence[File], observe: Observer, threads: int) -> list[str | None]:
    """What is wrong with each file. The threads are daemons, so Ctrl-C ends the process even while a read hangs."""
    biggest_first = iter(sorted(range(len(files)), key=lambda index: -(files[index].size_bytes or 0)))
    # From the threads: bytes hashed, (index, problem) of a file, and at a thread's end None or what it raised.
    events: queue.SimpleQueue[int | tuple[int, str | None] | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()

    def report_end(kind: object, error: BaseException | None, trace: object) -> bool:
        events.put(error)
        return True

    def work() -> None:
        with contextlib.ExitStack() as at_end:
            at_end.push(report_end)
            while not stop.is_set() and (index := next(biggest_first, None)) is not None:
                events.put((index, _problem(files[index], events.put, stop)))

    problems: list[str | None] = [None] * len(files)
    done, total = 0, sum(file.size_bytes or 0 for file in files)
    working = min(threads, len(files))
    for _ in range(working):
        threading.Thread(target=work, daemon=True).start()
    try:
        while working:
            event = events.get()
            if event is None:
                working -= 1
            elif isinstance(event, int):
                done += event
                observe(done, total)
            elif isinstance(event, tuple):
                problems[event[0]] = event[1]
            else:
                raise event
    finally:
        stop.set()
    return problems


def _problem(file: File, on_bytes: Callable[[int], None], stop: threading.Event) -> str | None:
    """What is wrong with a file, None when nothing is."""
    if file.size_bytes is None:
        return f"{file.name}: is missing. {AGAIN} Only what is missing is made."
    try:
        sha256 = _sha256(file.path, on_bytes, stop)
        if sha256 == file.sha256:
            return None
        differs = f"{file.name}: sha256 is {sha256[:12]}, the lock says {file.sha256[:12]}"
        if file.schema is None:
            return f"{differs}. Delete the folder {file.name.rpartition('/')[0]}. {AGAIN}"
        return f"{differs}: {_damage(file, file.schema, stop)}. Delete it. {AGAIN} Only it is made."
    except OSError as error:
        return f"{file.name}: cannot be read ({error}). Check the disk, then delete the file. {AGAIN}"


def _sha256(path: str, on_bytes: Callable[[int], None], stop: threading.Event) -> str:
    digest, chunk = hashlib.sha256(), memoryview(bytearray(CHUNK_BYTES))
    with store.open_input(path, read_ahead=False) as stream:
        while not stop.is_set() and (count := stream.readinto(chunk)):  # type: ignore[attr-defined]
            digest.update(chunk[:count])
            on_bytes(count)
    return digest.hexdigest()


def _damage(file: File, schema: pa.Schema, stop: threading.Event) -> str:
    """Where a file with the wrong sha256 is damaged."""
    try:
        arrow = ArrowInput(file.path, schema, Meter())
    except BROKEN:
        return f"its {file.size_bytes:,} bytes are no whole Arrow file"
    damaged = []
    for index in itertools.takewhile(lambda _: not stop.is_set(), range(arrow.num_batches)):
        try:
            arrow.batch(index)
        except BROKEN:
            damaged.append(index)
    if damaged:
        return f"of its record batches (0 to {arrow.num_batches - 1}) {_in_ranges(damaged)} damaged"
    return "all of its record batches are whole, so another build wrote it, or what lies between them is damaged"


def _in_ranges(numbers: Sequence[int]) -> str:
    """`number 3 is`, `numbers 1, 4 to 9 are`"""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = [f"{first} to {last}" if first < last else str(first) for first, last in ranges[:TOLD_RANGES]]
    more = [f"{len(ranges) - TOLD_RANGES} more ranges"] if len(ranges) > TOLD_RANGES else []
    return f"number{'s' if len(numbers) > 1 else ''} {', '.join([*shown, *more])} {'are' if len(numbers) > 1 else 'is'}"
