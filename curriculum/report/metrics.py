"""metrics.jsonl in one pass and bounded memory: totals per stage, and at most about 500 bins for the charts.

A run of 300 k steps is some hundreds of MB; it is read as a stream (about 10 k steps with 50 sources per second and core), and
neighbouring bins are merged whenever there are too many, never across a stage border. Up to `MAX_BINS` steps a bin is one step, so a
small run is shown exactly. A torn last line (the trainer is writing) is left out.
"""

import copy
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from curriculum.report.data import ReportError
from datapipe import store

MAX_BINS = 512
COUNTERS = ("sums", "finite", "source_loss", "learned", "seconds")
MEANS = ("loss", "mtp_loss", "lr")


@dataclass
class Bin:
    """Consecutive steps of one stage. Means are over steps; the loss of a source is over its learned tokens."""

    stage: str
    first_step: int
    last_step: int
    tokens: int  # positions consumed by the whole run after the last step
    steps: int
    rows: int
    positions: int
    sums: Counter[str]
    finite: Counter[str]  # steps in which the value was a number
    source_loss: Counter[str]  # loss * learned tokens
    learned: Counter[str]  # learned tokens by source
    max_violation: float  # the highest
    seconds: Counter[str]

    def mean(self, name: str) -> float | None:
        return self.sums[name] / self.finite[name] if self.finite[name] else None

    def loss_of(self, source: str) -> float | None:
        tokens = self.learned[source]
        return self.source_loss[source] / tokens if tokens and source in self.source_loss else None

    def take(self, other: "Bin") -> None:
        """Append the steps of `other`, which come right after."""
        self.last_step, self.tokens = other.last_step, other.tokens
        self.steps += other.steps
        self.rows += other.rows
        self.positions += other.positions
        self.max_violation = max(self.max_violation, other.max_violation)
        for name in COUNTERS:
            mine = getattr(self, name)
            for key, value in getattr(other, name).items():
                mine[key] += value


@dataclass
class Run:
    """A training run, step by step or in bins of up to `stride` steps."""

    bins: list[Bin] = field(default_factory=list)
    steps: int = 0
    first_loss: float = math.nan
    last_loss: float = math.nan
    not_finite: int | None = None  # the first step whose loss was not a number
    stride: int = 1  # steps in a full bin

    @property
    def tokens(self) -> int:
        """Positions consumed so far."""
        return self.bins[-1].tokens

    @cached_property
    def stages(self) -> dict[str, Bin]:
        """All that was done in every stage, in the order they ran. Ask for it when all steps are added."""
        stages: dict[str, Bin] = {}
        for bin in self.bins:
            if bin.stage in stages:
                stages[bin.stage].take(bin)
            else:
                stages[bin.stage] = copy.deepcopy(bin)
        return stages

    @property
    def sources(self) -> list[str]:
        return sorted({name for stage in self.stages.values() for name, count in stage.learned.items() if count})

    def add(self, line: dict[str, Any]) -> None:
        """Count one step."""
        if line["loss_by_source"]:  # something was learned
            loss = line["loss"] if _is_number(line["loss"]) else math.nan
            self.first_loss = loss if math.isnan(self.first_loss) else self.first_loss
            self.last_loss = loss
            if self.not_finite is None and math.isnan(loss):
                self.not_finite = line["step"]
        self.steps += 1
        self._bin(_bin(line))

    def _bin(self, step: Bin) -> None:
        last = self.bins[-1] if self.bins else None
        if last and last.stage == step.stage and last.steps < self.stride:
            last.take(step)
        else:
            self.bins.append(step)
        if len(self.bins) > MAX_BINS:
            self.stride *= 2
            self.bins = list(_halve(self.bins))


def read_run(root: str) -> Run | None:
    """The run logged at `root`, or None while there is none. Raises ReportError for a line that is not JSON."""
    path = store.join(root, "metrics.jsonl")
    if not store.exists(path):
        return None
    run = Run()
    with store.open_input(path) as file:
        for line in _lines(file, path):
            run.add(line)
    return run if run.steps else None


def _lines(file: Iterable[bytes], path: str) -> Iterator[dict[str, Any]]:
    for number, raw in enumerate(file, start=1):
        if not raw.endswith(b"\n"):
            return
        try:
            yield json.loads(raw)
        except json.JSONDecodeError as error:
            raise ReportError(
                f"{path}:{number}: not JSON ({error.msg}): delete the line, or resume the training"
            ) from error


def _bin(line: dict[str, Any]) -> Bin:
    values = {name: line[name] for name in MEANS if _is_number(line[name])}
    learned = Counter(line["tokens_by_source"])
    losses = ((name, loss) for name, loss in line["loss_by_source"].items() if _is_number(loss))
    return Bin(
        stage=line["stage"],
        first_step=line["step"],
        last_step=line["step"],
        tokens=line["tokens"],
        steps=1,
        rows=line["rows"],
        positions=line["rows"] * line["seq_len"],
        sums=Counter(values),
        finite=Counter(dict.fromkeys(values, 1)),
        source_loss=Counter({name: loss * learned[name] for name, loss in losses}),
        learned=learned,
        max_violation=_violation(line),
        seconds=Counter(line["seconds"]),
    )


def _violation(line: dict[str, Any]) -> float:
    """Expert load of a step; 0 where it is not a number (the loss then is not either, and is noted)."""
    return line["max_violation"] if _is_number(line["max_violation"]) else 0.0


def _is_number(value: float | None) -> bool:
    """A line has null for what is not finite, and for a loss that the model does not have; older ones have NaN."""
    return value is not None and math.isfinite(value)


def _halve(bins: Iterable[Bin]) -> Iterator[Bin]:
    """Merge neighbours of one stage two by two."""
    waiting: Bin | None = None
    for current in bins:
        if waiting is None:
            waiting = current
        elif waiting.stage == current.stage:
            waiting.take(current)
            yield waiting
            waiting = None
        else:
            yield waiting
            waiting = current
    if waiting is not None:
        yield waiting
