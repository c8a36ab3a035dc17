"""A tiny plan over real shards: three stages, two sources, documents of many lengths, one of them with loss spans."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from curriculum.feed import Batch
from curriculum.plan import BatchSegment, Plan, Shard, Source, Stage
from datapipe.shards import Piece, ShardWriter
from trainer import mcore_compat

if TYPE_CHECKING:
    from trainer.layout import Layout

VOCAB = 96
SHAPE: dict[str, Any] = {
    "name": "test",
    "vocab_size": VOCAB,
    "layers": 2,
    "dense_layers": 1,
    "hidden": 32,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 16,
    "dense_ffn": 64,
    "experts": 4,
    "experts_per_token": 2,
    "expert_ffn": 16,
    "shared_ffn": 16,
    "router_scale": 2.5,
    "qk_norm": True,
    "qkv_bias": True,
    "rotary_fraction": 0.5,
    "mtp_layers": 1,
    "norm_eps": 1e-5,
    "init_std": 0.06,
}
TRAINING: dict[str, Any] = {
    "optimizer": "muon",
    "lr": {"peak": 4e-3, "end": 4e-4, "warmup_tokens": 256},
    "weight_decay": 0.1,
    "clip_norm": 1.0,
    "muon": {"momentum": 0.95, "ns_steps": 5, "update_rms": 0.2},
    "adam": {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
    "sequence_balance_weight": 1e-4,
    "checkpoint_steps": 1000,
}


def write_shard(root: Path, path: str, *, seq_len: int, rows: int, seed: int) -> Shard:
    """Rows of a counting language (the next token is the last one plus a step that the document keeps), cut into documents."""
    rng = np.random.default_rng(seed)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    with ShardWriter(str(root / path), seq_len=seq_len, source=path) as writer:
        for row in range(rows):
            tokens, pieces, start = np.zeros(seq_len, np.uint32), [], 0
            end = seq_len - int(rng.integers(0, 5))
            while start < end:
                length = min(end - start, int(rng.integers(1, seq_len)))
                first, step = rng.integers(0, VOCAB), rng.integers(1, 4)
                tokens[start : start + length] = (first + step * np.arange(length)) % VOCAB
                spans = ((start + length // 2, length - length // 2),) if length > 4 and rng.random() < 0.2 else None
                pieces.append(Piece(f"{seed}-{row}-{start}", start, length, spans))
                start += length
            writer.add(tokens, pieces)
    return Shard(path, rows)


def stage(root: Path, name: str, *, seq_len: int, steps: int, rows: int, **changes: Any) -> Stage:
    """A stage over two sources, 3 : 1, with fresh shards below `root`."""
    shards = [write_shard(root, f"shards/{name}/{n}", seq_len=seq_len, rows=24, seed=n) for n in range(2)]
    bounds = (3 << 62, 1 << 64)
    sources = tuple(
        Source(f"{corpus}/all", corpus, "all", bound, (shard,), 0)
        for corpus, bound, shard in zip(("web", "code"), bounds, shards, strict=True)
    )
    settings: dict[str, Any] = {"rope_base": 10_000.0, "bias_rate": 0.001, "mtp_weight": 0.3, "seed": 5, **changes}
    return Stage(name, seq_len, "concat", steps, (BatchSegment(0, rows),), sources, **settings)


MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    """Writes shards and plan.json below `tmp_path` (or `root`) and returns the plan; keyword arguments replace fields of it."""

    def make(*, root: Path = tmp_path, training: dict[str, Any] | None = None, **changes: Any) -> Plan:
        if "stages" not in changes:
            changes["stages"] = (
                stage(root, "short", seq_len=32, steps=3, rows=4),
                stage(root, "long", seq_len=64, steps=3, rows=2, rope_base=1e6, bias_rate=0.0, mtp_weight=0.1),
            )
        plan = Plan(
            name="test",
            version="1",
            seed=7,
            manifest="m",
            lock="l",
            tokenizer={"path": "tokenizer.json", "sha256": "s", "vocab_size": VOCAB, "eos_id": 0},
            model=SHAPE,
            training={**TRAINING, **(training or {})},
            stages=changes.pop("stages"),
        )
        plan = dataclasses.replace(plan, **changes)
        (root / "plan.json").write_text(plan.to_json())
        return plan

    return make


MakeBatch = Callable[..., Batch]


@pytest.fixture
def make_batch() -> MakeBatch:
    """A batch from the lengths of the pieces of each row; `silent` pieces (by number) teach nothing."""

    def make(*rows: list[int], seed: int = 0, silent: tuple[int, ...] = (), sources: list[int] | None = None) -> Batch:
        rng = np.random.default_rng(seed)
        lengths = np.array([length for row in rows for length in row])
        borders = np.concatenate([[0], np.cumsum(lengths)])
        piece = np.repeat(np.arange(lengths.size), lengths)
        tokens = rng.integers(0, VOCAB, borders[-1]).astype(np.uint32)
        last = np.isin(np.arange(borders[-1]), borders[1:] - 1)
        labels = np.where(last | np.isin(piece, silent), -100, np.roll(tokens.astype(np.int64), -1))
        shape = (len(rows), sum(rows[0]))
        return Batch(
            tokens=tokens.reshape(shape),
            labels=labels.reshape(shape),
            loss_weights=(labels != -100).astype(np.float32).reshape(shape),
            position_ids=(np.arange(borders[-1]) - borders[piece]).reshape(shape),
            source_ids=np.array(sources or [0] * len(rows), np.int32),
            cu_seqlens=borders.astype(np.int32),
            seconds={},
        )

    return make


@pytest.fixture(scope="module")
def alone() -> "Iterator[Layout]":
    """This process as the only rank, on the CPU."""
    mcore_compat.install()
    from trainer.layout import joined

    with joined(threads=1) as layout:
        yield layout


@pytest.fixture
def shape() -> dict[str, Any]:
    return dict(SHAPE)
