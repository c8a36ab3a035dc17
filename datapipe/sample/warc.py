"""Gzip WARC files (ISO 28500, WARC/1.1), one gzip member per record, byte-identical for the same captures.

Record ids are uuid5 of the URI, dates are one constant, gzip headers carry no time. A file becomes visible only when it is
complete (temporary name, then rename). Not covered: revisit records, segmented records, chunked transfer encoding.
"""

import base64
import gzip
import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

DATE = "2026-01-01T00:00:00Z"
HTTP_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
LEVEL = 6
PARTIAL = ".partial"
RECORD_OVERHEAD_BYTES = 1_000  # at most, of the WARC and HTTP headers around a body


@dataclass(frozen=True)
class Capture:
    """One exchange of a crawl: a response, or the request that asked for it."""

    uri: str
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    status: str = "200 OK"
    location: str | None = None  # target of a redirect
    license: str | None = None  # SPDX expression, told in the record header X-License
    request: bool = False

    @property
    def is_page(self) -> bool:
        return not self.request and self.status.startswith("200") and self.content_type.startswith("text/html")


def warc_record(kind: str, headers: dict[str, str], block: bytes) -> bytes:
    """A whole WARC record: version line, headers, block."""
    fields = {"WARC-Type": kind, "WARC-Date": DATE, **headers, "Content-Length": str(len(block))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return b"WARC/1.1\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def capture_record(capture: Capture, warcinfo_id: str) -> bytes:
    """The record of one capture, with the digests that readers verify."""
    kind = "request" if capture.request else "response"
    http = _request(capture) if capture.request else _response(capture)
    block = http + capture.body
    headers = {
        "WARC-Record-ID": record_id(f"{kind} {capture.uri}"),
        "WARC-Warcinfo-ID": warcinfo_id,
        "WARC-Target-URI": capture.uri,
        "WARC-Block-Digest": digest(block),
        "WARC-Payload-Digest": digest(capture.body),
        "Content-Type": f"application/http; msgtype={kind}",
    }
    if capture.license:
        headers["X-License"] = capture.license
    return warc_record(kind, headers, block)


def _response(capture: Capture) -> bytes:
    lines = [
        f"HTTP/1.1 {capture.status}",
        f"Date: {HTTP_DATE}",
        "Server: sample",
        f"Content-Type: {capture.content_type}",
    ]
    if capture.location:
        lines.append(f"Location: {capture.location}")
    return "\r\n".join([*lines, f"Content-Length: {len(capture.body)}", "", ""]).encode()


def _request(capture: Capture) -> bytes:
    host, _, path = capture.uri.partition("://")[2].partition("/")
    return (
        f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: sample-crawler/1.0\r\nAccept: text/html\r\n\r\n".encode()
    )


def record_id(name: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>"


def digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


class WarcFolder:
    """Writes captures into FOLDER/PREFIX-000.warc.gz, -001, ...; a file is closed when it holds `file_bytes` raw bytes."""

    def __init__(self, folder: Path, prefix: str, *, file_bytes: int) -> None:
        self.folder, self.prefix, self.file_bytes = folder, prefix, file_bytes
        self.raw_bytes = 0  # in all files, uncompressed
        self.files: list[Path] = []
        self._members: list[bytes] = []
        self._open_bytes = 0
        self._warcinfo_id = ""
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, capture: Capture) -> None:
        if not self._members:
            self._append(self._warcinfo())
        self._append(capture_record(capture, self._warcinfo_id))
        if self._open_bytes >= self.file_bytes:
            self._seal()

    def close(self) -> list[Path]:
        """Write what is left; returns all files."""
        if self._members:
            self._seal()
        return self.files

    def _append(self, record: bytes) -> None:
        self._members.append(gzip.compress(record, LEVEL, mtime=0))
        self._open_bytes += len(record)
        self.raw_bytes += len(record)

    def _warcinfo(self) -> bytes:
        name = self._next_name()
        self._warcinfo_id = record_id(f"warcinfo {name}")
        headers = {
            "WARC-Record-ID": self._warcinfo_id,
            "WARC-Filename": name,
            "Content-Type": "application/warc-fields",
        }
        fields = "software: tokenloom sample\r\nformat: WARC File Format 1.1\r\nrobots: classic\r\n"
        return warc_record("warcinfo", headers, fields.encode())

    def _next_name(self) -> str:
        return f"{self.prefix}-{len(self.files):03d}.warc.gz"

    def _seal(self) -> None:
        path = self.folder / self._next_name()
        write_file(path, b"".join(self._members))
        self.files.append(path)
        self._members, self._open_bytes = [], 0


def write_file(path: Path, data: bytes) -> None:
    """Write `data` so that a reader sees nothing or all of it."""
    partial = path.with_name(path.name + PARTIAL)
    partial.write_bytes(data)
    os.replace(partial, path)
