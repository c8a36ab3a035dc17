"""What texts give: questions about their tables, formulas with numbers put in, questions that they answer; and calculations of our own.

Calculations that need no source (`numbers`, `algebra`) are made for a document's id, so that their number follows the corpus and no two
workers make the same; they have no parents.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from synth.draw import Stream
from synth.evidence import keyed
from synth.reasoning import algebra, joined_tables, numbers, page_questions, sessions, table_questions, tables
from synth.reasoning.calculation import Calculation, holds
from synth.reasoning.compare import is_right
from synth.reasoning.formulas import formulas, instance
from synth.reasoning.problem import Problem, candidate
from synth.reasoning.proof import proven
from synth.rows import Verdicts
from synth.wording import source_title

FAMILIES = {**numbers.FAMILIES, **algebra.FAMILIES}
INSTANCES = 2  # of one formula
_OPENINGS = ("", "", "Step by step:", "I work it out.", "One step after the other.", "Let me compute it.", "In order:")
_CLOSINGS = ("", "", "So the answer is {}.", "That is {}.", "Hence {}.", "This gives {}.")


def emit(source: Mapping[str, Any], seed: int, turns: Mapping[str, int], per_table: int) -> Iterator[dict[str, Any]]:
    """Candidates of a text; `turns` says which kinds are wanted."""
    text, id = source["text"], source["id"]
    title = source_title(source["origin"], source["kind"], text, source["meta"])
    if not title:
        return
    if turns.get("table"):
        on_page = list(tables.tables(text))
        for found in on_page:
            for asked in table_questions.questions(found, title, Stream(seed, id, found.start), limit=per_table):
                yield _sent(_of_table(found, asked, id), "table", source, seed)
        for joined in joined_tables.questions(on_page, title, Stream(seed, id, "joined"), limit=per_table):
            yield _sent(_of_table(joined.first, joined.asked, id, joined.second), "table", source, seed)
    if turns.get("calculation"):
        for formula in formulas(text):
            for number in range(INSTANCES):
                draw = Stream(seed, id, formula.start, number)
                if calculation := instance(formula, title, draw):
                    problem = _of_calculation(calculation, f"{id}:{formula.start}:{number}", draw)
                    yield _sent(problem, "calculation", source, seed)
    if turns.get("session"):
        yield from sessions.emit(source, title, seed)
    if turns.get("question"):
        for said, question, thoughts, verdicts in page_questions.questions(text, title, Stream(seed, id, "questions")):
            task = {"kind": "question", **said._asdict()}
            name = f"question:{id}:{said.question_span[0]}"
            yield _sent(Problem(name, question, said.answer, thoughts, "", task, verdicts), "question", source, seed)


def calculations(source: Mapping[str, Any], seed: int, count: int) -> Iterator[dict[str, Any]]:
    """`count` calculations in which nothing of the document is but its id."""
    names = sorted(FAMILIES)
    for number in range(count):
        draw = Stream(seed, source["id"], "calculation", number)
        family = draw.pick(names)
        problem = _of_calculation(FAMILIES[family](draw), f"{source['id']}:{number}", draw)
        yield _sent(problem, "calculation", source, seed)


def _of_calculation(made: Calculation, name: str, draw: Stream) -> Problem:
    held = [holds(step, made.values) for step in made.steps]
    task = {
        "kind": "calculation",
        "family": made.family,
        "given": made.given,
        "answer": made.answer,
        "compare": made.compare,
        "steps": [[step.left, step.right, step.by] for step in made.steps],
        "values": made.values,
        "measured": {"steps": len(made.steps)},
    }
    verdicts: Verdicts = {
        "proven": {"passed": proven(made.family, made.given, made.answer, made.compare)},
        "steps_hold": {"passed": all(held), "steps": len(held), "held": sum(held)},
    }
    opening, closing = draw.pick(_OPENINGS), draw.pick(_CLOSINGS).format(made.answer)
    thoughts = "\n".join(filter(None, [opening, *map(str, made.steps), closing]))
    of_page = made.family == "formula"
    return Problem(f"calculation:{name}", made.question, made.answer, thoughts, made.compare, task, verdicts, of_page)


def _of_table(
    found: tables.Table, asked: table_questions.Asked, id: str, second: tables.Table | None = None
) -> Problem:
    other = {"second": second.text, "second_start": second.start} if second else {}
    task = {
        "kind": "table",
        "table": found.text,
        "start": found.start,
        "query": asked.query,
        "units": {column.name: column.unit for column in found.columns if column.numbers is not None},
        "answer": asked.answer,
        "compare": asked.compare,
        "measured": {"rows": asked.num_rows, "conditions": len(asked.query["where"])},
        **other,
    }
    agrees = asked.again is not None and is_right(asked.compare, asked.answer, asked.again)
    verdicts: Verdicts = {"recomputed": {"passed": agrees, "again": asked.again}}
    name = f"table:{id}:{found.start}:{second.start if second else ''}:{keyed(0, str(asked.query)):016x}"
    return Problem(name, asked.question, asked.answer, asked.thoughts, asked.compare, task, verdicts)


def _sent(problem: Problem, kind: str, source: Mapping[str, Any], seed: int) -> dict[str, Any]:
    order = keyed(seed, source["id"], problem.name)
    return candidate("problem", kind, problem.content, order, source, problem._asdict())
