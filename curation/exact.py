"""Exact deduplication: documents whose normalised text is the same keep one copy.

Normalised: Unicode NFKC, lower case, every run of white space one space. Equality is that of the xxh3-128 of the normalised text: among
10^12 documents the chance of any collision is about 1.5e-15. Costs about 20 bytes of exchange per document beside its id.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.reasons import mark
from curation.steps import CorpusStep

REASON = "dedup.exact"
SLICE_CHARS = 1 << 20
VERDICT = pa.schema([("id", pa.string()), ("survivor", pa.string())])

_SPACE = re.compile(r"\s")


def normalised(text: str) -> str:
    """The form in which texts are compared."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def digest(text: str) -> bytes:
    """xxh3-128 of the normalised text; a huge text goes through in slices that end at white space, to bound its memory."""
    if len(text) <= SLICE_CHARS:
        return xxhash.xxh3_128_digest(normalised(text).encode("utf-8", "surrogatepass"))
    hasher, start, separator = xxhash.xxh3_128(), 0, ""
    while start < len(text):
        space = _SPACE.search(text, start + SLICE_CHARS)
        end = space.end() if space else len(text)
        if part := normalised(text[start:end]):
            hasher.update((separator + part).encode("utf-8", "surrogatepass"))
            separator = " "
        start = end
    return hasher.digest()


def emit(docs: pa.Table) -> pa.Table:
    """One row per document: key and rest (the two halves of its hash), whether its licence is unknown, id."""
    digests = [digest(text.as_py() or "") for text in docs["text"]]
    halves = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    return pa.table(
        {
            "key": pa.array(halves[:, 0]),
            "rest": pa.array(halves[:, 1]),
            "unlicensed": pc.is_null(docs["license"]),
            "id": docs["id"],
        }
    )


def reduce(rows: pa.Table) -> pa.Table:
    """The documents that go, each with the one of the same text that stays: one with a known licence, then the smallest id."""
    rows = rows.sort_by([(name, "ascending") for name in ("key", "rest", "unlicensed", "id")])
    key, rest = rows["key"].to_numpy(), rows["rest"].to_numpy()
    first = np.ones(rows.num_rows, bool)
    first[1:] = (key[1:] != key[:-1]) | (rest[1:] != rest[:-1])
    survivor = np.flatnonzero(first)[np.cumsum(first) - 1]
    ids = rows["id"].combine_chunks()
    lost = np.flatnonzero(~first)
    return pa.table([ids.take(pa.array(lost)), ids.take(pa.array(survivor[lost]))], schema=VERDICT).sort_by("id")


def merge(tables: Sequence[pa.Table]) -> pa.Table:
    """All documents that go, in the order of their ids."""
    return pa.concat_tables([VERDICT.empty_table(), *tables]).sort_by("id")


def apply(docs: pa.Table, verdict: pa.Table) -> pa.Table:
    """Sets the reason of every document that goes."""
    lost = pc.is_in(docs["id"], verdict["id"])
    return mark(docs, pc.if_else(lost, pa.scalar(REASON), pa.scalar(None, pa.string())))


EXACT = CorpusStep(emit, reduce, merge, apply)
