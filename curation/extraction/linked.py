"""Pages as Markdown in which links survive, for what is made of the relations between pages (`synth.search`).

    # Title                                    headings
    **License**: MIT                           definition lists, infoboxes, and the pairs of a sidebar
    [words](https://host/path)                 links, absolute
    | cell | cell |                            tables of values, `|---|---|` below a header
    - item                                     lists

`extract.html` finds the better text to learn from; this one keeps what a page says beside its text: of the articles of 91 labelled pages
98 %, at F1 0.885 for the surroundings. Both run in the same process under the same limits, with the same drop reasons
(`curation.extraction.extract`). No engine looks for the main text, so this one takes about half the time.
"""

import json

import pyarrow as pa
import pyarrow.compute as pc

from curation.extraction.exchange import LINKED, Settings
from curation.extraction.extract import check as check_limits
from curation.extraction.extract import through
from datapipe.schema import with_column


def linked(
    docs: pa.Table,
    *,
    max_chars: int = 5_000_000,
    max_elements: int = 100_000,
    max_seconds: float = 10.0,
    max_memory_mb: int = 1_000,
) -> pa.Table:
    """Replaces `text`, the page's HTML, with its content as Markdown. `meta` and limits as in `extract.html`.

    What a page says of itself in links (`curation.extraction.linked_facts`) goes into `meta`, its licence into `license`, too, where the
    reader knew none. ValueError for what `check` refuses.
    """
    check(max_seconds=max_seconds, max_memory_mb=max_memory_mb)
    settings = Settings(LINKED, max_elements=max_elements, max_seconds=max_seconds, max_memory_mb=max_memory_mb)
    found = through(docs, settings, max_chars)
    said = [json.loads(meta or "{}").get("license") for meta in found["meta"].to_pylist()]
    return with_column(found, "license", pc.coalesce(found["license"], pa.array(said, pa.string())))


def check(*, max_seconds: float = 10.0, max_memory_mb: int = 1_000) -> None:
    """Raises ValueError for a limit that is none."""
    check_limits(max_seconds=max_seconds, max_memory_mb=max_memory_mb)
