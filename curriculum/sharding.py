"""From kept documents to packed rows: what a worker does. Tokenise a part, shuffle its documents into groups, pack a group into a shard.

A group is the documents of one bucket that end up in one shard: drawn by a keyed hash of their ids, so that neighbours in a row are
unrelated and the groups of a bucket look alike. Packing sees one group at a time, which bounds memory whatever the corpus.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from datapipe import exchange, pack, store
from datapipe.schema import LOSS_SPANS, LOSS_SPANS_TYPE
from datapipe.shards import Piece, ShardWriter
from datapipe.tokenize import Tokenizer, train_bpe

ROWS_PER_CALL = 1_000
LENGTH_EDGES = [
    2**power for power in range(4, 25)
]  # tokens; documents shorter than the first edge fall into the first bin

TOKENS = pa.schema(
    [("id", pa.string()), ("order", pa.uint64()), ("tokens", pa.large_list(pa.uint32())), (LOSS_SPANS, LOSS_SPANS_TYPE)]
)


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


def tokenize_part(*, output: str, part: str, tokenizer: str, groups: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Encode one part and write its documents as an exchange, one slice per group (the groups of all buckets in a row)."""
    encoder = Tokenizer.open(tokenizer)
    first_group = dict(zip(groups, np.cumsum([0, *groups.values()]).tolist(), strict=False))
    tables, slices, lengths = [], [], []
    counts = {bucket: {"documents": 0, "tokens": 0} for bucket in groups}
    with store.open_input(part) as source:
        for batch in pq.ParquetFile(source).iter_batches(ROWS_PER_CALL):
            docs = pa.Table.from_batches([batch])
            table = _encode(encoder, docs, seed)
            buckets = docs["bucket"].to_pylist() if "bucket" in docs.column_names else ["all"] * docs.num_rows
            num_groups = np.array([groups[bucket] for bucket in buckets], dtype=np.uint64)
            starts = np.array([first_group[bucket] for bucket in buckets], dtype=np.int64)
            group = ((table["order"].to_numpy() >> np.uint64(32)) * num_groups) >> np.uint64(32)
            slices.append(starts + group.astype(np.int64))
            lengths.append(np.diff(_flat(table["tokens"])[1]))
            tables.append(table)
            for bucket, length in zip(buckets, lengths[-1].tolist(), strict=True):
                counts[bucket]["documents"] += 1
                counts[bucket]["tokens"] += length
    table = pa.concat_tables(tables) if tables else TOKENS.empty_table()
    exchange.write_slices(output, table, np.concatenate([np.zeros(0, np.int64), *slices]), sum(groups.values()))
    histogram, _ = np.histogram(
        np.clip(np.concatenate([np.zeros(0), *lengths]), LENGTH_EDGES[0], None), [*LENGTH_EDGES, np.inf]
    )
    return {"buckets": counts, "lengths": histogram.tolist()}


def _encode(encoder: Tokenizer, docs: pa.Table, seed: int) -> pa.Table:
    ids, texts, kinds = docs["id"].to_pylist(), docs["text"].to_pylist(), docs["kind"].to_pylist()
    spans = docs[LOSS_SPANS].to_pylist() if LOSS_SPANS in docs.column_names else [None] * len(ids)
    wanted = [None if each is None else [(span["start"], span["length"]) for span in each] for each in spans]
    encoded = encoder.encode_with_spans(texts, kinds, wanted)
    return pa.table(
        {
            "id": ids,
            "order": np.array([xxhash.xxh3_64_intdigest(identity.encode(), seed) for identity in ids], dtype=np.uint64),
            "tokens": _lists([each.tokens for each in encoded]),
            LOSS_SPANS: pa.array(
                [
                    None
                    if each.loss_spans is None
                    else [{"start": start, "length": length} for start, length in each.loss_spans]
                    for each in encoded
                ],
                LOSS_SPANS_TYPE,
            ),
        },
        schema=TOKENS,
    )


def _lists(arrays: list[np.ndarray]) -> pa.Array:
    offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
    return pa.LargeListArray.from_arrays(offsets, np.concatenate([np.zeros(0, np.uint32), *arrays]))


def _flat(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Values and offsets of a list column."""
    array = column.combine_chunks()
    return array.values.to_numpy()[array.offsets[0].as_py() :], array.offsets.to_numpy() - array.offsets[0].as_py()


def pack_group(
    *, output: str, exchanged: list[str], group: int, method: str, seq_len: int, source: str, eos_id: int
) -> dict[str, Any]:
    """Pack the documents of one group into the rows of one shard; `output` is the shard's prefix."""
    table = exchange.read_slice(exchanged, group).sort_by([("order", "ascending"), ("id", "ascending")])
    tokens, offsets = _flat(table["tokens"])
    packing = pack.PACKERS[method](np.diff(offsets), seq_len)
    ids, spans = table["id"].to_pylist(), table[LOSS_SPANS].to_pylist()
    row_tokens = np.full(seq_len, eos_id, np.uint32)
    with ShardWriter(output, seq_len=seq_len, source=source) as writer:
        for row in packing.rows():
            row_tokens[:] = eos_id
            pieces = []
            for doc, offset, start, length in row:
                begin = offsets[doc] + offset
                row_tokens[start : start + length] = tokens[begin : begin + length]
                pieces.append(Piece(ids[doc], start, length, _visible(spans[doc], offset, start, length)))
            writer.add(row_tokens, pieces)
        info = writer.close()
    return {**info._asdict(), "documents": len(ids), "cut_documents": packing.cut_documents, "padding": packing.padding}


def _visible(
    spans: list[dict[str, int]] | None, offset: int, start: int, length: int
) -> tuple[tuple[int, int], ...] | None:
    """Loss spans of a document as spans of the row, for the piece that begins `offset` tokens into the document."""
    if spans is None:
        return None
    clipped = ((max(s["start"], offset), min(s["start"] + s["length"], offset + length)) for s in spans)
    return tuple((low - offset + start, high - low) for low, high in clipped if low < high)
