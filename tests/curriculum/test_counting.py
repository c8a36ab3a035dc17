"""Counts of partitions added up: by entry of `paths`, with limits, members of clusters, and what a step met outside of its documents."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.steps import Step, StepError
from curriculum import counting
from curriculum.curating import curate_files
from curriculum.document import ManifestError
from curriculum.segment import Bound, BuildError, bound
from datapipe.engine import InProcess

COPIES = "the same words again and again, as every page of a mirror has them"


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    path = folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: Path, steps: list[Any], **source: Any) -> dict[str, Any]:
    path = folder / "web.yaml"
    whole = {"reader": "jsonl", "paths": ["*.jsonl"], "id_key": "id", **source}
    path.write_text(json.dumps({"kind": "web", "source": whole, "steps": steps}))
    out = str(folder / "out")
    return curate_files([str(path)], out, str(folder / "data"), InProcess(), lambda *_: None)["corpora"]["web"]


@pytest.fixture
def crawls(tmp_path: Path) -> Path:
    """Two crawls: one of 150 different pages, one of as many copies of one page, and a small one of three copies."""
    for name, texts in {
        "good/a.jsonl": [f"page number {n} speaks of {n * n}" for n in range(150)],
        "mirror/a.jsonl": [COPIES] * 90,
        "mirror/b.jsonl": [COPIES] * 60,
        "small/a.jsonl": [COPIES] * 3,
    }.items():
        write(tmp_path, name, [{"text": text, "id": str(n)} for n, text in enumerate(texts)])
    return tmp_path


PATHS = ["mirror/*.jsonl", "small/*.jsonl", "good/*.jsonl"]


def test_every_entry_of_paths_is_counted(crawls: Path) -> None:
    corpus = run(crawls, [{"dedup.exact": {"max_dropped": 1}}], paths=PATHS)
    read, exact = corpus["steps"]
    assert {entry: counts["documents_in"] for entry, counts in read["paths"].items()} == {
        "good/*.jsonl": 150, "mirror/*.jsonl": 150, "small/*.jsonl": 3
    }  # fmt: skip
    assert exact["reasons"] == {"dedup.exact": 152}
    kept = {entry: counts["documents_out"] for entry, counts in exact["paths"].items()}
    assert kept["good/*.jsonl"] == 150
    assert kept["mirror/*.jsonl"] + kept["small/*.jsonl"] == 1
    for field in ("documents_in", "documents_out", "chars_in", "chars_out"):
        assert sum(counts[field] for counts in exact["paths"].values()) == exact[field]


def test_a_corpus_of_one_entry_is_counted_as_a_whole(crawls: Path) -> None:
    corpus = run(crawls, ["dedup.exact"], paths=["*/*.jsonl"])
    assert not any("paths" in step for step in corpus["steps"])


def test_a_step_that_takes_nearly_all_of_one_entry_stops_the_build(crawls: Path) -> None:
    """As a whole, half of the documents stay; a small entry may lose all."""
    with pytest.raises(
        BuildError, match=r"dedup.exact dropped 1\d\d of 150 documents of mirror/\*.jsonl \(\d+.\d+ %\)"
    ):
        run(crawls, ["dedup.exact"], paths=PATHS)
    corpus = run(crawls, ["dedup.exact"], paths=["good/*.jsonl", "small/*.jsonl"])
    assert corpus["steps"][-1]["paths"]["small/*.jsonl"]["documents_out"] == 1


def test_what_is_wrong_with_the_source_may_have_a_limit(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [{"text": "good"}, *[{"words": "no text"}] * 3])
    with pytest.raises(
        BuildError, match=r"read dropped 3 of 4 .*jsonl.no_text 3.*\n.*`max_dropped: 1` into the source"
    ):
        run(tmp_path, [], max_dropped=0.5, id_key=None)
    assert run(tmp_path, [], max_dropped=0.75, id_key=None)["steps"][0]["documents_out"] == 1
    with pytest.raises(ManifestError, match="75 is no share"):
        run(tmp_path, [], max_dropped=75)


def test_what_an_index_knows_hides_nothing_from_a_limit() -> None:
    def step(known: int, lost: int, kept: int) -> dict[str, Any]:
        reasons = {"dedup.minhash.known": known, "dedup.minhash": lost}
        entered = known + lost + kept
        counts = {"documents_in": entered, "documents_out": kept, "reasons": reasons}
        return {"corpus": "web", "step": "dedup.minhash", "about": {}, **counts}

    with pytest.raises(BuildError, match=r"dropped 999 of 1,000 documents that no index knows \(99.90 %\)"):
        counting.stop_at_limit(step(9_000, 999, 1), 0.95, "place")
    counting.stop_at_limit(step(9_000, 900, 100), 0.95, "place")
    counting.stop_at_limit(step(9_000, 0, 0), 0.95, "place")
    counting.stop_at_limit(step(9_000, 39, 1), 0.95, "place")  # few: all may be copies of one
    with pytest.raises(BuildError, match=r"dropped 39 of 40 documents \("):
        counting.stop_at_limit(step(0, 39, 1), 0.95, "place")


def test_a_corpus_without_documents_says_where_to_look(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [])
    with pytest.raises(BuildError, match=r"the source holds no document\.\n    The files .* are empty\.$"):
        run(tmp_path, ["dedup.exact"])
    write(tmp_path, "a.jsonl", [{"words": "no text"}])
    with pytest.raises(
        BuildError, match=r"`read` dropped the rest \(jsonl.no_text 1\)\.\n    Look at (.*); check its"
    ) as refusal:
        run(tmp_path, [], id_key=None)
    assert Path(str(refusal.value).partition("Look at ")[2].partition(";")[0]).is_file()
    write(tmp_path, "a.jsonl", [{"text": "short"}])
    with pytest.raises(BuildError, match=r"`filter.length` dropped .*\n    Look at (.*); loosen the step") as refusal:
        run(tmp_path, [{"filter.length": {"min_chars": 100}}], id_key=None)
    assert Path(str(refusal.value).partition("Look at ")[2].partition(";")[0]).is_file()


def test_large_clusters_are_shown_with_some_of_their_members(crawls: Path) -> None:
    corpus = run(crawls, [{"dedup.exact": {"max_dropped": 1}}, {"filter.length": {"max_chars": 60}}], paths=PATHS)
    assert corpus["clusters"] == [], "the document that stayed was dropped by a later step"
    corpus = run(crawls, [{"dedup.exact": {"max_dropped": 1}}], paths=PATHS)
    (cluster,) = corpus["clusters"]
    assert cluster["cluster_size"] == 153
    everything = pa.concat_tables(pq.read_table(path) for path in (crawls / "out").rglob("rejects.parquet"))
    smallest = sorted(row["id"] for row in everything.to_pylist() if row["reason"] == "dedup.exact")[:3]
    assert [member["id"] for member in cluster["members"]] == smallest
    assert {member["text"] for member in cluster["members"]} == {COPIES}
    assert cluster["id"] not in smallest


def test_documents_of_one_id_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [{"text": f"text {n}", "id": str(n % 3)} for n in range(5)])
    assert run(tmp_path, [])["steps"][0]["about"] == {"repeated_ids": 2}
    assert run(tmp_path, [], id_key=None)["steps"][0]["about"] == {}


def unreachable(docs: pa.Table, *, model: str) -> pa.Table:
    raise StepError(f"model {model}: no such file. Type the path of one")


def test_what_a_step_meets_outside_of_its_documents_is_told_with_corpus_and_step(tmp_path: Path) -> None:
    step = Bound("score.mine", Step("map", f"{__name__}:unreachable", 1), {"model": "a.bin", "other": 1}, "web")
    with pytest.raises(BuildError, match=r"^corpus web: score.mine: model a.bin: no such file. Type the path of one$"):
        bound(unreachable, step)(pa.table({}))
    write(tmp_path, "a.jsonl", [{"text": "some words", "id": "1"}])
    with pytest.raises(BuildError, match=f"^corpus web: {__name__}:unreachable: model b.bin"):
        run(tmp_path, [{f"{__name__}:unreachable": {"model": "b.bin"}}])


def test_partitions_keep_fewer_rejects_where_they_are_many() -> None:
    kept = [counting.rejects_per_part(num_parts) for num_parts in (1, 2, 3, 40, 1_000, 10**5)]
    assert kept == [200, 200, 134, 10, 5, 5]


def test_the_sample_of_rejects_is_that_of_the_smallest_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "REJECTS_PER_REASON", 4)
    paths = [str(tmp_path / f"part-{n}") for n in range(3)]
    columns = {"step": "s", "origin": "o", "text": "t", "meta": "{}"}
    for n, path in enumerate(paths[:2]):
        rows = [{**columns, "reason": reason, "id": f"{n}{k}"} for reason in ("x", "y") for k in range(3)]
        pq.write_table(pa.Table.from_pylist(rows), f"{path}.rejects.parquet")
    found = [(row["reason"], row["id"]) for row in counting.rejects(paths)]
    assert found == [(reason, identity) for reason in ("x", "y") for identity in ("00", "01", "02", "10")]
