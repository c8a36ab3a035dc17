"""The optimisers of four processes: given the same gradients they come to the weights, norms and state of a single process."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch

from tests.trainer.forked import forked

if TYPE_CHECKING:
    from trainer.layout import Layout

Task = tuple[str, str, dict[str, int]]  # rule, type of the weights, layout
REPLICAS: Task = ("muon", "float32", {})
REPLICAS_ADAMW: Task = ("adamw", "float32", {})
TASKS: list[Task] = [
    REPLICAS,
    REPLICAS_ADAMW,
    ("muon", "float32", {"tensor": 2, "expert": 4}),
    ("muon", "float32", {"tensor": 2, "pipeline": 2}),
    ("muon", "bfloat16", {"tensor": 2, "context": 2, "expert": 2}),
]


class Run(NamedTuple):
    """What one process kept, by rule and type, and a folder with what four found."""

    norms: dict[str, list[str]]
    kept: dict[str, int]
    root: Path

    def found(self, task: Task) -> list[dict[str, Any]]:
        """Of each rank."""
        return json.loads((self.root / "out" / f"{TASKS.index(task)}.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, alone: "Layout") -> Run:
    """One process takes two steps, saves, and takes two more; four take the last two for every task."""
    from tests.trainer.optimizer_worker import Learner

    root = tmp_path_factory.mktemp("optimizers")
    generator = torch.Generator().manual_seed(2)
    shapes = {name: value.shape for name, value in tensors(Learner.of(alone, "muon", "float32").model).items()}
    steps = [{name: torch.randn(shape, generator=generator) for name, shape in shapes.items()} for _ in range(4)]
    torch.save(steps, root / "gradients.pt")
    made = Run({}, {}, root)
    for rule, dtype in sorted({task[:2] for task in TASKS}):
        key, learner = f"{rule}-{dtype}", Learner.of(alone, rule, dtype)
        for part in ("state", "end"):
            (root / key / part).mkdir(parents=True)
        learner.learn(steps[:2])
        learner.save(root / key / "state")
        made.norms[key], made.kept[key] = learner.learn(steps[2:]), learner.kept()
        learner.save(root / key / "end")
        torch.save(tensors(learner.model), root / key / "weights.pt")
    for number in range(len(TASKS)):
        (root / "out" / f"{number}").mkdir(parents=True)
    forked("optimizer_worker.py", 4, root, root / "out", json.dumps(TASKS))
    return made


def tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if value is not None}


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_layout_comes_to_the_weights_of_one_process(run: Run, task: Task) -> None:
    """To rounding, which in bfloat16 may fall the other way: 2^-8 of a weight of 1."""
    tolerance = 2**-8 if task[1] == "bfloat16" else 1e-6
    for rank in run.found(task):
        assert rank["difference"] < tolerance


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_norm_counts_every_weight_once(run: Run, task: Task) -> None:
    """Also those that tensor-parallel ranks or two pipeline stages hold alike; equal on all ranks, to the last bit."""
    found = [rank["norms"] for rank in run.found(task)]
    assert all(norms == found[0] for norms in found)
    for ours, expected in zip(found[0], run.norms["-".join(task[:2])], strict=True):
        assert float.fromhex(expected) > 200  # or else nothing was scaled down
        assert float.fromhex(ours) == pytest.approx(float.fromhex(expected), rel=1e-13)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_layout_comes_to_the_state_of_one_process(run: Run, task: Task) -> None:
    """Momenta, moments and masters, loaded from one process and written by four."""
    from megatron.core.dist_checkpointing import load_plain_tensors

    expected = load_plain_tensors(str(run.root / "-".join(task[:2]) / "end"))
    found = load_plain_tensors(str(run.root / "out" / f"{TASKS.index(task)}"))
    assert found.keys() == expected.keys()
    kinds = {key.split(".")[1] for key in found if key.startswith("optimizer.")}
    wanted = {"exp_avg", "exp_avg_sq"} | ({"momentum"} if task[0] == "muon" else set())
    assert kinds == wanted | ({"master"} if task[1] == "bfloat16" else set())
    for key, value in expected.items():
        if key.startswith("optimizer."):
            torch.testing.assert_close(
                found[key], value, rtol=1e-5, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
            )


def test_a_step_count_is_common_to_all(run: Run) -> None:
    from megatron.core.dist_checkpointing import load_common_state_dict

    for number in range(len(TASKS)):
        assert load_common_state_dict(str(run.root / "out" / f"{number}"))["optimizer"] == {"steps": 4}


def test_replicas_come_to_the_same_bits_as_one_process(run: Run) -> None:
    """Where nothing is computed in another way: the replicas of Muon batch their matrices differently."""
    assert [rank["difference"] for rank in run.found(REPLICAS_ADAMW)] == [0.0] * 4


@pytest.mark.parametrize("task", [REPLICAS_ADAMW, REPLICAS], ids=str)
def test_replicas_share_the_state_evenly(run: Run, task: Task) -> None:
    kept = [rank["kept"] for rank in run.found(task)]
    whole = run.kept["-".join(task[:2])]
    assert sum(kept) == whole
    assert max(kept) < 0.3 * whole
