import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curriculum.feed import Feed
from curriculum.plan import Plan

MakePlan = Callable[..., Plan]
pytestmark = pytest.mark.usefixtures("alone")


class Nothing:
    """Optimisers without state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state == {}


def save(root: Path, plan: Plan, done: int, value: float = 0.0) -> None:
    from trainer import checkpoint

    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(value)
    checkpoint.save(root, Feed(plan, str(root)), done, model, Nothing())


def newest(root: Path) -> tuple[int, float]:
    from trainer import checkpoint

    found = checkpoint.newest(root)
    assert found is not None
    model = torch.nn.Linear(1, 1, bias=False)
    checkpoint.load(found, model, Nothing(), torch.device("cpu"))
    return found.done, model.weight.item()


def test_two_are_kept_and_latest_names_the_newest(tmp_path: Path, make_plan: MakePlan) -> None:
    from trainer import checkpoint

    plan = make_plan()
    assert checkpoint.newest(tmp_path) is None
    for done in (2, 4, 6):
        save(tmp_path, plan, done, value=done)
    folder = tmp_path / "checkpoints"
    assert sorted(os.listdir(folder)) == ["latest", "step-00000004", "step-00000006"]
    assert (folder / "latest").read_text() == "step-00000006\n"
    assert newest(tmp_path) == (6, 6.0)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.plan == plan


@pytest.mark.parametrize("dies_at", ["fsync", "rename", "replace", "rmtree"])
def test_dying_at_any_point_leaves_a_usable_one(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    """Each system call of the third save in turn is the last one the process makes."""
    from trainer import checkpoint

    plan, kept = make_plan(), {4: 4.0, 5: 5.0}
    for number in range(1, 30):
        root = tmp_path / f"{dies_at}-{number}"
        root.mkdir()
        for done in (2, 4):
            save(root, plan, done, value=done)
        calls = [0]
        with monkeypatch.context() as patch:

            def counted(original: Callable[..., Any], *args: Any, calls: list[int] = calls, **kwargs: Any) -> Any:
                calls[0] += 1
                if calls[0] == number:  # noqa: B023
                    raise SystemExit
                return original(*args, **kwargs)

            owner = {"fsync": os, "rename": Path, "replace": os, "rmtree": checkpoint.shutil}[dies_at]
            original = getattr(owner, dies_at)
            patch.setattr(owner, dies_at, lambda *a, f=original, **k: counted(f, *a, **k))
            try:
                save(root, plan, 5, value=5.0)
            except SystemExit:
                pass
            else:
                assert number > 1
                break
        done, value = newest(root)
        assert value == kept[done]
        save(root, plan, 6, value=6.0)  # and the next save tidies up
        assert newest(root) == (6, 6.0)
        assert not [name for name in os.listdir(root / "checkpoints") if name.endswith(".tmp")]


def test_the_same_step_is_not_written_twice(tmp_path: Path, make_plan: MakePlan) -> None:
    plan = make_plan()
    save(tmp_path, plan, 2, value=1.0)
    save(tmp_path, plan, 2, value=5.0)
    assert newest(tmp_path) == (2, 1.0)


def test_the_feed_state_says_what_comes_next(tmp_path: Path, make_plan: MakePlan) -> None:
    plan = make_plan()
    for done, feed in ((2, (0, 8)), (3, (1, 0)), (6, (2, 0))):
        save(tmp_path, plan, done)
        state = json.loads((tmp_path / "checkpoints" / f"step-{done:08d}" / "state.json").read_text())
        assert state["feed"] == dict(zip(("stage", "row", "plan"), (*feed, plan.digest()), strict=True))
        assert Feed(plan, str(tmp_path)).resume(state["feed"]) == done


def test_the_state_is_of_the_plan_beside_it_when_a_running_build_extends_it_meanwhile(
    tmp_path: Path, make_plan: MakePlan
) -> None:
    from trainer import checkpoint

    grown = make_plan()
    begun = dataclasses.replace(
        grown, lock="", stages=(grown.stages[0], dataclasses.replace(grown.stages[1], sources=(), mixture=()))
    )

    class Growing(Feed):
        seen = 0

        @property
        def plan(self) -> Plan:
            self.seen += 1
            return begun if self.seen < 2 else grown

    checkpoint.save(tmp_path, Growing(begun, str(tmp_path)), 2, torch.nn.Linear(1, 1), Nothing())
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.plan == grown


def test_what_cannot_be_read_is_told(tmp_path: Path, make_plan: MakePlan) -> None:
    from trainer import checkpoint

    save(tmp_path, make_plan(), 2)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    with pytest.raises(checkpoint.CheckpointError, match=r"of another model: missing \['bias'\]"):
        checkpoint.load(found, torch.nn.Linear(1, 1), Nothing(), torch.device("cpu"))
    state = found.path / "state.json"
    state.write_text(state.read_text().replace('"format": 2', '"format": 9'))
    with pytest.raises(checkpoint.CheckpointError, match="has format 9, this version reads 2"):
        checkpoint.newest(tmp_path)
