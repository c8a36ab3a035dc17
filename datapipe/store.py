"""Files in local folders and in S3: one set of functions, paths are plain strings (`data/x.parquet`, `s3://bucket/key`).

Writes are atomic: a reader sees nothing or all of a file. Locally that is a temporary file in the same folder and a rename (no fsync:
a killed process leaves no half file, a power cut may); in S3 one upload that becomes visible at its end. A killed run leaves
`.tokenloom-tmp-*` files behind, which `glob` never returns, or parts of an upload, which a life-cycle rule of the bucket expires.

S3 credentials, region and endpoint come from the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...). Listings are not
cached, so a resumed run sees what is there now. Not covered: other object stores, versions of objects, appending.
"""

import contextlib
import functools
import glob as globbing
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import xxhash

S3_PREFIX = "s3://"
TEMPORARY_PREFIX = ".tokenloom-tmp-"
BUFFER_BYTES = 1 << 20
S3_BLOCK_BYTES = 8 << 20  # read-ahead, and the size of an uploaded part; S3 allows 10,000 parts: files up to 80 GB
S3_CONNECT_SECONDS = 5


class StoreError(Exception):
    """A file, bucket or credential is not there or not accepted; says which, what the store answered, and what to do."""

    def __init__(self, path: str, answer: str, remedy: str) -> None:
        super().__init__(path, answer, remedy)
        self.path, self.answer, self.remedy = path, answer, remedy

    def __str__(self) -> str:
        return f"{self.path}: {self.answer}\n    {self.remedy}"


@dataclass(frozen=True, order=True)
class FileInfo:
    """A file as a listing shows it. `etag` is what S3 said about its content, empty for a local file."""

    path: str
    size_bytes: int
    etag: str = field(default="", compare=False, repr=False)


def read_bytes(path: str) -> bytes:
    """The whole file. Raises StoreError when it cannot be had."""
    with open_input(path) as stream:
        return stream.read()


def open_input(path: str, *, read_ahead: bool = True) -> BinaryIO:
    """A seekable, buffered stream of the file. Raises StoreError when it cannot be had.

    `read_ahead` fetches from S3 what is likely read next; without it a request is for what was asked, as random access wants it.
    """
    if _is_s3(path):
        return io.BufferedReader(_S3Input(path), BUFFER_BYTES)
    with _explained(path):
        return open(path, "rb", buffering=BUFFER_BYTES)


def write_bytes(path: str, data: bytes) -> None:
    """Write the whole file atomically, replacing what was there. Local folders are made on the way."""
    if _is_s3(path):
        with _explained(path):
            _s3().pipe_file(path, data)
        return
    with output_file(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """A stream whose file becomes visible, whole, when the block ends without an exception; otherwise nothing changes."""
    with _output_s3(path) if _is_s3(path) else _output_local(path) as stream:
        yield stream


def exists(path: str) -> bool:
    """Whether `path` is a file or a folder (in S3: a key, or a prefix of keys). A missing bucket is an error, not a no."""
    if not _is_s3(path):
        return os.path.exists(path)
    with _explained(path):
        try:
            _s3().info(path)
        except FileNotFoundError as error:
            if _s3_code(error) == "NoSuchBucket":
                raise
            return False
    return True


def glob(pattern: str) -> list[FileInfo]:
    """The files that match, sorted by path. `*`, `?`, `[ab]` stay within a folder name, `**` spans folders.

    A plain file gives itself, a plain folder all files below it. Wildcards do not match a leading dot, and the temporary files of
    unfinished writes are never returned. No match is an empty list; a missing bucket is a StoreError.
    """
    infos = _glob_s3(pattern, "file") if _is_s3(pattern) else _glob_local(pattern)
    return sorted(info for info in infos if not info.path.rpartition("/")[2].startswith(TEMPORARY_PREFIX))


def folders(pattern: str) -> list[str]:
    """The folders that match, sorted, without a trailing slash (in S3: what the keys below have in common)."""
    pattern = pattern.rstrip("/") or "/"
    if _is_s3(pattern):
        return sorted(info.path for info in _glob_s3(pattern, "directory"))
    matches = [pattern] if os.path.isdir(pattern) else globbing.glob(pattern, recursive=True)
    return sorted({match.rstrip("/") or "/" for match in matches if os.path.isdir(match)})


def fingerprint(info: FileInfo) -> str:
    """The identity of a file's content: xxh3-128 of the bytes (local), the ETag (S3)."""
    if _is_s3(info.path):
        return info.etag or _etag(info.path)
    digest = xxhash.xxh3_128()
    with open_input(info.path) as stream:
        while block := stream.read(BUFFER_BYTES):
            digest.update(block)
    return digest.hexdigest()


def join(base: str, *parts: str) -> str:
    """`base/part/...`; a part that is absolute or an S3 path stands for itself, as in os.path.join."""
    path = base
    for part in parts:
        standalone = not path or part.startswith("/") or _is_s3(part)
        path = part if standalone else f"{path.rstrip('/')}/{part}"
    return path


def remove_tree(path: str) -> None:
    """Remove a file, or a folder and all below it. What is not there is removed already."""
    if _is_s3(path):
        if not path.removeprefix(S3_PREFIX).partition("/")[2].strip("/"):
            raise StoreError(path, "is a whole bucket", "name a folder in it; a bucket is never removed from here")
        with _explained(path):
            if keys := _s3().find(path):
                _s3().rm(keys)
    elif os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        Path(path).unlink(missing_ok=True)


def cached(path: str) -> str:
    """A local path with the content of `path`, for a library that opens local files only.

    A local path is returned as it is. An S3 file is downloaded once per content (ETag) into a folder of this user below the system's
    folder for temporary files.
    """
    if not _is_s3(path):
        return path
    content = xxhash.xxh3_128_hexdigest(f"{path}\0{_etag(path)}".encode())
    folder = Path(tempfile.gettempdir(), f"tokenloom-cache-{os.getuid()}")
    local = folder / content / path.rpartition("/")[2]
    if not local.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        with open_input(path) as source, output_file(str(local)) as target:
            shutil.copyfileobj(source, target, BUFFER_BYTES)
    return str(local)


def _is_s3(path: str) -> bool:
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
        paths = set(globbing.glob(pattern, recursive=True))
    return [FileInfo(path, os.path.getsize(path)) for path in sorted(paths) if os.path.isfile(path)]


# S3


def _s3() -> Any:
    """The S3 file system of this process, for the endpoint and credentials that the environment names now."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise StoreError(
            "AWS_ENDPOINT_URL", f"{endpoint!r} is not a URL", f"write http://{endpoint} or https://{endpoint}"
        )
    identity = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
    return _s3_of(os.getpid(), endpoint, tuple(os.environ.get(name) for name in identity))


@functools.lru_cache(maxsize=4)
def _s3_of(process_id: int, endpoint: str | None, identity: tuple[str | None, ...]) -> Any:
    """One file system per key: its connections do not survive a fork, and s3fs reads the identity from the environment."""
    import s3fs

    return s3fs.S3FileSystem(
        endpoint_url=endpoint,
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={"connect_timeout": S3_CONNECT_SECONDS},
    )


class _S3Input(io.RawIOBase):
    """An S3 file whose reads raise StoreError: an outage is no damaged data."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: Any = None
        with _explained(path):
            self._file = _s3().open(path, "rb", block_size=S3_BLOCK_BYTES, cache_type="readahead")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        with _explained(self._path):
            return int(self._file.readinto(buffer))

    def readall(self) -> bytes:
        with _explained(self._path):
            return bytes(self._file.read())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def _etag(path: str) -> str:
    with _explained(path):
        return str(_s3().info(path).get("ETag", "")).strip('"')


def _glob_s3(pattern: str, kind: Literal["file", "directory"]) -> list[FileInfo]:
    """The files or folders that match, unsorted."""
    has_wildcards = globbing.has_magic(pattern)
    with _explained(pattern):
        if has_wildcards:
            found = _s3().glob(pattern, detail=True)
        elif kind == "file":
            found = _s3().find(pattern, detail=True)
        else:
            found = {pattern.removeprefix(S3_PREFIX): _s3().info(pattern)} if exists(pattern) else {}
        if not found:
            _require_bucket(pattern)
    may_be_hidden = not has_wildcards or "/." in pattern
    return [
        FileInfo(S3_PREFIX + path, int(info.get("size") or 0), str(info.get("ETag", "")).strip('"'))
        for path, info in found.items()
        if info["type"] == kind and (may_be_hidden or "/." not in path)
    ]


def _require_bucket(path: str) -> None:
    """Raise when the bucket of `path` is not there or not ours to list: an empty listing alone does not tell."""
    _s3().call_s3("list_objects_v2", Bucket=path.removeprefix(S3_PREFIX).partition("/")[0], MaxKeys=1)


@contextlib.contextmanager
def _output_s3(path: str) -> Iterator[BinaryIO]:
    """A multi-part upload. Closing does not commit it, so a library that closes the stream early publishes nothing."""
    with _explained(path):
        stream = _s3().open(path, "wb", block_size=S3_BLOCK_BYTES, autocommit=False)
    committed = False
    try:
        yield cast(BinaryIO, stream)
        stream.close()
        stream.commit()
        committed = True
    except _refusals(path) as error:
        if not _s3_code(error):
            raise  # the caller's own
        raise _s3_refusal(path, error) from error
    finally:
        if not committed:
            stream.closed = True  # else its finaliser would upload the rest
            stream.discard()


# What a store refused, in words

_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that this key may list, read and write the bucket"
_ENDPOINT = "check that AWS_ENDPOINT_URL is right and that something answers there"
_S3_REMEDIES = {
    "NoSuchBucket": "create the bucket or correct its name",
    "NoSuchKey": "check the key; in a pattern `**` finds files in the folders below",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ParamValidationError": "use s3://bucket/key with a valid bucket name",
    **dict.fromkeys(("EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "SSLError"), _ENDPOINT),
    **dict.fromkeys(("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"), _KEYS),
}


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn what the operating system or S3 refuses into a StoreError about `path`; every other exception passes."""
    try:
        yield
    except _refusals(path) as error:
        raise (_s3_refusal if _is_s3(path) else _local_refusal)(path, error) from error


def _refusals(path: str) -> tuple[type[Exception], ...]:
    if not _is_s3(path):
        return (OSError,)
    from botocore.exceptions import BotoCoreError

    return OSError, BotoCoreError


def _local_refusal(path: str, error: Exception) -> StoreError:
    parent = next((str(folder) for folder in Path(path).parents if folder.is_dir()), "/")
    if isinstance(error, FileNotFoundError):
        return StoreError(path, "no such file", f"check the path; the nearest folder that exists is {parent!r}")
    answer = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StoreError(path, answer, f"check the path, its permissions and the space below {parent!r}")


def _s3_refusal(path: str, error: Exception) -> StoreError:
    code = _s3_code(error) or ("NoSuchKey" if isinstance(error, FileNotFoundError) else type(error).__name__)
    if code == "403":  # the answer to a HEAD request has no body, so ask for one that has
        try:
            _require_bucket(path)
        except _refusals(path) as told:
            code, error = _s3_code(told) or code, told
    answer = "no such file" if code == "NoSuchKey" else str(error)
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or "AWS"
    return StoreError(
        path, f"{code}: {answer} (endpoint: {endpoint})", _S3_REMEDIES.get(code, "see what the store answered")
    )


def _s3_code(error: Exception) -> str:
    """What S3 or its client calls the problem ("NoSuchBucket", "EndpointConnectionError"); empty when it is not theirs."""
    from botocore.exceptions import BotoCoreError, ClientError

    for candidate in (error, error.__cause__):
        if isinstance(candidate, ClientError):
            return str(candidate.response.get("Error", {}).get("Code", "ClientError"))
        if isinstance(candidate, BotoCoreError):
            return type(candidate).__name__
    return ""
