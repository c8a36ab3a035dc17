"""The web corpora that ship as an example are valid, and their steps are those of the table."""

from pathlib import Path

import pytest

from curriculum.corpus import load_corpus_files
from curriculum.curating import find
from curriculum.document import ManifestError

WEB = Path(__file__).resolve().parents[2] / "manifests" / "corpora" / "web"


def test_a_shipped_set_is_found_by_name(tmp_path: Path) -> None:
    assert find("web") == sorted(WEB.glob("*.yaml"))
    assert find(str(WEB / "evals.yaml")) == [WEB / "evals.yaml"]
    for name in ("wbe", str(tmp_path), ".."):
        with pytest.raises(ManifestError, match=r"no such file. Give .* or a shipped set of them: quickstart, web"):
            find(name)


def test_the_shipped_web_corpora_load() -> None:
    corpora = load_corpus_files(sorted(WEB.glob("*.yaml")))
    web = corpora["web"]
    assert set(web.references) == set(corpora) - {"web"}
    assert web.bucket_epochs == {"high": 3.2, "medium_high": 2.0, "medium": 1.0, "medium_low": 0.5}
    words = next(step for step in web.steps if step.name == "filter.words").params
    assert "casino bonus ohne einzahlung" in words["languages"]["de"]["words"]
