"""Compressed inputs, member by member, told by their first bytes and not by their names: gzip, zstd, bzip2, xz.

Unusual: a member (a gzip member, a zstd frame) is decompressed by itself, so its end in the file is known to the byte, a cut or damaged
one is told from a whole one, and the next can be found behind it. Memory is bounded: 64 KiB are read and about 1 MiB is decompressed
at a time (zstd can reach 16 MiB on hostile data), beside the window that a zstd frame asks for: 8 MiB by default, 2 GiB in public dumps
that were packed with `--long=31`. A zstd file may begin with its dictionary, as archives of crawls do (Zstandard Compression for WARC
Files 1.0). Skippable zstd frames are members without content. Not covered: zstd dictionaries that lie elsewhere, lz4.
"""

import bz2
import functools
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

READ_BYTES = 64 << 10
HEAD_BYTES = 64  # of a member, to tell what it holds
OUTPUT_BYTES = 1 << 20
MAX_DICTIONARY_BYTES = 16 << 20
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"  # of the skippable frame that holds it
ZSTD_MAX_WINDOW_BYTES = 1 << 31  # the most that the library can; its default of 128 MiB refuses `--long=31`
ZSTD_BITE_BYTES = 512  # its decompressor has no output limit; a block is at least 4 bytes and gives at most 128 KiB


class MemberError(Exception):
    """The member at `offset` cannot be read to its end. `reason` is "truncated" (the file ends inside it) or "damaged"."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(offset, reason)
        self.offset, self.reason = offset, reason


class Codec(NamedTuple):
    name: str
    header: re.Pattern[bytes]  # how a member begins
    start: Callable[[], Any]  # a new decompressor, in the style of zlib.decompressobj
    error: Callable[[], type[Exception]]


def _zstd(dictionary: Any = None) -> Any:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=ZSTD_MAX_WINDOW_BYTES)
    return decompressor.decompressobj()


def _zstd_error() -> type[Exception]:
    import zstandard

    return cast(type[Exception], zstandard.ZstdError)


CODECS = (
    Codec("gzip", re.compile(rb"\x1f\x8b\x08[\x00-\x1f]"), lambda: zlib.decompressobj(wbits=31), lambda: zlib.error),
    Codec("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _zstd, _zstd_error),
    Codec("bzip2", re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2Decompressor, lambda: OSError),
    Codec("xz", re.compile(rb"\xfd7zXZ\0"), lzma.LZMADecompressor, lambda: lzma.LZMAError),
)


def sniff(stream: BinaryIO) -> Codec | None:
    """The codec of a seekable stream, by its first bytes; None when it is not compressed. Leaves the stream at 0.

    With a zstd dictionary at the beginning it is the codec for this file alone.
    """
    stream.seek(0)
    head = stream.read(16)
    dictionary = _dictionary(stream) if head.startswith(DICTIONARY_MAGIC) else None
    stream.seek(0)
    codec = next((codec for codec in CODECS if codec.header.match(head)), None)
    return codec._replace(start=functools.partial(_zstd, dictionary)) if codec and dictionary else codec


def _dictionary(stream: BinaryIO) -> Any:
    """What the skippable frame at the beginning holds, as it is or as a zstd frame; None when it cannot be read.

    Without it every member that needs it is damaged, and counted so.
    """
    import zstandard

    stream.seek(len(DICTIONARY_MAGIC))
    size_bytes = int.from_bytes(stream.read(4), "little")
    if not 0 < size_bytes <= MAX_DICTIONARY_BYTES:
        return None
    data = stream.read(size_bytes)
    try:
        if data.startswith(ZSTD_MAGIC):
            data = zstandard.ZstdDecompressor().stream_reader(data).read(MAX_DICTIONARY_BYTES)
        dictionary = zstandard.ZstdCompressionDict(data) if data else None
        _zstd(dictionary)  # refuses a damaged one
        return dictionary
    except zstandard.ZstdError:
        return None


def open_decompressed(stream: BinaryIO) -> BinaryIO:
    """What the seekable `stream` holds when it is compressed, else the stream itself. Reading may raise MemberError."""
    codec = sniff(stream)
    return io.BufferedReader(_Members(stream, codec), OUTPUT_BYTES) if codec else stream


class Member(io.RawIOBase):
    """The content of the member that begins at `start`. `end` is the offset behind it, known once it is read to its end."""

    def __init__(self, stream: BinaryIO, start: int, codec: Codec) -> None:
        self.start = start
        self.end: int | None = None
        self._stream, self._codec, self._decompressor = stream, codec, codec.start()
        self._content = self._decompressed(stream, start)
        self._ready = memoryview(b"")
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if not self._ready:
            self._ready = memoryview(next(self._content, b""))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        self._position += size
        return size

    def skip_to_end(self) -> int:
        """Read and forget the rest; returns the offset behind the member. Raises MemberError."""
        self._ready = memoryview(b"")
        for _ in self._content:
            pass
        assert self.end is not None
        return self.end

    def _decompressed(self, stream: BinaryIO, start: int) -> Iterator[bytes]:
        """Non-empty pieces of the content; sets `end` behind the last one."""
        stream.seek(start)
        num_read = 0
        waiting = b""
        while not self._decompressor.eof:
            if not waiting and getattr(self._decompressor, "needs_input", True):
                waiting = stream.read(READ_BYTES)
                num_read += len(waiting)
                if not waiting:
                    raise MemberError(start, "truncated")
            try:
                piece, waiting = self._feed(waiting)
            except self._codec.error() as error:
                raise MemberError(start, "damaged") from error
            if piece:
                yield piece
        self.end = start + num_read - len(self._decompressor.unused_data) - len(waiting)

    def _feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Some output, and what of `data` has not been taken in."""
        if self._codec.name == "zstd":
            return self._decompressor.decompress(data[:ZSTD_BITE_BYTES]), data[ZSTD_BITE_BYTES:]
        piece = self._decompressor.decompress(data, OUTPUT_BYTES)
        if self._decompressor.eof:  # zlib then shows the rest twice, here and as unused_data
            return piece, b""
        return piece, getattr(self._decompressor, "unconsumed_tail", b"")


class _Members(io.RawIOBase):
    """The members of a file one after the other."""

    def __init__(self, stream: BinaryIO, codec: Codec) -> None:
        self._stream, self._codec = stream, codec
        self._member = Member(stream, 0, codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (size := self._member.readinto(buffer)):
            end = self._member.skip_to_end()
            self._stream.seek(end)
            if not self._stream.read(1):
                return 0
            self._member = Member(self._stream, end, self._codec)
        return size


def find_member(stream: BinaryIO, start: int, codec: Codec, content: re.Pattern[bytes]) -> int | None:
    """The offset, `start` or later, of the next member whose content begins with `content`; None if there is none."""
    for offset in find_all(stream, start, codec.header):
        try:
            if content.match(io.BufferedReader(Member(stream, offset, codec)).read(HEAD_BYTES)):
                return offset
        except MemberError:
            continue
    return None


def find_all(stream: BinaryIO, start: int, pattern: re.Pattern[bytes], overlap: int = 64) -> Iterator[int]:
    """Offsets from `start` on where `pattern` (at most `overlap` bytes long) matches, in bounded memory."""
    position, last = start, -1
    while True:
        stream.seek(position)
        block = stream.read(OUTPUT_BYTES)
        for match in pattern.finditer(block):
            if position + match.start() > last:
                last = position + match.start()
                yield last
        if len(block) <= overlap:
            return
        position += len(block) - overlap
