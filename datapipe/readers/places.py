"""Where a document lies in its file, and the bytes there: what reading a page again needs.

Neighbours are fetched together: from S3 a request costs as much as a few megabytes, so gaps of up to 1 MiB are read over, and a request
is for at most 8 MiB unless one document is larger.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from datapipe import store

MAX_GAP_BYTES = 1 << 20
MAX_RUN_BYTES = 8 << 20


class Place(NamedTuple):
    """`raw.offset` and `raw.length` of a document. `record` counts the records of a compressed member that holds several."""

    offset: int
    length: int | None  # None: to be read from `offset` on until it ends
    record: int = 0


def contents(path: str, places: Iterable[Place]) -> Iterator[tuple[Place, bytes]]:
    """The bytes of each place, all of known length, in the order of offsets. Raises StoreError when the file is too short."""
    run: list[Place] = []
    start = end = 0
    for place in sorted(places):
        stop = place.offset + (place.length or 0)
        if run and (place.offset > end + MAX_GAP_BYTES or stop > start + MAX_RUN_BYTES):
            yield from _cut(path, run, start, end)
            run = []
        if not run:
            start = end = place.offset
        run.append(place)
        end = max(end, stop)
    if run:
        yield from _cut(path, run, start, end)


def _cut(path: str, run: list[Place], start: int, end: int) -> Iterator[tuple[Place, bytes]]:
    data = store.read_range(path, start, end)
    for place in run:
        yield place, data[place.offset - start :][: place.length]
