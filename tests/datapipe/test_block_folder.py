"""A bounded folder of blocks that several processes share."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datapipe.block_folder import PART_SECONDS, BlockFolder
from datapipe.stored import StoreError

ROOT = Path(__file__).parents[2]
LIMIT = 1000


@pytest.fixture
def folder(tmp_path: Path) -> BlockFolder:
    return BlockFolder(str(tmp_path / "cache"), LIMIT)


def blocks_in(folder: BlockFolder) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in Path(folder.folder, "blocks").iterdir()}


def use_at(folder: BlockFolder, name: str, seconds: float) -> None:
    os.utime(Path(folder.folder, "blocks", name), (seconds, seconds))


def test_what_was_added_is_read(folder: BlockFolder) -> None:
    folder.add("a", b"0123456789")
    assert folder.has("a")
    assert folder.read("a", 10, 0, 10) == b"0123456789"
    assert folder.read("a", 10, 3, 5) == b"34"
    assert not folder.has("b")
    assert folder.read("b", 10, 0, 10) is None
    folder.remove(["a", "b"])
    assert folder.read("a", 10, 0, 10) is None
    assert Path(folder.folder).stat().st_mode & 0o077 == 0


def test_a_block_that_is_not_whole_is_none(folder: BlockFolder) -> None:
    folder.add("a", bytes(9))
    assert folder.read("a", 10, 0, 5) is None


def test_the_least_recently_used_go_first(folder: BlockFolder) -> None:
    for age, name in enumerate("abcd"):
        folder.add(name, bytes(250))
        use_at(folder, name, 1000 + age)
    assert folder.read("a", 250, 0, 1) == b"\0"  # used now
    folder.add("e", bytes(250))
    assert set(blocks_in(folder)) == {"a", "c", "d", "e"}
    folder.add("f", bytes(500))
    assert set(blocks_in(folder)) == {"a", "e", "f"}


ACTIONS = st.tuples(
    st.sampled_from(["add", "remove", "lose the ledger"]), st.sampled_from("abcdefgh"), st.integers(1, LIMIT)
)


@given(st.lists(ACTIONS, max_size=30))
@example([("add", "a", 450), ("add", "b", 1), ("add", "b", 551)])  # what is replaced survives the eviction before
@settings(max_examples=40, deadline=None)
def test_the_limit_holds_and_the_ledger_is_exact(actions: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as path:
        folders = [BlockFolder(path, LIMIT), BlockFolder(path, LIMIT)]
        for number, (action, name, size) in enumerate(actions):
            folder = folders[number % 2]
            if action == "add":
                folder.add(name, bytes(size))
                assert folder.read(name, size, 0, size) == bytes(size)
            elif action == "remove":
                folder.remove([name])
            else:
                Path(path, "ledger").unlink(missing_ok=True)
            assert sum(blocks_in(folder).values()) <= LIMIT
        folders[0].remove([])
        assert int(Path(path, "ledger").read_text().split()[1]) == sum(blocks_in(folders[0]).values())


@pytest.mark.parametrize("ledger", ["", "another-boot 0", "nonsense"])
def test_a_ledger_that_cannot_be_believed_is_counted_again(folder: BlockFolder, ledger: str) -> None:
    for name in "abcd":
        folder.add(name, bytes(250))
    Path(folder.folder, "ledger").write_text(ledger)
    folder.add("e", bytes(250))
    assert sum(blocks_in(folder).values()) <= LIMIT


def test_a_crash_while_a_block_comes_leaves_no_wrong_count(
    folder: BlockFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.add("a", bytes(900))

    def crash(*paths: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            folder.add("b", bytes(50))
    assert blocks_in(folder) == {"a": 900}
    folder.add("c", bytes(100))
    folder.add("d", bytes(100))
    assert sum(blocks_in(folder).values()) <= LIMIT


def test_half_written_blocks_of_killed_processes_go_with_the_next_eviction(folder: BlockFolder) -> None:
    for name, age in (("old.part", 2 * PART_SECONDS), ("new.part", 0)):
        Path(folder.folder, "blocks", name).write_bytes(b"half")
        use_at(folder, name, time.time() - age)
    folder.add("a", bytes(600))
    folder.add("b", bytes(600))
    assert set(blocks_in(folder)) == {"b", "new.part"}


def test_a_full_disk_is_a_clear_error(folder: BlockFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_bytes(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(StoreError, match=r"(?s)No space left on device.*\[cache\] folder, size") as refusal:
        folder.add("a", b"x")
    assert refusal.value.path == folder.folder
    assert blocks_in(folder) == {}


def test_a_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"(?s)Not a directory.*site file"):
        BlockFolder(str(tmp_path / "file" / "cache"), LIMIT)


def can_lock(folder: BlockFolder, file: int, first: int, stop: int) -> bool:
    """Whether another thread gets this lock within a moment."""
    got = threading.Event()

    def lock() -> None:
        with folder.locked(file, first, stop):
            got.set()

    threading.Thread(target=lock, daemon=True).start()
    return got.wait(0.2)


def test_only_the_blocks_in_question_are_locked(folder: BlockFolder) -> None:
    with folder.locked(7, 10, 14):
        assert not can_lock(folder, 7, 13, 15)
        assert can_lock(folder, 7, 14, 15)
        assert can_lock(folder, 7, 0, 10)
        assert can_lock(folder, 8, 10, 14)
    assert can_lock(folder, 7, 13, 15)
    with folder.locked((1 << 40) - 1, (1 << 22) - 1, 1 << 22):  # the last of the last
        assert can_lock(folder, 0, 0, 1)


def test_a_killed_holder_blocks_nobody(folder: BlockFolder) -> None:
    program = (
        "import sys, time\nfrom datapipe.block_folder import BlockFolder\n"
        "with BlockFolder(sys.argv[1], 1000).locked(1, 0, 4):\n"
        "    print('locked', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, folder.folder], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == b"locked\n"
        assert not can_lock(folder, 1, 3, 5)
        process.send_signal(signal.SIGKILL)
    assert can_lock(folder, 1, 3, 5)
