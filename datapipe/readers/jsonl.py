"""JSON Lines, plain or compressed (gzip, zstd, bzip2, xz): one document per line.

A line that is no document is counted under `jsonl.invalid` (no JSON object), `jsonl.not_utf8`, `jsonl.no_text` (the text is missing,
empty or not a string) or `jsonl.too_long`; what is behind a cut or damage in a compressed file under `jsonl.truncated` or
`jsonl.damaged`, once. A line over `max_line_bytes` is skipped in pieces: a line of any length costs that many bytes and a copy, no
more. Blank lines are nothing. Offsets count in the decompressed file. An uncompressed file is read by several tasks, each from the first
line that begins in its range of bytes. Not covered: one JSON array over the whole file.

A compressed file is one task whatever its size: nothing in gzip or zstd says where a line begins before all of it is decompressed, and
zstd frames carry no index. So write shards of about 256 MiB of text each, as published corpora do, or leave large files
uncompressed: one of 10 GB compressed is hours of one core while the others wait.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from datapipe import store
from datapipe.readers.compression import MemberError, open_decompressed, sniff
from datapipe.readers.places import Place, contents
from datapipe.readers.records import Keys, document
from datapipe.readers.split import Input, Row

_TYPES = (".jsonl", ".ndjson", ".json")
SUFFIXES = tuple(kind + packed for kind in _TYPES for packed in ("", ".gz", ".zst", ".bz2", ".xz"))
PIECE_BYTES = 1 << 20
RANGE_BYTES = 64 << 20


def cut(file: Input) -> list[Input]:
    """Ranges of an uncompressed file; a compressed or small one is one input."""
    if file.size_bytes < 2 * RANGE_BYTES or _is_compressed(file.path):
        return [file]
    starts = range(0, file.size_bytes, RANGE_BYTES)
    return [file.range(start, min(RANGE_BYTES, file.size_bytes - start)) for start in starts]


def _is_compressed(path: str) -> bool:
    with store.open_input(path, read_ahead=False) as stream:
        return sniff(stream) is not None


def read(
    source: Input,
    *,
    text_key: str = "text",
    id_key: str | None = None,
    origin_key: str | None = None,
    license_key: str | None = None,
    lang_key: str | None = None,
    max_line_bytes: int = 32 << 20,
) -> Iterator[Row]:
    """The documents of one file, or of the lines that begin in a range of its bytes.

    `text_key` may name several keys, `question|problem`: the first that a record has counts; `*` is the whole record. The origin is
    the value of `origin_key`, else `file#id` with the value of `id_key`, else `file#offset` of the line.
    """
    keys = Keys(text_key, id_key, origin_key, license_key, lang_key)
    return rows(source, lambda line, offset: [_document(line, keys, source.name, offset)], max_line_bytes)


def rows(
    source: Input, parse: Callable[[bytes | bytearray | None, int], Iterable[Row]], max_line_bytes: int
) -> Iterator[Row]:
    """The rows that `parse` makes of each line and its offset, completed with where the line lies.

    `parse` gets None for a line over `max_line_bytes`. A row may set its own `origin`.
    """
    with store.open_input(source.path) as stream:
        offset, stop = _bounds(stream, source)
        lines = stream if source.count is not None else open_decompressed(stream)
        try:
            while offset < stop:
                line, line_bytes = _line(lines, max_line_bytes)
                if not line_bytes:
                    break
                if line is None or line.strip():
                    yield from ({**_place(source.name, offset, line_bytes), **row} for row in parse(line, offset))
                offset += line_bytes
        except MemberError as error:
            found = {"drop_reason": f"jsonl.{error.reason}", "meta": json.dumps({"file_offset": error.offset})}
            yield {**_place(source.name, offset, None), **found}


def read_at(
    source: Input,
    places: Iterable[Place],
    *,
    max_line_bytes: int = 32 << 20,
    **named: str | None,
) -> Iterator[tuple[Place, Row]]:
    """The documents of some lines, as `read` gave them. A compressed file is decompressed up to the last of them."""
    keys = Keys.of(named)
    ordered = sorted(place for place in places if place.length is not None and place.length <= max_line_bytes)
    lines = _compressed_lines(source.path, ordered) if _is_compressed(source.path) else contents(source.path, ordered)
    for place, line in lines:
        found = _document(line, keys, source.name, place.offset)
        yield place, {**_place(source.name, place.offset, place.length), **found}


def _compressed_lines(path: str, places: list[Place]) -> Iterator[tuple[Place, bytes]]:
    position = 0
    with store.open_input(path) as stream:
        content = open_decompressed(stream)
        try:
            for place in places:
                while position < place.offset and (skipped := content.read(min(PIECE_BYTES, place.offset - position))):
                    position += len(skipped)
                line = content.read(place.length or 0)
                position += len(line)
                yield place, line
        except MemberError:
            return


def _bounds(stream: BinaryIO, source: Input) -> tuple[int, float]:
    """Where the first line of the range begins, and where no line of it begins any more; moves the stream to the first."""
    if source.count is None:
        return 0, float("inf")
    start = source.first or 0
    stop = start + source.count
    if start:
        start -= 1  # so that a line that begins at the border is seen
        stream.seek(start)
        while start < stop and (piece := stream.readline(PIECE_BYTES)):
            start += len(piece)
            if piece.endswith(b"\n"):
                break
    return start, stop


def _place(file: str, offset: int, length: int | None) -> Row:
    return {"origin": f"{file}#{offset}", "raw": {"file": file, "offset": offset, "length": length}}


def _line(stream: BinaryIO, max_bytes: int) -> tuple[bytes | bytearray | None, int]:
    """The next line (None when it is longer than `max_bytes`) and its length with the line end, 0 at the end."""
    piece = stream.readline(PIECE_BYTES)
    if piece.endswith(b"\n") or len(piece) < PIECE_BYTES:
        return (piece if len(piece) <= max_bytes else None), len(piece)
    line, line_bytes = bytearray(piece), len(piece)
    while piece and not piece.endswith(b"\n"):
        piece = stream.readline(PIECE_BYTES)
        line_bytes += len(piece)
        if line_bytes <= max_bytes:
            line += piece
        else:
            line.clear()
    return (line if line_bytes <= max_bytes else None), line_bytes


def parsed(line: bytes | bytearray | None) -> tuple[Any, str | None]:
    """The JSON value of a line, or why there is none."""
    if line is None:
        return None, "jsonl.too_long"
    try:
        return json.loads(line.decode("utf-8-sig")), None
    except UnicodeDecodeError:
        return None, "jsonl.not_utf8"
    except (ValueError, RecursionError):
        return None, "jsonl.invalid"


def _document(line: bytes | bytearray | None, keys: Keys, file: str, offset: int) -> Row:
    """What a line says: a document or a drop reason."""
    record, reason = parsed(line)
    if reason is None and not isinstance(record, dict):
        reason = "jsonl.invalid"
    if reason:
        return {"drop_reason": reason}
    return document(record, keys, file, str(offset)) or {"drop_reason": "jsonl.no_text"}
