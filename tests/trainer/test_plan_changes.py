import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from curriculum.plan import BatchSegment, Plan, Shard, Source, Stage
from trainer.plan_changes import PlanChanged, check, compare

SOURCE = Source("web/all", "web", "all", 1 << 64, (Shard("shards/a", 10),), 20)


def stage(name: str, **changes: Any) -> Stage:
    values: dict[str, Any] = {
        "name": name,
        "seq_len": 32,
        "pack": "concat",
        "steps": 10,
        "batch": (BatchSegment(0, 2), BatchSegment(6, 4)),
        "sources": (SOURCE,),
        "rope_base": 1e4,
        "bias_rate": 1e-3,
        "mtp_weight": 0.3,
        "seed": 1,
    }
    return Stage(**{**values, **changes})


PLAN = Plan(
    name="p",
    version="1",
    seed=1,
    manifest="m",
    lock="l",
    tokenizer={"path": "a.json", "sha256": "s"},
    model={"hidden": 32, "layers": 2},
    training={"optimizer": "muon", "lr": {"peak": 1e-3, "end": 1e-4}},
    stages=(stage("one"), stage("two", seq_len=64), stage("three")),
)


def with_stage(index: int, **changes: Any) -> Plan:
    stages = list(PLAN.stages)
    stages[index] = dataclasses.replace(stages[index], **changes)
    return dataclasses.replace(PLAN, stages=tuple(stages))


def more_shards(plan_index: int) -> Plan:
    return with_stage(plan_index, sources=(dataclasses.replace(SOURCE, shards=(*SOURCE.shards, Shard("shards/b", 5))),))


# Every edit, and the steps done from which on it contradicts the past (each stage has 10 steps).
EDITS: dict[str, tuple[Callable[[], Plan], int]] = {
    "model": (lambda: dataclasses.replace(PLAN, model={"hidden": 64, "layers": 2}), 0),
    "seed": (lambda: dataclasses.replace(PLAN, seed=2), 0),
    "tokenizer": (lambda: dataclasses.replace(PLAN, tokenizer={"path": "a.json", "sha256": "t"}), 0),
    "optimizer": (lambda: dataclasses.replace(PLAN, training={**PLAN.training, "optimizer": "adamw"}), 0),
    "rope base": (lambda: with_stage(1, rope_base=1e6), 11),
    "row length": (lambda: with_stage(1, seq_len=128), 11),
    "renamed": (lambda: with_stage(1, name="other"), 11),
    "bias rate of the last stage": (lambda: with_stage(2, bias_rate=0.0), 21),
    "share": (lambda: with_stage(1, sources=(dataclasses.replace(SOURCE, bound=1 << 63),)), 11),
    "shards": (lambda: more_shards(1), 11),
    "batch from step 6": (lambda: with_stage(1, batch=(BatchSegment(0, 2), BatchSegment(6, 8))), 17),
    "shorter": (lambda: with_stage(1, steps=5), 16),
    "longer": (lambda: with_stage(1, steps=20), 21),
    "stage removed": (lambda: dataclasses.replace(PLAN, stages=PLAN.stages[:2]), 21),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_accepted_until_it_touches_what_is_learned(edit: str) -> None:
    make, contradicts_from = EDITS[edit]
    for done in range(1, 31):
        changes = compare(PLAN, make(), done)
        assert bool(changes.past) == (done >= contradicts_from), done
        assert changes.past or changes.future, done


def test_the_refusal_names_value_place_and_remedy() -> None:
    with pytest.raises(PlanChanged) as caught:
        check(PLAN, with_stage(0, seq_len=48, rope_base=5e4), 12, where="out/checkpoints/step-00000012")
    message = str(caught.value)
    assert "12 steps" in message
    assert "stages[0].seq_len: 32 -> 48" in message
    assert "stages[0].rope_base: 10000.0 -> 50000.0" in message
    assert "out/checkpoints/step-00000012/plan.json" in message


def test_edits_of_the_future_are_told() -> None:
    edited = dataclasses.replace(
        with_stage(2, mtp_weight=0.0), training={**PLAN.training, "lr": {"peak": 2e-3, "end": 1e-4}}
    )
    assert check(PLAN, edited, 12, where="x") == [
        "training.lr.peak: 0.001 -> 0.002",
        "stages[2].mtp_weight: 0.3 -> 0.0",
    ]


def test_names_paths_and_a_new_stage_are_no_contradiction() -> None:
    edited = dataclasses.replace(PLAN, version="2", lock="other", tokenizer={"path": "b.json", "sha256": "s"})
    assert compare(PLAN, edited, 30) == ([], [])
    grown = dataclasses.replace(PLAN, stages=(*PLAN.stages, stage("four")))
    assert compare(PLAN, grown, 30) == ([], ["stages[3].name: None -> 'four'"])
