"""The mixture of every stage as planned, built and consumed, and how often each bucket is repeated over the whole plan.

Planned: positions of the rows the plan gives a source. Built: positions of its rows in sealed shards. Consumed: the tokens the trainer
learned from, which leaves out padding and the last token of every document, so it ends a few percent below planned.
"""

import math
from collections import Counter
from dataclasses import dataclass

from curriculum.plan import Plan, Source, Stage
from curriculum.report.data import Lock, bucket_order
from curriculum.report.metrics import Run

MANY_EPOCHS = 4.0
HALF_LIFE_EPOCHS = 15.387756  # R*_D of Muennighoff et al. 2023, "Scaling data-constrained language models", section 6


@dataclass(frozen=True)
class SourceMix:
    """One bucket in one stage. Shares are of the stage's total of the same kind."""

    name: str
    corpus: str
    bucket: str
    planned: int  # positions
    built: int  # positions
    consumed: int  # learned tokens
    epochs: float
    planned_share: float
    built_share: float
    consumed_share: float


@dataclass(frozen=True)
class StageMix:
    number: int
    stage: Stage
    sources: tuple[SourceMix, ...]
    rows_done: int
    started: bool

    @property
    def planned(self) -> int:
        return sum(source.planned for source in self.sources)

    @property
    def built(self) -> int:
        return sum(source.built for source in self.sources)

    @property
    def consumed(self) -> int:
        return sum(source.consumed for source in self.sources)

    @property
    def progress(self) -> float:
        return self.rows_done / self.stage.rows if self.stage.rows else 0.0


@dataclass(frozen=True)
class Repeats:
    """How often a bucket is seen: one entry per stage, None where the stage does not use it."""

    source: str
    by_stage: tuple[float | None, ...]
    so_far: float

    @property
    def total(self) -> float:
        return sum(epochs for epochs in self.by_stage if epochs is not None)

    @property
    def worth(self) -> float:
        """What a repeated token is worth, as a share of a fresh one (1 up to one epoch)."""
        return worth(self.total)

    @property
    def many(self) -> bool:
        return self.total > MANY_EPOCHS


def worth(epochs: float) -> float:
    """Value of all epochs over `epochs` times fresh data: U + U R* (1 - exp(-R/R*)) with R = epochs - 1 (Muennighoff et al. 2023)."""
    if epochs <= 1:
        return 1.0
    if math.isinf(epochs):
        return 0.0
    repeats = epochs - 1
    return (1 + HALF_LIFE_EPOCHS * (1 - math.exp(-repeats / HALF_LIFE_EPOCHS))) / epochs


def mixture(plan: Plan, run: Run | None, lock: Lock | None) -> list[StageMix]:
    """Every stage of the plan, its sources in the order of the lock."""
    order = bucket_order(lock, [source.name for stage in plan.stages for source in stage.sources])
    return [_stage_mix(number, stage, run, order) for number, stage in enumerate(plan.stages, start=1)]


def repeats(mixes: list[StageMix], lock: Lock | None) -> list[Repeats]:
    """Epochs of every source over the whole plan, in the order of the lock."""
    lookup = [({source.name: source.epochs for source in mix.sources}, mix.progress) for mix in mixes]
    return [
        Repeats(
            source=name,
            by_stage=tuple(epochs.get(name) for epochs, _ in lookup),
            so_far=sum(epochs[name] * progress for epochs, progress in lookup if progress and name in epochs),
        )
        for name in bucket_order(lock, [name for epochs, _ in lookup for name in epochs])
    ]


def _stage_mix(number: int, stage: Stage, run: Run | None, order: list[str]) -> StageMix:
    done = run.stages.get(stage.name) if run else None
    learned = done.learned if done else Counter[str]()
    sources = sorted(stage.sources, key=lambda source: order.index(source.name))
    planned = sum(source.rows_planned for source in sources)
    built = sum(source.rows_built for source in sources)
    return StageMix(
        number=number,
        stage=stage,
        sources=tuple(_source_mix(source, stage.seq_len, learned, planned, built) for source in sources),
        rows_done=done.rows if done else 0,
        started=done is not None,
    )


def _source_mix(source: Source, seq_len: int, learned: Counter[str], planned_rows: int, built_rows: int) -> SourceMix:
    return SourceMix(
        name=source.name,
        corpus=source.corpus,
        bucket=source.bucket,
        planned=source.rows_planned * seq_len,
        built=source.rows_built * seq_len,
        consumed=learned[source.name],
        epochs=source.epochs if source.rows_planned else 0.0,
        planned_share=source.rows_planned / planned_rows if planned_rows else 0.0,
        built_share=source.rows_built / built_rows if built_rows else 0.0,
        consumed_share=learned[source.name] / learned.total() if learned.total() else 0.0,
    )
