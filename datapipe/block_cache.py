"""Files of an object store through a bounded local cache: aligned blocks of 4 MiB, fetched once per node (`block_folder`).

A record batch of tokens has about 55 kB and a request to S3 takes tens of milliseconds, so a read that misses brings the 4 MiB around
it, and neighbours that are missing come with one request of up to 16 MiB. `prefetch` does that in the background. A read that hits opens
the block's file, reads and closes it; nothing is held in memory but what is being fetched (at most 16 MiB per thread).

A file is known by path, ETag and size as of `open`: one that was replaced is another file. Content is not checked here: record batches
carry checksums, and who finds one wrong calls `forget`. Not covered: writing; use across a fork (open one per process); a process that is
stopped, not killed, while it fetches makes those who want the same blocks wait.
"""

import contextlib
import dataclasses
import functools
import io
import os
import queue
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Self, cast

import xxhash

from datapipe import s3_reads, store
from datapipe.block_folder import BlockFolder
from datapipe.s3_reads import PATIENCE, Patience, RangeStream
from datapipe.site import Site
from datapipe.stored import FileInfo, StoreError

BLOCK_BYTES = 4 << 20
REQUEST_BYTES = 16 << 20  # of one request at most
QUEUED_REQUESTS = 256  # what is asked for beyond is left to the reads
PREFETCH_ATTEMPTS = 2  # the read that needs it has more patience, and must not wait for two


@dataclasses.dataclass(frozen=True)
class _File:
    """A remote file and the names of its blocks."""

    info: FileInfo
    block_bytes: int

    @functools.cached_property
    def key(self) -> str:
        identity = (os.environ.get("AWS_ENDPOINT_URL", ""), self.info.path, self.info.etag, self.info.size_bytes)
        return xxhash.xxh3_128_hexdigest(repr((*identity, self.block_bytes)).encode())

    @property
    def number(self) -> int:
        return int(self.key[:10], 16)

    def name(self, index: int) -> str:
        return f"{self.key}-{index}"

    def bounds(self, index: int) -> tuple[int, int]:
        """First byte of a block, and the byte after its last."""
        return index * self.block_bytes, min((index + 1) * self.block_bytes, self.info.size_bytes)

    def blocks(self, start: int, stop: int) -> range:
        """The blocks in which bytes [start, stop) lie."""
        start, stop = max(0, start), min(stop, self.info.size_bytes)
        return range(start // self.block_bytes, -(-stop // self.block_bytes)) if start < stop else range(0)


class BlockCache:
    """Reads through a folder of blocks. For any number of threads; a stream that it opened is for one."""

    def __init__(
        self,
        folder: str,
        limit_bytes: int,
        *,
        block_bytes: int = BLOCK_BYTES,
        concurrency: int = 8,
        patience: Patience = PATIENCE,
    ) -> None:
        if limit_bytes < block_bytes:
            answer = f"a cache of {limit_bytes} bytes does not hold one block of {block_bytes}"
            raise StoreError(folder, answer, "give it more room in the site file: [cache] size")
        self._folder = BlockFolder(folder, limit_bytes)
        self._block_bytes = block_bytes
        self._patience = patience
        self._files: weakref.WeakValueDictionary[str, _File] = weakref.WeakValueDictionary()  # those with a stream
        self._jobs: queue.Queue[tuple[_File, range] | None] = queue.Queue(QUEUED_REQUESTS)
        self._concurrency = concurrency
        self._lock = threading.Lock()  # of the three below
        self._queued: set[str] = set()  # names of blocks
        self._threads: list[threading.Thread] = []
        self._closed = False

    @classmethod
    def of_site(cls, site: Site) -> Self:
        patience = Patience(read_seconds=site.read_timeout_seconds)
        return cls(site.cache_folder, site.cache_bytes, concurrency=site.concurrency, patience=patience)

    def open(self, path: str) -> BinaryIO:
        """A seekable stream, unbuffered: of a local file as it is, of an object through the cache. Costs one request then."""
        if not store.is_s3(path):
            return cast(BinaryIO, cast(io.BufferedReader, store.open_input(path)).detach())
        file = _File(s3_reads.stat(path, patience=self._patience), self._block_bytes)
        self._files[path] = file
        return cast(BinaryIO, RangeStream(file.info.size_bytes, functools.partial(self._read, file)))

    def prefetch(self, path: str, start: int, stop: int) -> None:
        """Fetch in the background what is not here of bytes [start, stop) of a file that is open. Returns at once, and never
        fails: what cannot be had is told by the read that needs it."""
        if not (file := self._files.get(path)):
            return
        with self._lock:
            names = {index: file.name(index) for index in file.blocks(start, stop)}
            wanted = (i for i, name in names.items() if name not in self._queued and not self._folder.has(name))
            for run in self._runs(wanted):
                if self._closed or self._jobs.full():
                    return
                self._queued |= {names[index] for index in run}
                self._jobs.put_nowait((file, run))
                if not self._threads:
                    self._start()

    def forget(self, path: str, start: int, stop: int) -> bool:
        """Drop what is here of bytes [start, stop): it is damaged. False for a file that is not open through the cache."""
        if not (file := self._files.get(path)):
            return False
        self._folder.remove([file.name(index) for index in file.blocks(start, stop)])
        return True

    def close(self) -> None:
        """Prefetch no more. What is being fetched may still arrive."""
        with self._lock:
            self._closed = True
            with contextlib.suppress(queue.Empty):
                while True:
                    self._jobs.get_nowait()
            for _ in self._threads:
                self._jobs.put_nowait(None)
            self._threads.clear()

    def _read(self, file: _File, start: int, stop: int) -> bytes:
        """Bytes [start, stop), which lie in the file."""
        found: dict[int, bytes | memoryview] = {}
        missing = []
        for index in file.blocks(start, stop):
            first, end = file.bounds(index)
            data = self._folder.read(file.name(index), end - first, max(start, first) - first, min(stop, end) - first)
            if data is None:
                missing.append(index)
            else:
                found[index] = data
        for run in self._runs(missing):
            for index, block in self._fetch(file, run, self._patience).items():
                first, end = file.bounds(index)
                found[index] = memoryview(block)[max(start, first) - first : min(stop, end) - first]
        return b"".join(found[index] for index in sorted(found))

    def _fetch(self, file: _File, run: range, patience: Patience) -> dict[int, bytes | memoryview]:
        """These neighbouring blocks, of which others may fetch some meanwhile."""
        with self._folder.locked(file.number, run.start, run.stop):
            return self._fetch_locked(file, run, patience)

    def _fetch_locked(self, file: _File, run: range, patience: Patience) -> dict[int, bytes | memoryview]:
        found: dict[int, bytes | memoryview] = {}
        for index in run:
            first, end = file.bounds(index)
            data = self._folder.read(file.name(index), end - first, 0, end - first)
            if data is not None:
                found[index] = data
        for part in self._runs(index for index in run if index not in found):
            start, stop = file.bounds(part[0])[0], file.bounds(part[-1])[1]
            body = s3_reads.read_range(file.info.path, start, stop, etag=file.info.etag, patience=patience)
            for index in part:
                first, end = file.bounds(index)
                found[index] = memoryview(body)[first - start : end - start]
                self._folder.add(file.name(index), found[index])
        return found

    def _runs(self, indexes: Iterable[int]) -> Iterator[range]:
        """Ascending indexes as ranges of neighbours, each of at most one request."""
        longest = max(1, REQUEST_BYTES // self._block_bytes)
        run = range(0)
        for index in indexes:
            if run and (index != run.stop or len(run) == longest):
                yield run
                run = range(0)
            run = range(run.start if run else index, index + 1)
        if run:
            yield run

    def _start(self) -> None:
        for _ in range(self._concurrency):
            # A thread that waits for a store must not keep a process alive that is done.
            self._threads.append(threading.Thread(target=self._work, name="prefetch", daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        while job := self._jobs.get():
            file, run = job
            with contextlib.suppress(StoreError):  # the read that needs these blocks meets it
                self._fetch_ahead(file, run)
            with self._lock:
                self._queued -= {file.name(index) for index in run}

    def _fetch_ahead(self, file: _File, run: range) -> None:
        """What nobody else is fetching of these blocks: with a queue before every lock, an outage would take many times longer."""
        patience = dataclasses.replace(self._patience, attempts=min(PREFETCH_ATTEMPTS, self._patience.attempts))
        with self._folder.locked(file.number, run.start, run.stop, wait=False) as alone:
            if alone:
                self._fetch_locked(file, run, patience)
                return
        if len(run) > 1:
            for index in run:
                self._fetch_ahead(file, range(index, index + 1))
