"""The rounds of recall of a corpus, one row each: what the classifiers learned from, what came of it, and why there was no other round.

The yield of a round is what its limit is about (`curation.recall.rounds`): its share of all pages recalled so far. The report of a build
that an older version made has dashes where that did not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curriculum.report.data import StepCount
from curriculum.report.formatting import percent, shown

ROUND = "recall.round"


@dataclass(frozen=True)
class RecallRound:
    number: int
    positives: tuple[int, ...]  # that each classifier learned from; none where the round did nothing
    aucs: tuple[float, ...]  # of held-out pages, of each classifier
    seen: int  # pages
    cut: float | None  # the least score that is recalled
    by_rank: int  # new pages
    by_folder: int
    new_sites: int | None
    new_folders: int | None
    such_as: tuple[str, ...]  # of the new folders
    chars: int | None  # of new pages
    growth: float | None  # of the characters, over those recalled before
    recalled: int  # pages so far
    share: float | None  # of the pages recalled so far, those of this round
    outcome: str

    @property
    def ran(self) -> bool:
        return bool(self.positives)

    @property
    def new(self) -> int:
        return self.by_rank + self.by_folder


@dataclass(frozen=True)
class Recall:
    """The rounds of one corpus. `goes_on`: the last one yielded enough for another."""

    seed: str  # the corpus
    seed_documents: int
    rounds: tuple[RecallRound, ...]
    goes_on: bool


def recall(steps: Sequence[StepCount]) -> Recall | None:
    """The rounds among the steps of a corpus; None where there are none."""
    found = [step for step in steps if step.step == ROUND]
    if not found:
        return None
    reference = found[0].about.get("reference", {})
    rounds = tuple(_round(step, following) for step, following in zip(found, [*found[1:], None], strict=True))
    limit, share = found[-1].about.get("min_yield"), rounds[-1].share
    goes_on = limit is not None and share is not None and share >= limit
    return Recall(reference.get("corpus", ""), reference.get("documents", 0), rounds, goes_on)


def _round(step: StepCount, following: StepCount | None) -> RecallRound:
    about = step.about
    halves: Sequence[dict[str, Any]] = about.get("halves", ())
    held_out = [half["held_out"] for half in halves]
    by_rank, by_folder = about.get("by_rank", 0), about.get("by_folder", 0)
    before = sum(about.get("recalled_before", {}).values())
    recalled = before + by_rank + by_folder
    share = (recalled - before) / recalled if recalled and halves else None
    chars, chars_before = about.get("chars"), about.get("chars_before")
    return RecallRound(
        number=about["round"],
        positives=tuple(half["examples"]["positives"] for half in halves),
        aucs=tuple(each["auc"] for each in held_out if isinstance(each, dict)),
        seen=step.documents_in,
        cut=about.get("cut"),
        by_rank=by_rank,
        by_folder=by_folder,
        new_sites=about.get("new_sites"),
        new_folders=about.get("new_folders"),
        such_as=tuple(map(shown, about.get("such_as", ()))),
        chars=chars,
        growth=chars / chars_before if chars is not None and chars_before else None,
        recalled=recalled,
        share=share,
        outcome=_outcome(about, share, following),
    )


def _outcome(about: Mapping[str, Any], share: float | None, following: StepCount | None) -> str:
    """What came after the round, and why."""
    if "ended" in about:
        return str(about["ended"])
    if following is not None and "ended" not in following.about:
        return "next round"
    limit = about.get("min_yield") if following is None else following.about.get("min_yield")
    if limit is None or share is None:
        return "stop" if following else "last round"
    if share < limit:
        return f"{'stop' if following else 'last round'}: below {percent(limit)}"
    return "stop: nothing is left" if following else f"last round: not below {percent(limit)}"
