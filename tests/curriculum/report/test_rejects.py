from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curriculum.report.data import Lock, read_lock
from curriculum.report.rejects import MAX_REJECTS, TEXT_CHARS, read_rejects


def lock_of(root: Path) -> Lock:
    lock = read_lock(str(root))
    assert lock is not None
    return lock


def test_every_reason_with_a_sample_is_shown(full_build: Path) -> None:
    lock = lock_of(full_build)
    shown = {(reject.corpus, reject.step, reject.reason) for reject in read_rejects(str(full_build), lock)}
    assert shown == {(c.name, step.step, reason) for c in lock.corpora for step in c.steps for reason in step.reasons}


def write_sample(root: Path, reasons: dict[str, int], text: str) -> None:
    """Replace the sample of the first step of web that dropped something."""
    step = next(step for corpus in lock_of(root).corpora if corpus.name == "web" for step in corpus.steps)
    rows = [
        {
            "step": step.step,
            "reason": reason,
            "id": f"{n:032x}",
            "origin": f"x#{n}",
            "text": text,
            "meta": '{"offset": 12}',
        }
        for reason, count in reasons.items()
        for n in range(count)
    ]
    path = root / "corpora" / "web" / f"{step.step}-{step.key[:12]}" / "rejects.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_a_frequent_reason_leaves_room_for_a_rare_one(build: Callable[..., Path], tmp_path: Path) -> None:
    root = build(tmp_path, steps=0, plan=False, rejects=False)
    write_sample(root, {"frequent": 2 * MAX_REJECTS, "rare": 3}, "text")
    counts = Counter(reject.reason for reject in read_rejects(str(root), lock_of(root)))
    assert counts == {"frequent": MAX_REJECTS - 3, "rare": 3}


def test_text_is_clipped_and_stripped_of_what_moves_other_text(build: Callable[..., Path], tmp_path: Path) -> None:
    root = build(tmp_path, steps=0, plan=False, rejects=False)
    write_sample(root, {"bad": 1}, "a\x00b\u202ec\td\n" + "x" * 2000)
    (reject,) = read_rejects(str(root), lock_of(root))
    assert reject.text.startswith("a\ufffdb\ufffdc\td\n")
    assert len(reject.text) == TEXT_CHARS
    assert reject.clipped
    assert reject.line.startswith("a\ufffdb\ufffdc d x")


def test_a_document_without_text_is_named_by_its_origin(build: Callable[..., Path], tmp_path: Path) -> None:
    root = build(tmp_path, steps=0, plan=False, rejects=False)
    write_sample(root, {"empty": 1}, "")
    assert [reject.line for reject in read_rejects(str(root), lock_of(root))] == ["x#0"]


def test_a_build_without_samples_has_no_rejects(build: Callable[..., Path], tmp_path: Path) -> None:
    root = build(tmp_path, steps=0, plan=False, rejects=False)
    assert read_rejects(str(root), lock_of(root)) == []
