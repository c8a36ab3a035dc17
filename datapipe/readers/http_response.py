"""An HTTP response as crawlers store it: status, headers and the body with its transfer and content codings undone.

Lenient where crawls are: line ends may be bare LF, the version may be that of HTTP/2, interim answers (100, 103) may stand before the
final one, and a coding that the header names but the body does not have (crawlers store decoded bodies under the original header) is
taken as already undone. A cut body gives what came before the cut. Codings: gzip, deflate, br, zstd, chunked. Not covered: `compress` and
codings with a shared dictionary, which are errors.
"""

import re
import zlib
from typing import NamedTuple

import pyarrow as pa

from datapipe.readers.compression import ZSTD_MAGIC

MAX_CODINGS = 4
MAX_HEAD_BYTES = 256 << 10  # servers refuse far less; hostile ones send megabytes
MAX_INTERIM = 4
PIECE_BYTES = 64 << 10
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b|ICY (\d{3})\b")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))  # what no text has (\x1b begins ISO-2022 escapes)
_CHUNK_SIZE = re.compile(rb"(?:\r?\n)?[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class Response(NamedTuple):
    status: int
    headers: dict[str, str]  # names in lower case; of a repeated name the first
    body: bytes


class BodyError(Exception):
    """The body breaks in the middle of a coding."""


def parse(block: bytes, max_body_bytes: int) -> Response | None:
    """The response in `block`, None when it does not begin like one.

    A body that decodes to more than `max_body_bytes` comes back cut, one byte longer than that. Raises BodyError.
    """
    start = 0
    for _ in range(MAX_INTERIM):
        status = _STATUS.match(block, start)
        if not status:
            return None
        end = _HEADER_END.search(block, start, start + MAX_HEAD_BYTES)
        if not end and len(block) - start > MAX_HEAD_BYTES:
            raise BodyError(f"HTTP headers of more than {MAX_HEAD_BYTES} bytes")
        code, head, body_start = int(status[1] or status[2]), block[start : end and end.start()], end and end.end()
        if not 100 <= code < 200 or body_start is None or not _STATUS.match(block, body_start):
            break
        start = body_start
    body = block[body_start:] if body_start is not None else b""
    headers = _headers(head)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _join_chunks(body)
    codings = [coding.strip() for coding in headers.get("content-encoding", "").lower().split(",")]
    for coding in reversed(codings[:MAX_CODINGS]):
        body = _undo(coding, body, max_body_bytes + 1)
    return Response(code, headers, body[: max_body_bytes + 1])


def _headers(head: bytes) -> dict[str, str]:
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", head)
    headers: dict[str, str] = {}
    for line in unfolded.splitlines()[1:]:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers


def _join_chunks(body: bytes) -> bytes:
    """RFC 9112 §7.1; a body that does not begin with a chunk comes back as it is."""
    chunks, position, found = bytearray(), 0, False
    while match := _CHUNK_SIZE.match(body, position):
        found, size = True, int(match[1], 16)
        if not size:
            break
        chunks += body[match.end() : match.end() + size]
        position = match.end() + size
    return bytes(chunks) if found else body


def _undo(coding: str, body: bytes, max_bytes: int) -> bytes:
    if coding in ("", "identity"):
        return body
    if coding in ("gzip", "x-gzip"):
        return _gunzip(body, max_bytes) if body.startswith(b"\x1f\x8b") else body
    if coding == "deflate":
        return _inflate_either(body, max_bytes)
    if coding == "br":
        return _brotli(body, max_bytes)
    if coding == "zstd" and body.startswith(ZSTD_MAGIC):
        return _zstd(body, max_bytes)
    return _already_decoded(body)


def _inflate(body: bytes, max_bytes: int, wbits: int) -> bytes:
    try:
        return zlib.decompressobj(wbits).decompress(body, max_bytes)
    except zlib.error as error:
        raise BodyError(f"content coding: {error}") from error


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """All members (RFC 9110 §8.4.1.3 names the format of RFC 1952, which may have several); what follows them is left out."""
    parts, size = [], 0
    while body.startswith(b"\x1f\x8b") and size < max_bytes:
        decompressor = zlib.decompressobj(31)
        try:
            parts.append(decompressor.decompress(body, max_bytes - size))
        except zlib.error as error:
            if not parts:
                raise BodyError(f"content coding: {error}") from error
            break
        size, body = size + len(parts[-1]), decompressor.unused_data
    return b"".join(parts)


def _inflate_either(body: bytes, max_bytes: int) -> bytes:
    """`deflate` means zlib (RFC 9110 §8.4.1.2); some servers send the bare stream, and some crawlers store the decoded body."""
    for wbits in (15, -15):
        try:
            return _inflate(body, max_bytes, wbits)
        except BodyError:
            continue
    return _already_decoded(body)


def _brotli(body: bytes, max_bytes: int) -> bytes:
    stream, parts, size = pa.CompressedInputStream(pa.BufferReader(body), "brotli"), [], 0
    try:
        while size < max_bytes and (part := stream.read(min(PIECE_BYTES, max_bytes - size))):
            parts.append(part)
            size += len(part)
    except OSError:
        if not parts:
            return _already_decoded(body)
    return b"".join(parts)


def _zstd(body: bytes, max_bytes: int) -> bytes:
    """RFC 8878, of which RFC 9659 limits the window to 8 MiB on the web."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=8 << 20)
    try:
        return decompressor.stream_reader(body, read_across_frames=True).read(max_bytes)
    except zstandard.ZstdError as error:
        raise BodyError(f"content coding: {error}") from error


def _already_decoded(body: bytes) -> bytes:
    """The body, if it reads like text; not every coding has a magic number to look for."""
    head = body[:1024]
    if len(head.translate(None, _CONTROLS)) < len(head):
        raise BodyError("content coding: cut or damaged")
    return body
