"""What a worker and its extraction process say to each other: settings and a page, and what came of it. As bytes that hold data only.

No pickles: what comes back was made by a process that has read hostile pages. Imported on both sides, so neither Arrow nor parsers here.
"""

import json
import socket
import struct
from typing import Any, NamedTuple

ENGINES = ("trafilatura", "fast")  # of extract.html
LINKED = "linked"  # the engine of extract.linked

EMPTY, FAILED, TOO_LARGE = "extract.empty", "extract.failed", "extract.too_large"
TIMEOUT, CRASHED = "extract.timeout", "extract.crashed"
NOT_LOADED = "not loaded"  # no drop reason: an engine that is missing or broken; the text says what to do

_LENGTH = struct.Struct("<Q")
_MAX_BYTES = 1 << 40


class Link:
    """Messages over a socket, each behind its length in eight bytes."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._messages = end, end.makefile("rb")

    def send(self, message: bytes) -> None:
        self._end.sendall(_LENGTH.pack(len(message)))
        self._end.sendall(message)

    def receive(self, max_bytes: int = _MAX_BYTES) -> bytes:
        """EOFError when the other side has ended, ValueError for a message of more than that."""
        header = self._messages.read(_LENGTH.size)
        if len(header) < _LENGTH.size:
            raise EOFError
        (length,) = _LENGTH.unpack(header)
        if length > max_bytes:
            raise ValueError(f"a message of {length} bytes, {max_bytes} are allowed")
        message = self._messages.read(length)
        if len(message) < length:
            raise EOFError
        return message

    def close(self) -> None:
        self._messages.close()
        self._end.close()


class Settings(NamedTuple):
    """The parameters of a step that the process needs."""

    engine: str = "trafilatura"
    favor_precision: bool = False
    include_tables: bool = True
    max_elements: int = 100_000
    max_seconds: float = 10.0  # of CPU; 0: no limit, on the wall neither
    max_memory_mb: int = 1_000  # 0: no limit
    url: str = ""  # of the page, where its links are wanted

    def pack(self) -> bytes:
        """A JSON list."""
        return json.dumps(self).encode()

    @classmethod
    def unpack(cls, packed: bytes) -> "Settings":
        return cls(*json.loads(packed))


class Page(NamedTuple):
    """What came of one page: its main text and what goes into `meta`, or why it is dropped."""

    text: str = ""
    facts: dict[str, Any] | None = None
    reason: str | None = None

    def pack(self) -> bytes:
        """Reason, facts as JSON and text, a null between them. UnicodeEncodeError for a surrogate."""
        facts = json.dumps(self.facts, ensure_ascii=False) if self.facts else ""
        return f"{self.reason or ''}\0{facts}\0{self.text}".encode()

    @classmethod
    def unpack(cls, packed: bytes) -> "Page":
        """ValueError when it is none."""
        reason, facts, text = packed.decode().split("\0", 2)
        return cls(text, json.loads(facts) if facts else None, reason or None)
