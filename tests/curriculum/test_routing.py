"""Clusters over storage: rounds of contraction, indexes of earlier corpora, and the same result for any number of receivers."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import clusters
from curation.steps import STEPS
from curriculum import curate as curating
from curriculum import routing
from curriculum.curating import curate_files
from curriculum.document import ManifestError
from curriculum.segment import Bound, BuildError
from curriculum.waves import run_jobs
from datapipe import exchange, store
from datapipe.engine import InProcess


def contracted(folder: Path, links: pa.Table, num_receivers: int) -> tuple[pa.Table, int]:
    """The stars of some links after rounds among receivers, and the number of rounds."""
    first = [str(folder / f"links-{receiver}.arrow") for receiver in range(num_receivers)]
    shares = np.arange(links.num_rows) % num_receivers
    for receiver, path in enumerate(first):
        routing._send_links(path, links.filter(pa.array(shares == receiver, pa.bool_())), num_receivers)
    job = routing._settled("x", routing.Exchange(first, num_receivers), str(folder))
    paths = run_jobs({"x": job}, InProcess(), lambda *_: None)["x"]
    received = [routing._received(routing.Exchange(paths, num_receivers), r) for r in range(num_receivers)]
    return pa.concat_tables(received), int(paths[0].rpartition("round-")[2][:2]) + 1


def chain_of(docs: list[int], roots: list[int], rank: list[int]) -> pa.Table:
    columns = {"doc": docs, "root": roots, "rank": [rank[d] for d in docs], "root_rank": [rank[r] for r in roots]}
    return pa.table(
        [pa.array(columns.get(field.name, [1] * len(docs)), field.type) for field in clusters.LINK],
        schema=clusters.LINK,
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=40), st.integers(1, 5))
def test_rounds_end_in_the_stars_of_all_links(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], num_receivers: int
) -> None:
    rank = [(7 * n) % 5 for n in range(26)]
    ordered = [sorted(pair, key=lambda node: (rank[node], node)) for pair in pairs]
    links = chain_of([doc for _, doc in ordered], [root for root, _ in ordered], rank)
    settled, _ = contracted(tmp_path_factory.mktemp("rounds"), links, num_receivers)
    found = {(row["doc"], row["root"]) for row in settled.to_pylist()}
    expected = clusters.stars(links)
    assert found == set(zip(expected["doc"].to_pylist(), expected["root"].to_pylist(), strict=True))


def test_a_long_chain_takes_few_rounds(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(3_000).tolist()
    pairs = [sorted(pair) for pair in itertools.pairwise(order)]
    links = chain_of([doc for _, doc in pairs], [root for root, _ in pairs], [0] * 3_000)
    settled, rounds = contracted(tmp_path, links, 4)
    assert set(settled["root"].to_pylist()) == {0}
    assert rounds <= 9


# ------------------------------------------------------------------------------------------------------------------ whole corpora


WORDS = [f"word{index}" for index in range(900)]


def family(number: int, copies: int) -> list[str]:
    """A text and copies that differ in a word each, of different lengths."""
    rng = np.random.default_rng(number)
    base = [WORDS[index] for index in rng.integers(0, len(WORDS), 120)]
    return [" ".join([*base[:copy], f"changed{copy}", *base[copy:]]) + " tail" * copy for copy in range(copies)]


def write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.writelines(
            json.dumps({"text": text, "id": f"{path.stem}{index}"}) + "\n" for index, text in enumerate(texts)
        )


def corpus_file(folder: Path, steps: list[Any], name: str = "web", paths: str = "*.jsonl", **more: str) -> str:
    path = folder / f"{name}.yaml"
    source = {"reader": "jsonl", "paths": [paths], "split_bytes": 4_000, "id_key": "id", **more}
    path.write_text(json.dumps({"kind": "web", "source": source, "steps": steps}))
    return str(path)


def run(folder: Path, file: str, out: str = "out") -> dict[str, Any]:
    return curate_files([file], str(folder / out), str(folder / "data"), InProcess(), lambda *_: None)["corpora"][
        Path(file).stem
    ]


def kept(folder: Path, corpus: dict[str, Any], out: str = "out") -> pa.Table:
    return pa.concat_tables(pq.read_table(folder / out / part) for part in corpus["parts"])


@pytest.fixture
def families(tmp_path: Path) -> Path:
    texts = [text for number in range(14) for text in family(number, number % 5 + 1)]
    for name, some in {"a": texts[:10], "b": texts[10:20], "c": texts[20:30], "d": texts[30:] + texts[:3]}.items():
        write(tmp_path / "data" / f"{name}.jsonl", some)
    return tmp_path


STEPS_OF_ALL = ["dedup.exact", "dedup.url", {"dedup.lines": {"min_words": 3}}, "dedup.minhash"]


def test_the_number_of_receivers_changes_nothing(families: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = corpus_file(families, STEPS_OF_ALL)
    once = run(families, file, "one")
    monkeypatch.setattr(curating, "RECEIVER_BYTES", 3_000)
    many = run(families, file, "many")
    assert any((families / "many").rglob("round-00-*.arrow"))
    assert len(once["parts"]) > 2
    assert many == once  # what was counted, too
    for part in once["parts"]:
        assert (families / "one" / part).read_bytes() == (families / "many" / part).read_bytes()


def test_what_is_read_for_an_exchange_alone_is_not_written_but_counted_once(families: Path) -> None:
    corpus = run(families, corpus_file(families, ["dedup.exact", "dedup.minhash"]))
    read, exact, _ = (step for step in corpus["steps"])
    assert not list((families / "out").glob("corpora/web/read-*/*.parquet"))
    assert read["documents_in"] == read["documents_out"] == exact["documents_in"] == 43
    assert len(list((families / "out").glob("corpora/web/dedup.exact-*/part-?????.parquet"))) == len(corpus["parts"])


def test_what_is_found_about_written_parts_is_told_again_instead_of_writing_them_once_more(families: Path) -> None:
    corpus = run(families, corpus_file(families, ["filter.length", *STEPS_OF_ALL]))
    written = {path.parent.name.rpartition("-")[0] for path in (families / "out").rglob("part-?????.parquet")}
    assert written == {"filter.length", "dedup.lines", "dedup.minhash"}  # the second, for lines go out of its texts
    every_time = run(families, corpus_file(families, STEPS_OF_ALL), "every")  # from the source, so the first is written
    assert kept(families, corpus).equals(kept(families, every_time, "every"))
    named = [{**step, "key": ""} for step in corpus["steps"]]
    assert named[2:] == [{**step, "key": ""} for step in every_time["steps"][1:]]


def test_a_corpus_that_was_only_counted_is_written_when_its_documents_are_wanted(families: Path) -> None:
    """One folder, whatever was asked first."""
    for steps in (["dedup.exact"], [], ["dedup.url"], []):
        corpus = run(families, corpus_file(families, steps))
        assert sum(bucket["documents"] for bucket in corpus["buckets"].values()) == kept(families, corpus).num_rows
    assert kept(families, corpus).num_rows == 43


def test_sizes_of_clusters_count_exact_copies_too(families: Path) -> None:
    corpus = run(families, corpus_file(families, STEPS_OF_ALL))
    table = kept(families, corpus)
    assert sum(table["cluster_size"].to_pylist()) == corpus["steps"][0]["documents_out"]
    assert table["cluster"].null_count == (table["cluster_size"].to_numpy() == 1).sum()
    assert table.num_rows == 14
    about = {step["step"]: step["about"] for step in corpus["steps"]}
    assert about["dedup.exact"]["clusters"] == 3
    assert about["dedup.minhash"]["removed"] == corpus["steps"][-1]["reasons"]["dedup.minhash"]
    sizes = [size for _, size in about["dedup.minhash"]["largest"]]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("receiver_bytes", [1 << 30, 3_000, 1_500])
def test_a_new_crawl_is_deduplicated_against_an_index(
    families: Path, monkeypatch: pytest.MonkeyPatch, receiver_bytes: int
) -> None:
    """The index is made with many receivers, and read with one, as many, and more."""
    monkeypatch.setattr(curating, "RECEIVER_BYTES", 3_000)
    old = run(families, corpus_file(families, [{"dedup.minhash": {"index": True}}], paths="[ab].jsonl"), "old")
    folder = next((families / "old").rglob("index.json")).parent
    news = [family(0, 1)[0] + " news", *family(50, 2), *family(3, 4)[1:2]]
    write(families / "data" / "new.jsonl", news)
    for path in (families / "old").rglob("*.parquet"):
        path.unlink()  # their texts are not needed
    monkeypatch.setattr(curating, "RECEIVER_BYTES", receiver_bytes)
    steps = [{"dedup.minhash": {"against": [str(folder)]}}]
    corpus = run(families, corpus_file(families, steps, "fresh", "new.jsonl"), f"new{receiver_bytes}")
    assert corpus["steps"][-1]["reasons"] == {"dedup.minhash": 1, "dedup.minhash.known": 2}
    table = kept(families, corpus, f"new{receiver_bytes}")
    assert table["text"].to_pylist() == [max(family(50, 2), key=len)]
    assert old["key"] != corpus["key"]


@pytest.mark.parametrize(
    ("step", "keys"), [("dedup.exact", {"license_key": "license"}), ("dedup.url", {"origin_key": "url"})]
)
def test_what_an_index_has_goes_before_all_that_is_new(tmp_path: Path, step: str, keys: dict[str, str]) -> None:
    """Of equal rank among the new ones (a licence is known, a date of the year 9999), ids decide; the index must not take part in that."""
    when = json.dumps({"date": "9999-12-31T23:59:00Z"})
    pages = [{"text": f"page {n}", "license": "MIT", "url": f"http://a.org/{n}", "meta": when} for n in range(12)]
    for name, more in (("old", "#old"), ("new", "#new")):
        rows = [{**page, "id": f"{name}{n}", "url": page["url"] + more} for n, page in enumerate(pages)]
        rows.append({"text": name, "id": name, "license": "MIT", "url": f"http://a.org/{name}", "meta": when})
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(tmp_path, corpus_file(tmp_path, [{step: {"index": True}}], "old", "old.jsonl", **keys), "old")
    folder = next((tmp_path / "old").rglob("index.json")).parent
    against = {step: {"against": [str(folder)], "max_dropped": 1}}
    corpus = run(tmp_path, corpus_file(tmp_path, [against], "new", "new.jsonl", **keys), "new")
    assert corpus["steps"][-1]["reasons"] == {f"{step}.known": 12}
    assert kept(tmp_path, corpus, "new")["text"].to_pylist() == ["new"]


def test_lines_of_an_index_go(tmp_path: Path) -> None:
    notice = "this notice stands on each of the pages here"
    for name in ("old", "new"):
        write(
            tmp_path / "data" / f"{name}.jsonl",
            [
                f"{name} page {number} has a text of its own, which is far longer than that\n{notice}"
                for number in range(4)
            ],
        )
    steps: list[Any] = [{"dedup.lines": {"min_words": 8, "index": True}}]
    run(tmp_path, corpus_file(tmp_path, steps, "old", "old.jsonl"), "old")
    folder = next((tmp_path / "old").rglob("index.json")).parent
    steps = [{"dedup.lines": {"min_words": 8, "against": [str(folder)]}}]
    corpus = run(tmp_path, corpus_file(tmp_path, steps, "new", "new.jsonl"), "new")
    texts = kept(tmp_path, corpus, "new")["text"].to_pylist()
    assert texts == [f"new page {number} has a text of its own, which is far longer than that" for number in range(4)]


@pytest.mark.parametrize("setting", [{"index": True}, {"against": ["folder"]}])
def test_what_means_something_in_one_corpus_only_has_no_index(tmp_path: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="is learned from its own corpus"):
        run(tmp_path, corpus_file(tmp_path, [{"dedup.semantic": setting}]))


def test_a_missing_index_is_told_before_anything_is_read(families: Path) -> None:
    steps = ["dedup.exact", {"dedup.minhash": {"against": ["nowhere"]}}]
    with pytest.raises(
        ManifestError, match=r"^\S*web\.yaml:1  steps\[1\]\.dedup\.minhash\.against\[0\]: no index is in"
    ):
        run(families, corpus_file(families, steps))
    assert not (families / "out").exists()


def test_an_index_that_cannot_be_used_is_refused(families: Path) -> None:
    run(families, corpus_file(families, [{"dedup.minhash": {"index": True, "ngram": 4}}]))
    folder = str(next((families / "out").rglob("index.json")).parent)
    step = Bound("dedup.minhash", STEPS["dedup.minhash"], {"ngram": 4, "threshold": 0.9})
    assert routing.open_index(folder, step).num_slices == 1
    with pytest.raises(ValueError, match=r"was made by dedup.minhash .*'ngram': 4.*use the same parameters"):
        routing.open_index(folder, step._replace(params={}))
    with pytest.raises(ManifestError, match=r"no index is in .*index: true"):
        run(families, corpus_file(families, [{"dedup.minhash": {"against": ["nowhere"]}}]))


def test_an_index_is_made_later_without_deduplicating_again(families: Path) -> None:
    first = run(families, corpus_file(families, ["dedup.minhash"]))
    parts = {part: (families / "out" / part).stat().st_mtime_ns for part in first["parts"]}
    again = run(families, corpus_file(families, [{"dedup.minhash": {"index": True}}]))
    assert again == first
    assert {part: (families / "out" / part).stat().st_mtime_ns for part in again["parts"]} == parts
    assert any((families / "out").rglob("index.json"))


def test_a_step_that_drops_nearly_all_stops_the_build(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.jsonl", [family(1, 1)[0]] * 30)
    with pytest.raises(
        BuildError, match=r"dropped 29 of 30 documents \(96.67 %\), and max_dropped allows 95 %.*cluster"
    ):
        run(tmp_path, corpus_file(tmp_path, ["dedup.exact"]))
    rejects = next((tmp_path / "out").rglob("dedup.exact-*/rejects.parquet"))  # the message names it
    assert pq.read_table(rejects).num_rows == 29
    corpus = run(tmp_path, corpus_file(tmp_path, [{"dedup.exact": {"max_dropped": 1}}]))
    assert corpus["steps"][-1]["documents_out"] == 1
    with pytest.raises(BuildError, match=r"dropped 30 of 30.*length.long 30"):
        run(tmp_path, corpus_file(tmp_path, [{"filter.length": {"max_chars": 9, "max_dropped": 0.99}}]))


def test_a_step_may_stand_twice(tmp_path: Path) -> None:
    """Next to each other, and around an exchange: each is counted on its own, and shows its own rejects."""
    write(tmp_path / "data" / "a.jsonl", ["x" * size for size in (2, 4, 6, 6, 8, 10)])
    lengths = [{"filter.length": {"min_chars": 3}}, {"filter.length": {"max_chars": 9}}]
    corpus = run(tmp_path, corpus_file(tmp_path, [*lengths, "dedup.exact", "dedup.exact", *lengths]))
    counts = [(step["documents_in"], step["documents_out"], step["reasons"]) for step in corpus["steps"]]
    assert counts[:4] == [
        (6, 6, {}), (6, 5, {"length.short": 1}), (5, 4, {"length.long": 1}), (4, 3, {"dedup.exact": 1})
    ]  # fmt: skip
    assert counts[4:] == [(3, 3, {})] * 3
    folder = tmp_path / "out" / "corpora" / "web"
    samples = [folder / f"{step['step']}-{step['key'][:12]}" / "rejects.parquet" for step in corpus["steps"]]
    assert [pq.read_table(path)["reason"].to_pylist() for path in samples[1:3]] == [["length.short"], ["length.long"]]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"max_dropped": 3}, "3 is no share"),
        ({"index": 1}, "1 is not true or false"),
        ({"against": "folder"}, "'folder' is no list of folders"),
    ],
)
def test_what_the_engine_is_told_is_checked(tmp_path: Path, params: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        run(tmp_path, corpus_file(tmp_path, [{"dedup.minhash": params}]))
    if "max_dropped" not in params:
        with pytest.raises(ManifestError, match="is not a parameter of this step"):
            run(tmp_path, corpus_file(tmp_path, [{"filter.length": params}]))


def test_what_is_found_reaches_its_rows(tmp_path: Path) -> None:
    """Slices by partition, whatever the order in which receivers speak."""
    found = pa.table(
        {"doc": pa.array([(2 << 32) + 5, 7, (2 << 32) + 1], pa.uint64()), "line": pa.array([1, 2, 3], pa.uint64())}
    )
    routing._write_found(str(tmp_path / "f"), found, 3)
    assert exchange.read_slice([str(tmp_path / "f")], 2)["line"].to_pylist() == [1, 3]
    assert exchange.read_slice([str(tmp_path / "f")], 1).num_rows == 0


def test_an_object_store_holds_the_same_parts_and_serves_an_index(
    families: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curating, "RECEIVER_BYTES", 6_000)  # three receivers, two rounds
    file = corpus_file(families, ["dedup.exact", {"dedup.minhash": {"index": True}}], paths="[ab].jsonl")
    local = run(families, file)
    there = curate_files([file], f"{s3}/out", str(families / "data"), InProcess(), lambda *_: None)["corpora"]["web"]
    assert there == local
    for part in local["parts"]:
        assert store.read_bytes(f"{s3}/out/{part}") == (families / "out" / part).read_bytes()
    index = f"{s3}/out/{local['parts'][0].rpartition('/')[0]}/index"
    write(families / "data" / "new.jsonl", [family(3, 4)[1], *family(50, 1)])
    fresh = run(families, corpus_file(families, [{"dedup.minhash": {"against": [index]}}], "fresh", "new.jsonl"))
    assert fresh["steps"][-1]["reasons"] == {"dedup.minhash.known": 1}
