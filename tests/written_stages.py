"""Stages of random rows, written as shards without a build; and what it means that two batches are the same."""

from fractions import Fraction
from itertools import pairwise

import numpy as np

from curriculum.feed import Batch
from curriculum.plan import BatchSegment, Plan, Stage
from datapipe import store
from datapipe.shards import Piece, ShardWriter
from tests.plans import make_source, make_stage

EOS = 7
SIZES = {"web": (103, 2), "code": (50, 1), "math": (15, 3)}  # rows, shards
SHARES = (Fraction(6, 10), Fraction(3, 10), Fraction(1, 10))
FIELDS = ("tokens", "labels", "loss_weights", "position_ids", "mtp_labels", "source_ids", "cu_seqlens")
Rows = dict[tuple[str, int], tuple[np.ndarray, list[Piece]]]  # (shard, row) -> what was written


def write_shard(root: object, path: str, count: int, seq_len: int, sources: list[str], rows: Rows) -> None:
    """Random rows; some pieces have loss spans, and some are of the other sources."""
    rng = np.random.default_rng([sum(map(ord, path)), seq_len])
    with ShardWriter(store.join(str(root), path), seq_len=seq_len, sources=sources) as writer:
        for row in range(count):
            cuts = np.unique(np.append(0, rng.integers(1, seq_len + 1, rng.integers(1, 4)))).tolist()
            pieces = []
            for start, end in pairwise(cuts):
                spans = [None, None, (), ((start + (end - start) // 2, end - start - (end - start) // 2),)]
                doc, given_spans = f"{path}/{row}/{start}", spans[rng.integers(4)]
                source = int(rng.integers(len(sources))) if start else 0
                pieces.append(Piece(doc, start, end - start, given_spans, f"from {doc}", source, 3 * start))
            tokens = rng.integers(8, 2**20, seq_len).astype(np.uint32)
            tokens[cuts[-1] :] = EOS
            writer.add(tokens, pieces)
            rows[path, row] = tokens, pieces


def write_stage(name: str, root: object, rows: Rows, *, seq_len: int, steps: int, batch: list[BatchSegment]) -> Stage:
    sources = []
    for corpus, (count, num_shards) in SIZES.items():
        source = make_source(corpus, count, num_shards, folder=f"shards/{name}/{corpus}")
        known = [f"{corpus}/all", "code/all"] if corpus == "web" else [f"{corpus}/all"]
        for shard in source.shards:
            write_shard(root, shard.path, shard.rows, seq_len, known, rows)
        sources.append(source)
    return make_stage(sources, SHARES, name=name, seq_len=seq_len, steps=steps, batch=batch, seed=len(rows))


def plan_of(*stages: Stage, **changes: object) -> Plan:
    settings = {
        "version": "1",
        "seed": 1,
        "manifest": "",
        "lock": "l",
        "tokenizer": {},
        "model": {},
        "training": {"optimizer": "muon"},
    }
    return Plan(name="test", stages=stages, **{**settings, **changes})  # type: ignore[arg-type]


def same(a: Batch, b: Batch) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name)) and getattr(a, name).dtype == getattr(b, name).dtype
        for name in FIELDS
    )
