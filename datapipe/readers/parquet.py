"""Parquet files, by row groups: one document per row. Only the columns that the options name are read.

An input is a range of row groups, so a large file is read by many tasks. A row without text is `parquet.no_text`, one whose text is over
`max_text_bytes` `parquet.too_long`, one with a string that is not UTF-8 `parquet.not_utf8`; a file or row group that does not decode is
`parquet.damaged`, once each. A file that lacks a named column is an error of the manifest, not of the data. The origin is the value of
`origin_key`, else `file#id`, else `file#row` (counted in the file from 0), and `raw.offset` is that row.

Batches in which every row has a sound text become a table as they are, without a Python object per row: five times as fast.

Memory: a batch holds about 64 MiB of text, but a page of a column is decoded whole, at up to five times its size, and writers check the
size of a page only every thousand rows or so: 300 MB of text in one page took 1.4 GB here. Where the mean text of a row group is over the
limit it is not decoded at all, and each of its rows is too long.

Damage: pyarrow 26 ends the process where Python asks for a column chunk that contradicts its schema (the size statistics: 1 in 200 of
footers with flipped bits), so `_check_chunks` first has the row groups looked at where that raises; 20 µs per row group of 20 columns.
Page checksums are verified where a file has them (pyarrow writes them on demand). What no check sees: a flipped bit of a page without
checksums whose values still decode, and a flipped letter in the name of a column, which reads as a missing column.
"""

import contextlib
import difflib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import store
from datapipe.readers.places import Place
from datapipe.readers.records import WHOLE, Keys, document
from datapipe.readers.split import Input, Row
from datapipe.schema import DOCUMENT, document_id

SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 1000
BATCH_BYTES = 64 << 20
SHARED_BYTES = 1 << 30  # of a batch whose rows all share the largest text of a dictionary
DAMAGE = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    OSError,
    UnicodeDecodeError,  # names of columns
)  # what a broken footer or page raises, `_is_damage` said
BUFFER_BYTES = 1 << 20  # of compressed pages; without it a column of the row group is read whole


def cut(file: Input) -> list[Input]:
    """One input per row group. A file that is no Parquet is one input, so that reading counts it as damaged."""
    try:
        with store.open_input(file.path) as stream:
            opened = _open(stream)
            metadata = opened.metadata
            _check_chunks(opened, stream, range(metadata.num_row_groups))
    except DAMAGE as error:
        if not _is_damage(error):
            raise
        return [file]
    sizes = [
        sum(metadata.row_group(index).column(column).total_compressed_size for column in range(metadata.num_columns))
        for index in range(metadata.num_row_groups)
    ]
    return [file.range(index, 1, size) for index, size in enumerate(sizes)]


def read(
    source: Input,
    *,
    text_key: str = "text",
    id_key: str | None = None,
    origin_key: str | None = None,
    license_key: str | None = None,
    lang_key: str | None = None,
    max_text_bytes: int = 32 << 20,
) -> Iterator[Row | pa.Table]:
    """The documents of some row groups of a file. Raises ValueError when a named column is not there."""
    keys = Keys(text_key, id_key, origin_key, license_key, lang_key)
    yield from read_shaped(source, lambda schema: _shape(keys, schema, source.name, max_text_bytes), max_text_bytes)


class Shape(NamedTuple):
    """What is read of a file, and how that becomes documents."""

    text: str  # the column whose values are bounded in size, or WHOLE where `rows_of` bounds them
    columns: list[str]
    rows_of: Callable[[dict[str, Any], int], Iterable[Row]]  # (a record, its row): its documents
    table_of: Callable[[pa.RecordBatch, int], pa.Table | None] = lambda batch, row: (
        None
    )  # (a batch, its first row): all at once


def read_shaped(source: Input, shape_of: Callable[[pa.Schema], Shape], max_text_bytes: int) -> Iterator[Row | pa.Table]:
    """The documents of some row groups of a file, by a shape that follows from its schema."""
    with store.open_input(source.path) as stream:
        try:
            file = _open(stream)
        except DAMAGE as error:
            if not _is_damage(error):
                raise
            yield _damaged(source.name, None, error)
            return
        shape = shape_of(file.schema_arrow)
        first, count = source.first or 0, source.count if source.count is not None else file.num_row_groups
        first_row = sum(file.metadata.row_group(index).num_rows for index in range(first))
        for index in range(first, first + count):
            yield from _row_group(file, stream, index, first_row, shape, source.name, max_text_bytes)
            first_row += file.metadata.row_group(index).num_rows


def _shape(keys: Keys, schema: pa.Schema, name: str, max_bytes: int) -> Shape:
    """One document per row, by the names of columns. ValueError when one is not there."""
    if keys.text == WHOLE:
        return _whole_shape(keys, schema, name, max_bytes)
    keys = _chosen(keys, schema)
    require(schema, keys.named(), name)

    def rows_of(record: dict[str, Any], row: int) -> list[Row]:
        found = document(record, keys, name, str(row)) or {"drop_reason": "parquet.no_text"}
        return [{**place(name, row), **found}]

    return Shape(keys.text, keys.named(), rows_of, lambda batch, row: _as_table(batch, row, keys, name, max_bytes))


def _whole_shape(keys: Keys, schema: pa.Schema, name: str, max_bytes: int) -> Shape:
    """One document per row, of all columns. ValueError when one that is named is not there, or one is there twice."""
    require(schema, [*keys.named(), *schema.names], name)

    def rows_of(record: dict[str, Any], row: int) -> list[Row]:
        found = document(_without_nulls(record), keys, name, str(row)) or {"drop_reason": "parquet.no_text"}
        text_bytes = len(found.get("text", "").encode("utf-8", "surrogatepass"))
        return [{**place(name, row), **(_too_long(text_bytes) if text_bytes > max_bytes else found)}]

    return Shape(WHOLE, schema.names, rows_of)


def _without_nulls(value: Any) -> Any:
    """Without fields that are null: a column of structs has the fields of all its rows in each of them."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def read_at(
    source: Input, places: Iterable[Place], *, max_text_bytes: int = 32 << 20, **named: str | None
) -> Iterator[tuple[Place, Row]]:
    """The documents of some rows, as `read` gave them; their row groups are decoded."""
    keys, wanted = Keys.of(named), {place.offset: place for place in places}
    with store.open_input(source.path, read_ahead=False) as stream:
        try:
            file = _open(stream)
        except DAMAGE as error:
            if not _is_damage(error):
                raise
            return
        shape = _shape(keys, file.schema_arrow, source.name, max_text_bytes)
        first_row = 0
        for index in range(file.num_row_groups):
            num_rows = file.metadata.row_group(index).num_rows
            if any(first_row <= row < first_row + num_rows for row in wanted):
                for found in _rows(file, stream, index, first_row, shape, source.name, max_text_bytes):
                    if place := wanted.get(found["raw"]["offset"]):
                        yield place, found
            first_row += num_rows


def _open(stream: BinaryIO) -> pq.ParquetFile:
    """The file, whose footer decodes. Raises one of DAMAGE."""
    file = pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, page_checksum_verification=True)
    _ = file.schema_arrow.names
    return file


class _NothingRead(Exception):
    pass


class _Unread(io.RawIOBase):
    """A file of which only the size is known."""

    def __init__(self, size_bytes: int):
        self._size_bytes, self._place = size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size_bytes}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        raise _NothingRead


def _check_chunks(file: pq.ParquetFile, stream: BinaryIO, row_groups: Iterable[int]) -> None:
    """Raises one of DAMAGE for a column chunk that contradicts its schema or lies outside of the file.

    `RowGroupMetaData.column` ends the process for such a one (a C++ exception that nothing catches). Planning what to prefetch looks at
    all of them where exceptions are caught; the first byte that it wants comes after that.
    """
    unread = _Unread(stream.seek(0, io.SEEK_END))
    planned = pq.ParquetFile(unread, metadata=file.metadata, pre_buffer=True, buffer_size=BUFFER_BYTES)
    with contextlib.suppress(_NothingRead):
        next(planned.iter_batches(1, row_groups=list(row_groups), use_threads=False), None)


def _rows(
    file: pq.ParquetFile, stream: BinaryIO, index: int, first_row: int, shape: Shape, name: str, max_bytes: int
) -> Iterator[Row]:
    """`_row_group`, one by one."""
    for found in _row_group(file, stream, index, first_row, shape, name, max_bytes):
        yield from found.to_pylist() if isinstance(found, pa.Table) else [found]


def _row_group(
    file: pq.ParquetFile, stream: BinaryIO, index: int, first_row: int, shape: Shape, name: str, max_bytes: int
) -> Iterator[Row | pa.Table]:
    row = first_row
    try:
        _check_chunks(file, stream, [index])
        batch_rows, mean_bytes = _batch_rows(file, index, shape.text)
        if mean_bytes > max_bytes:
            num_rows = file.metadata.row_group(index).num_rows
            yield from ({**place(name, row), **_too_long(None)} for row in range(first_row, first_row + num_rows))
            return
        for batch in file.iter_batches(batch_rows, row_groups=[index], columns=shape.columns, use_threads=False):
            if (table := shape.table_of(batch, row)) is not None:
                yield table
                row += batch.num_rows
                continue
            for record, reason in _records(batch, shape.text, max_bytes):
                yield from [{**place(name, row), **reason}] if reason else shape.rows_of(record, row)
                row += 1
    except DAMAGE as error:
        if not _is_damage(error):
            raise
        yield _damaged(name, index, error)


def _is_damage(error: Exception) -> bool:
    """Whether the decoder says so, and not the operating system."""
    return not isinstance(error, OSError) or error.errno is None


def _as_table(batch: pa.RecordBatch, first_row: int, keys: Keys, name: str, max_bytes: int) -> pa.Table | None:
    """The documents of a batch at once; None where a row of it must be looked at by itself."""
    texts = batch.column(keys.text)
    labels = [_labels(batch, key) for key in keys[1:]]
    if not _is_string(texts.type) or not all(_is_string(label.type) for label in labels):
        return None
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:  # not UTF-8
        return None
    if texts.null_count or _holds_nul(texts):
        return None
    unclear = texts.filter(pc.invert(pc.match_substring_regex(texts, "[!-~]")))
    if pc.max(pc.binary_length(texts)).as_py() > max_bytes or not all(map(str.strip, unclear.to_pylist())):
        return None
    id, origin, license, lang = (pc.if_else(pc.equal(label, ""), None, label) for label in labels)
    rows = range(first_row, first_row + batch.num_rows)
    named = pc.binary_join_element_wise(f"{name}#", pc.coalesce(id, pa.array(map(str, rows), pa.string())), "")
    origins = pc.coalesce(origin, named)
    if any(map(_holds_nul, (origins, license, lang))):
        return None
    raw = [pa.array([name] * len(rows), pa.string()), pa.array(rows, pa.int64()), pa.nulls(len(rows), pa.int64())]
    columns = {
        "id": pa.array([document_id(one) for one in origins.to_pylist()], pa.string()),
        "text": texts.cast(pa.large_string()),
        "origin": origins,
        "license": license,
        "lang": lang,
        "raw": pa.StructArray.from_arrays(raw, names=["file", "offset", "length"]),
        "meta": pa.array(["{}"] * len(rows), pa.string()),
    }
    return pa.table({field.name: columns.get(field.name, pa.nulls(len(rows), field.type)) for field in DOCUMENT})


def _labels(batch: pa.RecordBatch, key: str | None) -> pa.Array:
    """The values of a column as strings, as far as they are integers or strings already; nulls without a key."""
    if key is None:
        return pa.nulls(batch.num_rows, pa.string())
    column = batch.column(key)
    return column.cast(pa.string()) if pa.types.is_integer(column.type) or _is_string(column.type) else column


def _holds_nul(texts: pa.Array) -> bool:
    """Whether one may: their bytes, or those between them, hold a NUL."""
    values = texts.buffers()[2]
    return values is not None and not np.frombuffer(values, np.uint8).all()


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _batch_rows(file: pq.ParquetFile, index: int, column: str) -> tuple[int, int]:
    """How many rows of a row group to hold at once, and the mean bytes of their text as the footer has it."""
    group = file.metadata.row_group(index)
    every = [group.column(number) for number in range(group.num_columns)]
    chunks = every if column == WHOLE else [chunk for chunk in every if chunk.path_in_schema == column][:1]
    if not chunks:  # a struct, so no text
        return BATCH_ROWS, 0
    mean_bytes = sum(chunk.total_uncompressed_size for chunk in chunks) // max(1, group.num_rows)
    rows = min(BATCH_ROWS, BATCH_BYTES // max(1, mean_bytes))
    if shared := [chunk.total_uncompressed_size for chunk in chunks if chunk.has_dictionary_page]:
        rows = min(rows, max(64, SHARED_BYTES // max(1, sum(shared))))
    return max(1, rows), mean_bytes


def _records(batch: pa.RecordBatch, column: str, max_bytes: int) -> Iterator[tuple[dict[str, Any], Row | None]]:
    """Each row, or an empty one and why it is dropped."""
    if column == WHOLE:
        lengths, num_bytes = [0] * batch.num_rows, batch.nbytes
    else:
        lengths = pc.fill_null(_text_bytes(batch.column(column)), 0).to_pylist()
        num_bytes = sum(lengths)
    # Rows that share a large text of a dictionary weigh little until each has its own.
    is_one_by_one = num_bytes > 2 * BATCH_BYTES
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:  # not UTF-8
        is_one_by_one = True
    whole = [] if is_one_by_one else batch.to_pylist()
    for row, length in enumerate(lengths):
        if length > max_bytes:
            yield {}, _too_long(length)
            continue
        try:
            yield (whole[row] if whole else batch.slice(row, 1).to_pylist()[0]), None
        except UnicodeDecodeError:
            yield {}, {"drop_reason": "parquet.not_utf8"}


def _text_bytes(texts: pa.Array) -> pa.Array:
    """Bytes of each text; null for null, 0 for what is no string."""
    if pa.types.is_dictionary(texts.type):
        return _text_bytes(texts.dictionary).take(texts.indices)
    if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
        return pc.binary_length(texts)
    return pa.array([0] * len(texts), pa.int32())


def place(name: str, row: int) -> Row:
    """Where a row lies, as columns of a document."""
    return {"origin": f"{name}#{row}", "raw": {"file": name, "offset": row, "length": None}}


def _too_long(text_bytes: int | None) -> Row:
    return {"drop_reason": "parquet.too_long", "meta": json.dumps({"text_bytes": text_bytes})}


def _chosen(keys: Keys, schema: pa.Schema) -> Keys:
    """Of several names of the text the first that is a column."""
    names = keys.text.split("|")
    return keys._replace(text=next((name for name in names if name in schema.names), names[0]))


def require(schema: pa.Schema, columns: Iterable[str], name: str) -> None:
    """ValueError for a column that is not there, or there twice."""
    for key in columns:
        if key not in schema.names:
            close = difflib.get_close_matches(key, schema.names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"its columns are {', '.join(schema.names)}"
            raise ValueError(f"{name} has no column {key!r}; {hint}")
        if (count := schema.names.count(key)) > 1:
            raise ValueError(f"{name} has {count} columns {key!r}: write it anew with different names")


def _damaged(name: str, row_group: int | None, error: Exception) -> Row:
    place = name if row_group is None else f"{name}#row-group-{row_group}"
    raw = {"file": name, "offset": None, "length": None}
    return {"origin": place, "raw": raw, "drop_reason": "parquet.damaged", "meta": json.dumps({"error": str(error)})}
