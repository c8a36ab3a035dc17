"""S3 through s3fs: the file system of this process, listings, uploads, and what a refusal means. Reads are in `s3_reads`.

Two layers retry below every call: botocore (5 attempts by default, `AWS_MAX_ATTEMPTS`) and s3fs around it (5 more, twice over where it
reads a body): up to 125 requests and minutes of silence for one read. Here s3fs asks once. Listings and uploads have botocore's
attempts, reads have none but those of `s3_reads`.

Credentials, region and endpoint come from the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...). Listings are not cached, so
a resumed run sees what is there now. Not covered: versions of objects, appending.
"""

import contextlib
import functools
import glob as globbing
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, cast

from datapipe.stored import FileInfo, StoreError

S3_PREFIX = "s3://"
PART_BYTES = 8 << 20  # of an upload; S3 allows 10,000 parts: files up to 80 GB
CONNECT_SECONDS = 5
CONNECTIONS = 64  # at once, per file system; more requests wait for a free one


def file_system(*, read_seconds: float | None = None) -> Any:
    """The S3 file system of this process, for the endpoint and credentials that the environment names now.

    With `read_seconds` it is one for reads: it waits so long for the next bytes of an answer, and asks exactly once.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise StoreError(
            "AWS_ENDPOINT_URL", f"{endpoint!r} is not a URL", f"write http://{endpoint} or https://{endpoint}"
        )
    identity = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
    return _file_system(os.getpid(), endpoint, tuple(os.environ.get(name) for name in identity), read_seconds)


@functools.lru_cache(maxsize=8)
def _file_system(
    process_id: int, endpoint: str | None, identity: tuple[str | None, ...], read_seconds: float | None
) -> Any:
    """One file system per key: its connections do not survive a fork, and s3fs reads the identity from the environment."""
    import s3fs

    config: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "max_pool_connections": CONNECTIONS}
    if read_seconds is not None:
        config |= {"read_timeout": read_seconds, "retries": {"total_max_attempts": 1}}
    files = s3fs.S3FileSystem(
        endpoint_url=endpoint, use_listings_cache=False, skip_instance_cache=True, config_kwargs=config
    )
    files.retries = 1
    return files


def bucket_and_key(path: str) -> tuple[str, str]:
    bucket, _, key = path.removeprefix(S3_PREFIX).partition("/")
    return bucket, key


def write_bytes(path: str, data: bytes) -> None:
    with explained(path):
        file_system().pipe_file(path, data)


@contextlib.contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """A multi-part upload. Closing does not commit it, so a library that closes the stream early publishes nothing."""
    with explained(path):
        stream = file_system().open(path, "wb", block_size=PART_BYTES, autocommit=False)
    committed = False
    try:
        yield cast(BinaryIO, stream)
        stream.close()
        stream.commit()
        committed = True
    except refusals() as error:
        if not code_of(error):
            raise  # the caller's own
        raise refusal(path, error) from error
    finally:
        if not committed:
            stream.closed = True  # else its finaliser would upload the rest
            stream.discard()


def exists(path: str) -> bool:
    """Whether `path` is a key, or a prefix of keys."""
    with explained(path):
        try:
            file_system().info(path)
        except FileNotFoundError as error:
            if code_of(error) == "NoSuchBucket":
                raise
            return False
    return True


def glob(pattern: str, kind: Literal["file", "directory"]) -> list[FileInfo]:
    """The files or folders that match, unsorted."""
    has_wildcards = globbing.has_magic(pattern)
    with explained(pattern):
        if has_wildcards:
            found = file_system().glob(pattern, detail=True)
        elif kind == "file":
            found = file_system().find(pattern, detail=True)
        else:
            found = {pattern.removeprefix(S3_PREFIX): file_system().info(pattern)} if exists(pattern) else {}
        if not found:
            _require_bucket(pattern)
    may_be_hidden = not has_wildcards or "/." in pattern
    return [
        FileInfo(S3_PREFIX + path, int(info.get("size") or 0), str(info.get("ETag", "")).strip('"'))
        for path, info in found.items()
        if info["type"] == kind and (may_be_hidden or "/." not in path)
    ]


def remove_tree(path: str) -> None:
    if not bucket_and_key(path)[1].strip("/"):
        raise StoreError(path, "is a whole bucket", "name a folder in it; a bucket is never removed from here")
    with explained(path):
        if keys := file_system().find(path):
            file_system().rm(keys)


def _require_bucket(path: str) -> None:
    """Raise when the bucket of `path` is not there or not ours to list: an empty listing alone does not tell."""
    file_system().call_s3("list_objects_v2", Bucket=bucket_and_key(path)[0], MaxKeys=1)


# What S3 refused, in words

_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that this key may list, read and write the bucket"
_ENDPOINT = "check that AWS_ENDPOINT_URL is right and that something answers there"
_BUSY = "the store is throttling: run the same command again later, or with fewer readers at once"
_SLOW = "see whether the store works, or give it more time in the site file: [s3] read_timeout_seconds"
TOO_SHORT = "it is shorter than what refers to it: build or copy it again"
_REMEDIES = {
    "NoSuchBucket": "create the bucket or correct its name",
    "NoSuchKey": "check the key; in a pattern `**` finds files in the folders below",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ParamValidationError": "use s3://bucket/key with a valid bucket name",
    "PreconditionFailed": "it was replaced while it was read; start again when nobody writes it",
    "InvalidRange": TOO_SHORT,
    "SlowDown": _BUSY,
    **dict.fromkeys(("429", "503"), _BUSY),
    **dict.fromkeys(("ReadTimeoutError", "AioReadTimeoutError"), _SLOW),
    **dict.fromkeys(("EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "SSLError"), _ENDPOINT),
    **dict.fromkeys(("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"), _KEYS),
}
_PASSING_STATUS = {429, 500, 502, 503, 504}  # throttled, or a fault of theirs


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what S3 or the network refuses into a StoreError about `path`; every other exception passes."""
    try:
        yield
    except refusals() as error:
        raise refusal(path, error) from error


def refusals() -> tuple[type[Exception], ...]:
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError

    return OSError, BotoCoreError, ClientError


def refusal(path: str, error: Exception) -> StoreError:
    code = code_of(error) or ("NoSuchKey" if isinstance(error, FileNotFoundError) else type(error).__name__)
    if code in ("403", "404"):  # the answer to a HEAD request has no body, so ask for one that has
        try:
            _require_bucket(path)
        except refusals() as told:
            code, error = code_of(told) or code, told
    code = "NoSuchKey" if code == "404" else code
    answer = "no such file" if code == "NoSuchKey" else str(error)
    remedy = _REMEDIES.get(code, "see what the store answered")
    return StoreError(path, f"{code}: {answer} {_at_endpoint()}", remedy)


def remedy_for_outage(error: Exception) -> str:
    return _REMEDIES.get(
        code_of(error), "see whether the store and the network to it work, then run the same command again"
    )


def said(error: Exception) -> str:
    """What the store answered, in one line."""
    if answered := _answered(error):
        code, status = code_of(error), answered.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        message = answered.response.get("Error", {}).get("Message", "")
        return f"{status} {'' if code == str(status) else code + ' '}{message} {_at_endpoint()}"
    name, answer = code_of(error) or type(error).__name__, str(error) or str(error.__cause__ or "")
    return f"{name}: {answer} {_at_endpoint()}"


def _at_endpoint() -> str:
    return f"(endpoint: {os.environ.get('AWS_ENDPOINT_URL') or 'AWS'})"


def code_of(error: Exception) -> str:
    """What S3 or its client calls the problem ("NoSuchBucket", "EndpointConnectionError"); empty when it is not theirs."""
    from botocore.exceptions import BotoCoreError

    if answered := _answered(error):
        return str(answered.response.get("Error", {}).get("Code", "ClientError"))
    for candidate in (error, error.__cause__):
        if isinstance(candidate, BotoCoreError):
            return type(candidate).__name__
    return ""


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed in a while: throttling, faults of the store, time-outs, lost connections, cut bodies."""
    from aiohttp import ClientError
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError, IncompleteReadError, SSLError
    from botocore.parsers import ResponseParserError  # a proxy's page in the place of XML

    if answered := _answered(error):
        return answered.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _PASSING_STATUS
    if isinstance(error, SSLError):
        return False  # a certificate does not become right
    lost = (TimeoutError, ConnectionError, ClientError, NoConnection, HTTPClientError, IncompleteReadError)
    return isinstance(error, (*lost, ResponseParserError))


def _answered(error: Exception) -> Any:
    """The botocore ClientError that s3fs translated, or None when S3 gave no answer."""
    from botocore.exceptions import ClientError

    return next((each for each in (error, error.__cause__) if isinstance(each, ClientError)), None)
