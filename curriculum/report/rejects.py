"""A sample of what was dropped, spread evenly over corpora, steps and reasons.

At most `MAX_REJECTS` texts of `TEXT_CHARS` characters: what keeps the page under 2 MB whatever the build. The text is anything the web
holds; it is cleaned of control and direction characters here and escaped by the template.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest

import pyarrow.parquet as pq

from curriculum.curate import folder
from curriculum.report.data import Lock
from curriculum.report.formatting import shown
from datapipe import store

MAX_REJECTS = 400
TEXT_CHARS = 700
LINE_CHARS = 120


@dataclass(frozen=True)
class Reject:
    corpus: str
    step: str
    reason: str
    origin: str
    text: str
    clipped: bool
    meta: str  # what the steps noted about it, such as the document that it is like

    @property
    def line(self) -> str:
        """The beginning of the text on one line, or the origin of a document without text."""
        return " ".join(self.text[: 4 * LINE_CHARS].split())[:LINE_CHARS] or self.origin


def read_rejects(root: str, lock: Lock) -> list[Reject]:
    """The sample of rejects of all steps, in the order of the pipeline."""
    groups: dict[tuple[str, str, str], list[Reject]] = defaultdict(list)
    for corpus in lock.corpora:
        for step in corpus.steps:
            path = store.join(folder(root, corpus.name, step.step, step.key), "rejects.parquet")
            for reject in _read(path, corpus.name) if step.dropped and store.exists(path) else ():
                groups[reject.corpus, reject.step, reject.reason].append(reject)
    turns = zip_longest(*groups.values())
    chosen = [reject for turn in turns for reject in turn if reject is not None][:MAX_REJECTS]
    order = {key: position for position, key in enumerate(groups)}
    return sorted(chosen, key=lambda reject: order[reject.corpus, reject.step, reject.reason])


def _read(path: str, corpus: str) -> list[Reject]:
    with store.open_input(path) as file:
        rows = pq.read_table(file, columns=["step", "reason", "origin", "text", "meta"]).to_pylist()
    return [
        Reject(
            corpus=corpus,
            step=row["step"],
            reason=row["reason"],
            origin=shown(row["origin"] or "")[:300],
            text=shown((row["text"] or "")[:TEXT_CHARS]),
            clipped=len(row["text"] or "") > TEXT_CHARS,
            meta=shown((row["meta"] or "{}")[:TEXT_CHARS]),
        )
        for row in rows
    ]
