"""Progress on stderr: one line per job of a build, one for a training run or a verification; plain lines where it is no terminal."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from curriculum.units import size

QUIET_SECONDS = 2.0  # without a terminal, at most one line in so many seconds


class _Shown:
    """A bar while a block lasts; where stderr is no terminal, a line now and then."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self.console, self._bar = console, bar
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _say(self, line: str) -> None:
        """Print the line where there is no bar, unless another one was printed just now."""
        if not self.console.is_terminal and time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            self.console.print(line, highlight=False)


class _Counted(MofNCompleteColumn):
    """Nothing where nobody knows how many there will be."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is not None else Text()


class BuildProgress(_Shown):
    """Shows what the jobs of a build are doing; pass `observe` to the build, and `tell` to its engine."""

    def __init__(self, console: Console) -> None:
        bar = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(24),
            _Counted(),
            TextColumn("{task.fields[phase]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        super().__init__(console, bar)
        self._tasks: dict[str, TaskID] = {}  # by job
        self._tellers: dict[str, TaskID] = {}

    def observe(self, job: str, phase: str, done: int, total: int) -> None:
        """A task of `job` ended, or its `phase` began; an empty phase ends the job."""
        if not self.console.is_terminal:
            if phase and done == total:
                self._say(f"{job}: {phase} {done}/{total}")
        elif not phase:
            if job in self._tasks:
                self._bar.update(self._tasks[job], visible=False)
        else:
            if job not in self._tasks:
                self._tasks[job] = self._bar.add_task(job, phase=phase)
            self._bar.update(self._tasks[job], completed=done, total=total, phase=phase)

    def tell(self, lines: list[str]) -> None:
        """What the teachers that tasks ask have answered and cost so far, each on a line that begins with its name."""
        for line in lines:
            name = line.rpartition(": ")[0]
            if not self.console.is_terminal:
                self._say(line)
                continue
            if name not in self._tellers:
                self._tellers[name] = self._bar.add_task("teacher", total=None, phase="")
            self._bar.update(self._tellers[name], phase=line)


class TrainProgress(_Shown):
    """Shows a training run; pass `on_step` to the trainer."""

    def __init__(self, console: Console, num_steps: int) -> None:
        bar = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        super().__init__(console, bar)
        self.num_steps, self._stage = num_steps, ""
        self._task = bar.add_task("train", total=num_steps, state="starting")

    def on_step(self, metrics: dict[str, Any]) -> None:
        """One step ended; `metrics` is its line of metrics.jsonl."""
        loss = "-" if metrics["loss"] is None else f"{metrics['loss']:.3f}"
        state = f"loss {loss}  lr {metrics['lr']:.2e}  {metrics['rows']} x {metrics['seq_len']}"
        if metrics["stage"] != self._stage:
            self._stage = metrics["stage"]
            self._tell(
                f"stage {self._stage}: rows of {metrics['seq_len']}, {metrics['rows']} per step, RoPE base {metrics['rope_base']:g}"
            )
        for change in metrics["changes"]:
            self._tell(f"  {change}")
        if metrics["spike"]:
            self._tell(f"step {metrics['step']}: {metrics['spike']}{' (not learned)' if metrics['skipped'] else ''}")
        if metrics["validation"] and metrics["validation"]["loss"] is not None:
            by_source = ", ".join(
                f"{name} {loss:.3f}"
                for name, loss in metrics["validation"]["loss_by_source"].items()
                if loss is not None  # not finite
            )
            self._tell(f"step {metrics['step']}: held-out loss {metrics['validation']['loss']:.3f} ({by_source})")
        self._bar.update(self._task, completed=metrics["step"] + 1, state=state, description=f"train {self._stage}")
        self._say(f"step {metrics['step'] + 1}/{self.num_steps}  {state}")

    def _tell(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


class VerifyProgress(_Shown):
    """A bar in bytes on stderr, plain lines when that is no terminal; pass `observe` to `verify`."""

    def __init__(self, console: Console) -> None:
        bar = Progress(
            TextColumn("verifying"),
            BarColumn(24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        super().__init__(console, bar)
        self._task = bar.add_task("", total=None)

    def observe(self, done: int, total: int) -> None:
        """So many bytes of all are hashed."""
        self._bar.update(self._task, completed=done, total=total)
        self._say(f"verified {size(done)} of {size(total)}")
