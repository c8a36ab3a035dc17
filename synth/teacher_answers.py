"""Answers that were paid for: a file of JSON lines, one per request, that only grows.

In a local folder every answer is written at once and synchronised to the disk once a second and at the end: `kill -9` costs the
requests in flight, a power cut a second more. S3 cannot append: there, answers go out in files of their own, 50 together. A line
that was cut off is skipped. Several writers may share a folder; each sees what was there when it opened.
"""

import glob
import json
import os
import re
import time
from pathlib import Path

import xxhash

from datapipe import store
from synth.teacher import Answer

SUFFIX = ".answers.jsonl"
TOGETHER = 50  # answers per file in S3
SYNC_SECONDS = 1.0


class Answers:
    """The answers in `folder` by key of the request; a context, to be left before they are read elsewhere."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name
        self.found: dict[str, Answer] = {}
        self._pending: list[bytes] = []
        self._file = -1
        self._synced = time.monotonic()
        own = re.compile(re.escape(name) + r"(?:-[0-9a-f]{16})?" + re.escape(SUFFIX))
        for info in store.glob(store.join(folder, f"{glob.escape(name)}*{SUFFIX}")):
            if own.fullmatch(info.path.rpartition("/")[2]):  # not those of `m-mini`, which have other prices
                for line in store.read_bytes(info.path).splitlines():
                    self._take(line)

    def __enter__(self) -> "Answers":
        if not store.is_s3(self.folder):
            Path(self.folder).mkdir(parents=True, exist_ok=True)
            path = Path(self.folder, self.name + SUFFIX)
            is_cut = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            if is_cut:
                os.write(self._file, b"\n")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1
        self._send()

    def add(self, key: str, answer: Answer) -> None:
        """Keep an answer that is final."""
        self.found[key] = answer
        line = (
            json.dumps({"key": key, **answer._asdict()}, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        )
        if self._file < 0:
            self._pending.append(line)
            if len(self._pending) >= TOGETHER:
                self._send()
            return
        os.write(self._file, line)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def _send(self) -> None:
        if self._pending:
            data = b"".join(self._pending)
            store.write_bytes(store.join(self.folder, f"{self.name}-{xxhash.xxh3_64_hexdigest(data)}{SUFFIX}"), data)
            self._pending = []

    def _take(self, line: bytes) -> None:
        """One line, if it is whole."""
        try:
            row = json.loads(line)
            key = row.pop("key")
            self.found[key] = Answer(**row)
        except (ValueError, TypeError, KeyError, AttributeError):  # cut off by a kill, or of another version
            return
