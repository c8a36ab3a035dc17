"""From kept documents to packed rows: what a worker does, in four steps that each read the one before.

    tokenize_part   a part of a corpus -> its documents as tokens, a slice per bucket; and their lengths beside them
    lay_out         the lengths of everything that is packed together -> where every piece lies, and how many rows there are
    scatter_part    the tokens of a part -> a slice per shard
    pack_shard      the slices of one shard -> the shard

Packing sees all lengths of a bucket at once, never the tokens; so the rows of every shard are known before the first one is written, and a
trainer may start then. A layout takes some 170 bytes of memory and 1.2 us of a core per document, its files included. Documents come in the
order of a keyed hash of their ids: neighbours in a row are unrelated and every shard is a random sample of its bucket.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curriculum import doc_index
from datapipe import exchange, pack, store
from datapipe.fim import Fim, arranged, cut
from datapipe.ragged import expand
from datapipe.schema import LOSS_SPANS, LOSS_SPANS_TYPE, code_place
from datapipe.shards import Piece, ShardWriter
from datapipe.tokenize import Encoded, Tokenizer, train_bpe

ROWS_PER_CALL = 1_000
FIM_FORMS = ("psm", "spm", "too_long")  # rearranged in either form, or drawn and left: it would have been cut
LENGTH_EDGES = [
    2**power for power in range(4, 25)
]  # tokens; documents shorter than the first edge fall into the first bin
PLACED_TOKENS = 1 << 22  # tokens of a shard that are put into rows at once

TOKENS = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("tokens", pa.large_list(pa.uint32())),
        (LOSS_SPANS, LOSS_SPANS_TYPE),
    ]
)
LENGTHS = pa.schema([("order", pa.uint64()), ("related", pa.uint64()), ("length", pa.uint32())])
IS_FIM = pa.field("fim", pa.bool_())  # one more column, where a corpus has documents rearranged for fill-in-the-middle


def train_tokenizer(
    *, output: str, samples: Mapping[str, list[str]], vocab_size: int, sample_chars: int
) -> dict[str, Any]:
    """A byte-level BPE over the same number of characters from every corpus; documents with the smallest ids (hashes) are drawn."""
    texts = [text for name in sorted(samples) for text in _draw(samples[name], sample_chars // len(samples))]
    data = train_bpe(texts, vocab_size=vocab_size)
    store.write_bytes(output, data)
    return {"vocab_size": Tokenizer(data).vocab_size}


def _draw(parts: list[str], budget_chars: int) -> list[str]:
    tables = []
    for path in parts:
        with store.open_input(path) as source:
            tables.append(pq.read_table(source, columns=["id", "text"]))
    table, texts, used = pa.concat_tables(tables).sort_by("id"), [], 0
    for text in table["text"]:
        if used >= budget_chars:
            break
        texts.append(text.as_py()[: budget_chars - used])
        used += len(texts[-1])
    return texts


def lengths_path(tokens: str) -> str:
    """The lengths beside a file of tokens."""
    return tokens.removesuffix(".arrow") + ".lengths.arrow"


def tokenize_part(
    *,
    output: str,
    part: str,
    tokenizer: str,
    buckets: list[str],
    seed: int,
    fim: Fim | None = None,
    longest: int | None = None,
) -> dict[str, Any]:
    """Encode one part. Writes its documents as an exchange with a slice per bucket, and their lengths in the same order.

    fim: some documents are rearranged for fill-in-the-middle; none that would then have more than `longest` tokens.
    """
    encoder = Tokenizer.open(tokenizer, markers=fim.tokens if fim else ())
    number = {bucket: index for index, bucket in enumerate(buckets)}
    tables, slices = [TOKENS.empty_table()], [np.zeros(0, np.int64)]
    is_fim, forms = [np.zeros(0, bool)], Counter(dict.fromkeys(FIM_FORMS, 0))
    with store.open_input(part) as source:
        for batch in pq.ParquetFile(source).iter_batches(ROWS_PER_CALL):
            docs = pa.Table.from_batches([batch])
            rearranged, found = _rearranged(encoder, docs, seed, fim, longest) if fim else ({}, Counter())
            forms.update(found)
            is_fim.append(np.isin(np.arange(docs.num_rows), list(rearranged)))
            tables.append(_encode(encoder, docs, rearranged))
            names = docs["bucket"].to_pylist() if "bucket" in docs.column_names else ["all"] * docs.num_rows
            slices.append(np.array([number[name] for name in names], np.int64))
    table, bucket = pa.concat_tables(tables), np.concatenate(slices)
    if not fim:
        return write_tokens(output, table, bucket, buckets, seed)
    return {**write_tokens(output, table, bucket, buckets, seed, np.concatenate(is_fim)), "fim": dict(forms)}


def write_tokens(
    output: str, table: pa.Table, bucket: np.ndarray, buckets: list[str], seed: int, is_fim: np.ndarray | None = None
) -> dict[str, Any]:
    """Write documents (`TOKENS`) with a slice per bucket, and their lengths; returns what the lock says of them."""
    lengths = np.diff(_flat(table["tokens"])[1])
    ids, origins = table["id"].to_pylist(), table["origin"].to_pylist()
    order = np.array([doc_index.document_order(identity, seed) for identity in ids], np.uint64)
    related = np.array([related_key(origin) for origin in origins], np.uint64)
    exchange.write_slices(output, table, bucket, len(buckets))
    measured = pa.table([order, related, lengths.astype(np.uint32)], schema=LENGTHS)
    if is_fim is not None:
        measured = measured.append_column(IS_FIM, pa.array(is_fim))
    exchange.write_slices(lengths_path(output), measured, bucket, len(buckets))
    histogram, _ = np.histogram(np.maximum(lengths, LENGTH_EDGES[0]), [*LENGTH_EDGES, np.inf])
    documents = np.bincount(bucket, minlength=len(buckets))
    tokens = np.bincount(bucket, lengths, len(buckets))
    counts = {
        name: {"documents": int(documents[index]), "tokens": int(tokens[index])} for index, name in enumerate(buckets)
    }
    return {"buckets": counts, "lengths": histogram.tolist()}


def related_key(origin: str) -> int:
    """A hash that documents of one repository share (`name@version:path`), 0 for a document that stands alone."""
    place = code_place(origin)
    return xxhash.xxh3_64_intdigest("@".join(place[:2]).encode()) or 1 if place else 0


def _rearranged(
    encoder: Tokenizer, docs: pa.Table, seed: int, fim: Fim, longest: int | None
) -> tuple[dict[int, np.ndarray], Counter[str]]:
    """Tokens of the documents that are rearranged, by row, and how often each of `FIM_FORMS` came up. Who has loss spans is left.

    How long a document would be is known when it is encoded: one that is too long is encoded a second time, as it is.
    """
    learned_whole = (
        docs[LOSS_SPANS].is_null().to_pylist() if LOSS_SPANS in docs.column_names else [True] * docs.num_rows
    )
    columns = zip(docs["id"].to_pylist(), docs["text"].to_pylist(), learned_whole, strict=True)
    parts = {
        row: parts
        for row, (identity, text, whole) in enumerate(columns)
        if whole and (parts := cut(text, identity, seed, fim))
    }
    encoded = encoder.encode_sequences([arranged(each, encoder.markers) for each in parts.values()])
    tokens = {row: ids for row, ids in zip(parts, encoded, strict=True) if longest is None or ids.size <= longest}
    forms = ("too_long" if row not in tokens else "spm" if each.is_spm else "psm" for row, each in parts.items())
    return tokens, Counter(forms)


def _encode(encoder: Tokenizer, docs: pa.Table, rearranged: Mapping[int, np.ndarray]) -> pa.Table:
    """The documents as `TOKENS`; those that are `rearranged` have tokens already."""
    rest = docs.filter(pa.array([row not in rearranged for row in range(docs.num_rows)], pa.bool_()))
    spans = rest[LOSS_SPANS].to_pylist() if LOSS_SPANS in rest.column_names else [None] * rest.num_rows
    wanted = [None if each is None else [(span["start"], span["length"]) for span in each] for each in spans]
    plain = iter(encoder.encode_with_spans(rest["text"].to_pylist(), rest["kind"].to_pylist(), wanted))
    encoded = [Encoded(rearranged[row], None) if row in rearranged else next(plain) for row in range(docs.num_rows)]
    ids = docs["id"].to_pylist()
    return pa.table(
        {
            "id": ids,
            "origin": docs["origin"].to_pylist(),
            "tokens": _lists([each.tokens for each in encoded]),
            LOSS_SPANS: pa.array([_structs(each.loss_spans) for each in encoded], LOSS_SPANS_TYPE),
        },
        schema=TOKENS,
    )


def _structs(spans: Sequence[tuple[int, int]] | None) -> list[dict[str, int]] | None:
    return None if spans is None else [{"start": start, "length": length} for start, length in spans]


def _lists(arrays: list[np.ndarray]) -> pa.Array:
    offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
    return pa.LargeListArray.from_arrays(offsets, np.concatenate([np.zeros(0, np.uint32), *arrays]))


def _flat(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Values and offsets of a list column."""
    array = column.combine_chunks()
    offsets = array.offsets.to_numpy()
    return array.values.to_numpy()[offsets[0] :], offsets - offsets[0]


class Member(NamedTuple):
    """A bucket of a corpus that takes part in a layout."""

    source: str  # "web/high"
    bucket: int  # its slice of the parts
    first_part: int  # number of the corpus's first part among those of all corpora in the layout
    lengths: list[str]  # of every part
    related: bool  # whether documents of one repository share rows
    fills: bool  # whether its short documents fill the gaps of the others
    layout_path: str  # where its pieces are written, a slice per part
    index_path: str  # the same by document, for `inspect`


# One document of a layout; `source` counts the members. Two ints tell where its tokens lie: slice `bucket`, row `place` of file `part`.
_DOCS = np.dtype(
    [("order", "u8"), ("related", "u8"), ("length", "u4"), ("part", "u4"), ("place", "u4"), ("source", "u2"), ("bucket", "u2"),
     ("fim", "?")]
)  # fmt: skip
PIECES = pa.schema(
    [(name, pa.uint16()) for name in ("source", "bucket")]
    + [(name, pa.uint32()) for name in ("place", "shard", "row", "start", "offset", "length")]
)


def lay_out(
    *, output: str, members: list[Member], num_parts: int, method: str, seq_len: int, shard_tokens: int
) -> dict[str, Any]:
    """Pack everything that `members` name. Writes for each where its pieces lie, and returns the counts of each.

    Members that fill come last: the documents they gave away are missing in their own rows.
    """
    del output  # the first member's layout
    filling = [_read_docs(member, index) for index, member in enumerate(members) if member.fills]
    fillers = np.concatenate([np.zeros(0, _DOCS), *filling])
    fillers = fillers[np.argsort(fillers["order"], kind="stable")]
    results = []
    for index, member in enumerate(members):
        if member.fills:
            docs = np.concatenate([np.zeros(0, _DOCS), fillers[fillers["source"] == index]])
            packing = _packed(method, docs, seq_len, member.related, None)
        else:
            docs = np.concatenate([_read_docs(member, index), fillers])
            num_own = docs.size - fillers.size
            packing = _packed(method, docs[:num_own], seq_len, member.related, fillers)
            fillers = np.delete(fillers, packing.document[packing.document >= num_own] - num_own)
        counts = _write_layout(member, members, docs, packing, num_parts, shard_tokens)
        results.append(counts)
    return {"members": results}


def _read_docs(member: Member, source: int) -> np.ndarray:
    """The documents of a member in packing order: by hash, those of one repository together and as they stand in it."""
    parts = []
    for number, path in enumerate(member.lengths):
        table = exchange.read_slice([path], member.bucket)
        docs = np.zeros(table.num_rows, _DOCS)
        for name in table.column_names:
            docs[name] = table[name].to_numpy()
        docs["part"], docs["place"] = member.first_part + number, np.arange(docs.size)
        docs["source"], docs["bucket"] = source, member.bucket
        parts.append(docs)
    docs = np.concatenate([np.zeros(0, _DOCS), *parts])
    if member.related:
        return docs[np.argsort(np.where(docs["related"] > 0, docs["related"], docs["order"]), kind="stable")]
    return docs[np.argsort(docs["order"], kind="stable")]


def _packed(method: str, docs: np.ndarray, seq_len: int, related: bool, fillers: np.ndarray | None) -> pack.Packing:
    if method == "concat":
        return pack.concat(docs["length"], seq_len)
    group = None
    if related:
        group = np.cumsum(np.diff(docs["related"], prepend=docs["related"][:1]) != 0)
        group[docs["related"] == 0] = -1
    return pack.best_fit(docs["length"], seq_len, related=group, fillers=None if fillers is None else fillers["length"])


def _write_layout(
    member: Member, members: list[Member], docs: np.ndarray, packing: pack.Packing, num_parts: int, shard_tokens: int
) -> dict[str, Any]:
    num_rows, sources = packing.num_rows, [each.source for each in members]
    num_shards = min(num_rows, max(1, round(num_rows * packing.seq_len / shard_tokens)))
    shard = ((packing.row + 1) * num_shards - 1) // max(1, num_rows)
    first_part = np.array([each.first_part for each in members])
    columns = {name: docs[name][packing.document] for name in ("source", "bucket", "place", "order", "part")}
    columns |= {"shard": shard, "row": packing.row - shard * num_rows // max(1, num_shards)}
    columns |= {"start": packing.start, "offset": packing.offset, "length": packing.length}
    exchange.write_slices(member.layout_path, _table(columns, PIECES), columns["part"].astype(np.int64), num_parts)
    columns["part"] = columns["part"] - first_part[columns["source"]]
    sha256_index = doc_index.write_index(member.index_path, _table(columns, doc_index.INDEX), sources)
    tokens = np.bincount(columns["source"], packing.length, len(sources)).astype(np.int64).tolist()
    pieces = np.bincount(packing.document, minlength=docs.size)[docs["fim"]]  # of the rearranged documents
    fim = {"documents": int(np.count_nonzero(pieces)), "cut_documents": int(np.count_nonzero(pieces > 1))}
    return {
        "rows": num_rows,
        "num_shards": num_shards,
        "pieces": packing.document.size,
        "documents": int(np.count_nonzero(packing.offset == 0)),  # each has one piece that begins it
        "tokens": sum(tokens),
        "tokens_by_source": {source: count for source, count in zip(sources, tokens, strict=True) if count},
        "padding": packing.padding,
        "cut_documents": packing.cut_documents,
        "cut_tokens": packing.cut_tokens,
        "avoidable_cuts": packing.avoidable_cuts,
        "length_histogram": {
            "edges": LENGTH_EDGES,
            "documents": _tokens_by_length(docs["length"][docs["source"] == members.index(member)]),
            "pieces": _tokens_by_length(packing.length),
        },
        "sha256_index": sha256_index,
        **({"fim": fim} if docs["fim"].any() else {}),
    }


def _tokens_by_length(lengths: np.ndarray) -> list[int]:
    """Tokens in documents, or pieces, of the lengths between `LENGTH_EDGES`."""
    bins = np.maximum(np.searchsorted(LENGTH_EDGES, lengths, side="right") - 1, 0)
    tokens: list[int] = np.bincount(bins, lengths, len(LENGTH_EDGES)).astype(np.int64).tolist()
    return tokens


def _table(columns: Mapping[str, np.ndarray], schema: pa.Schema) -> pa.Table:
    arrays = [columns[field.name].astype(field.type.to_pandas_dtype(), copy=False) for field in schema]
    return pa.table(arrays, schema=schema)


SCATTERED = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("source", pa.uint16()),
        ("row", pa.uint32()),
        ("start", pa.uint32()),
        ("offset", pa.uint32()),
        ("tokens", pa.large_list(pa.uint32())),
        (LOSS_SPANS, LOSS_SPANS_TYPE),  # in tokens of the document
    ]
)


def scatter_part(*, output: str, tokens: str, layout: str, part: int, num_shards: int) -> dict[str, Any]:
    """The pieces of one part, as an exchange with a slice per shard. `tokens` is what `tokenize_part` wrote, `part` its number."""
    pieces = exchange.read_slice([layout], part)
    tables, shards = [SCATTERED.empty_table()], [np.zeros(0, np.int64)]
    for bucket in np.unique(pieces["bucket"].to_numpy()).tolist():
        mine = pieces.filter(pa.compute.equal(pieces["bucket"], bucket))
        docs = exchange.read_slice([tokens], bucket)
        place = mine["place"].to_numpy()
        values, offsets = _flat(docs["tokens"])
        begin, length = offsets[place] + mine["offset"].to_numpy(), mine["length"].to_numpy().astype(np.int64)
        flat = values[expand(begin, length)]
        columns = docs.select(["id", "origin", LOSS_SPANS]).take(place)
        tables.append(
            pa.table(
                {
                    **{name: columns[name] for name in columns.column_names},
                    **{name: mine[name] for name in ("source", "row", "start", "offset")},
                    "tokens": pa.LargeListArray.from_arrays(np.append(0, np.cumsum(length)), flat),
                }
            ).select(SCATTERED.names)
        )
        shards.append(mine["shard"].to_numpy().astype(np.int64))
    counts = exchange.write_slices(output, pa.concat_tables(tables), np.concatenate(shards), num_shards)
    return {"pieces": sum(counts)}


def pack_shard(
    *, output: str, exchanged: list[str], shard: int, rows: int, seq_len: int, sources: list[str], eos_id: int
) -> dict[str, Any]:
    """Write one shard from its slices; `output` is its prefix."""
    table = exchange.read_slice(exchanged, shard).sort_by([("row", "ascending"), ("start", "ascending")])
    with ShardWriter(output, seq_len=seq_len, sources=sources) as writer:
        for tokens, pieces in _rows(table, rows, seq_len, eos_id):
            writer.add(tokens, pieces)
        info = writer.close()
    return info._asdict()


def _rows(table: pa.Table, num_rows: int, seq_len: int, eos_id: int) -> Iterator[tuple[np.ndarray, list[Piece]]]:
    """The rows of a shard from its pieces, sorted by row and start."""
    step = max(1, PLACED_TOKENS // seq_len)
    row = table["row"].to_numpy()
    for first in range(0, num_rows, step):
        end = min(first + step, num_rows)
        low, high = np.searchsorted(row, [first, end]).tolist()
        part = table.slice(low, high - low)
        values, offsets = _flat(part["tokens"])
        inside, start, length = row[low:high].astype(np.int64) - first, part["start"].to_numpy(), np.diff(offsets)
        tokens = np.full((end - first) * seq_len, eos_id, np.uint32)
        tokens[expand(inside * seq_len + start, length)] = values[: offsets[-1]]
        pieces: list[list[Piece]] = [[] for _ in range(first, end)]
        names = ("id", "origin", "source", "start", "offset", LOSS_SPANS)
        columns = (part[name].to_pylist() for name in names)
        for k, count, *piece in zip(inside.tolist(), length.tolist(), *columns, strict=True):
            identity, origin, source, begin, offset, spans = piece
            visible = _visible(spans, offset, begin, count)
            pieces[k].append(Piece(identity, begin, count, visible, origin, source, offset))
        yield from zip(tokens.reshape(-1, seq_len), pieces, strict=True)


def _visible(
    spans: list[dict[str, int]] | None, offset: int, start: int, length: int
) -> tuple[tuple[int, int], ...] | None:
    """Loss spans of a document as spans of the row, for the piece that begins `offset` tokens into the document."""
    if spans is None:
        return None
    clipped = ((max(s["start"], offset), min(s["start"] + s["length"], offset + length)) for s in spans)
    return tuple((low - offset + start, high - low) for low, high in clipped if low < high)
