"""What every part of the sample shares: its budget in bytes, what it took from it, and what it left out and why."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Progress = Callable[[str, int, int], None]  # (class, bytes written, bytes planned)
UNKNOWN = "unknown"
MAX_MISSES = 5  # items in a row that found no room: making more of them is not worth the time


class SampleError(Exception):
    """A sample cannot be made; the message says why and what to do."""


@dataclass
class Account:
    """The books of one class of items: bytes against its budget, documents, licences, and reasons for what is missing."""

    name: str  # "web", "math", "repos", "books", "history" or "packages"
    max_bytes: int
    progress: Progress | None = None
    bytes: int = 0
    documents: int = 0
    licenses: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    files: dict[str, int] = field(
        default_factory=dict
    )  # path below the sample's folder -> size on disk, bytes; not of repos and packages
    file_count: int = 0
    max_item_share: float = 1 / 8  # of the budget for a single item: a small sample shall not be one large page
    _misses: int = 0

    @property
    def left(self) -> int:
        return self.max_bytes - self.bytes

    @property
    def spent(self) -> bool:
        """Whether it is time to stop: what is left is too small for the items that come."""
        return self._misses >= MAX_MISSES

    def fits(self, size_bytes: int) -> bool:
        """Whether an item of this size may be taken; if not, it is counted as skipped."""
        if size_bytes > self.max_bytes * self.max_item_share:
            self.skipped["too large for the budget"] += 1
            return False
        if size_bytes > self.left:
            self.skipped["does not fit into the budget"] += 1
            self._misses += 1
            return False
        self._misses = 0
        return True

    def take(self, size_bytes: int, license: str | None) -> None:
        """Book one document."""
        self.documents += 1
        self.licenses[license or UNKNOWN] += 1
        self.spend(size_bytes)

    def spend(self, size_bytes: int) -> None:
        """Book bytes that are no document: redirects, error pages, record headers."""
        self.bytes += size_bytes
        if self.progress:
            self.progress(self.name, min(self.bytes, self.max_bytes), self.max_bytes)

    def finish(self) -> None:
        """Tell that nothing more comes, however much of the budget is left."""
        if self.progress:
            self.progress(self.name, self.bytes, self.bytes)

    def to_json(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "bytes": self.bytes,
            "file_count": self.file_count,
            "files": dict(sorted(self.files.items())),
            "licenses": dict(sorted(self.licenses.items())),
            "skipped": dict(sorted(self.skipped.items())),
        }
