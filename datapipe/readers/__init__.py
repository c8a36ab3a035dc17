"""What raw data becomes documents: readers by name, and how a corpus' files are cut into splits.

A source is the `source` mapping of a corpus manifest: `reader`, `paths` (globs or paths; relative ones are meant below the given root),
`kind`, `split_bytes`, and the reader's options, which are the keyword parameters of its `read`. Splits are the same on every
machine and in every run; a split is read front to back in tables of bounded size. Bad records come out as rows with a `drop_reason`.
"""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from datapipe.readers import html, jsonl, parquet, tree, warc
from datapipe.readers.split import Input, Pattern, Row, Split, group, pattern, tables
from datapipe.schema import KINDS
from datapipe.store import StoreError

__all__ = ["READERS", "Input", "Split", "check_source", "list_splits", "read"]

SPLIT_BYTES = 256 << 20
_SOURCE_KEYS = ("reader", "paths", "kind", "split_bytes")


class Reader(NamedTuple):
    find: Callable[[Pattern], list[Input]]
    read: Callable[..., Iterator[Row]]  # (input, *, options)
    kind: str  # of its documents, where neither the source nor the row says one


READERS: dict[str, Reader] = {
    "warc": Reader(warc.find, warc.read, "web"),
    "html": Reader(html.find, html.read, "web"),
    "jsonl": Reader(jsonl.find, jsonl.read, "web"),
    "parquet": Reader(parquet.find, parquet.read, "web"),
    "tree": Reader(tree.find, tree.read, "code"),
}


def check_source(source: Mapping[str, Any]) -> None:
    """Raise ValueError for a reader, option or value that cannot be; touches no data."""
    if "reader" not in source:
        raise ValueError(f"the source names no reader; add `reader:` with one of {', '.join(READERS)}")
    name = source["reader"]
    if name not in READERS:
        raise ValueError(f"reader: {name!r} is unknown; {_nearest(str(name), READERS)}")
    paths = source.get("paths")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f"paths: {paths!r} is no list of paths; write for instance `paths: [data/*.gz]`")
    if (kind := source.get("kind")) is not None and kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is unknown; {_nearest(str(kind), KINDS)}")
    _check_value("split_bytes", source.get("split_bytes", SPLIT_BYTES), int)
    options = _option_types(READERS[name])
    for key, value in source.items():
        if key in options:
            _check_value(key, value, options[key])
        elif key not in _SOURCE_KEYS:
            raise ValueError(f"{key}: reader {name!r} has no such option; {_nearest(key, [*options, *_SOURCE_KEYS])}")


def list_splits(source: Mapping[str, Any], root: str) -> list[Split]:
    """What the source's paths hold, in the order of names, cut into splits of about `split_bytes` as the files lie there.

    Raises ValueError for a bad source, StoreError for a path that matches nothing.
    """
    check_source(source)
    reader = READERS[source["reader"]]
    inputs = _find(reader, source["paths"], root)
    defaults = inspect.signature(reader.read).parameters
    options = {key: source.get(key, defaults[key].default) for key in _option_types(reader)}
    options["kind"] = source.get("kind")
    groups = group(inputs, source.get("split_bytes", SPLIT_BYTES))
    return [Split(source["reader"], part, options, index) for index, part in enumerate(groups)]


def read(split: Split, corpus: str) -> Iterator[pa.Table]:
    """The documents of a split, in tables of at most 1,000 rows and about 64 MiB of text."""
    reader = READERS[split.reader]
    options = dict(split.options)
    kind = options.pop("kind")
    rows = (row for one in split.inputs for row in reader.read(one, **options))
    return tables(rows, {"kind": reader.kind}, {"corpus": corpus, "kind": kind} if kind else {"corpus": corpus})


def _find(reader: Reader, paths: list[str], root: str) -> list[Input]:
    found: dict[tuple[str, int], Input] = {}
    for written in paths:
        where = pattern(written, root)
        inputs = reader.find(where)
        if not inputs:
            answer = f"nothing to read matches (looked for {where.path})"
            raise StoreError(written, answer, "check the path; relative paths start at --data")
        for one in inputs:
            known = found.setdefault((one.name, one.first or 0), one)
            if known.path != one.path:
                raise ValueError(
                    f"paths: {known.path} and {one.path} would both be named {one.name}; use relative paths"
                )
    paths_found = {one.path for one in found.values()}
    return [found[key] for key in sorted(found) if not _lies_in(found[key].path, paths_found)]


def _lies_in(path: str, folders: set[str]) -> bool:
    """Whether one of `folders` holds `path`: a source tree inside a source tree is part of it."""
    while path := path.rpartition("/")[0]:
        if path in folders:
            return True
    return False


def _option_types(reader: Reader) -> dict[str, Any]:
    hints = typing.get_type_hints(reader.read)
    parameters = inspect.signature(reader.read).parameters.values()
    return {each.name: hints[each.name] for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def _check_value(key: str, value: object, expected: Any) -> None:
    """Against `int` (then positive), `str`, `str | None` and `Literal[...]`."""
    if typing.get_origin(expected) is typing.Literal:
        choices = typing.get_args(expected)
        if value not in choices:
            raise ValueError(f"{key}: {value!r} is unknown; {_nearest(str(value), choices)}")
        return
    kinds = expected.__args__ if isinstance(expected, types.UnionType) else (expected,)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ValueError(f"{key}: {value!r} is no {kinds[0].__name__}")
    if isinstance(value, int) and value < 1:
        raise ValueError(f"{key}: {value} is below 1")


def _nearest(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(words)}"
