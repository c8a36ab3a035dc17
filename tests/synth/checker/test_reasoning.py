"""Reasoning rows are proven again, and a row in which anything was changed is not."""

import pyarrow as pa
import pytest

from synth.checker import algebra
from synth.checker.row import Documents
from tests.synth.checker.proving import Stored, in_task, library, said, task_of, wrong
from tests.synth.checker.worlds import PROBLEMS

DOCUMENTS = library(PROBLEMS)


@pytest.fixture
def rows(reasoning_rows: list[Stored]) -> list[Stored]:
    return reasoning_rows


def of_kind(rows: list[Stored], **about: str) -> Stored:
    return next(row for row in rows if about.items() <= task_of(row).items())


def test_rows_as_they_were_made_agree(rows: list[Stored]) -> None:
    kinds = {task_of(row).get("family", task_of(row)["kind"]) for row in rows}
    assert {"code_result", "code_input", "table", "question", "value", "units", "remainder", "divisor", "series", "base",
            "equations", "roots", "derivative", "integral", "expansion", "formula"} <= kinds  # fmt: skip
    assert {row["origin"]: found for row in rows if (found := wrong(row, DOCUMENTS))} == {}


def test_another_answer_of_any_family_disagrees(rows: list[Stored]) -> None:
    other = {"roots": "x = 1009", "equations": "1009", "expansion": "1009", "derivative": "1009"}
    seen = set()
    for row in rows:
        task = task_of(row)
        if task["kind"] == "calculation" and task["family"] not in seen:
            seen.add(task["family"])
            wanted = other.get(task["family"], "1009/7" if task["family"] in ("value", "units", "formula") else "1009")
            changed = in_task(row, lambda task, wanted=wanted: task.update(answer=wanted))
            assert "is not the answer of" in wrong(changed, DOCUMENTS), task["family"]
            assert "the row answers" in wrong(changed, DOCUMENTS)
    assert len(seen) == 12


def test_a_wrong_step_disagrees(rows: list[Stored]) -> None:
    for family in ("value", "derivative", "equations", "integral"):
        row = of_kind(rows, family=family)
        left, right, by = task_of(row)["steps"][0]
        changed = in_task(row, lambda task: task["steps"].__setitem__(0, [left, f"{right} + 1", by]))  # noqa: B023
        assert "does not hold" in wrong(changed, DOCUMENTS), family
        assert "is not in the thoughts" in wrong(changed, DOCUMENTS), family


def test_a_question_that_asks_something_else_disagrees(rows: list[Stored]) -> None:
    for family, name, new in (
        ("remainder", "base", "61"),
        ("divisor", "numbers", ["12", "18"]),
        ("base", "digits", "101"),
        ("units", "amount", "1/1009"),
        ("series", "from", "1"),
        ("roots", "polynomial", "x^2 - 9"),
        ("integral", "to", "99"),
        ("value", "expression", "1009*7"),
        ("expansion", "expression", "(x + 1)*(x - 99)"),
    ):
        row = of_kind(rows, family=family)
        changed = in_task(row, lambda task: task["given"].__setitem__(name, new))  # noqa: B023
        assert "the question does not ask for" in wrong(changed, DOCUMENTS), family


def test_an_expansion_with_brackets_and_a_lost_root_disagree(rows: list[Stored]) -> None:
    row = of_kind(rows, family="expansion")
    given = task_of(row)["given"]["expression"]
    assert "is not the answer of" in wrong(in_task(row, lambda task: task.update(answer=given)), DOCUMENTS)
    row = next(row for row in rows if task_of(row).get("family") == "roots" and " or " in task_of(row)["answer"])
    first = task_of(row)["answer"].partition(" or ")[0]
    assert "is not the answer of" in wrong(in_task(row, lambda task: task.update(answer=first)), DOCUMENTS)


@pytest.mark.parametrize("kind", ["code_result", "code_input"])
def test_code_that_does_something_else_disagrees(rows: list[Stored], kind: str) -> None:
    row = of_kind(rows, kind=kind)
    assert "does not give" in wrong(in_task(row, lambda task: task.update(value="'SHOUT'")), DOCUMENTS)
    assert "does not show the code" in wrong(
        in_task(row, lambda task: task.update(source="x = 1\n" + task["source"])), DOCUMENTS
    )
    stranger = in_task(row, lambda task: task.update(source=task["source"].replace("upper", "lower")))
    assert "the parent has no line" in wrong(stranger, DOCUMENTS)
    assert "does not give" in wrong(stranger, DOCUMENTS)
    outside = in_task(row, lambda task: task.update(call="shout(open('/etc/passwd').read())"))
    assert "does not give" in wrong(outside, DOCUMENTS)
    names = "the call" if kind == "code_result" else "gives the call away"
    told = in_task(row, lambda task: task.update(call="shout('other')", value="'OTHER!'"))
    assert names in wrong(told, DOCUMENTS)


def test_a_table_that_says_something_else_disagrees(rows: list[Stored]) -> None:
    row = of_kind(rows, kind="table")
    assert "gives" in wrong(in_task(row, lambda task: task.update(answer="1009")), DOCUMENTS)
    assert "does not stand in the parent" in wrong(
        in_task(row, lambda task: task.update(start=task["start"] + 1)), DOCUMENTS
    )
    named = next(row for row in rows if task_of(row).get("query", {}).get("where"))
    changed = in_task(named, lambda task: task["query"]["where"][0].__setitem__(2, "1009"))
    assert "the question does not name" in wrong(changed, DOCUMENTS)


def test_a_span_that_was_moved_disagrees(rows: list[Stored]) -> None:
    row = of_kind(rows, kind="question")
    for name in ("question_span", "answer_span"):
        moved = in_task(row, lambda task: task[name].__setitem__(0, task[name][0] + 1))  # noqa: B023
        assert "is not what its span says" in wrong(moved, DOCUMENTS)
    assert "is not asked" in wrong(in_task(row, lambda task: task.update(question="Why so?")), DOCUMENTS)


def test_words_that_were_put_in_the_assistants_mouth_disagree(rows: list[Stored]) -> None:
    for about in ({"kind": "code_result"}, {"kind": "table"}, {"kind": "question"}, {"family": "base"}):
        row = of_kind(rows, **about)
        assert "the row answers" in wrong(said(row, "Answer: ", "Answer; "), DOCUMENTS), about


def test_a_models_answers_are_compared_with_what_is_proven(solved_rows: list[Stored]) -> None:
    assert len({task_of(row).get("compare") for row in solved_rows}) >= 6
    assert {row["origin"]: found for row in solved_rows if (found := wrong(row, DOCUMENTS))} == {}
    for row in solved_rows[:40]:
        if task_of(row)["kind"] in ("calculation", "table"):
            last = row["text"].rpartition("Answer: ")[2]
            assert "the row answers" in wrong(
                {**row, "text": row["text"].removesuffix(last) + ("1" if last.strip("1") else "8") * len(last)},
                DOCUMENTS,
            )


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (r"\frac{1}{2} x_{0}^{2}", "x_0^2/2"),
        (r"2 \left(a + b\right) c", "2*a*c + 2*b*c"),
        (r"\sqrt{9} t", "3*t"),
        ("-3^2", "-9"),
        (r"\sin\left(2 s\right)", "2*sin(s)*cos(s)"),
        ("(a + 1)^k", "(1 + a)^k"),
    ],
)
def test_expressions_are_read_in_both_forms(text: str, same: str) -> None:
    assert algebra.is_same(algebra.expression(text), algebra.expression(same))
    assert not algebra.is_same(algebra.expression(text), algebra.expression(f"{same} + 1/1000"))


@pytest.mark.parametrize("text", ["__import__('os')", "2^100000", "f(x", "a.b", "1/0", "x" * 700, "lambda: 1", "'a'*9"])
def test_what_is_no_expression_is_not_read(text: str) -> None:
    with pytest.raises(algebra.Unreadable):
        algebra.expression(text)


def test_documents_are_looked_up_and_not_believed(rows: list[Stored]) -> None:
    row = of_kind(rows, kind="table")
    nobody: Documents = library(pa.Table.from_pylist([], schema=PROBLEMS.schema))
    assert "is not among the documents" in wrong(row, nobody)
