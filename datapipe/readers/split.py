"""What a corpus reads, cut into splits: each is read by one task, and says the same on every machine.

An input has a path (where this machine opens it) and a name (what origins and `raw.file` say). The name of a relative path is the path
as the manifest has it, of an S3 path the path itself, and of an absolute path what follows the folder that its pattern fixes.
"""

import glob
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from datapipe import store
from datapipe.schema import DROP, documents, with_column

TABLE_ROWS = 1000
TABLE_BYTES = 64 << 20  # of UTF-8 text

Row = dict[str, Any]  # columns of a document; `origin` at least


@dataclass(frozen=True)
class Input:
    """A file, a part of one (`first`, `count`: row groups of Parquet, bytes of JSON Lines), or the folder of a source tree."""

    path: str
    name: str
    size_bytes: int
    fingerprint: str
    first: int | None = None
    count: int | None = None

    def range(self, first: int, count: int, size_bytes: int | None = None) -> "Input":
        """A part of this file; `size_bytes` where the unit of `first` and `count` is not bytes."""
        return replace(self, first=first, count=count, size_bytes=count if size_bytes is None else size_bytes)


@dataclass(frozen=True)
class Split:
    """What one task reads. `options` are the reader's, complete with defaults, and `kind` (None: the reader knows). `path` is the entry of
    `paths` that all of it comes from, for counting."""

    reader: str
    inputs: tuple[Input, ...]
    options: dict[str, Any]
    index: int
    path: str = ""

    def identity(self) -> dict[str, Any]:
        """What the documents of this split follow from, as plain JSON values: no paths of this machine."""
        inputs = [{key: value for key, value in asdict(one).items() if key != "path"} for one in self.inputs]
        return {"reader": self.reader, "inputs": inputs, "options": self.options}


@dataclass(frozen=True)
class Pattern:
    """A path or glob of the manifest as this machine sees it; `prefix` is the part that names must not contain."""

    written: str
    path: str
    prefix: str

    def name(self, path: str) -> str:
        return path.removeprefix(self.prefix)


def pattern(written: str, root: str) -> Pattern:
    """`written` as the manifest has it; a relative one is meant below `root`."""
    if written.startswith(store.S3_PREFIX):
        return Pattern(written, written, "")
    if written.startswith("/"):
        parts = written.split("/")
        num_fixed = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
        return Pattern(written, written, "/".join(parts[:num_fixed]) + "/")
    return Pattern(written, store.join(root, posixpath.normpath(written)), store.join(root, "") if root else "")


def files(pattern: Pattern, suffixes: tuple[str, ...]) -> list[Input]:
    """The files that match; of a folder, and of a pattern that ends in `*` or `**`, those with one of the suffixes."""
    infos = store.glob(pattern.path)
    is_open = not glob.has_magic(pattern.path) or pattern.path.rpartition("/")[2] in ("*", "**")
    if is_open and [info.path for info in infos] != [pattern.path]:
        infos = [info for info in infos if info.path.lower().endswith(suffixes)]
    return [Input(info.path, pattern.name(info.path), info.size_bytes, store.fingerprint(info)) for info in infos]


def group(inputs: list[Input], split_bytes: int) -> Iterator[tuple[Input, ...]]:
    """Consecutive inputs until `split_bytes` is reached; neighbouring parts of one file become one input."""
    current: list[Input] = []
    size_bytes = 0
    for one in inputs:
        if current and _continues(current[-1], one):
            current[-1] = _merged(current[-1], one)
        else:
            current.append(one)
        size_bytes += one.size_bytes
        if size_bytes >= split_bytes:
            yield tuple(current)
            current, size_bytes = [], 0
    if current:
        yield tuple(current)


def _continues(before: Input, after: Input) -> bool:
    if before.first is None or before.count is None:
        return False
    return before.path == after.path and before.first + before.count == after.first


def _merged(before: Input, after: Input) -> Input:
    count = (before.count or 0) + (after.count or 0)
    size_bytes = before.size_bytes + after.size_bytes
    return replace(before, size_bytes=size_bytes, count=count)


def tables(rows: Iterable[Row | pa.Table], defaults: Row, fixed: Row) -> Iterator[pa.Table]:
    """Document tables of at most TABLE_ROWS rows and about TABLE_BYTES of text, each with a `drop_reason` column.

    `defaults` are columns that a row may set, `fixed` columns that it may not. A reader may give a whole table of sound documents.
    """
    batch: list[Row] = []
    whole: list[pa.Table] = []
    num_rows = size_bytes = 0
    for row in rows:
        if isinstance(row, pa.Table) and not batch:
            whole.append(_completed(row, {**defaults, **fixed}))
            num_rows += row.num_rows
            size_bytes += row.nbytes
        else:
            for one in row.to_pylist() if isinstance(row, pa.Table) else [row]:
                text, text_bytes = _sound(one.get("text") or "")
                batch.append({DROP: None, **defaults, **one, **fixed, **_sound_labels(one), "text": text})
                size_bytes += text_bytes
                num_rows += 1
        if num_rows >= TABLE_ROWS or size_bytes >= TABLE_BYTES:
            yield _joined(whole, batch)
            batch, whole, num_rows, size_bytes = [], [], 0, 0
    if num_rows:
        yield _joined(whole, batch)


def _joined(tables: list[pa.Table], rows: list[Row]) -> pa.Table:
    return pa.concat_tables([*tables, documents(rows)] if rows else tables).combine_chunks()


def _completed(table: pa.Table, columns: Row) -> pa.Table:
    for name, value in {**columns, DROP: None}.items():
        table = with_column(table, name, pa.array([value] * table.num_rows, pa.string()))
    return table


def _sound_labels(row: Row) -> Row:
    """The short columns of a row that come from outside: values of keys, names of files."""
    labels: Row = {name: sound(row[name]) for name in ("origin", "license", "lang") if row.get(name)}
    raw = row.get("raw")
    return {**labels, "raw": {**raw, "file": sound(raw["file"])}} if raw else labels


def sound(text: str) -> str:
    """`text` as `tables` writes it."""
    return _sound(text)[0]


def _sound(text: str) -> tuple[str, int]:
    """`text` without NULs and lone surrogates (JSON escapes and file names can hold them, Arrow cannot), and its size in bytes."""
    text = text.replace("\0", "")
    if text.isascii():
        return text, len(text)
    try:
        return text, len(text.encode())
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
        return data.decode("utf-8", "replace"), len(data)
