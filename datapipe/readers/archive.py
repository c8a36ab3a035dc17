"""Records of a web archive, WARC (ISO 28500, and its drafts from 0.9 on) or ARC, one after the other from an uncompressed stream.

Unusual: written here and not taken from FastWARC, which takes headers with bare line feeds for one long value and loses the file from
there on, does not know names in lower case (several crawlers write them), and reads no ARC. Its lenient mode reads the first kind, but
passes over junk in silence. About 10 us a record; a page costs a hundred times that later.

Lenient in what costs nothing: line ends, folded and repeated headers (the first counts), missing or additional blank lines between
records. A record is bad when its header does not parse or its block is shorter than it says.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from datapipe.readers import arc

MAX_HEADER_BYTES = 64 << 10
MAX_BLANK_LINES = 1000
SKIP_BYTES = 1 << 20
HEAD = re.compile(rb"\s*(?:WARC/\d|[A-Za-z][A-Za-z0-9+.-]{1,20}:\S)")  # how the content of a member with records begins
_VERSION = re.compile(rb"WARC/\d{1,2}\.\d{1,2}[ \t]*\r?\n")
_VERSION_CUT = re.compile(rb"W(A(R(C(/[\d. \t\r]*)?)?)?)?|[A-Za-z][A-Za-z0-9+.-]{1,20}:\S[^\n]*")
_WARC_START = re.compile(rb"WARC/\d{1,2}\.\d{1,2}[ \t]*\r?\n(?=WARC-|Content-)", re.IGNORECASE)
_LENGTH = re.compile(r"\d{1,15}")


class BadRecord(Exception):
    """The record at `start` has no sound header or a short block. `is_cut`: because the stream ends in it."""

    def __init__(self, start: int, is_cut: bool) -> None:
        super().__init__(start, is_cut)
        self.start, self.is_cut = start, is_cut


class Record(NamedTuple):
    """Where a record lies in its stream, and its headers: names in lower case, of a repeated one the first."""

    start: int
    headers: dict[str, str]
    block_start: int
    block_bytes: int

    @property
    def kind(self) -> str:
        return self.headers.get("warc-type", "").lower()

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


def records(stream: BinaryIO, end: int | None = None) -> Iterator[Record]:
    """The records from the stream's position on. Raises BadRecord, for a short block when the next record is asked for.

    While a record is the current one, its block can be read from the stream. `end` is where a seekable stream ends; of others blocks
    are read and forgotten.
    """
    while line := _first_line(stream):
        start = stream.tell() - len(line)
        headers = _headers(stream, line, start)
        length, block_start = headers.get("content-length", ""), stream.tell()
        if not _LENGTH.fullmatch(length):
            raise BadRecord(start, is_cut=False)
        block_bytes = int(length)
        if end is not None and block_start + block_bytes > end:
            raise BadRecord(start, is_cut=True)
        yield Record(start, headers, block_start, block_bytes)
        if not _skip_to(stream, block_start + block_bytes, end is not None):
            raise BadRecord(start, is_cut=True)


def read_block(stream: BinaryIO, record: Record) -> bytes:
    """The whole block of the current record. Raises BadRecord when it is short."""
    block = stream.read(record.block_bytes)
    if len(block) < record.block_bytes:
        raise BadRecord(record.start, is_cut=True)
    return block


def start_pattern(stream: BinaryIO) -> tuple[re.Pattern[bytes], int]:
    """How records of this uncompressed file begin, behind damage, and the most bytes that takes. Moves the stream."""
    stream.seek(0)
    is_arc = stream.read(len(arc.VERSION_BLOCK)) == arc.VERSION_BLOCK.encode()
    return (arc.RECORD_START, arc.RECORD_START_BYTES) if is_arc else (_WARC_START, 64)


def _first_line(stream: BinaryIO) -> bytes:
    """The next line that is not blank; empty at the end."""
    for _ in range(MAX_BLANK_LINES):
        line = stream.readline(MAX_HEADER_BYTES)
        if not line or line.strip(b"\r\n"):
            return line
    return line


def _headers(stream: BinaryIO, line: bytes, start: int) -> dict[str, str]:
    if (found := arc.headers(line)) is not None:
        return found
    if not _VERSION.fullmatch(line):
        raise BadRecord(start, is_cut=not line.endswith(b"\n") and bool(_VERSION_CUT.fullmatch(line)))
    headers: dict[str, str] = {}
    name, num_bytes = "", 0
    while (line := stream.readline(MAX_HEADER_BYTES)).strip(b"\r\n"):
        num_bytes += len(line)
        if num_bytes > MAX_HEADER_BYTES:
            raise BadRecord(start, is_cut=False)
        text = line.decode("utf-8", "replace")
        if text[0] in " \t":  # goes on from the line before
            if name:
                headers[name] = f"{headers[name]} {text.strip()}"
            continue
        before, colon, value = text.partition(":")
        name = before.strip().lower() if colon else ""
        if name in headers:
            name = ""
        if name:
            headers[name] = value.strip()
    if not line:
        raise BadRecord(start, is_cut=True)
    return headers


def _skip_to(stream: BinaryIO, position: int, is_seekable: bool) -> bool:
    """Whether the stream has a byte at every place before `position`; leaves it there."""
    if is_seekable:
        stream.seek(position)
        return True
    while (left := position - stream.tell()) > 0:
        if not stream.read(min(left, SKIP_BYTES)):
            return False
    return True
