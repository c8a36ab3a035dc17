"""Software tasks are proven with another applier and plain pytest; a patch, a test or a view that was changed is found out."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from datapipe.schema import documents
from synth.checker import software
from synth.checker.software import Unfit, outcomes, patched
from synth.software.generator import emit, reduce
from synth.software.patch import diff
from tests.synth.checker.proving import Stored, accepted, edited, in_task, library, said, task_of, wrong
from tests.synth.software.test_sandbox import pytestmark  # noqa: F401

FILES = {
    "jars/__init__.py": "from jars.core import fits, left, needed\n",
    "jars/core.py": '''"""Jars of marbles."""


def fits(count, size):
    """Whether so many marbles fit."""
    if count <= size:
        return True
    return False


def left(count, size):
    """How many marbles are left over."""
    over = count - size
    if over > 0:
        return over
    return 0


def needed(count, size):
    """How many jars so many marbles need."""
    number = count // size
    if count % size != 0:
        number = number + 1
    return number
''',
    "tests/test_jars.py": """from jars import fits, left, needed


def test_fits():
    assert fits(3, 4)
    assert fits(4, 4)


def test_does_not_fit():
    assert not fits(5, 4)


def test_left():
    assert left(7, 4) == 3


def test_nothing_left():
    assert left(3, 4) == 0


def test_jars():
    assert needed(8, 4) == 2


def test_one_more_jar():
    assert needed(9, 4) == 3
""",
}
DOCS: pa.Table = documents(
    {"origin": f"jars@1:{path}", "text": text, "kind": "code", "license": "MIT"} for path, text in FILES.items()
)
DOCUMENTS = library(DOCS)


@pytest.fixture(scope="module", autouse=True)
def runs_are_remembered() -> Iterator[None]:
    """Most tampered rows leave the code as it is: the same tests on the same tree run once."""
    told: dict[str, dict[str, str]] = {}

    def remembered(files: dict[str, str], tests: set[str]) -> dict[str, str]:
        key = json.dumps([files, sorted(tests)], sort_keys=True)
        if key not in told:
            told[key] = outcomes(files, tests)
        return told[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(software, "outcomes", remembered)
        yield


@pytest.fixture(scope="module")
def rows() -> list[Stored]:
    return accepted(reduce(emit(DOCS), per_repository=3))


def of_how(rows: list[Stored], how: str) -> Stored:
    return next(row for row in rows if task_of(row)["how"] == how)


def test_rows_as_they_were_made_agree(rows: list[Stored]) -> None:
    assert len(rows) >= 3
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
    row = of_how(rows, "trajectory")
    assert "list_files shows" in wrong(said(row, "\njars/\n", "\njarz/\n"), DOCUMENTS)
    assert "edit shows" in wrong(said(row, ".py was changed.", ".py is changed!."), DOCUMENTS)
    number = next(line for line in row["text"].split("\n") if "\t" in line and len(line) > 8)
    assert "view shows" in wrong(said(row, number, number[:-1] + "?"), DOCUMENTS)
    counted = next(line for line in row["text"].split("\n") if line.endswith(" passed") and " failed, " in line)
    assert "run_tests shows" in wrong(said(row, counted, "9" + counted[1:]), DOCUMENTS)


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
        for one in DOCS.to_pylist()
        if one["id"] not in {id for id, _ in json.loads(row["meta"])["parents"]}
    ]
    fewer = library(DOCS.filter(pa.array([origin not in others for origin in DOCS["origin"].to_pylist()])))
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
