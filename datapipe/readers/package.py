"""Packages as they are published, each one repository: sdists, wheels, crates, npm packages, archives of tags; tar and zip.

A document per file (source_file.py). Name, version and licence come from package metadata, the single top folder of an archive is not part
of paths. An archive is read front to back: once when its files take up to 64 MiB, else twice, for names and metadata first; 35 to 70 MB of
source per CPU second. Bombs end at `max_package_bytes` decompressed, or a million members: `package.too_large`, once, for what follows.

Damage in a tar ends it, `package.damaged`, and what stands before is kept; in a zip a damaged or encrypted member is `file.damaged`, and
only one without its directory of members is lost. Absolute names and those with `..` are `file.unsafe_path`. Not covered: gems, conda
packages, archives inside archives.
"""

import contextlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, NamedTuple

from datapipe import store
from datapipe.readers import repository, source_file
from datapipe.readers.compression import MemberError, open_decompressed
from datapipe.readers.repository import Repository
from datapipe.readers.source_file import MAX_FILES, File
from datapipe.readers.split import Input, Row

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar", ".crate", ".zip", ".whl")
HELD_BYTES, HELD_BYTES_PER_FILE = 64 << 20, 500
MAX_ASKED = 200  # files that say something about the package
MAX_HEADER_BYTES = 1 << 20  # of what a tar says about one member: long names, PAX attributes


class Stopped(Exception):
    """The rest of a package is not read; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Member(NamedTuple):
    """A file, or another thing with its `reason`. `read` gives the bytes while the member is the current one."""

    path: str
    size_bytes: int
    read: Callable[[], bytes]
    reason: str | None = None


class Survey(NamedTuple):
    """What the first reading of a package found."""

    about: Repository  # complete
    top: str  # the folder that holds all of it, with its slash, or empty
    files: list[File] | None  # None when they are too large to be held
    stopped: str | None  # why the reading ended early


def read(source: Input, *, max_file_bytes: int = 1 << 20, max_package_bytes: int = 4 << 30) -> Iterator[Row]:
    """The documents of one package."""
    with store.open_input(source.path) as stream:
        survey = _surveyed(stream, source, max_file_bytes, max_package_bytes)
        files = _files(stream, max_file_bytes, max_package_bytes) if survey.files is None else survey.files
        below = (file._replace(path=file.path.removeprefix(survey.top)) for file in files)
        yield from source_file.rows(below, survey.about, source.name)
    if survey.stopped:
        raw = {"file": source.name, "offset": None, "length": None}
        yield {"origin": source.name, "raw": raw, "drop_reason": f"package.{survey.stopped}"}


def _surveyed(stream: BinaryIO, source: Input, max_file_bytes: int, max_bytes: int) -> Survey:
    texts: dict[str, str] = {}
    tops: set[str] = set()
    held: list[File] = []
    num_held_bytes, stopped = 0, None
    try:
        for member in _members(stream, max_bytes):
            top, slash, below = member.path.partition("/")
            tops.add(f"{top}/" if slash else "")
            is_asked = repository.says(member.path) or repository.says(below)
            if num_held_bytes <= HELD_BYTES or is_asked:
                file = _file(member, max_file_bytes)
                num_held_bytes += len(file.data) + len(file.path) + HELD_BYTES_PER_FILE
                held.append(file)
                if is_asked and not file.reason and len(texts) < MAX_ASKED:
                    texts.setdefault(file.path, file.data.decode("utf-8", "replace"))
            if num_held_bytes > HELD_BYTES:
                held.clear()
    except Stopped as stop:
        stopped = stop.reason
    top = tops.pop() if len(tops) == 1 else ""
    below_top = {path.removeprefix(top): text for path, text in texts.items()}
    said = repository.describe(below_top, below_top.__getitem__)
    name, version = said.name or _stem(source.name), said.version or source.fingerprint[:12]
    return Survey(Repository(name, version, said.license), top, held if num_held_bytes <= HELD_BYTES else None, stopped)


def _files(stream: BinaryIO, max_file_bytes: int, max_bytes: int) -> Iterator[File]:
    with contextlib.suppress(Stopped):
        for member in _members(stream, max_bytes):
            yield _file(member, max_file_bytes)


def _stem(name: str) -> str:
    file = name.rpartition("/")[2]
    return next((file[: -len(suffix)] for suffix in SUFFIXES if file.lower().endswith(suffix)), file)


def _file(member: Member, max_bytes: int) -> File:
    path, size_bytes = member.path, member.size_bytes
    reason = member.reason or source_file.unread(path, size_bytes, max_bytes)
    if reason:
        return File(path, size_bytes, reason=reason)
    try:
        return File(path, size_bytes, member.read())
    except _DAMAGE:
        return File(path, size_bytes, reason="damaged")


def _members(stream: BinaryIO, max_bytes: int) -> Iterator[Member]:
    """The members of an archive in their order, without folders. Raises Stopped."""
    stream.seek(0)
    is_zip = stream.read(4) in _ZIP_MAGIC
    stream.seek(0)
    left = max_bytes
    for index, member in enumerate(_of_zip(stream) if is_zip else _of_tar(stream, max_bytes)):
        left -= max(0, member.size_bytes)
        if left < 0 or index >= MAX_FILES:
            raise Stopped("too_large")
        parts = member.path.split("/")
        yield member._replace(reason="unsafe_path") if parts[0] == "" or ".." in parts else member


# Zip

_ZIP_MAGIC = (b"PK\3\4", b"PK\5\6")
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, ValueError, OSError),
)  # of one member
_IS_ENCRYPTED = 1  # of `flag_bits`


def _of_zip(stream: BinaryIO) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(stream)
    except _DAMAGE as error:
        raise Stopped("damaged") from error
    for info in archive.infolist():
        if not info.is_dir():
            reason = "link" if stat.S_ISLNK(info.external_attr >> 16) else None
            reason = "damaged" if info.flag_bits & _IS_ENCRYPTED else reason
            yield Member(info.filename, info.file_size, partial(archive.read, info), reason)


# Tar

_BEFORE_A_MEMBER = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_TAR_DAMAGE = (tarfile.TarError, MemberError, ValueError, EOFError)


class _Header(tarfile.TarInfo):
    """A header whose damage is an error: tarfile takes it for the end of the archive, unless it is the first."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.strip(b"\0"):
                raise  # the end
            raise tarfile.ReadError(str(error)) from error
        if header.type in _BEFORE_A_MEMBER and header.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"names and attributes of a member take {header.size:,} bytes")
        return header


def _of_tar(stream: BinaryIO, max_bytes: int) -> Iterator[Member]:
    try:
        content = open_decompressed(stream)
        with tarfile.open(fileobj=content, mode="r|", tarinfo=_Header, errors="surrogateescape") as archive:
            num_headers = 0
            while header := archive.next():
                num_headers += 1
                if header.offset_data > max_bytes or num_headers > MAX_FILES:  # of names and folders alone, perhaps
                    raise Stopped("too_large")
                archive.members = []  # type: ignore[attr-defined] # else it keeps all of them
                if not header.isdir():
                    path = source_file.readable(header.name.encode("utf-8", "surrogateescape"))
                    reason = None if header.isreg() and not header.issparse() else "link"
                    yield Member(path, header.size, partial(_content, archive, header), reason)
    except _TAR_DAMAGE as error:
        raise Stopped("damaged") from error


def _content(archive: tarfile.TarFile, header: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(header)
    assert content
    try:
        return content.read()
    except _TAR_DAMAGE as error:
        raise Stopped("damaged") from error
