"""The bench of the generators on rows whose measures are known; the whole of it takes minutes and is no test."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curriculum import bench_synth
from curriculum.curating import CURATED
from synth.render import Call, Turn
from synth.rows import Made, documents


def test_every_corpus_it_makes_is_one_of_the_quickstart() -> None:
    assert bench_synth.SIZES.keys() == bench_synth.WANTED.keys()
    assert all((bench_synth.QUICKSTART / f"{name}.yaml").is_file() for name in bench_synth.SIZES)


def test_rows_of_one_task_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = [Turn("user", "one"), Turn("assistant", "1", "t"), Turn("user", "two"), Turn("assistant", "2", "u")]
    tools = ({"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}},)
    looked = [Turn("assistant", "", "t", calls=(Call("now", {}),)), Turn("observation", responses=("12",))]
    made = Made("tools", 0)
    about: dict[str, Any] = {"kind": "agent", "parents": (), "task": {}, "verdicts": {"replay": {"passed": True}}}
    rows: list[dict[str, Any]] = [
        *made.rows("a", talk, **about),
        *made.rows("b", talk[:2], **about),
        *made.rows("c", [Turn("system", tools=tools), talk[0], *looked, talk[3]], **about, license="MIT"),
    ]
    table: pa.Table = documents(rows)
    pq.write_table(table, tmp_path / "part.parquet")
    steps = [{"documents_in": 4, "reasons": {"synth.replay": 1}}]
    (tmp_path / CURATED).write_text(json.dumps({"corpora": {"tools": {"parts": ["part.parquet"]}}}))
    result = bench_synth._result("tools", str(tmp_path), {"steps": steps}, 1.5)
    assert (result["tasks"], result["rows"], result["candidates"]) == (3, 4, 4)
    assert (result["trajectories"], result["licensed"]) == (1, 1)
    assert (result["asked"]["rows"], result["written"]["forms"], result["answered"]["forms"]) == (4, 3, 1)
    bench_synth.show([result])
    told = capsys.readouterr().out
    assert "synth.replay 1" in told
    assert "1 rows with calls of tools, 1 with a licence" in told
    assert "500" in told  # ms per task
