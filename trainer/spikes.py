"""Steps that went wrong: a loss or a gradient norm far above those of the last steps, or one that is no number.

A spike is more than `deviations` standard deviations above the mean of the last `window` steps, once half of them are
known; its numbers, 128 and 6, are those of OLMo-core's SkipStepOptimizer. Spikes enter the mean too, so that losses which
have risen for good are the new measure after a while. A stage begins to count anew, because its data is other data.
What is not finite is a spike always, and enters nothing; of the loss of tokens further ahead (`mtp_loss`) only that is judged.

The policy says what follows: `warn` goes on, `skip` leaves the weights as they were before the step, `stop` ends the run.
`skip` ends it too after MAX_SKIPPED in a row, which are no longer an accident of their data. A step that is not finite is
never learned: `warn` stops for it.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

QUANTITIES = ("loss", "grad_norm")
MAX_SKIPPED = 8  # steps in a row
NOT_FINITE = "is not finite"


class SpikeWatch:
    """Judges the steps of one stage in order; equal on all ranks, because what it sees is."""

    def __init__(self, settings: Mapping[str, Any], recent: Iterable[Mapping[str, Any]] = ()) -> None:
        """settings: policy, window, deviations; recent: the lines of metrics of the stage so far, or `deciding` of them."""
        self.policy: str = settings["policy"]
        self._deviations: float = settings["deviations"]
        self._window: int = settings["window"]
        self._last = {name: deque[float](maxlen=self._window) for name in QUANTITIES}
        self._skipped = 0  # in a row, the last ones
        for line in filter(_is_learned, recent):
            # The verdict says which step was not finite: a line has null there, and for an mtp_loss that the model has not.
            finite = NOT_FINITE not in (line["spike"] or "")
            self.count(line["loss"] if finite else math.nan, line["grad_norm"], skipped=line["skipped"])

    def judge(self, loss: float, grad_norm: float, mtp_loss: float | None = None) -> str | None:
        """What is wrong with a step, in words; None where nothing is. `mtp_loss` is None without tokens further ahead."""
        values = {"loss": loss, "grad_norm": grad_norm}
        all_values = values if mtp_loss is None else {"loss": loss, "mtp_loss": mtp_loss, "grad_norm": grad_norm}
        odd = [f"{name} {value:g} {NOT_FINITE}" for name, value in all_values.items() if not math.isfinite(value)]
        odd += [reason for name, value in values.items() if not odd and (reason := self._above(name, value))]
        return ", ".join(odd) or None

    def ends(self, loss: float, grad_norm: float, mtp_loss: float | None = None) -> bool:
        """Whether such a step, judged a spike, ends the run."""
        if self.policy == "skip":
            return self._skipped + 1 >= MAX_SKIPPED
        return self.policy == "stop" or not _are_finite(loss, grad_norm, mtp_loss)

    def remedy(self, lr: float) -> str:
        """What to do where a spike ends the run; `lr` is the rate of its step."""
        lower = f"Lower training.lr.peak (the rate here is {lr:.3g})"
        if self.policy == "skip":
            return f"{MAX_SKIPPED} steps in a row were skipped. {lower}, or look at their documents"
        return f"{lower} or write `spikes: {{policy: skip}}`"

    def count(self, loss: float, grad_norm: float, mtp_loss: float | None = None, *, skipped: bool) -> None:
        """Know a step that did not end the run."""
        self._skipped = self._skipped + 1 if skipped else 0
        if _are_finite(loss, grad_norm, mtp_loss):
            self._last["loss"].append(loss)
            self._last["grad_norm"].append(grad_norm)

    def _above(self, name: str, value: float) -> str | None:
        last = self._last[name]
        if len(last) < max(2, self._window // 2):
            return None
        mean = sum(last) / len(last)
        deviation = math.sqrt(sum((known - mean) ** 2 for known in last) / (len(last) - 1))
        if value <= mean + self._deviations * deviation:
            return None
        far = f"{(value - mean) / deviation:.1f} standard deviations" if deviation else "any deviation"
        return f"{name} {value:g} is {far} above the mean of the last {len(last)} steps, {mean:g}"


def deciding(lines: Iterable[Mapping[str, Any]], window: int) -> list[dict[str, Any]]:
    """Of the lines of a stage what a SpikeWatch with such a window needs to go on: the end of them, however long the stage is."""
    # What is not finite is skipped, and so few in a row are, that the window is full of others.
    last = deque(filter(_is_learned, lines), maxlen=window * MAX_SKIPPED)
    return [{name: line[name] for name in (*QUANTITIES, "loss_by_source", "spike", "skipped")} for line in last]


def _is_learned(line: Mapping[str, Any]) -> bool:
    """Whether anything was learned in a step; else it has no loss, and counts for nothing."""
    return bool(line["loss_by_source"])


def _are_finite(*values: float | None) -> bool:
    return all(value is None or math.isfinite(value) for value in values)
