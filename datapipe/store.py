"""Files in local folders and in S3: one set of functions, paths are plain strings (`data/x.parquet`, `s3://bucket/key`).

Writes are atomic: a reader sees nothing or all of a file. Locally that is a temporary file in the same folder and a rename (no fsync:
a killed process leaves no half file, a power cut may); in S3 one upload that becomes visible at its end. A killed run leaves
`.tokenloom-tmp-*` files behind, which `glob` never returns, or parts of an upload, which a life-cycle rule of the bucket expires.

Reads from S3 outlast throttling and lost connections (`s3_reads`). Not covered: other object stores.
"""

import contextlib
import glob as globbing
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import xxhash

from datapipe import s3, s3_reads
from datapipe.s3 import S3_PREFIX
from datapipe.stored import FileInfo, StoreError

__all__ = [
    "S3_PREFIX",
    "FileInfo",
    "StoreError",
    "cached",
    "exists",
    "fingerprint",
    "folders",
    "glob",
    "is_s3",
    "join",
    "open_input",
    "output_file",
    "read_bytes",
    "read_range",
    "remove_tree",
    "stat",
    "write_bytes",
]

TEMPORARY_PREFIX = ".tokenloom-tmp-"
BUFFER_BYTES = 1 << 20
HASHED_BYTES = 1 << 18  # at once: they are still in the processor's cache
READ_AHEAD_BYTES = 8 << 20  # from S3, where a request costs as much as a few megabytes


def read_bytes(path: str) -> bytes:
    """The whole file. Raises StoreError when it cannot be had."""
    if not is_s3(path):
        with _explained(path), open(path, "rb", buffering=0) as stream:
            return stream.read()
    with open_input(path) as stream:
        return stream.read()


def open_input(path: str, *, read_ahead: bool = True) -> BinaryIO:
    """A seekable, buffered stream of the file. Raises StoreError when it cannot be had.

    `read_ahead` fetches from S3 what is likely read next; without it a request is for what was asked, as random access wants it.
    """
    if is_s3(path):
        return io.BufferedReader(s3_reads.open_stream(path), READ_AHEAD_BYTES if read_ahead else BUFFER_BYTES)
    with _explained(path):
        return open(path, "rb", buffering=BUFFER_BYTES)


def read_range(path: str, start: int, stop: int) -> bytes:
    """Exactly the bytes [start, stop). Raises StoreError when the file cannot be had or ends before `stop`."""
    if is_s3(path):
        return s3_reads.read_range(path, start, stop)
    with _explained(path), open(path, "rb", buffering=0) as stream:
        stream.seek(start)
        data = stream.read(max(0, stop - start))
    if len(data) < stop - start:
        raise StoreError(path, f"ends at byte {start + len(data)}, {stop} are needed", s3.TOO_SHORT)
    return data


def stat(path: str) -> FileInfo:
    """Size and ETag of a file. Raises StoreError when it cannot be had."""
    if is_s3(path):
        return s3_reads.stat(path)
    with _explained(path):
        return FileInfo(path, os.stat(path).st_size)


def write_bytes(path: str, data: bytes) -> None:
    """Write the whole file atomically, replacing what was there. Local folders are made on the way."""
    if is_s3(path):
        s3.write_bytes(path, data)
        return
    with output_file(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """A stream whose file becomes visible, whole, when the block ends without an exception; otherwise nothing changes."""
    with s3.output_file(path) if is_s3(path) else _output_local(path) as stream:
        yield stream


def exists(path: str) -> bool:
    """Whether `path` is a file or a folder (in S3: a key, or a prefix of keys). A missing bucket is an error, not a no."""
    return s3.exists(path) if is_s3(path) else os.path.exists(path)


def glob(pattern: str) -> list[FileInfo]:
    """The files that match, sorted by path. `*`, `?`, `[ab]` stay within a folder name, `**` spans folders.

    A plain file gives itself, a plain folder all files below it. Wildcards do not match a leading dot, and the temporary files of
    unfinished writes are never returned. No match is an empty list; a missing bucket is a StoreError.
    """
    infos = s3.glob(pattern, "file") if is_s3(pattern) else _glob_local(pattern)
    return sorted(info for info in infos if not info.path.rpartition("/")[2].startswith(TEMPORARY_PREFIX))


def folders(pattern: str) -> list[str]:
    """The folders that match, sorted, without a trailing slash (in S3: what the keys below have in common)."""
    pattern = pattern.rstrip("/") or "/"
    if is_s3(pattern):
        return sorted(info.path for info in s3.glob(pattern, "directory"))
    matches = [pattern] if os.path.isdir(pattern) else _matching(pattern)
    return sorted({match.rstrip("/") or "/" for match in matches if os.path.isdir(match)})


def fingerprint(info: FileInfo) -> str:
    """The identity of a file's content: xxh3-128 of the bytes (local), the ETag (S3)."""
    if is_s3(info.path):
        return info.etag or stat(info.path).etag
    digest = xxhash.xxh3_128()
    with _explained(info.path), open(info.path, "rb", buffering=0) as stream:
        while block := stream.read(HASHED_BYTES):
            digest.update(block)
    return digest.hexdigest()


def join(base: str, *parts: str) -> str:
    """`base/part/...`; a part that is absolute or an S3 path stands for itself, as in os.path.join."""
    path = base
    for part in parts:
        standalone = not path or part.startswith("/") or is_s3(part)
        path = part if standalone else f"{path.rstrip('/')}/{part}"
    return path


def remove_tree(path: str) -> None:
    """Remove a file, or a folder and all below it. What is not there is removed already."""
    if is_s3(path):
        s3.remove_tree(path)
    elif os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        Path(path).unlink(missing_ok=True)


def cached(path: str) -> str:
    """A local path with the content of `path`, for a library that opens local files only.

    A local path is returned as it is. An S3 file is downloaded once per content (ETag) into a folder of this user below the system's
    folder for temporary files.
    """
    if not is_s3(path):
        return path
    content = xxhash.xxh3_128_hexdigest(f"{path}\0{stat(path).etag}".encode())
    folder = Path(tempfile.gettempdir(), f"tokenloom-cache-{os.getuid()}")
    local = folder / content / path.rpartition("/")[2]
    if not local.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        with open_input(path) as source, output_file(str(local)) as target:
            shutil.copyfileobj(source, target, BUFFER_BYTES)
    return str(local)


def is_s3(path: str) -> bool:
    """Whether the path is in S3; StoreError when it is in a store that is not covered."""
    if path.startswith(S3_PREFIX):
        return True
    if "://" in path:
        raise StoreError(path, "is in a store that tokenloom does not read", "use a local path or s3://bucket/key")
    return False


# Local files


@contextlib.contextmanager
def _output_local(path: str) -> Iterator[BinaryIO]:
    target = Path(path)
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}")
    with _explained(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = open(temporary, "xb", buffering=BUFFER_BYTES)  # noqa: SIM115 (closed below, before the rename)
    try:
        with stream:
            yield stream
        with _explained(path):
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _glob_local(pattern: str) -> list[FileInfo]:
    if os.path.isfile(pattern):
        paths = {pattern}
    elif os.path.isdir(pattern):
        paths = {os.path.join(folder, name) for folder, _, names in os.walk(pattern) for name in names}
    else:
        paths = set(_matching(pattern))
    return [FileInfo(path, os.path.getsize(path)) for path in sorted(paths) if os.path.isfile(path)]


def _matching(pattern: str) -> Iterator[str]:
    """As glob.glob, but `**` does not lead through links: two that point upwards would make paths without end."""
    before, stars, after = pattern.partition("**/") if "**/" in pattern else pattern.partition("**")
    if not stars or before[-1:] not in ("", "/"):
        yield from globbing.glob(pattern)
        return
    for top in globbing.glob(before) if before else ("",):
        for folder, folders, names in os.walk(top or "."):
            folders[:] = [name for name in folders if not name.startswith(".")]
            here = os.path.join(folder, "") if top else os.path.join(folder, "").removeprefix("./")
            if after:
                yield from _matching(globbing.escape(here) + after)
            else:
                yield from (
                    here,
                    *(
                        here + name
                        for name in [*folders, *(names if stars == "**" else [])]
                        if not name.startswith(".")
                    ),
                )


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn what the operating system refuses into a StoreError about `path`; every other exception passes."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: str, error: OSError) -> StoreError:
    parent = next((str(folder) for folder in Path(path).parents if folder.is_dir()), "/")
    if isinstance(error, FileNotFoundError):
        return StoreError(path, "no such file", f"check the path; the nearest folder that exists is {parent!r}")
    remedy = f"check the path, its permissions and the space below {parent!r}"
    return StoreError(path, error.strerror or str(error), remedy)
