"""JSON Lines, plain or compressed (gzip, zstd, bzip2, xz): one document per line.

A line that is no document is counted under `jsonl.invalid` (no JSON object), `jsonl.not_utf8`, `jsonl.no_text` (the text is missing,
empty or not a string) or `jsonl.too_long`; what is behind a cut or damage in a compressed file under `jsonl.truncated` or
`jsonl.damaged`, once. A line over `max_line_bytes` is skipped in pieces: a line of any length costs that many bytes and a copy, no
more. Blank lines are nothing. Offsets count in the decompressed file. Not covered: one JSON array over the whole file.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO

from datapipe import store
from datapipe.readers.compression import MemberError, open_decompressed
from datapipe.readers.records import Keys, document
from datapipe.readers.split import Input, Pattern, Row, files

_TYPES = (".jsonl", ".ndjson", ".json")
SUFFIXES = tuple(kind + packed for kind in _TYPES for packed in ("", ".gz", ".zst", ".bz2", ".xz"))
PIECE_BYTES = 1 << 20


def find(pattern: Pattern) -> list[Input]:
    return files(pattern, SUFFIXES)


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
    """The documents of one file.

    The origin is the value of `origin_key`, else `file#id` with the value of `id_key`, else `file#offset` of the line.
    """
    keys = Keys(text_key, id_key, origin_key, license_key, lang_key)
    offset = 0
    with store.open_input(source.path) as stream:
        try:
            for line, line_bytes in _lines(open_decompressed(stream), max_line_bytes):
                if line is None or line.strip():
                    found = _document(line, keys, source.name, offset)
                    yield {**_place(source.name, offset, line_bytes), **found}
                offset += line_bytes
        except MemberError as error:
            found = {"drop_reason": f"jsonl.{error.reason}", "meta": json.dumps({"file_offset": error.offset})}
            yield {**_place(source.name, offset, None), **found}


def _place(file: str, offset: int, length: int | None) -> Row:
    return {"origin": f"{file}#{offset}", "raw": {"file": file, "offset": offset, "length": length}}


def _lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[bytes | bytearray | None, int]]:
    """Each line (None when it is longer than `max_bytes`) and its length with the line end."""
    while piece := stream.readline(PIECE_BYTES):
        if piece.endswith(b"\n") or len(piece) < PIECE_BYTES:
            yield (piece if len(piece) <= max_bytes else None), len(piece)
            continue
        line, line_bytes = bytearray(piece), len(piece)
        while piece and not piece.endswith(b"\n"):
            piece = stream.readline(PIECE_BYTES)
            line_bytes += len(piece)
            if line_bytes <= max_bytes:
                line += piece
            else:
                line.clear()
        yield (line if line_bytes <= max_bytes else None), line_bytes


def _document(line: bytes | bytearray | None, keys: Keys, file: str, offset: int) -> Row:
    """What a line says: a document or a drop reason."""
    if line is None:
        return {"drop_reason": "jsonl.too_long"}
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return {"drop_reason": "jsonl.not_utf8"}
    except (ValueError, RecursionError):
        return {"drop_reason": "jsonl.invalid"}
    if not isinstance(record, dict):
        return {"drop_reason": "jsonl.invalid"}
    return document(record, keys, file, str(offset)) or {"drop_reason": "jsonl.no_text"}
