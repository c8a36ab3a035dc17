"""Software tasks are proven with another applier and plain pytest; a patch, a test or a view that was changed is found out."""

import itertools
import json
from typing import Any

import pyarrow as pa
import pytest

from synth.checker.software import Unfit, outcomes, patched
from synth.render import parse
from synth.software.patch import diff
from tests.synth.checker.proving import Stored, edited, in_task, library, said, task_of, wrong
from tests.synth.checker.worlds import FILES, PACKAGE
from tests.synth.software.test_sandbox import pytestmark as needs_sandbox

pytestmark = [needs_sandbox, pytest.mark.usefixtures("runs_are_remembered")]
DOCUMENTS = library(PACKAGE)


@pytest.fixture
def rows(software_rows: list[Stored]) -> list[Stored]:
    return software_rows


def of_how(rows: list[Stored], how: str) -> Stored:
    return next(row for row in rows if task_of(row)["how"] == how)


def test_rows_as_they_were_made_agree(rows: list[Stored]) -> None:
    assert len(rows) >= 2
    assert {row["origin"]: found for row in rows if (found := wrong(row, DOCUMENTS))} == {}


def test_every_part_of_a_task_counts(rows: list[Stored]) -> None:
    row = of_how(rows, "trajectory")
    task = task_of(row)

    def put(**values: Any) -> Stored:
        return in_task(row, lambda told: told.update(values))

    broken = {
        "does not fit": put(patch=task["bug_patch"]),
        "does not fail with the bug": put(FAIL_TO_PASS=task["FAIL_TO_PASS"] + task["PASS_TO_PASS"][:1]),
        "does not pass with the bug": put(PASS_TO_PASS=task["PASS_TO_PASS"] + task["FAIL_TO_PASS"][:1]),
        "does not pass with the patch": put(patch=""),
        "no test fails before": put(FAIL_TO_PASS=[]),
        "the buggy tree has another hash": put(base_commit="0" * 40),
        "another tree than the one": put(environment_setup_commit="0" * 40),
        "the edits are not the patch": put(answer_patch=""),
        "does not ask for the issue": put(problem_statement="Something is wrong."),
    }
    for expected, stored in broken.items():
        assert expected in wrong(stored, DOCUMENTS), expected


def test_what_the_tools_show_is_looked_up(rows: list[Stored]) -> None:
    forged: set[str] = set()
    for row in (row for row in rows if task_of(row)["how"] == "trajectory"):
        turns = parse(row["text"])
        for turn, after in itertools.pairwise(turns):
            name, shown = (turn.calls[0].name, after.responses[0]) if turn.calls else ("", "")
            line = shown.split("\n")[0] if name == "run_tests" else max(shown.split("\n"), key=len)
            if name and len(line) > 3 and name not in forged:
                changed = f"{line[:-2]}~~" if name != "run_tests" else f"9{line[1:]}"
                assert f"{name} shows" in wrong(said(row, line, changed), DOCUMENTS)
                forged.add(name)
    assert {"view", "edit", "run_tests"} <= forged


def test_an_answer_that_is_a_patch_is_the_patch(rows: list[Stored]) -> None:
    row = next((row for row in rows if task_of(row)["how"] == "patch"), None)
    if row is None:
        row = in_task(rows[0], lambda task: task.update(how="patch"))
    fenced = f"```diff\n{task_of(row)['answer_patch']}```"
    answered = {**row, "text": row["text"].rpartition("<|assistant|>")[0] + f"<|assistant|>\n<think></think>\n{fenced}"}
    assert "answer with the patch" not in wrong(answered, DOCUMENTS)
    assert "answer with the patch" in wrong(
        {**answered, "text": answered["text"].replace("```diff", "```text")}, DOCUMENTS
    )


def test_a_document_that_is_missing_is_noticed(rows: list[Stored]) -> None:
    row = rows[0]
    others = [
        one["origin"]
        for one in PACKAGE.to_pylist()
        if one["id"] not in {id for id, _ in json.loads(row["meta"])["parents"]}
    ]
    fewer = library(PACKAGE.filter(pa.array([origin not in others for origin in PACKAGE["origin"].to_pylist()])))
    assert others
    assert "another tree" in wrong(row, fewer)
    assert wrong(edited(row), DOCUMENTS) == ""


@pytest.mark.parametrize(
    "after",
    [
        {"a": "1\n2\n3\n", "b": "x"},
        {"a": "1\ntwo\n3\n4\n5\n6\n7\n8\n9\nten\n11\n12", "b": "x"},
        {"a": "0\n" + "".join(f"{n}\n" for n in range(1, 13)), "c": "new\n"},
        {"a": "-- a\n++ b\n", "b": "x\n"},
    ],
)
def test_patches_are_applied(after: dict[str, str]) -> None:
    before = {"a": "".join(f"{n}\n" for n in range(1, 13)), "b": "x"}
    assert patched(before, diff(before, after)) == after
    assert patched(after, diff(after, before)) == before
    with pytest.raises(Unfit):
        patched({**before, "a": "other\n"}, diff(before, after))


def test_tests_that_do_not_run_have_no_outcome() -> None:
    broken = {**FILES, "jars/core.py": "def fits(:\n"}
    assert outcomes(broken, {"tests/test_jars.py::test_fits"}) == {}
    found = outcomes(FILES, {"tests/test_jars.py::test_fits", "tests/test_jars.py::test_of_nothing"})
    assert found == {"tests/test_jars.py::test_fits": "passed"}
