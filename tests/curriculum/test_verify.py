"""A build that is not what its lock says is told, whatever happened to it; one that is passes, here and on S3."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from curriculum import doc_index, file_check
from curriculum.lock import FORMAT, write_lock
from curriculum.plan import FORMAT as PLAN_FORMAT
from curriculum.plan import BatchSegment, Plan, Source
from curriculum.progress import VerifyProgress
from curriculum.verify import leftovers, summary, verify
from datapipe import store
from datapipe.shards import Piece, ShardWriter, docs_path, tokens_path
from tests.plans import make_source, make_stage

SEQ_LEN = 4096  # 16 rows per record batch
TOKENIZER = b"{}"
SECOND = "shards/web/shard-00001"  # of the first source; three record batches in either file


def write_build(root: str) -> Plan:
    """Two sources, one of them in two shards, as a build leaves them."""
    tokenizer = {"path": "tokenizer/k/tokenizer.json", "sha256": hashlib.sha256(TOKENIZER).hexdigest()}
    store.write_bytes(store.join(root, tokenizer["path"]), TOKENIZER)
    sources = (make_source("web", 80, 2), make_source("code", 4))
    lock = {"format": FORMAT, "tokenizer": tokenizer, "shards": [write_source(root, source) for source in sources]}
    batch = [BatchSegment(0, 2)]
    stage = make_stage(sources, (Fraction(3, 4), Fraction(1, 4)), seq_len=SEQ_LEN, steps=20, batch=batch)
    plan = Plan("p", "1", 1, "m", write_lock(root, lock), tokenizer, {}, {}, (stage,))
    write_plan(root, plan)
    return plan


def write_source(root: str, source: Source) -> dict[str, Any]:
    """The shards of a source; its entry of the lock."""
    files = []
    for shard in source.shards:
        with ShardWriter(store.join(root, shard.path), seq_len=SEQ_LEN, sources=[source.name]) as writer:
            for row in range(shard.rows):
                tokens = np.random.default_rng(row).integers(0, 50, SEQ_LEN).astype(np.uint32)
                writer.add(tokens, [Piece(f"{shard.path} {row}", 0, SEQ_LEN)])
        kept = ("rows", "tokens", "bytes", "sha256_tokens", "sha256_docs")
        files.append({"path": shard.path, **{name: getattr(writer.info, name) for name in kept}})
        store.write_bytes(store.join(root, shard.path + ".json"), b"the mark of the engine")
    columns = {field.name: np.zeros(200_000, field.type.to_pandas_dtype()) for field in doc_index.INDEX}
    columns["order"] = np.arange(200_000, dtype=np.uint64) << np.uint64(46)
    pieces = pa.table(columns, schema=doc_index.INDEX)
    index = store.join(root, source.folder, doc_index.FILE)
    sha256_index = doc_index.write_index(index, pieces, [source.name])
    fields = {name: getattr(source, name) for name in ("corpus", "bucket", "folder", "rows", "num_shards")}
    return {
        **fields,
        "packing": {"method": "best_fit", "seq_len": SEQ_LEN},
        "key": "k",
        "files": files,
        "sha256_index": sha256_index,
    }


def write_plan(root: str, plan: Plan) -> None:
    store.write_bytes(store.join(root, "plan.json"), plan.to_json().encode())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build that nobody damages."""
    root = tmp_path_factory.mktemp("whole") / "out"
    write_build(str(root))
    return root


@pytest.fixture
def build(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "out"))


def flip(path: Path, *positions: int) -> None:
    data = bytearray(path.read_bytes())
    for position in positions:
        data[position] ^= 1
    path.write_bytes(data)


# Files


def test_a_whole_build_has_no_problem(whole: Path) -> None:
    for threads in (None, 1, 9):
        assert verify(str(whole), threads=threads) == []
    assert verify(f"{whole}/") == []
    assert leftovers(str(whole)) == []
    files = list(whole.rglob("shard-*.arrow"))
    assert summary(str(whole)) == {"shards": 3, "bytes": sum(file.stat().st_size for file in files)}


@settings(deadline=None, max_examples=80)
@given(st.sampled_from([tokens_path(SECOND), docs_path(SECOND), "tokenizer/k/tokenizer.json"]), st.data())
def test_a_file_cut_anywhere_never_looks_whole(whole: Path, name: str, data: st.DataObject) -> None:
    content = (whole / name).read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    try:
        (whole / name).write_bytes(content[:length])
        problems = verify(str(whole))
    finally:
        (whole / name).write_bytes(content)
    assert len(problems) == 1
    assert problems[0].startswith(f"{name}: sha256 is ")
    assert "Run `tokenloom build` again." in problems[0]
    assert name.endswith(".json") or f"its {length:,} bytes are no whole Arrow file" in problems[0]


@settings(deadline=None, max_examples=80)
@given(st.sampled_from([tokens_path(SECOND), docs_path(SECOND)]), st.data())
def test_a_flipped_bit_anywhere_is_told(whole: Path, name: str, data: st.DataObject) -> None:
    content = (whole / name).read_bytes()
    try:
        flip(whole / name, data.draw(st.integers(0, len(content) - 1)))
        problems = verify(str(whole))
    finally:
        (whole / name).write_bytes(content)
    assert len(problems) == 1
    assert problems[0].startswith(f"{name}: sha256 is ")


def test_damaged_record_batches_are_named(build: Path) -> None:
    path = build / tokens_path(SECOND)
    third = path.stat().st_size // 3
    flip(path, third // 2, 2 * third + third // 2)
    (problem,) = verify(str(build))
    assert "of its record batches (0 to 2) numbers 0, 2 are damaged. Delete it." in problem
    flip(path, third // 2, third + third // 2)
    assert "numbers 1 to 2 are damaged" in verify(str(build))[0]
    flip(path, third + third // 2)
    assert "number 2 is damaged" in verify(str(build))[0]


def test_a_damaged_index_is_told(build: Path) -> None:
    path = build / "shards/web/index.arrow"
    flip(path, path.stat().st_size // 2)
    (problem,) = verify(str(build))
    assert problem.startswith("shards/web/index.arrow: sha256 is ")
    assert "of its record batches (0 to 2) number 1 is damaged. Delete it." in problem
    path.unlink()
    assert verify(str(build))[0].startswith("shards/web/index.arrow: is missing.")


def test_a_whole_file_of_another_build_is_told(build: Path) -> None:
    shutil.copy(build / tokens_path("shards/code/shard-00000"), build / tokens_path(SECOND))
    (problem,) = verify(str(build))
    assert "all of its record batches are whole, so another build wrote it" in problem


def test_missing_files_are_told_in_the_order_of_the_lock(build: Path) -> None:
    names = [
        "tokenizer/k/tokenizer.json",
        docs_path("shards/web/shard-00000"),
        tokens_path(SECOND),
        docs_path("shards/code/shard-00000"),
    ]
    for name in names:
        (build / name).unlink()
    assert [problem.partition(":")[0] for problem in verify(str(build))] == names
    assert "is missing" in verify(str(build))[1]


def test_no_shards_at_all(build: Path) -> None:
    shutil.rmtree(build / "shards")
    assert sum("is missing" in problem for problem in verify(str(build))) == 8


def test_shards_behind_links_are_found(build: Path, tmp_path: Path) -> None:
    (build / "shards/web").rename(tmp_path / "elsewhere")
    (build / "shards/web").symlink_to(tmp_path / "elsewhere")
    assert verify(str(build)) == []


def test_a_disk_that_does_not_read_is_a_problem_of_that_file(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = file_check._sha256

    def refuses(path: str, *others: Any) -> str:
        if SECOND in path:
            raise OSError(5, "Input/output error")
        return hashed(path, *others)

    monkeypatch.setattr(file_check, "_sha256", refuses)
    problems = verify(str(build))
    assert [problem.partition(" (")[0] for problem in problems] == [
        f"{tokens_path(SECOND)}: cannot be read",
        f"{docs_path(SECOND)}: cannot be read",
    ]


def test_what_a_thread_cannot_handle_is_raised(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(file_check, "_sha256", broken)
    with pytest.raises(ZeroDivisionError):
        verify(str(build), threads=3)


def test_leftovers_are_told_and_are_no_error(build: Path) -> None:
    extra = [
        tokens_path("shards/web/shard-00002"),
        "shards/web/shard-00002.json",
        "shards/old/all/k/shard-00000.docs.arrow",
    ]
    for name in extra:
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_bytes(b"x" * 1024)
    assert verify(str(build)) == []
    assert [told.partition(" that")[0] for told in leftovers(str(build))] == [
        "shards/old/all/k: 1 file (1 KiB)",
        "shards/web: 2 files (2 KiB)",
    ]


def test_no_build_and_a_damaged_lock(build: Path, tmp_path: Path) -> None:
    with pytest.raises(store.StoreError, match="no such file"):
        verify(str(tmp_path / "nothing"))
    (build / "lock.json").write_text((build / "lock.json").read_text()[:-9])
    with pytest.raises(store.StoreError, match=r"lock\.json: is damaged"):
        verify(str(build))


def test_the_same_on_s3(s3: str) -> None:
    root = store.join(s3, "verified")
    write_build(root)
    assert verify(root) == []
    path = store.join(root, tokens_path(SECOND))
    content = store.read_bytes(path)
    store.write_bytes(path, content[: len(content) // 2])
    store.remove_tree(store.join(root, docs_path(SECOND)))
    store.write_bytes(store.join(root, "shards/old/shard-00000.tokens.arrow"), b"x")
    first, second = verify(root)
    assert first.startswith(f"{tokens_path(SECOND)}: sha256 is ")
    assert second.startswith(f"{docs_path(SECOND)}: is missing")
    assert [told.partition(":")[0] for told in leftovers(root)] == ["shards/old"]


# Plans


def edited_stage(plan: Plan, **changes: Any) -> Plan:
    return dataclasses.replace(plan, stages=(dataclasses.replace(plan.stages[0], **changes),))


def edited_source(plan: Plan, index: int, **changes: Any) -> Plan:
    sources = list(plan.stages[0].sources)
    sources[index] = dataclasses.replace(sources[index], **changes)
    return edited_stage(plan, sources=tuple(sources))


def with_segments(plan: Plan, *segments: dict[str, Any]) -> Plan:
    first = plan.stages[0].mixture[0]
    return edited_stage(plan, mixture=tuple(dataclasses.replace(first, **each) for each in segments))


EDITS: dict[str, tuple[Callable[[Plan], Plan], str]] = {
    "lock": (lambda p: dataclasses.replace(p, lock="0"), "was made from another lock"),
    "live": (lambda p: dataclasses.replace(p, lock=""), "its build has not ended"),
    "tokenizer": (lambda p: dataclasses.replace(p, tokenizer={}), "names another tokenizer than the lock"),
    "open": (lambda p: edited_stage(p, sources=(), mixture=()), "stage stage is open, though its build has ended"),
    "folder": (lambda p: edited_source(p, 0, folder="x"), "reads web/all from x, which the lock does not have"),
    "rows": (lambda p: edited_source(p, 1, rows=5), "reads shards/code with number of rows 5, the lock says 4"),
    "shards": (lambda p: edited_source(p, 0, num_shards=3), "with number of shards 3, the lock says 2"),
    "bucket": (lambda p: edited_source(p, 0, bucket="high"), "with bucket 'high', the lock says 'all'"),
    "row length": (lambda p: edited_stage(p, seq_len=64), "with row length 64, the lock says 4096"),
    "packing": (lambda p: edited_stage(p, pack="concat"), "with packing 'concat', the lock says 'best_fit'"),
    "planned rows": (lambda p: edited_source(p, 0, rows_planned=31), "plans 31 rows of web/all, counting gives 30"),
    "a row more": (lambda p: edited_stage(p, steps=21), "plans 30 rows of web/all, counting gives 32"),
    "taken": (lambda p: with_segments(p, {"taken": (1, 0)}), "1 rows were taken before of web/all, counting gives 0"),
    "taken later": (
        lambda p: with_segments(p, {}, {"first_row": 20, "taken": (14, 6)}),
        "whose segment 1 (from row 20) says that 14 rows were taken before of web/all, counting gives 15",
    ),
    "first segment": (lambda p: with_segments(p, {"first_row": 3}), "must begin with 0 and grow up to its 40 rows"),
    "held out": (
        lambda p: edited_source(p, 0, held_out=40),
        "holds 40 rows of web/all out for validation, of the 40 in its first shard",
    ),
    "held out once only": (
        lambda p: dataclasses.replace(p, stages=(*p.stages, edited_source(p, 0, held_out=2).stages[0])),
        "holds 2 rows of web/all out for validation, a stage before it 0",
    ),
    "late segment": (lambda p: with_segments(p, {}, {"first_row": 40}), "from rows [0, 40], which must begin with 0"),
    "bounds": (lambda p: with_segments(p, {"bounds": (1, 2)}), "has no 2 bounds that grow to 2**64"),
    "too few bounds": (lambda p: with_segments(p, {"bounds": (1 << 64,)}), "has no 2 bounds that grow to 2**64"),
    "too few counts": (lambda p: with_segments(p, {"taken": (0,)}), "for 2 sources"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_plan_that_is_not_of_its_lock_is_told(build: Path, edit: str) -> None:
    change, expected = EDITS[edit]
    write_plan(str(build), change(Plan.from_json((build / "plan.json").read_text())))
    problems = verify(str(build))
    assert problems
    assert all(problem.startswith("plan.json: ") for problem in problems)
    assert any(expected in problem for problem in problems), problems


def test_a_plan_that_holds_rows_out_passes(build: Path) -> None:
    plan = Plan.from_json((build / "plan.json").read_text())
    write_plan(str(build), edited_source(plan, 0, held_out=39))
    assert verify(str(build)) == []


def test_a_plan_that_adds_up_in_segments_passes(build: Path) -> None:
    plan = Plan.from_json((build / "plan.json").read_text())
    write_plan(str(build), with_segments(plan, {}, {"first_row": 20, "taken": (15, 5)}))
    assert verify(str(build)) == []


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "null", "[]", '{"format": 1}', f'{{"format": {PLAN_FORMAT}, "stages": [1]}}']
)
def test_a_damaged_plan_is_told(build: Path, text: str) -> None:
    (build / "plan.json").write_text(text)
    (problem,) = verify(str(build))
    assert problem.startswith("plan.json has format 1, " if text == '{"format": 1}' else "plan.json is damaged (")
    assert problem.endswith("run `tokenloom build` again.")


def test_a_missing_plan_is_told(build: Path) -> None:
    (build / "plan.json").unlink()
    assert verify(str(build)) == ["plan.json: is missing. Run `tokenloom build` again."]


def test_files_of_the_lock_that_are_not_the_shards_of_the_source(build: Path) -> None:
    lock = json.loads((build / "lock.json").read_text())
    lock["shards"][0]["files"].reverse()
    plan = Plan.from_json((build / "plan.json").read_text())
    write_plan(str(build), dataclasses.replace(plan, lock=write_lock(str(build), lock)))
    problems = verify(str(build))
    assert len(problems) == 2
    assert f"reads {SECOND} with 40 rows, the lock has shards/web/shard-00000 with 40" in problems[1]
    lock["shards"][0]["files"].pop()
    write_plan(str(build), dataclasses.replace(plan, lock=write_lock(str(build), lock)))
    assert "reads 2 shards of shards/web, the lock has files of 1" in verify(str(build))[0]


# Progress, and its end


def test_every_byte_is_counted_once(whole: Path) -> None:
    seen: list[tuple[int, int]] = []
    verify(str(whole), observe=lambda done, total: seen.append((done, total)), threads=4)
    total = sum(file.stat().st_size for file in whole.rglob("*.arrow")) + len(TOKENIZER)
    assert {each for _, each in seen} == {total}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == total


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with VerifyProgress(Console(file=StringIO(), force_terminal=True, width=120)) as progress:
        progress.observe(1 << 20, 1 << 21)
    assert "verifying" in progress.console.file.getvalue()  # type: ignore[attr-defined]
    with VerifyProgress(Console(file=StringIO())) as progress:
        progress.observe(1 << 20, 1 << 21)
        assert progress.console.file.getvalue() == ""  # type: ignore[attr-defined]
        monkeypatch.setattr(time, "monotonic", lambda: 1e12)
        progress.observe(1 << 20, 1 << 21)
        progress.observe(1 << 21, 1 << 21)
    assert progress.console.file.getvalue() == "verified 1 MiB of 2 MiB\n"  # type: ignore[attr-defined]


def test_ctrl_c_ends_it_though_a_read_hangs(build: Path) -> None:
    """A named pipe in the place of a shard: whoever reads it waits for a writer that says nothing."""
    pipe = build / tokens_path(SECOND)
    pipe.unlink()
    os.mkfifo(pipe)
    wake = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a test run in the background ignores it
    code = f"{wake}; from curriculum.verify import verify; verify({str(build)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    writer = open_when_read(pipe, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    os.close(writer)
    assert "KeyboardInterrupt" in told
    assert process.returncode != 0


def open_when_read(pipe: Path, process: subprocess.Popen[str]) -> int:
    """The pipe for writing, as soon as somebody reads it."""
    while process.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            time.sleep(0.02)
    raise AssertionError(process.communicate()[1])
