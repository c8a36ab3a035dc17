"""The feed in torch's loaders: the plan's order for any number of workers, and the rest of a run after a resume, exactly."""

import dataclasses
import json
import pickle
import threading
import traceback
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from curriculum.feed import Feed
from curriculum.plan import BatchSegment, Plan, Stage, archived
from curriculum.plan_changes import PlanChanged
from curriculum.torch_feed import FeedDataset
from datapipe.shards import Piece, ShardWriter
from tests.plans import make_source, make_stage

Items = list[dict[str, Any]]
TRAINING: dict[str, Any] = {"optimizer": "adamw"}
BORDER = 7  # steps of the first stage


def write_stage(root: Path, name: str, *, seq_len: int, steps: int, rows: int) -> Stage:
    sources = [make_source(corpus, 30, 2, folder=f"shards/{name}/{corpus}") for corpus in ("web", "code")]
    rng = np.random.default_rng(seq_len)
    for source in sources:
        for shard in source.shards:
            (root / source.folder).mkdir(parents=True, exist_ok=True)
            with ShardWriter(str(root / shard.path), seq_len=seq_len, sources=[source.name]) as writer:
                for row in range(shard.rows):
                    cut = int(rng.integers(1, seq_len))
                    writer.add(
                        rng.integers(0, 2**24, seq_len).astype(np.uint32),
                        [Piece(f"{row}", 0, cut), Piece(f"{row}+", cut, (seq_len - cut) // 2 or 1)],
                    )
    batch = [BatchSegment(0, rows)]
    return make_stage(sources, (Fraction(2, 3), Fraction(1, 3)), name=name, seq_len=seq_len, steps=steps, batch=batch)


def write_plan(root: Path, stages: tuple[Stage, ...]) -> Plan:
    plan = Plan("test", "1", 1, "m", "l", {"vocab_size": 1 << 24, "eos_id": 0}, {}, TRAINING, stages)
    for path in (root / "plan.json", root / archived(plan.digest())):
        path.parent.mkdir(exist_ok=True)
        path.write_text(plan.to_json())
    return plan


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Stage, ...]]:
    """Shards of two stages."""
    root = tmp_path_factory.mktemp("build")
    short = write_stage(root, "short", seq_len=32, steps=BORDER, rows=4)
    return root, (short, write_stage(root, "long", seq_len=64, steps=6, rows=3))


@pytest.fixture
def built(stages: tuple[Path, tuple[Stage, ...]]) -> tuple[Plan, Path]:
    """A plan of two stages, written anew: a test may edit it."""
    root, both = stages
    return write_plan(root, both), root


@pytest.fixture
def unbroken(built: tuple[Plan, Path]) -> Items:
    """All steps of the plan, from the feed itself."""
    plan, root = built
    feed, items = Feed(plan, str(root)), []
    for step in range(plan.steps):
        stage, stage_step = plan.locate(step)
        fields = {
            **vars(feed.batch(stage, stage_step)),
            "step": step,
            "stage": plan.stages[stage].name,
            "stage_step": stage_step,
        }
        items.append(fields)
    return items


def same(found: Iterable[dict[str, Any]], expected: Items) -> bool:
    found = list(found)
    assert [item["step"] for item in found] == [item["step"] for item in expected]
    return all(
        item["stage"] == other["stage"]
        and item["stage_step"] == other["stage_step"]
        and all((item[k].numpy() == v).all() for k, v in other.items() if isinstance(v, np.ndarray))
        for item, other in zip(found, expected, strict=True)
    )


def stateful(root: Path, workers: int, **options: Any) -> Any:
    return StatefulDataLoader(FeedDataset(str(root), **options), batch_size=None, num_workers=workers)


def test_an_item_is_a_batch_as_tensors(built: tuple[Plan, Path], unbroken: Items) -> None:
    item = next(iter(FeedDataset(str(built[1]))))
    dtypes = {name: value.dtype for name, value in item.items() if isinstance(value, torch.Tensor)}
    assert dtypes == {
        **dict.fromkeys(("tokens", "labels", "position_ids", "mtp_labels"), torch.int64),
        **dict.fromkeys(("source_ids", "cu_seqlens"), torch.int32),
        "loss_weights": torch.float32,
    }
    assert item["tokens"].shape == item["labels"].shape == (4, 32)
    assert (item["stage"], item["step"], item["stage_step"]) == ("short", 0, 0)
    assert same([item], unbroken[:1])


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_any_number_of_workers_keeps_the_order(built: tuple[Plan, Path], unbroken: Items, workers: int) -> None:
    dataset = FeedDataset(str(built[1]))
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    assert same(loader, unbroken)
    assert same(dataset, unbroken)  # this process opens the feed; workers forked from now on must not use it
    assert same(loader, unbroken)


def test_workers_that_are_spawned(built: tuple[Plan, Path], unbroken: Items) -> None:
    dataset = FeedDataset(str(built[1]), start_step=BORDER - 2)
    next(iter(dataset))
    assert same(pickle.loads(pickle.dumps(dataset)), unbroken[BORDER - 2 :])
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert same(loader, unbroken[BORDER - 2 :])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, BORDER - 1, BORDER, BORDER + 3])
def test_a_resumed_run_goes_on_as_if_unbroken(
    built: tuple[Plan, Path], unbroken: Items, workers: int, done: int
) -> None:
    _, root = built
    loader = stateful(root, workers)
    assert same(islice(loader, done) if done else [], unbroken[:done])
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = stateful(root, workers)
    resumed.load_state_dict(state)
    steps = iter(resumed)
    assert same(islice(steps, 2), unbroken[done : done + 2])
    again = stateful(root, workers)  # the state of a resumed run is as good
    again.load_state_dict(resumed.state_dict())
    assert same(again, unbroken[done + 2 :])
    assert same(again, unbroken)  # the next iteration begins at the start


def test_a_state_is_where_and_in_which_plan(built: tuple[Plan, Path], unbroken: Items) -> None:
    plan, root = built
    dataset = FeedDataset(str(root))
    steps = iter(dataset)
    expected = [(0, 4 * step) for step in range(BORDER)] + [(1, 3 * step) for step in range(6)]
    for stage, row in expected:
        assert dataset.state_dict() == {"stage": stage, "row": row, "plan": plan.digest(), "skip": 0}
        next(steps)
    resumed = FeedDataset(str(root))
    resumed.load_state_dict(dataset.state_dict())
    assert list(resumed) == []
    resumed.load_state_dict({"stage": 1, "row": 6, "plan": plan.digest(), "skip": 0})
    assert resumed.state_dict()["row"] == 6
    assert same(resumed, unbroken[BORDER + 2 :])


@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize("done", [BORDER + 1, BORDER + 2])
def test_an_edited_future_goes_on_from_the_step_reached(built: tuple[Plan, Path], workers: int, done: int) -> None:
    """The stage gets other batches and more steps behind what was learned, whatever the workers have prefetched."""
    plan, root = built
    loader = stateful(root, workers)
    list(islice(loader, done))
    state = loader.state_dict()
    batch = (BatchSegment(0, 3), BatchSegment(done - BORDER, 2))
    edited = write_plan(root, (plan.stages[0], dataclasses.replace(plan.stages[1], steps=11, batch=batch)))
    resumed = stateful(root, workers)
    resumed.load_state_dict(state)
    feed = Feed(edited, str(root))
    for step, item in zip(range(done, edited.steps), resumed, strict=True):
        assert item["step"] == step
        assert (item["tokens"].numpy() == feed.batch(1, step - BORDER).tokens).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_rewritten_past_is_refused(built: tuple[Plan, Path], workers: int) -> None:
    plan, root = built
    loader = stateful(root, workers)
    list(islice(loader, 3))
    state = loader.state_dict()
    write_plan(root, (dataclasses.replace(plan.stages[0], seed=99), plan.stages[1]))
    resumed = stateful(root, workers)
    resumed.load_state_dict(state)
    with pytest.raises(PlanChanged, match=r"[23] steps are done") as refusal:
        next(iter(resumed))
    # Torch's exception is part of a cycle that holds the loader, and workers whose loader is freed as garbage take 10 s to stop.
    traceback.clear_frames(refusal.tb)
    del refusal


def test_ranks_share_the_global_batch_and_its_state(built: tuple[Plan, Path], unbroken: Items) -> None:
    _, root = built
    whole = FeedDataset(str(root))
    list(islice(whole, 5))
    parts = [FeedDataset(str(root), rank=rank, world=3, shards=str(root)) for rank in range(3)]
    for part in parts:
        part.load_state_dict(whole.state_dict())
    for expected, *items in zip(unbroken[5:], *parts, strict=True):
        for name in ("tokens", "labels"):
            assert (torch.cat([item[name] for item in items]).numpy() == expected[name]).all()
        assert [item["tokens"].shape[0] for item in items] == ([1, 1, 2] if expected["step"] < BORDER else [1, 1, 1])


def test_other_layouts_of_the_feed(built: tuple[Plan, Path]) -> None:
    item = next(iter(FeedDataset(str(built[1]), mtp_depths=2, multiple=8)))
    assert item["mtp_labels"].shape[:2] == (2, 1)
    assert (item["cu_seqlens_padded"] % 8 == 0).all()
    assert item["tokens"].shape == (1, item["cu_seqlens_padded"][-1])


def test_a_start_that_is_not_there(built: tuple[Plan, Path], unbroken: Items) -> None:
    plan, root = built
    for start in (-1, plan.steps + 1):
        with pytest.raises(ValueError, match=f"the plan has steps 0 to 12; start_step is {start}"):
            next(iter(FeedDataset(str(root), start_step=start)))
    assert list(FeedDataset(str(root), start_step=plan.steps)) == []
    dataset = FeedDataset(str(root), start_step=9)
    assert same(dataset, unbroken[9:])
    assert same(dataset, unbroken[9:])


def test_a_dropped_iterator_stops_the_thread_of_the_feed(built: tuple[Plan, Path]) -> None:
    steps = iter(FeedDataset(str(built[1])))
    next(steps)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("feed")]
    del steps
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]
