"""An HTTP/1 response as crawlers store it: status, headers and the body with its transfer and content codings undone.

Lenient where crawls are: line ends may be bare LF, and a coding that the header names but the body does not have (crawlers store decoded
bodies under the original header) is taken as already undone. A cut body gives what came before the cut.
"""

import io
import re
import zlib
from typing import NamedTuple

MAX_CODINGS = 4
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b|ICY (\d{3})\b")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))  # what no text has (\x1b begins ISO-2022 escapes)
_CHUNK_SIZE = re.compile(rb"(?:\r?\n)?[ \t]*([0-9a-fA-F]{1,8})[^\r\n]*\r?\n")


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
    status = _STATUS.match(block)
    if not status:
        return None
    end = _HEADER_END.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    headers = _headers(head)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _join_chunks(body)
    codings = [coding.strip() for coding in headers.get("content-encoding", "").lower().split(",")]
    for coding in reversed(codings[:MAX_CODINGS]):
        body = _undo(coding, body, max_body_bytes + 1)
    return Response(int(status[1] or status[2]), headers, body[: max_body_bytes + 1])


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
    chunks, position = [], 0
    while match := _CHUNK_SIZE.match(body, position):
        size = int(match[1], 16)
        if not size:
            break
        chunks.append(body[match.end() : match.end() + size])
        position = match.end() + size
    return b"".join(chunks) if chunks or match else body


def _undo(coding: str, body: bytes, max_bytes: int) -> bytes:
    if coding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
        return _inflate(body, max_bytes, wbits=31)
    if coding == "deflate":
        return _inflate_either(body, max_bytes)
    if coding == "br":
        return _brotli(body, max_bytes)
    return body


def _inflate(body: bytes, max_bytes: int, wbits: int) -> bytes:
    try:
        return zlib.decompressobj(wbits).decompress(body, max_bytes)
    except zlib.error as error:
        raise BodyError(f"content coding: {error}") from error


def _inflate_either(body: bytes, max_bytes: int) -> bytes:
    """`deflate` means zlib (RFC 9110 §8.4.1.2); some servers send the bare stream, and some crawlers store the decoded body."""
    for wbits in (15, -15):
        try:
            return _inflate(body, max_bytes, wbits)
        except BodyError:
            continue
    return _already_decoded(body)


def _brotli(body: bytes, max_bytes: int) -> bytes:
    from fastwarc.stream_io import BrotliReader

    try:
        return BrotliReader(io.BytesIO(body)).read(max_bytes)
    except OSError:
        return _already_decoded(body)


def _already_decoded(body: bytes) -> bytes:
    """The body, if it reads like text; these codings have no magic number to look for."""
    head = body[:1024]
    if len(head.translate(None, _CONTROLS)) < len(head):
        raise BodyError("content coding: cut or damaged")
    return body
