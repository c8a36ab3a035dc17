"""Reads from S3 that outlast what passes: one layer of retries, with a bound on requests and on time.

Throttling (429, 503), faults of the store (500, 502, 504), time-outs, lost connections and cut bodies are asked again: at most 8 requests,
pauses of 0.5 s doubled up to 16 s, each drawn between half and all of that so that ranks do not come back together; none begins
later than a minute after the first. So a store that always throttles costs 24 to 48 s and one that never answers at most 80 s, then a
StoreError says what was asked how often. What does not pass (a key that is not there, a refused credential) fails at once.

Below this, aiohttp asks once more, at once, when a connection is lost before an answer begins; s3fs and botocore do not.

A read names the ETag it expects, so the bytes of one stream are of one object. Not covered: a connection that trickles (the time-out is for
the next bytes, not for all), `Retry-After`.
"""

import functools
import io
import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from datapipe import s3
from datapipe.stored import FileInfo, StoreError

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long a read waits, and how often it asks again."""

    attempts: int = 8
    total_seconds: float = 60  # no attempt begins later
    read_seconds: float = 20  # for the next bytes of an answer
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 16

    def pause_after(self, attempt: int) -> float:
        """Seconds before attempt `attempt + 1`."""
        longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** (attempt - 1))
        return longest * random.uniform(0.5, 1)


PATIENCE = Patience()


class _Cut(ConnectionError):
    """The store sent fewer bytes than it has."""


def read_range(path: str, start: int, stop: int, *, etag: str = "", patience: Patience | None = None) -> bytes:
    """Bytes [start, stop) of an object. Raises StoreError when it cannot be had, ends before `stop`, or is not of this ETag."""
    if start >= stop:
        return b""
    bucket, key = s3.bucket_and_key(path)
    request = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{stop - 1}"}
    if etag:
        request["IfMatch"] = f'"{etag}"'

    async def whole_body(files: Any) -> tuple[bytes, str]:
        answer = await files._call_s3("get_object", **request)  # the coroutines of s3fs are public under these names
        async with answer["Body"] as body:
            return await body.read(), str(answer.get("ContentRange", ""))

    def ask(files: Any) -> bytes:
        from fsspec.asyn import sync

        data, content_range = sync(files.loop, whole_body, files)
        if len(data) != stop - start:
            _, _, size = content_range.rpartition("/")
            if size.isdigit() and int(size) < stop:
                raise StoreError(path, f"ends at byte {size}, {stop} are needed", s3.TOO_SHORT)
            raise _Cut(f"sent {len(data)} bytes of {stop - start}")
        return data

    return _insist(path, f"bytes {start} to {stop}", ask, patience or PATIENCE)


def stat(path: str, *, patience: Patience | None = None) -> FileInfo:
    """Size and ETag of an object. Raises StoreError when it cannot be had."""
    bucket, key = s3.bucket_and_key(path)

    def ask(files: Any) -> FileInfo:
        head = files.call_s3("head_object", Bucket=bucket, Key=key)
        return FileInfo(path, int(head["ContentLength"]), str(head.get("ETag", "")).strip('"'))

    return _insist(path, "size and ETag", ask, patience or PATIENCE)


def open_stream(path: str) -> io.RawIOBase:
    """An object as a stream, of which every read is one request."""
    info = stat(path)
    return RangeStream(info.size_bytes, functools.partial(read_range, path, etag=info.etag))


class RangeStream(io.RawIOBase):
    """A seekable file of `size_bytes` whose bytes [start, stop) are `fetch(start, stop)`. For one thread."""

    def __init__(self, size_bytes: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size_bytes = size_bytes
        self._fetch = fetch
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origins = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}
        self._position = origins[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        start, end = self._position, self._size_bytes
        stop = end if size is None or size < 0 else min(end, start + size)
        data = self._fetch(start, stop) if start < stop else b""
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _insist(path: str, what: str, ask: Callable[[Any], Answer], patience: Patience) -> Answer:
    """What `ask` gets from S3, asked again while the refusal may pass and patience lasts."""
    files = s3.file_system(read_seconds=patience.read_seconds)
    started, attempt = time.monotonic(), 0
    while True:
        attempt += 1
        try:
            return ask(files)
        except s3.refusals() as error:
            if not s3.may_pass(error):
                raise s3.refusal(path, error) from error
            waited, pause = time.monotonic() - started, patience.pause_after(attempt)
            if attempt == patience.attempts or waited + pause > patience.total_seconds:
                raise StoreError(
                    path,
                    f"no {what} in {attempt} attempts over {waited:.1f} s; the last answer: {s3.said(error)}",
                    s3.remedy_for_outage(error),
                ) from error
            log.warning("%s: no %s: %s; attempt %d in %.1f s", path, what, s3.said(error), attempt + 1, pause)
        time.sleep(pause)
