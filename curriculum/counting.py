"""What the partitions of a corpus counted, added up: its steps, by entry of `paths` too, its rejects, its largest clusters, and limits.

A segment of a source that has several entries under `paths` counts each of them, for a step can take all of one and hardly anything of the
others: `max_dropped` holds for each that has `MIN_DOCUMENTS`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from curriculum.segment import BuildError
from curriculum.tally import CLUSTER_MEMBERS, KNOWN, REJECTS_PER_REASON, Smallest, largest_clusters, smallest_ids
from datapipe import store

LEAST_REJECTS = 5  # of a step and reason in every partition
MIN_DOCUMENTS = 100  # of an entry of `paths`; of fewer, all may be copies of others by chance
_FIELDS = ("documents_in", "documents_out", "chars_in", "chars_out")


def add(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counters, added up, in the order of names."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def step_counts(parts: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> dict[str, Any]:
    """One step over all partitions: documents and characters in and out, reasons, and `paths`, the same by entry where there are several.

    parts  what `run_segment` says of the step, per partition
    paths  the entry of each partition, empty for a corpus that is not read from files
    """
    counted = _added(parts)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for path, part in zip(paths, parts, strict=bool(paths)):
        groups.setdefault(path, []).append(part)
    if len(groups) > 1:
        counted["paths"] = {entry: _added(group) for entry, group in groups.items()}
    return counted


def stop_at_limit(step: Mapping[str, Any], max_dropped: float, place: str) -> None:
    """BuildError when a step dropped a larger share than it may of all documents, or of those of one entry of `paths`.

    What an index knows does not count, neither as dropped nor as entered: that may be all of a later crawl, and what is new in it
    must not be lost behind that. Of few new documents all may be copies of one, as of an entry of few.
    """
    groups = {"": step, **{f" of {entry}": counts for entry, counts in step.get("paths", {}).items()}}
    for where, counts in groups.items():
        known = sum(count for reason, count in counts["reasons"].items() if reason.endswith(KNOWN))
        entered, kept = counts["documents_in"] - known, counts["documents_out"]
        dropped = entered - kept
        if dropped <= max_dropped * entered or ((where or known) and entered < MIN_DOCUMENTS):
            continue
        of = f"documents{where}" + (" that no index knows" if known else "")
        largest = {} if where else {f"cluster {name}": size for name, size in step["about"].get("largest", [])}
        told = largest or counts["reasons"]
        most = ", ".join(f"{name} {count:,}" for name, count in sorted(told.items(), key=lambda item: -item[1])[:3])
        raise BuildError(
            f"corpus {step['corpus']}: {step['step']} dropped {dropped:,} of {entered:,} {of} "
            f"({100 * dropped / entered:.2f} %), and max_dropped allows {100 * max_dropped:g} % (most: {most}).\n"
            f"    Look at {place}/rejects.parquet. If they should go, write {_remedy(step['step'])}."
        )


def rejects(parts: Iterable[str]) -> list[dict[str, str]]:
    """The sample of rejects of all partitions, per step and reason: of what each kept, the rows with the smallest ids."""
    samples: dict[tuple[str, str], Smallest] = {}
    for path in parts:
        if store.exists(path + ".rejects.parquet"):
            with store.open_input(path + ".rejects.parquet") as source:
                for row in pq.read_table(source).to_pylist():
                    samples.setdefault((row["step"], row["reason"]), Smallest(REJECTS_PER_REASON)).add(row)
    return [row for key in sorted(samples) for row in samples[key].rows()]


def rejects_per_part(num_parts: int) -> int:
    """How many rejects of a step and reason a partition keeps: in all, twice what the corpus shows, where there are not thousands."""
    return min(REJECTS_PER_REASON, max(LEAST_REJECTS, -(-2 * REJECTS_PER_REASON // num_parts)))


def clusters(kept: Iterable[dict[str, Any]], lost: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest clusters by the documents that stayed, each with some `members` that did not."""
    members: dict[str, list[dict[str, Any]]] = {}
    for row in lost:
        members.setdefault(row["cluster"], []).append({name: row[name] for name in ("id", "origin", "text")})
    return [
        {**row, "members": smallest_ids(members.get(row["cluster"], []), CLUSTER_MEMBERS)}
        for row in largest_clusters(kept)
    ]


def nothing_left(corpus: str, steps: Sequence[Mapping[str, Any]], places: Sequence[str]) -> str:
    """The message of a corpus of which no document is left. `places`: the folder of each step."""
    trail = " -> ".join(f"{step['step']} {step['documents_out']}" for step in steps)
    last, place = next((step, place) for step, place in zip(steps, places, strict=True) if not step["documents_out"])
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(last["reasons"].items(), key=lambda item: -item[1])[:3])
    said = f"corpus {corpus}: no document is left ({trail}):"
    if not reasons:
        remedy = "The files that its `paths` name are empty" if last["step"] == "read" else "Give it more input"
        return f"{said} the source holds no document.\n    {remedy}."
    remedy = (
        "check its `reader` and their options" if last["step"] == "read" else "loosen the step, or give it more input"
    )
    return f"{said} `{last['step']}` dropped the rest ({reasons}).\n    Look at {place}/rejects.parquet; {remedy}."


def _added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counted: dict[str, Any] = {field: sum(part[field] for part in parts) for field in _FIELDS}
    return {**counted, "reasons": add(part["reasons"] for part in parts)}


def _remedy(step: str) -> str:
    return "`max_dropped: 1` into the source" if step == "read" else f"`{step}: {{max_dropped: 1}}`"
