"""The mixture of every stage as planned, built and consumed, and how often each bucket is repeated over the whole plan.

All count tokens, without padding. Planned: what the stage's rows hold of a source; its documents in rows of other sources (fillers) count
to it. Built: what there is of it in the packing of the stage; only the lock knows. Consumed: what the trainer learned from, which leaves
out the last token of every document, so it ends a little below planned.

The shares of a stage may change on the way. A ramp is a staircase of up to 32 stairs; `begin` and `end` are the shares of its first and its
last. While a build is running, what lies in a row is taken from the plan, which is exact but for fillers.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from curation.quality.effective import MANY_EPOCHS, worth
from curriculum.mixture import TURN
from curriculum.plan import MixtureSegment, Plan, Source, Stage
from curriculum.report.data import Lock, bucket_order
from curriculum.report.metrics import Run


@dataclass(frozen=True)
class SourceMix:
    """One bucket in one stage. Shares are of the stage's total of the same kind."""

    name: str
    corpus: str
    bucket: str
    planned: int
    filling: int  # of these, in rows of other sources
    built: int | None
    consumed: int
    epochs: float
    planned_share: float
    begin_share: float
    end_share: float
    built_share: float | None
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
    def filling(self) -> int:
        return sum(source.filling for source in self.sources)

    @property
    def built(self) -> int | None:
        """None where the lock does not know all of its shards."""
        built = [source.built for source in self.sources if source.built is not None]
        return sum(built) if self.sources and len(built) == len(self.sources) else None

    @property
    def changes(self) -> bool:
        """Whether the shares change on the way."""
        return len(segments(self.stage)) > 1

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


def mixture(plan: Plan, run: Run | None, lock: Lock | None) -> list[StageMix]:
    """Every stage of the plan, its sources in the order of the lock; a stage that is still being built has none."""
    order = bucket_order(lock, [source.name for stage in plan.stages for source in stage.sources])
    return [_stage_mix(number, stage, run, lock, order) for number, stage in enumerate(plan.stages, start=1)]


def segments(stage: Stage) -> list[MixtureSegment]:
    """The mixture segments that have rows in the stage."""
    return [segment for segment in stage.mixture if segment.first_row < stage.rows]


def token_shares(stage: Stage, segment: MixtureSegment, lock: Lock | None) -> dict[str, float]:
    """Shares of the tokens of a segment, by source."""
    tokens: dict[str, float] = defaultdict(float)
    for source, (low, high) in zip(stage.sources, pairwise((0, *segment.bounds)), strict=True):
        for name, per_row in _row_content(source, stage.seq_len, lock).items():
            tokens[name] += (high - low) / TURN * per_row
    total = sum(tokens.values())
    return {name: count / total for name, count in tokens.items()} if total else {}


def _row_content(source: Source, seq_len: int, lock: Lock | None) -> Mapping[str, float]:
    """Tokens in a row of `source`, by source, on average."""
    shards = lock.shards_in.get(source.folder) if lock else None
    if shards and shards.rows:
        return {name: tokens / shards.rows for name, tokens in shards.tokens_by_source.items()}
    return {source.name: source.tokens_planned / source.rows_planned if source.rows_planned else seq_len}


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


def _stage_mix(number: int, stage: Stage, run: Run | None, lock: Lock | None, order: Sequence[str]) -> StageMix:
    done = run.stages.get(stage.name) if run else None
    learned = done.learned if done else Counter[str]()
    sources = sorted(_source_mixes(stage, learned, lock), key=lambda source: order.index(source.name))
    return StageMix(number, stage, tuple(sources), done.rows if done else 0, started=done is not None)


def _source_mixes(stage: Stage, learned: Counter[str], lock: Lock | None) -> Iterator[SourceMix]:
    if stage.is_open:
        return
    built, parts = _built(stage, lock), segments(stage)
    begin, end = (token_shares(stage, part, lock) for part in (parts[0], parts[-1]))
    all_planned, all_built = sum(source.tokens_planned for source in stage.sources), sum(built.values())
    for source in stage.sources:
        name, there = source.name, built.get(source.name)
        yield SourceMix(
            name=name,
            corpus=source.corpus,
            bucket=source.bucket,
            planned=source.tokens_planned,
            filling=round(sum(_lent(host, source, stage.seq_len, lock) for host in stage.sources if host != source)),
            built=there,
            consumed=learned[name],
            epochs=_epochs(source, there),
            planned_share=_share(source.tokens_planned, all_planned),
            begin_share=begin.get(name, 0.0),
            end_share=end.get(name, 0.0),
            built_share=None if there is None else _share(there, all_built),
            consumed_share=_share(learned[name], learned.total()),
        )


def _built(stage: Stage, lock: Lock | None) -> dict[str, int]:
    """Tokens of every source of the stage in its shards, as far as the lock knows them: fillers lie in those of others."""
    sets = [lock.shards_in.get(source.folder) if lock else None for source in stage.sources]
    if None in sets:
        return {}
    return {
        source.name: sum(shards.tokens_by_source.get(source.name, 0) for shards in sets if shards)
        for source in stage.sources
    }


def _lent(host: Source, source: Source, seq_len: int, lock: Lock | None) -> float:
    """Tokens of `source` in the stage's rows of `host`."""
    return host.rows_planned * _row_content(host, seq_len, lock).get(source.name, 0)


def _epochs(source: Source, built: int | None) -> float:
    """How often a token of the source is seen in the stage, on average."""
    if not source.tokens_planned:
        return 0.0
    return source.epochs if built is None else source.tokens_planned / built if built else math.inf


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
