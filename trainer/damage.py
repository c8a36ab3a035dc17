"""Whether the files of a checkpoint's weights are what was written, looked at before they are loaded.

Every tensor lies in its file as an archive of torch.save, a zip whose records bear a CRC-32. torch.load does not look at that:
a flipped bit of a weight is loaded as another weight. Here each archive that the table of contents names is read once more and
its records are compared with their checksums. All ranks share the work, each archive is looked at by one of them.

That costs 0.3 CPU seconds per GB (zlib's CRC-32 and a copy out of the page cache; torch.load takes 0.5 for the same GB) and
0.2 ms per archive; memory for 1 MiB; and the storage reads every byte twice, unless the same machine still has it in memory.

The other files are small, and a file beside them has their SHA-256. Above all that is for `.metadata`, a pickle: a flipped bit
can make it another one, and one that takes all memory before it fails.

Not covered: the small files of a folder without that file, but for what is plain to see; bytes beside the tensors that are no
archive; what was wrong before it was written.
"""

import hashlib
import io
import itertools
import pickle
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

from trainer.durable import write_text

CONTENTS = ".metadata"
SUMS = "sha256sums"  # of the small files, as `sha256sum --check` reads it
ARCHIVE_BEGINS = b"PK\x03\x04"  # the signature of a zip's first record

# What flipped bits make zipfile and torch's reader of archives raise; found by flipping every bit of one.
_OF_ARCHIVES = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
# Where no checksum tells: what pickle raises for a file that ends too early, or begins as something else.
_OF_PICKLES = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    ValueError,
    TypeError,
)


class Unreadable(Exception):
    """Weights in a folder are damaged, or of another model; the message says what is wrong with them."""


class Damaged(Unreadable):
    """A file is not what was written, or cannot be read: the message names it, and what in it."""


class Archive(NamedTuple):
    """What torch.save wrote, inside a file."""

    file: str  # its name in the folder
    offset: int  # bytes
    length: int
    what: str  # what it holds, in words
    is_sure: bool = True  # False: bytes that may be something else


def contents(folder: Path) -> Metadata:
    """The table of contents of `folder`. Raises Damaged."""
    check_sums(folder, [CONTENTS])
    path = folder / CONTENTS
    try:
        with path.open("rb") as file:
            found = pickle.load(file)
        if not isinstance(found, Metadata):
            raise TypeError(f"it holds a {type(found).__name__}")
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error})") from error
    except _OF_PICKLES as error:
        raise Damaged(f"{path} is damaged ({type(error).__name__}: {error})") from error
    return found


def write_sums(folder: Path, names: Sequence[str]) -> None:
    """Write down what these files hold now. Raises OSError."""
    write_text(folder / SUMS, "".join(f"{_sha256(folder / name)}  {name}\n" for name in names))


def check_sums(folder: Path, names: Sequence[str]) -> None:
    """Raises Damaged for files that do not hold what was written down; nothing was by other programs, and by older versions of ours."""
    path = folder / SUMS
    try:
        lines = path.read_text().splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        for path in (folder / name for name in names):
            if _sha256(path) != sums.get(path.name):
                raise Damaged(f"{path} is damaged: {SUMS} beside it has another checksum")
    except (OSError, UnicodeDecodeError) as error:
        if not (isinstance(error, FileNotFoundError) and path.name == SUMS):
            raise Damaged(f"{path} cannot be read ({error})") from error


def archives(metadata: Metadata, prefixes: tuple[str, ...] = ("",)) -> list[Archive]:
    """Where the parts of what begins with one of `prefixes` lie."""
    found = []
    for index, place in metadata.storage_data.items():
        if index.fqn.startswith(prefixes):
            is_tensor = isinstance(metadata.state_dict_metadata[index.fqn], TensorStorageMetadata)
            what = f"tensor {index.fqn!r}" if is_tensor else f"object {index.fqn!r}"
            found.append(Archive(place.relative_path, place.offset, place.length, what, is_tensor))
    return found


def check_share(folder: Path, of_all: Sequence[Archive]) -> None:
    """Look at this rank's share of the archives that are `of_all` ranks. Raises Damaged for the first that is not what was written."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    largest_first = sorted(of_all, key=lambda archive: (-archive.length, archive.file, archive.offset))
    in_order = sorted(largest_first[rank::world])
    for name, inside in itertools.groupby(in_order, key=lambda archive: archive.file):
        try:
            with (folder / name).open("rb") as file:
                for archive in inside:
                    _check(file, archive, folder / name)
        except OSError as error:
            raise Damaged(f"{folder / name} cannot be read ({error})") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(file: io.BufferedReader, archive: Archive, path: Path) -> None:
    begin = file.seek(archive.offset)
    if not archive.is_sure and file.read(len(ARCHIVE_BEGINS)) != ARCHIVE_BEGINS:
        return
    try:
        with zipfile.ZipFile(_Part(file, begin, archive.length)) as records:
            # Torch takes a record with this mark for a folder, and reads nothing.
            marked = next((record.filename for record in records.infolist() if record.external_attr), None)
            wrong = records.testzip()
        flaw = f"its record {name} is not what its checksum is of" if (name := wrong or marked) else None
        # Reads no data. It asks more of the table at the end than zipfile does.
        torch._C.PyTorchFileReader(cast("IO[bytes]", _Part(file, begin, archive.length)))
    except _OF_ARCHIVES as error:
        flaw = f"{type(error).__name__}: {error}".split("\n", 1)[0]
    if flaw:
        raise Damaged(
            f"{path} is damaged: {archive.what}, bytes {begin} to {begin + archive.length}, is not what was written ({flaw})"
        )


class _Part(io.IOBase):
    """A part of a file, as a file. Never reads more than is there, whatever it is asked for."""

    def __init__(self, file: io.BufferedReader, offset: int, length: int) -> None:
        self._file, self._offset, self._length, self._at = file, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if origin + position < 0:
            raise ValueError("it refers to what lies before it")
        self._at = origin + position
        return self._at

    def read(self, size: int = -1) -> bytes:
        there = max(0, self._length - self._at)
        self._file.seek(self._offset + min(self._at, self._length))
        data = self._file.read(there if size < 0 else min(size, there))
        self._at += len(data)
        return data
