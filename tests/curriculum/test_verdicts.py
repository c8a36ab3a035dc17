"""Steps that learn from a corpus, a reference or labels, through the engine: what is made, what is told, and what a key depends on."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curriculum import curate as curating
from curriculum.corpus import load_corpus_files
from curriculum.curating import curate_files
from curriculum.document import ManifestError
from curriculum.segment import BuildError
from datapipe.engine import InProcess

WORDS = [
    f"{first}{second}"
    for first in ("ba", "ko", "ri", "tu", "mo")
    for second in ("len", "sar", "vit", "dop", "gem", "hul")
]


def prose(seed: int, num_words: int = 90) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(WORDS[index] for index in rng.integers(0, len(WORDS), num_words))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def corpus_file(folder: Path, name: str, steps: list[Any]) -> str:
    source = {"reader": "jsonl", "paths": [f"{name}*.jsonl"], "split_bytes": 4_000, "id_key": "id"}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({"kind": "web", "source": source, "steps": steps}))
    return str(path)


def run(folder: Path, *files: str, out: str = "out") -> dict[str, Any]:
    return curate_files(list(files), str(folder / out), str(folder / "data"), InProcess(), lambda *_: None)["corpora"]


def kept(folder: Path, corpus: dict[str, Any], out: str = "out") -> pa.Table:
    return pa.concat_tables(pq.read_table(folder / out / part) for part in corpus["parts"])


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    """Two benchmarks of 30 questions, and pages of which three hold one."""
    data = tmp_path / "data"
    write(data / "evals-alpha.jsonl", [{"text": prose(1_000 + n, 40)} for n in range(30)])
    write(data / "evals-beta.jsonl", [{"text": prose(2_000 + n, 40)} for n in range(30)])
    pages = [prose(n) for n in range(12)]
    for page, question in ((2, 1_004), (5, 2_007), (7, 2_009)):
        pages[page] += ". " + prose(question, 40).upper()
    write(data / "web.jsonl", [{"text": text, "id": f"page{n}"} for n, text in enumerate(pages)])
    return tmp_path


def test_a_reference_is_learned_before_the_corpus_is_read(benchmarks: Path) -> None:
    web = corpus_file(benchmarks, "web", ["filter.length", {"filter.decontaminate": {"reference": "evals"}}])
    corpora = run(benchmarks, web, corpus_file(benchmarks, "evals", []))
    step = corpora["web"]["steps"][-1]
    assert step["reasons"] == {"decontaminate.evals-alpha": 1, "decontaminate.evals-beta": 2}
    assert step["about"]["items"] == 60
    assert step["about"]["reference"] == {"corpus": "evals", "documents": 60, "unreadable": 0}
    assert sorted(one.rpartition("#")[2] for one in kept(benchmarks, corpora["web"])["origin"].to_pylist()) == sorted(
        f"page{n}" for n in range(12) if n not in (2, 5, 7)
    )
    folders = {
        path.parent.name.partition("-")[0] for path in (benchmarks / "out/corpora/web").rglob("part-00000.parquet")
    }
    assert folders == {"filter.decontaminate"}  # one pass
    rejects = next((benchmarks / "out/corpora/web").rglob("filter.decontaminate-*/rejects.parquet"))
    assert all("evals-" in row["meta"] for row in pq.read_table(rejects).to_pylist())


def test_another_reference_is_another_key(benchmarks: Path) -> None:
    web = corpus_file(benchmarks, "web", [{"filter.decontaminate": {"reference": "evals"}}])
    first = run(benchmarks, web, corpus_file(benchmarks, "evals", []))["web"]
    write(benchmarks / "data" / "evals-gamma.jsonl", [{"text": kept(benchmarks, first)["text"][0].as_py()}])
    again = run(benchmarks, web, corpus_file(benchmarks, "evals", []))["web"]
    assert again["key"] != first["key"]
    assert again["steps"][-1]["reasons"]["decontaminate.evals-gamma"] == 1


def test_a_reference_must_be_among_the_files(benchmarks: Path) -> None:
    web = corpus_file(benchmarks, "web", [{"filter.decontaminate": {"reference": "evals"}}])
    with pytest.raises(ManifestError, match="no corpus 'evals' is here"):
        run(benchmarks, web)


SEMANTIC = [
    {"embed.words": {"dim": 32}},
    {"cluster.kmeans": {"centroids": 3}},
    {"dedup.semantic": {"max_cosine_distance": 0.2}},
]


def test_template_pages_go_whatever_the_number_of_receivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of one template share nearly all words, in another order."""
    rng = np.random.default_rng(0)
    template = [f"slot{n}" for n in range(40)]
    pages = [" ".join([*rng.permutation(template), f"item{n}"]) for n in range(8)]
    others = [prose(n, 60) + f" own{n} other{n} alone{n}" for n in range(20)]
    rows = [{"text": text, "id": str(n)} for n, text in enumerate(pages + others)]
    write(tmp_path / "data" / "web1.jsonl", rows[::2])
    write(tmp_path / "data" / "web2.jsonl", rows[1::2])
    file = corpus_file(tmp_path, "web", SEMANTIC)
    once = run(tmp_path, file, out="one")["web"]
    assert once["steps"][-1]["reasons"]["dedup.semantic"] >= 7
    table = kept(tmp_path, once, "one")
    assert sum("slot1 " in text for text in table["text"].to_pylist()) == 1
    assert "embedding" not in table.column_names
    monkeypatch.setattr(curating, "RECEIVER_BYTES", 2_000)
    many = run(tmp_path, file, out="many")["web"]
    assert many["parts"] == once["parts"]
    for part in once["parts"]:
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "many" / part).read_bytes()
    rejects = next((tmp_path / "one").rglob("dedup.semantic-*/rejects.parquet"))
    noted = [json.loads(row["meta"])["semantic"] for row in pq.read_table(rejects).to_pylist()]
    assert all(0 <= one["distance"] <= 0.2 and len(one["kept"]) == 16 for one in noted)


def labelled(folder: Path) -> Path:
    """60 documents whose label is how often they say `good`, and the labels of 50 of them in a file."""
    texts = [prose(n, 40) + " good" * (n % 6) for n in range(60)]
    write(folder / "data" / "web.jsonl", [{"text": text, "id": str(n)} for n, text in enumerate(texts)])
    write(folder / "data" / "labels.jsonl", [{"text": text, "label": n % 6} for n, text in enumerate(texts[:50])])
    return folder / "data" / "labels.jsonl"


def test_a_score_is_learned_from_a_file_of_labels(tmp_path: Path) -> None:
    labels = labelled(tmp_path)
    file = corpus_file(tmp_path, "web", [{"score.educational": {"labels": {"file": "labels.jsonl"}, "folds": 2}}])
    first = run(tmp_path, file)["web"]
    scores = kept(tmp_path, first)["educational"].to_numpy()
    wanted = [text.split().count("good") for text in kept(tmp_path, first)["text"].to_pylist()]
    assert np.corrcoef(scores, wanted)[0, 1] > 0.9
    assert first["steps"][-1]["about"]["held_out"]["spearman"] > 0.5
    assert not [*(tmp_path / "out").rglob("exchange-*")]  # one pass
    labels.write_text(labels.read_text() + json.dumps({"text": "more", "label": 1}) + "\n")
    assert run(tmp_path, file)["web"]["key"] != first["key"]


def test_a_teacher_is_asked_once_about_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the endpoint does is `synth.labels`' business; here: who is asked about what, and where answers go."""
    labelled(tmp_path)
    asked: list[dict[str, Any]] = []

    def label_documents(
        *, output: str, sample: list[str], teacher: dict[str, Any], cache: str, max_examples: int = 9
    ) -> dict[str, Any]:
        rows = pa.concat_tables([pa.ipc.open_file(path).read_all() for path in sample])
        asked.append({"rows": rows.num_rows, "cache": cache, "max_examples": max_examples})
        values = pa.array([float(text.split().count("good")) for text in rows["text"].to_pylist()])
        table = pa.table({"id": rows["id"], "text": rows["text"], "label": values})
        with pa.OSFile(output, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return {"labels": table.num_rows}

    monkeypatch.setattr("synth.labels.label_documents", label_documents)
    teacher = {"base_url": "http://localhost:1/v1", "model": "m"}
    step = {"score.educational": {"teacher": teacher, "folds": 0, "max_examples": 45}}
    file = corpus_file(tmp_path, "web", [step])
    first = run(tmp_path, file)["web"]
    assert asked == [{"rows": 45, "cache": str(tmp_path / "out" / "answers"), "max_examples": 45}]
    assert first["steps"][-1]["about"]["labelling"] == {"labels": 45}
    teacher["base_url"] = "http://elsewhere:1/v1"  # context
    assert run(tmp_path, corpus_file(tmp_path, "web", [step]))["web"] == first
    teacher["model"] = "another"
    assert run(tmp_path, corpus_file(tmp_path, "web", [step]))["web"]["key"] != first["key"]
    assert len(asked) == 2
    teacher["modle"] = "typo"
    with pytest.raises(ManifestError, match="teacher has no 'modle': type model"):
        run(tmp_path, corpus_file(tmp_path, "web", [step]))


def test_two_filters_of_one_name_have_rejects_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "web.jsonl", [{"id": str(size), "text": prose(size, size)} for size in (2, 5, 9)])
    path = corpus_file(tmp_path, "web", [{"filter.length": {"min_chars": 20}}, {"filter.length": {"min_chars": 40}}])
    curated = curate_files([path], str(tmp_path / "out"), str(tmp_path), InProcess(), lambda *_: None)
    steps = curated["corpora"]["web"]["steps"][1:]
    assert [step["documents_out"] for step in steps] == [2, 1]
    sizes = []
    for step in steps:
        rejects = tmp_path / "out" / "corpora" / "web" / f"filter.length-{step['key'][:12]}" / "rejects.parquet"
        sizes.append([len(text.split()) for text in pq.read_table(rejects)["text"].to_pylist()])
    assert sizes == [[2], [5]]


def test_what_a_map_counts_is_added_up(tmp_path: Path) -> None:
    rows = [{"text": f"{prose(n)} a{n}@mail-{n}.org and b{n}@mail.net", "id": str(n)} for n in range(30)]
    write(tmp_path / "data" / "web1.jsonl", rows[:11])
    write(tmp_path / "data" / "web2.jsonl", rows[11:])
    corpus = run(tmp_path, corpus_file(tmp_path, "web", ["pii.replace", "filter.length"]))["web"]
    assert [step["about"] for step in corpus["steps"]] == [{}, {"email": 60}, {}]
    assert kept(tmp_path, corpus).schema.metadata in (None, {})


def test_labels_in_a_broken_arrow_file(tmp_path: Path) -> None:
    write(tmp_path / "data" / "web.jsonl", [{"text": prose(1), "id": "a"}])
    (tmp_path / "data" / "labels.arrow").write_text("junk")
    with pytest.raises(
        BuildError, match=r"^corpus web: score\.educational: .*labels\.arrow is no Arrow file .*JSON lines"
    ):
        run(tmp_path, corpus_file(tmp_path, "web", [{"score.educational": {"labels": {"file": "labels.arrow"}}}]))


def test_files_of_the_data_are_missed_before_anything_is_read(tmp_path: Path, s3: str) -> None:
    labelled(tmp_path)
    (tmp_path / "data" / "folder").mkdir()
    steps = "".join(
        f"  - {step}:\n      labels:\n        file: {file}\n"
        for step, file in (
            ("score.educational", "labels.jsonl"),
            ("score.educational", "lables.jsonl"),
            ("score.code", f"{s3}/labels.jsonl"),
            ("score.code", "folder"),
        )
    )
    steps = steps.replace(
        "      labels:\n        file: lables", "      column: again\n      labels:\n        file: lables"
    )
    steps = steps.replace(
        "      labels:\n        file: folder", "      column: more\n      labels:\n        file: folder"
    )
    path = tmp_path / "web.yaml"
    source = "kind: web\nsource: {reader: jsonl, paths: [web.jsonl]}\n"
    path.write_text(f"{source}steps:\n{steps}  - dedup.minhash: {{against: [nowhere]}}\n")
    with pytest.raises(ManifestError) as refused:
        run(tmp_path, str(path))
    assert [problem.partition("  ")[0].rpartition(":")[2] for problem in refused.value.problems] == [
        "10",
        "13",
        "17",
        "18",
    ]
    wanted = (
        r"steps\[1\]\.score\.educational\.labels\.file: \S+/data/lables\.jsonl: no such file: check the path; the nearest .*/data'\.$",
        r"steps\[2\]\.score\.code\.labels\.file: s3://tokenloom-test/labels\.jsonl: .*: .*",
        r"steps\[3\]\.score\.code\.labels\.file: \S+/data/folder: Is a directory: check the path",
        r"steps\[4\]\.dedup\.minhash\.against\[0\]: no index is in \S+/data/nowhere\. Name the folder",
    )
    for problem, said in zip(refused.value.problems, wanted, strict=True):
        assert re.search(said, problem)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ManifestError, match=r"against\[0\]: s3://no-such-bucket/index/index\.json: "):
        run(tmp_path, corpus_file(tmp_path, "web", [{"dedup.minhash": {"against": ["s3://no-such-bucket/index"]}}]))


def test_what_was_missing_may_come_later(tmp_path: Path) -> None:
    """A manifest that was read once is checked anew with every build."""
    labels = labelled(tmp_path)
    file = corpus_file(tmp_path, "web", [{"score.educational": {"labels": {"file": "labels.jsonl"}, "folds": 2}}])
    corpora, away = load_corpus_files([Path(file)]), labels.rename(labels.with_suffix(".away"))
    arguments = (corpora["web"], str(tmp_path / "out"), str(tmp_path / "data"))
    with pytest.raises(ManifestError, match="no such file"):
        next(curating.curate(*arguments))
    away.rename(labels)
    assert next(curating.curate(*arguments))
