"""The plainest rule: how long a text is. The others are beside it: `gopher`, `c4`, `fineweb`, `line_rules`, `blocklist`."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.reasons import first_reason


def length(docs: pa.Table, *, min_chars: int = 1, max_chars: int = 10_000_000) -> pa.Array:
    """Drops texts outside a range of characters: `length.short`, `length.long`."""
    chars = pc.fill_null(pc.utf8_length(docs["text"]), 0).to_numpy()
    return first_reason(len(chars), [("length.short", chars < min_chars), ("length.long", chars > max_chars)])
