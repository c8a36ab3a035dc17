"""metrics.jsonl: one line per global step, written when the step is done.

A run that was stopped anywhere and resumed leaves the file an undisturbed run leaves, but for `seconds`: lines past the
checkpoint are cut, a line that a killed process left half-written with them.
"""

import json
import os
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"


class MetricsError(ValueError):
    """The file does not hold the steps that the checkpoint has learned; the message has the remedy."""


class MetricsLog:
    """Appends lines to `root`/metrics.jsonl."""

    def __init__(self, root: Path, first_step: int) -> None:
        """Keeps the lines of the steps before `first_step`; raises MetricsError when one of them is missing."""
        self.path = root / FILE
        _cut(self.path, first_step)
        self._file = self.path.open("a", encoding="utf-8")

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
