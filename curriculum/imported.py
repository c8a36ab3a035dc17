"""Corpora that come as tokens, from Megatron's .bin/.idx pairs: `source: {tokens: megatron, paths: [web_text_document]}`.

They take part in mixtures like every other corpus, but nothing judges them: steps need text. The manifest must name the tokenizer that made
them. A document's origin is `folder/file.bin#number`, the file as the manifest has it; its end-of-document token stays what it is, a token.
Pairs are cut into parts of about 64 Mi tokens, whose documents then go the way of all documents: hashed, packed, written as shards.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from curriculum import sharding
from curriculum.units import si
from datapipe import store
from datapipe.megatron_file import MegatronFile, MegatronFileError, bin_path, idx_path
from datapipe.readers.split import pattern
from datapipe.schema import LOSS_SPANS, LOSS_SPANS_TYPE, document_id

if TYPE_CHECKING:
    from curriculum.corpus import Corpus

PART_TOKENS = 1 << 26
READ_TOKENS = 1 << 22


class Slice(NamedTuple):
    """Documents [first, end) of a pair of files."""

    name: str  # of the pair, in origins
    prefix: str
    first: int
    end: int


class Pairs(NamedTuple):
    """What an imported corpus holds, before anything of it is read but the indices."""

    parts: list[Slice]
    identity: list[Any]  # content of every pair
    num_files: int
    size_bytes: int
    documents: int


def find_pairs(corpus: "Corpus", data: str) -> Pairs:
    """The pairs that the paths of a corpus name, with or without their suffix; wildcards are allowed.

    Raises StoreError for a path that matches nothing and for two pairs of one name, MegatronFileError for a pair that is damaged.
    """
    prefixes = _named(corpus.source["paths"], data)
    parts: list[Slice] = []
    identity: list[Any] = []
    size_bytes = documents = 0
    for name, prefix in sorted(prefixes.items()):
        infos = [store.stat(path) for path in (idx_path(prefix), bin_path(prefix))]
        identity.append([name, *(store.fingerprint(info) for info in infos)])
        size_bytes += sum(info.size_bytes for info in infos)
        with MegatronFile(prefix) as pair:
            documents += pair.documents
            parts += _slices(name, prefix, pair.lengths)
    return Pairs(parts, identity, 2 * len(prefixes), size_bytes, documents)


def _named(paths: Iterable[str], data: str) -> dict[str, str]:
    """Prefixes of the pairs by name: documents are known by it, so no two may share one."""
    found: dict[str, str] = {}
    for written in paths:
        where = pattern(idx_path(_prefix(written)), data)
        infos = store.glob(where.path)
        if not infos:
            raise store.StoreError(
                where.path, "no such .idx", "Give the prefix of a .bin/.idx pair; relative paths start at --data."
            )
        for info in infos:
            name, prefix = _prefix(where.name(info.path)), _prefix(info.path)
            if (other := found.setdefault(name, prefix)) != prefix:
                raise store.StoreError(
                    prefix,
                    f"its documents would be named like those of {other}: {bin_path(name)}#0",
                    "Give relative paths, which name the folder too, or rename one pair.",
                )
    return found


def _prefix(path: str) -> str:
    return path.removesuffix(".idx").removesuffix(".bin")


def _slices(name: str, prefix: str, lengths: np.ndarray) -> list[Slice]:
    if not lengths.size:
        return []
    part = (np.cumsum(lengths) - lengths) // PART_TOKENS
    begins = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), lengths.size]
    return [Slice(name, prefix, first, end) for first, end in pairwise(begins)]


def import_part(*, output: str, part: Slice, buckets: list[str], seed: int, vocab_size: int) -> dict[str, Any]:
    """Write documents of a pair as `sharding.tokenize_part` writes encoded ones."""
    with MegatronFile(part.prefix) as pair:
        lengths = pair.lengths[part.first : part.end]
        tables = [sharding.TOKENS.empty_table()]
        chunk = np.cumsum(lengths) // READ_TOKENS
        borders = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), lengths.size]
        for low, high in pairwise(borders):
            tokens = pair.read(part.first + low, part.first + high)
            _check_vocabulary(part, low, tokens, lengths[low:high], vocab_size)
            tables.append(_table(part, low, tokens, lengths[low:high]))
    table = pa.concat_tables(tables)
    return sharding.write_tokens(output, table, np.zeros(table.num_rows, np.int64), buckets, seed)


def _table(part: Slice, first: int, tokens: np.ndarray, lengths: np.ndarray) -> pa.Table:
    origins = [f"{bin_path(part.name)}#{part.first + first + number}" for number in range(lengths.size)]
    return pa.table(
        {
            "id": [document_id(origin) for origin in origins],
            "origin": origins,
            "tokens": pa.LargeListArray.from_arrays(np.append(0, np.cumsum(lengths)), tokens),
            LOSS_SPANS: pa.nulls(lengths.size, LOSS_SPANS_TYPE),
        },
        schema=sharding.TOKENS,
    )


def _check_vocabulary(part: Slice, first: int, tokens: np.ndarray, lengths: np.ndarray, vocab_size: int) -> None:
    if tokens.size and tokens.max() >= vocab_size:
        document = part.first + first + int(np.searchsorted(np.cumsum(lengths), tokens.argmax(), side="right"))
        raise MegatronFileError(
            f"{bin_path(part.prefix)}, document {document}: has token {tokens.max()}, the tokenizer of the manifest ends at "
            f"{vocab_size - 1}; name the tokenizer that made these tokens"
        )


CORPUS = """\
# {documents:,} documents of {tokens} tokens. The manifest must name the tokenizer that made them: `tokenizer: {{path: ...}}`.
kind: {kind}
source:
  tokens: megatron
  paths:
{paths}
declared_tokens: {exact}
"""


def write_corpus(paths: Sequence[str], to: str, *, kind: str) -> tuple[int, int]:
    """Write the corpus file `to` for .bin/.idx pairs; returns their documents and tokens. Checks every index, all of it."""
    if store.exists(to):
        raise store.StoreError(to, "is there already", "Delete it, or give another --to.")
    documents = tokens = 0
    for prefix in _named(paths, "").values():
        with MegatronFile(prefix) as pair:
            documents, tokens = documents + pair.documents, tokens + int(pair.lengths.sum())
    listed = "\n".join(f"    - {json.dumps(_prefix(path))}" for path in paths)
    text = CORPUS.format(documents=documents, tokens=si(tokens), kind=kind, paths=listed, exact=tokens)
    store.write_bytes(to, text.encode())
    return documents, tokens
