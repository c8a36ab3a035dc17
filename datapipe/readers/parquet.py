"""Parquet files, by row groups: one document per row. Only the columns that the options name are read.

An input is a range of row groups, so a large file is read by many tasks. A row without text is `parquet.no_text`; a file or row group
that does not decode is `parquet.damaged`, once each. A file that lacks a named column is an error of the manifest, not of the data.
The origin is the value of `origin_key`, else `file#id`, else `file#row` (counted in the file from 0).
"""

import difflib
import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import store
from datapipe.readers.records import Keys, document
from datapipe.readers.split import Input, Pattern, Row, files

SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 1000


def find(pattern: Pattern) -> list[Input]:
    """One input per row group. A file that is no Parquet is one input, so that reading counts it as damaged."""
    return [group for file in files(pattern, SUFFIXES) for group in _row_groups(file)]


def _row_groups(file: Input) -> list[Input]:
    try:
        with store.open_input(file.path) as stream:
            metadata = pq.read_metadata(stream)
    except pa.ArrowInvalid:
        return [file]
    sizes = [
        sum(metadata.row_group(index).column(column).total_compressed_size for column in range(metadata.num_columns))
        for index in range(metadata.num_row_groups)
    ]
    return [Input(file.path, file.name, size, file.fingerprint, index, 1) for index, size in enumerate(sizes)]


def read(
    source: Input,
    *,
    text_key: str = "text",
    id_key: str | None = None,
    origin_key: str | None = None,
    license_key: str | None = None,
    lang_key: str | None = None,
) -> Iterator[Row]:
    """The documents of some row groups of a file. Raises ValueError when a named column is not there."""
    keys = Keys(text_key, id_key, origin_key, license_key, lang_key)
    with store.open_input(source.path) as stream:
        try:
            file = pq.ParquetFile(stream)
        except pa.ArrowInvalid as error:
            yield _damaged(source.name, None, error)
            return
        _require(file.schema_arrow, keys, source.name)
        first, count = source.first or 0, source.count if source.count is not None else file.num_row_groups
        first_row = sum(file.metadata.row_group(index).num_rows for index in range(first))
        for index in range(first, first + count):
            yield from _row_group(file, index, first_row, keys, source.name)
            first_row += file.metadata.row_group(index).num_rows


def _row_group(file: pq.ParquetFile, index: int, first_row: int, keys: Keys, name: str) -> Iterator[Row]:
    row = first_row
    try:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=[index], columns=keys.named(), use_threads=False):
            for record in batch.to_pylist():
                place: Row = {"origin": f"{name}#{row}", "raw": {"file": name, "offset": row, "length": None}}
                yield {**place, **(document(record, keys, name, str(row)) or {"drop_reason": "parquet.no_text"})}
                row += 1
    except (pa.ArrowInvalid, OSError) as error:
        yield _damaged(name, index, error)


def _require(schema: pa.Schema, keys: Keys, name: str) -> None:
    for key in keys.named():
        if key not in schema.names:
            close = difflib.get_close_matches(key, schema.names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"its columns are {', '.join(schema.names)}"
            raise ValueError(f"{name} has no column {key!r}; {hint}")


def _damaged(name: str, row_group: int | None, error: Exception) -> Row:
    place = name if row_group is None else f"{name}#row-group-{row_group}"
    raw = {"file": name, "offset": None, "length": None}
    return {"origin": place, "raw": raw, "drop_reason": "parquet.damaged", "meta": json.dumps({"error": str(error)})}
