"""A tiny plan over real shards: three stages, two sources, documents of many lengths, one of them with loss spans."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from curriculum.feed import Batch
from curriculum.plan import BatchSegment, Plan, Shard, Stage
from datapipe.shards import Piece, ShardWriter
from tests.plans import make_source, make_stage
from trainer import mcore_compat

if TYPE_CHECKING:
    from trainer.documents import Packed
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
    "head": "muon",
    "lr": {"peak": 4e-3, "end": 4e-4, "warmup_tokens": 256},
    "weight_decay": 0.1,
    "clip_norm": 1.0,
    "muon": {"momentum": 0.95, "ns_steps": 5, "update_rms": 0.2},
    "adam": {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
    "sequence_balance_weight": 1e-4,
    "checkpoint_steps": 1000,
    "validation_steps": 0,
    "spikes": {"policy": "warn", "window": 128, "deviations": 6.0},
}


def write_shard(root: Path, shard: Shard, *, seq_len: int, seed: int, sources: Sequence[str]) -> None:
    """Rows of a counting language (the next token is the last one plus a step that the document keeps), cut into documents.

    The last document of every fourth row is of the last source.
    """
    rng = np.random.default_rng(seed)
    (root / shard.path).parent.mkdir(parents=True, exist_ok=True)
    with ShardWriter(str(root / shard.path), seq_len=seq_len, sources=sources) as writer:
        for row in range(shard.rows):
            tokens, pieces, start = np.zeros(seq_len, np.uint32), [], 0
            end = seq_len - int(rng.integers(0, 5))
            while start < end:
                length = min(end - start, int(rng.integers(1, seq_len)))
                first, step = rng.integers(0, VOCAB), rng.integers(1, 4)
                tokens[start : start + length] = (first + step * np.arange(length)) % VOCAB
                spans = ((start + length // 2, length - length // 2),) if length > 4 and rng.random() < 0.2 else None
                source = len(sources) - 1 if row % 4 == 0 and start + length == end else 0
                pieces.append(Piece(f"{seed}-{row}-{start}", start, length, spans, source=source))
                start += length
            writer.add(tokens, pieces)


def stage(root: Path, name: str, *, seq_len: int, steps: int, rows: int, **changes: Any) -> Stage:
    """A stage over two sources, 3 : 1, with fresh shards below `root`; documents of `code` fill gaps of `web`."""
    sources = [make_source(corpus, 24, 2, folder=f"shards/{name}/{corpus}", seed=3) for corpus in ("web", "code")]
    for source, known in zip(sources, (["web/all", "code/all"], ["code/all"]), strict=True):
        for number, shard in enumerate(source.shards):
            write_shard(root, shard, seq_len=seq_len, seed=10 * len(known) + number, sources=known)
    shares, batch = (Fraction(3, 4), Fraction(1, 4)), (BatchSegment(0, rows),)
    settings: dict[str, Any] = {"bias_rate": 0.001, "mtp_weight": 0.3, "seed": 5, **changes}
    return make_stage(sources, shares, name=name, seq_len=seq_len, steps=steps, batch=batch, **settings)


def beside(root: Path, name: str) -> Path:
    """A folder to train in, with the plan and the shards of `root`."""
    folder = root / name
    folder.mkdir()
    (folder / "shards").symlink_to(root / "shards")
    (folder / "plan.json").write_text((root / "plan.json").read_text())
    return folder


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


def packed_of(lengths: Sequence[int]) -> "Packed":
    """Documents of these lengths that predict nothing, of source 0."""
    from trainer.documents import IGNORED, Packed

    positions = np.concatenate([np.arange(length) for length in lengths])
    return Packed(
        tokens_T=positions,
        positions_T=positions,
        labels_KT=np.full((1, positions.size), IGNORED),
        weights_KT=np.zeros((1, positions.size), np.float32),
        ahead_KT=np.zeros((0, positions.size), np.int64),
        sources_T=np.zeros(positions.size, np.int64),
        borders_D=np.append(0, np.cumsum(lengths)),
        real_D=np.array(lengths),
    )


MakeBatch = Callable[..., Batch]


@pytest.fixture
def make_batch() -> MakeBatch:
    """A batch from the lengths of the pieces of each row; `silent` pieces (by number) teach nothing. `sources` are of the pieces."""

    def make(
        *rows: list[int],
        seed: int = 0,
        silent: tuple[int, ...] = (),
        sources: list[int] | None = None,
        mtp_depths: int = 1,
    ) -> Batch:
        rng = np.random.default_rng(seed)
        lengths = np.array([length for row in rows for length in row])
        borders = np.concatenate([[0], np.cumsum(lengths)])
        piece = np.repeat(np.arange(lengths.size), lengths)
        tokens = rng.integers(0, VOCAB, borders[-1]).astype(np.uint32)
        last = np.isin(np.arange(borders[-1]), borders[1:] - 1)
        labels = np.where(last | np.isin(piece, silent), -100, np.roll(tokens.astype(np.int64), -1))
        deeper = [labels]
        for _ in range(mtp_depths):
            deeper.append(np.where(last, -100, np.roll(deeper[-1], -1)))
        shape = (len(rows), sum(rows[0]))
        return Batch(
            tokens=tokens.reshape(shape),
            labels=labels.reshape(shape),
            mtp_labels=np.array(deeper[1:], np.int64).reshape(mtp_depths, *shape),
            source_ids=np.array(sources or [0] * lengths.size, np.int32),
            cu_seqlens=borders.astype(np.int32),
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
