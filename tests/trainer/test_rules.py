"""Muon against AdamW on real text: what AdamW reaches at the best of several rates, Muon reaches in fewer steps.

`python -m trainer.bench optimizers OUT` shows the curves of the quickstart's model.
"""

import sysconfig
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from curriculum.feed import Feed
from curriculum.plan import BatchSegment, Plan, Stage
from datapipe.shards import Piece, ShardWriter
from tests.plans import make_source, make_stage
from tests.trainer.conftest import SHAPE

if TYPE_CHECKING:
    from trainer.layout import Layout

MakePlan = Callable[..., Plan]
ROWS, SEQ_LEN, STEPS, BATCH = 400, 128, 60, 4
MUON_RATE, ADAMW_RATES = 4e-2, (2.5e-3, 5e-3, 1e-2)  # of AdamW's the one between is the best
SMOOTH = 8  # steps that a loss is the mean of: one batch is easier than another


@pytest.fixture
def source_code(tmp_path: Path) -> Stage:
    """The bytes of modules of the standard library."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("a*.py"))
    text = np.frombuffer(b"".join(path.read_bytes() for path in modules), np.uint8).astype(np.uint32)
    source = make_source("code", ROWS, 1)
    (tmp_path / source.folder).mkdir(parents=True)
    with ShardWriter(str(tmp_path / source.shard(0).path), seq_len=SEQ_LEN, sources=[source.name]) as writer:
        for row in range(ROWS):
            writer.add(text[row * SEQ_LEN : (row + 1) * SEQ_LEN], [Piece(str(row), 0, SEQ_LEN)])
    batch = (BatchSegment(0, BATCH),)
    return make_stage([source], [Fraction(1)], name="code", seq_len=SEQ_LEN, steps=STEPS, batch=batch)


def test_muon_reaches_what_adamw_reaches_in_fewer_steps(
    alone: "Layout", tmp_path: Path, make_plan: MakePlan, source_code: Stage
) -> None:
    def curve(rule: str, rate: float, steps: int = STEPS) -> np.ndarray:
        training = {"optimizer": rule, "lr": {"peak": rate, "end": rate / 10, "warmup_tokens": 1024}}
        model = {**SHAPE, "vocab_size": 256, "hidden": 64, "init_std": 0.05}
        plan = make_plan(stages=(source_code,), model=model, training=training)
        return np.convolve(learn(alone, plan, tmp_path, steps), np.full(SMOOTH, 1 / SMOOTH), mode="valid")

    adamw = [curve("adamw", rate) for rate in ADAMW_RATES]
    goal = 1.02 * min(found.min() for found in adamw)
    taken = min(int(np.argmax(found <= goal)) for found in adamw if found.min() <= goal)
    muon = curve("muon", MUON_RATE, SMOOTH + int(0.9 * taken))
    assert muon.min() <= goal, (goal, taken, muon)


def learn(alone: "Layout", plan: Plan, root: Path, steps: int) -> list[float]:
    """The losses of the first steps."""
    from trainer.loop import Trainer
    from trainer.schedule import settings

    trainer = Trainer(plan, alone)
    stream = Feed(plan, str(root)).stream(0, mtp_depths=1)
    losses = [
        trainer.step(settings(plan, step), plan.stages[0], batch)["loss"] for _, step, batch in islice(stream, steps)
    ]
    stream.close()
    return losses
