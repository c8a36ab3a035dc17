"""Source files in Parquet, as The Stack (Kocetkov et al. 2022), The Stack v2 (Lozhkov et al. 2024) and their kind have them.

A row is a file with its text, a file of which only the Software Heritage id of its content is there (`blob_id`), or a repository with a
list of such files. Columns are known by the names that these sets use (`NAMES`), so a manifest names none. Contents that lie elsewhere
are fetched from `contents`, a folder or bucket with one gzip file per id, 32 at a time: Software Heritage's is
`s3://softwareheritage/content`. The licences that the set states for a file hold all together (`MIT AND ISC`); where there are none, what
GitHub says of the repository counts, and a notice in the file itself goes before both. What is no document is counted as in any other
repository (`source_file`), and `file.missing` is an id without content.

Not covered: licences of a repository beyond what its rows say. 150 MB of text per CPU second, without language and licences.
"""

import collections
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa

from datapipe import store
from datapipe.readers import licenses, parquet, source_file
from datapipe.readers.repository import License
from datapipe.readers.source_file import File
from datapipe.readers.split import Input, Row
from datapipe.schema import code_origin

FETCHES = 32  # at once: a request takes tens of milliseconds
FILES = "files"  # a list of files, where a row is a repository
NAMES: dict[str, tuple[str, ...]] = {
    "text": ("content", "code", "text"),
    "blob": ("blob_id",),
    "encoding": ("src_encoding",),
    "path": ("max_stars_repo_path", "path"),
    "repository": ("max_stars_repo_name", "repo_name"),
    "version": ("max_stars_repo_head_hexsha", "revision_id"),
    "licenses": ("max_stars_repo_licenses", "detected_licenses", "license"),
    "repository_license": ("gha_license_id",),
    "stars": ("max_stars_count", "star_events_count"),
    "date": ("committer_date", "revision_date"),
    "vendored": ("is_vendor",),
    "generated": ("is_generated",),
}


class _Named(NamedTuple):
    """Which columns of a file, and which fields of the files that a row lists, are what."""

    columns: dict[str, str]
    fields: dict[str, str]


def read(
    source: Input,
    *,
    contents: str | None = None,
    max_file_bytes: int = 1 << 20,
) -> Iterator[Row]:
    """The documents of some row groups of a file. Raises ValueError when it has no paths, names or contents."""
    waiting: collections.deque[Row | Future[Row]] = collections.deque()
    with ThreadPoolExecutor(FETCHES) as pool:
        for row in _rows(source, contents, max_file_bytes):
            finish = row.pop("finish", None)
            waiting.append(pool.submit(finish) if finish else row)
            if len(waiting) > 2 * FETCHES:
                yield _done(waiting.popleft())
        yield from map(_done, waiting)


def _done(row: Row | Future[Row]) -> Row:
    return row.result() if isinstance(row, Future) else row


def _rows(source: Input, contents: str | None, max_bytes: int) -> Iterator[Row]:
    """The rows of the documents; `finish` completes one whose content has to be fetched."""

    def shape_of(schema: pa.Schema) -> parquet.Shape:
        named = _named(schema, source.name, contents)
        columns = [*named.columns.values(), *([FILES] if named.fields else ())]
        parquet.require(schema, columns, source.name)
        bounded = named.columns.get("text") or named.columns.get("blob") or named.columns["repository"]

        def rows_of(record: dict[str, Any], row: int) -> Iterable[Row]:
            about = _values(record, named.columns)
            listed = [file for file in record.get(FILES) or () if isinstance(file, Mapping)]
            files = [about | _values(file, named.fields) for file in listed] if named.fields else [about]
            return [_row(facts, parquet.place(source.name, row), contents, max_bytes) for facts in files]

        return parquet.Shape(bounded, columns, rows_of)

    for found in parquet.read_shaped(source, shape_of, max_bytes):
        yield from found.to_pylist() if isinstance(found, pa.Table) else [found]


def _named(schema: pa.Schema, name: str, contents: str | None) -> _Named:
    """ValueError when the columns do not say what a source file needs."""
    columns, fields = _present(schema.names), {}
    if FILES in schema.names and _is_list(schema.field(FILES).type):
        inner = schema.field(FILES).type.value_type
        fields = (
            _present([inner.field(index).name for index in range(inner.num_fields)])
            if pa.types.is_struct(inner)
            else {}
        )
    known = columns.keys() | fields.keys()
    for what in ("path", "repository"):
        if what not in known:
            raise ValueError(
                f"{name} has no column for the {what} ({' or '.join(NAMES[what])}); its columns are {', '.join(schema.names)}"
            )
    if "text" not in known and "blob" not in known:
        raise ValueError(f"{name} has neither texts ({' or '.join(NAMES['text'])}) nor ids of contents (blob_id)")
    if "text" not in known and contents is None:
        raise ValueError(
            f"{name} has ids of contents and no texts: say where those lie, `contents: s3://softwareheritage/content`"
        )
    return _Named(columns, fields)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _present(names: Iterable[str]) -> dict[str, str]:
    there = set(names)
    found = {what: next((name for name in known if name in there), None) for what, known in NAMES.items()}
    return {what: name for what, name in found.items() if name}


def _values(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {what: record.get(name) for what, name in names.items()}


def _row(facts: Mapping[str, Any], place: Row, contents: str | None, max_bytes: int) -> Row:
    """The document of a file, or one that `finish` completes."""
    path, name = str(facts["path"] or "").lstrip("/"), str(facts["repository"] or "")  # The Stack v2's begin with one
    row = {**place, "origin": code_origin(name, str(facts.get("version") or ""), path)}
    if not path or not name:
        return {**row, "drop_reason": "file.no_path"}
    text, blob = facts.get("text"), facts.get("blob")
    if isinstance(text, str):
        return row | _document(facts, path, text.encode(), max_bytes)
    if not isinstance(blob, str) or not blob.isalnum() or contents is None:
        return {**row, "drop_reason": "file.missing"}
    return {**row, "finish": lambda: row | _fetched(facts, path, store.join(contents, blob), max_bytes)}


def _fetched(facts: Mapping[str, Any], path: str, where: str, max_bytes: int) -> Row:
    """The document of a content that lies elsewhere."""
    try:
        with store.open_input(where) as stream:
            packed = stream.read(
                max_bytes + max_bytes // 64 + 4096
            )  # more than gzip makes of the largest that is wanted
    except store.StoreError:
        if store.exists(where):
            raise
        return {"drop_reason": "file.missing"}
    try:
        data = _unpacked(packed, max_bytes) if packed[:2] == b"\x1f\x8b" else packed
    except zlib.error:
        return {"drop_reason": "file.damaged"}
    encoding = facts.get("encoding")
    if isinstance(encoding, str) and encoding.upper() not in ("UTF-8", "ASCII"):
        try:
            data = data.decode(encoding).encode()
        except (LookupError, UnicodeError):
            return {"drop_reason": "file.not_utf8"}
    return _document(facts, path, data, max_bytes)


def _unpacked(packed: bytes, max_bytes: int) -> bytes:
    """The content of a gzip file, or a little more than `max_bytes` of it. Raises zlib.error for one that is damaged or cut."""
    opened = zlib.decompressobj(wbits=31)
    data = opened.decompress(packed, max_bytes + 1)
    if not opened.eof and len(data) <= max_bytes:
        raise zlib.error("the file ends before its content")
    return data


def _document(facts: Mapping[str, Any], path: str, data: bytes, max_bytes: int) -> Row:
    if reason := source_file.unread(path, len(data), max_bytes):
        return {"drop_reason": f"file.{reason}"}
    stated = _license(facts.get("licenses")) or _license(facts.get("repository_license"))
    return source_file.document(File(path, len(data), data), stated, _facts(facts))


def _license(stated: Any) -> License | None:
    """All that the set states, together."""
    names = [stated] if isinstance(stated, str) else stated if isinstance(stated, list) else []
    known = sorted({name for name in names if isinstance(name, str) and name not in ("", "NOASSERTION")})
    return License(licenses.join(known, " AND "), "dataset", 1.0) if known else None


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the set says beside the text, for `meta`."""
    said: dict[str, Any] = {}
    if isinstance(stars := facts.get("stars"), int | float) and stars >= 0:
        said["stars"] = int(stars)
    if date := facts.get("date"):
        said["date"] = str(date)[:10]
    role = next((role for role in ("vendored", "generated") if facts.get(role) is True), None)
    return {**said, "role": role} if role else said
