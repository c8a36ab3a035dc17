"""Damaged checkpoints are named with the file, and never loaded; by all ranks, and once."""

import contextlib
import errno
import io
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader

from curriculum.feed import Feed
from curriculum.plan import Plan
from tests.trainer.conftest import SHAPE, TRAINING, VOCAB, stage
from tests.trainer.forked import forked
from tests.trainer.test_checkpoint import Line, Momentum
from trainer import damage
from trainer.damage import Archive, Damaged, check_share

if TYPE_CHECKING:
    from trainer.layout import Layout

STEP = "checkpoints/step-00000002"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, alone: "Layout") -> tuple[Path, Plan]:
    """A root with a checkpoint after two steps."""
    from trainer.checkpoint import Checkpoints

    root = tmp_path_factory.mktemp("written")
    tokenizer = {"path": "tokenizer.json", "sha256": "s", "vocab_size": VOCAB, "eos_id": 0}
    stages = (stage(root, "short", seq_len=32, steps=3, rows=4),)
    plan = Plan("test", "1", 7, "m", "l", tokenizer, SHAPE, TRAINING, stages)
    with contextlib.closing(Checkpoints(root, alone)) as checkpoints:
        checkpoints.save(Feed(plan, str(root)), 2, Line(2.0, 3), Momentum(5.0))
        checkpoints.finish()
    return root, plan


@pytest.fixture
def root(written: tuple[Path, Plan], tmp_path: Path) -> Path:
    """A copy of it, for damage."""
    shutil.copytree(written[0] / "checkpoints", tmp_path / "checkpoints")
    return tmp_path


def load(root: Path, layout: "Layout") -> tuple[list[float], list[float], int]:
    from trainer import checkpoint

    found = checkpoint.newest(root)
    assert found is not None
    model, optimizers = Line(-1.0, 3), Momentum(-1.0)
    with contextlib.closing(checkpoint.Checkpoints(root, layout)) as checkpoints:
        checkpoints.load(found, model, optimizers)
    return model.weight.flatten().tolist(), optimizers.value.tolist(), optimizers.steps


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    flip_at(path, path.stat().st_size // 2)


def flip_at(path: Path, position: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= bit
    path.write_bytes(data)


def junk(path: Path) -> None:
    path.write_bytes(b"\xff\x00 what is this")


def a_list(path: Path) -> None:
    path.write_text("[1]")


def without(key: str) -> Callable[[Path], None]:
    def remove(path: Path) -> None:
        state = json.loads(path.read_text())
        del state[key]
        path.write_text(json.dumps(state))

    return remove


def of_step_3(path: Path) -> None:
    path.write_text(path.read_text().replace('"step": 2', '"step": 3'))


WAYS: list[tuple[str, Callable[[Path], None]]] = [
    *[(name, way) for name in ("weights/common.pt", "weights/.metadata", "weights/metadata.json", "weights/__0_0.distcp",
                               "plan.json", "state.json") for way in (Path.unlink, cut, junk)],
    *[(name, flip) for name in ("weights/common.pt", "weights/.metadata", "weights/metadata.json", "plan.json")],
    *[("state.json", way) for way in (a_list, without("feed"), without("step"), without("layout"), without("format"), of_step_3)],
    ("plan.json", a_list),
    ("weights/metadata.json", a_list),
]  # fmt: skip


@pytest.mark.parametrize("has_sums", [True, False], ids=["sums", "older"])
@pytest.mark.parametrize(("name", "way"), WAYS)
def test_a_damaged_file_is_named_with_what_to_do(
    root: Path, alone: "Layout", name: str, way: Callable[[Path], None], has_sums: bool
) -> None:
    from trainer.checkpoint import CheckpointError

    if not has_sums:
        (root / STEP / "weights/sha256sums").unlink()
        if (name, way) == ("weights/.metadata", flip):
            pytest.skip("a pickle without a checksum can be anything")
    way(root / STEP / name)
    with pytest.raises(CheckpointError) as caught:
        load(root, alone)
    told = str(caught.value)
    assert told.startswith(f"{root / STEP / name} ")
    assert f"remove {root / STEP}: the same command then continues from the checkpoint before it" in told


def test_what_is_whole_is_loaded_with_and_without_checksums_of_the_small_files(root: Path, alone: "Layout") -> None:
    expected = ([2.0] * 3, [5.0] * 3, 5)
    assert load(root, alone) == expected
    sums = root / STEP / "weights/sha256sums"
    assert (
        subprocess.run(["sha256sum", "--check", "--strict", "sha256sums"], cwd=sums.parent, check=False).returncode == 0
    )
    sums.write_text(sums.read_text().replace("common.pt", "common.py"))
    with pytest.raises(Exception, match=r"common.pt is damaged: sha256sums beside it"):
        load(root, alone)
    sums.unlink()
    assert load(root, alone) == expected


@pytest.mark.parametrize(
    ("name", "old", "new"), [(".metadata", b"momentum", b"momenta"), ("metadata.json", b" ", b"  ")]
)
def test_small_files_that_can_still_be_read_are_compared_with_their_checksums(
    root: Path, alone: "Layout", name: str, old: bytes, new: bytes
) -> None:
    from trainer.checkpoint import CheckpointError

    path = root / STEP / "weights" / name
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(CheckpointError, match=f"{name} is damaged: sha256sums beside it has another checksum"):
        load(root, alone)


def test_after_the_damaged_one_is_removed_the_run_continues_from_the_one_before(
    root: Path, written: tuple[Path, Plan], alone: "Layout"
) -> None:
    from trainer.checkpoint import CheckpointError, Checkpoints

    with contextlib.closing(Checkpoints(root, alone)) as checkpoints:
        checkpoints.save(Feed(written[1], str(root)), 3, Line(3.0, 3), Momentum(3.0))
        checkpoints.finish()
    newer = root / "checkpoints/step-00000003"
    flip(newer / "weights/__0_0.distcp")
    with pytest.raises(CheckpointError, match=f"remove {newer}"):
        load(root, alone)
    shutil.rmtree(newer)
    assert load(root, alone)[2] == 5


@pytest.mark.parametrize("name", ["weight", "momentum", "random.cpu"])
@pytest.mark.parametrize("where", ["data", "local header", "central header", "end", "mark"])
def test_one_flipped_bit_of_a_tensor_is_told_with_its_name(root: Path, alone: "Layout", name: str, where: str) -> None:
    from trainer.checkpoint import CheckpointError

    path = root / STEP / "weights/__0_0.distcp"
    index, place = next(
        (index, place)
        for index, place in FileSystemReader(path.parent).read_metadata().storage_data.items()
        if index.fqn == name
    )
    archive = path.read_bytes()[place.offset : place.offset + place.length]
    central = archive.rindex(b"PK\x01\x02", 0, archive.rindex(b"archive/data/0"))
    name_ends = archive.index(b"archive/data/0") + len(b"archive/data/0")
    positions = {
        "data": -(-name_ends // 64) * 64 + 4,  # the numbers begin at a multiple of 64
        "local header": archive.rindex(b"PK\x03\x04", 0, name_ends),
        "central header": central + 16,  # the CRC-32
        "end": len(archive) - 22,  # the last signature
        "mark": central + 38,  # attributes: the bit of a folder
    }
    flip_at(path, place.offset + positions[where], 16 if where == "mark" else 1)
    with pytest.raises(CheckpointError) as caught:
        load(root, alone)
    told = f"{path} is damaged: tensor {index.fqn!r}, bytes {place.offset} to {place.offset + place.length}, is not"
    assert str(caught.value).startswith(told)


def test_no_flipped_bit_of_an_archive_changes_what_is_loaded(tmp_path: Path) -> None:
    """One bit of every byte: either it is told, or the tensor is what it was."""
    stream = io.BytesIO()
    torch.save(tensor := torch.arange(1.0, 7.0).reshape(2, 3), stream)
    data, path, found = stream.getvalue(), tmp_path / "f", 0
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(b"before" + flipped + b"behind")
        try:
            check_share(tmp_path, [Archive("f", 6, len(data), "tensor 't'")])
        except Damaged:
            found += 1
            continue
        loaded = torch.load(io.BytesIO(flipped))
        assert torch.equal(loaded, tensor), position
        assert loaded.dtype == tensor.dtype
    assert found > len(data) / 3


def test_bytes_that_are_no_archive_are_left_out(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"state": 1}, stream)
    (tmp_path / "f").write_bytes(b"what" + stream.getvalue())
    where = (len(b"what"), len(stream.getvalue()))
    check_share(
        tmp_path, [Archive("f", 0, 4, "object 'o'", is_sure=False), Archive("f", *where, "object 'p'", is_sure=False)]
    )
    with pytest.raises(Damaged, match="tensor 't'"):
        check_share(tmp_path, [Archive("f", 0, 4, "tensor 't'")])
    flip_at(tmp_path / "f", 4 + 70)  # in the pickle
    with pytest.raises(Damaged, match="object 'p'"):
        check_share(tmp_path, [Archive("f", *where, "object 'p'", is_sure=False)])


def test_ranks_share_the_archives_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_all = [Archive(f"{number % 3}", number, 1000 if number % 4 == 0 else 10, f"{number}") for number in range(40)]
    for name in "012":
        (tmp_path / name).touch()
    shares: list[list[Archive]] = [[] for _ in range(4)]
    monkeypatch.setattr(damage.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(damage.dist, "get_world_size", lambda: 4)
    for rank, share in enumerate(shares):
        monkeypatch.setattr(damage.dist, "get_rank", lambda rank=rank: rank)
        monkeypatch.setattr(damage, "_check", lambda file, archive, path, share=share: share.append(archive))
        check_share(tmp_path, of_all)
        assert share == sorted(share)  # one file after the other, forwards
    assert sorted(archive for share in shares for archive in share) == sorted(of_all)
    loads = [sum(archive.length for archive in share) for share in shares]
    assert max(loads) - min(loads) < 1000


def test_two_ranks_end_alike_and_one_of_them_says_it(written: tuple[Path, Plan], tmp_path: Path) -> None:
    for name in ("tensor", "plan", "begin"):
        shutil.copytree(written[0] / "checkpoints", tmp_path / name / "checkpoints")
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "checkpoints").touch()
    places = FileSystemReader(tmp_path / "tensor" / STEP / "weights").read_metadata().storage_data
    for name in ("tensor", "begin"):
        place = next(place for index, place in places.items() if index.fqn == "weight")
        flip_at(tmp_path / name / STEP / "weights/__0_0.distcp", place.offset)
    cut(tmp_path / "plan" / STEP / "plan.json")
    (tmp_path / "apart" / "0").mkdir(parents=True)
    (tmp_path / "apart" / "0" / "config.json").write_text("{}")
    junk(tmp_path / "begin" / STEP / "weights/.metadata")
    forked("damage_worker.py", 2, tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for name, text, cause in (
        ("plan", "plan.json is damaged (", "NoneType"),
        ("file", "checkpoints cannot be written (", "CheckpointError"),
        ("begin", ".metadata is damaged", "WeightsError"),
    ):
        assert first[name][0] == ("WeightsError" if name == "begin" else "CheckpointError")
        assert text in first[name][1]
        assert second[name] == ["Elsewhere", "the run ends because of what rank 0 says", cause]
    says, hears = sorted((first["tensor"], second["tensor"]))  # whoever has looked at it says it
    assert says[0] == "CheckpointError"
    assert "__0_0.distcp is damaged: tensor 'weight'" in says[1]
    assert hears[0] == "Elsewhere"
    assert [first["apart"][0], second["apart"][0]] == ["HuggingFaceError", "WeightsError"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer import torch_dist

    def write(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch_dist, "write", write)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_failed_save_is_said_once(
    tmp_path: Path, written: tuple[Path, Plan], alone: "Layout", asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The last one as an error, one before as a warning, and as a warning too where the run ends by another error."""
    from trainer.checkpoint import CheckpointError, Checkpoints

    caplog.set_level(logging.WARNING, "trainer.checkpoint")
    feed = Feed(written[1], str(tmp_path))
    with contextlib.closing(Checkpoints(tmp_path, alone, asynchronous=asynchronous)) as checkpoints:
        checkpoints.save(feed, 1, Line(1.0), Momentum(1.0))
        checkpoints.save(feed, 2, Line(1.0), Momentum(1.0))
        (message,) = caplog.messages
        assert "step-00000001 could not be written (rank 0: [Errno 28]" in message
        with pytest.raises(CheckpointError, match="step-00000002 could not be written"):
            checkpoints.finish()
        checkpoints.poll()
        assert len(caplog.messages) == 1
        checkpoints.save(feed, 3, Line(1.0), Momentum(1.0))
    assert len(caplog.messages) == 2
    assert "step-00000003 could not be written" in caplog.messages[1]


def test_where_no_checkpoint_can_be_written_is_said_at_the_start(
    tmp_path: Path, alone: "Layout", monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.checkpoint import CheckpointError, Checkpoints

    Checkpoints(tmp_path / "good", alone).close()
    assert os.listdir(tmp_path / "good/checkpoints") == []
    (tmp_path / "checkpoints").touch()
    told = f"{tmp_path}/checkpoints cannot be written .*a file that has this name must go away"
    with pytest.raises(CheckpointError, match=told):
        Checkpoints(tmp_path, alone)
    with pytest.raises(CheckpointError, match="Not a directory"):
        Checkpoints(tmp_path / "checkpoints", alone)

    def read_only(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(CheckpointError, match=r"cannot be written \(.*Read-only file system.*Give a --root"):
        Checkpoints(tmp_path / "good", alone)


@pytest.mark.parametrize("text", ["[1]", '{"step": 1, "tokens": "many", "is_stage_end": false}'])
def test_one_with_a_damaged_state_is_left_alone_by_later_saves(
    root: Path, written: tuple[Path, Plan], alone: "Layout", text: str
) -> None:
    from trainer.checkpoint import Checkpoints

    (root / STEP / "state.json").write_text(text)
    with contextlib.closing(Checkpoints(root, alone, keep_last=1, keep_every_tokens=1)) as checkpoints:
        checkpoints.save(Feed(written[1], str(root)), 3, Line(3.0), Momentum(3.0))
        checkpoints.finish()
    assert sorted(os.listdir(root / "checkpoints")) == ["latest", "step-00000002", "step-00000003"]
