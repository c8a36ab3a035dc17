"""From documents to judged questions, and from those to rows: what the generators share.

A generator emits candidate rows per partition and settles them per receiver (`synth.closed_world`). A candidate that fails a check is a row
with a `drop_reason`: counted, sampled, dropped. Rows of a document never depend on other documents, so partitions may be cut anywhere.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from datapipe.schema import DOCUMENT, DROP, LOSS_SPANS, LOSS_SPANS_TYPE, document_id
from synth.evidence import Fact, answer, normalised
from synth.facts import extract, select
from synth.render import DEFAULT, Turn, arranged
from synth.rows import Made, Parent, checked
from synth.verify import Candidate, verdicts
from synth.wording import ask, canonical, source_title, think, worked_steps

CANDIDATES = pa.schema(
    [
        *DOCUMENT,
        (DROP, pa.string()),
        (LOSS_SPANS, LOSS_SPANS_TYPE),
        ("key", pa.uint64()),  # hash of the question: equal questions meet in one receiver
        ("question", pa.large_string()),  # in its canonical phrasing, normalised: what the closed world compares
        ("answer", pa.large_string()),  # normalised
    ]
)


NOT_SELECTED = "synth.not_selected"


class Source(NamedTuple):
    """A document that facts are taken from."""

    id: str
    text: str
    origin: str
    kind: str
    title: str
    license: str | None
    raw: Mapping[str, Any] | None
    sha: str = ""  # xxh3-128 of all of its text

    @property
    def parents(self) -> list[list[str]]:
        return [[self.id, self.sha]]


class Question(NamedTuple):
    """A fact in words, with what the checks said of it."""

    fact: Fact
    question: str
    canonical: str  # the same whatever the phrasing
    answer: str
    thoughts: str
    reason: str | None  # why it is dropped; None = fit
    checks: tuple[str, ...]  # passed


def sources(docs: pa.Table, *, min_chars: int, max_scan_chars: int) -> Iterator[Source]:
    """The documents of at least `min_chars` characters, each with at most its first `max_scan_chars`."""
    columns = ("id", "text", "origin", "kind", "license", "raw", "meta")
    for row in docs.select(columns).to_pylist():
        if len(row["text"] or "") >= min_chars:
            whole, meta = row.pop("text"), row.pop("meta")
            text, sha = whole[:max_scan_chars], Parent.of(row["id"], whole, row["license"]).sha
            title = source_title(row["origin"], row["kind"], text, meta)
            yield Source(text=text, title=title, sha=sha, **row)


def questions(source: Source, *, seed: int) -> list[Question]:
    """Every fact of the document as a judged question, in text order.

    Inside the document a question that is asked twice with different answers is ambiguous whatever the rest of the corpus says.
    """
    asked = [_judged(source, fact, seed) for fact in extract(source.text, kind=source.kind, origin=source.origin)]
    answers: dict[str, set[str]] = {}
    for question in asked:
        answers.setdefault(question.canonical, set()).add(normalised(question.answer))
    return [q if q.reason or len(answers[q.canonical]) == 1 else q._replace(reason="synth.ambiguous") for q in asked]


def fit(asked: Iterable[Question], limit: int, *, seed: int, source: Source) -> list[Question]:
    """At most `limit` of the questions that passed every check, in text order."""
    by_fact = {question.fact: question for question in asked if question.reason is None}
    return [by_fact[fact] for fact in select(list(by_fact), limit, seed=seed, document=source.id)]


def left_out(
    made: Made, kind: str, source: Source, asked: Iterable[Question], chosen: Iterable[Question]
) -> Iterator[dict[str, Any]]:
    """A row for every question that is not `chosen`: it failed a check, or there were enough (`synth.not_selected`).

    The latter are still part of the closed world: a chosen question that they answer differently is ambiguous.
    """
    taken = {question.fact for question in chosen}
    for question in asked:
        if question.fact not in taken:
            yield dropped_row(made, kind, source, question, question.reason or NOT_SELECTED)


def kept_row(
    made: Made,
    kind: str,
    source: Source,
    start: int,
    asked: list[Question],
    turns: Sequence[Turn],
    *,
    direct: bool = False,
    **details: Any,
) -> dict[str, Any]:
    """A candidate that passed: one conversation about one or several questions; `start` makes its origin unique in the source."""
    rendered, round_trip = checked(arranged(turns), direct=direct)
    verdicts = {check: {"passed": True} for q in asked for check in (*q.checks, "unambiguous")}
    meta = {
        **made.provenance(source.parents, {**verdicts, "round_trip": round_trip}),
        "template": DEFAULT,
        "direct": direct,
        "source": source.id,
        "title": source.title,
        **details,
        "questions": [_record(q) for q in asked],
    }
    spans = [{"start": begin, "length": length} for begin, length in rendered.loss_spans]
    return {
        **_row(made.generator, kind, source, start, asked),
        "text": rendered.text,
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
        DROP: None if round_trip["passed"] else "synth.round_trip",
        LOSS_SPANS: spans,
    }


def dropped_row(made: Made, kind: str, source: Source, question: Question, reason: str) -> dict[str, Any]:
    """A candidate that failed; its text shows question and answer to whoever reads the rejects."""
    verdicts = {check: {"passed": True} for check in question.checks}
    if reason != NOT_SELECTED:
        verdicts[reason.removeprefix("synth.")] = {"passed": False}
    meta = {**made.provenance(source.parents, verdicts), "source": source.id}
    return {
        **_row(made.generator, kind, source, question.fact.start, [question]),
        "text": f"{question.question}\n\n{question.answer}",
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
        DROP: reason,
    }


def table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Candidate rows as a table with the columns of `CANDIDATES`."""
    return pa.Table.from_pylist(list(rows), schema=CANDIDATES)


def _judged(source: Source, fact: Fact, seed: int) -> Question:
    question, same = ask(fact, source.title, seed=seed, document=source.id), canonical(fact, source.title)
    said = answer(source.text, fact)
    reason, checks = verdicts(Candidate(source.text, fact, source.title, question, said))
    if reason:
        return Question(fact, question, same, said, "", reason, checks)
    thoughts = think(source.text, fact, source.title, seed=seed, document=source.id)
    return Question(fact, question, same, said, thoughts, None, checks)


def _row(generator: str, kind: str, source: Source, start: int, asked: list[Question]) -> dict[str, Any]:
    origin = f"synth/{generator}:{source.id}:{start}"
    question = "\n".join(q.canonical for q in asked)
    return {
        "id": document_id(origin),
        "origin": origin,
        "corpus": "synth",
        "kind": kind,
        "lang": "en",
        "license": source.license,
        "raw": source.raw,
        "key": xxhash.xxh3_64_intdigest(question.encode("utf-8", "surrogatepass")),
        "question": question,
        "answer": "\n".join(normalised(q.answer) for q in asked),
    }


def _record(q: Question) -> dict[str, Any]:
    """What is stored of a question: words, evidence as characters of the source, the checks it passed, and whether the answer was
    computed again."""
    return {
        **({"recomputed": True} if q.fact.kind == "example" and worked_steps(q.fact) is not None else {}),
        "question": q.question,
        "answer": q.answer,
        "fact": q.fact.kind,
        "start": q.fact.start,
        "length": q.fact.length,
        "evidence": [q.fact.evidence_start, q.fact.evidence_length],
        "checks": [*q.checks, "unambiguous"],
    }
