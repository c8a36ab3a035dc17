"""One corpus as the page shows it: the funnel of its steps, languages, licences and lengths.

Tokens are counted once, at the end. Before that they are estimated with the characters per token that the corpus has then, which is rough
for raw pages (markup is not prose); the page marks them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curriculum.report.bars import Histogram, histogram
from curriculum.report.data import Corpus, StepCount
from curriculum.report.recall import ROUND, Recall, recall

TOP = 8  # languages or licences named; the rest is one line
FACTS = {
    "clusters": "clusters of documents that are alike",
    "pairs": "pairs compared",
    "pairs_alike": "of them alike",
    "buckets": "keys that several documents share",
    "oversized_buckets": "of them too large to compare each with each",
    "repeated_ids": "documents with the id of another one in their partition: is the source's id_key unique?",
}
FIM = {"psm": "rearranged, PSM", "spm": "rearranged, SPM", "too_long": "drawn, but longer than a row"}
NOT_TOLD = ("largest", "removed")  # told elsewhere
UNKNOWN = ("", "null", "None", "unknown")


@dataclass(frozen=True)
class FunnelRow:
    """The corpus after a step. `tokens` is an estimate; `share` is of the documents read, `kept` of those that entered the step."""

    step: StepCount
    share: float
    kept: float | None
    tokens: float | None


@dataclass(frozen=True)
class Share:
    name: str
    count: int
    share: float


@dataclass(frozen=True)
class PathRow:
    """One entry of the source's `paths`: documents read and kept, and the step that took the largest share of what came to it."""

    path: str
    read: int
    kept: int
    worst: str
    worst_share: float  # of the documents that entered that step


@dataclass(frozen=True)
class CorpusView:
    corpus: Corpus
    funnel: tuple[FunnelRow, ...]
    paths: tuple[PathRow, ...]  # those of which most was dropped first; none where the source has one entry
    recall: Recall | None
    languages: tuple[Share, ...]
    licenses: tuple[Share, ...]
    lengths: Histogram | None
    fim: tuple[Share, ...]  # documents by their form where some are rearranged for fill-in-the-middle
    facts: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]  # step, and what it found out by name

    @property
    def kept(self) -> float | None:
        """Share of the documents read that were tokenised."""
        read = self.corpus.documents_read
        return self.corpus.documents / read if read else None


def corpus_view(corpus: Corpus, seq_lens: Sequence[int]) -> CorpusView:
    """What the page shows of a corpus; `seq_lens` are marked in its length histogram."""
    lengths = (
        histogram(f"{corpus.name}: document lengths in tokens", corpus.edges_tokens, corpus.lengths, seq_lens)
        if any(corpus.lengths)
        else None
    )
    return CorpusView(
        corpus=corpus,
        funnel=tuple(_funnel_row(step, corpus) for step in corpus.steps),
        paths=_path_rows(corpus),
        recall=recall(corpus.steps),
        languages=_top(corpus.languages),
        licenses=_top(corpus.licenses),
        lengths=lengths,
        fim=_fim(corpus),
        facts=tuple(
            (step.step, facts) for step in corpus.steps if step.step != ROUND and (facts := _facts(step.about))
        ),
    )


def _facts(about: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Numbers and words that a step found out, those of a nested object under both names."""
    found: list[tuple[str, Any]] = []
    for name, value in about.items():
        label = FACTS.get(name, name.replace("_", " "))
        if isinstance(value, Mapping):
            found += [(f"{label}: {inner}", fact) for inner, fact in _facts(value)]
        elif name not in NOT_TOLD and isinstance(value, int | float | str):
            found.append((label, value))
    return tuple(found)


def _fim(corpus: Corpus) -> tuple[Share, ...]:
    """The forms that `curriculum.sharding` counts, and the documents that are left as they are."""
    if not corpus.fim or not corpus.documents:
        return ()
    counts = {FIM[form]: count for form, count in corpus.fim.items()}
    counts["as they are"] = corpus.documents - sum(counts.values())
    return tuple(Share(name, count, count / corpus.documents) for name, count in counts.items() if count)


def _path_rows(corpus: Corpus) -> tuple[PathRow, ...]:
    rows = []
    for path, (read, _) in corpus.steps[0].paths.items() if corpus.steps else ():
        shares = [
            (1 - out / entered if entered else 0.0, step.step)
            for step in corpus.steps
            for entered, out in [step.paths[path]]
        ]
        worst_share, worst = max(shares, key=lambda share: share[0])
        rows.append(PathRow(path, read, corpus.steps[-1].paths[path][1], worst, worst_share))
    return tuple(sorted(rows, key=lambda row: (row.kept / row.read if row.read else 1.0, row.path)))


def _funnel_row(step: StepCount, corpus: Corpus) -> FunnelRow:
    most = max((max(s.documents_in, s.documents_out) for s in corpus.steps), default=0)
    ratio = corpus.chars_per_token
    return FunnelRow(
        step=step,
        share=step.documents_out / most if most else 0.0,
        kept=1 - step.dropped / step.documents_in if step.documents_in else None,
        tokens=step.chars_out / ratio if ratio else None,
    )


def _top(counts: Mapping[str, int]) -> tuple[Share, ...]:
    """The most frequent names first; what has no name is called unknown, what is rare is summed up."""
    total = sum(counts.values())
    named: dict[str, int] = {}
    for name, count in counts.items():
        label = "unknown" if name in UNKNOWN else name
        named[label] = named.get(label, 0) + count
    ranked = sorted(((name, count) for name, count in named.items() if count), key=lambda item: (-item[1], item[0]))
    rest = ranked[TOP:]
    if len(rest) > 1:
        ranked = [*ranked[:TOP], (f"{len(rest)} others", sum(count for _, count in rest))]
    return tuple(Share(name, count, count / total) for name, count in ranked)
