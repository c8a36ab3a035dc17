"""`tokenloom synth check`: what is checked, what is counted, and that a row which was tampered with ends it with 1."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from curriculum.cli_check import check
from synth.reasoning.generator import emit, reduce
from tests.synth.checker.proving import accepted, edited
from tests.synth.reasoning.test_generator import docs

APP = typer.Typer()
APP.command()(check)
DOCS = docs()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return accepted(reduce(emit(DOCS), turns={"table": 1, "question": 1}))


def built(out: Path, **corpora: pa.Table) -> Path:
    """A folder as `curate` leaves it."""
    told = {name: {"parts": [f"{name}.parquet"]} for name in corpora}
    for name, table in corpora.items():
        pq.write_table(table, out / f"{name}.parquet")
    (out / "curated.json").write_text(json.dumps({"format": 1, "corpora": told}))
    return out


def run(out: Path, *options: str) -> Result:
    return CliRunner().invoke(APP, [str(out), "made", "--from", "pages", *options])


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=reduce(emit(DOCS.slice(0, 0))).schema)


def test_rows_that_are_proven_end_well(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    out = built(tmp_path, made=table(rows), pages=DOCS)
    found = run(out, "--share", "1", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    (made,) = told["corpora"]
    counts = {"rows": len(rows), "checked": len(rows), "agree": len(rows), "disagree": 0, "unchecked": 0}
    assert made | counts | {"corpus": "made", "generator": "reasoning"} == made
    assert told["disagreements"] == []
    kinds = [json.loads(row["meta"])["task"]["kind"] for row in rows]
    assert made["proven"]["recomputed"] == kinds.count("table") > 0
    assert made["unproven"]["readable"] == kinds.count("question") > 0
    for seed in ("0", "1"):
        (some,) = json.loads(run(out, "--share", "0.5", "--seed", seed, "--json").stdout)["corpora"]
        assert 0 < some["checked"] < len(rows) == some["rows"]


def test_what_is_proven_and_what_is_not_is_named(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    found = run(built(tmp_path, made=table(rows[:4]), pages=DOCS), "--share", "1")
    assert "made, proven again: " in found.output
    assert "round_trip 4" in found.output
    assert "CPU seconds" in found.output


def test_parents_that_are_not_there_are_a_matter_of_from(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    found = run(built(tmp_path, made=table(rows[:2]), pages=DOCS.slice(0, 0)), "--share", "1")
    assert found.exit_code == 1
    assert "2 rows have parents that are not in pages as they are now: name every corpus" in found.output


def test_a_row_that_was_tampered_with_is_named(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    forged = edited(rows[0], lambda meta: meta["task"].update(answer="something else"))
    found = run(built(tmp_path, made=table([forged, *rows[1:]]), pages=DOCS), "--share", "1")
    assert found.exit_code == 1
    assert forged["id"] in found.output
    assert "something else" in found.output


def test_rows_without_a_checker_are_counted_aloud(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    foreign = edited(rows[0], lambda meta: meta.update(generator="gather"))
    found = run(built(tmp_path, made=table([foreign]), pages=DOCS), "--share", "1")
    assert found.exit_code == 0
    assert "1 rows of gather were drawn and have no checker" in found.output


def test_a_corpus_that_is_not_synthetic_is_a_mistake(tmp_path: Path) -> None:
    found = run(built(tmp_path, made=DOCS, pages=DOCS))
    assert found.exit_code == 2
    assert "says no generator" in found.output
