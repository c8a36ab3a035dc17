"""The plan: exact integers that say which packed row is learned when. `build` writes it, the feed and the trainer read it.

A training node needs this file, the shards and nothing else: no YAML, no ray. Everything here is data; `curriculum.planner` makes it
from a manifest and what was measured. Its size does not depend on how much data there is: the shards of a source follow from two numbers.

While a build is still running, a plan has no lock: its first stages are complete, though not all of their shards are sealed yet, and the
stages whose corpora are not packed yet are open (no sources). The build writes it again as more becomes known; what stood in it stays.
"""

import dataclasses
import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from curriculum.units import exact

FORMAT = 3
PLAN = "plan.json"
# Fields of a stage that hold a number, or a Ramp where it moves inside the stage.
SCHEDULED = ("bias_rate", "mtp_weight")


class PlanError(ValueError):
    """A plan cannot be used: why, and what to do."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """One shard: `path` + `.tokens.arrow` and `.docs.arrow`, relative to the folder of plan.json."""

    path: str
    rows: int


@dataclasses.dataclass(frozen=True)
class Source:
    """One bucket of one corpus in one stage: the unit of the mixture.

    Its rows lie in `num_shards` shards of nearly the same size: shard s holds rows [s * rows // num_shards, (s + 1) * rows // num_shards).
    The first `held_out` rows of shard 0 are for validation and are never drawn: epochs, ranks and planned rows are of the other ones.
    """

    name: str  # "web/high"
    corpus: str
    bucket: str
    folder: str  # of the shards, relative to the folder of plan.json
    rows: int
    num_shards: int
    seed: int  # of the order of the rows; stages that share the shards share it
    first_rank: int  # rows that earlier stages have drawn from the same shards: this stage goes on behind them
    rows_planned: int  # rows of the stage that come from here, exactly
    tokens_planned: int  # of this source in the stage, also those in rows of other sources (fillers), without padding
    held_out: int = 0  # rows for validation, fewer than shard 0 has; stages that share the shards share them

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All shards, in order."""
        return tuple(self.shard(index) for index in range(self.num_shards))

    def shard(self, index: int) -> Shard:
        return Shard(shard_path(self.folder, index), self.first_row(index + 1) - self.first_row(index))

    def first_row(self, shard: int) -> int:
        """Rows before shard `shard`."""
        return shard * self.rows // self.num_shards

    @property
    def trainable_rows(self) -> int:
        """The rows of one epoch."""
        return self.rows - self.held_out

    @property
    def epochs(self) -> float:
        """How often a row of this source is seen in the stage, on average."""
        return self.rows_planned / self.trainable_rows if self.rows else math.inf

    def is_held_out(self, shard: int, shard_row: int) -> bool:
        """Whether this row of shard `shard` is for validation."""
        return shard == 0 and shard_row < self.held_out


def shard_path(folder: str, index: int) -> str:
    return f"{folder}/shard-{index:05d}"


@dataclasses.dataclass(frozen=True)
class MixtureSegment:
    """From row `first_row` of the stage on, a row whose mixture position u (64 bits) lies below bounds[s], and not below bounds[s - 1],
    comes from source s; taken[s] rows of the stage came from source s before."""

    first_row: int
    bounds: tuple[int, ...]
    taken: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class BatchSegment:
    """From step `first_step` of the stage on, a global batch has `rows` rows."""

    first_step: int
    rows: int


@dataclasses.dataclass(frozen=True)
class Ramp:
    """A number that moves inside its stage: `first` for the first `after` tokens, a line over `over` tokens, then `last`.

    `over` 0 is a step. Tokens are positions of the stage's rows, padding included.
    """

    first: float
    last: float
    after: int
    over: int

    def at(self, tokens: int) -> float:
        """What holds for a step with `tokens` tokens of the stage before it.

        Both ends are decimal text and the line between them is exact, then rounded once: it never overshoots, and two schedules
        that are the same line for a while have the same values there.
        """
        if tokens >= self.after + self.over:
            return self.last
        if tokens <= self.after:
            return self.first
        first, last = Fraction(str(self.first)), Fraction(str(self.last))
        return float(first + (last - first) * Fraction(tokens - self.after, self.over))

    def __str__(self) -> str:
        parts = [f"{self.first:.12g} to {self.last:.12g}"]
        parts += [f"{key} {exact(tokens)}" for key, tokens in (("after", self.after), ("over", self.over)) if tokens]
        return " ".join(parts)


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str
    seq_len: int
    pack: str  # "concat" | "best_fit"
    steps: int
    batch: tuple[BatchSegment, ...]
    sources: tuple[Source, ...]  # empty while the stage is open
    mixture: tuple[MixtureSegment, ...]
    rope_base: float
    bias_rate: float | Ramp  # update rate of the loss-free balance bias
    mtp_weight: float | Ramp
    seed: int  # of the mixture
    learn: str = "spans"  # "spans": documents with loss spans are learned inside them only | "all": every token of every document

    @property
    def is_open(self) -> bool:
        """Whether the build does not know yet what this stage will learn from."""
        return not self.sources

    def rows_before(self, step: int) -> int:
        """Rows of the stage consumed before its step `step` (0 <= step <= steps)."""
        if not 0 <= step <= self.steps:
            raise ValueError(f"stage {self.name!r} has steps 0..{self.steps}, not {step}")
        rows, ends = 0, [segment.first_step for segment in self.batch[1:]] + [self.steps]
        for segment, end in zip(self.batch, ends, strict=True):
            rows += segment.rows * max(0, min(step, end) - segment.first_step)
        return rows

    def tokens_before(self, step: int) -> int:
        """Positions of the stage consumed before its step `step` (0 <= step <= steps)."""
        return self.rows_before(step) * self.seq_len

    def value_at(self, setting: float | Ramp, step: int) -> float:
        """What a setting of this stage, such as `bias_rate`, is at its step `step`."""
        return setting.at(self.tokens_before(step)) if isinstance(setting, Ramp) else setting

    def batch_rows(self, step: int) -> int:
        """Rows in the global batch of step `step`."""
        return self.batch[self._segment(step)].rows

    def steps_alike(self, step: int) -> range:
        """The steps around `step` whose global batches have as many rows."""
        index = self._segment(step)
        end = self.batch[index + 1].first_step if index + 1 < len(self.batch) else self.steps
        return range(self.batch[index].first_step, min(end, self.steps))

    def _segment(self, step: int) -> int:
        if not 0 <= step < self.steps:
            raise ValueError(f"stage {self.name!r} has steps 0..{self.steps - 1}, not {step}")
        return bisect_right(self.batch, step, key=lambda segment: segment.first_step) - 1

    def step_of_row(self, row: int) -> int:
        """The step of the stage whose global batch holds row `row` (0 <= row < rows)."""
        if not 0 <= row < self.rows:
            raise ValueError(f"stage {self.name!r} has rows 0..{self.rows - 1}, not {row}")
        begins = [self.rows_before(segment.first_step) for segment in self.batch if segment.first_step < self.steps]
        index = bisect_right(begins, row) - 1
        return self.batch[index].first_step + (row - begins[index]) // self.batch[index].rows

    @property
    def rows(self) -> int:
        return self.rows_before(self.steps)

    @property
    def tokens(self) -> int:
        """Positions in the stage's rows, padding included."""
        return self.rows * self.seq_len

    @property
    def validation_rows(self) -> int:
        """Rows of all its sources that are held out."""
        return sum(source.held_out for source in self.sources)


@dataclasses.dataclass(frozen=True)
class Plan:
    name: str
    version: str
    seed: int
    manifest: str  # fingerprint of the manifest
    lock: str  # sha256 of the lock it was made from; empty while the build is running
    tokenizer: dict[str, Any]  # path, sha256, vocab_size, eos_id
    model: dict[str, Any]  # the model shape, see curriculum.model_shape.ModelShape
    training: dict[str, Any]  # optimiser and schedules (curriculum.manifest.TRAINING_DEFAULTS), and `validation_steps`
    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    @property
    def is_live(self) -> bool:
        """Whether the build that writes this plan is still running."""
        return not self.lock

    def locate(self, step: int) -> tuple[int, int]:
        """(stage index, step inside the stage) of global step `step`, counted from 0 over all stages."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index, step
            step -= stage.steps
        raise ValueError(f"the plan has {self.steps} steps (0..{self.steps - 1})")

    def first_step(self, stage: int) -> int:
        """Global step that stage `stage` begins with."""
        return sum(before.steps for before in self.stages[:stage])

    def tokens_before(self, stage: int, step: int) -> int:
        """Positions consumed before step `step` of stage `stage`, over the whole run."""
        return sum(s.tokens for s in self.stages[:stage]) + self.stages[stage].tokens_before(step)

    def digest(self) -> str:
        """Hex sha256 of what the plan says, whether its build has ended or not: what a checkpoint remembers."""
        return hashlib.sha256(dataclasses.replace(self, lock="").to_json().encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        try:
            data = dict(json.loads(text))
            if (found := data.pop("format")) == FORMAT:
                return cls(stages=tuple(_stage(stage) for stage in data.pop("stages")), **data)
        except (ValueError, KeyError, TypeError) as error:
            raise PlanError(f"plan.json is damaged ({error}): run `tokenloom build` again") from error
        raise PlanError(
            f"plan.json has format {found}, this version of tokenloom reads {FORMAT}: run `tokenloom build` again"
        )


def archived(digest: str) -> str:
    """Where a build keeps every plan it ever wrote, below its root: what a checkpoint learned with can be looked up by its digest."""
    return f"plans/{digest}.json"


def _stage(data: dict[str, Any]) -> Stage:
    return Stage(
        **{
            **data,
            "sources": tuple(Source(**source) for source in data["sources"]),
            "batch": tuple(BatchSegment(**segment) for segment in data["batch"]),
            "mixture": tuple(_mixture_segments(data["mixture"])),
            **{name: Ramp(**data[name]) for name in SCHEDULED if isinstance(data[name], dict)},
        }
    )


def _mixture_segments(data: list[dict[str, Any]]) -> Iterator[MixtureSegment]:
    for segment in data:
        yield MixtureSegment(segment["first_row"], tuple(segment["bounds"]), tuple(segment["taken"]))
