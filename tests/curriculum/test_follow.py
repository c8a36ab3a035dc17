"""A feed that follows a build in another process: slow, killed, started again; the same batches as when it had been finished."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curriculum import feed, follow
from curriculum.build import build
from curriculum.collate import Batch
from curriculum.feed import Feed
from curriculum.follow import Follower
from curriculum.manifest import load_manifest
from curriculum.plan import BatchSegment, Plan
from curriculum.plan_changes import PlanChanged
from datapipe.engine import InProcess
from tests.plans import make_source, make_stage

ROOT = Path(__file__).resolve().parent.parent.parent
SLOW_BUILD = Path(__file__).with_name("slow_build.py")
SECONDS_PER_SHARD = 0.05


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and read no further ahead than a step, as batches of full size do."""
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(feed, "WINDOW_TOKENS", 1)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, small_data: Path, write_manifest: Callable[[Path], Path]
) -> tuple[Path, Plan, Path]:
    """A manifest with many small shards, the plan of its build, and the build."""
    folder = tmp_path_factory.mktemp("finished")
    manifest = write_manifest(folder)
    text = manifest.read_text().replace("shard_tokens: 16Ki", "shard_tokens: 4Ki")
    manifest.write_text(text.replace("short, tokens: 4096", "short, tokens: 32768"))
    made = build(load_manifest(str(manifest)), str(folder / "out"), str(small_data), InProcess(), lambda *call: None)
    return manifest, made.plan, folder / "out"


def start(manifest: Path, out: Path, data: Path) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    arguments = [sys.executable, str(SLOW_BUILD), str(manifest), str(out), str(data), str(SECONDS_PER_SHARD)]
    return subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": path})


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)


def shards(root: Path) -> set[Path]:
    """Marks of sealed shards."""
    return set(root.rglob("shard-?????.json"))


def same(a: Batch, b: Batch) -> bool:
    names = ("tokens", "labels", "position_ids", "source_ids", "cu_seqlens")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def expected(finished: tuple[Path, Plan, Path]) -> Iterator[tuple[int, int, Batch]]:
    return Feed(finished[1], str(finished[2])).stream()


def test_a_feed_follows_a_slow_build_that_is_killed_and_started_again(
    finished: tuple[Path, Plan, Path], small_data: Path, tmp_path: Path
) -> None:
    manifest, plan, _ = finished
    out = tmp_path / "out"
    builder = start(manifest, out, small_data)
    wait_for(out / "plan.json")
    live = Plan.from_json((out / "plan.json").read_text())
    assert live.is_live
    num_shards = len(
        {source.shard(n).path for stage in plan.stages for source in stage.sources for n in range(source.num_shards)}
    )
    following = Feed(live, str(out)).stream()
    restarted: list[subprocess.Popen[bytes]] = []

    def again() -> None:
        restarted.append(start(manifest, out, small_data))

    waited, sealed = [], []
    for number, ((*place, batch), (*place_then, batch_then)) in enumerate(
        zip(following, expected(finished), strict=True)
    ):
        assert place == place_then
        assert same(batch, batch_then)
        waited.append(batch.seconds["build"])
        sealed.append(len(shards(out)))
        if number == 0:
            builder.kill()  # between two shards or inside one: nothing half may be taken for whole
            builder.wait()
            threading.Timer(0.3, again).start()
    assert sealed[0] < num_shards / 2  # it began long before the build had ended
    assert sum(waited[1:]) > SECONDS_PER_SHARD  # and what it needed next was sealed by the second run
    assert restarted[0].wait(60) == 0
    ended = Plan.from_json((out / "plan.json").read_text())
    assert ended == plan
    assert {path.name for path in shards(out)} == {path.name for path in shards(finished[2])}


def test_a_stage_that_is_not_laid_out_is_waited_for(finished: tuple[Path, Plan, Path], tmp_path: Path) -> None:
    _, plan, built = finished
    opened = dataclasses.replace(plan.stages[1], sources=(), mixture=())
    live = dataclasses.replace(plan, lock="", stages=(plan.stages[0], opened))
    (tmp_path / "shards").symlink_to(built / "shards")
    (tmp_path / "plan.json").write_text(live.to_json())
    following = Feed(live, str(tmp_path))
    first = following.batch(0, 0)
    assert first.seconds["build"] == 0
    threading.Timer(0.3, lambda: (tmp_path / "plan.json").write_text(plan.to_json())).start()
    batch = following.batch(1, 0)
    assert batch.seconds["build"] > 0.1
    assert same(batch, Feed(plan, str(built)).batch(1, 0))
    assert following.plan == plan


def test_a_build_started_again_with_another_manifest_is_refused(
    finished: tuple[Path, Plan, Path], tmp_path: Path
) -> None:
    _, plan, _ = finished
    opened = dataclasses.replace(plan.stages[1], sources=(), mixture=())
    live = dataclasses.replace(plan, lock="", stages=(plan.stages[0], opened))
    other = dataclasses.replace(plan, stages=(dataclasses.replace(plan.stages[0], rope_base=5e5), plan.stages[1]))
    (tmp_path / "plan.json").write_text(other.to_json())
    with pytest.raises(PlanChanged, match=r"stages\[0\]\.rope_base: 10000\.0 -> 500000\.0"):
        Follower(live, str(tmp_path), patience=1).closed_stage(1)


def three_stages(*, known: int) -> Plan:
    """The plan of a running build that has laid out so many of its stages."""
    stages = [
        make_stage([make_source("web", 40)], [Fraction(1)], name=name, steps=2, batch=[BatchSegment(0, 8)])
        for name in ("one", "two", "three")
    ]
    stages[known:] = [dataclasses.replace(stage, sources=(), mixture=()) for stage in stages[known:]]
    return Plan("p", "1", 1, "m", "", {}, {}, {"optimizer": "muon", "lr": 1e-3}, tuple(stages))


def test_a_build_that_was_started_again_may_know_less_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(three_stages(known=1).to_json())
    following = Follower(three_stages(known=2), str(tmp_path), patience=20)
    threading.Timer(0.1, lambda: path.write_text(three_stages(known=3).to_json())).start()
    assert following.closed_stage(2).name == "three"
    assert following.plan == three_stages(known=3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training": {"optimizer": "muon", "lr": 1e-4}}, r"training\.lr: 0\.001 -> 0\.0001"),
        ({"stages": three_stages(known=3).stages[:2]}, r"stages\[2\]\.name: 'three' -> None"),
        ({"stages": (*three_stages(known=3).stages[:2], dataclasses.replace(three_stages(known=3).stages[2], steps=9))},
         r"stages\[2\]\.steps: 2 -> 9"),
    ],
)  # fmt: skip
def test_a_plan_that_is_followed_may_only_grow(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    """Even what is still ahead: steps that are made, schedules and batches already follow from it."""
    (tmp_path / "plan.json").write_text(dataclasses.replace(three_stages(known=3), **changes).to_json())
    with pytest.raises(PlanChanged, match=rf"(?s)started again with another plan.*{told}.*Start the training again"):
        Follower(three_stages(known=2), str(tmp_path), patience=1).closed_stage(2)


def test_what_is_known_of_shards_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "SEALED_KEPT", 3)
    following = Follower(three_stages(known=3), str(tmp_path), patience=1)
    for number in range(10):
        (tmp_path / f"{number}.json").write_text("{}")
        assert following.is_sealed(str(number))
        assert len(following._sealed) <= 3
    assert following.is_sealed("0")


def test_a_shard_without_its_mark_is_not_there(finished: tuple[Path, Plan, Path], tmp_path: Path) -> None:
    _, plan, _ = finished
    live = Follower(dataclasses.replace(plan, lock=""), str(tmp_path), patience=0.05)
    (tmp_path / "shards").mkdir()
    for name in ("shard-00000.tokens.arrow", "shard-00000.docs.arrow"):
        (tmp_path / "shards" / name).write_bytes(b"half of it")
    assert not live.is_sealed("shards/shard-00000")
    with pytest.raises(follow.BuildStalled, match=r"shard shards/shard-00000 is not there after .* start it again"):
        live.wait_until_sealed("shards/shard-00000")
    (tmp_path / "shards" / "shard-00000.json").write_text("{}")
    assert live.is_sealed("shards/shard-00000")
    assert Follower(plan, str(tmp_path), patience=0).is_sealed(
        "shards/nothing"
    )  # the build has ended: reading it will tell
