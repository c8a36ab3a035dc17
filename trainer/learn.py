"""The run itself: step after step, with what belongs to them: lines of metrics, validation, checkpoints, and a good end.

    rows ──> Trainer.step ──> a line ──> metrics.jsonl, TensorBoard, whoever watches
                                └── at every `validation_steps`, at the end of a stage: the loss of held-out rows

Before a step the ranks vote: each has its share of the batch, or was told to end (SIGTERM), or cannot go on (a shard that is damaged, a
build that does not deliver, a full disk). Unless all have a batch, all of them save at this very step, and end. A rank that waits for a
running build is interrupted; one that is in a step ends it first. Only a step after which no line could be written is not saved, and
of a validation that had to wait there is nothing in its line.

A step that went wrong leaves the documents it learned from in spikes/step-00000012.json.

Not covered: a SIGTERM that reaches one rank only, while others wait for a running build. It is obeyed when their batches have come.
"""

import contextlib
import itertools
import json
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from curriculum.feed import READ_ERRORS, Batch, Feed, Site
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan
from curriculum.plan_changes import PlanChanged
from trainer.checkpoint import CheckpointError, Checkpoints
from trainer.layout import Layout
from trainer.loop import Diverged, Trainer
from trainer.metrics import Board, MetricsError, MetricsLog, strict
from trainer.schedule import StepSettings, changes, settings
from trainer.speed import peak_flops, speed
from trainer.spikes import deciding
from trainer.together import agree, tell_all, together

log = logging.getLogger(__name__)

SPIKES = "spikes"
SHOWN_DOCUMENTS = 3  # in a message; the file has all
# In which another SIGTERM is the same one: Slurm tells torchrun and its processes, and torchrun tells them too.
GRACE_SECONDS = 5.0
# What a rank says before a step; the greatest holds for all.
GO_ON, END, END_UNSAVED = range(3)

Files = tuple[MetricsLog, Board]
OnStep = Callable[[dict[str, Any]], None]


class Terminated(Exception):
    """SIGTERM came; what can be saved is."""


class _Interrupted(Exception):
    """SIGTERM came while there was nothing to do but wait."""


class Run:
    """One process of a training run over the plan of `feed`."""

    def __init__(
        self,
        root: Path,
        feed: Feed,
        trainer: Trainer,
        checkpoints: Checkpoints,
        on_step: OnStep,
        *,
        grace_seconds: float = math.inf,
    ) -> None:
        """grace_seconds: from SIGTERM to the end of this process; a step that takes half of that is told of, once."""
        self.root, self.feed, self.trainer, self.checkpoints, self._on_step = root, feed, trainer, checkpoints, on_step
        self.layout: Layout = trainer.layout
        self._warn_above = grace_seconds / 2
        self._shape = ModelShape(**trainer.plan.model)
        self._peak_flops = peak_flops(self.layout.device)
        self._share = {
            "rank": self.layout.data_rank,
            "world": self.layout.data,
            "mtp_depths": trainer.plan.model["mtp_layers"],
        }
        self._held_out: dict[int, Batch] = {}
        self._waits = False  # for the next batch
        self._came: list[float] = []  # when SIGTERM did, if it did
        self._unwritten: Exception | None = None  # why the last line could not be written or handed on

    def learn(self, steps: range, *, save: bool = True) -> dict[str, Any] | None:
        """Learn these global steps; returns the last line of metrics.

        Raises Terminated, Diverged, CheckpointError, MetricsError, BrokenPipeError from `on_step`, and what the feed raises. Of several
        ranks one raises it, and the others Elsewhere (`trainer.together`). `save` False writes no checkpoint.
        """
        with together(self.layout, Terminated, Diverged, CheckpointError):  # which all ranks raise alike
            return self._learn(steps, save)

    def _learn(self, steps: range, save: bool) -> dict[str, Any] | None:
        line: dict[str, Any] | None = None
        stream = self.feed.stream(steps.start, **self._share)
        with (
            _sigterm(self._interrupt) as self._came,
            contextlib.closing(stream) as batches,
            _written(self.root, steps.start, self.layout) as files,
        ):
            self._remember(steps, files)
            for step in steps:
                started = time.perf_counter()
                batch = self._next(batches, files, range(steps.start, step), save)
                plan = self.feed.plan  # a running build extends it, and has closed this step's stage by now
                now = settings(plan, step)
                told = changes(plan, step)
                if self.layout.rank == 0:
                    _tell(plan, now, told)
                line = strict(self._step(plan, now, batch, told, started))
                self._write(files, line)
                if save and _checkpoint_is_due(plan, now, steps.stop):
                    self._save(files, step + 1)
                else:
                    self.checkpoints.poll()
            agree(self.layout, self._unwritten)
            self.checkpoints.finish()
        return line

    def _next(self, batches: Iterator[tuple[int, int, Batch]], files: Files | None, done: range, save: bool) -> Batch:
        """The batch of the step behind those that are `done`: the vote of the ranks. Unless all go on, what was learned is saved, and
        all of them raise."""
        batch, unread = self._wait(batches)
        vote = END_UNSAVED if self._unwritten else END if batch is None or self._came else GO_ON
        decided = int(self.layout.max(float(vote)))
        if batch is not None and decided == GO_ON:
            return batch
        if decided == END and save and done:  # where nothing is done, the run began with a checkpoint or with nothing
            self._save(files, done.stop)
        agree(self.layout, self._unwritten or unread)
        self.checkpoints.finish()
        raise Terminated(f"stopped by SIGTERM before step {done.stop}; the same command goes on with it")

    def _wait(self, batches: Iterator[tuple[int, int, Batch]]) -> tuple[Batch | None, Exception | None]:
        """(this rank's share of the next batch, why it cannot be had); neither where the rank was told to end, or must."""
        try:
            return (None if self._came or self._unwritten else self._waiting(lambda: next(batches)[2])), None
        except _Interrupted:
            return None, None
        except (PlanChanged, *READ_ERRORS) as error:
            return None, error

    def _waiting(self, read: Callable[[], Batch]) -> Batch:
        """`read()`, which a running build may keep waiting: _Interrupted when SIGTERM comes meanwhile, or has come."""
        try:
            self._waits = True
            if self._came:
                self._interrupt()
            return read()
        finally:
            self._waits = False

    def _write(self, files: Files | None, line: dict[str, Any]) -> None:
        """On rank 0: to the files, and to whoever watches. What goes wrong is kept for the vote, of which others wait by now."""
        try:
            for file in files or ():
                file.append(line)
            if files:
                self._on_step(line)
        except (MetricsError, BrokenPipeError) as error:
            self._unwritten = error

    def _save(self, files: Files | None, done: int) -> None:
        """Begin to write a checkpoint, unless lines of metrics are missing: then all ranks raise."""
        if files and not self._unwritten:
            try:
                files[0].flush_to_disk()
            except MetricsError as error:
                self._unwritten = error
        agree(self.layout, self._unwritten)
        self.checkpoints.save(self.feed, done, self.trainer.model, self.trainer.optimizers)

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
        self._check_grace(line)
        line["speed"] = speed(line, self._shape, self.layout.world, self._peak_flops)
        return line

    def _check_grace(self, line: Mapping[str, Any]) -> None:
        if line["seconds"]["step"] <= self._warn_above:
            return
        if self.layout.rank == 0:
            log.warning(
                "step %d took %.0f s: after SIGTERM a step and a checkpoint must end within grace_seconds = %.0f of [checkpoints] in the "
                "site file. Raise it, or a run that is told to end loses what it learned since the last checkpoint",
                *(line["step"], line["seconds"]["step"], 2 * self._warn_above),
            )
        self._warn_above = math.inf

    def _validation(self, plan: Plan, now: StepSettings) -> dict[str, Any] | None:
        every, stage = plan.training["validation_steps"], plan.stages[now.stage]
        ends = now.stage_step + 1 == stage.steps
        if not every or not stage.validation_rows or not (ends or (now.step + 1) % every == 0):
            return None
        if now.stage not in self._held_out:
            held_out = None
            with together(self.layout, *READ_ERRORS), contextlib.suppress(_Interrupted):
                held_out = self._waiting(lambda: self._read_held_out(now.stage))
            if self.layout.max(float(held_out is None)) or held_out is None:
                return None  # the run was told to end; the step is saved without it
            self._held_out = {now.stage: held_out}
        return self.trainer.evaluate(now, stage, self._held_out[now.stage])

    def _read_held_out(self, stage: int) -> Batch:
        with contextlib.closing(self.feed.beside()) as feed:
            return feed.validation(stage, **self._share)

    def _documents(self, plan: Plan, now: StepSettings, reason: str) -> str:
        """Write down what a step learned from; says where, and names the first documents. It is for people: where that is not
        possible, the run does not end for it."""
        try:
            with contextlib.closing(self.feed.beside()) as feed:
                rows = feed.lineage(now.stage, now.stage_step)
        except READ_ERRORS as error:
            return f"its documents cannot be looked up: {error}"
        pieces = [piece for row in rows for piece in row["pieces"]]
        named = ", ".join(piece["origin"] or piece["doc"] for piece in pieces[:SHOWN_DOCUMENTS])
        first = f"{named}{', ..' * (len(pieces) > SHOWN_DOCUMENTS)}"
        path = self.root / SPIKES / f"step-{now.step:08d}.json"
        stage = plan.stages[now.stage].name
        text = json.dumps({"step": now.step, "stage": stage, "reason": reason, "rows": rows}, indent=1) + "\n"
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()  # half of it
            return (
                f"its {len(pieces)} documents could not be written to {path} ({error}); `tokenloom inspect {self.root} --step "
                f"{now.step}` computes them. The first: {first}"
            )
        return f"its {len(pieces)} documents are in {path}: {first}"

    def _remember(self, steps: range, files: Files | None) -> None:
        """Let the trainer know the steps of this stage that were learned before: rank 0 has their lines."""
        if not steps:
            return
        plan = self.feed.plan
        stage, stage_step = plan.locate(steps.start)
        if not stage_step:
            return
        known: list[dict[str, Any]] = []
        if files:  # by step: a stage may have another name now
            lines = itertools.islice(files[0].lines(), plan.first_step(stage), None)
            known = deciding(lines, plan.training["spikes"]["window"])
        self.trainer.resume(stage, tell_all(self.layout, known))


@contextlib.contextmanager
def _written(root: Path, first_step: int, layout: Layout) -> Iterator[Files | None]:
    """The files that lines go to, on rank 0; None on the others."""
    files = None
    with contextlib.ExitStack() as opened:
        with together(layout, MetricsError):
            if layout.rank == 0:
                metrics = opened.enter_context(contextlib.closing(MetricsLog(root, first_step)))
                files = metrics, opened.enter_context(contextlib.closing(Board(root, first_step)))
        yield files


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
        "attention": site.attention,
        "compile": site.compile,
    }
