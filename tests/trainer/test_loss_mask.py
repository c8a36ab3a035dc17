"""A run from a stage that learns every token into one that learns loss spans.

What counts is computed here from the pieces in the shards; of the feed comes only which rows a step has.
"""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curriculum.feed import Batch, Feed
from curriculum.plan import BatchSegment, Plan, Shard, Stage
from datapipe.shards import Piece, ShardReader, ShardWriter
from tests.plans import make_source, make_stage
from tests.trainer.conftest import VOCAB
from tests.trainer.test_run import lines
from trainer.run import train

MakePlan = Callable[..., Plan]
SEQ_LEN, STEPS, ROWS = 48, 3, 4
SHARES = (Fraction(3, 4), Fraction(1, 4))
NAMES = ("chat/all", "web/all")  # rows of chat hold documents of web too


@pytest.fixture
def plan(tmp_path: Path, make_plan: MakePlan) -> Plan:
    """Two stages over the same shards, of which each has every row once: `mid` learns all, `sft` the spans."""
    planned = [source.rows_planned for source in stage("probe", "all", [1, 1]).sources]
    sft = stage("sft", "spans", planned)
    for source, sources in zip(sft.sources, (NAMES, NAMES[1:]), strict=True):
        for number, shard in enumerate(source.shards):
            write(tmp_path, shard, sources, seed=10 * len(sources) + number)
    return make_plan(stages=(stage("mid", "all", planned), sft))


def stage(name: str, learn: str, rows: list[int]) -> Stage:
    sources = [make_source(corpus, count, seed=3) for corpus, count in zip(("chat", "web"), rows, strict=True)]
    about: dict[str, Any] = {
        "name": name,
        "seq_len": SEQ_LEN,
        "steps": STEPS,
        "batch": (BatchSegment(0, ROWS),),
        "seed": 5,
    }
    return make_stage(sources, SHARES, learn=learn, mtp_weight=0.0, **about)


def write(root: Path, shard: Shard, sources: tuple[str, ...], seed: int) -> None:
    """Rows of documents with a turn or two, of which the first may begin and the last end with the document, with none, and with no
    spans at all. The last source is of the last document of every row."""
    random = np.random.default_rng(seed)
    (root / shard.path).parent.mkdir(parents=True, exist_ok=True)
    with ShardWriter(str(root / shard.path), seq_len=SEQ_LEN, sources=sources) as writer:
        for row in range(shard.rows):
            borders = [0, *sorted(random.choice(np.arange(1, SEQ_LEN), 4, replace=False).tolist())]
            pieces = []
            for number, (start, end) in enumerate(pairwise(borders)):
                cuts = sorted(random.choice(np.arange(start, end + 1), min(4, end - start + 1), replace=False).tolist())
                turns = [(begin, stop - begin) for begin, stop in zip(cuts[::2], cuts[1::2], strict=False)]
                spans = (None, (), tuple(turns[:1]), tuple(turns))[(row + number) % 4]
                source = len(sources) - 1 if end == borders[-1] else 0
                pieces.append(Piece(f"{seed}-{row}-{start}", start, end - start, spans, source=source))
            writer.add(random.integers(0, VOCAB, SEQ_LEN).astype(np.uint32), pieces)


def learned(piece: Piece, learn: str) -> list[int]:
    """Positions of a row whose next token is of the same piece and to be learned."""
    inside = range(piece.start, piece.start + piece.length - 1)
    if learn == "all" or piece.loss_spans is None:
        return list(inside)
    return [place for place in inside if any(begin <= place + 1 < begin + size for begin, size in piece.loss_spans)]


def counted(root: Path, rows: list[tuple[str, int]], learn: str) -> dict[str, int]:
    """Learned tokens by source of some rows (shard, row of the shard)."""
    found = Counter(dict.fromkeys(NAMES, 0))
    for path, row in rows:
        reader = ShardReader(str(root / path))
        for piece in reader.pieces(row):
            found[reader.sources[piece.source]] += len(learned(piece, learn))
    return dict(found)


def rows_of(plan: Plan, root: Path, stage: int, step: int) -> list[tuple[str, int]]:
    return [(row["shard"], row["shard_row"]) for row in Feed(plan, str(root)).lineage(stage, step)]


def test_a_switch_of_the_mask_counts_and_tells_what_is_learned(tmp_path: Path, plan: Plan) -> None:
    train(str(tmp_path))
    seen = lines(tmp_path)
    assert len(seen) == 2 * STEPS
    for line in seen:
        index, step = plan.locate(line["step"])
        expected = counted(tmp_path, rows_of(plan, tmp_path, index, step), plan.stages[index].learn)
        assert line["tokens_by_source"] == expected, line["step"]
        assert (index == 1 and step == 0) == ("learn: all -> spans" in line["changes"])
        mean = sum(line["loss_by_source"][name] * count for name, count in expected.items()) / sum(expected.values())
        assert line["loss"] == pytest.approx(mean)
    # The order of rows aside: each stage has learned every row of the shards once, by its own mask.
    everything = [
        (shard.path, row) for source in plan.stages[0].sources for shard in source.shards for row in range(shard.rows)
    ]
    for part, about in zip((seen[:STEPS], seen[STEPS:]), plan.stages, strict=True):
        total = Counter[str]()
        for line in part:
            total.update(line["tokens_by_source"])
        assert total == counted(tmp_path, everything, about.learn)
    assert sum(seen[STEPS]["tokens_by_source"].values()) < 0.8 * sum(seen[0]["tokens_by_source"].values())


@pytest.mark.parametrize("index", [0, 1], ids=["all", "spans"])
def test_loss_and_gradients_are_those_of_the_learned_tokens_alone(
    tmp_path: Path, plan: Plan, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, index: int
) -> None:
    """Against plain cross entropy of logits, document by document; nothing else is in the objective."""
    from trainer import mcore_compat

    mcore_compat.install()
    from trainer.layout import joined
    from trainer.loop import Trainer
    from trainer.model import build_model
    from trainer.schedule import settings

    plan = make_plan(stages=plan.stages, training={"sequence_balance_weight": 0.0, "clip_norm": 0.0})
    with joined(1) as layout:
        trainer, reference = Trainer(plan, layout), build_model(plan.model, seed=plan.seed)
        monkeypatch.setattr(trainer.optimizers, "step", lambda lr: None)
        now = settings(plan, plan.first_step(index))
        line = trainer.step(now, plan.stages[index], Feed(plan, str(tmp_path)).batch(index, 0, mtp_depths=1))
        total, count = torch.zeros([]), 0
        for path, row in rows_of(plan, tmp_path, index, 0):
            reader = ShardReader(str(tmp_path / path))
            tokens_T = reader.read(np.array([row]))[0].astype(np.int64)
            for piece in reader.pieces(row):
                if places := learned(piece, plan.stages[index].learn):
                    logits_TV = alone(reference, tokens_T[piece.start : piece.start + piece.length])
                    labels = torch.from_numpy(tokens_T[np.array(places) + 1])
                    at = torch.tensor(places) - piece.start
                    total = total + torch.nn.functional.cross_entropy(logits_TV[at], labels, reduction="sum")
                    count += len(places)
        (total / count).backward()
        assert line["loss"] == pytest.approx(float(total.detach()) / count, rel=1e-6)
        expected = {name: parameter.grad for name, parameter in reference.named_parameters()}
        for name, parameter in trainer.model.named_parameters():
            ours, theirs = parameter.main_grad, expected[name]
            if theirs is None:
                assert name.startswith("mtp.")  # the further prediction has no weight here
                theirs = torch.zeros_like(ours)
            near = 1e-5 * float(theirs.abs().max()) + 1e-9
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=near, msg=name)


def alone(model: torch.nn.Module, tokens_T: np.ndarray) -> torch.Tensor:
    """The logits `[T, V]` of one document, which is all there is."""
    from trainer.documents import documents, pack

    nothing = np.full((1, tokens_T.size), -100)
    borders, source = np.array([0, tokens_T.size], np.int32), np.zeros(1, np.int32)
    packed = pack(Batch(tokens_T[None].astype(np.uint32), nothing, nothing[None], borders, source), 0, 1)
    about = documents(packed, rope_base=1e4, rotary_dim=8)
    logits: torch.Tensor = model(
        torch.from_numpy(packed.tokens_T)[None],
        torch.from_numpy(packed.positions_T)[None],
        None,
        packed_seq_params=about,
    )
    return logits[0]
