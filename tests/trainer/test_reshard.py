"""Checkpoints of several processes: the same layout bit for bit, another one within rounding, and when one of them fails."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch

from curriculum.feed import Feed
from curriculum.plan import Plan
from tests.trainer.conftest import SHAPE, TRAINING, VOCAB, stage
from tests.trainer.forked import forked

if TYPE_CHECKING:
    from trainer.layout import Layout

RESHARD: list[dict[str, Any]] = [
    {},
    {"tensor": 2},
    {"expert": 2},
    {"tensor": 2, "expert": 2},
    {"pipeline": 2},
    {"pipeline": 2, "first_stage_layers": 1, "last_stage_layers": 3},
    {"context": 2},
]
RESUME: list[dict[str, Any]] = [
    {},
    {"tensor": 2, "expert": 2},
    {"pipeline": 2},
    {"context": 2},
    {"expert": 2},
    {"tensor": 2},
]
MOVES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"expert": 2}, {"tensor": 2}),
    ({"tensor": 2}, {"pipeline": 2}),
    ({"context": 2}, {"expert": 2}),
]
WRITERS = [*(("reshard", sizes) for sizes in RESHARD), *(("resume", sizes) for sizes in RESUME)]
TASKS: list[tuple[Any, ...]] = [
    *WRITERS,
    *(("reshard", sizes, WRITERS.index(("resume", before))) for before, sizes in MOVES),
    ("full disk", {}),
    ("die", {}),
]


class Run(NamedTuple):
    """One process that learned two steps, wrote a checkpoint and learned on; then two processes that worked through TASKS."""

    root: Path
    losses: list[str]  # of the steps after the checkpoint, exactly
    statuses: list[int]  # how the two processes ended

    def found(self, *task: Any) -> Any:
        return json.loads((self.root / "out" / f"{TASKS.index(task)}.json").read_text())

    def folder(self, *task: Any) -> Path:
        return self.root / "out" / f"{TASKS.index(task)}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, alone: "Layout") -> Run:
    from tests.trainer.checkpoint_worker import learn
    from trainer.checkpoint import Checkpoints
    from trainer.loop import Trainer

    root = tmp_path_factory.mktemp("run")
    plan = make_plan(root)
    trainer, checkpoints = Trainer(plan, alone), Checkpoints(root, alone)
    learn(trainer, root, range(2))
    checkpoints.save(Feed(plan, str(root)), 2, trainer.model, trainer.optimizers)
    losses = learn(trainer, root, range(2, 4))
    checkpoints.finish()
    checkpoints.close()
    return Run(root, losses, work(root))


def make_plan(root: Path) -> Plan:
    """Two stages, three layers with experts; five rows per step of the second, which no two ranks can share evenly."""
    stages = (
        stage(root, "short", seq_len=32, steps=3, rows=4),
        stage(root, "long", seq_len=64, steps=3, rows=5, rope_base=1e6, mtp_weight=0.1),
    )
    tokenizer = {"path": "tokenizer.json", "sha256": "s", "vocab_size": VOCAB, "eos_id": 0}
    model = {**SHAPE, "layers": 4}
    plan = Plan(
        "test", "1", seed=7, manifest="m", lock="l", tokenizer=tokenizer, model=model, training=TRAINING, stages=stages
    )
    (root / "plan.json").write_text(plan.to_json())
    return plan


def work(root: Path) -> list[int]:
    """Two processes work through TASKS, and only then may one of them die."""
    out = root / "out"
    out.mkdir()
    statuses = forked("checkpoint_worker.py", 2, root, out, json.dumps(TASKS), timeout=200, are_watched=False)
    assert (out / f"{len(TASKS) - 2}.json").exists()
    return statuses


def tensors(root: Path) -> dict[str, torch.Tensor]:
    """All of the checkpoint after two steps, whole, but for the states of generators, of which every process has its own."""
    from megatron.core.dist_checkpointing import load_plain_tensors

    folder = str(root / "checkpoints/step-00000002/weights")
    found = load_plain_tensors(folder).items()
    return {key: value for key, value in found if torch.is_tensor(value) and not key.startswith("random.")}


@pytest.mark.parametrize("sizes", RESHARD, ids=str)
def test_another_layout_goes_on_with_the_same_state_and_back(run: Run, sizes: dict[str, Any], alone: "Layout") -> None:
    from tests.trainer.checkpoint_worker import learn, loaded

    losses = run.found("reshard", sizes)
    for ours, reference, tolerance in zip(losses, run.losses, (1e-7, 1e-3), strict=True):
        assert float.fromhex(ours) == pytest.approx(float.fromhex(reference), rel=tolerance)
    there, back = tensors(run.root), tensors(run.folder("reshard", sizes))
    assert there.keys() == back.keys()
    assert len([key for key in there if key.startswith("optimizer.")]) > 40
    for key, value in there.items():
        assert torch.equal(back[key], value), key
    out = run.folder("reshard", sizes)
    (out / "plan.json").write_text((run.root / "plan.json").read_text())
    (out / "shards").symlink_to(run.root / "shards")
    trainer, done = loaded(out, alone)
    assert learn(trainer, out, range(done, 4)) == run.losses


def test_one_process_goes_on_bit_for_bit(run: Run, alone: "Layout") -> None:
    from tests.trainer.checkpoint_worker import learn, loaded

    trainer, done = loaded(run.root, alone)
    assert done == 2
    assert learn(trainer, run.root, range(2, 4)) == run.losses


@pytest.mark.parametrize("sizes", RESUME, ids=str)
def test_the_same_layout_goes_on_bit_for_bit(run: Run, sizes: dict[str, Any]) -> None:
    found = run.found("resume", sizes)
    assert found["again"] == found["losses"]
    assert found["differs"] == 0
    unbroken, resumed = found["drawn"]
    assert resumed == unbroken


@pytest.mark.parametrize(("before", "sizes"), MOVES, ids=str)
def test_as_many_processes_in_another_layout_go_on_with_the_same_state(
    run: Run, before: dict[str, Any], sizes: dict[str, Any]
) -> None:
    """Weights and optimiser state go from the layout that learned them straight into the other one."""
    task = ("reshard", sizes, TASKS.index(("resume", before)))
    losses, unbroken = run.found(*task), run.found("resume", before)["losses"]
    for ours, reference, tolerance in zip(losses, unbroken, (1e-7, 1e-3), strict=True):
        assert float.fromhex(ours) == pytest.approx(float.fromhex(reference), rel=tolerance)
    there, here = tensors(run.folder("resume", before)), tensors(run.folder(*task))
    assert there.keys() == here.keys()
    momenta = [value for key, value in there.items() if key.startswith("optimizer.")]
    assert len(momenta) > 40
    assert sum(bool(value.any()) for value in momenta) > 40  # two steps have been learned
    for key, value in there.items():
        assert torch.equal(here[key], value), key


def test_data_parallel_copies_share_the_writing(run: Run) -> None:
    sizes = [path.stat().st_size for path in run.folder("reshard", {}).rglob("*.distcp")]
    assert len(sizes) == 2
    assert min(sizes) > 0.8 * max(sizes)


def test_a_full_disk_of_one_rank_is_known_to_all(run: Run) -> None:
    found = run.found("full disk", {})
    assert found["1"] == found["2"] == ["latest", "step-00000001"]
    assert found["3"] == found["4"] == ["latest", "step-00000001", "step-00000003"]
    assert found["ranks that raise"] == 2
    assert "step-00000004 could not be written (rank 1: [Errno 27] File too large)" in found["error"]


def test_the_death_of_one_rank_leaves_the_last_good_one(run: Run, alone: "Layout") -> None:
    from trainer.checkpoint import Checkpoints, newest

    assert run.statuses == [1, -9]
    out = run.folder("die", {})
    assert sorted(os.listdir(out / "checkpoints")) == [".step-00000002.tmp", "latest", "step-00000001"]
    found = newest(out)
    assert found is not None
    assert found.done == 1
    Checkpoints(out, alone).close()
    assert sorted(os.listdir(out / "checkpoints")) == ["latest", "step-00000001"]
