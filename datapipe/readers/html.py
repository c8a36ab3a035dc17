"""Folders of HTML pages, one document per file; files may be compressed. The origin is the path as the manifest sees it.

Pages are held whole: `max_bytes` bounds a page after decompression. Not covered: the charset of an HTTP header (a file has none).
"""

import json
from collections.abc import Iterable, Iterator

from datapipe import store
from datapipe.readers.charset import decode
from datapipe.readers.compression import MemberError, open_decompressed
from datapipe.readers.places import Place
from datapipe.readers.split import Input, Row

_TYPES = (".html", ".htm", ".xhtml")
SUFFIXES = tuple(kind + packed for kind in _TYPES for packed in ("", ".gz", ".zst"))


def read(source: Input, *, max_bytes: int = 16 << 20) -> Iterator[Row]:
    """The decoded page, or one of `html.empty`, `html.too_large`, `html.truncated`, `html.damaged`."""
    row: Row = {"origin": source.name, "raw": {"file": source.name, "offset": 0, "length": source.size_bytes}}
    try:
        with store.open_input(source.path) as stream:
            page = open_decompressed(stream).read(max_bytes + 1)
    except MemberError as error:
        yield {**row, "drop_reason": f"html.{error.reason}"}
        return
    if len(page) > max_bytes:
        yield {**row, "drop_reason": "html.too_large"}
    elif not page.strip():
        yield {**row, "drop_reason": "html.empty"}
    else:
        text, charset = decode(page)
        yield {**row, "text": text, "meta": json.dumps({"charset": charset})}


def read_at(source: Input, places: Iterable[Place], *, max_bytes: int = 16 << 20) -> Iterator[tuple[Place, Row]]:
    """The page again: all places of a file are its one page."""
    for place in places:
        yield from ((place, row) for row in read(source, max_bytes=max_bytes))
