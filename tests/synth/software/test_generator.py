"""From documents to software tasks, on a small package: every row is proven here again, without the generator's own code."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datapipe.schema import DROP
from synth.render import Call, parse
from synth.rows import documents
from synth.software import generator, repair
from synth.software.suite import Checkout, Job, by_file, content_hash
from synth.software.task import Task
from tests.synth.software import toy
from tests.synth.software.needs import sandbox

pytestmark = sandbox
VERDICTS = {
    "baseline_stable", "collects", "fails_before", "few_fail", "not_flaky", "passes_after", "leak_free", "solved"
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> pa.Table:
    return generator.reduce(generator.emit(toy.table()), per_repository=3, max_tests=6)


def accepted(table: pa.Table) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row[DROP] is None]


def task_of(row: dict[str, Any]) -> Task:
    return Task.from_json(json.loads(row["meta"])["task"])


def patched(files: dict[str, str], patch: str, folder: Path) -> dict[str, str]:
    """As git applies it: another program than ours."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=folder, check=True)
    return {path: (folder / path).read_text() for path in files}


def test_every_row_is_proven_again_with_git_and_a_fresh_checkout(made: pa.Table, tmp_path: Path) -> None:
    rows = accepted(made)
    assert len(rows) == 3
    for number, row in enumerate(rows):
        task = task_of(row)
        assert content_hash(toy.FILES) == task.environment_setup_commit
        buggy = patched(toy.FILES, task.bug_patch, tmp_path / f"{number}-bug")
        assert content_hash(buggy) == task.base_commit
        assert task.instance_id.endswith(task.base_commit[:12])
        assert patched(buggy, task.patch, tmp_path / f"{number}-gold") == toy.FILES
        answered = patched(buggy, task.answer_patch, tmp_path / f"{number}-answer")
        tests = by_file({*task.fail_to_pass, *task.pass_to_pass})
        with Checkout(buggy) as checkout:
            before, after = checkout.run([Job(tests), Job(tests, answered)])
        assert (before.failed, before.passed) == (set(task.fail_to_pass), set(task.pass_to_pass))
        assert after.passed == {*task.fail_to_pass, *task.pass_to_pass}


def test_rows_are_documents_with_their_parents_licence_and_verdicts(made: pa.Table) -> None:
    ids = dict(zip(toy.table()["origin"].to_pylist(), toy.table()["id"].to_pylist(), strict=True))
    for row in accepted(made):
        meta = json.loads(row["meta"])
        assert (row["kind"], row["license"], row["corpus"]) == ("agent", "MIT", "synth")
        assert {id for id, _ in meta["parents"]} == {
            ids["shelves@1.2:shelves/core.py"],
            ids["shelves@1.2:shelves/tests/test_core.py"],
        }
        assert meta["verdicts"].keys() >= VERDICTS
        assert all(verdict["passed"] for verdict in meta["verdicts"].values())
        assert parse(row["text"])


def test_a_trajectory_reads_edits_and_runs_tests_until_all_pass(made: pa.Table) -> None:
    assert {task_of(row).how for row in accepted(made)} == {"trajectory"}
    walks = [parse(row["text"]) for row in accepted(made)]
    assert len({tuple(call.name for turn in turns for call in turn.calls) for turns in walks}) > 1
    for turns in walks:
        calls = [call for turn in turns for call in turn.calls]
        assert calls[-1] == Call("run_tests", {"path": ""})
        assert {"view", "edit", "run_tests"} <= {call.name for call in calls}
        assert "failed" in next(
            turn.responses[0]
            for turn, before in zip(turns[1:], turns, strict=False)
            if before.calls and before.calls[0].name == "run_tests"
        )
        assert turns[-2].responses[0].endswith("passed")
        assert turns[-1].text


def test_mutants_that_nothing_notices_are_rejected_under_their_reason(made: pa.Table) -> None:
    reasons = {row[DROP] for row in made.to_pylist()} - {None}
    assert reasons <= {
        "synth.fails_before",
        "synth.few_fail",
        "synth.collects",
        "synth.described",
        "synth.leak_free",
        "synth.reproduces",
        "synth.solved",
    }


def test_more_accepted_rows_only_add_and_the_order_of_rows_does_not_matter(made: pa.Table) -> None:
    emitted = generator.emit(toy.table())
    turned = emitted.take(list(range(len(emitted)))[::-1])
    fewer = generator.reduce(turned, per_repository=3, max_tests=6, accept=1)
    assert len(accepted(fewer)) == 1
    known = {row["id"]: row for row in made.to_pylist()}
    assert all(known[row["id"]] == row for row in fewer.to_pylist())


def test_a_repository_whose_tests_do_not_pass_is_one_rejected_row() -> None:
    files = {
        "p/__init__.py": "",
        "p/a.py": "def f():\n    return 1\n",
        "p/test_a.py": "def test_f():\n    assert False\n",
    }
    (row,) = generator.reduce(generator.emit(toy.table(files, "p@1"))).to_pylist()
    assert row[DROP] == "synth.baseline_stable"


def test_documents_without_a_place_in_a_repository_and_repositories_without_tests_give_nothing() -> None:
    table = pa.concat_tables(
        [toy.table({"a.py": "x = 1\n"}, "q@1"), toy.table({"test_a.py": "def test(): pass\n"}, "no place")]
    )
    assert len(generator.emit(table)) == 1
    assert generator.reduce(generator.emit(table)).equals(documents([]))


@pytest.mark.parametrize("given", [{"per_repository": 0}, {"max_tests": 0}, {"max_test_files": 0}, {"accept": -1}])
def test_limits_that_leave_nothing_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="type"):
        generator.check(**given)
    generator.check()


def test_what_the_scripted_agent_does_not_solve_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "MAX_TRIES", 0)
    monkeypatch.setattr(generator, "TRIES_PER_ROW", 3)
    rows = generator.reduce(generator.emit(toy.table()), per_repository=1, max_tests=4).to_pylist()
    assert "synth.solved" in {row[DROP] for row in rows}
    assert None not in {row[DROP] for row in rows}
