"""A real history: a commit that repairs a bug, told in SWE-bench's form, is proven and becomes a row; what is not so is not believed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datapipe import readers, store
from datapipe.schema import DROP
from synth.render import parse
from synth.software import pulls, validate
from synth.software.pulls import PULLS, read
from tests.synth.software.needs import sandbox

pytestmark = sandbox
BEFORE = {
    "pack/__init__.py": "",
    "pack/a.py": "def last(xs):\n    return xs[-2]\n",
    "tests/test_a.py": "from pack.a import last\n\n\ndef test_two():\n    assert last([1, 1]) == 1\n",
}
ADDED = "\n\ndef test_last():\n    assert last([1, 2, 3]) == 3\n"
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, dict[str, Any]]:
    """Documents of the base commit, and the row."""
    folder = tmp_path_factory.mktemp("data") / "git" / "pack"

    def git(*arguments: str) -> str:
        return subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout

    for path, text in BEFORE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "start")
    base = git("rev-parse", "HEAD").strip()
    (folder / "pack/a.py").write_text(BEFORE["pack/a.py"].replace("-2", "-1"))
    (folder / "tests/test_a.py").write_text(BEFORE["tests/test_a.py"] + ADDED)
    git("commit", "-qam", "Fix last")
    row = {
        "instance_id": "pack-1", "repo": "pack", "base_commit": base, "problem_statement": "`last([1, 2, 3])` gives 2.",
        "patch": git("diff", base, "--", "pack"), "test_patch": git("diff", base, "--", "tests"),
        "FAIL_TO_PASS": json.dumps(["tests/test_a.py::test_last"]), "PASS_TO_PASS": ["tests/test_a.py::test_two"],
    }  # fmt: skip
    source = {"reader": "git", "paths": ["git/*"], "ref": base, "kind": "code"}
    splits = readers.list_splits(source, str(folder.parents[1]))
    return pa.concat_tables(table for split in splits for table in readers.read(split, "packages")), row


@pytest.fixture
def outcome(made: tuple[pa.Table, dict[str, Any]], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What becomes of the row with something changed."""

    def told(**changed: Any) -> dict[str, Any]:
        file = str(tmp_path / "pulls.jsonl")
        Path(file).write_text(json.dumps({**made[1], **changed}) + "\n")
        assert PULLS.check is not None
        PULLS.check(pulls=file)
        (row,) = PULLS.reduce(PULLS.emit(made[0], pulls=file), pulls=file, seed=0).to_pylist()
        return row

    return told


@pytest.mark.parametrize("without", [(), ("FAIL_TO_PASS", "PASS_TO_PASS")])
def test_a_pull_request_is_proven_and_becomes_a_row(
    made: tuple[pa.Table, dict[str, Any]], without: tuple[str, ...], outcome: Callable[..., dict[str, Any]]
) -> None:
    row = outcome(**{key: [] for key in without})
    assert row[DROP] is None, row["meta"]
    meta = json.loads(row["meta"])
    assert (meta["task"]["FAIL_TO_PASS"], meta["task"]["PASS_TO_PASS"]) == (
        ["tests/test_a.py::test_last"],
        ["tests/test_a.py::test_two"],
    )
    assert meta["task"]["patch"] == made[1]["patch"]
    assert parse(row["text"])[-1].text == f"```diff\n{made[1]['patch']}```"
    assert len(meta["parents"]) == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"base_commit": "0" * 40}, "synth.has_tree"),
        ({"patch": "--- a/pack/a.py\n+++ b/pack/a.py\n@@ -1 +1 @@\n-x\n+y\n"}, "synth.applies"),
        ({"FAIL_TO_PASS": ["tests/test_a.py::test_gone"]}, "synth.collects"),
        ({"FAIL_TO_PASS": ["tests/test_a.py::test_two"], "PASS_TO_PASS": []}, "synth.fails_before"),
        (
            {
                "patch": "--- a/pack/a.py\n+++ b/pack/a.py\n@@ -1,2 +1,2 @@\n def last(xs):\n-    return xs[-2]\n+    return xs[0]\n"
            },
            "synth.passes_after",
        ),
        ({"problem_statement": "`return xs[-1]` would be right."}, "synth.leak_free"),
    ],
)
def test_what_does_not_hold_is_rejected(
    outcome: Callable[..., dict[str, Any]], changed: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "RUNS", 1)  # what fails once is not believed
    assert outcome(**changed)[DROP] == reason


def test_files_of_other_commits_are_not_kept(made: tuple[pa.Table, dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "pulls.jsonl"
    for commit, kept in ((made[1]["base_commit"], made[0].num_rows), ("0" * 40, 0)):
        file.write_text(json.dumps({**made[1], "base_commit": commit}))
        assert PULLS.emit(made[0], pulls=str(file)).num_rows == kept


def test_of_two_texts_of_a_path_the_smallest_counts(made: tuple[pa.Table, dict[str, Any]]) -> None:
    longer = made[0].set_column(
        made[0].schema.get_field_index("text"), "text", pa.array([f"{text}#\n" for text in made[0]["text"].to_pylist()])
    )
    docs = [made[0].select(["origin", "text", "id", "license"]), longer.select(["origin", "text", "id", "license"])]
    one, other = (pulls._trees(pa.concat_tables(order, promote_options="permissive")) for order in (docs, docs[::-1]))
    assert one == other == pulls._trees(docs[0])


def test_a_file_that_is_missing_is_named(made: tuple[pa.Table, dict[str, Any]]) -> None:
    assert PULLS.check is not None
    with pytest.raises(ValueError, match="pulls is missing: type the path"):
        PULLS.check()
    with pytest.raises(store.StoreError, match=r"no/such\.jsonl: no such file"):
        PULLS.emit(made[0], pulls="no/such.jsonl")


def test_a_line_that_is_no_row_is_named() -> None:
    with pytest.raises(ValueError, match="line 2 is no row"):
        read(
            [
                '{"instance_id": "a", "repo": "r", "base_commit": "c", "patch": "", "test_patch": "", "problem_statement": ""}',
                "{}",
            ]
        )
