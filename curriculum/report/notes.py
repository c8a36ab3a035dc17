"""What a reader of the report should not overlook. Every rule is one function; a good build has no notes."""

from collections.abc import Iterator
from dataclasses import dataclass

from curation.quality.effective import MANY_EPOCHS
from curriculum.plan import Plan
from curriculum.report.data import Lock
from curriculum.report.formatting import compact, exact, percent, short, times
from curriculum.report.metrics import Run
from curriculum.report.mixture import Repeats
from curriculum.report.recall import recall

MOST_DROPPED = 0.9
# A generator proposes far more than its caps let through; little of a crawl is about one subject.
PICKY = ("generate", "filter.recalled")
MUCH_PADDING = 0.1
MUCH_WAITING = 0.05


@dataclass(frozen=True)
class Note:
    where: str
    text: str


def notes(lock: Lock | None, plan: Plan | None, run: Run | None, repeats: list[Repeats]) -> list[Note]:
    """All notes, in the order of the page."""
    found: list[Note] = []
    if lock:
        found += [*_corpora(lock), *_packing(lock)]
    if plan:
        found += _unfinished(lock, plan) if plan.is_live else _stale_plan(lock, plan)
    found += _epochs(repeats)
    if run:
        found += _training(run)
    return found


def _corpora(lock: Lock) -> Iterator[Note]:
    for corpus in lock.corpora:
        if corpus.documents == 0:
            yield Note(corpus.name, "no document of this corpus was kept.")
            continue
        for step in corpus.steps:
            if step.step in PICKY:
                continue
            reference = step.about.get("reference", {})
            if reference.get("unreadable"):
                text = f"{step.step} knows nothing of {reference['unreadable']} unreadable documents of {reference['corpus']}."
                yield Note(corpus.name, text)
            if step.documents_in and step.dropped > MOST_DROPPED * step.documents_in:
                share, reason = percent(step.dropped / step.documents_in), step.worst_first[0][0]
                yield Note(corpus.name, f"{step.step} drops {share} of its documents, mostly for {reason}.")
        rounds = recall(corpus.steps)
        if rounds and rounds.goes_on:
            last = rounds.rounds[-1]
            text = f"its last round of recall, {last.number}, still found {percent(last.share)} of all: another one would find more."
            yield Note(corpus.name, text)


def _packing(lock: Lock) -> Iterator[Note]:
    for shards in lock.shards:
        room = shards.rows * shards.seq_len
        if room and shards.padding > MUCH_PADDING * room:
            share = percent(shards.padding / room)
            text = f"{share} of its {compact(shards.seq_len)}-token rows is padding ({shards.packing})."
            yield Note(shards.source, text)


def _unfinished(lock: Lock | None, plan: Plan) -> Iterator[Note]:
    waiting = " and ".join(stage.name for stage in plan.stages if stage.is_open)
    text = f"{waiting} still being built" if waiting else "all stages are laid out, shards are still being written"
    yield Note("build", f"still running: {text}{'; lock.json is of an earlier build' if lock else ''}.")


def _stale_plan(lock: Lock | None, plan: Plan) -> Iterator[Note]:
    if lock and plan.lock != lock.sha256:
        text = f"made from lock {short(plan.lock)}, but the lock here is {short(lock.sha256)}: run `tokenloom build` again."
        yield Note("plan.json", text)


def _epochs(repeats: list[Repeats]) -> Iterator[Note]:
    for row in repeats:
        if row.total == float("inf"):
            yield Note(row.source, "is in the plan, but no row of it has been built yet.")
        elif row.many:
            worth = f"its average token is then worth {percent(row.worth)} of a fresh one"
            yield Note(
                row.source, f"is seen {times(row.total)} times over the plan (limit {MANY_EPOCHS:.0f}); {worth}."
            )


def _training(run: Run) -> Iterator[Note]:
    if run.not_finite is not None:
        yield Note("training", f"the loss is not a number at step {exact(run.not_finite)}.")
    waited = sum(stage.seconds["wait"] for stage in run.stages.values())
    total = sum(stage.seconds["step"] for stage in run.stages.values())
    if total and waited > MUCH_WAITING * total:
        building = sum(stage.seconds["build"] for stage in run.stages.values())
        why = ", mostly because the build was still running" if building > waited / 2 else ""
        yield Note("training", f"{percent(waited / total)} of the time was spent waiting for data{why}.")
