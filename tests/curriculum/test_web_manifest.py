"""The web corpora that ship as an example are valid, and their steps are those of the table."""

from pathlib import Path

from curriculum.corpus import load_corpus_files

WEB = Path(__file__).resolve().parents[2] / "manifests" / "corpora" / "web"


def test_the_shipped_web_corpora_load() -> None:
    corpora = load_corpus_files(sorted(WEB.glob("*.yaml")))
    web = corpora["web"]
    assert set(web.references) == set(corpora) - {"web"}
    assert web.bucket_epochs == {"high": 3.2, "medium_high": 2.0, "medium": 1.0, "medium_low": 0.5}
    words = next(step for step in web.steps if step.name == "filter.words").params
    assert "casino bonus ohne einzahlung" in words["languages"]["de"]["words"]
