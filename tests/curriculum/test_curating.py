"""Corpus files are found with what they need, and those that ship are valid."""

from pathlib import Path

import pytest

from curriculum.corpus import load_corpus_files
from curriculum.curating import find, with_needed
from curriculum.document import ManifestError

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
