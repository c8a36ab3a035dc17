"""One partition through its steps: counts, reasons, samples of rejects, the exchange that follows."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curation.steps import CorpusStep, Step
from curriculum import generating, segment
from curriculum.segment import Bound, BuildError, Emit, Judged, run_segment
from curriculum.verdicts import merge_slices, reduce_slice
from datapipe import exchange
from datapipe.readers import list_splits
from datapipe.schema import DROP, document_id, documents, with_column
from synth.generators import Generator

HERE = __name__


def too_short(docs: pa.Table, *, min_chars: int) -> pa.Array:
    return pc.if_else(pc.less(pc.utf8_length(docs["text"]), min_chars), "too_short", None)


def shout(docs: pa.Table) -> pa.Table:
    return with_column(docs, "text", pc.utf8_upper(docs["text"]))


def vowels(docs: pa.Table) -> pa.Array:
    return pc.cast(pc.count_substring_regex(docs["text"], "[AEIOU]"), pa.float32())


def by_text(docs: pa.Table) -> pa.Table:
    keys = pa.array([int(document_id(text)[:16], 16) for text in docs["text"].to_pylist()], pa.uint64())
    return pa.table({"key": keys, "id": docs["id"]})


def first_of_key(rows: pa.Table) -> pa.Table:
    return rows.group_by("key").aggregate([("id", "min")]).select(["id_min"])


def together(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).sort_by("id_min")


def keep_first(docs: pa.Table, verdict: pa.Table) -> pa.Table:
    kept = pc.is_in(docs["id"], verdict["id_min"])
    return with_column(docs, DROP, pc.if_else(kept, pa.scalar(None, pa.string()), "again"))


ONCE = CorpusStep(by_text, first_of_key, together, keep_first)


def bound(name: str, kind: str, **params: object) -> Bound:
    return Bound(name, Step(kind, f"{HERE}:{name}", 1), params)  # type: ignore[arg-type]


@pytest.fixture
def part(tmp_path: Path) -> str:
    texts = ["one", "a longer text", "a longer text", "x", "another long text", ""]
    rows = [{"text": text, "origin": f"o{index}", "corpus": "c", "kind": "web"} for index, text in enumerate(texts)]
    pq.write_table(documents(rows), tmp_path / "in.parquet")
    return str(tmp_path / "in.parquet")


STEPS = [bound("too_short", "filter", min_chars=4), bound("shout", "map"), bound("vowels", "score")]


def run(tmp_path: Path, part: str, **changes: object) -> dict:
    arguments = {"corpus": "c", "source": part, "steps": STEPS, "emit": None, **changes}
    return run_segment(output=str(tmp_path / "out.parquet"), **arguments)


def test_steps_run_in_order_and_are_counted(tmp_path: Path, part: str) -> None:
    result = run(tmp_path, part)
    assert [step["step"] for step in result["steps"]] == ["too_short", "shout", "vowels"]
    assert result["steps"][0] == {
        "step": "too_short", "documents_in": 6, "documents_out": 3, "chars_in": 47, "chars_out": 43,
        "reasons": {"too_short": 3}, "about": {},
    }  # fmt: skip
    kept = pq.read_table(tmp_path / "out.parquet")
    assert kept["text"].to_pylist() == ["A LONGER TEXT", "A LONGER TEXT", "ANOTHER LONG TEXT"]
    assert kept["vowels"].to_pylist() == [4.0, 4.0, 5.0]
    assert DROP not in kept.column_names
    assert result["buckets"] == {"all": {"documents": 3, "chars": 43}}


def test_rejects_are_sampled_by_id_alone(tmp_path: Path, part: str) -> None:
    run(tmp_path, part, num_rejects=2)
    rejects = pq.read_table(tmp_path / "out.parquet.rejects.parquet").to_pylist()
    expected = sorted(document_id(f"o{index}") for index in (0, 3, 5))[:2]
    assert [row["id"] for row in rejects] == expected
    assert {row["reason"] for row in rejects} == {"too_short"}


def test_an_exchange_and_its_verdict(tmp_path: Path, part: str) -> None:
    step = Bound("once", Step("corpus", f"{HERE}:ONCE", 1), {})
    sent = str(tmp_path / "sent.arrow")
    run(tmp_path, part, emit=Emit(step, 3, sent, 0))
    assert sum(exchange.read_slice([sent], receiver).num_rows for receiver in range(3)) == 3
    verdict = str(tmp_path / "verdict.arrow")
    reduced = [str(tmp_path / f"reduced-{receiver}.arrow") for receiver in range(3)]
    for receiver, path in enumerate(reduced):
        reduce_slice(output=path, step=step, exchanged=[sent], receiver=receiver)
    merged = merge_slices(output=verdict, step=step, reduced=reduced, reference=[], labels=None)
    assert merged == {"rows": 2, "about": {}}
    after = run_segment(
        output=str(tmp_path / "after.parquet"),
        corpus="c",
        source=str(tmp_path / "out.parquet"),
        steps=[Judged(step, [verdict])],
        emit=None,
    )
    assert after["steps"][0]["reasons"] == {"again": 1}
    assert pq.read_table(tmp_path / "after.parquet").num_rows == 2


def test_an_empty_partition_has_the_columns_of_a_full_one(tmp_path: Path, part: str) -> None:
    full = run(tmp_path, part, steps=STEPS)
    assert full["steps"]
    schema = pq.read_schema(tmp_path / "out.parquet")
    pq.write_table(pq.read_table(part).slice(0, 0), part)
    empty = run(tmp_path, part)
    assert empty["steps"][0]["documents_in"] == 0
    assert pq.read_schema(tmp_path / "out.parquet").equals(schema)


def test_long_documents_come_in_tables_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "BYTES_PER_CALL", 40_000)
    rng = np.random.default_rng(0)
    texts = [rng.bytes(size // 2).hex() for size in [10] * 30 + [10_000] * 12]
    rows = [{"text": text, "origin": f"o{n}", "corpus": "c", "kind": "web"} for n, text in enumerate(texts)]
    with pq.ParquetWriter(tmp_path / "in.parquet", documents(rows).schema) as writer:
        writer.write_table(documents(rows[:30]))
        writer.write_table(documents(rows[30:]))
    tables = list(segment.tables_of(str(tmp_path / "in.parquet"), "c"))
    assert max(table.num_rows for table in tables) == 3
    assert pa.concat_tables(tables)["text"].to_pylist() == texts


def shorten(docs: pa.Table) -> pa.Table:
    return with_column(docs, "text", pc.utf8_slice_codeunits(docs["text"], 0, 1))


def restore(docs: pa.Table, *, pages: Callable[[pa.Table], list[str]]) -> pa.Table:
    return with_column(docs, "text", pa.array(pages(docs), pa.large_string()))


def test_a_step_that_asks_for_them_gets_the_documents_as_they_were_read(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}) for text in ("one", "two, which is longer", "three")]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    source = {"reader": "jsonl", "paths": ["*.jsonl"], "kind": "web"}
    (split,) = list_splits(source, str(tmp_path))
    pages = functools.partial(segment.pages_of, source, str(tmp_path))
    steps = [
        bound("shorten", "map"),
        bound("too_short", "filter", min_chars=1),
        bound("restore", "map")._replace(pages=pages),
    ]
    run(tmp_path, split, steps=steps)  # type: ignore[arg-type]
    assert pq.read_table(tmp_path / "out.parquet")["text"].to_pylist() == ["one", "two, which is longer", "three"]
    (tmp_path / "in.jsonl").write_text("\n".join(reversed(lines)))
    with pytest.raises(BuildError, match=r"(?s)corpus c: a page cannot be read again: .*the file has changed"):
        segment.pages_of(source, str(tmp_path), pq.read_table(tmp_path / "out.parquet"))


MADE = Generator(
    lambda docs: docs.append_column("key", by_text(docs)["key"]),
    lambda rows: rows.drop_columns(["key"]).append_column(DROP, pa.nulls(rows.num_rows, pa.string())),
)


def test_a_generator_sends_in_rounds_and_is_read_in_tables_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{number:05d}" * 2_000 for number in range(40)]
    part, sent = str(tmp_path / "in.parquet"), str(tmp_path / "sent.arrow")
    pq.write_table(documents([{"text": text, "origin": text} for text in texts]), part)
    monkeypatch.setattr(segment, "BYTES_PER_CALL", 100_000)
    monkeypatch.setattr(exchange, "ROUND_BYTES", 200_000)
    step = Bound("made", Step("corpus", f"{HERE}:MADE", 1), {})
    assert generating.emit_candidates(output=sent, part=part, generator=step, num_receivers=2) == {"rows": 40}
    assert pa.ipc.open_file(sent).num_record_batches > 2
    tables = [
        table for receiver in (0, 1) for table in segment.tables_of(segment.Generated(step, [sent], receiver), "c")
    ]
    assert max(table.num_rows for table in tables) < 12
    assert sorted(text for table in tables for text in table["text"].to_pylist()) == texts
    assert {name for table in tables for name in table["corpus"].to_pylist()} == {"c"}
