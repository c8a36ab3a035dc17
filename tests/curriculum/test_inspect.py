from pathlib import Path

from curriculum.inspect import _steps_done


def test_steps_that_are_learned_are_whole_lines(tmp_path: Path) -> None:
    """The trainer may be writing a line, or was killed while it did."""
    metrics = tmp_path / "metrics.jsonl"
    assert _steps_done(str(tmp_path)) == 0
    for text, steps in (("", 0), ('{"step": 0', 0), ('{"step": 0}\n', 1), ('{"step": 0}\n{"step": 1}\n{"st', 2)):
        metrics.write_text(text)
        assert _steps_done(str(tmp_path)) == steps
