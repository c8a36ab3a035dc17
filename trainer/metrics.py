"""What a run says of itself: metrics.jsonl, one line per global step, written when the step is done; and TensorBoard.

A run that was stopped anywhere and resumed leaves the file an undisturbed run leaves, but for what the clock says
(`seconds` and `speed`): lines past the checkpoint are cut, a line that a killed process or a full disk left half-written with
them. TensorBoard is told to forget steps past the checkpoint.

The lines are strict JSON: a loss or a norm that is not finite is null, as one that the model does not have, or a step in which
nothing was learned; `spike` and `loss_by_source` tell them apart. A curve has no point there.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.durable import flush

FILE = "metrics.jsonl"
BOARD = "tensorboard"

log = logging.getLogger(__name__)


class MetricsError(ValueError):
    """The file does not hold the steps that the checkpoint has learned, or cannot be written; the message has the remedy."""


class MetricsLog:
    """Appends lines to `root`/metrics.jsonl."""

    def __init__(self, root: Path, first_step: int) -> None:
        """Keeps the lines of the steps before `first_step`; raises MetricsError when one of them is missing."""
        self.path = root / FILE
        try:
            _cut(self.path, first_step)
            # Unbuffered: what a full disk did not take is not tried again when the file is closed.
            self._file = self.path.open("ab", buffering=0)
            flush(root)
        except OSError as error:
            raise self._unwritable(error) from error

    def lines(self) -> Iterator[dict[str, Any]]:
        """All lines of the run so far, in order."""
        with self.path.open("rb") as file:
            yield from map(json.loads, file)

    def append(self, line: Mapping[str, Any]) -> None:
        """Write the line of the next step, which is `strict`. Raises MetricsError when the disk does not take it."""
        left = memoryview(json.dumps(line, allow_nan=False).encode() + b"\n")
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._unwritable(error) from error

    def flush_to_disk(self) -> None:
        """A checkpoint must not outlive the lines before it, also when the machine loses power."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        self._file.close()

    def _unwritable(self, error: OSError) -> MetricsError:
        return MetricsError(
            f"{self.path} cannot be written ({error}). Make room, or mend the storage; the same command continues after the "
            "newest checkpoint, and cuts a line that is half there."
        )


def _cut(path: Path, first_step: int) -> None:
    """End the file behind the line of the step before `first_step`."""
    if not first_step:
        path.write_bytes(b"")
        return
    whole = 0
    if path.exists():
        with path.open("r+b") as file:
            while whole < first_step and _is_whole(file.readline(), whole):
                whole += 1
            if whole == first_step:
                file.truncate(file.tell())
    if whole < first_step:
        raise MetricsError(
            f"{path} has {whole} whole lines from step 0 on, but the checkpoint was taken after step {first_step - 1}. "
            f"Put the file back, or remove {path.parent / 'checkpoints'} to start again."
        )


def _is_whole(line: bytes, step: int) -> bool:
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] == step
    except (ValueError, KeyError, TypeError):
        return False


def strict(value: Any) -> Any:
    """`value` as strict JSON has it: None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: strict(part) for key, part in value.items()}
    return [strict(part) for part in value] if isinstance(value, list | tuple) else value


class Board:
    """Every number of every line as a curve of `root`/tensorboard, over steps. It is for the eye: when it cannot be written
    (a full disk), that is a warning, and there are no curves from there on until the run is started again."""

    def __init__(self, root: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder, self._writer = root / BOARD, None
        self._writer = self._try(lambda: SummaryWriter(str(self._folder), purge_step=first_step))

    def append(self, line: Mapping[str, Any]) -> None:
        """Draw the points of a line that is `strict`."""
        if writer := self._writer:
            self._try(lambda: [writer.add_scalar(name, value, line["step"]) for name, value in curves(line)])

    def close(self) -> None:
        if self._writer:
            self._try(self._writer.close)

    def _try(self, write: Callable[[], Any]) -> Any:
        try:
            return write()
        except OSError as error:  # of the thread that writes, maybe some lines ago
            self._writer = None
            log.warning("%s cannot be written (%s): the run goes on without curves", self._folder, error)
            return None


def curves(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a line under names of their own: `loss_by_source/web`, and `loss_by_stage/general`."""
    for key, value in line.items():
        if isinstance(value, Mapping):
            yield from curves(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and key not in ("step", "stage_step"):
            yield prefix + key, float(value)
    if "stage" in line and line["loss"] is not None:
        yield f"loss_by_stage/{line['stage']}", line["loss"]
