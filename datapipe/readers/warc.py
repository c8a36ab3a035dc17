"""WARC files, plain or compressed record by record (gzip, zstd): one document per stored page.

Documents come from `response` records (HTML), and from `resource` and `conversion` records (HTML, plain text). `text` is the decoded page,
before extraction. Requests, metadata and their like are not counted; every other record that is no page is, under one of

    warc.status      not 200: redirects, errors                 warc.too_large  over `max_record_bytes`; never held in memory
    warc.not_html    images, scripts, DNS answers               warc.truncated  the file ends inside the record
    warc.revisit     the same as at an earlier visit            warc.damaged    broken compression, header, length or coding
    warc.empty       no body

Unusual: each compressed member is read by itself, so damage costs the record it is in and no other; reading goes on at the next member
(in a plain file at the next `WARC/1.`). A cut or damaged member is dropped even if its record looks whole. Offsets are those of the file
as it lies there, so a page can be cut out again. Not covered: records in segments (`continuation`), zstd dictionaries, ARC files.
"""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from datapipe import store
from datapipe.readers import compression, http_response
from datapipe.readers.charset import decode
from datapipe.readers.compression import Codec, Member, MemberError
from datapipe.readers.split import Input, Pattern, Row, files

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

SUFFIXES = (".warc", ".warc.gz", ".warc.zst", ".wet", ".wet.gz", ".wet.zst")
HTML_TYPES = ("text/html", "application/xhtml+xml")
DOCUMENT_RECORDS = ("response", "resource", "conversion", "revisit")
LICENSE_HEADER = "X-License"  # an SPDX expression; written by `tokenloom sample`
_RECORD_START = re.compile(rb"WARC/1\.\d\r?\n(?=WARC-|Content-)")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
MAX_HEADER_BYTES = 32 << 10  # of fastwarc
_HTML_START = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


class _BadRecord(Exception):
    """A header that does not parse, or a block shorter than it says."""


def find(pattern: Pattern) -> list[Input]:
    return files(pattern, SUFFIXES)


def read(source: Input, *, max_record_bytes: int = 16 << 20) -> Iterator[Row]:
    """The pages of one file, and its bad records with their reasons.

    `max_record_bytes` limits a record as it is stored, and its page after content codings are undone.
    """
    with store.open_input(source.path) as stream:
        codec = compression.sniff(stream)
        if codec:
            yield from _compressed(stream, codec, source, max_record_bytes)
        else:
            yield from _plain(stream, source, max_record_bytes)


def _compressed(stream: BinaryIO, codec: Codec, source: Input, max_bytes: int) -> Iterator[Row]:
    position: int | None = 0
    while position is not None and _has_more(stream, position):
        member = Member(stream, position, codec)
        held: Row | None = None  # a record counts once its member is known to be whole, or the next record has begun
        try:
            for record in _records(member):
                if held:
                    yield held
                held = _document(record, source.name, position, max_bytes)
            end = member.skip_to_end()
        except (MemberError, _BadRecord) as error:
            following = compression.find_member(stream, position + 1, codec, b"WARC/")
            is_cut = isinstance(error, MemberError) and error.reason == "truncated" and following is None
            yield _broken(source.name, position, "truncated" if is_cut else "damaged")
            position = following
            continue
        if held:
            yield _ending_at(held, end)
        position = end


def _plain(stream: BinaryIO, source: Input, max_bytes: int) -> Iterator[Row]:
    file_bytes = stream.seek(0, 2)
    position: int | None = 0
    while position is not None and position < file_bytes:
        stream.seek(position)
        held: Row | None = None  # its length is known when the next record begins
        at, record_at, block_bytes = position, None, 0  # nothing before offset `at` is in doubt
        try:
            for record in _records(stream):
                if held:
                    yield _ending_at(held, record.stream_pos)
                    held = None
                at = record_at = record.stream_pos
                block_bytes = _declared_bytes(record)
                if at + block_bytes > file_bytes:
                    raise _BadRecord
                held = _document(record, source.name, at, max_bytes)
                at += block_bytes  # a lower bound: the header comes on top
            if record_at is not None and _block_start(stream, record_at) + block_bytes > file_bytes:
                raise _BadRecord  # in a record that is no document, so its block was not read
            position = None
            if held:
                yield _ending_at(held, file_bytes)
        except _BadRecord:
            position = next(compression.find_all(stream, at + 1, _RECORD_START), None)
            if held:
                yield held
            yield _broken(source.name, at, "truncated" if position is None and record_at is not None else "damaged")


def _block_start(stream: BinaryIO, record_at: int) -> int:
    stream.seek(record_at)
    end = _HEADER_END.search(stream.read(MAX_HEADER_BYTES))
    return record_at + (end.end() if end else 0)


def _ending_at(row: Row, end: int) -> Row:
    return {**row, "raw": {**row["raw"], "length": end - row["raw"]["offset"]}}


def _has_more(stream: BinaryIO, position: int) -> bool:
    stream.seek(position)
    return bool(stream.read(1))


def _records(stream: Any) -> Iterator["WarcRecord"]:
    """The records of an uncompressed stream. Raises _BadRecord where one does not begin as it must."""
    from fastwarc.warc import ArchiveIterator

    try:
        yield from ArchiveIterator(stream, parse_http=False, stream_detect=False, fsspec_args=False)
    except OSError as error:
        if error.errno is not None:  # the operating system's, not the parser's
            raise
        raise _BadRecord from error


def _declared_bytes(record: "WarcRecord") -> int:
    declared = record.headers.get("Content-Length") or ""
    if not re.fullmatch(r"\d{1,15}", declared):
        raise _BadRecord
    return int(declared)


def _document(record: "WarcRecord", file: str, offset: int, max_bytes: int) -> Row | None:
    """The row of a record, None for kinds that are never documents. Reads the record's block, if that is not over `max_bytes`."""
    block_bytes = _declared_bytes(record)
    if str(record.record_type) not in DOCUMENT_RECORDS:
        return None
    row: Row = {
        "origin": (record.headers.get("WARC-Target-URI") or f"{file}#{offset}").strip("<>"),
        "license": record.headers.get(LICENSE_HEADER),
        "raw": {"file": file, "offset": offset, "length": None},
    }
    if str(record.record_type) == "revisit":
        return _dropped(row, "revisit")
    if block_bytes > max_bytes:
        return _dropped(row, "too_large", record_bytes=block_bytes)
    block = record.reader.read()
    if len(block) < block_bytes:
        raise _BadRecord
    if str(record.record_type) == "response":
        return _from_response(row, block, record, max_bytes)
    types = (*HTML_TYPES, "text/plain")
    return _from_page(row, block, record.headers.get("Content-Type") or "", types, record)


def _from_response(row: Row, block: bytes, record: "WarcRecord", max_bytes: int) -> Row:
    if not block:
        return _dropped(row, "empty")
    if not (record.headers.get("Content-Type") or "").startswith("application/http"):
        return _dropped(row, "not_html", content_type=record.headers.get("Content-Type"))
    try:
        response = http_response.parse(block, max_bytes)
    except http_response.BodyError as error:
        return _dropped(row, "damaged", error=str(error))
    if response is None:
        return _dropped(row, "damaged", error="no HTTP status line")
    if response.status != 200:
        return _dropped(row, "status", status=response.status)
    if len(response.body) > max_bytes:
        return _dropped(row, "too_large", body_bytes_over=max_bytes)
    return _from_page(row, response.body, response.headers.get("content-type", ""), HTML_TYPES, record)


def _from_page(row: Row, body: bytes, content_type: str, types: tuple[str, ...], record: "WarcRecord") -> Row:
    if not body.strip():
        return _dropped(row, "empty")
    essence = content_type.partition(";")[0].strip().lower()
    if essence not in types and (essence or not _HTML_START.match(body)):
        return _dropped(row, "not_html", content_type=essence)
    text, charset = decode(body, content_type)
    meta = {"charset": charset, "date": record.headers.get("WARC-Date")}
    return {**row, "text": text, "meta": json.dumps(meta)}


def _dropped(row: Row, reason: str, **meta: Any) -> Row:
    return {**row, "text": "", "drop_reason": f"warc.{reason}", "meta": json.dumps(meta)}


def _broken(file: str, offset: int, reason: str) -> Row:
    row = {"origin": f"{file}#{offset}", "raw": {"file": file, "offset": offset, "length": None}}
    return _dropped(row, reason, offset=offset)
