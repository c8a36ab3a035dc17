"""WARC and ARC files, plain or compressed record by record (gzip, zstd with or without a dictionary): one document per stored page.

Documents come from `response` records (HTML), and from `resource` and `conversion` records (HTML, plain text). `text` is the decoded page,
before extraction. Requests, metadata and warcinfo are not counted; every other record that is no page is, under one of

    warc.status      not 200: redirects, errors                 warc.too_large  over `max_record_bytes`; never held in memory
    warc.not_html    images, scripts, DNS answers               warc.truncated  the file ends inside the record
    warc.revisit     the same as at an earlier visit            warc.damaged    broken compression, header, length or coding
    warc.empty       no body                                    warc.unknown    a type of record that the standard does not name
    warc.segment     a piece of a record stored in segments

Unusual: each compressed member is read by itself, so damage costs the record it is in and no other; reading goes on at the next member
(in a plain file at the next line that begins a record). A cut or damaged member is dropped even if its record looks whole. Offsets are
those of the file as it lies there; where a member holds several records, `meta` says which one it is (`record`, from 0) and
`raw.length` is null. A page that the crawler cut has `truncated` in `meta`. Not covered: joining segments; one file is read by one task.
"""

import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from datapipe import store
from datapipe.readers import archive, compression, http_response
from datapipe.readers.archive import BadRecord, Record, records
from datapipe.readers.charset import decode
from datapipe.readers.compression import Codec, Member, MemberError
from datapipe.readers.places import Place, contents
from datapipe.readers.split import Input, Row

SUFFIXES = tuple(kind + packed for kind in (".warc", ".wet", ".arc") for packed in ("", ".gz", ".zst"))
HTML_TYPES = ("text/html", "application/xhtml+xml")
DOCUMENT_RECORDS = ("response", "resource", "conversion")
OTHER_RECORDS = ("warcinfo", "request", "metadata")
LICENSE_HEADER = "x-license"  # an SPDX expression; written by `tokenloom sample`
_HTML_START = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


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


def read_at(source: Input, places: Iterable[Place], *, max_record_bytes: int = 16 << 20) -> Iterator[tuple[Place, Row]]:
    """The rows of some records of one file, as `read` gave them; others of the file are not read."""
    ordered = sorted(places, key=lambda place: place.offset)
    codec: Codec | None = None  # of the file, with its dictionary; needed for zstd alone
    for place, data in contents(source.path, [place for place in ordered if place.length is not None]):
        its_codec = compression.sniff(io.BytesIO(data))
        if its_codec and its_codec.name == "zstd":
            codec = its_codec = codec or _codec(source.path)
        yield from _some(io.BytesIO(data), 0, its_codec, [place], source, max_record_bytes)
    large = [place for place in ordered if place.length is None]
    if large:
        with store.open_input(source.path) as stream:
            codec = compression.sniff(stream)
            for offset, group in itertools.groupby(large, key=lambda place: place.offset):
                yield from _some(stream, offset, codec, list(group), source, max_record_bytes)


def _codec(path: str) -> Codec | None:
    with store.open_input(path, read_ahead=False) as stream:
        return compression.sniff(stream)


def _some(
    stream: BinaryIO, start: int, codec: Codec | None, places: list[Place], source: Input, max_bytes: int
) -> Iterator[tuple[Place, Row]]:
    """Records of one member, of which all `places` are; what is no longer there as it was is not given."""
    wanted = {place.record: place for place in places}
    stream.seek(start)
    content = io.BufferedReader(Member(stream, start, codec)) if codec else stream
    try:
        for index, record in enumerate(itertools.islice(records(content), max(wanted) + 1)):
            if place := wanted.get(index):
                row = _document(content, record, source.name, place.offset, index, max_bytes)
                if row:
                    yield place, row
    except (MemberError, BadRecord):
        return


def _compressed(stream: BinaryIO, codec: Codec, source: Input, max_bytes: int) -> Iterator[Row]:
    position: int | None = 0
    while position is not None and _has_more(stream, position):
        member = Member(stream, position, codec)
        content = io.BufferedReader(member, compression.READ_BYTES)
        held: Row | None = None  # a record counts once its member is known to be whole, or the next record has begun
        index = -1
        try:
            for index, record in enumerate(records(content)):
                if held:
                    yield held
                held = None  # given; what follows may raise
                held = _document(content, record, source.name, position, index, max_bytes)
            end = member.skip_to_end()
        except (MemberError, BadRecord) as error:
            following = compression.find_member(stream, position + 1, codec, archive.HEAD)
            is_cut = isinstance(error, MemberError) and error.reason == "truncated" and following is None
            yield _broken(source.name, position, "truncated" if is_cut else "damaged")
            position = following
            continue
        if held:
            yield held if index else _ending_at(held, end)
        position = end


def _plain(stream: BinaryIO, source: Input, max_bytes: int) -> Iterator[Row]:
    file_bytes = stream.seek(0, io.SEEK_END)
    pattern, pattern_bytes = archive.start_pattern(stream)
    position: int | None = 0
    while position is not None and position < file_bytes:
        stream.seek(position)
        held: Row | None = None  # its length is known when the next record begins
        try:
            for record in records(stream, file_bytes):
                if held:
                    yield _ending_at(held, record.start)
                held = None  # given; what follows may raise
                held = _document(stream, record, source.name, record.start, 0, max_bytes)
            if held:
                yield _ending_at(held, file_bytes)
            position = None
        except BadRecord as error:
            if held:
                yield _ending_at(held, error.start)
            position = next(compression.find_all(stream, error.start + 1, pattern, pattern_bytes), None)
            yield _broken(source.name, error.start, "truncated" if error.is_cut and position is None else "damaged")


def _ending_at(row: Row, end: int) -> Row:
    return {**row, "raw": {**row["raw"], "length": end - row["raw"]["offset"]}}


def _has_more(stream: BinaryIO, position: int) -> bool:
    stream.seek(position)
    return bool(stream.read(1))


def _document(stream: BinaryIO, record: Record, file: str, offset: int, index: int, max_bytes: int) -> Row | None:
    """The row of a record, None for kinds that are never documents. Reads the record's block, if that is not over `max_bytes`."""
    if not record.kind:
        raise BadRecord(record.start, is_cut=False)
    if record.kind in OTHER_RECORDS:
        return None
    row: Row = {
        "origin": record.headers.get("warc-target-uri", "").strip("<> ") or _origin(file, offset, index),
        "license": record.headers.get(LICENSE_HEADER),
        "raw": {"file": file, "offset": offset, "length": None},
        "meta": {"record": index} if index else {},
    }
    if record.kind == "revisit":
        return _dropped(row, "revisit")
    if record.kind == "continuation" or "warc-segment-number" in record.headers:
        return _dropped(row, "segment", number=record.headers.get("warc-segment-number"))
    if record.kind not in DOCUMENT_RECORDS:
        return _dropped(row, "unknown", type=record.kind[:100])
    if record.block_bytes > max_bytes:
        return _dropped(row, "too_large", record_bytes=record.block_bytes)
    block = archive.read_block(stream, record)
    if record.kind == "response":
        return _from_response(row, block, record, max_bytes)
    return _from_page(row, block, record.content_type, (*HTML_TYPES, "text/plain"), record)


def _origin(file: str, offset: int, index: int) -> str:
    return f"{file}#{offset}.{index}" if index else f"{file}#{offset}"


def _from_response(row: Row, block: bytes, record: Record, max_bytes: int) -> Row:
    if not block:
        return _dropped(row, "empty")
    if not record.content_type.lower().startswith("application/http"):
        return _dropped(row, "not_html", content_type=record.content_type)
    try:
        response = http_response.parse(block, max_bytes)
    except http_response.BodyError as error:
        return _dropped(row, "damaged", error=str(error))
    if response is None:
        if _HTML_START.match(block):  # HTTP/0.9 has neither status nor headers
            return _from_page(row, block, "", HTML_TYPES, record)
        return _dropped(row, "damaged", error="no HTTP status line")
    if response.status != 200:
        return _dropped(row, "status", status=response.status)
    if len(response.body) > max_bytes:
        return _dropped(row, "too_large", body_bytes_over=max_bytes)
    return _from_page(row, response.body, response.headers.get("content-type", ""), HTML_TYPES, record)


def _from_page(row: Row, body: bytes, content_type: str, types: tuple[str, ...], record: Record) -> Row:
    if not body.strip():
        return _dropped(row, "empty")
    essence = content_type.partition(";")[0].strip().lower()
    if essence not in types and (essence or not _HTML_START.match(body)):
        return _dropped(row, "not_html", content_type=essence)
    text, charset = decode(body, content_type)
    meta = {**row["meta"], "charset": charset, "date": record.headers.get("warc-date")}
    if cut := record.headers.get("warc-truncated"):
        meta["truncated"] = cut
    return {**row, "text": text, "meta": json.dumps(meta)}


def _dropped(row: Row, reason: str, **meta: Any) -> Row:
    return {**row, "text": "", "drop_reason": f"warc.{reason}", "meta": json.dumps({**row["meta"], **meta})}


def _broken(file: str, offset: int, reason: str) -> Row:
    row = {"origin": f"{file}#{offset}", "raw": {"file": file, "offset": offset, "length": None}, "meta": {}}
    return _dropped(row, reason, offset=offset)
