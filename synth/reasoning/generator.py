"""The generator of reasoning rows: code that is run, calculations, tables, and questions that pages answer themselves.

Of source files in Python it takes functions and the calls of them (`code`), of all other documents what `pages` finds in them. The kinds
take turns, so many of each as `turns` says.

Every row has kind `reasoning`: question, thoughts, answer. Its `task` proves it again without this package:

    code_result   {source, call, value}          run `source`, evaluate `call`; its repr is `value`, which reads back as a literal
    code_input    {source, name, call, value}    the same; any other call of `name` with literals that gives `value` is right too
    calculation   {family, given, answer, compare, steps: [[left, right, by], ...], values}
                  `given` by family as `synth.reasoning.proof` lists it; every step's left equals its right at `values` (names that
                  have none there: everywhere), or has it as its derivative by `by`
    table         {table, start, query, answer, compare, units}    the text of the table, where it stands in the parent, the query in the
                  form of `synth.reasoning.queries`, and the columns that are numbers with their unit ("" for none; thousands may have
                  commas); lines of a cell are joined by a blank; with {second, second_start} the query is one of
                  `synth.reasoning.joined_tables`
    session       {source, call, value, span, answer_span}   an interactive session at `span` (start, length) of the parent, shown as it
                  stands: `source` runs before its last line, which is `call` (spaced as Python unparses it); its repr reads as the literal
                  `value`, which stands at `answer_span`
    question      {how, question, question_span, answer, answer_span}   spans (start, length) in the parent's text, shown folded

and, besides, `measured` (what the program tells of how hard it is: lines executed, steps, rows) and, with a teacher, `pass_rate` and
`difficulty` (`synth.reasoning.difficulty`). Verdicts: `executed_twice` (code, sessions), `varied` (code), `as_printed`, `worked`
(sessions), `proven`, `steps_hold` (calculations), `recomputed` (tables), `self_contained`, `readable`, `whole` (questions), `solved`
(with a teacher).

With a teacher the thoughts and the answer are the model's: of `samples` solutions the shortest right one. A problem that none solves is
rejected (`synth.solved`); ask for more samples to find the hard ones among those.

Cost, one core: 13 MB of code, 4 MB of pages and 11 MB of books are read in 30 CPU seconds, 300 functions and 250 sessions are run and 1,200
rows made of them in 60. The sandbox needs Linux with user namespaces. Not covered: languages of code but Python, tables over several pages,
proofs.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import xxhash

from synth.generators import Generator
from synth.reasoning import code, pages, sessions, solutions
from synth.reasoning.problem import Posed, Problem, posed, table
from synth.rows import Made, documents
from synth.teacher import Crew

KINDS = ("code", "calculation", "table", "session", "question")
TURNS = {"code": 4, "calculation": 4, "table": 4, "session": 1, "question": 1}
BATCH = 64  # problems that a model is asked together


def emit(
    docs: pa.Table,
    *,
    seed: int = 0,
    turns: Mapping[str, int] = TURNS,
    calculations_per_document: int = 1,
    questions_per_table: int = 8,
    max_scan_chars: int = 1_000_000,
) -> pa.Table:
    """Candidates of one partition. Of every document the first `max_scan_chars` characters are read."""
    rows: list[dict[str, Any]] = []
    columns = ("id", "text", "origin", "kind", "lang", "license", "meta")
    for source in docs.select(columns).to_pylist():
        whole = source["text"] or ""
        source["sha"] = xxhash.xxh3_128_hexdigest(whole.encode("utf-8", "surrogatepass"))
        source["text"] = whole[:max_scan_chars]
        if source["kind"] in ("code", "repo") and source["origin"].endswith(".py"):
            rows += code.emit(source, seed) if turns.get("code") else ()
        else:
            rows += pages.emit(source, seed, turns, questions_per_table)
        if turns.get("calculation"):
            rows += pages.calculations(source, seed, calculations_per_document)
    return table(rows)


def reduce(
    rows: pa.Table,
    *,
    seed: int = 0,
    turns: Mapping[str, int] = TURNS,
    accept: int = 0,
    samples: int = 8,
    more_samples: int = 0,
    max_tokens: int = 4_096,
    temperature: float = 1.0,
    teacher: Crew | None = None,
) -> pa.Table:
    """The rows of a receiver: `accept` that are good (0: all), and those that were rejected on the way."""
    made = Made("reasoning", seed)
    waiting = _in_turns(_by_kind(rows.to_pylist(), seed), turns)
    sampling = solutions.Sampling(samples, more_samples, max_tokens, temperature)
    found: list[dict[str, Any]] = []
    accepted = 0
    while batch := list(itertools.islice(waiting, min(BATCH, accept - accepted) if accept else BATCH)):
        finished = _finished(batch, made, teacher, sampling)
        found += finished
        accepted += sum(row["drop_reason"] is None for row in finished)
    return documents(found)


def check(
    *,
    turns: Mapping[str, int] = TURNS,
    accept: int = 0,
    samples: int = 8,
    more_samples: int = 0,
    calculations_per_document: int = 1,
    questions_per_table: int = 8,
) -> None:
    """ValueError for kinds that there are not, and for counts that cannot be meant."""
    unknown = sorted(set(turns) - set(KINDS))
    if unknown:
        raise ValueError(f"turns: there is no kind {unknown[0]!r}; kinds are {', '.join(KINDS)}")
    if any(not isinstance(count, int) or count < 0 for count in turns.values()) or not any(turns.values()):
        raise ValueError(f"turns: {dict(turns)} gives no kind a turn; type whole numbers, at least one of them above 0")
    for name, value, least in (
        ("accept", accept, 0),
        ("samples", samples, 1),
        ("more_samples", more_samples, 0),
        ("calculations_per_document", calculations_per_document, 0),
        ("questions_per_table", questions_per_table, 0),
    ):
        if value < least:
            raise ValueError(f"{name}: {value} is below {least}; type {least} or more")


def _by_kind(rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Iterator[Posed]]:
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    run = {"code": code.problems(of["code"], seed), "session": sessions.problems(of["session"], seed)}
    return {kind: run[kind] if kind in run else iter(posed(of[kind])) for kind in KINDS}


def _in_turns(kinds: Mapping[str, Iterator[Posed]], turns: Mapping[str, int]) -> Iterator[Posed]:
    """So many of each kind as its turn has, again and again, until none has any left."""
    left = {kind: waiting for kind, waiting in kinds.items() if turns.get(kind)}
    while left:
        for kind in list(left):
            taken = list(itertools.islice(left[kind], turns[kind]))
            yield from taken
            if len(taken) < turns[kind]:
                del left[kind]


def _finished(
    batch: Sequence[Posed], made: Made, teacher: Crew | None, sampling: solutions.Sampling
) -> list[dict[str, Any]]:
    """Rows of problems, in some order. A model is asked about what can be judged, and about questions without an answer."""
    if teacher is None:
        return [posed.row(made) for posed in batch]
    rows = [posed.row(made) for posed in batch if not _can_be_asked(posed.problem)]
    asked = [posed for posed in batch if _can_be_asked(posed.problem)]
    return [*rows, *solutions.rows(teacher, asked, made, sampling)]


def _can_be_asked(problem: Problem) -> bool:
    failed = [name for name, verdict in problem.verdicts.items() if not verdict["passed"]]
    return failed == ["answered"] or (not failed and bool(problem.compare))


REASONING = Generator(emit, reduce, check)
