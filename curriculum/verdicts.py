"""Steps that learn something small from a whole corpus (`curation.steps.CorpusStep`): from an exchange to a verdict.

    exchange ─reduce─> rows of every receiver ─merge─> verdict      with a reference: texts of another corpus
                              └─label─────────────┘                with labels: from a file, or of a model that is asked about the rows

With a single receiver and no labels all of it is one task. A step without an exchange has nothing but the merge.
"""

import json
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.steps import COUNTS, CorpusStep, StepError, load
from curriculum.identity import resolved
from curriculum.routing import Exchange
from curriculum.segment import Bound, bound
from curriculum.waves import Job, Phase
from datapipe import exchange, store
from datapipe.engine import Task

ANSWERS = "answers"  # folder of a build: what teachers said, by model; kept whatever is edited


class Verdict(NamedTuple):
    """A step's verdict, and what the report shows of it."""

    path: str
    about: dict[str, Any]


def settle(step: Bound, sent: Exchange | None, place: str, reference: list[str], root: str, data: str) -> Job:
    """The job from an exchange to a `Verdict`, in the folder `place`. `reference`: the parts of the corpus that the step refers to."""
    path = store.join(place, "verdict.arrow")
    common: dict[str, Any] = {"step": step, "reference": reference}
    is_labelled = _is_labelled(step)
    if sent and sent.num_receivers == 1 and not is_labelled:
        results = yield Phase(step.name, [Task(reduce_and_merge, path, {**common, "exchanged": sent.paths})])
        return Verdict(path, results[0]["about"])
    reduced = [store.join(place, f"reduced-{r:05d}.arrow") for r in range(sent.num_receivers if sent else 0)]
    if sent:
        tasks = [
            Task(reduce_slice, reduced[receiver], {"step": step, "exchanged": sent.paths, "receiver": receiver})
            for receiver in range(sent.num_receivers)
        ]
        yield Phase(step.name, tasks)
    labels, about = (yield from _labelled(step, reduced, place, root, data)) if is_labelled else (None, {})
    results = yield Phase(step.name, [Task(merge_slices, path, {**common, "reduced": reduced, "labels": labels})])
    return Verdict(path, {**about, **results[0]["about"]})


def labels_file(step: Bound, data: str) -> str | None:
    """The file of labels that a step names; None where it names none."""
    return resolved(step.params["labels"]["file"], data) if _is_labelled(step) and step.params.get("labels") else None


def _labelled(step: Bound, reduced: list[str], place: str, root: str, data: str) -> Job:
    """(the file of labels, what came of asking for them)."""
    if given := labels_file(step, data):
        return given, {}
    path = store.join(place, "labels.arrow")
    arguments = {"step": step, "sample": reduced, "cache": store.join(root, ANSWERS)}
    results = yield Phase("label", [Task(ask_teacher, path, arguments, (path,), waits=True)])
    return path, {"labelling": {name: count for name, count in results[0].items() if name != "asked"}}


def ask_teacher(*, output: str, step: Bound, sample: list[str], cache: str) -> dict[str, Any]:
    """Labels of a sample, from the model that the step names as its teacher."""
    from synth.labels import label_documents

    labelled: dict[str, Any] = bound(label_documents, step, output=output, sample=sample, cache=cache)()
    return labelled


def reduce_and_merge(*, output: str, step: Bound, exchanged: list[str], reference: list[str]) -> dict[str, Any]:
    """All in one task, for exchanges that one worker can hold."""
    reduced = bound(load(step.step).reduce, step)(exchange.read_slice(exchanged, 0))
    return _merge(output, step, [reduced], reference, None)


def reduce_slice(*, output: str, step: Bound, exchanged: list[str], receiver: int) -> dict[str, Any]:
    """One receiver of an exchange: all rows of its key range, reduced."""
    return {
        "rows": exchange.write_table(
            output, bound(load(step.step).reduce, step)(exchange.read_slice(exchanged, receiver))
        )
    }


def merge_slices(
    *, output: str, step: Bound, reduced: list[str], reference: list[str], labels: str | None
) -> dict[str, Any]:
    """The verdict over all receivers."""
    return _merge(output, step, [exchange.read_table(path) for path in reduced], reference, labels)


def _merge(
    output: str, step: Bound, reduced: list[pa.Table], reference: list[str], labels: str | None
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if reference:
        given["reference"] = _reference(reference, load(step.step).reference_documents)
    if labels:
        given["labels"] = bound(_labels, step)(labels)
    verdict = bound(load(step.step).merge, step, **given)(reduced)
    about = json.loads((verdict.schema.metadata or {}).get(COUNTS, b"{}"))
    return {"rows": exchange.write_table(output, verdict), "about": about}


def _is_labelled(step: Bound) -> bool:
    loaded = load(step.step)
    asks = step.params.get("labels") or step.params.get("teacher")
    return isinstance(loaded, CorpusStep) and loaded.is_labelled and bool(asks)


def _labels(path: str) -> pa.Table:
    from synth.labels import read_labels

    if not path.endswith(".arrow"):
        return read_labels(path)
    try:
        return exchange.read_table(path)
    except pa.ArrowInvalid as error:
        raise StepError(f"{path} is no Arrow file ({error}): name a file of JSON lines, or write it again") from error


def _reference(parts: list[str], most: int | None) -> pa.Table:
    """id, origin, lang and text of documents, in the order of ids; at most so many: those with the smallest ids, which are hashes."""
    tables = []
    for path in parts:
        with store.open_input(path) as source:
            tables.append(pq.read_table(source, columns=["id", "origin", "lang", "text"]))
    return pa.concat_tables(tables).sort_by([("id", "ascending"), ("origin", "ascending")]).slice(0, most)
