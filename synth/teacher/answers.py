"""Answers that were paid for: a file of JSON lines, one per request, that only grows.

In a local folder answers are written as they come (those of one round of the event loop together) and synchronised to the disk once a
second and at the end: `kill -9` costs the requests in flight, a power cut a second more. S3 cannot append: there, answers go out in
files of their own, 50 together. A line that was cut off is skipped. Several writers may share a folder; each sees what was there when
it opened.

All answers of a model are held in memory, a kilobyte or so each.
"""

import glob
import json
import os
import re
import threading
import time
from pathlib import Path

import xxhash

from datapipe import store
from synth.render import Call
from synth.teacher.protocol import Answer
from synth.teacher.settings import CASSETTE_SUFFIX as SUFFIX

TOGETHER = 50  # answers per file in S3
SYNC_SECONDS = 1.0
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class Answers:
    """The answers in `folder` by key of the request; a context, to be left before they are read elsewhere."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name
        self.found: dict[str, Answer] = {}
        self._pending: list[bytes] = []
        self._file = -1
        self._synced = time.monotonic()
        self._synchronising: threading.Thread | None = None  # a disk may take longer than a request
        own = re.compile(re.escape(name) + r"(?:-[0-9a-f]{16})?" + re.escape(SUFFIX))
        for info in store.glob(store.join(glob.escape(folder), f"{glob.escape(name)}*{SUFFIX}")):
            if own.fullmatch(info.path.rpartition("/")[2]):  # not those of `m-mini`, which have other prices
                for line in store.read_bytes(info.path).splitlines():
                    self._take(line)

    @classmethod
    def of_model(cls, folder: str, model: str) -> "Answers":
        """Those of a model; no two models share a file."""
        return cls(folder, model.replace("%", "%25").replace("/", "%2F"))

    @classmethod
    def of_cassette(cls, path: str) -> "Answers":
        """Those of a file that is named by itself."""
        folder, _, name = path.rpartition("/")
        return cls(folder or ".", name.removesuffix(SUFFIX))

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if store.is_s3(self.folder):
            self._send()
        elif self._pending:
            self.write()
        if self._synchronising:
            self._synchronising.join()
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def add(self, key: str, answer: Answer) -> None:
        """Keep an answer that is final, once it is written (`write`)."""
        self.found[key] = answer
        calls = [{"name": call.name, "arguments": call.arguments} for call in answer.calls]
        row = {"key": key, **answer._asdict(), "calls": calls}
        self._pending.append(_ENCODE(row).encode("utf-8", "backslashreplace") + b"\n")

    def write(self) -> None:
        """Write what was added since the last time; to S3 when it is worth a file."""
        if store.is_s3(self.folder):
            if len(self._pending) >= TOGETHER:
                self._send()
            return
        if self._file < 0:
            self._open()
        data = b"".join(self._pending)
        while data:  # a disk that fills up takes a part, and says so with the next
            data = data[os.write(self._file, data) :]
        self._pending = []
        is_busy = self._synchronising is not None and self._synchronising.is_alive()
        if time.monotonic() - self._synced > SYNC_SECONDS and not is_busy:
            self._synced = time.monotonic()
            self._synchronising = threading.Thread(target=os.fsync, args=(self._file,))
            self._synchronising.start()

    def _open(self) -> None:
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        path = Path(self.folder, self.name + SUFFIX)
        is_cut = path.exists() and path.stat().st_size > 0 and not _ends_a_line(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if is_cut:
            os.write(self._file, b"\n")

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
            calls = tuple(Call(call["name"], call["arguments"]) for call in row.pop("calls"))
            self.found[key] = Answer(**row, calls=calls)
        except (ValueError, TypeError, KeyError, AttributeError):  # cut off by a kill, or of another version
            return


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
