"""Corpus files are found with what they need, those that ship are valid, and a folder remembers what several calls put there."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from curriculum.built import documents_of, parts_of
from curriculum.corpus import load_corpus_files
from curriculum.curating import CURATED, curate_files, find, with_needed
from curriculum.document import ManifestError
from datapipe import store
from datapipe.engine import InProcess

CORPORA = Path(__file__).resolve().parents[2] / "manifests" / "corpora"


def test_a_shipped_corpus_and_a_shipped_set_are_found_by_name(tmp_path: Path) -> None:
    assert find("web") == [CORPORA / "web.yaml"]
    assert find("quickstart") == sorted((CORPORA / "quickstart").glob("*.yaml"))
    assert find(str(CORPORA / "evals.yaml")) == [CORPORA / "evals.yaml"]
    for name in ("wbe", str(tmp_path), "..", ""):
        with pytest.raises(
            ManifestError, match=r"no such file. Give .*, or names of shipped ones: .*quickstart, .*web"
        ):
            find(name)


def test_what_a_corpus_refers_to_is_found_beside_it(tmp_path: Path) -> None:
    source = "kind: web\nsource: {reader: jsonl, paths: [a]}\n"
    files = {
        "web": source + "steps: [dedup.exact, {score.quality: {reference: books}}, {score.quality: {reference: 3}}]\n",
        "books": source + "steps: [{filter.decontaminate: {reference: evals}}, {score.quality: {reference: absent}}]\n",
        "evals": source + "steps: not a list\n",
        "qa": "kind: qa\nsource: {generator: qa, from: [web, books, [evals]]}\n",
        "other": source,
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    assert [path.stem for path in with_needed([tmp_path / "qa.yaml"])] == ["qa", "web", "books", "evals"]
    elsewhere = tmp_path / "mine" / "books.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(source)
    assert with_needed([tmp_path / "web.yaml", elsewhere]) == [tmp_path / "web.yaml", elsewhere]


@pytest.mark.parametrize("name", sorted(path.stem for path in CORPORA.glob("*.yaml")))
def test_the_shipped_corpora_load(name: str) -> None:
    corpora = load_corpus_files(with_needed(find(name)))
    assert name in corpora
    assert all({*corpus.references, *corpus.generated_from} <= set(corpora) for corpus in corpora.values())


def test_the_web_corpus_has_its_buckets_and_lists() -> None:
    web = load_corpus_files(with_needed(find("web")))["web"]
    assert web.bucket_epochs == {"high": 3.2, "medium_high": 2.0, "medium": 1.0, "medium_low": 0.5}
    words = next(step for step in web.steps if step.name == "filter.words").params
    assert "casino bonus ohne einzahlung" in words["languages"]["de"]["words"]


def test_a_value_of_the_wrong_type_is_said_once(tmp_path: Path) -> None:
    """Its step is not asked what it thinks of the value."""
    path = tmp_path / "search.yaml"
    path.write_text("kind: agent\nsource: {generator: search, from: [search], obfuscation: high}\n")
    with pytest.raises(ManifestError) as error:
        load_corpus_files([path])
    assert [problem for problem in error.value.problems if "obfuscation" in problem or "<=" in problem] == [
        next(problem for problem in error.value.problems if "'high' is not of type float" in problem)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Corpus files: `web`, `talks` made from it, `books`; and their data."""
    sentence = "The engine was first described by Ada Lovelace in the notes of 1843. "
    (tmp_path / "web.jsonl").write_text(json.dumps({"text": f"# Engine\n\n{sentence}"}) + "\n")
    (tmp_path / "books.jsonl").write_text(json.dumps({"text": f"# Notes\n\n{sentence * 2}"}) + "\n")
    for name in ("web", "books"):
        (tmp_path / f"{name}.yaml").write_text(f"kind: web\nsource: {{reader: jsonl, paths: [{name}.jsonl]}}\n")
    (tmp_path / "talks.yaml").write_text("kind: book\nsource: {generator: gather, from: [web]}\n")
    return tmp_path


def curated(folder: Path, *names: str) -> list[str]:
    """Curates these corpora; returns those that OUT/curated.json has then."""
    files = [str(folder / f"{name}.yaml") for name in names]
    told = curate_files(files, str(folder / "out"), str(folder), InProcess(), lambda *_: None)
    assert set(names) <= set(told["corpora"])
    return list(recorded(folder))


def recorded(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "out" / CURATED).read_text())["corpora"])


def test_a_later_call_keeps_what_earlier_ones_recorded(folder: Path) -> None:
    assert curated(folder, "books") == ["books"]
    before = recorded(folder)["books"]
    assert curated(folder, "web") == ["books", "web"]
    assert recorded(folder)["books"] == before
    for name in ("books", "web"):
        assert sum(table.num_rows for table in documents_of(str(folder / "out"), name)) == 1
    one_call = folder / "one call"
    one_call.mkdir()
    for file in folder.glob("*.*"):
        shutil.copy(file, one_call)
    curated(one_call, "web", "books")
    assert (one_call / "out" / CURATED).read_bytes() == (folder / "out" / CURATED).read_bytes()


def test_a_folder_may_have_any_name(folder: Path) -> None:
    root = folder / "run [2]*?"
    curate_files([str(folder / "books.yaml")], str(root), str(folder), InProcess(), lambda *_: None)
    assert list(json.loads((root / CURATED).read_text())["corpora"]) == ["books"]


def test_a_corpus_whose_documents_are_gone_is_not_recorded_any_more(folder: Path) -> None:
    curated(folder, "books")
    shutil.rmtree(Path(parts_of(str(folder / "out"), "books")[0]).parent)
    assert curated(folder, "web") == ["web"]
    with pytest.raises(store.StoreError, match=r"holds no corpus 'books'\n.*or `curate` it"):
        parts_of(str(folder / "out"), "books")


def test_a_corpus_made_from_one_that_has_changed_is_not_recorded_any_more(folder: Path) -> None:
    assert curated(folder, "talks") == ["talks", "web"]
    assert curated(folder, "web") == ["talks", "web"]
    (folder / "web.yaml").write_text((folder / "web.yaml").read_text() + "steps: [dedup.exact]\n")
    assert curated(folder, "web") == ["web"]
    assert curated(folder, "talks") == ["talks", "web"]


def test_calls_at_once_do_not_lose_each_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other call comes and goes between this one's look at the entries and its write."""
    write, others = store.write_bytes, ["books"]

    def late(path: str, data: bytes) -> None:
        if path == str(folder / "out" / CURATED) and others:
            assert curated(folder, others.pop()) == ["books", "web"]  # ours is written already, beside its documents
        write(path, data)

    monkeypatch.setattr(store, "write_bytes", late)
    assert curated(folder, "web") == ["books", "web"]
    assert others == []
