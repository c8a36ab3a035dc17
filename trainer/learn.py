"""The run itself: step after step, with what belongs to them: lines of metrics, validation, checkpoints, and a good end.

    rows ──> Trainer.step ──> a line ──> metrics.jsonl, TensorBoard, whoever watches
                                └── at every `validation_steps`, at the end of a stage: the loss of held-out rows

SIGTERM is obeyed after the step under way: the ranks agree on the step, save, and end. A step that went wrong leaves the
documents it learned from in spikes/step-00000012.json.
"""

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from curriculum.feed import Batch, Feed, Site
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan
from trainer.checkpoint import Checkpoints
from trainer.layout import Layout
from trainer.loop import Diverged, Trainer
from trainer.metrics import Board, MetricsLog
from trainer.schedule import StepSettings, changes, settings
from trainer.speed import peak_flops, speed

log = logging.getLogger(__name__)

SPIKES = "spikes"
SHOWN_DOCUMENTS = 3  # in a message; the file has all
# In which another SIGTERM is the same one: Slurm tells torchrun and its processes, and torchrun tells them too.
GRACE_SECONDS = 5.0

OnStep = Callable[[dict[str, Any]], None]


class Terminated(Exception):
    """SIGTERM came; what can be saved is."""


class _Interrupted(Exception):
    """SIGTERM came while there was nothing to do but wait."""


class Run:
    """One process of a training run over the plan of `feed`."""

    def __init__(self, root: Path, feed: Feed, trainer: Trainer, checkpoints: Checkpoints, on_step: OnStep) -> None:
        self.root, self.feed, self.trainer, self.checkpoints, self._on_step = root, feed, trainer, checkpoints, on_step
        self.layout: Layout = trainer.layout
        self._shape = ModelShape(**trainer.plan.model)
        self._peak_flops = peak_flops(self.layout.device)
        self._share = {
            "rank": self.layout.data_rank,
            "world": self.layout.data,
            "mtp_depths": trainer.plan.model["mtp_layers"],
        }
        self._held_out: dict[int, Batch] = {}
        self._waits = False  # for the next batch

    def learn(self, steps: range, *, save: bool = True) -> dict[str, Any] | None:
        """Learn these global steps; returns the last line of metrics. Raises Terminated, Diverged, CheckpointError.

        `save` False writes no checkpoint.
        """
        line: dict[str, Any] | None = None
        stream = self.feed.stream(steps.start, **self._share)
        with (
            contextlib.closing(stream) as batches,
            _written(self.root, steps.start, self.layout) as files,
            _sigterm(self._interrupt) as came,
        ):
            self._remember(steps, files)
            for step in steps:
                started = time.perf_counter()
                batch = self._next(batches, step, save)
                plan = self.feed.plan  # a running build extends it, and has closed this step's stage by now
                now = settings(plan, step)
                told = changes(plan, step)
                if self.layout.rank == 0:
                    _tell(plan, now, told)
                line = self._step(plan, now, batch, told, started)
                stops = bool(self.layout.max(float(bool(came)))) and step + 1 < steps.stop
                if files:
                    for file in files:
                        file.append(line)
                    self._on_step(line)
                if save and (stops or _checkpoint_is_due(plan, now, steps.stop)):
                    if files:
                        files[0].flush_to_disk()
                    self.checkpoints.save(self.feed, step + 1, self.trainer.model, self.trainer.optimizers)
                else:
                    self.checkpoints.poll()
                if stops:
                    self.checkpoints.finish()
                    raise Terminated(f"stopped by SIGTERM after step {step}; the same command continues behind it")
            self.checkpoints.finish()
        return line

    def _next(self, batches: Iterator[tuple[int, int, Batch]], step: int, save: bool) -> Batch:
        """The batch of a step. SIGTERM is obeyed while a running build keeps it waiting: nothing of the step has begun."""
        try:
            self._waits = True
            _, _, batch = next(batches)
            self._waits = False
        except _Interrupted as error:
            alone = self.layout.world == 1  # others may be at another point, waiting for this rank
            if alone and save:
                self.checkpoints.save(self.feed, step, self.trainer.model, self.trainer.optimizers)
                self.checkpoints.finish()
            behind = "continues" if alone else "continues behind the last checkpoint"
            raise Terminated(f"stopped by SIGTERM while waiting for step {step}; the same command {behind}") from error
        return batch

    def _interrupt(self) -> None:
        """Called when SIGTERM comes."""
        if self._waits and self.feed.plan.is_live:
            self._waits = False
            raise _Interrupted

    def _step(self, plan: Plan, now: StepSettings, batch: Batch, told: Sequence[str], started: float) -> dict[str, Any]:
        stage = plan.stages[now.stage]
        try:
            line = self.trainer.step(now, stage, batch)
        except Diverged as error:
            if self.layout.rank == 0:
                error.add_note(self._documents(plan, now, str(error)))
            raise
        if line["spike"] and self.layout.rank == 0:
            log.warning("step %d: %s%s", now.step, line["spike"], " (not learned)" if line["skipped"] else "")
            log.warning("%s", self._documents(plan, now, line["spike"]))
        line["changes"] = told
        learned = time.perf_counter()
        line["validation"] = self._validation(plan, now)
        validation_seconds = time.perf_counter() - learned
        line["seconds"] = {"step": learned - started, "validation": validation_seconds, **batch.seconds}
        line["speed"] = speed(line, self._shape, self.layout.world, self._peak_flops)
        return line

    def _validation(self, plan: Plan, now: StepSettings) -> dict[str, Any] | None:
        every, stage = plan.training["validation_steps"], plan.stages[now.stage]
        ends = now.stage_step + 1 == stage.steps
        if not every or not stage.validation_rows or not (ends or (now.step + 1) % every == 0):
            return None
        if now.stage not in self._held_out:
            with contextlib.closing(self.feed.beside()) as feed:
                self._held_out = {now.stage: feed.validation(now.stage, **self._share)}
        return self.trainer.evaluate(now, stage, self._held_out[now.stage])

    def _documents(self, plan: Plan, now: StepSettings, reason: str) -> str:
        """Write down what a step learned from; says where, and names the first documents."""
        with contextlib.closing(self.feed.beside()) as feed:
            rows = feed.lineage(now.stage, now.stage_step)
        path = self.root / SPIKES / f"step-{now.step:08d}.json"
        path.parent.mkdir(exist_ok=True)
        stage = plan.stages[now.stage].name
        path.write_text(json.dumps({"step": now.step, "stage": stage, "reason": reason, "rows": rows}, indent=1) + "\n")
        pieces = [piece for row in rows for piece in row["pieces"]]
        first = ", ".join(piece["origin"] or piece["doc"] for piece in pieces[:SHOWN_DOCUMENTS])
        return f"its {len(pieces)} documents are in {path}: {first}{', ..' * (len(pieces) > SHOWN_DOCUMENTS)}"

    def _remember(self, steps: range, files: "tuple[MetricsLog, Board] | None") -> None:
        """Let the trainer know the steps of this stage that were learned before: rank 0 has their lines."""
        if not steps:
            return
        plan = self.feed.plan
        stage, stage_step = plan.locate(steps.start)
        if not stage_step:
            return
        found = [files[0].recent(plan.stages[stage].name) if files else None]
        if self.layout.world > 1:
            dist.broadcast_object_list(found, device=self.layout.device)
        self.trainer.resume(stage, found[0] or ())


@contextlib.contextmanager
def _written(root: Path, first_step: int, layout: Layout) -> Iterator[tuple[MetricsLog, Board] | None]:
    """The files that lines go to, on rank 0; None on the others."""
    if layout.rank:
        yield None
        return
    with (
        contextlib.closing(MetricsLog(root, first_step)) as metrics,
        contextlib.closing(Board(root, first_step)) as board,
    ):
        yield metrics, board


@contextlib.contextmanager
def _sigterm(interrupt: Callable[[], None]) -> Iterator[list[float]]:
    """A list that is no longer empty once SIGTERM has come, when `interrupt` is called; a second one, somewhat later, kills as usual."""
    came: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not came:
            came.append(now)
            interrupt()
        elif now - came[0] > GRACE_SECONDS:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    try:
        before = signal.signal(signal.SIGTERM, note)
    except ValueError:  # not in the main thread, which takes the signals
        yield came
        return
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _checkpoint_is_due(plan: Plan, now: StepSettings, end: int) -> bool:
    """Every `checkpoint_steps` of the run, at the end of a stage, and before stopping."""
    every, done = plan.training["checkpoint_steps"], now.step + 1
    return done % every == 0 or done == end or now.stage_step + 1 == plan.stages[now.stage].steps


def _tell(plan: Plan, now: StepSettings, told: Sequence[str]) -> None:
    if now.step == 0:
        log.info("stage %r begins: %s", plan.stages[0].name, _in_words(now._asdict()))
    for change in told:
        log.info("step %d: %s", now.step, change)


def _in_words(values: Mapping[str, Any]) -> str:
    named = ("rows", "seq_len", "rope_base", "bias_rate", "mtp_weight")
    return ", ".join(f"{name} {values[name]:g}" for name in named)


def trainer_options(site: Site, device: torch.device) -> dict[str, Any]:
    """What a site file says of the computation, as arguments of `Trainer`."""
    half = site.precision == "bf16" or (site.precision == "auto" and device.type == "cuda")
    return {
        "micro_tokens": site.micro_tokens,
        "dtype": torch.bfloat16 if half else torch.float32,
        "recompute": site.recompute == "full",
    }
