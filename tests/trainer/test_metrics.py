import json
import logging
import math
import resource
from pathlib import Path
from typing import Any

import pytest

from trainer.metrics import FILE, Board, MetricsError, MetricsLog, curves, strict


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
    if not tail:
        (tmp_path / FILE).unlink()
        with pytest.raises(MetricsError, match=r"0 whole lines .* after step 2"):
            MetricsLog(tmp_path, 3)
        assert not (tmp_path / FILE).exists()


def test_a_line_that_is_no_line_is_none(tmp_path: Path) -> None:
    written(tmp_path, range(1), tail="{}\n7\nnonsense\n")
    with pytest.raises(MetricsError, match="1 whole lines"):
        MetricsLog(tmp_path, 2)


def strictly(text: str) -> Any:
    """Parse as the standard says: no NaN, no Infinity."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_lines_are_strict_json_and_their_curves_have_no_point_where_nothing_is(tmp_path: Path) -> None:
    line = {"step": 0, "stage": "s", "loss": math.nan, "by": {"a": math.inf, "b": 1.5}, "list": [-math.inf, 2]}
    with pytest.raises(ValueError, match="NaN is no JSON"):
        strictly(json.dumps(line))
    log = MetricsLog(tmp_path, 0)
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.append(line)
    log.append(strict(line))
    expected = {"step": 0, "stage": "s", "loss": None, "by": {"a": None, "b": 1.5}, "list": [None, 2]}
    assert strictly((tmp_path / FILE).read_text()) == expected
    assert list(log.lines()) == [expected]
    log.close()
    assert dict(curves(expected)) == {"by/b": 1.5}
    assert dict(curves({**expected, "loss": 2.0})) == {"by/b": 1.5, "loss": 2.0, "loss_by_stage/s": 2.0}


def test_a_full_disk_is_told_with_the_remedy_and_half_a_line_is_cut(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    log.append({"step": 0})
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, unlimited[1]))
    try:
        with pytest.raises(MetricsError, match=r"metrics.jsonl cannot be written \(.*\). Make room"):
            log.append({"step": 1, "loss": 1.5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    log.close()
    assert (tmp_path / FILE).read_text() == '{"step": 0}\n{"step":'
    log = MetricsLog(tmp_path, 1)
    log.append({"step": 1, "loss": 1.5})
    log.close()
    assert (tmp_path / FILE).read_text() == '{"step": 0}\n{"step": 1, "loss": 1.5}\n'


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(MetricsError, match=r"metrics.jsonl cannot be written \(.*directory"):
        MetricsLog(tmp_path, 0)


def test_without_room_for_curves_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board(tmp_path, 0)
    board.append({"step": 0, "stage": "s", "loss": 1.0})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(board._writer, "add_scalar", full)
    with caplog.at_level(logging.WARNING):
        board.append({"step": 1, "stage": "s", "loss": 1.0})
        board.append({"step": 2, "stage": "s", "loss": 1.0})
        board.close()
    (told,) = caplog.messages
    assert "tensorboard cannot be written" in told
    (tmp_path / "file").touch()
    Board(tmp_path / "file", 0).close()
    assert len(caplog.messages) == 2
