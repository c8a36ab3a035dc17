"""Lists of paths, as Common Crawl publishes them (`warc.paths.gz`): one file per line, below a base that all share.

An entry of `paths` that ends in `.paths`, `.paths.gz` or `.paths.zst` is a list (or a pattern of lists). Its lines are taken as they
stand, without wildcards; blank ones and those that begin with `#` do not count. A relative line is meant below the source's `base`, by
default the data folder, and is the file's name in documents: a local mirror gives the same ones as the bucket. An absolute line must lie
below `base` and is named by the rest.

A crawl lists 90,000 files. `every: 900` takes the 1st, 901st, ... line of each list, and `first: 100` the first 100 of these. All are
looked up before the run, and a line whose file is not there is an error. In S3 a folder of which more than 20 files are wanted is listed
(1,000 files a request); of others each file is asked for.
"""

import glob
import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from datapipe import store
from datapipe.readers.compression import MemberError, open_decompressed
from datapipe.readers.split import Input, Pattern, pattern

SUFFIXES = (".paths", ".paths.gz", ".paths.zst")
MAX_SINGLE_LOOKUPS = 20
MAX_LINE_BYTES = 8 << 10
_ONE_PATH = "a list has one path per line, in UTF-8; a file of another kind must not end in .paths"


class Line(NamedTuple):
    """A line of a list: where it stands, and what it says."""

    list_path: str
    number: int  # from 1
    text: str

    def refusal(self, answer: str, remedy: str) -> store.StoreError:
        return store.StoreError(self.list_path, f"line {self.number} {answer}", remedy)


def is_list(written: str) -> bool:
    """Whether an entry of `paths` names lists."""
    return written.lower().endswith(SUFFIXES)


def find(lists: Pattern, base: str, first: int | None, every: int) -> list[Input]:
    """The files that the lists name. Raises StoreError for a list that cannot be read and for a file that is not there."""
    taken = [line for info in store.glob(lists.path) for line in _taken(info.path, first, every)]
    wanted = [(line, pattern(_below(base, line), base)) for line in taken]
    listed = _listed(one.path for _, one in wanted)
    return [_input(line, one, listed.get(one.path)) for line, one in wanted]


def _below(base: str, line: Line) -> str:
    """The line without what an absolute one shares with the base."""
    if "://" in line.text and not line.text.startswith(store.S3_PREFIX):
        raise line.refusal(
            f"is {line.text}, in a store that is not read", "list s3:// paths, or relative ones and `base`"
        )
    if not line.text.startswith("/"):
        return line.text
    shared = "" if store.is_s3(base) else os.path.abspath(base).rstrip("/") + "/"
    if not shared or not line.text.startswith(shared):
        raise line.refusal(f"is {line.text}, not below {base!r}", "set `base` of the source to what all lines share")
    return line.text.removeprefix(shared)


def _input(line: Line, one: Pattern, info: store.FileInfo | None) -> Input:
    try:
        info = info or store.stat(one.path)
        return Input(one.path, one.name(one.path), info.size_bytes, store.fingerprint(info))
    except store.StoreError as error:
        raise line.refusal(f"names {one.path}: {error.answer}", error.remedy) from error


def _listed(paths: Iterable[str]) -> dict[str, store.FileInfo]:
    """What the folders in S3 hold of which many files are wanted. Only their own files: there is no telling what lies below."""
    wanted: defaultdict[str, int] = defaultdict(int)
    for path in paths:
        if store.is_s3(path):
            wanted[path.rpartition("/")[0]] += 1
    folders = [folder for folder, count in wanted.items() if count > MAX_SINGLE_LOOKUPS and not glob.has_magic(folder)]
    return {info.path: info for folder in folders for info in store.glob(f"{folder}/*")}


def _taken(path: str, first: int | None, every: int) -> Iterator[Line]:
    return itertools.islice(itertools.islice(_lines(path), 0, None, every), first)


def _lines(path: str) -> Iterator[Line]:
    with store.open_input(path) as stream:
        try:
            content = open_decompressed(stream)
            for number in itertools.count(1):
                read = content.readline(MAX_LINE_BYTES)
                if not read:
                    return
                line = Line(path, number, read.decode("utf-8", "replace").strip())
                if len(read) == MAX_LINE_BYTES or "\ufffd" in line.text or "\0" in line.text:
                    raise line.refusal("is no path", _ONE_PATH)
                if line.text and not line.text.startswith("#"):
                    yield line
        except MemberError as error:
            answer = f"is {error.reason}: what begins at byte {error.offset} does not decompress"
            raise store.StoreError(path, answer, "get the list again") from error
