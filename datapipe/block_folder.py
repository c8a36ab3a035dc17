"""Blocks of remote files on a local disk, shared by all processes of a node: bounded, the least recently used go first.

    blocks/<name>    one block; appears whole (a temporary name, a rename); its time of change is that of its last use
    ledger           bytes of all blocks; locked while blocks come and go, and empty meanwhile
    locks            an empty file: whoever is about to fetch blocks i to j of a file locks bytes i to j of that file's stretch of it

Every lock is of the open file, so the kernel takes it back from a killed process, and a ledger found empty (or of a machine that was
switched off since) is counted again from the blocks: 0.2 s for 50,000. The blocks never exceed the limit; those being written come on top,
and those of killed processes until the next eviction. An eviction frees a sixteenth of the limit, so that looking through all
blocks is rare. Linux only (open file description locks). Not covered: a network file system, processes with different limits.
"""

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from datapipe.stored import StoreError

PART_SUFFIX = ".part"
PART_SECONDS = 60  # an older one is of a killed process: it is written at once from memory
TOUCH_NS = 10**9  # a block in steady use is marked once per second
INDEX_BITS = 22  # of a block in its file: 16 TiB of blocks of 4 MiB
EVICT_DIVISOR = 16


class BlockFolder:
    """Any number of processes and threads may have one open on the same folder."""

    def __init__(self, folder: str, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._blocks = os.path.join(folder, "blocks")
        self._ledger = os.path.join(folder, "ledger")
        self._locks = os.path.join(folder, "locks")
        with self._explained():
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(self._blocks).mkdir(exist_ok=True)
            self._boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()

    def has(self, name: str) -> bool:
        return os.path.exists(self._path(name))

    def read(self, name: str, size_bytes: int, start: int, stop: int) -> bytes | None:
        """Bytes [start, stop) of a block of `size_bytes`; None when it is not here, or not whole, or the disk does not give it."""
        try:
            block = os.open(self._path(name), os.O_RDONLY)
        except OSError:
            return None
        try:
            status = os.fstat(block)
            data = os.pread(block, stop - start, start) if status.st_size == size_bytes else b""
            if time.time_ns() - status.st_mtime_ns > TOUCH_NS:
                os.utime(block)
        except OSError:
            return None
        finally:
            os.close(block)
        return data if len(data) == stop - start else None

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Keep a block, for which others may have to go. The caller holds its lock."""
        target, part = self._path(name), Path(self._path(name) + PART_SUFFIX)
        with self._explained():
            try:
                part.write_bytes(data)
                with self._counted() as total:
                    if total.bytes - _size(target) + len(data) > self.limit_bytes:
                        total.bytes = self._evict(len(data))
                    replaced_bytes = _size(target)  # unless it has just gone with others
                    os.replace(part, target)
                    total.bytes += len(data) - replaced_bytes
            finally:
                part.unlink(missing_ok=True)

    def remove(self, names: list[str]) -> None:
        with self._explained(), self._counted() as total:
            for name in names:
                total.bytes -= _size(self._path(name))
                Path(self._path(name)).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self, file: int, first: int, stop: int, *, wait: bool = True) -> Iterator[bool]:
        """While nobody else is in this block for blocks [first, stop) of a file (a 40-bit number). Others wait here, or get False.

        Two files of one number would only wait for each other in vain.
        """
        with self._explained():
            locks = os.open(self._locks, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield self._lock(locks, (file << INDEX_BITS) + first, stop - first, wait)
        finally:
            os.close(locks)

    def _lock(self, locks: int, start: int, length: int, wait: bool) -> bool:
        # struct flock: type, whence, start, length, process (0: the lock is of the open file)
        wanted = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        with self._explained():
            try:
                fcntl.fcntl(locks, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, wanted)
            except BlockingIOError:
                return False
        return True

    def _path(self, name: str) -> str:
        return f"{self._blocks}/{name}"

    @contextlib.contextmanager
    def _counted(self) -> Iterator["_Total"]:
        """The bytes of all blocks, while nobody else changes them."""
        ledger = os.open(self._ledger, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(ledger, fcntl.LOCK_EX)
            boot, _, counted = os.pread(ledger, 100, 0).partition(b" ")
            trusted = boot == self._boot and counted.isdigit()
            total = _Total(int(counted) if trusted else sum(size for _, size, _ in self._scan()))
            os.ftruncate(ledger, 0)  # whoever dies from here on leaves a ledger that is not believed
            yield total
            os.pwrite(ledger, b"%s %d" % (self._boot, total.bytes), 0)
        finally:
            os.close(ledger)

    def _evict(self, wanted_bytes: int) -> int:
        """Make room for so many bytes; returns the bytes of what is left."""
        blocks = sorted(self._scan())
        left = sum(size for _, size, _ in blocks)
        allowed = self.limit_bytes - max(wanted_bytes, self.limit_bytes // EVICT_DIVISOR)
        for _, size, path in blocks:
            if left <= allowed:
                break
            Path(path).unlink(missing_ok=True)
            left -= size
        return left

    def _scan(self) -> Iterator[tuple[int, int, str]]:
        """Last use in nanoseconds, size and path of every block."""
        for entry in os.scandir(self._blocks):
            with contextlib.suppress(FileNotFoundError):  # a part that was renamed or removed since
                status = entry.stat()
                if not entry.name.endswith(PART_SUFFIX):
                    yield status.st_mtime_ns, status.st_size, entry.path
                elif time.time() - status.st_mtime > PART_SECONDS:
                    os.unlink(entry.path)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "name a folder with room, or a smaller size, in the site file: [cache] folder, size"
            raise StoreError(self.folder, f"the cache: {error.strerror or error}", remedy) from error


class _Total:
    def __init__(self, total_bytes: int) -> None:
        self.bytes = total_bytes


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
