"""One colour per corpus and one shade per bucket, the same through the whole page.

The colours themselves stand in style.css, for light and dark; they are distinguishable with protanopia and deuteranopia in this order.
A ninth corpus reuses the first colour: no chart relies on colour alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from curriculum.plan import Plan
from curriculum.report.data import Lock, bucket_order, corpus_names

TONES = 8
SHADES = 5


@dataclass(frozen=True)
class Palette:
    corpora: Sequence[str]
    sources: Sequence[str]  # "corpus/bucket", best bucket of a corpus first

    def corpus(self, name: str) -> str:
        """CSS class of a corpus."""
        return f"tone-{1 + self.corpora.index(name) % TONES}"

    def source(self, name: str) -> str:
        """CSS classes of a bucket."""
        corpus = name.partition("/")[0]
        shade = min(self.buckets(corpus).index(name), SHADES - 1)
        return f"{self.corpus(corpus)} shade-{shade}"

    def buckets(self, corpus: str) -> list[str]:
        return [name for name in self.sources if name.partition("/")[0] == corpus]


def palette(lock: Lock | None, plan: Plan | None, logged: Sequence[str]) -> Palette:
    """Colours for all sources of lock, plan and log, in this order."""
    names = [f"{corpus.name}/{bucket.name}" for corpus in (lock.corpora if lock else ()) for bucket in corpus.buckets]
    names += [source.name for stage in (plan.stages if plan else ()) for source in stage.sources]
    sources = bucket_order(lock, [*names, *logged])
    corpora = corpus_names(lock, plan) + [name.partition("/")[0] for name in sources]
    return Palette(list(dict.fromkeys(corpora)), sources)
