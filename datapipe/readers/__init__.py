"""What raw data becomes documents: readers by name, and how a corpus' files are cut into splits.

A source is the `source` mapping of a corpus manifest: `reader`, `paths` (globs, paths, or lists of paths; relative ones are meant below the
given root), `kind`, `split_bytes`, `base`, `first` and `every` (of lists, see path_lists.py), and the reader's options, which are the
keyword parameters of its `read`. Splits are the same on every machine and in every run; a split is read front to back in tables of
bounded size. Bad records come out as rows with a `drop_reason`. `read_raw` gives the page behind a document again.
"""

import difflib
import inspect
import posixpath
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from glob import has_magic
from typing import Any, NamedTuple

import pyarrow as pa

from datapipe.readers import git, github, html, jsonl, latex, package, parquet, path_lists, raw, stack, tree, warc
from datapipe.readers.places import Place
from datapipe.readers.split import Input, Pattern, Row, Split, files, group, pattern, tables
from datapipe.schema import KINDS
from datapipe.store import S3_PREFIX, StoreError, glob, join

__all__ = ["READERS", "Input", "Split", "check_source", "list_splits", "read", "read_raw", "read_raw_rows"]

SPLIT_BYTES, LEAST_SPLIT_BYTES, NUM_SPLITS = 256 << 20, 32 << 20, 16
MAX_ENTRIES = 32  # of `paths` of which each single file is told apart: a split for each of thousands would be small
_EXAMPLES = {int: "a whole number such as 1000000", str: "a text, in quotes where it looks like a number"}
_SOURCE_KEYS = ("reader", "paths", "kind", "split_bytes", "base", "first", "every")


def _whole(file: Input) -> list[Input]:
    return [file]


class Reader(NamedTuple):
    read: Callable[..., Iterator[Row | pa.Table]]  # (input, *, options)
    kind: str  # of its documents, where neither the source nor the row says one
    suffixes: tuple[str, ...] = ()  # of its files in a folder; none for a reader that has `find`
    cut: Callable[[Input], list[Input]] = _whole  # a file into parts that can be read by themselves
    read_at: Callable[..., Iterator[tuple[Place, Row]]] | None = None  # (input, places, *, options): some rows again
    find: Callable[[Pattern, Mapping[str, Any]], list[Input]] | None = (
        None  # (pattern, options): what is no single file
    )
    is_nested: bool = False  # what lies in a folder that was found is part of it


READERS: dict[str, Reader] = {
    "warc": Reader(warc.read, "web", warc.SUFFIXES, read_at=warc.read_at),
    "html": Reader(html.read, "web", html.SUFFIXES, read_at=html.read_at),
    "jsonl": Reader(jsonl.read, "web", jsonl.SUFFIXES, jsonl.cut, jsonl.read_at),
    "parquet": Reader(parquet.read, "web", parquet.SUFFIXES, parquet.cut, parquet.read_at),
    "stack": Reader(stack.read, "code", parquet.SUFFIXES, parquet.cut),
    "github": Reader(github.read, "thread", jsonl.SUFFIXES, github.cut),
    "latex": Reader(latex.read, "math", latex.SUFFIXES),
    "package": Reader(package.read, "code", package.SUFFIXES),
    "tree": Reader(tree.read, "code", find=tree.find, is_nested=True),
    "git": Reader(git.read, "code", find=git.find),
}


def check_source(source: Mapping[str, Any]) -> None:
    """Raise ValueError for a reader, option or value that cannot be; touches no data."""
    if "reader" not in source:
        raise ValueError(f"the source names no reader; add `reader:` with one of {', '.join(READERS)}")
    name = source["reader"]
    if not isinstance(name, str) or name not in READERS:
        raise ValueError(f"reader: {name!r} is unknown; {_nearest(str(name), READERS)}")
    paths = source.get("paths")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f"paths: {paths!r} is no list of paths; write for instance `paths: [data/*.gz]`")
    for path in paths:
        _check_store("paths", path)
    if (kind := source.get("kind")) is not None and kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is unknown; {_nearest(str(kind), KINDS)}")
    _check_value("split_bytes", source.get("split_bytes", SPLIT_BYTES), int)
    _check_lists(source)
    options = _option_types(READERS[name])
    for key, value in source.items():
        if key in options:
            _check_value(key, value, options[key])
        elif key not in _SOURCE_KEYS:
            raise ValueError(f"{key}: reader {name!r} has no such option; {_nearest(key, [*options, *_SOURCE_KEYS])}")


def list_splits(source: Mapping[str, Any], root: str) -> list[Split]:
    """What the source's paths hold, in the order of names, cut into splits of about `split_bytes` as the files lie there.

    By default that is 256 MiB, and in sources under 4 GiB a 16th of all, but 32 MiB at least: cores share the work there too. A split is
    of one entry of `paths`, so that what becomes of each can be counted; of more than 32 entries, those that name a single file or
    tree go by their folder. Raises ValueError for a bad source, StoreError for a path that matches nothing.
    """
    check_source(source)
    reader = READERS[source["reader"]]
    options = {**_options(reader, source), "kind": source.get("kind")}
    of_entry = _find(reader, source, root)
    total_bytes = sum(one.size_bytes for inputs in of_entry.values() for one in inputs)
    split_bytes = source.get("split_bytes") or min(max(total_bytes // NUM_SPLITS, LEAST_SPLIT_BYTES), SPLIT_BYTES)
    groups = ((path, part) for path, inputs in of_entry.items() for part in group(inputs, split_bytes))
    return [Split(source["reader"], part, options, index, path) for index, (path, part) in enumerate(groups)]


def read(split: Split, corpus: str) -> Iterator[pa.Table]:
    """The documents of a split, in tables of at most 1,000 rows and about 64 MiB of text."""
    reader = READERS[split.reader]
    options = dict(split.options)
    kind = options.pop("kind")
    rows = (row for one in split.inputs for row in reader.read(one, **options))
    return tables(rows, {"kind": reader.kind}, {"corpus": corpus, "kind": kind} if kind else {"corpus": corpus})


def read_raw(source: Mapping[str, Any], root: str, document: Mapping[str, Any]) -> str:
    """The page of one document as its reader gave it, whatever steps made of its text since: of a WARC, ARC or HTML file the decoded
    HTML, else the text field. `document` needs `origin`, `raw` and `meta`.

    From S3 it costs a request for the page's own bytes (zstd and JSON Lines: one or two more, about the file). Raises StoreError when the
    file is not there or no longer holds that page, ValueError for a source of which this is not known.
    """
    return read_raw_rows(source, root, [document])[0]


def read_raw_rows(source: Mapping[str, Any], root: str, documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """`read_raw` for many documents, in their order: each file is read once, front to back, and neighbours with one request.

    All pages are held at once: take a table at a time.
    """
    check_source(source)
    reader = READERS[source["reader"]]
    if reader.read_at is None:
        raise ValueError(f"reader {source['reader']!r} cannot read a document again; its text is what was read")
    options, prefixes = _options(reader, source), _prefixes(source, root)
    pages = [""] * len(documents)
    for name, places in raw.by_file(documents).items():
        file = raw.locate(name, prefixes)
        rows = dict(reader.read_at(file, list(places), **options))
        for place, indices in places.items():
            for index in indices:
                pages[index] = raw.text_of(rows.get(place), documents[index], file)
    return pages


def _prefixes(source: Mapping[str, Any], root: str) -> list[str]:
    """What may stand before the name of a file of the source, unless that is a path in S3."""
    base = join(root, source.get("base") or "")
    lists = [pattern("x", base).prefix for path in source["paths"] if path_lists.is_list(path)]
    others = [path for path in source["paths"] if not path_lists.is_list(path) and not path.startswith(S3_PREFIX)]
    return [*(pattern(path, root).prefix for path in others), *lists] or [""]


def _options(reader: Reader, source: Mapping[str, Any]) -> dict[str, Any]:
    """The reader's options, complete with defaults."""
    defaults = inspect.signature(reader.read).parameters
    return {key: source.get(key, defaults[key].default) for key in _option_types(reader)}


def _find(reader: Reader, source: Mapping[str, Any], root: str) -> dict[str, list[Input]]:
    """What each entry of `paths` names and none before it did, in the order of names; the entries in the order of their first."""
    found: dict[tuple[str, int], tuple[str, Input]] = {}
    for written in source["paths"]:
        inputs = _matching(reader, written, source, root)
        is_single = len({one.path for one in inputs}) == 1 and not path_lists.is_list(written)
        by_folder = is_single and len(source["paths"]) > MAX_ENTRIES
        entry = f"{posixpath.dirname(written) or '.'}/" if by_folder else written
        for one in inputs:
            _, known = found.setdefault((one.name, one.first or 0), (entry, one))
            if known.path != one.path:
                raise ValueError(
                    f"paths: {known.path} and {one.path} would both be named {one.name}; use relative paths"
                )
    paths_found = {one.path for _, one in found.values()}
    of_entry: dict[str, list[Input]] = {}
    for key in sorted(found):
        entry, one = found[key]
        if not (reader.is_nested and _lies_in(one.path, paths_found)):
            of_entry.setdefault(entry, []).append(one)
    return of_entry


def _matching(reader: Reader, written: str, source: Mapping[str, Any], root: str) -> list[Input]:
    """What one entry of `paths` names; a StoreError when that is nothing."""
    where = pattern(written, root)
    if path_lists.is_list(written):
        base = join(root, source.get("base") or "")
        inputs = path_lists.find(where, base, source.get("first"), source.get("every", 1))
    elif reader.find:
        inputs = reader.find(where, _options(reader, source))
    else:
        inputs = files(where, reader.suffixes)
    if not inputs:
        raise _nothing(reader, written, where.path)
    return [part for one in inputs for part in reader.cut(one)]


def _nothing(reader: Reader, written: str, path: str) -> StoreError:
    """Why an entry of `paths` names nothing."""
    there = glob(path)
    if there and path_lists.is_list(written):
        return StoreError(written, "no line of it names a file", "a list has one path per line; `#` begins a comment")
    if there and reader.suffixes:
        answer = f"{len(there):,} files match, such as {there[0].path}, and none ends in {', '.join(reader.suffixes)}"
        return StoreError(
            written, answer, "use the `reader` of that kind of file, or a pattern with its suffix, such as *.txt"
        )
    answer = f"nothing to read matches (looked for {path})"
    return StoreError(written, answer, "check the path; relative paths start at --data")


def _lies_in(path: str, folders: set[str]) -> bool:
    """Whether one of `folders` holds `path`: a source tree inside a source tree is part of it."""
    while path := path.rpartition("/")[0]:
        if path in folders:
            return True
    return False


def _check_lists(source: Mapping[str, Any]) -> None:
    """The options of lists of paths, which need a list to be about."""
    lists = [path for path in source["paths"] if path_lists.is_list(path)]
    if lists and READERS[source["reader"]].find:
        raise ValueError(f"paths: {lists[0]!r} lists files, and reader {source['reader']!r} reads folders")
    for key in ("first", "every", "base"):
        if key not in source:
            continue
        if not lists:
            raise ValueError(
                f"{key}: is about a list of paths, and `paths` names none; a list ends in .paths, .paths.gz or .paths.zst"
            )
        _check_value(key, source[key], str if key == "base" else int)
    if source.get("base"):
        _check_store("base", source["base"])


def _check_store(key: str, path: str) -> None:
    """Against addresses of stores that are not read, and of no bucket."""
    if "://" in path and not path.startswith(S3_PREFIX):
        raise ValueError(f"{key}: {path!r} is in a store that is not read; write s3://bucket/ or a folder")
    bucket = path.removeprefix(S3_PREFIX).partition("/")[0]
    if path.startswith(S3_PREFIX) and (not bucket or has_magic(bucket)):
        raise ValueError(
            f"{key}: {path!r} names no bucket; write s3://bucket/folder, wildcards in what follows the bucket"
        )


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
        raise ValueError(f"{key}: {value!r} is not of type {kinds[0].__name__}; type {_EXAMPLES[kinds[0]]}")
    if isinstance(value, int) and value < 1:
        raise ValueError(f"{key}: {value} is below 1")


def _nearest(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(words)}"
