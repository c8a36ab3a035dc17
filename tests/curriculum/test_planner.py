"""Plans are exact: rows, steps, shares, and what is refused."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from curriculum.corpus import Corpus
from curriculum.document import Document, ManifestError
from curriculum.manifest import TRAINING_DEFAULTS, Manifest, StageSpec
from curriculum.model_shape import ModelShape
from curriculum.plan import Plan
from curriculum.planner import make_plan

SHAPE = ModelShape("m", 1000, 2, 1, 64, 4, 2, 16, 128, 4, 2, 32, 32, 1.0, True, True, 0.5, 1, 1e-5, 0.02)
STAGE = StageSpec("one", 1_000_000, 256, "concat", 2048, 2048, 0, {"web": 0.7, "code": 0.3}, {}, 1e4, 0.001, 0.3)


def manifest(tmp_path: Path, *stages: StageSpec, declared: int | None = 10**6) -> Manifest:
    path = tmp_path / "m.yaml"
    path.write_text(
        "stages:\n" + "".join(f"  - name: {s.name}\n    tokens: {s.tokens}\n    mix:\n      web: 1\n" for s in stages)
    )
    corpora = {name: Corpus(name, "web", {}, (), declared) for name in ("web", "code")}
    return Manifest("m", "1", 7, SHAPE, {}, corpora, stages, TRAINING_DEFAULTS, 2**20, {"": Document(path, "m.yaml")})


def shard_set(corpus: str, bucket: str, rows: int) -> dict[str, Any]:
    files = [{"path": f"shards/{corpus}/{bucket}/shard-0", "rows": rows}]
    return {"corpus": corpus, "bucket": bucket, "pack": "concat", "seq_len": 256, "rows": rows, "files": files}


LOCK = {
    "tokenizer": {"path": "t", "sha256": "0", "vocab_size": 1000, "eos_id": 0},
    "shards": [shard_set("web", "all", 3000), shard_set("code", "all", 600)],
}


def test_rows_steps_and_shares_are_exact(tmp_path: Path) -> None:
    plan, warnings = make_plan(manifest(tmp_path, STAGE), LOCK)
    stage = plan.stages[0]
    assert (stage.steps, stage.rows, stage.tokens) == (488, 3904, 999_424)
    assert [source.name for source in stage.sources] == ["web/all", "code/all"]
    assert sum(source.rows_planned for source in stage.sources) == stage.rows
    assert abs(stage.sources[0].rows_planned - 0.7 * stage.rows) <= 3
    assert stage.sources[-1].bound == 2**64
    assert not warnings


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan, _ = make_plan(manifest(tmp_path, STAGE), LOCK)
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).digest() == plan.digest()


def test_a_batch_ramp_is_a_staircase_of_whole_rows(tmp_path: Path) -> None:
    ramp = dataclasses.replace(STAGE, batch_from=1024, batch_to=4096, batch_over=400_000)
    stage = make_plan(manifest(tmp_path, ramp), LOCK)[0].stages[0]
    sizes = [stage.batch_rows(step) for step in range(stage.steps)]
    assert (sizes[0], sizes[-1], sum(sizes)) == (4, 16, stage.rows)
    assert sizes == sorted(sizes)
    reached = stage.rows_before(next(step for step, rows in enumerate(sizes) if rows == 16)) * 256
    assert reached == pytest.approx(400_000, rel=0.05)
    assert stage.tokens <= ramp.tokens


def test_stages_follow_each_other(tmp_path: Path) -> None:
    plan, _ = make_plan(manifest(tmp_path, STAGE, dataclasses.replace(STAGE, name="two")), LOCK)
    assert plan.locate(487) == (0, 487)
    assert plan.locate(488) == (1, 0)
    assert plan.tokens_before(1, 0) == plan.stages[0].tokens
    assert plan.stages[0].seed != plan.stages[1].seed
    with pytest.raises(ValueError, match="976 steps"):
        plan.locate(976)


def test_buckets_share_a_corpus_by_epochs_times_rows(tmp_path: Path) -> None:
    from curation.steps import Step
    from curriculum.corpus import StepSpec

    rank = StepSpec("bucket.rank", Step("corpus", "x:y", 1), {"epochs": {"high": 3, "low": 1, "none": 0}})
    made = manifest(tmp_path, dataclasses.replace(STAGE, mix={"web": 1.0}))
    made.corpora["web"] = dataclasses.replace(made.corpora["web"], steps=(rank,))
    lock = {**LOCK, "shards": [shard_set("web", "high", 1000), shard_set("web", "low", 3000)]}
    high, low = make_plan(made, lock)[0].stages[0].sources
    assert high.epochs == pytest.approx(3 * low.epochs, rel=0.01)


def test_too_many_epochs_are_refused_with_numbers_to_type(tmp_path: Path) -> None:
    greedy = dataclasses.replace(STAGE, max_epochs={"code": 1.5})
    with pytest.raises(ManifestError) as caught:
        make_plan(manifest(tmp_path, greedy), LOCK)
    assert "2.0 epochs, max_epochs allows 1.5" in str(caught.value)
    assert "Lower the share to 0.231, raise max_epochs.code to 2" in str(caught.value)


def test_many_epochs_without_a_limit_are_a_warning(tmp_path: Path) -> None:
    small = {**LOCK, "shards": [shard_set("web", "all", 3000), shard_set("code", "all", 60)]}
    assert "code is seen 19.5 times" in make_plan(manifest(tmp_path, STAGE), small)[1][0]


def test_a_stage_shorter_than_a_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="less than one step"):
        make_plan(manifest(tmp_path, dataclasses.replace(STAGE, tokens=1000)), LOCK)


def test_declared_sizes_stand_in_for_a_lock(tmp_path: Path) -> None:
    plan, warnings = make_plan(manifest(tmp_path, STAGE, declared=10**5), None)
    assert plan.stages[0].rows == 3904
    assert any("web is seen 7.0 times" in warning for warning in warnings)
    assert not make_plan(manifest(tmp_path, STAGE, declared=None), None)[1]
