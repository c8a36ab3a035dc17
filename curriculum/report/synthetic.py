"""What the page shows of synthetic corpora: who made them, what failed which verdict first, and how alike the rows are.

Counts of accepted and rejected rows are those of all rows. What only rows say (version, author, teacher, trajectories, variety) is measured
on a sample: the first rows of each part, at most `SAMPLE_ROWS` and `SAMPLE_CHARS` of them all together. Parts are sorted by id, which is a
hash of the origin with a fixed seed, so these are a draw and the same each time. Distinct 4-grams fall with the number of rows: only
samples of one size compare. Costs 1.7 s of CPU for the eleven of the quickstart.
"""

import glob
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from curriculum.curate import folder
from curriculum.report.corpora import Share
from curriculum.report.data import Corpus, Lock
from curriculum.report.formatting import shown
from datapipe import store
from synth.render import RenderError, Turn, parse
from synth.variety import asked, variety, written

MADE = "generate"  # the first step of a corpus that a generator made
SAMPLE_ROWS, SAMPLE_CHARS = 400, 4_000_000
MEASURED_CHARS = 4_000  # of a row: variety is measured on its beginning
BATCH_ROWS = 50
OF_SOURCES = "authors of its sources"
TOP_LICENSES = 8


@dataclass(frozen=True)
class Sample:
    """Some rows of a corpus: shares are of these. Variety is that of words that a generator or a teacher wrote."""

    rows: int
    makers: tuple[str, ...]  # generators with their versions
    authors: tuple[Share, ...]
    teachers: tuple[Share, ...]
    trajectories: int  # rows in which the assistant calls tools
    distinct_4: float | None  # of what the assistant writes, or of the text where it is no conversation
    top_10: float | None  # share of the rows whose questions, or texts, have one of the ten commonest forms


@dataclass(frozen=True)
class Synthetic:
    """A corpus that a generator made. `sample` is None where no row of it is at hand, as when a lock came without its parts."""

    corpus: Corpus
    candidates: int
    accepted: int
    failed: tuple[Share, ...]  # by the verdict that failed first; the share is of the candidates
    licenses: tuple[Share, ...]  # the commonest
    sample: Sample | None


def read_synthetic(root: str, lock: Lock) -> list[Synthetic]:
    """The synthetic corpora of a lock, in its order. Raises StoreError for a part that cannot be read."""
    return [_synthetic(root, corpus) for corpus in lock.corpora if corpus.steps and corpus.steps[0].step == MADE]


def _synthetic(root: str, corpus: Corpus) -> Synthetic:
    made = corpus.steps[0]
    failed = [(name.removeprefix("synth."), count) for name, count in made.worst_first]
    licenses = Counter(corpus.licenses).most_common(TOP_LICENSES)
    candidates = made.documents_out + made.dropped
    rows = list(_sampled(root, corpus))
    return Synthetic(
        corpus,
        candidates,
        made.documents_out,
        _shares(failed, candidates),
        _shares(licenses, corpus.documents),
        _measured(rows) if rows else None,
    )


def _sampled(root: str, corpus: Corpus) -> Iterator[Mapping[str, Any]]:
    """Rows from every part alike, up to the limits."""
    last = corpus.steps[-1]
    place = folder(root, corpus.name, last.step, last.key)
    parts = store.glob(store.join(glob.escape(place), "part-*[0-9].parquet"))[:SAMPLE_ROWS]
    for part in parts:
        left_rows, left_chars = -(-SAMPLE_ROWS // len(parts)), SAMPLE_CHARS // len(parts)
        with store.open_input(part.path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(min(BATCH_ROWS, left_rows), columns=["text", "meta"]):
                rows = batch.slice(0, left_rows).to_pylist()
                yield from rows
                left_rows -= len(rows)
                left_chars -= sum(len(row["text"]) for row in rows)
                if left_rows <= 0 or left_chars <= 0:
                    break


def _measured(rows: list[Mapping[str, Any]]) -> Sample:
    authors: Counter[str] = Counter()
    teachers: Counter[str] = Counter()
    makers: Counter[str] = Counter()
    questions, words, trajectories = [], [], 0
    for row in rows:
        meta = json.loads(row["meta"] or "{}")
        makers.update([f"{meta['generator']} {meta['version']}"] if "generator" in meta else [])
        authors[meta.get("author") or OF_SOURCES] += 1
        teachers.update([str(meta["teacher"].get("model"))] if meta.get("teacher") else [])
        turns = _turns(row["text"], meta)
        trajectories += any(turn.calls for turn in turns)
        if meta.get("author"):
            questions.append((asked(turns) if turns else row["text"])[:MEASURED_CHARS])
            words.append((written(turns) if turns else row["text"])[:MEASURED_CHARS])
    return Sample(
        len(rows),
        tuple(shown(name) for name, _ in makers.most_common()),
        _shares(authors.most_common(), len(rows)),
        _shares(teachers.most_common(), len(rows)),
        trajectories,
        variety(words)["distinct_4"] if words else None,
        variety(questions)["top_10"] if questions else None,
    )


def _turns(text: str, meta: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns of a conversation; none where a later step has made another text of it."""
    if "template" not in meta:
        return ()
    try:
        return parse(text, template=meta["template"])
    except RenderError:
        return ()


def _shares(counts: Iterable[tuple[str, int]], whole: int) -> tuple[Share, ...]:
    return tuple(Share(shown(name), count, count / whole if whole else 0.0) for name, count in counts)
