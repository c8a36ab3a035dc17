"""What a run says of itself: metrics.jsonl, one line per global step, written when the step is done; and TensorBoard.

A run that was stopped anywhere and resumed leaves the file an undisturbed run leaves, but for what the clock says
(`seconds` and `speed`): lines past the checkpoint are cut, a line that a killed process left half-written with them.
TensorBoard is told to forget steps past the checkpoint.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"
BOARD = "tensorboard"


class MetricsError(ValueError):
    """The file does not hold the steps that the checkpoint has learned; the message has the remedy."""


class MetricsLog:
    """Appends lines to `root`/metrics.jsonl."""

    def __init__(self, root: Path, first_step: int) -> None:
        """Keeps the lines of the steps before `first_step`; raises MetricsError when one of them is missing."""
        self.path = root / FILE
        _cut(self.path, first_step)
        self._file = self.path.open("a", encoding="utf-8")

    def recent(self, stage: str) -> list[dict[str, Any]]:
        """The lines at the end of the file that are of `stage`."""
        lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["stage"] == stage]

    def append(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def flush_to_disk(self) -> None:
        """A checkpoint must not outlive the lines before it, also when the machine loses power."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _cut(path: Path, first_step: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    kept = lines[:first_step]
    for step, line in enumerate(kept):
        if not line.endswith("\n") or json.loads(line)["step"] != step:
            kept = kept[:step]
            break
    if len(kept) < first_step:
        raise MetricsError(
            f"{path} has {len(kept)} whole lines from step 0 on, but the checkpoint was taken after step {first_step - 1}. "
            f"Put the file back, or remove {path.parent / 'checkpoints'} to start again."
        )
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    os.replace(temporary, path)


class Board:
    """Every number of every line as a curve of `root`/tensorboard, over steps."""

    def __init__(self, root: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(root / BOARD), purge_step=first_step)

    def append(self, line: Mapping[str, Any]) -> None:
        for name, value in curves(line):
            self._writer.add_scalar(name, value, line["step"])

    def close(self) -> None:
        self._writer.close()


def curves(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a line under names of their own: `loss_by_source/web`, and `loss_by_stage/general`."""
    for key, value in line.items():
        if isinstance(value, Mapping):
            yield from curves(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and key not in ("step", "stage_step"):
            yield prefix + key, float(value)
    if "stage" in line:
        yield f"loss_by_stage/{line['stage']}", line["loss"]
