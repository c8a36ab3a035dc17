"""A model's solutions: n of each problem, judged one by one, and how many are right.

Every solution is judged against the proven answer, by what the problem is: numbers and expressions are read and compared, calls are run in
the sandbox. Where the source gives no answer, the majority of the samples stands for one, and the row says so (`verified_by: majority`): it
is never called verified. A failed or cut answer (`finish_reason` length) is a sample that did not pass. Of the right ones the shortest
becomes the row; equal ones by their number. Samples beyond `samples` are asked for only where none of those passed (`more_samples`).
"""

import ast
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import xxhash

from synth.evidence import normalised
from synth.reasoning import run_functions
from synth.reasoning.compare import bare, is_right, read_literal, same_value, stated
from synth.reasoning.difficulty import MAJORITY, label, pass_rate
from synth.reasoning.problem import Posed
from synth.render import Turn
from synth.rows import Made
from synth.teacher import Answer, Crew, Request, Teacher

PROMPT = (
    "Solve the problem. Think step by step, then end with a line that begins with `Answer:` and gives the final answer alone: a number, an "
    "expression, a Python literal, a call, or a few words."
)
MIN_AGREED = 0.5  # of the whole answers, for a majority
VERIFIED_BY = {
    "number": "numeric",
    "roots": "numeric",
    "values": "numeric",
    "expression": "symbolic",
    "polynomial": "symbolic",
    "literal": "execution",
    "call": "tests",
    "text": "match",
}


class Sampling(NamedTuple):
    """How a model is asked."""

    samples: int = 8
    more_samples: int = 0
    max_tokens: int = 4_096
    temperature: float = 1.0


def rows(crew: Crew, batch: Sequence[Posed], made: Made, sampling: Sampling) -> Iterator[dict[str, Any]]:
    """A row of each problem: the model's solution, or a rejected one. Problems with an answer in prose are ours alone."""
    made = made._replace(
        author=crew.model,
        teacher={"model": crew.model, "prompt": xxhash.xxh3_64_hexdigest(PROMPT.encode())},
    )
    first = _asked(crew, batch, range(sampling.samples), sampling)
    judged = [_judged(posed, answers) for posed, answers in zip(batch, first, strict=True)]
    again = [place for place, (passed, _) in enumerate(judged) if not any(passed) and batch[place].problem.answer]
    if sampling.more_samples and again:
        numbers = range(sampling.samples, sampling.samples + sampling.more_samples)
        later = _asked(crew, [batch[place] for place in again], numbers, sampling)
        for place, answers in zip(again, later, strict=True):
            first[place] = [*first[place], *answers]
            judged[place] = _judged(batch[place], first[place])
    for posed, answers, (passed, answer) in zip(batch, first, judged, strict=True):
        yield _row(posed, answers, passed, answer, made)


def _asked(crew: Crew, batch: Sequence[Posed], numbers: range, sampling: Sampling) -> list[list[Answer]]:
    """The answers to every problem, in the order of their numbers."""

    def asking(posed: Posed, number: int) -> Callable[[Teacher], Awaitable[Answer]]:
        messages = ({"role": "system", "content": PROMPT}, {"role": "user", "content": posed.problem.question})
        request = Request(messages, sampling.max_tokens, temperature=sampling.temperature, sample=number)
        return lambda teacher: teacher.ask(request)

    answers = iter(crew.run(asking(posed, number) for posed in batch for number in numbers))
    return [[next(answers) for _ in numbers] for _ in batch]


def _judged(posed: Posed, answers: Sequence[Answer]) -> tuple[list[bool], str]:
    """Which answers pass, and the right answer: the proven one, or what most say ("" where no majority does)."""
    whole = [answer.failure is None and answer.finish_reason != "length" for answer in answers]
    said = [stated(answer.text) if is_whole else "" for answer, is_whole in zip(answers, whole, strict=True)]
    problem = posed.problem
    if problem.compare == "call":
        return _run(
            problem.task["source"], problem.task["name"], problem.answer, problem.task["value"], said
        ), problem.answer
    if problem.answer:
        return [bool(text) and is_right(problem.compare, problem.answer, text) for text in said], problem.answer
    votes = Counter(normalised(text) for text in said if text)
    most, count = min(votes.items(), key=lambda vote: (-vote[1], vote[0]), default=("", 0))
    if count <= MIN_AGREED * len(answers) or count < 2:
        return [False] * len(answers), ""
    agreed = [normalised(text) == most for text in said]
    return agreed, said[agreed.index(True)]


def _run(source: str, name: str, known: str, value: str, said: Sequence[str]) -> list[bool]:
    """Which calls give the value when they are run. Anything but a call of the function with literals is wrong."""
    calls = [text if (text := _call(answer, name)) else "" for answer in said]
    different = sorted({call for call in calls if call})
    outcomes = run_functions.run([run_functions.Job(source, tuple(different))])[0] if different else ()
    right = {
        call
        for call, outcome in zip(different, outcomes, strict=True)
        if not outcome.error and same_value(read_literal(outcome.value), read_literal(value))
    }
    return [call in right for call in calls]


def _call(answer: str, name: str) -> str | None:
    """A call of `name` with literal arguments, as Python writes it; None for anything else."""
    try:
        node = ast.parse(bare(answer)[:2_000].strip(), mode="eval").body
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name):
            return None
        for value in (*node.args, *(keyword.value for keyword in node.keywords)):
            ast.literal_eval(value)
        return ast.unparse(node)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _row(posed: Posed, answers: Sequence[Answer], passed: Sequence[bool], answer: str, made: Made) -> dict[str, Any]:
    problem = posed.problem
    verified_by = VERIFIED_BY[problem.compare] if problem.answer else MAJORITY
    rate = pass_rate(passed, verified_by)
    hardness = label(passed, verified=verified_by != MAJORITY)
    task = {**problem.task, "pass_rate": rate, "difficulty": hardness}
    solved = {"passed": any(passed), "n": rate["n"], "right": rate["passed"], "verified_by": verified_by}
    verdicts = {name: verdict for name, verdict in problem.verdicts.items() if verdict["passed"]} | {"solved": solved}
    labelled = posed._replace(problem=problem._replace(task=task))
    if not any(passed):
        return labelled.rejected(made, verdicts)
    best = min(
        (number for number, ok in enumerate(passed) if ok),
        key=lambda number: (answers[number].completion_tokens, number),
    )
    solution = answers[best]
    turns = [Turn("user", problem.question), Turn("assistant", solution.text.strip(), think=solution.reasoning.strip())]
    return made.row(
        problem.name,
        turns,
        kind="reasoning",
        parents=posed.parents,
        task={**task, "answer": answer, "sample": best},
        verdicts=verdicts,
    )
