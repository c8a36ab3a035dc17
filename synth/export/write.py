"""From the parts of a corpus to one file of JSON Lines, row by row: memory is that of a batch of rows, whatever the corpus' size."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import zstandard

from datapipe import store
from datapipe.schema import LOSS_SPANS
from synth.export.formats import FORMATS, Row
from synth.render import RenderError

ROWS_AT_ONCE = 500
WRITTEN, NO_FORM, UNREADABLE = "written", "no_such_form", "unreadable"


def export(
    parts: Sequence[str], dest: str, to: str, on_part: Callable[[str, int, int], None] = lambda path, done, total: None
) -> Counter[str]:
    """Write the rows of Parquet files as JSON Lines of the format `to` (a name of `FORMATS`); zstd where `dest` ends in `.zst`.

    Paths are local or s3://. Returns how many rows were written, how many have no such form (plain documents, tasks of another kind), and
    how many texts could not be read back. The file appears whole at the end. `on_part(path, parts done, of how many)`.
    """
    counted: Counter[str] = Counter()
    with _lines(dest) as stream:
        for done, part in enumerate(parts):
            on_part(part, done, len(parts))
            for stored in _rows(part):
                try:
                    made = FORMATS[to](Row.of(stored))
                except RenderError:
                    counted[UNREADABLE] += 1
                    continue
                counted[NO_FORM if made is None else WRITTEN] += 1
                if made is not None:
                    stream.write(json.dumps(made, ensure_ascii=False).encode() + b"\n")
    return counted


def _rows(part: str) -> Iterator[dict[str, Any]]:
    with store.open_input(part) as stream:
        file = pq.ParquetFile(stream)
        wanted = [name for name in ("id", "text", "license", "meta", LOSS_SPANS) if name in file.schema_arrow.names]
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
            yield from batch.to_pylist()


@contextlib.contextmanager
def _lines(dest: str) -> Iterator[Any]:
    with store.output_file(dest) as file, _packed(file, dest.endswith(".zst")) as stream:
        yield stream


def _packed(file: BinaryIO, is_packed: bool) -> contextlib.AbstractContextManager[Any]:
    return zstandard.ZstdCompressor().stream_writer(file, closefd=False) if is_packed else contextlib.nullcontext(file)
