"""What a build writes of its plan on the way: never less than an earlier build of the same manifest knew."""

import dataclasses
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from curriculum.build import Built, build
from curriculum.manifest import Manifest, load_manifest
from curriculum.plan import Plan, archived
from curriculum.publish import Publisher
from datapipe.engine import InProcess


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, small_data: Path, write_manifest: Callable[[Path], Path]
) -> tuple[Manifest, Built]:
    folder = tmp_path_factory.mktemp("published")
    manifest = load_manifest(str(write_manifest(folder)))
    return manifest, build(manifest, str(folder / "out"), str(small_data), InProcess(), lambda *call: None)


def publish(manifest: Manifest, built: Built, root: Path, stage: int) -> list[Plan]:
    """The plans on disk while the shard sets of the stages up to `stage` are laid out, one corpus after the other."""
    publisher, plans = Publisher(manifest, str(root)), []
    for spec in manifest.stages[: stage + 1]:
        for entry in built.lock["shards"]:
            wanted = {name: spec.packing(name).to_json() for name in spec.corpora}
            if wanted.get(entry["corpus"]) == entry["packing"]:
                publisher.add(built.lock["tokenizer"], [entry])
                plans.append(on_disk(root))
    return [plan for plan in plans if plan]


def on_disk(root: Path) -> Any:
    path = root / "plan.json"
    return Plan.from_json(path.read_text()) if path.exists() else None


def closed(plan: Plan) -> int:
    return sum(not stage.is_open for stage in plan.stages)


def test_stage_after_stage_each_the_beginning_of_the_next(built: tuple[Manifest, Built], tmp_path: Path) -> None:
    plans = publish(*built, tmp_path, 1)
    assert [number for number, _ in groupby(map(closed, plans))] == [1, 2]
    assert all(plan.is_live for plan in plans)
    assert plans[-1].stages == built[1].plan.stages
    assert all((tmp_path / archived(plan.digest())).exists() for plan in plans)


def test_a_build_started_again_does_not_know_less(built: tuple[Manifest, Built], tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(dataclasses.replace(built[1].plan, lock="").to_json())
    assert {closed(plan) for plan in publish(*built, tmp_path, 1)} == {2}


def test_an_edited_manifest_is_told_from_its_first_stage_on(built: tuple[Manifest, Built], tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(dataclasses.replace(built[1].plan, manifest="another").to_json())
    assert [number for number, _ in groupby(map(closed, publish(*built, tmp_path, 0)))] == [2, 1]


def test_a_plan_of_another_version_is_replaced(built: tuple[Manifest, Built], tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"format": 1}')
    publisher = Publisher(built[0], str(tmp_path))
    publisher.write(built[1].plan)
    assert on_disk(tmp_path) == built[1].plan
