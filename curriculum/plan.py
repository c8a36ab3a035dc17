"""The plan: exact integers that say which packed row is learned when. `build` writes it, the feed and the trainer read it.

A training node needs this file, the shards and nothing else: no YAML, no ray. Everything here is data; `curriculum.planner` makes it
from a manifest and a lock. Shares are kept as 64-bit fixed-point bounds so that every machine draws the same row for the same index.
"""

import dataclasses
import hashlib
import json
import math
from pathlib import PurePosixPath
from typing import Any

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Shard:
    """One sealed shard: `path` + `.tokens.arrow` and `.docs.arrow`, relative to the folder of plan.json."""

    path: str
    rows: int


@dataclasses.dataclass(frozen=True)
class Source:
    """One bucket of one corpus in one stage: the unit of the mixture."""

    name: str  # "web/high"
    corpus: str
    bucket: str
    bound: (
        int  # rows whose mixture position u (64 bits) lies below this, and not below the source before, come from here
    )
    shards: tuple[Shard, ...]
    rows_planned: int  # exact number of rows of the stage that come from here

    @property
    def rows_built(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def epochs(self) -> float:
        """How often a row of this source is seen in the stage, on average."""
        return self.rows_planned / self.rows_built if self.rows_built else math.inf


@dataclasses.dataclass(frozen=True)
class BatchSegment:
    """From step `first_step` of the stage on, a global batch has `rows` rows."""

    first_step: int
    rows: int


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str
    seq_len: int
    pack: str  # "concat" | "best_fit"
    steps: int
    batch: tuple[BatchSegment, ...]
    sources: tuple[Source, ...]
    rope_base: float
    bias_rate: float  # update rate of the loss-free balance bias
    mtp_weight: float
    seed: int  # of the mixture and the order inside the sources of this stage

    def rows_before(self, step: int) -> int:
        """Rows of the stage consumed before its step `step` (0 <= step <= steps)."""
        if not 0 <= step <= self.steps:
            raise ValueError(f"stage {self.name!r} has steps 0..{self.steps}, not {step}")
        rows, ends = 0, [segment.first_step for segment in self.batch[1:]] + [self.steps]
        for segment, end in zip(self.batch, ends, strict=True):
            rows += segment.rows * max(0, min(step, end) - segment.first_step)
        return rows

    def batch_rows(self, step: int) -> int:
        """Rows in the global batch of step `step`."""
        return self.rows_before(step + 1) - self.rows_before(step)

    @property
    def rows(self) -> int:
        return self.rows_before(self.steps)

    @property
    def tokens(self) -> int:
        """Positions in the stage's rows, padding included."""
        return self.rows * self.seq_len


@dataclasses.dataclass(frozen=True)
class Plan:
    name: str
    version: str
    seed: int
    manifest: str  # fingerprint of the manifest
    lock: str  # sha256 of the lock it was made from
    tokenizer: dict[str, Any]  # path, sha256, vocab_size, eos_id
    model: dict[str, Any]  # the model shape, see curriculum.model_shape.ModelShape
    training: dict[str, Any]  # optimiser and schedules, see curriculum.manifest.Training
    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def locate(self, step: int) -> tuple[int, int]:
        """(stage index, step inside the stage) of global step `step`, counted from 0 over all stages."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index, step
            step -= stage.steps
        raise ValueError(f"the plan has {self.steps} steps (0..{self.steps - 1})")

    def tokens_before(self, stage: int, step: int) -> int:
        """Positions consumed before step `step` of stage `stage`, over the whole run."""
        return (
            sum(s.tokens for s in self.stages[:stage])
            + self.stages[stage].rows_before(step) * self.stages[stage].seq_len
        )

    def digest(self) -> str:
        """Hex sha256 of the plan: what a checkpoint remembers."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        data = json.loads(text)
        if data.pop("format") != FORMAT:
            raise ValueError(
                f"plan.json has another format than {FORMAT}: build it again with this version of tokenloom"
            )
        stages = tuple(_stage(stage) for stage in data.pop("stages"))
        return cls(stages=stages, **data)


def _stage(data: dict[str, Any]) -> Stage:
    sources = tuple(
        Source(**{**source, "shards": tuple(Shard(**shard) for shard in source["shards"])})
        for source in data["sources"]
    )
    batch = tuple(BatchSegment(**segment) for segment in data["batch"])
    return Stage(**{**data, "sources": sources, "batch": batch})


def shard_files(shard: Shard) -> tuple[PurePosixPath, PurePosixPath]:
    """The two files of a shard, relative to the folder of plan.json."""
    return PurePosixPath(shard.path + ".tokens.arrow"), PurePosixPath(shard.path + ".docs.arrow")
