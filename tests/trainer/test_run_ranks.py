"""Whole runs on two ranks: equal to those on one, and a common end with one message when something goes wrong on one of them."""

import dataclasses
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from curriculum.feed import Feed
from curriculum.plan import Plan
from tests.trainer.conftest import SHAPE, TRAINING, VOCAB, stage
from tests.trainer.forked import forked
from tests.trainer.test_learn import held_out
from tests.trainer.test_run import lines
from tests.trainer.torchrun import started
from trainer.run import train

# A window of two, and deviations below zero: from the third step of a stage on everything is a spike.
ALL_SPIKES = {"window": 4, "deviations": -100.0}


class Runs(NamedTuple):
    """Folders that two ranks have trained in, one after the other, and what became of each."""

    root: Path
    tasks: list[tuple[str, str]]
    told: str  # stderr of the run that SIGTERM ended
    late: int  # the step that one waited for

    def folder(self, name: str) -> Path:
        return self.root / name

    def found(self, what: str, name: str) -> list[dict[str, Any]]:
        """Of both ranks."""
        number = self.tasks.index((what, name))
        return [json.loads((self.root / "out" / f"{number}-{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    root = tmp_path_factory.mktemp("runs")
    stages = (
        stage(root, "short", seq_len=32, steps=6, rows=4),
        stage(root, "long", seq_len=64, steps=3, rows=3, rope_base=1e6, mtp_weight=0.1),
    )
    tokenizer = {"path": "tokenizer.json", "sha256": "s", "vocab_size": VOCAB, "eos_id": 0}
    return root, Plan(
        "test", "1", seed=7, manifest="m", lock="l", tokenizer=tokenizer, model=SHAPE, training=TRAINING, stages=stages
    )


def folder(root: Path, name: str, plan: Plan, **training: Any) -> Path:
    """A folder to train in, with the shards of `root`."""
    made = root / name
    made.mkdir()
    (made / "shards").symlink_to(root / "shards")
    (made / "plan.json").write_text(dataclasses.replace(plan, training={**plan.training, **training}).to_json())
    return made


@pytest.fixture(scope="module")
def runs(plan: tuple[Path, Plan]) -> Runs:
    """Two parallel runs: one under torchrun that SIGTERM ends, and one that works through all tasks."""
    root, common = plan
    measured = held_out(common, 2)
    for name, policy in (("skip", "skip"), ("stop", "stop")):
        for ranks in ("one", "two"):
            folder(root, f"{name}-{ranks}", measured, spikes={"policy": policy, **ALL_SPIKES})
    live, told, late = sigterm_while_waiting(root, common)
    folder(root, "unbroken", common)
    folder(root, "damaged", common)
    folder(root, "damaged-validation", measured)
    (folder(root, "no-way", common) / "site.toml").write_text("[parallel]\npipeline = 2\n")
    unshared = folder(root, "unshared", common)
    folder(root, "unshared-1", common)
    train(str(unshared), stop_after=2)
    folder(root, "edited", common)
    folder(root, "edited-1", common, clip_norm=0.5)
    for name, every in (("full", 1000), ("full-and-due", 1)):
        (folder(root, name, common, checkpoint_steps=every) / "metrics.jsonl").symlink_to("/dev/full")
    tasks = [
        ("nothing", "skip-two"),
        ("nothing", "stop-two"),
        ("nothing", live.name),
        ("nothing", "unbroken"),
        ("damaged shard", "damaged"),
        ("nothing", "damaged"),
        ("damaged validation", "damaged-validation"),
        ("no way", "no-way"),
        ("nothing", "unshared"),
        ("nothing", "edited"),
        ("nothing", "full"),
        ("nothing", "full-and-due"),
    ]
    (root / "out").mkdir()
    given = [[what, str(root / name)] for what, name in tasks]
    forked("run_worker.py", 2, root / "out", json.dumps(given), timeout=200)
    return Runs(root, tasks, told, late)


def sigterm_while_waiting(root: Path, plan: Plan) -> tuple[Path, str, int]:
    """Train on a running build, which lacks a shard; all processes are told to end when they wait for that.

    As on a cluster: Slurm tells every process, and torchrun hands it on. The shard comes afterwards. Returns the folder, what was said,
    and the step that needs the shard.
    """
    late, shard = last_needed(Feed(plan, str(root)))
    live = root / "live"
    live.mkdir()
    (live / "plan.json").write_text(dataclasses.replace(plan, lock="").to_json())
    endings = (".tokens.arrow", ".docs.arrow")
    for path in [shard.path for part in plan.stages for source in part.sources for shard in source.shards]:
        (live / path).parent.mkdir(parents=True, exist_ok=True)
        for ending in endings:
            os.link(f"{root / path}{ending}", f"{live / path}{ending}")
        if path != shard:
            Path(f"{live / path}.json").write_text("{}")
    command = (Path(__file__).with_name("live_worker.py"), "--root", live, "--steps-to-stdout")
    with started(*command, processes=2) as process:
        assert process.stdout is not None
        for _ in range(late):
            process.stdout.readline()
        time.sleep(0.5)  # now they wait; a rank that does not yet is told all the same
        workers = [child.pid for child in psutil.Process(process.pid).children()]
        for pid in (*workers, process.pid):
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.02)
        more, told = process.communicate(timeout=60)
    assert not more
    Path(f"{live / shard}.json").write_text("{}")
    (live / "plan.json").write_text(plan.to_json())
    return live, told, late


def last_needed(feed: Feed) -> tuple[int, str]:
    """(step of the first stage, shard): the shard of it that is needed last, and the first step that needs it."""
    first: dict[str, int] = {}
    for step in range(feed.plan.stages[0].steps):
        for row in feed.lineage(0, step):
            first.setdefault(row["shard"], step)
    shard = max(first, key=lambda path: first[path])
    return first[shard], shard


def assert_close(ours: list[dict[str, Any]], alone: list[dict[str, Any]]) -> None:
    """The same lines, but for rounding."""
    assert len(ours) == len(alone)
    for line, other in zip(ours, alone, strict=True):
        assert line == approximately(other), f"step {line['step']}"


def approximately(value: Any) -> Any:
    """What compares equal to `value` up to rounding in its numbers; a verdict in words has them rounded already."""
    if isinstance(value, dict):
        return {key: approximately(part) for key, part in value.items()}
    return pytest.approx(value, rel=1e-4) if isinstance(value, float) else value


def test_two_ranks_learn_what_one_learns(runs: Runs) -> None:
    train(str(folder(runs.root, "alone", Plan.from_json((runs.folder("unbroken") / "plan.json").read_text()))))
    for ours, alone in zip(lines(runs.folder("unbroken")), lines(runs.folder("alone")), strict=True):
        exact = ("tokens_by_source", "max_violation", "lr", "tokens", "stage")
        assert {key: ours[key] for key in exact} == {key: alone[key] for key in exact}
        for key in ("loss", "mtp_loss", "balance_loss", "grad_norm"):
            assert ours[key] == pytest.approx(alone[key], rel=1e-5)


def test_validation_and_skipped_spikes_are_those_of_one_rank(runs: Runs) -> None:
    ours, alone = runs.folder("skip-two"), runs.folder("skip-one")
    train(str(alone))
    assert_close(lines(ours), lines(alone))
    skipped = [line["step"] for line in lines(ours) if line["skipped"]]
    assert skipped == [2, 3, 4, 5, 8]
    assert [line["step"] for line in lines(ours) if line["validation"]] == [1, 3, 5, 7, 8]
    names = sorted(path.name for path in (ours / "spikes").iterdir())
    assert names == [f"step-{step:08d}.json" for step in skipped]
    for name in names:
        found, other = (json.loads((root / "spikes" / name).read_text()) for root in (ours, alone))
        assert found["rows"] == other["rows"]
    assert [found["looked up"] for found in runs.found("nothing", "skip-two")] == [5, 0]


def test_a_spike_that_stops_is_said_by_one_rank(runs: Runs) -> None:
    from trainer.loop import Diverged

    ours, alone = runs.folder("stop-two"), runs.folder("stop-one")
    with pytest.raises(Diverged, match="step 2 "):
        train(str(alone))
    assert_close(lines(ours), lines(alone))
    first, second = runs.found("nothing", "stop-two")
    assert first["raised"] == "Diverged"
    assert first["text"].startswith("step 2 (stage 'short', its step 2): loss ")
    assert (second["raised"], second["cause"]) == ("Elsewhere", "Diverged")
    assert [first["looked up"], second["looked up"]] == [1, 0]
    assert os.listdir(ours / "spikes") == ["step-00000002.json"]


def test_sigterm_while_all_wait_for_a_build_saves_at_that_very_step(runs: Runs) -> None:
    assert 0 < runs.late < 6  # inside the stage, where no other checkpoint is due
    assert runs.told.count(f"stopped by SIGTERM before step {runs.late}; the same command goes on with it") == 1
    assert "rank 1" not in runs.told
    live, unbroken = runs.folder("live"), runs.folder("unbroken")
    assert [found["first step"] for found in runs.found("nothing", "live")] == [runs.late] * 2
    assert lines(live) == lines(unbroken)


def test_a_shard_that_one_rank_cannot_read_ends_all_with_what_was_learned(runs: Runs) -> None:
    first, second = runs.found("damaged shard", "damaged")
    assert (second["raised"], second["text"]) == ("ShardError", "a shard is damaged")
    assert (first["raised"], first["text"]) == ("Elsewhere", "the run ends because of what rank 1 says")
    assert [found["first step"] for found in runs.found("nothing", "damaged")] == [2, 2]
    assert lines(runs.folder("damaged")) == lines(runs.folder("unbroken"))


def test_held_out_rows_that_one_rank_cannot_read_end_all(runs: Runs) -> None:
    first, second = runs.found("damaged validation", "damaged-validation")
    assert (first["raised"], second["raised"]) == ("Elsewhere", "ShardError")
    assert len(lines(runs.folder("damaged-validation"))) == 1


def test_what_one_rank_cannot_do_is_said_before_the_pipeline_is_built(runs: Runs) -> None:
    """Its stages wait for each other when they are built, to have the same word embeddings."""
    first, second = runs.found("no way", "no-way")
    assert (first["raised"], second["raised"]) == ("Elsewhere", "SiteError")
    assert second["text"] == "no way to compute attention here"


def test_storage_that_is_not_shared_is_named_before_anything_is_learned(runs: Runs) -> None:
    first, second = runs.found("nothing", "unshared")
    assert (first["raised"], second["raised"]) == ("Elsewhere", "CheckpointError")
    assert "step-00000002 is not (all) there for this rank" in second["text"]
    assert "must be on storage that all ranks share" in second["text"]
    assert len(lines(runs.folder("unshared"))) == 2
    first, second = runs.found("nothing", "edited")
    assert (first["raised"], second["raised"]) == ("Elsewhere", "RootError")
    assert "training.clip_norm: 1.0 -> 0.5" in second["text"]


@pytest.mark.parametrize("name", ["full", "full-and-due"])
def test_a_full_disk_on_rank_0_ends_all_without_a_checkpoint(runs: Runs, name: str) -> None:
    first, second = runs.found("nothing", name)
    assert first["raised"] == "MetricsError"
    assert "Make room" in first["text"]
    assert (second["raised"], second["text"]) == ("Elsewhere", "the run ends because of what rank 0 says")
    assert not list(runs.folder(name).glob("checkpoints/step-*"))
