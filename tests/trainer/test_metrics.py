import json
from pathlib import Path

import pytest

from trainer.metrics import FILE, MetricsError, MetricsLog


def written(root: Path, steps: range, tail: str = "") -> None:
    (root / FILE).write_text("".join(json.dumps({"step": step}) + "\n" for step in steps) + tail)


def test_lines_past_the_checkpoint_are_cut_and_new_ones_follow(tmp_path: Path) -> None:
    written(tmp_path, range(5), tail='{"step": 5, "lo')  # what kill -9 leaves
    log = MetricsLog(tmp_path, 3)
    log.append({"step": 3, "loss": 1.5})
    log.flush_to_disk()
    log.close()
    assert [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()] == [
        {"step": 0},
        {"step": 1},
        {"step": 2},
        {"step": 3, "loss": 1.5},
    ]


def test_a_fresh_run_starts_an_empty_file(tmp_path: Path) -> None:
    written(tmp_path, range(2))
    MetricsLog(tmp_path, 0).close()
    assert (tmp_path / FILE).read_text() == ""


@pytest.mark.parametrize("tail", ["", '{"step": 2'])
def test_a_file_shorter_than_the_checkpoint_is_refused(tmp_path: Path, tail: str) -> None:
    written(tmp_path, range(2), tail)
    with pytest.raises(MetricsError, match=r"2 whole lines .* after step 2"):
        MetricsLog(tmp_path, 3)
