import contextlib
import dataclasses
import errno
import json
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from curriculum.feed import Feed
from curriculum.plan import Plan

if TYPE_CHECKING:
    from trainer.checkpoint import Checkpoints
    from trainer.layout import Layout

MakePlan = Callable[..., Plan]


class Line(torch.nn.Linear):
    """A model of `width` weights, all the same."""

    def __init__(self, value: float, width: int = 1, *, bias: bool = False) -> None:
        super().__init__(width, 1, bias=bias)
        self.weight.data.fill_(value)

    def sharded_state_dict(self, metadata: dict[str, Any]) -> dict[str, Any]:
        return sharded(self.state_dict(keep_vars=True))


class Momentum:
    """Optimisers with one tensor and one number."""

    def __init__(self, value: float) -> None:
        self.value = torch.full((3,), value)
        self.steps = int(value)

    def sharded_state_dict(self, model: dict[str, Any]) -> dict[str, Any]:
        return {**sharded({"momentum": self.value}), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.steps = state["momentum"], state["steps"]


def sharded(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    from megatron.core.dist_checkpointing.mapping import ShardedTensor

    return {name: ShardedTensor.from_rank_offsets(name, value) for name, value in tensors.items()}


Open = Callable[..., "contextlib.AbstractContextManager[Checkpoints]"]


@pytest.fixture
def opened(alone: "Layout") -> Open:
    """The checkpoints of a process that begins with them."""
    from trainer.checkpoint import Checkpoints

    @contextlib.contextmanager
    def start(root: Path, **options: Any) -> "Iterator[Checkpoints]":
        with contextlib.closing(Checkpoints(root, alone, **options)) as checkpoints:
            yield checkpoints

    return start


Save = Callable[..., None]


@pytest.fixture
def save(opened: Open) -> Save:
    """A process that writes one checkpoint."""

    def write(root: Path, plan: Plan, done: int, value: float = 0.0, **options: Any) -> None:
        with opened(root, **options) as checkpoints:
            checkpoints.save(Feed(plan, str(root)), done, Line(value), Momentum(value))
            checkpoints.finish()

    return write


Newest = Callable[[Path], tuple[int, float]]


@pytest.fixture
def newest(opened: Open, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newest]:
    """The newest checkpoint that another process finds: its step, and the value in it."""
    from trainer import checkpoint

    def read(root: Path) -> tuple[int, float]:
        found = checkpoint.newest(root)
        assert found is not None
        model, optimizers = Line(-1.0), Momentum(-1.0)
        checkpoint.Checkpoints.load(reader, found, model, optimizers)
        assert optimizers.value.tolist() == [model.weight.item()] * 3
        assert optimizers.steps == int(model.weight.item())
        return found.done, model.weight.item()

    with opened(tmp_path_factory.mktemp("reader")) as reader:
        yield read


def names(root: Path) -> list[str]:
    return sorted(os.listdir(root / "checkpoints"))


def test_two_are_kept_and_latest_names_the_newest(
    tmp_path: Path, make_plan: MakePlan, save: Save, newest: Newest
) -> None:
    from trainer import checkpoint

    plan = make_plan()
    assert checkpoint.newest(tmp_path) is None
    for done in (2, 4, 6):
        save(tmp_path, plan, done, value=done)
    assert names(tmp_path) == ["latest", "step-00000004", "step-00000006"]
    assert (tmp_path / "checkpoints/latest").read_text() == "step-00000006\n"
    assert newest(tmp_path) == (6, 6.0)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.plan == plan


def test_what_is_kept_follows_the_tokens_and_stages_of_the_plan(
    tmp_path: Path, make_plan: MakePlan, save: Save
) -> None:
    plan = make_plan()  # steps of 128 tokens, stages of three steps
    for done in range(1, 7):
        save(tmp_path, plan, done, keep_last=1, keep_stage_ends=True)
    assert names(tmp_path) == ["latest", "step-00000003", "step-00000006"]
    save(root := tmp_path / "other", plan, 1, keep_last=1, keep_every_tokens=300)
    for done in range(2, 7):
        save(root, plan, done, keep_last=1, keep_every_tokens=300)
    assert names(root) == ["latest", "step-00000003", "step-00000005", "step-00000006"]


@pytest.mark.parametrize("call", ["fsync", "rename", "replace", "rmtree", "mkdir"])
@pytest.mark.parametrize("error", [SystemExit(), OSError(errno.ENOSPC, "No space left on device")])
def test_dying_or_failing_at_any_point_leaves_a_usable_one(
    tmp_path: Path,
    make_plan: MakePlan,
    save: Save,
    newest: Newest,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    error: BaseException,
) -> None:
    """Each system call of the third save in turn is the last one that the process makes, or finds no space."""
    from trainer.checkpoint import CheckpointError

    plan, values = make_plan(), {4: 4.0, 5: 5.0}
    for number in range(1, 30):
        root = tmp_path / str(number)
        root.mkdir()
        for done in (2, 4):
            save(root, plan, done, value=done)
        calls, failed = [0], False
        with monkeypatch.context() as patch:
            owner: Any = {"fsync": os, "rmtree": shutil}.get(call, Path)
            original = getattr(owner, call)

            def counted(*args: Any, calls: list[int] = calls, original: Any = original, **options: Any) -> Any:
                calls[0] += 1
                if calls[0] == number:  # noqa: B023
                    raise error
                return original(*args, **options)

            patch.setattr(owner, call, counted)
            try:
                save(root, plan, 5, value=5.0)
            except (SystemExit, CheckpointError):
                failed = True
        done, value = newest(root)
        assert value == values[done]
        assert failed or done == 5
        if isinstance(error, OSError):
            assert done == (4 if failed else 5)
            assert ".step-00000005.tmp" not in names(root)
        save(root, plan, 6, value=6.0)  # the next start tidies up
        assert newest(root) == (6, 6.0)
        assert not [name for name in names(root) if name.endswith(".tmp")]
        if calls[0] < number:
            assert number > 1
            break


def test_an_old_one_is_removed_when_the_new_one_is_on_the_disk(
    tmp_path: Path, make_plan: MakePlan, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import checkpoint_folder

    plan, calls = make_plan(), []
    remove, rename, fsync = checkpoint_folder.remove_folder, Path.rename, os.fsync

    def flushed(descriptor: int) -> None:
        calls.append(f"flush {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    monkeypatch.setattr(Path, "rename", lambda path, to: (calls.append(f"name {to.name}"), rename(path, to))[1])
    monkeypatch.setattr(checkpoint_folder, "remove_folder", lambda path: (calls.append("remove"), remove(path)))
    monkeypatch.setattr(os, "fsync", flushed)
    for done in (2, 4):
        save(tmp_path, plan, done, keep_last=1)
    named = calls.index("name step-00000004")
    before = calls[calls.index("name step-00000002") : named]
    for name in (
        "__0_0.distcp",
        ".metadata.tmp",
        "metadata.json",
        "common.pt",
        "sha256sums",
        "weights",
        "plan.json",
        "state.json",
    ):
        assert f"flush {name}" in before
    assert before[-1] == "flush .step-00000004.tmp"
    assert "flush checkpoints" in calls[named : calls.index("remove")]


def test_a_save_is_of_its_moment_whatever_is_learned_while_it_is_written(
    tmp_path: Path, make_plan: MakePlan, opened: Open, newest: Newest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import torch_dist

    plan, learned, write = make_plan(), threading.Event(), torch_dist.write
    monkeypatch.setattr(torch_dist, "write", lambda *arguments: learned.wait(10) and write(*arguments))
    model, optimizers = Line(2.0), Momentum(2.0)
    with opened(tmp_path) as checkpoints:
        checkpoints.save(Feed(plan, str(tmp_path)), 2, model, optimizers)
        model.weight.data.fill_(7.0)
        optimizers.value.fill_(7.0)
        checkpoints.poll()
        assert not (tmp_path / "checkpoints" / "latest").exists()
        learned.set()
        checkpoints.finish()
    assert newest(tmp_path) == (2, 2.0)


def test_the_next_save_does_not_disturb_one_that_is_being_written(
    tmp_path: Path, make_plan: MakePlan, opened: Open, newest: Newest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import torch_dist

    plan, write = make_plan(), torch_dist.write
    monkeypatch.setattr(torch_dist, "write", lambda *arguments: time.sleep(0.1) or write(*arguments))
    with opened(tmp_path) as checkpoints:
        for done in (2, 4):
            checkpoints.save(Feed(plan, str(tmp_path)), done, Line(done), Momentum(done))
    assert newest(tmp_path) == (4, 4.0)  # closing lets it come to its end
    shutil.rmtree(tmp_path / "checkpoints/step-00000004")
    assert newest(tmp_path) == (2, 2.0)


def test_without_asynchronous_it_is_there_at_once(tmp_path: Path, make_plan: MakePlan, opened: Open) -> None:
    plan = make_plan()
    with opened(tmp_path, asynchronous=False) as checkpoints:
        checkpoints.save(Feed(plan, str(tmp_path)), 2, Line(2.0), Momentum(2.0))
        assert names(tmp_path) == ["latest", "step-00000002"]


def test_a_full_disk_is_a_warning_and_at_the_end_an_error(
    tmp_path: Path, make_plan: MakePlan, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    from trainer.checkpoint import CheckpointError, newest

    plan, root = make_plan(), tmp_path / "small"
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        feed, width = Feed(plan, str(tmp_path)), 80_000  # 320 kB
        with opened(root, keep_last=9) as checkpoints:
            for done in (2, 3):
                checkpoints.save(feed, done, Line(done, width), Momentum(done))
                checkpoints.finish()
            with caplog.at_level(logging.WARNING):
                checkpoints.save(feed, 4, Line(4.0, width), Momentum(4.0))
                checkpoints.save(feed, 5, Line(5.0), Momentum(5.0))  # a smaller one has room
            assert "step-00000004 could not be written (rank 0: [Errno 28] No space left on device)" in caplog.text
            checkpoints.finish()
            assert names(root) == ["latest", "step-00000002", "step-00000003", "step-00000005"]
            checkpoints.save(feed, 6, Line(6.0, width), Momentum(6.0))
            with pytest.raises(CheckpointError, match=r"step-00000006 .*The newest complete one is step-00000005"):
                checkpoints.finish()
        found = newest(root)
        assert found is not None
        assert (found.done, names(root)[-1]) == (5, "step-00000005")
    finally:
        subprocess.run(["umount", root], check=True)


def test_other_errors_while_writing_end_the_run(
    tmp_path: Path, make_plan: MakePlan, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import torch_dist

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    plan = make_plan()
    monkeypatch.setattr(torch_dist, "write", broken)
    with opened(tmp_path) as checkpoints:
        checkpoints.save(Feed(plan, str(tmp_path)), 2, Line(2.0), Momentum(2.0))
        with pytest.raises(ZeroDivisionError):
            checkpoints.finish()


def test_the_same_step_is_not_written_twice(tmp_path: Path, make_plan: MakePlan, save: Save, newest: Newest) -> None:
    plan = make_plan()
    save(tmp_path, plan, 2, value=1.0)
    save(tmp_path, plan, 2, value=5.0)
    assert newest(tmp_path) == (2, 1.0)


def test_the_same_state_gives_the_same_bytes(tmp_path: Path, make_plan: MakePlan, opened: Open) -> None:
    plan, found = make_plan(), []
    for name, earlier in (("one", ()), ("other", (1, 2))):
        model = Line(3.0)
        torch.manual_seed(0)
        with opened(tmp_path / name) as checkpoints:
            for done in (*earlier, 3):
                checkpoints.save(Feed(plan, str(tmp_path)), done, model, Momentum(3.0))
            checkpoints.finish()
        folder = tmp_path / name / "checkpoints/step-00000003"
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        found.append({path.relative_to(folder): path.read_bytes() for path in paths})
    assert len(found[0]) == 7
    assert found[0] == found[1]


def test_megatron_reads_the_weights(tmp_path: Path, make_plan: MakePlan, save: Save) -> None:
    from megatron.core.dist_checkpointing import load_common_state_dict, load_plain_tensors

    save(tmp_path, make_plan(), 2, value=2.0)
    folder = str(tmp_path / "checkpoints/step-00000002/weights")
    tensors = load_plain_tensors(folder)
    assert tensors["weight"].tolist() == [[2.0]]
    assert tensors["momentum"].tolist() == [2.0, 2.0, 2.0]
    assert load_common_state_dict(folder)["optimizer"] == {"steps": 2}


def test_random_generators_go_on_in_the_same_layout_only(tmp_path: Path, make_plan: MakePlan, opened: Open) -> None:
    from trainer.checkpoint import newest

    plan, model = make_plan(), Line(2.0)
    torch.manual_seed(3)
    with opened(tmp_path) as checkpoints:
        checkpoints.save(Feed(plan, str(tmp_path)), 2, model, Momentum(2.0))
        drawn = torch.rand(4).tolist()
        checkpoints.finish()
        found = newest(tmp_path)
        assert found is not None
        checkpoints.load(found, model, Momentum(0.0))
        assert torch.rand(4).tolist() == drawn
        path = found.path / "state.json"
        path.write_text(path.read_text().replace('"tensor": 1', '"tensor": 2'))
        torch.manual_seed(4)
        expected = torch.rand(4).tolist()
        torch.manual_seed(4)
        found = newest(tmp_path)
        assert found is not None
        checkpoints.load(found, model, Momentum(0.0))
        assert torch.rand(4).tolist() == expected


def test_the_state_says_what_comes_next_and_what_was_learned(
    tmp_path: Path, make_plan: MakePlan, save: Save, alone: "Layout"
) -> None:
    plan = make_plan()
    for done, feed, end in ((2, (0, 8), False), (3, (1, 0), True), (4, (1, 2), False), (6, (2, 0), True)):
        save(tmp_path, plan, done)
        state = json.loads((tmp_path / "checkpoints" / f"step-{done:08d}" / "state.json").read_text())
        assert state["feed"] == dict(zip(("stage", "row", "plan"), (*feed, plan.digest()), strict=True))
        assert Feed(plan, str(tmp_path)).resume(state["feed"]) == done
        assert (state["tokens"], state["is_stage_end"]) == (128 * done, end)
        assert state["layout"] == {
            **dict.fromkeys(("world", "tensor", "pipeline", "expert", "context", "data"), 1),
            "device": alone.device.type,
        }
        assert state["torch"] == torch.__version__
        assert state["megatron-core"].startswith("0.16")


def test_the_state_is_of_the_plan_beside_it_when_a_running_build_extends_it_meanwhile(
    tmp_path: Path, make_plan: MakePlan, opened: Open
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

    with opened(tmp_path) as checkpoints:
        checkpoints.save(Growing(begun, str(tmp_path)), 2, Line(1.0), Momentum(1.0))
        checkpoints.finish()
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.plan == grown


def test_what_is_of_another_model_or_version_is_told(
    tmp_path: Path, make_plan: MakePlan, save: Save, opened: Open
) -> None:
    from trainer import checkpoint
    from trainer.checkpoint import CheckpointError

    save(tmp_path, make_plan(), 2)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    with opened(tmp_path) as checkpoints:
        with pytest.raises(
            CheckpointError, match=r"weights are of another model: missing \['bias'\], unexpected \[\]\. "
        ):
            checkpoints.load(found, Line(0.0, bias=True), Momentum(0.0))
        with pytest.raises(CheckpointError, match=r"cannot be read: .*[sS]hape.*\(1, 2\).* remove .*step-00000002"):
            checkpoints.load(found, Line(0.0, width=2), Momentum(0.0))
    state = found.path / "state.json"
    text = state.read_text()
    state.write_text(text.replace('"format": 3', '"format": 2'))
    with pytest.raises(CheckpointError, match=r"has format 2, this version reads 3: .*remove .*checkpoints to start"):
        checkpoint.newest(tmp_path)
    plan = found.path / "plan.json"
    state.write_text(text)
    plan.write_text('{"format": 0}')
    with pytest.raises(CheckpointError, match=r"plan.json is of another version: .*remove .*checkpoints to start"):
        checkpoint.newest(tmp_path)


def test_one_of_another_format_is_left_alone(tmp_path: Path, make_plan: MakePlan, save: Save) -> None:
    plan = make_plan()
    old = tmp_path / "checkpoints/step-00000001"
    old.mkdir(parents=True)
    (old / "state.json").write_text('{"format": 2, "step": 1}')
    for done in (2, 3):
        save(tmp_path, plan, done, keep_last=1)
    assert names(tmp_path) == ["latest", "step-00000001", "step-00000003"]


def test_nothing_to_keep_is_refused(tmp_path: Path, alone: "Layout") -> None:
    from trainer.checkpoint import Checkpoints

    with pytest.raises(ValueError, match=r"keep_last is 0: .* give 1 or more"):
        Checkpoints(tmp_path, alone, keep_last=0)
