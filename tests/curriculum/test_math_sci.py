"""The corpora of mathematics and science that ship as an example, and the recall loop through the engine."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.quality import reference
from curriculum.corpus import load_corpus_files
from curriculum.curating import curate_files, find, with_needed
from datapipe.engine import InProcess

MATHS, CHATTER = "theorem proof lemma integral prime", "offer shop cheap football recipe"


def test_the_shipped_corpora_load() -> None:
    corpora = load_corpus_files(with_needed([path for name in ("math_sci", "papers") for path in find(name)]))
    assert set(corpora) == {"math_sci", "papers", "math_seed", "evals"}
    rounds = [step.params["round"] for step in corpora["math_sci"].steps if step.name == "recall.round"]
    assert rounds == [1, 2, 3, 4]
    assert corpora["math_sci"].bucket_epochs == {"high": 2.0, "medium": 1.0}
    assert corpora["papers"].bucket_epochs == {"long": 2.0, "usual": 2.0, "short": 1.0}
    assert sum(corpora["papers"].bucket_shares.values()) == pytest.approx(1)


def rows(seed: int, count: int, vocabulary: str, site: str) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    words = [*vocabulary.split(), "the", "and", "of"]
    return [{"text": " ".join(rng.choice(words, 40)), "url": f"https://{site}/{n}"} for n in range(count)]


def write(folder: Path, name: str, found: list[dict[str, str]], steps: list[Any]) -> str:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    source = {"reader": "jsonl", "paths": [f"{name}.jsonl"], "origin_key": "url", "split_bytes": 8_000}
    (folder / f"{name}.yaml").write_text(json.dumps({"kind": "web", "source": source, "steps": steps}))
    return str(folder / f"{name}.yaml")


def test_the_report_tells_what_each_round_yielded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "LEAST_UPDATES", 2_000)
    settings = {"reference": "seed", "share": 0.5, "dim": 4, "ngram": 1, "buckets": 500}
    steps: list[Any] = [{"recall.round": {**settings, "round": number}} for number in (1, 2, 3, 4)]
    hidden = [{**row, "url": f"{row['url']}/hidden"} for row in rows(6, 10, CHATTER, "maths.org/proofs")]
    pages = [*rows(1, 30, MATHS, "maths.org/proofs"), *hidden, *rows(4, 100, CHATTER, "shop.org")]
    files = [
        write(tmp_path, "seed", rows(5, 40, MATHS, "seed.org"), []),
        write(tmp_path, "web", pages, [*steps, "filter.recalled"]),
    ]
    web = curate_files(files, str(tmp_path / "out"), str(tmp_path), InProcess(), lambda *_: None)["corpora"]["web"]
    told = [step["about"] for step in web["steps"] if step["step"] == "recall.round"]
    assert [(each.get("by_rank", 0), each.get("by_folder", 0)) for each in told] == [(30, 0), (0, 10), (0, 0), (0, 0)]
    assert told[1]["such_as"] == ["maths.org/proofs"]
    assert told[3]["ended"].startswith("round 3 yielded less")
    last = web["steps"][-1]
    assert last["reasons"] == {"recall.not_found": 100}
    assert last["documents_out"] == 40
