"""A problem: what is asked, the proven answer, the thoughts that lead there, and all that proves it again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from synth.render import Turn
from synth.rows import Made, Parent, Verdicts

CANDIDATES = pa.schema(
    [
        (
            "key",
            pa.uint64(),
        ),  # of what is asked, so that equal questions meet; of a function and the calls of it, its name
        ("part", pa.string()),  # problem, function, call, session
        ("kind", pa.string()),  # of the problem: code, calculation, table, session, question
        ("order", pa.string()),  # the draw: candidates of a kind are tried in this order
        ("id", pa.string()),  # of the document
        ("sha", pa.string()),
        ("license", pa.string()),
        ("origin", pa.string()),
        ("data", pa.large_string()),  # JSON: a `Problem`, or what `synth.reasoning.code` sends
    ]
)


class Problem(NamedTuple):
    """`compare`: how a given answer is judged, a name of `synth.reasoning.compare.WAYS`, `call` (it is run), or "" (it cannot be)."""

    name: str  # tells it from all others of its kind
    question: str
    answer: str  # "" where the source has none
    thoughts: str
    compare: str
    task: Mapping[str, Any]
    verdicts: Verdicts
    has_source: bool = True  # False: nothing of the document is in it

    @property
    def content(self) -> str:
        """What is asked in whatever words: equal for a page that two sites have."""
        parts = [self.task.get(name) for name in ("table", "second", "query")] if self.task["kind"] == "table" else []
        return json.dumps(parts or self.task.get("question") or self.question, sort_keys=True)

    @property
    def is_proven(self) -> bool:
        return all(verdict["passed"] for verdict in self.verdicts.values())


class Posed(NamedTuple):
    """A problem with the documents that it was made from."""

    problem: Problem
    parents: tuple[Parent, ...]

    def row(self, made: Made) -> dict[str, Any]:
        """The row with our own thoughts; a rejected one where a verdict did not pass."""
        problem = self.problem
        turns = [Turn("user", problem.question), Turn("assistant", f"Answer: {problem.answer}", think=problem.thoughts)]
        if not problem.is_proven:
            return self.rejected(made, problem.verdicts)
        return made.row(
            problem.name, turns, kind="reasoning", parents=self.parents, task=problem.task, verdicts=problem.verdicts
        )

    def rejected(self, made: Made, verdicts: Verdicts) -> dict[str, Any]:
        problem = self.problem
        text = f"{problem.question}\n\n{problem.answer}"
        return made.reject(
            problem.name, text, kind="reasoning", parents=self.parents, task=problem.task, verdicts=verdicts
        )


def candidate(
    part: str, kind: str, key: str, order: int, source: Mapping[str, Any], data: Mapping[str, Any]
) -> dict[str, Any]:
    """A row of `CANDIDATES`; `source` is a document as `sources` gives it."""
    return {
        "key": hashed(key),
        "part": part,
        "kind": kind,
        "order": f"{order:016x}",
        "id": source["id"],
        "sha": source["sha"],
        "license": source["license"],
        "origin": source["origin"],
        "data": json.dumps(data, ensure_ascii=False, sort_keys=True),
    }


def hashed(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def parent(row: Mapping[str, Any]) -> Parent:
    return Parent(row["id"], row["sha"], row["license"])


def posed(rows: Iterable[Mapping[str, Any]]) -> list[Posed]:
    """The problems among candidates, everything asked once, in the order of the draw."""
    ordered = sorted(rows, key=lambda row: (row["order"], row["id"], row["data"]))
    found: dict[str, Posed] = {}
    for row in ordered:
        problem = Problem(**json.loads(row["data"]))
        parents = (parent(row),) if problem.has_source else ()
        found.setdefault(problem.content, Posed(problem, parents))
    return list(found.values())


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=CANDIDATES)
