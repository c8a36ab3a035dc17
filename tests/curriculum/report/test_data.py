import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curriculum.lock import FORMAT
from curriculum.report.data import ReportError, bucket_order, corpus_names, read_lock, read_plan
from datapipe.store import StoreError


def test_the_lock_is_read_as_it_stands(full_build: Path) -> None:
    raw = json.loads((full_build / "lock.json").read_text())
    lock = read_lock(str(full_build))
    assert lock is not None
    assert (lock.name, lock.version, lock.seed) == (raw["name"], raw["version"], raw["seed"])
    for corpus in lock.corpora:
        data = raw["corpora"][corpus.name]
        assert corpus.documents == sum(bucket["documents"] for bucket in data["buckets"].values())
        assert corpus.tokens == sum(bucket["tokens"] for bucket in data["buckets"].values())
        assert [step.dropped for step in corpus.steps] == [sum(step["reasons"].values()) for step in data["steps"]]
    assert sum(s.size_bytes for s in lock.shards) == sum(f["bytes"] for s in raw["shards"] for f in s["files"])


def test_buckets_stand_by_how_often_they_are_repeated(full_build: Path) -> None:
    lock = read_lock(str(full_build))
    assert lock is not None
    web = next(corpus for corpus in lock.corpora if corpus.name == "web")
    assert [bucket.name for bucket in web.buckets] == ["high", "medium_high", "medium", "medium_low", "low"]
    assert bucket_order(lock, ["web/low", "new/x", "web/high", "new/a"]) == ["web/high", "web/low", "new/x", "new/a"]
    assert bucket_order(None, ["web/medium", "web/low", "web/medium"]) == ["web/medium", "web/low"]


def test_a_generator_adds_documents(full_build: Path) -> None:
    lock = read_lock(str(full_build))
    assert lock is not None
    step = lock.corpora[0].steps[0]
    made = type(step)("synth.qa", "0", 10, 25, 0, 0, {"unverified": 5}, {}, {})
    assert (made.dropped, made.added) == (5, 20)


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_lock(str(tmp_path)) is None
    assert read_plan(str(tmp_path)) is None
    assert corpus_names(None, None) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [(f'"format": {FORMAT}', '"format": 9', f"has format 9, not {FORMAT}"), ("{", "", "is damaged")],
)
def test_a_lock_that_cannot_be_read_is_refused(
    build: Callable[..., Path], tmp_path: Path, old: str, new: str, told: str
) -> None:
    build(tmp_path, steps=0, plan=False, rejects=False)
    path = tmp_path / "lock.json"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(StoreError, match=rf"lock\.json: {told}"):
        read_lock(str(tmp_path))


def test_a_plan_of_another_format_is_refused(build: Callable[..., Path], tmp_path: Path) -> None:
    build(tmp_path, steps=0, lock=False, rejects=False)
    (tmp_path / "plan.json").write_text('{"format": 1}')
    with pytest.raises(ReportError, match=r"plan\.json: plan\.json has format 1, .* run `tokenloom build` again"):
        read_plan(str(tmp_path))


def test_packing_is_told_in_words(full_build: Path) -> None:
    lock = read_lock(str(full_build))
    assert lock is not None
    words = {(s.corpus, s.seq_len): s.packing for s in lock.shards}
    assert words["web", 256] == "concat"
    assert words["repos", 1024] == "best_fit, together"
    assert words["math", 1024] == "best_fit, gaps filled by qa"
    assert words["qa", 1024] == "best_fit, fills gaps of others"
    assert [s.filled > 0 for s in lock.shards] == [(s.corpus, s.seq_len) == ("math", 1024) for s in lock.shards]
